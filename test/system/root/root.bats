#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# holm typed by root: it works as it does for anybody, and the user inside is root.
load ../../lib/holm

setup_file()
{
	[ "$(id -u)" = 0 ] || skip "only as root"
	holm_begin
	create box busybox
	holm machine set-default box
}

teardown_file()
{
	holm_end
}

@test "the user inside is root, with the home that root has" {
	equal root "$(holm machine run whoami)"
	equal /root "$(holm machine run sh -c 'echo $HOME')"
	equal "$HOME" "$(holm machine run pwd)"
}

@test "the home is shared both ways" {
	echo outside >note
	equal outside "$(holm machine run cat note)"
	holm machine run sh -c 'echo inside >back'
	equal "inside 0" "$(cat back) $(stat -c %u back)"
}

@test "exit status, stop and start" {
	run holm machine run sh -c 'exit 42'
	equal 42 "$status"
	equal box "$(holm machine stop box)"
	equal again "$(holm machine run echo again)"
}

@test "a Debian machine runs its services" {
	create deb bookworm --cpus 2 --memory 1G
	contains "running degraded" "$(holm machine run -n deb -- systemctl is-system-running --wait || true)"
	holm machine rm --force deb
}

# on_host RESOLV_CONF ROUTE COMMAND...: the host's network is one of the test's own, with this
# default route. A resolver on RESOLVER (127.0.0.53) gives every name the address 192.0.2.77,
# by UDP and TCP; it never answers queries for "silent". The host's /etc is $TMPDIR/etc, whose
# resolv.conf is a link to resolver/resolv.conf; with SINGLE set that file alone is mounted.
on_host()
{
	cp -a /etc "$TMPDIR/etc"
	mkdir "$TMPDIR/etc/resolver"
	printf '%b' "$1" >"$TMPDIR/etc/resolver/resolv.conf"
	ln -sfn resolver/resolv.conf "$TMPDIR/etc/resolv.conf"
	cat >"$TMPDIR/resolver" <<-'END'
		import socket, struct, sys, threading
		host, _, scope = sys.argv[2].partition("%")
		address = socket.getaddrinfo(host, 53, type=socket.SOCK_DGRAM)[0][4]
		if scope:
		    address = address[:3] + (socket.if_nametoindex(scope),)
		family = socket.AF_INET6 if ":" in host else socket.AF_INET
		def answer(q):
		    end = q.index(0, 12) + 5
		    a = q[end - 4:end - 2] == b"\0\1"
		    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 77]) if a else b""
		    return q[:2] + b"\x81\x80\0\1\0" + bytes([a]) + b"\0\0\0\0" + q[12:end] + record
		def serve_tcp():
		    while True:
		        c = tcp.accept()[0]
		        r = answer(c.recv(4096)[2:])
		        c.sendall(struct.pack(">H", len(r)) + r)
		        c.close()
		s = socket.socket(family, socket.SOCK_DGRAM)
		s.bind(address)
		tcp = socket.socket(family, socket.SOCK_STREAM)
		tcp.bind(address)
		tcp.listen(8)
		threading.Thread(target=serve_tcp, daemon=True).start()
		open(sys.argv[1], "w").write("bound\n")
		while True:
		    q, client = s.recvfrom(2048)
		    if b"silent" not in q:
		        s.sendto(answer(q), client)
	END
	mkfifo "$TMPDIR/bound"
	# shellcheck disable=SC2016
	command timeout 120 unshare --net --mount sh -c '
		set -e
		ip link set lo up
		ip link add up0 type veth peer name up1
		ip link set up0 up
		ip link set up1 up
		ip addr add 192.0.2.2/24 dev up0
		ip -6 addr add 2001:db8::2/64 dev up0 nodad
		ip -6 addr add fe80::77/64 dev up0 nodad
		ip route add $2
		if [ "${SINGLE-}" ]; then mount --bind "$1/etc/resolver/resolv.conf" /etc/resolv.conf
		else mount --bind "$1/etc" /etc; fi
		python3 "$1/resolver" "$1/bound" "${RESOLVER:-127.0.0.53}" >/dev/null 2>&1 3>&- &
		echo $! >"$1/resolver.pid"
		read -r _ <"$1/bound"
		shift 2
		exec "$@"' sh "$TMPDIR" "$2" "${@:3}"
}

