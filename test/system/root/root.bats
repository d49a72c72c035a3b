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
# by UDP and TCP. The host's /etc is $TMPDIR/etc, whose resolv.conf is a link to
# resolver/resolv.conf; with SINGLE set that file alone is mounted.
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

@test "names go by way of the host's own resolver on loopback" {
	requires tun python3 passt ip
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

@test "a host without IPv4 is said to be one" {
	requires tun python3 passt ip
	holm machine stop box
	run --separate-stderr on_host 'nameserver 127.0.0.53\n' '2001:db8:1::/48 via 2001:db8::1' holm machine start box
	off_host
	case $ISOLATION in
	native) contains "$stderr" "the host has no default route" ;;
	esac
	run --separate-stderr on_host 'nameserver 127.0.0.53\n' 'default via 2001:db8::1' holm machine start box
	equal 0 "$status"
	contains "$stderr" "the host has a default route for IPv6 only"
	off_host
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
