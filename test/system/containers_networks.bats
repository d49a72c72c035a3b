#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Networks of a user's own: create, names, isolation, connect and disconnect.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
}

teardown_file()
{
	holm_end
}

teardown()
{
	docker ps -aq | xargs -r timeout 60 docker rm -f >/dev/null
	docker network ls -q -f type=custom | xargs -r timeout 60 docker network rm >/dev/null
}

# idle NAME [docker option]...: a container that does nothing.
idle()
{
	local name=$1
	shift
	docker run -d --name "$name" "$@" busybox:test sleep 1000 >/dev/null
}

# address CONTAINER NETWORK
address()
{
	docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"
}

# resolved CONTAINER NAME [TYPE]: the addresses that a lookup gives, sorted; else the error.
resolved()
{
	docker exec "$1" nslookup -type="${3:-a}" "$2" 127.0.0.11 2>&1 | awk '/^Name:/ {name = 1} name && /^Address/ {print $NF} /^\*\*/ {print $NF}' | sort | xargs
}

# status METHOD PATH JSON: prints the status; the answer is in $BATS_TEST_TMPDIR/answer.
status()
{
	api "$1" "$2" -H 'Content-Type: application/json' ${3:+-d "$3"} -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}'
}

@test "network create, ls, inspect, rm: names, ids, filters, labels; Docker's errors" {
	local id
	id=$(docker network create --label a=b --label c mine)
	equal 64 "${#id}"
	equal "$id" "$(docker network inspect -f '{{.Id}}' "${id:0:8}")"
	equal 'bridge host mine none' "$(docker network ls --format '{{.Name}}' | sort | xargs)"
	equal 'bridge host null' "$(docker network ls -f type=builtin --format '{{.Driver}}' | sort | xargs)"
	equal mine "$(docker network ls -f label=a=b --format '{{.Name}}')"
	equal mine "$(docker network ls -f name=in -f driver=bridge -f scope=local -f dangling=true --format '{{.Name}}')"
	equal "$id" "$(docker network ls --no-trunc -q -f "id=${id:4:10}")"
	equal '' "$(docker network ls -q -f label=a=c)"
	equal '{"a":"b","c":""} {} map[] false bridge local' \
		"$(docker network inspect -f '{{json .Labels}} {{json .Options}} {{.Containers}} {{.Internal}} {{.Driver}} {{.Scope}}' mine)"
	equal 172.17.0.1 "$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bridge)"
	equal '172.18.0.0/16 172.18.0.1' "$(docker network inspect -f '{{with index .IPAM.Config 0}}{{.Subnet}} {{.Gateway}}{{end}}' mine)"
	equal 409 "$(status POST /networks/create '{"Name":"mine"}')"
	contains "$(cat "$BATS_TEST_TMPDIR/answer")" 'network with name mine already exists'
	equal 403 "$(status POST /networks/create '{"Name":"bridge"}')"
	equal 403 "$(status POST /networks/create '{"Name":"x","Driver":"host"}')"
	equal 404 "$(status POST /networks/create '{"Name":"x","Driver":"overlay"}')"
	equal 404 "$(status GET /networks/nosuch)"
	contains "$(cat "$BATS_TEST_TMPDIR/answer")" 'network nosuch not found'
	equal 403 "$(status DELETE /networks/host)"
	local bad
	for bad in '{}' '{"Name":"a b"}' '{"Name":"x"' '{"Name":"x","IPAM":{"Config":[{"Subnet":"nonsense"}]}}' \
		'{"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.0/24","Gateway":"10.0.1.1"}]}}' '{"Name":"x","Labels":{"a":1}}' \
		'{"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.0/24","IPRange":"10.0.1.0/25"}]}}' \
		'{"Name":"x","Options":{"com.docker.network.bridge.name":"a/b"}}'; do
		equal 400 "$(status POST /networks/create "$bad")"
	done
	equal 501 "$(status POST /networks/create '{"Name":"x","EnableIPv6":true}')"
	equal 403 "$(status POST /networks/create '{"Name":"x","IPAM":{"Config":[{"Subnet":"172.18.4.0/24"}]}}')"
	contains "$(cat "$BATS_TEST_TMPDIR/answer")" 'Pool overlaps'
	equal 201 "$(status POST /networks/create '{"Name":"x","Options":{"odd":"1"}}')"
	contains "$(cat "$BATS_TEST_TMPDIR/answer")" 'the option odd is not known'
	docker network rm x mine >/dev/null
	equal '' "$(docker network ls -q -f type=custom)"
}