# Ends what on_host began.
off_host()
{
	holm machine stop box
	kill "$(cat "$TMPDIR/resolver.pid")"
	rm -r "${TMPDIR:?}/etc" "$TMPDIR/resolver" "$TMPDIR/resolver.pid" "$TMPDIR/bound"
}

# ask_silent: a program that sends COUNT queries for "silent" to 10.77.0.4.
ask_silent()
{
	cat >"$TMPDIR/ask.c" <<-'END'
		#include <arpa/inet.h>
		#include <stdlib.h>
		#include <unistd.h>
		int main(int argc, char **argv)
		{
			static const char q[] = "\0\1\1\0\0\1\0\0\0\0\0\0\6silent\0\0\1\0\1";
			struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = inet_addr("10.77.0.4") };
			int s = socket(AF_INET, SOCK_DGRAM, 0);
			for (int i = 0; i < atoi(argv[1]); i++, usleep(1000))
				sendto(s, q, sizeof q - 1, 0, (void *)&to, sizeof to);
		}
	END
	cc -static -o "$HOME/ask" "$TMPDIR/ask.c"
	rm "$TMPDIR/ask.c"
}

@test "names go by way of the host's own resolver on loopback" {
	requires tun python3 passt ip cc
	found()
	{
		contains "$(holm machine run nslookup split.vpn.example 2>&1)" 192.0.2.77
	}
	asks()
	{
		[ "$(holm machine run grep ^nameserver /etc/resolv.conf)" = "nameserver $1" ]
	}
	holm machine stop box
	run --separate-stderr on_host 'nameserver 127.0.0.53\nsearch vpn.example\n' 'default via 192.0.2.1' holm machine start box
	equal 0 "$status"
	[[ "$stderr" != *"network"* && "$stderr" != *"names"* ]]
	until_true 60 found
	# The resolver changes while the machine runs: the file is replaced, and back.
	printf 'nameserver 192.0.2.53\nsearch home.example\n' >"$TMPDIR/etc/new"
	mv "$TMPDIR/etc/new" "$TMPDIR/etc/resolv.conf"
	until_true 60 asks 192.0.2.53
	contains "$(holm machine run cat /etc/resolv.conf)" 'search home.example'
	ln -s resolver/resolv.conf "$TMPDIR/etc/new"
	mv -T "$TMPDIR/etc/new" "$TMPDIR/etc/resolv.conf"
	until_true 60 asks 10.77.0.3
	until_true 60 found
	off_host
	# Servers that passt does not reach, also after a reboot, and by TCP.
	SINGLE=1 RESOLVER=::1 on_host 'nameserver ::1\nsearch vpn.example\n' 'default via 192.0.2.1' holm machine start box 2>/dev/null
	until_true 60 found
	contains "$(holm machine run cat /etc/resolv.conf)" 'nameserver 10.77.0.4'
	contains "$(holm machine run sh -c 'printf "\0\21\0\1\1\0\0\1\0\0\0\0\0\0\0\0\1\0\1" >/tmp/q; timeout 60 nc 10.77.0.4 53 </tmp/q | hexdump -C')" '00 02 4d'
	# Queries that nobody answers keep no others from an answer.
	ask_silent
	holm machine run "$HOME/ask" 400
	contains "$(holm machine run timeout 10 nslookup split.vpn.example 2>&1)" 192.0.2.77
	# The file is written in place.
	echo 'nameserver 192.0.2.53' >"$TMPDIR/etc/resolver/resolv.conf"
	until_true 60 asks 192.0.2.53
	echo 'nameserver ::1' >"$TMPDIR/etc/resolver/resolv.conf"
	until_true 60 asks 10.77.0.4
	run holm machine run --root reboot
	until_true 120 found
	off_host
	# The first server that passt does not reach comes while the machine runs, into the target
	# of the link.
	RESOLVER=fe80::77%up0 on_host 'nameserver 192.0.2.53\n' 'default via 192.0.2.1' holm machine start box 2>/dev/null
	until_true 60 asks 10.77.0.3
	echo 'nameserver fe80::77%up0' >"$TMPDIR/etc/resolver/resolv.conf"
	until_true 60 asks 10.77.0.4
	until_true 60 found
	off_host
}

