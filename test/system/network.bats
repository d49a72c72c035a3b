#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Published ports (TCP, UDP, addresses), what of the host is reachable from inside, and name service.
load ../lib/holm

setup_file()
{
	holm_begin
	export TCP UDP ANY
	TCP=$(free_port) UDP=$(free_port) ANY=$(free_port)
	create net busybox --no-boot -p "$TCP:8080" -p "$UDP:9000/udp" -p "0.0.0.0:$ANY:8080"
	holm machine start net
	as_root net sh -c 'ip link set lo up; true'
}

teardown_file()
{
	holm_end
}

# echoed tcp|udp ADDRESS PORT: what listens there answers ping with pong.
echoed()
{
	local fd line=''
	exec {fd}<>"/dev/$1/$2/$3" || return 1
	# read would take a byte and drop the rest of a datagram.
	echo ping >&"$fd" && line=$(command timeout 5 head -n 1 <&"$fd")
	exec {fd}>&-
	[ "$line" = pong ]
}

@test "a published TCP port answers on the host's loopback, v4 and v6" {
	fetch()
	{
		[ "$(curl -s --max-time 30 "$1")" = "hello from inside" ]
	}
	until_true 60 fetch "http://127.0.0.1:$TCP/"
	fetch "http://[::1]:$TCP/"
	fetch "http://localhost:$TCP/"
}

@test "without an address only the loopback listens; with 0.0.0.0 all do" {
	equal '' "$(ss -Hltn "sport = :$TCP" | awk '{ print $4 }' | grep -v -e '^127.0.0.1:' -e '^\[::1\]:')"
	contains "$(ss -Hltn "sport = :$ANY" | awk '{ print $4 }')" "0.0.0.0:$ANY"
	equal "hello from inside" "$(curl -s --max-time 30 "http://127.0.0.1:$ANY/")"
}

@test "a large download and many connections at once" {
	as_root net sh -c 'head -c 20000000 /dev/urandom >/srv/www/big'
	equal "$(as_root net sha256sum /srv/www/big | cut -d' ' -f1)" "$(curl -s --max-time 60 "http://127.0.0.1:$TCP/big" | sha256sum | cut -d' ' -f1)"
	local n
	for n in $(seq 1 20); do
		curl -s --max-time 60 -o "$TMPDIR/page.$n" "http://127.0.0.1:$TCP/" &
	done
	wait
	equal 20 "$(cat "$TMPDIR"/page.* | grep -c 'hello from inside')"
	rm "$TMPDIR"/page.*
}

@test "nobody listens inside: the connection is closed, not stuck" {
	# The init starts another one some time after the end of one; there is none to start.
	as_root net sh -c 'mv /bin/httpd /bin/none; sed -i /httpd/d /etc/inittab; kill -HUP 1; killall httpd; while pidof httpd >/dev/null; do sleep 0.1; done'
	run timeout 10 curl -s --max-time 8 "http://127.0.0.1:$TCP/"
	[ "$status" != 0 ] && [ "$status" != 28 ] && [ "$status" != 124 ]
}

@test "a published UDP port carries datagrams both ways" {
	requires cc
	cat >"$TMPDIR/echo.c" <<-'END'
		#include <arpa/inet.h>
		#include <netinet/in.h>
		#include <stdlib.h>
		#include <string.h>
		#include <sys/socket.h>
		#include <unistd.h>
		int main(int argc, char **argv) /* tcp|udp ADDRESS PORT: answers ping with pong */
		{
			struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[3])) };
			struct sockaddr_in6 from, six = { .sin6_family = AF_INET6, .sin6_port = four.sin_port };
			char b[2048];
			int is_tcp = !strcmp(argv[1], "tcp"), is_four = inet_pton(AF_INET, argv[2], &four.sin_addr) == 1, c;
			int s = socket(is_four ? AF_INET : AF_INET6, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
			if (!is_four)
				inet_pton(AF_INET6, argv[2], &six.sin6_addr);
			if (bind(s, is_four ? (void *)&four : (void *)&six, is_four ? sizeof four : sizeof six) < 0)
				return 1;
			for (is_tcp && listen(s, 16) == 0; is_tcp && (c = accept(s, NULL, NULL)) >= 0; close(c))
				for (ssize_t n; (n = read(c, b, sizeof b)) > 1; write(c, b, n))
					b[1] = 'o';
			for (socklen_t n = sizeof from;; n = sizeof from) {
				ssize_t got = recvfrom(s, b, sizeof b, 0, (void *)&from, &n);
				if (got > 1)
					b[1] = 'o', sendto(s, b, got, 0, (void *)&from, n);
			}
		}
	END
	cc -static -o "$HOME/echo" "$TMPDIR/echo.c"
	rm "$TMPDIR/echo.c"
	holm machine run -n net -d -- "$HOME/echo" udp 0.0.0.0 9000
	until_true 60 echoed udp 127.0.0.1 "$UDP"
}

