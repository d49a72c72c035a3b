#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# The verbs of holm itself that list, stop and remove containers.
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
	command timeout 60 docker ps -aq 2>/dev/null | xargs -r timeout 60 docker rm -f >/dev/null 2>&1 || true
}

state()
{
	docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$1"
}

sleeper()
{
	docker run -d --name "$1" busybox:test sh -c 'trap "exit 3" TERM; trap "exit 4" INT; echo up; sleep 1000 & wait' >/dev/null
	until_true 60 has_said "$1"
}

@test "stop, kill and rm: print the names given, go on after a failure, and say what to do" {
	sleeper aa
	sleeper bb
	exits 1 holm stop aa nothing bb
	equal $'aa\nbb' "$output"
	equal 'holm: container "nothing": no such container; see holm ps -a' "$stderr"
	equal 'exited 3' "$(state aa)"
	equal 'exited 3' "$(state bb)"
	equal aa "$(holm stop aa)" # a stopped one is fine
	exits 1 holm kill aa
	equal 'holm: container "aa": it is not running; holm start aa' "$stderr"
	docker start aa >/dev/null
	exits 1 holm container rm aa
	equal 'holm: container "aa": it is running; holm stop aa, or holm rm -f aa' "$stderr"
	equal aa "$(holm container kill -s KILL aa)"
	equal 137 "$(docker wait aa)"
	docker start bb >/dev/null
	equal $'aa\nbb' "$(holm rm -f aa bb)"
	exits 0 holm rm -f aa
	contains "$stderr" 'no such container'
	exits 1 holm rm box
	equal 'holm: container "box": no such container; the machine of this name: holm machine rm box' "$stderr"
}

@test "stop -t kills what does not end in time, and stops all at once" {
	local name
	docker run -d --name cc busybox:test sh -c 'trap "" TERM; sleep 1000' >/dev/null
	equal cc "$(holm stop -t 1 cc)"
	equal 'exited 137' "$(state cc)"
	# Each of them ends when all have got the signal.
	for name in dd ee ff; do
		docker run -d --name $name -v stopped:/stopped busybox:test sh -c 'trap "touch /stopped/$(hostname)" TERM; echo up
			until [ "$(ls /stopped | wc -l)" = 3 ]; do usleep 10000; done; exit 3' >/dev/null
		until_true 60 has_said $name
	done
	equal $'dd\nee\nff' "$(holm stop -t 60 dd ee ff)"
	for name in dd ee ff; do
		equal 'exited 3' "$(state $name)"
		docker rm $name >/dev/null
	done
	docker volume rm stopped >/dev/null
	exits 125 holm stop -t soon cc
	contains "$stderr" '--time soon: give seconds'
	exits 125 holm stop
	exits 1 holm kill -s NOSIGNAL cc
	contains "$stderr" 'container "cc": Invalid signal'
}

@test "ps: docker's columns, filters, formats, and only what runs without -a" {
	local id
	sleeper web
	docker run --name 'old.one' -l a=b -l c=d busybox:test sh -c 'exit 3' || true
	id=$(docker inspect -f '{{.Id}}' web)
	equal 'CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES' "$(holm ps | sed -n 1p | tr -s ' ')"
	contains "$(holm ps)" "${id:0:12}  busybox:test  \"sh -c trap \\\"exit 3\\\"…\""
	equal web "$(holm ps --format '{{.Names}}')"
	equal $'old.one\nweb' "$(holm ps -a --format '{{.Names}}')"
	equal "${id:0:12}" "$(holm ps -q)"
	equal "$id" "$(holm container ls -q --no-trunc)"
	equal old.one "$(holm ps -l --format '{{.Names}}')"
	equal old.one "$(holm ps -n 1 --format '{{.Names}}')"
	equal old.one "$(holm ps -a -f label=a=b -f label=c --format '{{.Names}}')"
	equal '' "$(holm ps -aq -f label=a=c)"
	equal 'old.one b [] a=b,c=d' "$(holm ps -a -f status=exited --format '{{.Names}} {{.Label "a"}} [{{.Label "x"}}] {{.Labels}}')"
	contains "$(holm ps -a -f name=old --format '{{.Status}}')" 'Exited (3) '
	equal $'NAMES    CREATED AT\nold.one' "$(holm ps -l --format 'table {{.Names}}\t{{.CreatedAt}}' | cut -d' ' -f1-6 | sed 's/ *20.*//')"
	# docker prints labels in the random order of a Go map
	local comparable='del(.Size, .RunningFor, .Status) | .Labels |= (split(",") | sort | join(","))'
	equal "$(docker ps -a --format '{{json .}}' | jq -c "$comparable")" "$(holm ps -a --format json | jq -c "$comparable")"
	exits 125 holm ps -f web
	contains "$stderr" KEY=VALUE
	equal old.one "$(holm ps -a -f exited=3 --format '{{.Names}}')"
	equal '' "$(holm ps -aq -f exited=4)$(holm ps -aq -f since=old.one)$(holm ps -aq -f is-task=true)"
	equal web "$(holm ps -f before=old.one --format '{{.Names}}')"
	equal old.one "$(docker ps -a -f since=web --format '{{.Names}}')"
	exits 1 holm ps -f before=nobody
	contains "$stderr" nobody
	exits 1 holm ps -f nothing=x
	contains "$stderr" 'invalid filter'
	exits 125 holm ps -n none
	exits 125 holm ps --format '{{.Names'
}

