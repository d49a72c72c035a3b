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
	for bad in '{}' '{"Name":" a"}' '{"Name":"a/b"}' '{"Name":"x"' '{"Name":"x","IPAM":{"Config":[{"Subnet":"nonsense"}]}}' \
		'{"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.0/24","Gateway":"10.0.1.1"}]}}' '{"Name":"x","Labels":{"a":1}}' \
		'{"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.0/24","IPRange":"10.0.1.0/25"}]}}' \
		'{"Name":"x","Options":{"com.docker.network.bridge.name":"a/b"}}'; do
		equal 400 "$(status POST /networks/create "$bad")"
	done
	equal 501 "$(status POST /networks/create '{"Name":"x","EnableIPv4":false}')"
	equal 403 "$(status POST /networks/create '{"Name":"x","IPAM":{"Config":[{"Subnet":"172.18.4.0/24"}]}}')"
	contains "$(cat "$BATS_TEST_TMPDIR/answer")" 'Pool overlaps'
	equal 201 "$(status POST /networks/create '{"Name":"x","Options":{"odd":"1"}}')"
	contains "$(cat "$BATS_TEST_TMPDIR/answer")" 'the option odd is not known'
	docker network rm x mine >/dev/null
	equal '' "$(docker network ls -q -f type=custom)"
}

@test "containers find each other by name, alias and short id, and nobody else's" {
	local id a
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
	until_true 60 docker exec near sh -c "printf 'GET / HTTP/1.0\r\n\r\n' | timeout 5 nc $a 80 | grep -q 404"
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

# links: the interfaces of the machine's side. The kernel removes those of a container that has
# ended in a thread of its own, after the end was reported.
links()
{
	holm machine run -n box ls /sys/class/net | tr -d '\r' | sort | xargs
}

links_are()
{
	equal "$1" "$(links)" 2>/dev/null
}

has_no_veth()
{
	[[ "$(links)" != *veth* ]]
}

@test "several networks, fixed addresses, a MAC address and links at the creation" {
	docker network create --subnet 10.213.1.0/24 --gateway 10.213.1.254 --ip-range 10.213.1.64/26 --aux-address x=10.213.1.64 one >/dev/null
	docker network create two >/dev/null
	idle web --network one --ip 10.213.1.9 --mac-address 02:42:0a:00:00:09
	idle any --network one
	equal '10.213.1.9 02:42:0a:00:00:09 10.213.1.254' "$(docker inspect -f '{{with .NetworkSettings.Networks.one}}{{.IPAddress}} {{.MacAddress}} {{.Gateway}}{{end}}' web)"
	contains "$(docker exec web ip link show eth0)" '02:42:0a:00:00:09'
	equal 10.213.1.65 "$(address any one)"
	equal 'any web' "$(docker network inspect -f '{{range .Containers}}{{.Name}} {{end}}' one | xargs -n 1 | sort | xargs)"
	exits 125 docker run --rm --network one --ip 10.213.1.9 busybox:test true
	contains "$stderr" 'Address already in use'
	exits 125 docker run --rm --network one --ip 10.213.2.9 busybox:test true
	exits 125 docker run --rm --network two --ip 172.18.0.9 busybox:test true
	contains "$stderr" 'user configured subnets'
	equal 400 "$(status POST /containers/create '{"Image":"busybox:test","Cmd":["true"],"NetworkingConfig":{"EndpointsConfig":{"bridge":{"Aliases":["x"]}}}}')"
	contains "$(cat "$BATS_TEST_TMPDIR/answer")" 'only supported for user-defined networks'
	# Both at once, as clients of API 1.44 do.
	equal 201 "$(status POST '/containers/create?name=both' '{"Image":"busybox:test","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"one","Links":["web:linked"]},"NetworkingConfig":{"EndpointsConfig":{"two":{"Aliases":["double"]},"one":{}}}}')"
	docker start both >/dev/null
	equal 'eth0 eth1' "$(docker exec both sh -c 'ls /sys/class/net' | grep eth | xargs)"
	contains "$(docker exec both ip route)" 'default via 10.213.1.254 dev eth0'
	equal 10.213.1.9 "$(resolved both linked)"
	run ! docker exec any nslookup linked 127.0.0.11
	equal "$(address both two)" "$(resolved both double)"
	equal 2 "$(docker exec both sh -c 'grep -c "$(hostname)" /etc/hosts')"
	# --link on the default bridge is a line of /etc/hosts.
	idle base
	idle linked --link base:db
	contains "$(docker exec linked cat /etc/hosts)" "$(address base bridge)	db"
}