@test "a service that listens on 127.0.0.1 or on ::1 alone is reached from both on the host, TCP and UDP" {
	requires cc
	local protocol address port inside=9100
	for protocol in tcp udp; do
		for address in 127.0.0.1 ::1; do
			if [ "$address" = ::1 ] && ! as_root net test -e /proc/net/if_inet6; then
				continue
			fi
			port=$(free_port)
			inside=$((inside + 1))
			holm machine port add -n net "$port:$inside/$protocol"
			holm machine run -n net -d -- "$HOME/echo" "$protocol" "$address" "$inside"
			until_true 60 echoed "$protocol" 127.0.0.1 "$port"
			until_true 60 echoed "$protocol" ::1 "$port"
			holm machine port rm -n net "$port/$protocol"
		done
	done
}

@test "a published port does not need the agent: stopped, it moves no byte and makes no connection" {
	requires native cc
	local port agent
	port=$(free_port)
	holm machine port add -n net "$port:9200"
	holm machine run -n net -d -- "$HOME/echo" tcp 127.0.0.1 9200
	until_true 60 echoed tcp 127.0.0.1 "$port"
	agent=$(holm machine inspect net | jq '.[0].keeper.parts.processes[] | select(.what == "agent").pid')
	kill -STOP "$agent"
	run echoed tcp 127.0.0.1 "$port"
	kill -CONT "$agent"
	equal 0 "$status"
	holm machine port rm -n net "$port"
}

@test "a thousand UDP clients at once, and sessions beside them" {
	requires socat cc python3
	cat >"$TMPDIR/clients.py" <<-'END'
		import signal, socket, sys
		clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for i in range(1000)]
		for c in clients:
		    c.settimeout(60)
		    c.connect(("127.0.0.1", int(sys.argv[1])))
		for turn in range(2):
		    for i, c in enumerate(clients):
		        c.send(b"pi%d" % i)
		        if c.recv(100) != b"po%d" % i:
		            sys.exit("client %d got something else" % i)
		print("answered", flush=True)
		signal.pause()
	END
	background python3 "$TMPDIR/clients.py" "$UDP" >"$TMPDIR/answers" 2>&1
	until_true 120 grep -q answered "$TMPDIR/answers"
	equal beside "$(in_machine net echo beside)"
	kill "$pid"
	wait "$pid" || true
	rm "$TMPDIR/answers" "$TMPDIR/clients.py"
}

@test "a port that is taken is a clear error, and the machine does not linger" {
	local port keeper
	port=$(free_port)
	listen "TCP4-LISTEN:$port,bind=127.0.0.1,fork" /dev/null
	keeper=$pid
	until_true 60 is_open "$port"
	create taken busybox --no-boot -p "$port:80"
	run --separate-stderr holm machine start taken
	kill "$keeper"
	[ "$status" != 0 ]
	contains "$stderr" "$port"
	equal stopped "$(state taken)"
	holm machine rm taken
}

@test "a machine beside it with the same port is told who has it, and makes nothing" {
	fails 125 create twin busybox -p "$TCP:80"
	contains "$stderr" "TCP port $TCP on 127.0.0.1 is in use by machine \"net\""
	run ! holm machine inspect twin
	run --separate-stderr create twin busybox --no-boot -p "$TCP:80"
	contains "$stderr" 'in use by machine "net"'
	fails 125 holm machine start twin
	contains "$stderr" "holm machine port rm -n twin $TCP"
	holm machine port rm -n twin "$TCP"
	holm machine start twin
	holm machine rm --force twin
}