@test "ps leaves a stopped machine alone, unless -a asks" {
	holm machine stop box
	contains "$(holm ps)" 'CONTAINER ID'
	equal '' "$(holm ps -aq --no-boot)"
	equal stopped "$(holm machine ls --format '{{.state}}')"
	holm ps -a >/dev/null
	equal running "$(holm machine ls --format '{{.state}}')"
}

@test "logs: both streams, --tail, -t, --since, --until, -f to the end, and no escape sequences for a terminal" {
	docker run -d --name log busybox:test sh -c 'echo one; echo two >&2; printf "\033]0;title\007\033[31mred\033[0m\n"; sleep 1; echo last' >/dev/null
	equal $'one\n\033]0;title\007\033[31mred\033[0m\nlast' "$(holm logs -f log 2>/dev/null)"
	equal two "$(holm logs log 2>&1 >/dev/null)"
	equal last "$(holm logs -n 1 log)"
	equal last "$(holm container logs --tail 1 -t log | sed "s/^$(date -u +%Y)-[^ ]*Z //")"
	equal '' "$(holm logs --until 1h log)"
	equal last "$(holm logs --since 1h log 2>&1 | tail -n 1)"
	contains "$(script -qc 'holm logs log' /dev/null)" $'\033[31mred'
	[[ "$(script -qc 'holm logs log' /dev/null)" != *title* ]]
	docker run --name term -t busybox:test echo raw >/dev/null
	equal $'raw\r' "$(holm logs term)"
	exits 1 holm logs nothing
	contains "$stderr" 'container "nothing": no such container'
	exits 125 holm logs --since soon log
	exits 125 holm logs --tail many log
}

@test "inspect: containers and images, a template, what is missing; top and port" {
	sleeper web
	equal "$(docker inspect web | jq -cS .)" "$(holm inspect web | jq -cS .)"
	equal 'running /web' "$(holm inspect -f '{{.State.Status}} {{.Name}}' web)"
	equal "$(docker images -q --no-trunc busybox:test)" "$(holm inspect -f '{{.Id}}' busybox:test)"
	exits 1 holm inspect -f '{{.Name}}' nothing web
	equal /web "$output"
	equal 'holm: no container, image, network or volume "nothing"; see holm ps -a' "$stderr"
	holm create --name checked --health-cmd 'test -e /x' --health-interval 2s busybox:test true >/dev/null
	equal '{"Interval":2000000000,"Test":["CMD-SHELL","test -e /x"]}' "$(holm inspect -f '{{json .Config.Healthcheck}}' checked | jq -cS .)"
	holm rm checked
	exits 1 holm inspect box
	contains "$stderr" 'holm machine inspect box'
	exits 1 holm inspect --type image web
	contains "$stderr" 'image "web": no such image'
	exits 1 holm container inspect busybox:test
	exits 1 holm port web 80
	contains "$stderr" 'port 80/tcp is not published'
	equal '' "$(holm port web)"
	contains "$(holm top web)" 'sleep 1000'
	contains "$(holm top web -o pid,args)" COMMAND
}

