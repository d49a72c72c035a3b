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
# default route, and a resolver on 127.0.0.53 that gives every name the address 192.0.2.77.
on_host()
{
	printf '%b' "$1" >"$TMPDIR/resolv.conf"
	cat >"$TMPDIR/resolver" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.bind(("127.0.0.53", 53))
		open(sys.argv[1], "w").write("bound\n")
		while True:
		    q, client = s.recvfrom(2048)
		    end = q.index(0, 12) + 5
		    a = q[end - 4:end - 2] == b"\0\1"
		    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 77]) if a else b""
		    s.sendto(q[:2] + b"\x81\x80\0\1\0" + bytes([a]) + b"\0\0\0\0" + q[12:end] + answer, client)
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
		ip route add $2
		mount --bind "$1/resolv.conf" /etc/resolv.conf
		python3 "$1/resolver" "$1/bound" >/dev/null 2>&1 3>&- &
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
	rm "$TMPDIR/resolver" "$TMPDIR/resolver.pid" "$TMPDIR/bound" "$TMPDIR/resolv.conf"
}

@test "names go by way of the host's own resolver on loopback" {
	requires tun python3 passt ip
	found()
	{
		contains "$(holm machine run nslookup split.vpn.example 2>&1)" 192.0.2.77
	}
	holm machine stop box
	run --separate-stderr on_host 'nameserver 127.0.0.53\nsearch vpn.example\n' 'default via 192.0.2.1' holm machine start box
	equal 0 "$status"
	[[ "$stderr" != *"network"* && "$stderr" != *"names"* ]]
	until_true 10 found
	off_host
}

@test "a host without names or without IPv4 is said to be one" {
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
	run --separate-stderr on_host 'nameserver fe80::1%%eth0\n' 'default via 192.0.2.1' holm machine start box
	equal 0 "$status"
	contains "$stderr" "names are not found inside"
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
