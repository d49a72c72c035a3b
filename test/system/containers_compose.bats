#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Debian's docker-compose: three services, a network and a volume, from up to down.
load ../lib/holm
load ../lib/containers

setup_file()
{
	requires docker-compose
	containers_begin
	mkdir "$WORLD/shop"
	cat >"$WORLD/shop/docker-compose.yml" <<-'YAML'
		version: "2.4"
		services:
		  db:
		    image: busybox:test
		    command: sh -c 'echo rows >/data/rows; exec nc -ll -p 5432 -e cat /data/rows'
		    volumes: ["data:/data"]
		    networks: { back: { aliases: [store] } }
		    healthcheck: { test: "netstat -ltn | grep -q :5432", interval: 1s }
		    stop_grace_period: 0s
		  web:
		    image: busybox:test
		    command: sh -c 'timeout 60 nc store 5432 </dev/null; exec nc -ll -p 80 -e hostname'
		    depends_on: { db: { condition: service_healthy } }
		    networks: [back, front]
		    stop_grace_period: 0s
		  proxy:
		    image: busybox:test
		    command: sleep 1000
		    depends_on: [web]
		    networks: { front: { ipv4_address: 10.213.7.9 } }
		    environment: { MODE: quiet }
		    stop_grace_period: 0s
		networks:
		  back: { internal: true }
		  front: { enable_ipv6: true, ipam: { config: [{ subnet: 10.213.7.0/24 }, { subnet: "fd00:213:7::/64" }] } }
		volumes: { data: {} }
	YAML
}

teardown_file()
{
	holm_end
}

setup()
{
	cd "$WORLD/shop" || return
}

compose()
{
	command timeout 60 docker-compose --no-ansi "$@" 2>"$BATS_TEST_TMPDIR/compose" || { cat "$BATS_TEST_TMPDIR/compose" >&2; return 1; }
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

@test "up waits for the health of a service; names, networks, volume and fixed address are as written" {
	compose up -d
	equal 'db proxy web' "$(compose ps --services --filter status=running | sort | xargs)"
	contains "$(compose ps db)" 'Up (healthy)'
	equal 'true fd00:213:7::/64' "$(docker network inspect -f '{{.EnableIPv6}} {{(index .IPAM.Config 1).Subnet}}' shop_front)"
	answers rows sh -c 'docker-compose --no-ansi logs --no-color web | sed -n "s/.*| //p"'
	equal 10.213.7.9 "$(docker inspect -f '{{.NetworkSettings.Networks.shop_front.IPAddress}}' shop_proxy_1)"
	# shellcheck disable=SC2016 # of the container
	equal quiet "$(compose exec -T proxy sh -c 'echo $MODE')"
	until_true 60 listens shop_web_1 80
	equal "$(docker inspect -f '{{.Config.Hostname}}' shop_web_1)" "$(compose exec -T proxy timeout 60 nc web 80 </dev/null)"
	# The proxy is not on the network of the database.
	run ! docker-compose --no-ansi exec -T proxy nslookup db 127.0.0.11
	equal 'shop_back true shop_front false' "$(docker network inspect -f '{{.Name}} {{.Internal}}' shop_back shop_front | xargs)"
	equal data "$(docker volume inspect -f '{{index .Labels "com.docker.compose.volume"}}' shop_data)"
}

@test "a second up changes nothing; scale, run, restart, stop and start" {
	local before
	before=$(docker ps -q --no-trunc | sort | xargs)
	compose up -d
	equal "$before" "$(docker ps -q --no-trunc | sort | xargs)"
	compose up -d --scale web=3
	equal 3 "$(docker ps -q --filter label=com.docker.compose.service=web | wc -l)"
	equal 3 "$(compose exec -T proxy nslookup -type=a web 127.0.0.11 | awk '/^Name:/ {n = 1} n && /^Address/ {print $NF}' | sort -u | wc -l)"
	equal rows "$(compose run --rm -T web timeout 60 nc store 5432 </dev/null)"
	compose up -d --scale web=1
	equal 1 "$(docker ps -q --filter label=com.docker.compose.service=web | wc -l)"
	compose restart -t 0 proxy
	compose stop -t 0 web
	equal 'db proxy' "$(compose ps --services --filter status=running | sort | xargs)"
	compose start web
	equal 'db proxy web' "$(compose ps --services --filter status=running | sort | xargs)"
}

@test "holm compose is docker-compose with the machine's containers; its options are docker-compose's" {
	equal 'db proxy web' "$(env -u DOCKER_HOST HOLM_MACHINE=box timeout 60 holm compose --no-ansi ps --services --filter status=running | sort | xargs)"
	# Without a docker client, which docker-compose 1 would call.
	# shellcheck disable=SC2016 # of the container
	equal quiet "$(env -u DOCKER_HOST HOLM_MACHINE=box PATH="$(dirname "$(type -P holm)"):/usr/bin:/bin" timeout 60 holm compose exec -T proxy sh -c 'echo $MODE' </dev/null)"
	run -4 env HOLM_MACHINE=box timeout 60 holm compose exec -T proxy sh -c 'exit 4' </dev/null
	contains "$(holm compose --help)" 'run docker-compose'
}

@test "a changed service is made again, with its volume; down takes all away" {
	local db proxy
	db=$(compose ps -q db)
	proxy=$(compose ps -q proxy)
	sed -i 's/MODE: quiet/MODE: loud/' docker-compose.yml
	compose up -d
	equal "$db" "$(compose ps -q db)"
	[ "$(compose ps -q proxy)" != "$proxy" ]
	# shellcheck disable=SC2016 # of the container
	equal loud "$(compose exec -T proxy sh -c 'echo $MODE')"
	compose down -v -t 0
	equal '' "$(docker ps -aq)"
	equal '' "$(docker network ls -q -f type=custom)"
	equal '' "$(docker volume ls -q)"
}