@test "a fixed address is its container's again, also while another one shares the network of before" {
	docker network create --subnet 10.213.2.0/24 fixed >/dev/null
	idle owner --network fixed --ip 10.213.2.9
	idle sharer --network container:owner
	contains "$(docker exec sharer ip -4 addr show eth0)" 10.213.2.9/24
	# As with Docker the sharer stays behind in the old namespace, without the interface.
	docker restart -t 0 owner >/dev/null
	contains "$(docker exec owner ip -4 addr show eth0)" 10.213.2.9/24
	run ! docker exec sharer ip addr show eth0
	docker rm -f owner >/dev/null
	idle owner --network fixed --ip 10.213.2.9
	idle sharer2 --network container:owner
	exits 125 docker run --rm --network fixed --ip 10.213.2.9 busybox:test true
	docker rm -f owner >/dev/null
	kill -KILL "$(engine_of box)" # the next engine has the note of it
	until_true 60 docker inspect sharer2 >/dev/null
	equal 10.213.2.9 "$(docker run --rm --network fixed --ip 10.213.2.9 busybox:test sh -c "hostname -i")"
	docker rm -f sharer sharer2 >/dev/null
	docker network rm fixed >/dev/null
}

@test "connect and disconnect a running container: interface, names, route, events; a stopped one" {
	docker network create one >/dev/null
	docker network create two >/dev/null
	idle web
	idle client --network two
	docker network connect --alias late two web
	equal "$(address web two)" "$(resolved client late)"
	equal "$(address client two)" "$(resolved web client)"
	contains "$(docker exec web cat /etc/resolv.conf)" 127.0.0.11
	contains "$(docker exec web ip addr show eth1)" "$(address web two)/16"
	contains "$(docker exec web ip route)" 'default via 172.17.0.1'
	equal 403 "$(status POST /networks/two/connect '{"Container":"web"}')"
	docker network disconnect bridge web
	contains "$(docker exec web ip route)" "default via $(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' two)"
	run ! docker exec web ip addr show eth0
	equal two "$(docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' web)"
	exits 1 docker network rm two
	contains "$stderr" 'has active endpoints'
	docker network disconnect two web
	equal lo "$(docker exec web ls /sys/class/net | xargs)"
	docker create --name still --network one busybox:test sleep 1000 >/dev/null
	docker network connect two still
	equal 'one two' "$(docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}' still | xargs)"
	docker start still >/dev/null
	equal "$(address still two)" "$(resolved client still)"
	equal 'connect connect disconnect disconnect' "$(docker events --since 5m --until "$(date +%s.%N)" -f type=network --format '{{.Actor.Attributes.container}} {{.Action}}' | sed -n "s/^$(docker inspect -f '{{.Id}}' web) //p" | tail -n 4 | sort | xargs)"
	equal 404 "$(status POST /networks/nosuch/connect '{"Container":"web"}')"
	equal 404 "$(status POST /networks/two/connect '{"Container":"nosuch"}')"
	equal 400 "$(status POST /networks/two/connect '{"Container":"web","EndpointConfig":{"IPAMConfig":{"IPv4Address":"x"}}}')"
	# A removed network keeps a stopped container from its start.
	docker rm -f still client >/dev/null
	docker create --name lost --network two busybox:test true >/dev/null
	docker network rm two >/dev/null
	exits 1 docker start lost
	contains "$stderr" 'network two not found'
}

# strike PID: kills the engine, as root of the machine, whose process it is.
strike()
{
	nsenter --user --target "$1" --setuid 0 --setgid 0 kill -9 "$1"
}

# engine_of MACHINE: its process on the host.
engine_of()
{
	local keeper pid
	keeper=$(keeper_of "$1")
	for pid in $(pgrep -f -- '/proc/self/exe --engine'); do
		! descends "$pid" "$keeper" || echo "$pid"
	done | head -n 1
}

