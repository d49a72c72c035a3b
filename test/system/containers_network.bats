#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The network of containers: modes, names, published ports.
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
}

@test "--network container:X: one network, one hostname, the same files; it stays when X has ended" {
	local address
	docker run -d --name first -h first busybox:test nc -ll -p 8000 -e echo served >/dev/null
	docker run -d --name second --network container:first busybox:test sleep 1000 >/dev/null
	address=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' first)
	equal "$(docker exec first readlink /proc/self/ns/net)" "$(docker exec second readlink /proc/self/ns/net)"
	until_true 60 listens first 8000
	equal served "$(docker exec second timeout 60 nc 127.0.0.1 8000 </dev/null)"
	equal first "$(docker exec second hostname)"
	equal "$address first" "$(docker exec second sh -c 'awk "/first/ {print \$1, \$2}" /etc/hosts')"
	equal "container:$(docker inspect -f '{{.Id}}' first)" "$(docker inspect -f '{{.HostConfig.NetworkMode}}' second)"
	equal '{}' "$(docker inspect -f '{{json .NetworkSettings.Networks}}' second)"
	docker rm -f first >/dev/null
	contains "$(docker exec second ip -4 addr show eth0)" "$address/16"
	# Its address is not another one's.
	docker run -d --name third busybox:test sleep 1000 >/dev/null
	[ "$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' third)" != "$address" ]
	docker rm -f second third >/dev/null
}

@test "--network container:X refuses what is X's, and an X that is not there or does not run" {
	local option
	docker create --name still busybox:test true >/dev/null
	for option in '-h name' '--dns 1.1.1.1' '--add-host a:1.2.3.4' '-p 8080:80' '--expose 80'; do
		# shellcheck disable=SC2086
		exits 1 docker create --network container:still $option busybox:test true
		contains "$stderr" conflicting
	done
	exits 1 docker create --network container:nosuch busybox:test true
	contains "$stderr" 'No such container: nosuch'
	exits 125 docker run --rm --network container:still busybox:test true
	contains "$stderr" 'non running container'
	exits 125 docker run --name later --network nosuch busybox:test true
	contains "$stderr" 'network nosuch not found'
	equal 404 "$(api POST /v1.51/containers/later/start -o /dev/null -w '%{http_code}')"
	docker network create nosuch >/dev/null
	equal 0 "$(docker start later >/dev/null && docker wait later)"
	docker rm still later >/dev/null
	docker network rm nosuch >/dev/null
	equal '' "$(docker ps -aq)"
}

