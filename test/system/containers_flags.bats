#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Flags and answers of docker's reference that other files leave out.
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
	[ -n "${BATS_TEST_COMPLETED-}" ] || { docker ps -aq | xargs -r timeout 60 docker rm -fv; } >/dev/null 2>&1
}

# status METHOD PATH: of the answer, which is in "answer".
status()
{
	api "$1" "$2" -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}'
}

# The keeper's own come a moment later.
has_prunes()
{
	equal 'container volume network image builder' "$(docker events --since "$1" --until "$(date +%s.%N)" --filter event=prune --format '{{json .}}' |
		jq -r 'select(.Actor.ID == "" and (has("id") | not) and (.Actor.Attributes.reclaimed | tonumber) >= 0).Type' | xargs)"
}

@test "prunes of containers, volumes, networks, images and builds are events, with the bytes that they free" {
	local since
	since=$(date +%s.%N)
	docker run --name gone -v vol:/v busybox:test sh -c 'dd if=/dev/zero of=/big bs=1M count=2 2>/dev/null'
	docker network create net >/dev/null
	docker tag busybox:test other:1
	docker container prune -f >/dev/null
	api POST '/volumes/prune?filters=%7B%22all%22%3A%5B%221%22%5D%7D' >/dev/null
	docker network prune -f >/dev/null
	docker image prune -f >/dev/null
	docker builder prune -f >/dev/null
	until_true 60 has_prunes "$since" 2>/dev/null
	[ "$(docker events --since "$since" --until "$(date +%s.%N)" --filter type=container --filter event=prune --format '{{.Actor.Attributes.reclaimed}}')" -ge 2000000 ]
	docker rmi other:1 >/dev/null
}

@test "--link on the default bridge sets Docker's variables, for execs, too" {
	docker run -d --name my-db -e COLOR=red -e 'HOME=/x' --expose 5432 --expose 8000-8002 --expose 53/udp busybox:test sleep 1000 >/dev/null
	docker run -d --name web --link my-db:the-db -e THE_DB_NAME=mine busybox:test sleep 1000 >/dev/null
	local ip seen
	ip=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' my-db)
	seen=$(docker exec web env | grep ^THE_DB | sort)
	contains "$seen" THE_DB_NAME=mine
	contains "$seen" THE_DB_ENV_COLOR=red
	contains "$seen" "THE_DB_PORT=udp://$ip:53"
	contains "$seen" "THE_DB_PORT_5432_TCP=tcp://$ip:5432"
	contains "$seen" "THE_DB_PORT_5432_TCP_ADDR=$ip"
	contains "$seen" THE_DB_PORT_5432_TCP_PORT=5432
	contains "$seen" THE_DB_PORT_53_UDP_PROTO=udp
	contains "$seen" "THE_DB_PORT_8000_TCP_START=tcp://$ip:8000"
	contains "$seen" "THE_DB_PORT_8000_TCP_END=tcp://$ip:8002"
	contains "$seen" THE_DB_PORT_8000_TCP_PORT_END=8002
	[[ "$seen" != *ENV_HOME* && "$seen" != *ENV_PATH* ]]
	equal /two/d "$(docker run --rm --name two --link my-db:d busybox:test sh -c 'echo $D_NAME')"
	docker rm -f web my-db >/dev/null
}

@test "ps filters: publish, expose, names as regular expressions; values that there are not" {
	docker run -d --name web-1 -p 127.0.0.1::80 --expose 9000/udp busybox:test sleep 1000 >/dev/null
	docker run -d --name web-2 --expose 8080 busybox:test sleep 1000 >/dev/null
	local port
	port=$(docker port web-1 80 | head -n 1 | sed 's/.*://')
	names()
	{
		"$1" ps --format '{{.Names}}' "${@:2}" | sort | xargs
	}
	for client in docker holm; do
		equal web-1 "$(names $client -f publish="$port")"
		equal web-1 "$(names $client -f publish="$port-$((port + 1))/tcp")"
		equal '' "$(names $client -f publish="$port/udp")"
		equal web-1 "$(names $client -f expose=80)"
		equal web-1 "$(names $client -f expose=9000/udp)"
		equal 'web-1 web-2' "$(names $client -f expose=80 -f expose=8000-8100)"
		equal 'web-1 web-2' "$(names $client -f 'name=^web-[0-9]$')"
		equal 'web-1 web-2' "$(names $client -f 'name=^/web')"
		equal web-2 "$(names $client -f 'name=2$|nothing')"
		equal '' "$(names $client -f 'name=^eb')"
	done
	equal 400 "$(status GET '/containers/json?filters=%7B%22status%22%3A%5B%22odd%22%5D%7D')"
	contains "$(jq -r .message "$BATS_TEST_TMPDIR/answer")" status=odd
	equal 400 "$(status GET '/containers/json?filters=%7B%22publish%22%3A%5B%22odd%22%5D%7D')"
	equal 400 "$(status GET '/containers/json?filters=%7B%22exited%22%3A%5B%22odd%22%5D%7D')"
	equal 400 "$(status GET '/containers/json?filters=%7B%22health%22%3A%5B%22odd%22%5D%7D')"
	equal 400 "$(status GET '/volumes?filters=%7B%22dangling%22%3A%5B%22odd%22%5D%7D')"
	docker rm -f web-1 web-2 >/dev/null
	docker network create net-1 >/dev/null
	docker volume create vol-1 >/dev/null
	equal net-1 "$(docker network ls -f 'name=^net-[0-9]$' --format '{{.Name}}')"
	equal vol-1 "$(holm volume ls -f 'name=^vol.1$' --format '{{.Name}}')"
	docker network rm net-1 >/dev/null
	docker volume rm vol-1 >/dev/null
}