@test "images, rmi, tag, history, save and load are docker's words for the library" {
	local before wanted after
	equal 'REPOSITORY TAG IMAGE ID CREATED SIZE' "$(holm images | sed -n 1p | tr -s ' ')"
	# Each line of docker's is one of holm's before or after: a minute may begin between.
	images_of()
	{
		"$1" images --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.CreatedSince}} {{.Size}}' | sort
	}
	before=$(images_of holm)
	wanted=$(images_of docker)
	after=$(images_of holm)
	equal "$(wc -l <<<"$wanted")" "$(wc -l <<<"$before")"
	equal '' "$(grep -vxF -e "$before" -e "$after" <<<"$wanted")"
	equal "$(docker images -q --no-trunc busybox:test)" "$(holm images -q --no-trunc busybox)"
	holm tag busybox:test mine:1
	equal 1 "$(holm images mine:* --format '{{.Tag}}')"
	docker commit -c 'LABEL newest=yes' "$(docker create busybox:test true)" newest >/dev/null
	equal newest "$(holm images --format '{{.Repository}}' | head -n 1)"
	equal '|' "$(holm inspect -f '{{index .Config.Labels "nothing"}}|' newest)"
	holm rm "$(docker ps -alq)" >/dev/null
	holm rmi newest >/dev/null
	equal 1 "$(holm images -f 'reference=mi*' --format '{{.Tag}}')"
	equal '' "$(holm images -q -f dangling=true)"
	equal '' "$(holm images -q -f label=x)"
	exits 1 holm images -f nothing=x
	contains "$(holm history mine:1)" 'CREATED BY'
	holm save -o "$TMPDIR/mine.tar" mine:1
	exits 1 holm rmi nothing:1 mine:1
	equal docker.io/library/mine:1 "$output"
	contains "$stderr" 'image "nothing:1"'
	exits 0 holm rmi -f nothing:1
	equal docker.io/library/mine:1 "$(holm load -q -i "$TMPDIR/mine.tar")"
	equal "$(holm inspect -f '{{.Id}}' mine:1)" "$(holm image inspect -f '{{.digest}}' mine:1)"
	holm rmi mine:1
	equal docker.io/library/mine:1 "$(holm load <"$TMPDIR/mine.tar")"
	exits 125 holm load -i "$TMPDIR/mine.tar" "$TMPDIR/mine.tar"
	holm rmi mine:1
	rm "$TMPDIR/mine.tar"
	contains "$(holm pull --help)" 'holm image pull'
}

@test "system df counts containers and volumes, and those that run or are in use" {
	sleeper web
	docker create --name other -v near:/v busybox:test true >/dev/null
	docker volume create apart >/dev/null
	docker run --rm -v apart:/v busybox:test sh -c 'dd if=/dev/zero of=/v/big bs=1M count=3 2>/dev/null'
	holm system df --format json >"$TMPDIR/df"
	equal '2 1' "$(jq -r '.[] | select(.type == "containers") | "\(.total) \(.active)"' "$TMPDIR/df")"
	equal '2 1 true' "$(jq -r '.[] | select(.type == "volumes") | "\(.total) \(.active) \(.size > 3000000 and .size < 3400000)"' "$TMPDIR/df")"
	equal true "$(jq '.[] | select(.type == "containers") | .size < 1000000' "$TMPDIR/df")"
	docker rm -f other >/dev/null
	docker volume rm apart near >/dev/null
	rm "$TMPDIR/df"
}

@test "the layers that images share count once: system df, its -v, and images with shared-size" {
	local id
	docker create --name base busybox:test true >/dev/null
	docker commit -c 'LABEL two=2' base derived:2 >/dev/null
	docker rm base >/dev/null
	id=$(docker images --no-trunc -q derived:2)
	api GET /system/df >"$TMPDIR/df"
	equal true "$(jq '[.Images[] | select(.RepoTags | index("busybox:test", "derived:2"))] | map(.SharedSize > 0 and .SharedSize < .Size) | all' "$TMPDIR/df")"
	equal true "$(jq '.LayersSize < ([.Images[].Size] | add)' "$TMPDIR/df")"
	[[ "$(docker system df -v | grep derived)" =~ derived\ +2\ +.*B\ +0 ]]
	equal true "$(api GET '/images/json?shared-size=1' | jq --arg id "$id" '.[] | select(.Id == $id) | .SharedSize > 0')"
	equal -1 "$(api GET /images/json | jq --arg id "$id" '.[] | select(.Id == $id) | .SharedSize')"
	docker rmi derived:2 >/dev/null
	rm "$TMPDIR/df"
}