@test "--dns, --dns-search, --dns-option and --add-host; else the machine's" {
	equal $'nameserver 192.0.2.1\noptions ndots:3\nsearch a.test b.test' \
		"$(docker run --rm --dns 192.0.2.1 --dns-search a.test --dns-search b.test --dns-option ndots:3 busybox:test cat /etc/resolv.conf | sort)"
	contains "$(docker run --rm --add-host web.test:192.0.2.7 --add-host six.test:2001:db8::1 busybox:test cat /etc/hosts)" $'192.0.2.7\tweb.test\n2001:db8::1\tsix.test'
	equal "$(holm machine run -n box cat /etc/hosts)" "$(docker run --rm --network host busybox:test cat /etc/hosts)"
	equal "$(holm machine run -n box grep -v "^#" /etc/resolv.conf)" "$(docker run --rm --network host busybox:test cat /etc/resolv.conf)"
	equal "$(holm machine run -n box hostname)" "$(docker run --rm --network host busybox:test hostname)"
	contains "$(docker run --rm -h web.example.test busybox:test cat /etc/hosts)" $'\tweb.example.test web'
	local host
	for host in '{"Dns":["nonsense"]}' '{"ExtraHosts":["nonsense"]}' '{"DnsSearch":["a b"]}' '{"Dns":{}}'; do
		equal 400 "$(api POST /containers/create -H 'Content-Type: application/json' -d "{\"Image\":\"busybox:test\",\"Cmd\":[\"true\"],\"HostConfig\":$host}" -o /dev/null -w '%{http_code}')"
	done
	# The host's address of its default route; without one host-gateway is an error.
	host=$(ip -4 route get 203.0.113.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p')
	if [ -n "$host" ]; then
		equal "$host h $host host.docker.internal" "$(docker run --rm --add-host h:host-gateway busybox:test sed -n "s/^\($host\)\t\(h\|host.docker.internal\)\b.*/\1 \2/p" /etc/hosts | xargs)"
	else
		exits 125 docker run --rm --add-host h:host-gateway busybox:test true
		contains "$stderr" 'host-access'
	fi
}

# serve NAME [docker option]...: a web server whose page is NAME.
serve()
{
	local name=$1
	shift
	docker run -d --name "$name" "$@" busybox:test sh -c "mkdir -p /www && echo $name >/www/index.html && exec busybox httpd -f -p 80 -h /www" >/dev/null
	answers "$name" docker exec "$name" wget -qO - http://127.0.0.1/
}

# page URL: the page, or nothing.
page()
{
	command timeout 60 curl -sS --max-time 50 "$1" 2>/dev/null
}

# answers TEXT COMMAND...: waits until the command prints it.
answers()
{
	local wanted=$1 end=$((SECONDS + 60))
	shift
	until [ "$("$@" 2>/dev/null)" = "$wanted" ]; do
		[ $SECONDS -lt $end ] || { echo "never answered $wanted: $*" >&2; return 1; }
	done
}

# closed PORT: waits until nobody has it on the host.
closed()
{
	until_true 60 is_closed "$1"
}

@test "-p HOST:INSIDE: both loopback addresses and no other; ps, port and inspect say so; closed at the end" {
	local port address
	port=$(free_port)
	serve web -p "$port:80"
	equal web "$(page "http://127.0.0.1:$port/")"
	equal web "$(page "http://[::1]:$port/")"
	equal "127.0.0.1:$port [::1]:$port" "$(ss -Hltn "sport = :$port" | awk '{print $4}' | sort | xargs)"
	equal "127.0.0.1:$port ::1:$port" "$(docker port web 80/tcp | tr -d '[]' | xargs)"
	contains "$(docker ps --format '{{.Ports}}')" "127.0.0.1:$port->80/tcp"
	equal "[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"$port\"},{\"HostIp\":\"::1\",\"HostPort\":\"$port\"}]" "$(docker inspect -f '{{json (index .NetworkSettings.Ports "80/tcp")}}' web)"
	docker restart -t 0 web >/dev/null
	answers web page "http://127.0.0.1:$port/"
	docker kill web >/dev/null
	closed "$port"
	equal '{}' "$(docker inspect -f '{{json .NetworkSettings.Ports}}' web)"
	docker start web >/dev/null
	answers web page "http://127.0.0.1:$port/"
	docker exec web sh -c 'kill 1; kill -9 -1' || true # it ends by itself
	equal 137 "$(docker kill web >/dev/null 2>&1; docker wait web)"
	closed "$port"
}

@test "-p: address, range, any port, UDP; -P" {
	local port first last udp
	first=$(free_port)
	last=$((first + 9))
	docker run -d --name many -p 127.0.0.1::80 -p "127.0.0.2:$first-$last:81" -p 7000-7002/udp --expose 90 --expose 91/udp -P bookworm:test perl -MSocket -e 'my ($x, $from);
if (!fork) { socket(my $s, AF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1); bind($s, sockaddr_in(80, INADDR_ANY)) && listen($s, 5) or die;
  while (accept(my $c, $s)) { send($c, "HTTP/1.0 404 No\r\n\r\n", 0); shutdown($c, 1); 1 while sysread($c, my $x, 999) } }
socket(my $s, AF_INET, SOCK_DGRAM, 0); bind($s, sockaddr_in(7001, INADDR_ANY)) or die;
send($s, $x, 0, $from) while $from = recv($s, $x, 999, 0)' >/dev/null
	port=$(docker inspect -f '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}' many)
	[ "$port" -gt 0 ]
	equal 1 "$(docker port many 80/tcp | wc -l)"
	answers 404 curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/"
	port=$(docker port many 81/tcp)
	[ "${port#127.0.0.2:}" -ge "$first" ] && [ "${port#127.0.0.2:}" -le "$last" ]
	for port in 90/tcp 91/udp 7000/udp 7001/udp 7002/udp; do
		equal 2 "$(docker port many "$port" | wc -l)"
	done
	udp=$(docker port many 7001/udp | head -n 1)
	equal ping "$(python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
s.connect(("127.0.0.1", int(sys.argv[1])))
for attempt in range(120):
    s.send(b"ping")
    try:
        print(s.recv(100).decode())
        break
    except OSError:
        pass' "${udp##*:}")"
	docker rm -f many >/dev/null
	closed "${udp##*:}"
}

@test "a taken port is an error before anything starts, and takes no other one" {
	local port other id
	port=$(free_port)
	other=$(free_port)
	serve web -p "127.0.0.1:$port:80"
	exits 125 docker run --name late -p "127.0.0.1:$other:81" -p "127.0.0.1:$port:80" busybox:test touch /started
	contains "$stderr" 'port is already allocated'
	contains "$stderr" "in use by container $(docker inspect -f '{{.Id}}' web | cut -c -12)"
	equal created "$(docker inspect -f '{{.State.Status}}' late)"
	closed "$other"
	equal 500 "$(api POST /containers/late/start -o /dev/null -w '%{http_code}')"
	# A port of the machine itself.
	exits 125 holm machine port add -n box "127.0.0.1:$port:8000"
	contains "$stderr" "port $port on 127.0.0.1 is in use"
	holm machine port add -n box "127.0.0.1:$other:8000"
	docker rm -f web >/dev/null
	closed "$port"
	exits 1 docker start late
	contains "$stderr" "machine \"box\""
	holm machine port rm -n box "$other"
	docker start late >/dev/null
	equal 0 "$(docker wait late)"
	closed "$other"
	docker rm late >/dev/null
	# Nobody outside: another program.
	python3 -c 'import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("up", flush=True); sys.stdin.read()' "$port" < <(exec sleep 600 3>&-) >"$TMPDIR/up" 3>&- &
	other=$!
	answers up cat "$TMPDIR/up"
	exits 125 docker run --rm -p "$port:80" busybox:test true
	contains "$stderr" 'another program'
	kill "$other"
	rm "$TMPDIR/up"
	equal '' "$(docker ps -aq)"
	for id in 'x:80' '70000:80' '80:80/sctp' '8000-8002:80-81'; do
		exits 125 docker run --rm -p "$id" busybox:test true
	done
	equal 400 "$(api POST /containers/create -H 'Content-Type: application/json' -d '{"Image":"busybox:test","Cmd":["true"],"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"nowhere"}]}}}' -o /dev/null -w '%{http_code}')"
}

