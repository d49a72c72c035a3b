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

@test "--network container:X: one network, one hostname, the same files; it stays when X has ended" {
	local address
	docker run -d --name first -h first busybox:test nc -ll -p 8000 -e echo served >/dev/null
	docker run -d --name second --network container:first busybox:test sleep 1000 >/dev/null
	address=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' first)
	equal "$(docker exec first readlink /proc/self/ns/net)" "$(docker exec second readlink /proc/self/ns/net)"
	equal served "$(docker exec second sh -c 'for i in 1 2 3 4 5; do nc 127.0.0.1 8000 </dev/null && break; done')"
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
	exits 1 docker create --network nosuch busybox:test true
	contains "$stderr" 'network "nosuch" not found'
	docker rm still >/dev/null
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
	exits 125 docker run --rm --add-host h:host-gateway busybox:test true
	contains "$stderr" 'host-access'
}