@test "containers find each other by name, alias and short id, and nobody else's" {
	local id a b
	docker network create one >/dev/null
	docker network create two >/dev/null
	idle web --network one --network-alias www --network-alias WWW2
	idle client --network one
	idle other --network two
	a=$(address web one)
	id=$(docker inspect -f '{{.Id}}' web)
	equal "$a" "$(resolved client web)"
	equal "$a" "$(resolved client WWW)"
	equal "$a" "$(resolved client www2)"
	equal "$a" "$(resolved client "${id:0:12}")"
	equal "$a" "$(resolved client web.one)"
	equal "$a" "$(resolved web web)"
	equal '' "$(resolved client web aaaa)"
	equal web.one "$(docker exec client nslookup "$a" 127.0.0.11 | awk '/name =/ {print $NF}')"
	equal web "$(docker exec client sh -c 'ping -c 1 -W 5 web' | sed -n 's/^PING \([^ ]*\).*/\1/p')"
	equal "[\"web\",\"www\",\"WWW2\",\"${id:0:12}\"]" "$(docker inspect -f '{{json .NetworkSettings.Networks.one.DNSNames}}' web)"
	equal '["www","WWW2"]' "$(docker inspect -f '{{json .NetworkSettings.Networks.one.Aliases}}' web)"
	contains "$(docker exec client cat /etc/resolv.conf)" 'nameserver 127.0.0.11'
	run ! docker exec other nslookup web 127.0.0.11
	# A rename counts at once; a container that has ended has no name.
	docker rename web site
	equal "$a" "$(resolved client site)"
	run ! docker exec client nslookup web 127.0.0.11
	docker stop -t 0 site >/dev/null
	run ! docker exec client nslookup www 127.0.0.11
	# The default bridge has no names.
	idle plain
	run ! docker exec plain nslookup plain 127.0.0.11
	run ! docker exec plain grep 127.0.0.11 /etc/resolv.conf
}

@test "an alias of several containers gives all of them, another one first each time; TCP, too" {
	local i
	docker network create one >/dev/null
	for i in 1 2 3; do
		idle "web$i" --network one --network-alias web
	done
	equal "$(for i in 1 2 3; do address "web$i" one; done | sort | xargs)" "$(resolved web1 web)"
	equal 3 "$(for i in 1 2 3; do docker exec web1 nslookup web 127.0.0.11 | awk '/^Name:/ {n = 1} n && /^Address/ {print $NF; exit}'; done | sort -u | wc -l)"
	docker run -d --name asks --network one bookworm:test sleep 1000 >/dev/null
	equal "3 answers by TCP" "$(docker exec asks perl -MIO::Socket -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.11:53", Timeout => 5) or die $!;
		my $q = pack("n6", 7, 0x100, 1, 0, 0, 0) . "\3web\0" . pack("n2", 1, 1);
		print $s pack("n", length $q), $q; $s->flush;
		read($s, my $n, 2) == 2 or die; read($s, my $a, unpack("n", $n));
		printf "%d answers by TCP\n", (unpack("n6", $a))[3]')"
	docker exec asks getent ahostsv4 web >/dev/null
}

@test "networks are apart: another one's containers, gateway and names do not answer; --internal leads nowhere" {
	local a gateway
	docker network create one >/dev/null
	docker network create two >/dev/null
	docker network create --internal closed >/dev/null
	docker run -d --name web --network one busybox:test busybox httpd -f -p 80 >/dev/null
	idle near --network one
	idle far --network two
	idle inside --network closed
	a=$(address web one)
	gateway=$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' one)
	contains "$(docker exec near sh -c "printf 'GET / HTTP/1.0\r\n\r\n' | timeout 5 nc $a 80")" '404'
	equal 0 "$(docker exec near ping -c 1 -W 5 "$gateway" >/dev/null; echo $?)"
	run ! docker exec far timeout 1 nc "$a" 80
	run ! docker exec far ping -c 1 -W 1 "$gateway"
	run ! docker exec far ping -c 1 -W 1 "$a"
	idle plain
	run ! docker exec plain ping -c 1 -W 1 "$a"
	run ! docker exec inside sh -c 'ip route | grep default'
	run ! docker exec inside ping -c 1 -W 1 172.17.0.1
	equal 'true' "$(docker network inspect -f '{{.Internal}}' closed)"
	equal SERVFAIL "$(resolved inside example.test)"
	docker network create -o com.docker.network.bridge.enable_icc=false apart >/dev/null
	idle left --network apart
	idle right --network apart
	run ! docker exec left ping -c 1 -W 1 "$(address right apart)"
}