# in_host COMMAND...: in the network of on_host.
in_host()
{
	nsenter "--net=/proc/$(cat "$TMPDIR/resolver.pid")/ns/net" "$@"
}

# hear: writes each address that something came to at port 7007 to $TMPDIR/heard; $pid ends it.
hear()
{
	cat >"$TMPDIR/hear" <<-'END'
		import select, socket, sys
		def listen(kind):
		    s = socket.socket(socket.AF_INET6, kind)
		    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
		    s.bind(("::", 7007))
		    return s
		udp, tcp = listen(socket.SOCK_DGRAM), listen(socket.SOCK_STREAM)
		tcp.listen(64)
		print("ready", flush=True)
		while True:
		    for s in select.select([udp, tcp], [], [])[0]:
		        if s is udp:
		            print("udp", udp.recv(2000).decode(), flush=True)
		        else:
		            c = tcp.accept()[0]
		            print("tcp", c.getsockname()[0], flush=True)
		            c.close()
	END
	background nsenter "--net=/proc/$(cat "$TMPDIR/resolver.pid")/ns/net" python3 "$TMPDIR/hear" >"$TMPDIR/heard"
	until_true 60 grep -q ready "$TMPDIR/heard"
}

# make_frames: a program that sends IPv6 packets as Ethernet frames, whatever the routes say.
make_frames()
{
	cat >"$TMPDIR/frames.c" <<-'END'
		#include <arpa/inet.h>
		#include <linux/if_packet.h>
		#include <net/if.h>
		#include <stdint.h>
		#include <stdlib.h>
		#include <string.h>
		#include <sys/socket.h>
		static uint32_t sum(const uint8_t *bytes, size_t size, uint32_t before)
		{
			for (size_t i = 0; i < size; i++)
				before += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
			return before;
		}

		/* An IPv6 packet in an Ethernet frame; its payload has room for a checksum at `checksum`. */
		static int send_frame(int s, const struct sockaddr_ll *device, struct in6_addr ends[2], uint8_t protocol,
		    const uint8_t *payload, size_t size, size_t checksum)
		{
			uint8_t frame[256] = { 0x52, 0x54, 0, 0x0a, 0x4d, 0x01, 0x52, 0x54, 0, 0x0a, 0x4d, 0x02, 0x86, 0xdd, 0x60 };
			frame[19] = (uint8_t)size;
			frame[20] = protocol;
			frame[21] = 64;
			memcpy(frame + 22, ends, 32);
			memcpy(frame + 54, payload, size);
			uint32_t all = sum(frame + 22, 32 + size, (uint32_t)size + protocol);
			while (all >> 16)
				all = (all & 0xffff) + (all >> 16);
			frame[54 + checksum] = (uint8_t)(~all >> 8);
			frame[54 + checksum + 1] = (uint8_t)~all;
			return sendto(s, frame, 54 + size, 0, (const void *)device, sizeof(*device)) < 0;
		}

		/* DEVICE SOURCE DESTINATION PORT: a datagram that says the destination, and a SYN */
		int main(int argc, char **words)
		{
			struct sockaddr_ll device = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(words[1]) };
			struct in6_addr ends[2];
			uint16_t port = (uint16_t)atoi(words[4]);
			size_t text = strlen(words[3]);
			uint8_t udp[64] = { 0x9c, 0x40, (uint8_t)(port >> 8), (uint8_t)port, 0, (uint8_t)(8 + text) };
			uint8_t tcp[20] = { 0x9c, 0x41, (uint8_t)(port >> 8),
				(uint8_t)port, [7] = 1, [12] = 0x50, [13] = 2, [14] = 0xff };
			int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
			if (inet_pton(AF_INET6, words[2], &ends[0]) != 1 || inet_pton(AF_INET6, words[3], &ends[1]) != 1 || text > 50)
				return 2;
			memcpy(udp + 8, words[3], text);
			int result = send_frame(s, &device, ends, IPPROTO_UDP, udp, 8 + text, 6);
			return result ? result : send_frame(s, &device, ends, IPPROTO_TCP, tcp, sizeof(tcp), 16);
		}
	END
	cc -static -o "$HOME/frames" "$TMPDIR/frames.c"
	rm "$TMPDIR/frames.c"
}