@test "events: since and until, filters, formats, and live" {
	local begun end fifo="$TMPDIR/events" line
	begun=$(date +%s)
	docker run --name one busybox:test true
	docker rm one >/dev/null
	end=$(date +%s)
	until [ "$(date +%s)" -gt "$end" ]; do :; done
	end=$((end + 1))
	contains "$(holm events --since "$begun" --until "$end" -f event=die)" ' container die '
	contains "$(holm events --since "$begun" --until "$end" -f event=die)" 'exitCode=0, image=busybox:test, name=one)'
	equal $'start one\ndestroy one' "$(holm system events --since "$begun" --until "$end" -f container=one -f event=start -f event=destroy --format '{{.Action}} {{.Actor.Attributes.name}}')"
	equal "$(docker events --since "$begun" --until "$end" --format '{{json .}}' | jq -cS .)" "$(holm events --since "$begun" --until "$end" --format json | jq -cS .)"
	mkfifo "$fifo"
	command timeout 60 holm events --since $end -f event=create --format '{{.Actor.Attributes.name}}' >"$fifo" 3>&- &
	exec 7<"$fifo"
	rm "$fifo"
	docker create --name live busybox:test true >/dev/null
	read -r -t 30 line <&7
	equal live "$line"
	exec 7<&-
	docker create --name more busybox:test true >/dev/null
	wait $! || [ $? = 141 ] # it ends as nobody reads it
	exits 125 holm events --since soon
	exits 1 holm events -f nothing=x
}

@test "volumes: create, ls, inspect, rm and prune" {
	equal data "$(holm volume create --label a=b data)"
	equal data "$(holm volume create data)"
	exits 125 holm volume create --label =b other
	contains "$stderr" KEY=VALUE
	equal 'DRIVER VOLUME NAME' "$(holm volume ls | sed -n 1p | tr -s ' ')"
	equal 'local data b a=b' "$(holm volume ls -f name=data --format '{{.Driver}} {{.Name}} {{.Label "a"}} {{.Labels}}')"
	equal "$(docker volume inspect data | jq -cS .)" "$(holm volume inspect data | jq -cS .)"
	equal data "$(holm inspect --type volume -f '{{.Name}}' data)"
	docker create --name has -v data:/data busybox:test true >/dev/null
	exits 1 holm volume rm nothing data
	contains "$stderr" 'volume "nothing": no such volume; see holm volume ls'
	contains "$stderr" 'volume "data": a container has it; see holm ps -a'
	docker rm has >/dev/null
	exits 125 holm volume prune -a </dev/null
	contains "$stderr" 'give --force'
	contains "$(holm volume prune -f)" 'Total reclaimed space: 0B'
	equal data "$(holm volume ls -q)"
	contains "$(holm volume prune -a -f)" data
	equal '' "$(holm volume ls -q)"
	exits 0 holm volume rm -f data
}

@test "restart, rename and start again by the new name" {
	sleeper web
	equal web "$(holm restart -t 5 web)"
	equal 'running 0' "$(state web)"
	holm rename web new
	exits 1 holm restart web
	contains "$stderr" 'no such container'
	equal new "$(holm ps --format '{{.Names}}')"
	sleeper other
	exits 1 holm rename other new
	contains "$stderr" 'in use'
}

@test "which machine: --machine and -n, else HOLM_MACHINE, else the default; one that is stopped boots" {
	docker create --name there busybox:test true >/dev/null
	exits 125 holm stop --machine nothing there
	contains "$stderr" 'no machine "nothing"'
	exits 125 env HOLM_MACHINE=nothing holm stop there
	contains "$stderr" HOLM_MACHINE
	equal "$DOCKER_HOST" "$(holm docker-host -n box)"
	holm machine stop box
	equal "$DOCKER_HOST" "$(holm docker-host)"
	equal stopped "$(holm machine ls --format '{{.state}}')"
	equal there "$(HOLM_MACHINE=nothing holm rm -n box there)"
	equal box "$(holm machine ls --format '{{if eq .state "running"}}{{.name}}{{end}}')"
}