@test "ports and networks: none, host and another container's publish nothing" {
	local port
	port=$(free_port)
	contains "$(docker create --name none --network none -p "$port:80" busybox:test true 2>&1)" 'discarded when using no network'
	contains "$(docker create --name host --network host -p "$port:80" busybox:test sleep 1000 2>&1)" 'discarded when using host network'
	docker start host >/dev/null
	equal '{}' "$(docker inspect -f '{{json .NetworkSettings.Ports}}' host)"
	closed "$port"
	docker rm -f none host >/dev/null
}

@test "two thousand requests, a hundred at once, come through a published port" {
	# An emulated server cannot take a hundred connections within a dial's ten seconds.
	requires native python3
	local port
	port=$(free_port)
	serve web -p "$port:80"
	equal 2000 "$(python3 -c '
import concurrent.futures, http.client, sys
def some(_):
    good = 0
    for i in range(20):
        c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
        c.request("GET", "/")
        good += c.getresponse().read() == b"web\n"
        c.close()
    return good
with concurrent.futures.ThreadPoolExecutor(100) as pool:
    print(sum(pool.map(some, range(100))))' "$port")"
}

@test "publish-address of the configuration; one that is no address is an error" {
	local port
	port=$(free_port)
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[container]\npublish-address = 127.0.0.3, ::1\n' >"$XDG_CONFIG_HOME/holm/config"
	docker run -d --name web -p "$port:80" busybox:test sleep 1000 >/dev/null
	equal "127.0.0.3:$port [::1]:$port" "$(ss -Hltn "sport = :$port" | awk '{print $4}' | sort | xargs)"
	docker rm -f web >/dev/null
	closed "$port"
	printf '[container]\npublish-address = everywhere\n' >"$XDG_CONFIG_HOME/holm/config"
	exits 125 docker run --rm -p "$port:80" busybox:test true
	contains "$stderr" 'publish-address "everywhere"'
	rm "$XDG_CONFIG_HOME/holm/config"
}