@test "ports come and go while the machine runs" {
	local port other
	port=$(free_port)
	fetch()
	{
		[ "$(curl -s --max-time 30 "http://127.0.0.1:$1/")" = "live ports" ]
	}
	holm machine run -n net --root -d -- sh -c 'mkdir -p /srv/live; echo live ports >/srv/live/index.html; exec busybox httpd -f -p 8082 -h /srv/live'
	run --separate-stderr holm machine port add -n net "$port:8082"
	equal "$port:8082" "$output"
	equal '' "$stderr"
	until_true 60 fetch "$port"
	equal yes "$(holm machine port ls -n net | awk -v port="$port" '$2 == port { print $5 }')"
	contains "$(holm machine inspect net | jq -c '.[0].keeper.ports')" "{\"ip\":\"::1\",\"host\":$port,\"inside\":8082,\"protocol\":\"tcp\"}"
	other=$(free_port)
	run --separate-stderr holm machine set -n net "publish=$TCP:8080,$UDP:9000/udp,0.0.0.0:$ANY:8080,$other:8082"
	equal '' "$stderr"
	fetch "$other"
	run ! curl -s --max-time 30 "http://127.0.0.1:$port/"
	equal "$other:8082" "$(holm machine port rm -n net "$other")"
	equal '' "$(ss -Hltn "sport = :$other or sport = :$port")"
	equal 3 "$(holm machine inspect net | jq '.[0].publish | length')"
}

# serves NUMBER [ADDRESS]: a page "by itself" at this port inside, until the session $pid ends.
serves()
{
	background holm machine run -n net --root -- sh -c 'mkdir -p /srv/self; echo by itself >/srv/self/index.html; exec busybox httpd -f -p "$1" -h /srv/self' sh "${2:+$2:}$1"
}

# by_itself ADDRESS PORT: that page is there.
by_itself()
{
	[ "$(curl -s --max-time 30 "http://$1:$2/")" = "by itself" ]
}

# rows PORT: what port ls has of it, as JSON without blanks.
rows()
{
	holm machine port ls -n net --format json | jq -c --argjson port "$1" '[.[] | select(.host == $port)]'
}

@test "a port that listens inside opens on the host by itself, and closes with its listener" {
	local port address
	address=$(field net address)
	equal on "$(field net auto_ports)"
	port=$(free_port)
	serves "$port" 127.0.0.1
	until_true 60 by_itself "$address" "$port"
	until_true 60 by_itself 127.0.0.1 "$port"
	by_itself "[::1]" "$port"
	equal "http://$address:$port/" "$(holm machine url net "$port")"
	equal "http://localhost:$TCP/" "$(holm machine url net "$TCP")"
	# The browser: a program that keeps its words.
	printf '#!/bin/sh\necho "$@" >"%s/opened"\n' "$TMPDIR" >"$TMPDIR/browser"
	chmod +x "$TMPDIR/browser"
	BROWSER="/nonexistent/browser:$(printf %s "$TMPDIR/browser") --new=%s;x" holm machine open net "$port"
	equal "--new=http://$address:$port/;x" "$(cat "$TMPDIR/opened")"
	rm "$TMPDIR/opened" "$TMPDIR/browser"
	fails 125 holm machine url net 1
	contains "$stderr" "has no port 1 that the host reaches"
	equal "[{\"ip\":\"$address\",\"host\":$port,\"inside\":$port,\"protocol\":\"tcp\",\"bound\":true,\"auto\":true},{\"ip\":null,\"host\":$port,\"inside\":$port,\"protocol\":\"tcp\",\"bound\":true,\"auto\":true}]" "$(rows "$port")"
	contains "$(holm machine ls | awk '$1 == "net"')" "$port"
	kill "$pid"
	wait "$pid" || true
	until_true 60 is_closed "$port"
	equal '[]' "$(rows "$port")"
}

@test "a number that another program of the host has opens at the machine's own address alone" {
	requires socat
	local port address
	address=$(field net address)
	port=$(free_port)
	listen "TCP4-LISTEN:$port,bind=127.0.0.1,fork" /dev/null
	local other=$pid
	until_true 60 is_open "$port"
	serves "$port"
	until_true 60 by_itself "$address" "$port"
	equal 1 "$(ss -Hltn "src 127.0.0.1 and sport = :$port" | wc -l)"
	equal '' "$(ss -Hltn "src [::1] and sport = :$port")"
	kill "$other" "$pid"
	wait "$other" "$pid" || true
}

@test "a published port takes its number from one that opened by itself; auto-ports=off and on take effect at once" {
	local port address
	address=$(field net address)
	port=$(free_port)
	serves "$port"
	until_true 60 by_itself 127.0.0.1 "$port"
	equal "$port:8080" "$(holm machine port add -n net "$port:8080")"
	fetch()
	{
		[ "$(curl -s --max-time 30 "http://127.0.0.1:$port/")" != "by itself" ]
	}
	fetch
	until_true 60 by_itself "$address" "$port"
	holm machine port rm -n net "$port"
	until_true 60 by_itself 127.0.0.1 "$port"
	run --separate-stderr holm machine set -n net auto-ports=off
	equal '' "$stderr"
	is_closed "$port"
	equal '[]' "$(rows "$port")"
	holm machine set -n net auto-ports=on
	until_true 60 by_itself "$address" "$port"
	kill "$pid"
	wait "$pid" || true
}

# Natively alone: the code is the keeper's, and a boot is short.
@test "two machines serve the same number; one that publishes it gets it at localhost" {
	requires native
	local port first second
	port=$(free_port)
	first=$(field net address)
	serves "$port"
	until_true 60 by_itself 127.0.0.1 "$port"
	create twin busybox -p "$port:8080"
	second=$(field twin address)
	[ "$first" != "$second" ]
	fetch()
	{
		[ "$(curl -s --max-time 30 "http://$1/")" = "hello from inside" ]
	}
	until_true 60 fetch "localhost:$port"
	until_true 60 fetch "$second:8080"
	by_itself "$first" "$port"
	# One that is stopped meanwhile gets it again: its keeper asks.
	holm machine stop twin
	holm machine set -n net auto-ports=off
	holm machine set -n net auto-ports=on
	until_true 60 by_itself 127.0.0.1 "$port"
	holm machine start twin
	until_true 60 fetch "localhost:$port"
	by_itself "$first" "$port"
	holm machine rm --force twin
	kill "$pid"
	wait "$pid" || true
}

@test "stop gives the ports back" {
	holm machine stop net
	run ! curl -s --max-time 3 "http://127.0.0.1:$TCP/"
	equal '' "$(ss -Hltun "sport = :$TCP or sport = :$UDP or sport = :$ANY")"
}

# Root inside may route 127/8 to the network device; whoever carries the packets outside must not connect there for it.
@test "the host's loopback is not reached by way of the machine's network device either" {
	requires socat cc passt
	local address port first second route
	address=$(ip -4 -o addr show scope global | awk '{ sub("/.*", "", $4); print $4; exit }')
	[ -n "$address" ] || skip "this host has no network"
	cc -static -o "$HOME/attempt" "$BATS_TEST_DIRNAME/../lib/attempt.c"
	port=$(free_port)
	listen "TCP4-LISTEN:$port,bind=127.0.0.1,fork" /dev/null
	first=$pid
	listen "TCP4-LISTEN:$port,bind=$address,fork" /dev/null
	second=$pid
	until_true 60 is_open "$port"
	create looped busybox
	until_true 60 "$HOME/attempt" tcp 127.0.0.1 "$port"
	until_true 60 as_root looped "$HOME/attempt" tcp "$address" "$port"
	route='for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 >$f; done; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done
		ip addr del 127.0.0.1/8 dev lo; ip link set lo down; ip route replace "$1" via 10.77.0.1 dev eth0'
	as_root looped sh -c "$route" sh "$address/32"
	until_true 60 as_root looped "$HOME/attempt" tcp "$address" "$port"
	as_root looped sh -c "$route" sh 127.0.0.0/8
	for _ in 1 2; do
		run as_root looped "$HOME/attempt" tcp 127.0.0.1 "$port"
		[ "$status" != 0 ] && [ "$status" -lt 125 ]
	done
	until_true 60 as_root looped "$HOME/attempt" tcp "$address" "$port"
	kill "$first" "$second"
	holm machine rm --force looped
}

@test "the host's loopback is not reachable from inside, unless --host-access" {
	requires tun socat
	local port listener
	port=$(free_port)
	listen "TCP4-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" 'SYSTEM:echo host'
	listener=$pid
	until_true 60 is_open "$port"
	create closed busybox --no-boot
	create open busybox --no-boot --host-access
	local gateway got
	has_route()
	{
		gateway=$(in_machine closed sh -c "ip route | awk '/default/ { print \$3 }'")
		[ -n "$gateway" ]
	}
	until_true 60 has_route
	got=$(in_machine closed sh -c "timeout 10 nc -w 3 $gateway $port </dev/null" 2>/dev/null || true)
	equal '' "$got"
	from_host()
	{
		[ "$(in_machine open sh -c "timeout 5 nc -w 3 host.holm.internal $port" </dev/null 2>/dev/null | head -n 1)" = host ]
	}
	# A session does not wait for the network. pasta can lose the answer of a connection that nc
	# has half closed; nc would wait without an end.
	until_true 60 from_host
	kill "$listener"
	holm machine rm --force closed open
}

@test "resolv.conf has name servers; hosts has the machine" {
	holm machine start net
	contains "$(in_machine net cat /etc/hosts)" net
	contains "$(in_machine net cat /etc/hosts)" 127.0.0.1
	run in_machine net cat /etc/resolv.conf
	equal 0 "$status"
	if grep -q '^nameserver' /etc/resolv.conf; then
		contains "$output" nameserver
	fi
}