@test "a host that has IPv6 alone: network, names and ports, but not what listens on its loopback" {
	requires tun python3 passt ip cc
	found()
	{
		contains "$(holm machine run nslookup split.vpn.example 2>&1)" 192.0.2.77
	}
	twice()
	{
		[ "$(grep -c '^tcp 2001:db8::2' "$TMPDIR/heard")" -ge 2 ]
	}
	fetched()
	{
		[ "$(in_host curl -gs --max-time 30 "$1")" = "hello from inside" ]
	}
	holm machine stop box
	make_frames
	RESOLVER=fe80::77%up0 run --separate-stderr on_host 'nameserver fe80::77%up0\n' 'default via 2001:db8::1' holm machine start box
	equal 0 "$status"
	[[ "$stderr" != *"network"* ]]
	until_true 60 found
	hear
	until_true 60 holm machine run timeout 10 nc 2001:db8::2 7007 </dev/null
	# Root inside can send any frame. The last two show that the others had their time.
	# shellcheck disable=SC2016
	holm machine run --root sh -c 'for to; do "$0" eth0 fd4f:9a1c:7e20:77::2 "$to" 7007 || exit; done' \
		"$HOME/frames" ::1 :: ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:0.0.0.0 fe80::77 ff02::1 fd4f:9a1c:7e20:77::1 2001:db8::2
	until_true 60 grep -q '^udp 2001:db8::2' "$TMPDIR/heard"
	until_true 60 twice
	kill "$pid"
	equal $'ready\ntcp 2001:db8::2\nudp 2001:db8::2' "$(sort -u "$TMPDIR/heard")"
	in_host holm machine port add '[::1]:7008:8080' '[2001:db8::2]:7009:8080'
	until_true 60 fetched 'http://[::1]:7008/'
	fetched 'http://[2001:db8::2]:7009/'
	holm machine port rm 7008 7009
	rm "$TMPDIR/hear" "$TMPDIR/heard"
	off_host
}

@test "a host without a default route is said to have none" {
	requires native tun python3 passt ip
	holm machine stop box
	run --separate-stderr on_host 'nameserver 127.0.0.53\n' '2001:db8:1::/48 via 2001:db8::1' holm machine start box
	off_host
	contains "$stderr" "the host has no default route"
}

@test "without a VM: root inside is nobody on the host but in the home, where the files are root's" {
	requires native
	holm machine run true
	local init
	init=$(init_of box)
	[ "$(awk '/^Uid:/ { print $2 }' "/proc/$init/status")" -ge 100000 ]
	run ! grep -Eq ' 0 +[0-9]+$' <<<"$(awk '{ print $2, $3 }' "/proc/$init/uid_map" | sed 's/^/ /')"
	holm machine run sh -c 'mkdir made; echo x >made/file'
	equal "0 0" "$(stat -c %u made) $(stat -c %u made/file)"
	rm -r made
	# The files of the machine itself are the range's.
	holm machine run touch /srv/mine
	[ "$(stat -c %u "$XDG_DATA_HOME"/holm/machines/box/native/upper/srv/mine)" -ge 100000 ]
}