@test "-p with an address: [::1], another one of the loopback; host_binding_ipv4 of a network" {
	local port other third
	port=$(free_port) other=$(free_port) third=$(free_port)
	serve web -p "[::1]:$port:80" -p "127.0.0.5:$port:80" -p "0.0.0.0:$other:80"
	equal "0.0.0.0:$other 127.0.0.5:$port [::1]:$port" "$(ss -Hltn "sport = :$port or sport = :$other" | awk '{print $4}' | sort | xargs)"
	equal web "$(page "http://[::1]:$port/")"
	equal web "$(page "http://127.0.0.5:$port/")"
	equal "::1 127.0.0.5 0.0.0.0" "$(docker inspect -f '{{range index .NetworkSettings.Ports "80/tcp"}}{{.HostIp}} {{end}}' web | tr ' ' '\n' | sort -r | xargs)"
	docker rm -f web >/dev/null
	docker network create -o com.docker.network.bridge.host_binding_ipv4=127.0.0.6 bound >/dev/null
	serve web --network bound -p "$third:80" -p 80
	equal "127.0.0.6:$third" "$(ss -Hltn "sport = :$third" | awk '{print $4}' | xargs)"
	equal web "$(page "http://127.0.0.6:$third/")"
	equal 127.0.0.6 "$(docker inspect -f '{{range index .NetworkSettings.Ports "80/tcp"}}{{.HostIp}} {{end}}' web | tr ' ' '\n' | sort -u | xargs)"
	docker rm -f web >/dev/null
	docker network rm bound >/dev/null
	exits 1 docker network create -o com.docker.network.bridge.host_binding_ipv4=::1 bound
	contains "$stderr" 'invalid value for com.docker.network.bridge.host_binding_ipv4: "::1"'
}

# strike PID: kills the engine, as root of the machine, whose process it is.
strike()
{
	nsenter --user --target "$1" --setuid 0 --setgid 0 kill -9 "$1"
}

@test "a port is open as long as its container runs, also when the engine is killed" {
	# The engine of a virtual machine is no process of the host.
	requires native
	local port engine
	port=$(free_port)
	serve web -p "$port:80"
	engine=$(engine_of box)
	strike "$engine"
	equal true "$(docker inspect -f '{{.State.Running}}' web)"
	answers web page "http://127.0.0.1:$port/"
	contains "$(docker port web)" ":$port"
	docker rm -f web >/dev/null
	closed "$port"
}

@test "root in the machine gets no port of the host that no user asked for" {
	local port id
	port=$(free_port)
	id=$(docker create --name web -p "$port:80" busybox:test true)
	holm machine stop box
	holm machine start box
	holm machine run -n box --root sed -i "s/\"HostPort\":\"$port\"/\"HostPort\":\"8\"/" "/var/lib/holm/containers/$id"
	holm machine stop box
	holm machine start box
	exits 1 docker start web
	contains "$stderr" 'no container of this machine was created with port "8:1"'
}