@test "a killed engine and a stopped machine forget no network; removed ones leave nothing" {
	local before a i
	docker run --rm busybox:test true
	until_true 60 has_no_veth
	before=$(links)
	docker network create --label keep=1 one >/dev/null
	idle web --network one
	idle client --network one
	docker network create two >/dev/null
	docker network connect two web
	a=$(address web one)
	strike "$(engine_of box)"
	equal "$a" "$(address web one)"
	equal "$a" "$(resolved client web)"
	contains "$(docker exec web ip addr show eth1)" "$(address web two)/16"
	[ "$(docker run --rm --network one busybox:test hostname -i)" != "$a" ]
	holm machine stop box
	holm machine start box
	equal one "$(docker network ls -f label=keep --format '{{.Name}}')"
	docker start web client >/dev/null
	equal "$(address web one)" "$(resolved client web)"
	equal "$(address web two)" "$(docker exec web ip -4 addr show eth1 | awk '/inet/ {sub("/.*", "", $2); print $2}')"
	docker rm -f web client >/dev/null
	for i in $(seq 60); do
		[ "$(status POST /networks/create "{\"Name\":\"many$i\"}")" = 201 ]
	done
	docker run --rm --network many60 busybox:test true
	equal 62 "$(docker network prune -f | grep -c -e '^many' -e '^one$' -e '^two$')"
	until_true 60 links_are "$before"
}

@test "holm network: create, ls, inspect, connect, disconnect, rm, prune; --network of run" {
	local id
	id=$(holm network create --label a=b --subnet 10.213.9.0/24 mine)
	equal "$(docker network ls | tr -s ' ' | sed 's/ $//')" "$(holm network ls | tr -s ' ')"
	equal "$id" "$(holm network ls --no-trunc -q -f name=mine)"
	equal 'mine bridge local b false' "$(holm network ls -f label=a --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Label "a"}} {{.Internal}}')"
	equal "$(docker network inspect mine | jq -cS .)" "$(holm network inspect mine | jq -cS .)"
	equal 10.213.9.9 "$(holm run --rm --network name=mine,ip=10.213.9.9,alias=x busybox:test hostname -i)"
	holm run -d --name web --network mine --ip 10.213.9.7 --network-alias www --mac-address 02:42:0a:00:00:07 busybox:test sleep 1000 >/dev/null
	equal '10.213.9.7 02:42:0a:00:00:07 ["www"]' "$(docker inspect -f '{{with .NetworkSettings.Networks.mine}}{{.IPAddress}} {{.MacAddress}} {{json .Aliases}}{{end}}' web)"
	holm network create other >/dev/null
	holm network connect --alias second other web
	equal '["second"]' "$(docker inspect -f '{{json .NetworkSettings.Networks.other.Aliases}}' web)"
	holm network disconnect other web
	equal 10.213.9.7 "$(holm run --rm --network mine --link web:linked busybox:test nslookup -type=a linked 127.0.0.11 | awk '/^Name:/ {n = 1} n && /^Address/ {print $NF}')"
	exits 1 holm network rm mine nothing
	contains "$stderr" 'network "mine"'
	contains "$stderr" 'network "nothing"'
	holm network rm -f nothing
	exits 125 holm run --rm --network name=mine,odd=1 busybox:test true
	contains "$stderr" 'no key "odd"'
	equal $'Deleted Networks:\nother' "$(holm network prune -f)"
	holm rm -f web >/dev/null
	equal mine "$(holm network rm mine)"
}

# six CONTAINER NETWORK: its IPv6 address there.
six()
{
	docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").GlobalIPv6Address}}" "$1"
}

@test "IPv6: subnets, fixed addresses, names, gateways, isolation, connect and a killed engine" {
	docker network create --ipv6 --subnet 10.213.1.0/24 --subnet fd00:213:1::/64 --ip-range fd00:213:1:0:7::/80 six >/dev/null
	docker network create --ipv6 other >/dev/null
	docker network create --ipv6=false --subnet 10.213.2.0/24 four >/dev/null
	holm network create --ipv6 --subnet fd00:213:3::5/64 --gateway fd00:213:3::9 --aux-address x=fd00:213:3::2 mine >/dev/null
	equal 'true 10.213.1.0/24 10.213.1.1 fd00:213:1::/64 fd00:213:1::1 ' \
		"$(docker network inspect -f '{{.EnableIPv6}} {{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} {{end}}' six)"
	contains "$(docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} {{end}}' mine)" 'fd00:213:3::/64 fd00:213:3::9'
	contains "$(docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{end}}' other)" ' fd'
	equal 'false 1' "$(docker network inspect -f '{{.EnableIPv6}} {{len .IPAM.Config}}' four)"
	equal 'false mine true other true six true' "$(holm network ls -f type=custom --format '{{.Name}} {{.IPv6}}' | sort | xargs | sed 's/four //')"
	exits 1 docker network create --ipv6 --subnet fd00:213:1:0:9::/80 overlapping
	contains "$stderr" 'Pool overlaps'
	idle web --network six --ip6 fd00:213:1::99
	idle client --network six
	idle far --network other
	idle holms --network mine
	equal fd00:213:1::99 "$(six web six)"
	equal 'fd00:213:1:0:7::3 fd00:213:1::1 64' \
		"$(docker inspect -f '{{with .NetworkSettings.Networks.six}}{{.GlobalIPv6Address}} {{.IPv6Gateway}} {{.GlobalIPv6PrefixLen}}{{end}}' client)"
	contains "$(docker network inspect -f '{{range .Containers}}{{.IPv6Address}} {{end}}' six)" 'fd00:213:1::99/64'
	run ! [ "$(six holms mine)" = fd00:213:3::2 ]
	equal fd00:213:1::99 "$(resolved client web aaaa)"
	equal web.six "$(docker exec client nslookup fd00:213:1::99 127.0.0.11 | awk '/name =/ {print $NF}')"
	docker exec client ping -6 -c 1 -W 5 web
	docker exec client ping -6 -c 1 -W 5 fd00:213:1::1
	docker exec client grep "^fd00:213:1:0:7::3" /etc/hosts
	run ! docker exec far ping -6 -c 1 -W 1 fd00:213:1::99
	exits 125 docker run --rm --network six --ip6 fd00:213:1::99 busybox:test true
	contains "$stderr" 'Address already in use: fd00:213:1::99'
	exits 125 docker run --rm --network six --ip6 fd00:9::9 busybox:test true
	contains "$stderr" 'fd00:9::9'
	docker network create --ipv6=false --subnet fd00:213:5::1/64 --ip-range fd00:213:5::/96 'left out' >/dev/null
	equal fd00:213:5::7 "$(docker inspect -f '{{(index .NetworkSettings.Networks "left out").IPAMConfig.IPv6Address}}' \
		"$(docker create --rm --network 'left out' --ip6 fd00:213:5::7 busybox:test true)")"
	docker rm "$(docker ps -lq)" >/dev/null
	docker network rm 'left out' >/dev/null
	docker network connect --ip6 fd00:213:1::77 six far
	docker exec far ping -6 -c 1 -W 5 fd00:213:1::99
	equal fd00:213:1::77 "$(resolved web far aaaa)"
	kill -9 "$(engine_of box)"
	until_true 60 docker exec web true
	equal fd00:213:1::77 "$(resolved web far aaaa)"
	equal fd00:213:1::77 "$(six far six)"
	docker network disconnect six far
	docker exec client ping -6 -c 1 -W 5 web
}

# post_networks BODY...: POST /networks/create of each, by one connection; prints the statuses.
post_networks()
{
	local body
	for body; do
		printf 'next\nurl = "http://docker/networks/create"\nheader = "Content-Type: application/json"\ndata = "%s"\nunix-socket = "%s"\noutput = "%s"\nwrite-out = "%%{http_code}\\n"\n' \
			"${body//\"/\\\"}" "$SOCKET" "$BATS_TEST_TMPDIR/answer"
	done >"$BATS_TEST_TMPDIR/requests"
	command timeout 60 curl -sS -K "$BATS_TEST_TMPDIR/requests"
}

@test "three hundred networks, a container on 32 of them, and no subnet left" {
	local n bodies=() more=() engine
	for n in $(seq 300); do
		bodies+=("{\"Name\":\"n$n\",\"EnableIPv6\":$([ $((n % 10)) = 0 ] && echo true || echo false)}")
		[ "$n" = 1 ] || [ "$n" -gt 32 ] || more+=(--network "name=n$n")
	done
	equal "300 201" "$(post_networks "${bodies[@]}" | uniq -c | xargs)"
	holm run -d --name many --network n1 "${more[@]}" busybox:test sleep 1000 >/dev/null
	idle beside --network n32
	idle other --network n200
	equal 32 "$(docker exec many sh -c 'ls -d /sys/class/net/eth*' | wc -l)"
	docker exec many ping -c 1 -W 5 beside
	engine=$(engine_of box)
	kill -9 "$engine"
	until_true 60 docker exec many true
	equal 303 "$(docker network ls -q | wc -l)"
	docker exec many ping -c 1 -W 5 beside
	run ! docker exec other ping -c 1 -W 1 "$(address beside n32)"
	docker rm -f many beside other >/dev/null
	equal 300 "$(docker network prune -f | grep -c '^n')"
	bodies=('{"Name":"a","IPAM":{"Config":[{"Subnet":"192.168.0.0/16"}]}}' '{"Name":"b","IPAM":{"Config":[{"Subnet":"10.224.0.0/12"}]}}')
	for n in $(seq 18 31); do
		bodies+=("{\"Name\":\"c$n\",\"IPAM\":{\"Config\":[{\"Subnet\":\"172.$n.0.0/16\"}]}}")
	done
	equal "16 201" "$(post_networks "${bodies[@]}" | uniq -c | xargs)"
	exits 1 docker network create last
	contains "$stderr" 'could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network'
}

@test "a container that floods its resolver keeps nobody from an answer" {
	requires cc
	local engine before
	cat >"$TMPDIR/flood.c" <<-'END'
		#include <arpa/inet.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <sys/socket.h>
		int main(int argc, char **argv) /* COUNT: queries, every other one of a name that somebody else has to know */
		{
			struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = inet_addr("127.0.0.11") };
			int s = socket(AF_INET, SOCK_DGRAM, 0);
			for (int i = 0; i < atoi(argv[1]); i++) {
				char q[64] = "xx\1\0\0\1\0\0\0\0\0\0\7";
				snprintf(q + 13, sizeof q - 13, "%s%05d", i % 2 ? "no" : "we", i % 100000);
				memcpy(q + 20, "\4test\0\0\1\0\1", 10);
				sendto(s, q, 30, 0, (void *)&to, sizeof to);
			}
			return !puts("flooded");
		}
	END
	cc -static -o "$HOME/flood" "$TMPDIR/flood.c"
	docker network create one >/dev/null
	idle web --network one
	idle client --network one
	engine=$(engine_of box)
	before=$(awk '/^VmRSS/ { print $2 }' "/proc/$engine/status")
	docker run -d --name flood --network one --dns 127.0.0.1 -v "$HOME/flood:/flood:ro" busybox:test sh -c 'for i in 1 2; do /flood 100000; done; sleep 1000' >/dev/null
	until_true 60 has_said flood
	for _ in 1 2 3; do
		equal "$(address web one)" "$(resolved client web)"
	done
	until_true 60 has_logs flood $'flooded\nflooded'
	equal "$engine" "$(engine_of box)"
	[ $(($(awk '/^VmRSS/ { print $2 }' "/proc/$engine/status") - before)) -lt 16384 ]
	rm "$HOME/flood" "$TMPDIR/flood.c"
}