@test "completion: names of machines, containers, networks, volumes and images, and paths in them" {
	local full
	# completed LINE: the words that bash offers.
	completed()
	{
		# shellcheck disable=SC2016
		bash -c '. <(holm completion bash); COMP_LINE=$1 COMP_POINT=${#1}; _holm 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"' - "$1" | sort | tr '\n' ' ' | sed 's/ $//'
	}
	# offers WORDS LINE: exactly these; has_offer WORD LINE: this one, too. The completion waits
	# two seconds at most, so a busy host may have none.
	offers()
	{
		[ "$(completed "$2")" = "$1" ]
	}
	has_offer()
	{
		[[ " $(completed "$2") " == *" $1 "* ]]
	}
	sleeper web
	docker network create back >/dev/null
	docker volume create data >/dev/null
	until_true 60 offers box 'holm machine stop b'
	until_true 60 offers web 'holm stop w'
	until_true 60 offers 'back bridge' 'holm network rm b'
	until_true 60 offers data 'holm volume rm d'
	until_true 60 offers test 'holm run busybox:'
	full=$(holm image ls -q | grep -x '.*/busybox:test')
	equal "$full" "$(holm completion words image "${full%:test}:")"
	mkdir -p "$HOME/folder/below"
	touch "$HOME/folder/file"
	# shellcheck disable=SC2016
	touch "$HOME/folder/"'`command`' "$HOME/folder/"'$(command)' # which no shell gets to see
	cd "$HOME" || return 1
	until_true 60 has_offer box: 'holm machine cp '
	until_true 60 offers folder/ 'holm machine cp box:fold'
	until_true 60 offers 'folder/below/ folder/file' 'holm machine cp box:folder/'
	until_true 60 offers "~"/folder/file 'holm machine cp box:~/folder/f'
	until_true 60 has_offer /etc/passwd 'holm machine cp box:/etc/passw'
	until_true 60 has_offer web: 'holm cp w'
	until_true 60 has_offer /etc/passwd 'holm cp web:/etc/passw'
	until_true 60 has_offer etc/ 'holm container cp web:'
	rm -r "$HOME/folder"
	docker network rm back >/dev/null
	docker volume rm data >/dev/null
}

@test "pause, unpause, stats and update" {
	local out
	sleeper ff
	if [ "$(docker info --format '{{.CgroupDriver}}')" = cgroupfs ]; then
		equal ff "$(holm pause ff)"
		equal paused "$(docker inspect -f '{{.State.Status}}' ff)"
		contains "$(holm ps)" '(Paused)'
		exits 1 holm pause ff
		equal 'holm: container "ff": it is paused already; holm unpause ff' "$stderr"
		exits 1 holm exec ff true
		equal 'holm: container "ff": it is paused; holm unpause ff' "$stderr"
		equal ff "$(holm container unpause ff)"
		exits 1 holm unpause ff
		equal 'holm: container "ff": it is not paused' "$stderr"
	fi
	out=$(holm stats --no-stream)
	equal 'CONTAINER ID  NAME  CPU %  MEM USAGE / LIMIT' "$(head -n 1 <<<"$out" | grep -o '^.*LIMIT' | tr -s ' ' | sed 's/CONTAINER ID /CONTAINER ID  /; s/ NAME / NAME  /; s/% MEM/%  MEM/')"
	[[ "$(sed -n 2p <<<"$out")" =~ ^[0-9a-f]{12}\ +ff\ +[0-9.]+%\ +[0-9.]+[KM]iB\ /\ [0-9.]+[GM]iB\  ]]
	[[ "$(holm stats --no-stream --no-trunc --format '{{.ID}} {{.Name}} {{.PIDs}}' ff)" =~ ^[0-9a-f]{64}\ ff\ [1-9]$ ]]
	docker create --name gg busybox:test true >/dev/null
	equal $'ff\ngg' "$(holm stats -a --no-stream --format '{{.Name}}' | sort)"
	equal '0B / 0B' "$(holm stats --no-stream --format '{{.MemUsage}}' gg)"
	exits 1 holm stats --no-stream nothing
	equal 'holm: container "nothing": no such container; see holm ps -a' "$stderr"
	exits 0 holm update --restart on-failure:3 --memory 64m ff gg
	equal $'ff\ngg' "$output"
	equal on-failure:3 "$(docker inspect -f '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}' gg)"
	exits 125 holm update ff
	exits 1 holm update --memory 1m ff
	contains "$stderr" '6MB'
}

@test "--restart says in one line that the machine does not start at login, unless it does" {
	exits 0 holm create --name ii --restart always busybox:test true
	equal 'holm: container "ii" comes back when machine "box" starts; for a start at each login: holm machine set -n box autostart=on' "$stderr"
	exits 0 holm create --name jj --restart on-failure busybox:test true
	equal '' "$stderr"
	exits 0 holm update --restart unless-stopped jj
	contains "$stderr" 'container "jj" comes back when machine "box" starts'
	holm machine set -n box autostart=on
	exits 0 holm create --name kk --restart always busybox:test true
	equal '' "$stderr"
	holm machine set -n box autostart=off
}