@test "a committed image names its parent; image ls and images take names, patterns and docker's filters" {
	local id
	id=$(docker images --no-trunc -q busybox:test)
	docker create --name base busybox:test true >/dev/null
	docker commit -c 'LABEL newest=yes' base mine/app:1 >/dev/null
	docker rm base >/dev/null
	equal "$id" "$(docker image inspect -f '{{.Parent}}' mine/app:1)"
	equal '[]' "$(docker image inspect -f '[{{.Parent}}]' busybox:test)"
	for words in 'holm images' 'holm image ls'; do
		equal 2 "$($words mine/app | wc -l)"
		equal 2 "$($words 'mine/*:1' | wc -l)"
		equal 2 "$($words busybox:test | wc -l)"
		equal 1 "$($words app | wc -l)"
		equal 2 "$($words -f label=newest=yes | wc -l)"
		equal 1 "$($words -f label=newest=no | wc -l)"
		equal 2 "$($words -f since=busybox:test mine/app | wc -l)"
		equal 1 "$($words -f before=busybox:test -f since=mine/app:1 | wc -l)"
		equal 2 "$($words -f 'reference=mine/a*' -f dangling=false | wc -l)"
	done
	exits 1 holm images -f before=nothing
	exits 125 holm image ls -f nothing=x
	contains "$stderr" 'reference='
	equal docker.io/mine/app:1 "$(holm image ls -q mine/app)"
	equal "$(docker images -q --no-trunc mine/app)" "$(holm images -q --no-trunc mine/app)"
	equal "$(docker history -q --no-trunc mine/app:1 | head -n 1)" "$(holm history -q --no-trunc mine/app:1 | head -n 1)"
	equal "$(docker history --format '{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}' mine/app:1)" \
		"$(holm history --format '{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}' mine/app:1)"
	equal "$(docker history -H=false --format '{{.Size}}' mine/app:1)" "$(holm history -H=false --format '{{.Size}}' mine/app:1)"
	equal 'IMAGE CREATED CREATED BY SIZE COMMENT' "$(holm history mine/app:1 | sed -n 1p | tr -s ' ' | sed 's/ $//')"
	equal "$(holm images -q --no-trunc mine/app)" "$(holm image history -q --no-trunc mine/app:1 | head -n 1)"
	# Gone with its last container, at once.
	docker create --name user mine/app:1 true >/dev/null
	holm rmi -f mine/app:1 >/dev/null
	docker rm user >/dev/null
	equal '' "$(docker images -q mine/app)"
}

pruned()
{
	docker image prune -af --filter label=two >/dev/null
	equal '' "$(docker images -q "$1")"
}

@test "images that containers had a moment ago are unused for a prune; system df -v; df of some types" {
	local id
	docker create --name base busybox:test true >/dev/null
	docker commit -c 'LABEL two=yes' base two:1 >/dev/null
	id=$(docker images --no-trunc -q two:1)
	docker run -d --name user two:1 sleep 1000 >/dev/null
	docker volume create kept >/dev/null
	contains "$(holm system df -v | tr -s ' ')" 'two 1 '
	contains "$(holm system df -v | tr -s ' ')" '"sleep 1000" 0 '
	contains "$(holm system df -v | tr -s ' ')" 'kept 0 0B'
	equal 'Images space usage: Containers space usage: Local Volumes space usage:' "$(holm system df -v | grep usage: | xargs)"
	equal 'null array null null' "$(api GET '/system/df?type=container' | jq -r '[.Images, .Containers, .Volumes, .BuildCache] | map(type) | join(" ")')"
	equal 'array null array array' "$(api GET '/system/df?type=image&type=volume&type=build-cache' | jq -r '[.Images, .Containers, .Volumes, .BuildCache] | map(type) | join(" ")')"
	equal 400 "$(status GET '/system/df?type=odd')"
	docker rm -f user base >/dev/null
	# The image of a container that was made within five seconds stays.
	until_true 60 pruned two:1 2>/dev/null
	equal false "$(jq --arg id "$id" 'has($id)' "$XDG_DATA_HOME/holm/machines/box/images.json")"
	docker volume rm kept >/dev/null
}