@test "a name server that lies is not believed: other ids, other names, loops, torn messages" {
	requires cc
	cat >"$TMPDIR/liar.c" <<-'END'
		#include <arpa/inet.h>
		#include <stdio.h>
		#include <string.h>
		#include <sys/socket.h>
		static int s;
		static struct sockaddr_in from;
		static void say(const unsigned char *q, int size, int at, int value)
		{
			unsigned char a[600];
			memcpy(a, q, size);
			a[2] |= 0x80;
			a[7] = 1;
			memcpy(a + size, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2", 15);
			a[size + 15] = at < 0 ? 77 : 66;
			if (at >= 0)
				a[at] ^= value;
			sendto(s, a, size + 16, 0, (void *)&from, sizeof from);
		}
		int main(void)
		{
			struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(53) };
			unsigned char q[512];
			s = socket(AF_INET, SOCK_DGRAM, 0);
			bind(s, (void *)&here, sizeof here);
			for (puts("ready"), fflush(stdout);;) {
				socklen_t length = sizeof from;
				int size = recvfrom(s, q, sizeof q, 0, (void *)&from, &length);
				sendto(s, q, 0, 0, (void *)&from, sizeof from);
				sendto(s, q, 5, 0, (void *)&from, sizeof from);
				sendto(s, q, size, 0, (void *)&from, sizeof from); /* the query itself */
				say(q, size, 1, 1);            /* another id */
				say(q, size, 13, 1);           /* another name */
				say(q, size, 12, q[12] ^ 0xc0); /* a name that points to itself */
				say(q, size, 5, 3);            /* two questions */
				say(q, size, -1, 0);
			}
		}
	END
	cc -static -o "$HOME/liar" "$TMPDIR/liar.c"
	docker network create --subnet 10.213.4.0/24 one >/dev/null
	docker run -d --name liar --network one --ip 10.213.4.53 -v "$HOME/liar:/liar:ro" busybox:test /liar >/dev/null
	until_true 60 has_logs liar ready
	idle client --network one --dns 10.213.4.53
	equal 192.0.2.77 "$(resolved client www.example)"
	equal 192.0.2.77 "$(resolved client mail.example)"
	rm "$HOME/liar" "$TMPDIR/liar.c"
}