@test "run: annotations and --domainname; what the engine refuses is named; networks disabled" {
	local flag
	holm run -d --name noted --annotation a=b --domainname example.org --hostname here busybox:test sleep 1000 >/dev/null
	equal '{"a":"b"} example.org' "$(docker inspect -f '{{json .HostConfig.Annotations}} {{.Config.Domainname}}' noted)"
	equal example.org "$(docker exec noted cat /proc/sys/kernel/domainname)"
	contains "$(docker exec noted cat /etc/hosts)" $'\there.example.org here'
	equal example.org "$(script -qc 'timeout 60 docker run --rm -it --domainname example.org busybox:test cat /proc/sys/kernel/domainname' /dev/null | tr -cd a-z.)"
	docker rm -f noted >/dev/null
	exits 125 holm run --rm --annotation=run.oci.handler=wasm busybox:test true
	contains "$stderr" --annotation
	exits 125 holm run --rm --link-local-ip=169.254.1.1 busybox:test true
	contains "$stderr" --link-local-ip
	for client in docker holm; do
		for flag in --gpus=all --storage-opt=size=1g --runtime=other --cpu-rt-runtime=1000; do
			exits 125 $client run --rm $flag busybox:test true
			contains "$stderr" "${flag%%=*}"
			contains "$stderr" "supported by holm's engine"
		done
		equal b "$($client run --rm -c 512 --disable-content-trust --isolation default --runtime crun -e X -e Y=b busybox:test sh -c 'echo $Y' 2>/dev/null)"
	done
	api POST /containers/create?name=alone -H 'Content-Type: application/json' -d '{"Image":"busybox:test","Cmd":["ip","addr"],"NetworkDisabled":true}' >/dev/null
	equal 'none true' "$(docker inspect -f '{{.HostConfig.NetworkMode}} {{.Config.NetworkDisabled}}' alone)"
	equal 1 "$(docker start -a alone | grep -c mtu)"
	docker rm alone >/dev/null
}

@test "--use-api-socket, --ipam-opt and --ipv4; what is of swarms is named; images --tree; ParentId" {
	local out
	equal socket "$(holm run --rm --use-api-socket --mount type=tmpfs,target=/tm busybox:test sh -c 'test -S /var/run/docker.sock && grep -q " /tm " /proc/mounts && echo socket')"
	holm network create --ipam-opt a=b --ipv4 opted >/dev/null
	equal b "$(docker network inspect -f '{{.IPAM.Options.a}}' opted)"
	exits 1 holm network create --ipv4=false sixonly
	contains "$stderr" --ipv4
	exits 1 holm network create --config-only confignet
	contains "$stderr" ConfigOnly
	docker create --name linkless busybox:test true >/dev/null
	exits 1 holm network connect --link-local-ip 169.254.1.1 opted linkless
	contains "$stderr" --link-local-ip
	docker rm linkless >/dev/null
	docker network rm opted >/dev/null
	out=$(holm images --tree busybox:test)
	contains "$out" 'busybox:test'
	contains "$out" '└─ linux/amd64'
	exits 125 holm images --tree -q
	contains "$stderr" --quiet
	docker run --name made busybox:test touch /x
	docker commit made child >/dev/null
	equal "$(docker image inspect -f '{{.Id}}' busybox:test)" "$(api GET '/images/json?filters=%7B%22reference%22%3A%5B%22child%22%5D%7D' | jq -r '.[].ParentId')"
	docker rm made >/dev/null
	docker rmi child >/dev/null
}

@test "attach with logs=1 and stream=0 shows the log and ends; logs --details" {
	docker run --name said busybox:test sh -c 'echo one; echo two >&2'
	docker run -d --name says busybox:test sh -c 'echo one; sleep 1000' >/dev/null
	until_true 60 has_said says
	equal onetwo "$(api POST '/containers/said/attach?logs=1&stream=0&stdout=1&stderr=1' | tr -cd '[:lower:]')"
	equal one "$(api POST '/containers/says/attach?logs=1&stream=0&stdout=1&stderr=1' | tr -cd '[:lower:]')"
	equal "$(docker logs --details said 2>/dev/null)" ' one'
	equal "$(holm logs --details said 2>/dev/null)" ' one'
	docker rm -f said says >/dev/null
}
