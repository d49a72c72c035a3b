#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# The engine is killed, and the containers go on.
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

# engine: prints the number of the engine's process, as soon as there is one.
engine()
{
	local deadline=$((SECONDS + 60))
	until engine_of box; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
	done
}

# strike SIGNAL PID: as root of the machine, whose process it is.
strike()
{
	nsenter --user --target "$2" --setuid 0 --setgid 0 kill "-$1" "$2" 2>/dev/null
}

strike_engine()
{
	strike KILL "$(engine)"
}

# strike_until_exited CONTAINER: kills the engine at least once before the container, which waits
# for it, may end, and then over and over.
strike_until_exited()
{
	local deadline=$((SECONDS + 240)) name=$1 told=
	until_true 60 strike_engine
	until is_status "$name" exited; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		[ "$told" ] || ! docker exec "$name" touch /go 2>/dev/null || told=1
		strike_engine || true
	done
}

@test "the engine is killed during a flood: no line of the log is lost, none is there twice" {
	docker run -d --name flood --log-opt max-size=200m busybox:test sh -c \
		'i=0; while [ $i -lt 400000 ]; do seq $((i + 1)) $((i + 10000)); usleep 20000; i=$((i + 10000)); done; until [ -e /go ]; do usleep 10000; done; seq 100 >&2; exit 5' >/dev/null
	strike_until_exited flood
	docker logs flood 2>/dev/null | cmp - <(seq 1 400000)
	docker logs flood 2>&1 >/dev/null | cmp - <(seq 100)
	equal 'exited 5' "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' flood)"
	docker rm flood >/dev/null
}

@test "the engine is killed during a trickle on both streams, and with a log that rotates" {
	docker run -d --name slow --log-opt max-size=2k --log-opt max-file=100 busybox:test sh -c \
		'i=0; while [ $i -lt 600 ]; do echo $i; echo err $i >&2; usleep 3000; i=$((i+1)); done; until [ -e /go ]; do usleep 10000; done; printf end' >/dev/null
	strike_until_exited slow
	docker logs slow 2>/dev/null | cmp - <(seq 0 599; printf end)
	docker logs slow 2>&1 >/dev/null | cmp - <(seq 0 599 | sed 's/^/err /')
	docker rm slow >/dev/null
}

@test "the engine is killed beside a terminal" {
	docker run -d -t --name term busybox:test sh -c 'seq 1 25000; until [ -e /go ]; do usleep 10000; done; usleep 300000; seq 25001 50000; exit 6' >/dev/null
	strike_until_exited term
	docker logs term | cmp - <(seq 1 50000 | sed 's/$/\r/')
	equal 6 "$(docker inspect -f '{{.State.ExitCode}}' term)"
	docker rm term >/dev/null
}

@test "a paused container is still paused for the next engine" {
	docker run -d --name still busybox:test sleep 1000 >/dev/null
	docker pause still >/dev/null || skip "containers have no cgroups here"
	until_true 60 strike_engine
	equal paused "$(docker inspect -f '{{.State.Status}}' still)"
	docker unpause still >/dev/null
	docker exec still true
	docker rm -f still >/dev/null
}

@test "a container that ends while there is no engine has its exit status; --rm removes it" {
	local pid last
	docker run -d --name quick busybox:test sh -c 'trap "exit 9" TERM; echo ready; sleep 1000 & wait' >/dev/null
	until_true 60 has_said quick
	docker run -d --rm --name gone busybox:test sleep 1 >/dev/null
	pid=$(engine)
	last=$(docker inspect -f '{{.State.Pid}}' quick)
	strike STOP "$pid"
	nsenter --user --pid --mount --target "$pid" --setuid 0 --setgid 0 kill -TERM "$last"
	is_over()
	{
		! nsenter --user --pid --mount --target "$pid" --setuid 0 --setgid 0 kill -0 "$last" 2>/dev/null
	}
	until_true 60 is_over
	strike KILL "$pid"
	equal 9 "$(docker wait quick)"
	is_removed()
	{
		[ -z "$(docker ps -aq --filter name=gone)" ]
	}
	until_true 60 is_removed
	docker rm quick >/dev/null
}

@test "after the engine was killed: attach, logs -f, exec, stop, the address, and a start of the same image" {
	local address
	docker run -d -i --name cat busybox:test sh -c 'echo begin; while read line; do echo "got $line"; done; exit 4' >/dev/null
	address=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' cat)
	until_true 60 has_logs cat begin
	until_true 60 strike_engine
	equal "running $address" "$(docker inspect -f '{{.State.Status}} {{.NetworkSettings.Networks.bridge.IPAddress}}' cat)"
	equal "$address" "$(docker exec cat hostname -i)"
	[ "$(docker run --rm busybox:test hostname -i)" != "$address" ]
	timeout 120 docker logs -f cat >"$TMPDIR/followed" 3>&- &
	local follower=$!
	equal 'got one' "$( (echo one; until_true 60 grep -q one "$TMPDIR/followed") | docker attach --sig-proxy=false cat | head -n 1)"
	until_true 60 strike_engine
	docker stop -t 0 cat >/dev/null
	wait "$follower" || true
	equal $'begin\ngot one' "$(docker logs cat)"
	equal 137 "$(docker inspect -f '{{.State.ExitCode}}' cat)"
	docker rm cat >/dev/null
	rm "$TMPDIR/followed"
}

# files_of ENGINE FOLDER: how many files root of the machine sees there.
files_of()
{
	nsenter --user --target "$1" --setuid 0 --setgid 0 find "$2" -type f 2>/dev/null | wc -l
}

@test "rm: an engine that is killed halfway leaves no half of a container" {
	local id pid deadline=$((SECONDS + 60)) folder="$XDG_DATA_HOME/holm/machines/box/containers"
	docker run --name big busybox:test sh -c 'mkdir /d && cd /d && seq 20000 | xargs touch'
	id=$(docker inspect -f '{{.Id}}' big)
	pid=$(engine)
	equal 20000 "$(files_of "$pid" "$folder/$id/upper/d")"
	docker rm big >/dev/null 2>&1 &
	until [ "$(files_of "$pid" "$folder/$id/upper/d")" != 20000 ]; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
	done
	# The folder of a create that an engine has not finished.
	nsenter --user --target "$pid" --setuid 0 --setgid 0 mkdir "$folder/$(printf '%064d' 7)"
	strike KILL "$pid"
	wait || true
	equal '' "$(docker ps -aq --filter name=big)"
	timeout 120 sh -c "until [ -z \"\$(find '$folder' -maxdepth 1 -name '.gone-*' -o -maxdepth 1 -name '$id' -o -maxdepth 1 -name '0*7')\" ]; do sleep 0.1; done"
}

@test "a container whose record the next engine cannot read keeps its files" {
	local id record
	docker run --name unread busybox:test sh -c 'echo kept >/file'
	id=$(docker inspect -f '{{.Id}}' unread)
	record=/var/lib/holm/containers/$id
	as_root box sh -c "cp '$record' /root/record && echo '{}' >'$record'"
	until_true 60 strike_engine
	equal '' "$(docker ps -aq --filter name=unread)"
	as_root box sh -c "mv /root/record '$record'"
	until_true 60 strike_engine
	equal kept "$(docker cp unread:/file - | tar -xOf -)"
	docker rm unread >/dev/null
}

@test "a record that a loss of power has emptied goes, with its container's files" {
	local id folder="$XDG_DATA_HOME/holm/machines/box/containers"
	id=$(docker create --rm busybox:test true)
	[ -d "$folder/$id" ]
	as_root box sh -c ": >/var/lib/holm/containers/$id"
	until_true 60 strike_engine
	run ! docker inspect "$id"
	as_root box sh -c "! test -e /var/lib/holm/containers/$id"
	until_true 60 sh -c "! test -e '$folder/$id'"
}

# strike_at_freeze CGROUP: kills the engine as soon as it freezes the container. The shell is too
# slow for that. Prints a line before it waits.
strike_at_freeze()
{
	local pid
	pid=$(engine)
	exec nsenter --user --target "$pid" --setuid 0 --setgid 0 python3 - "$pid" "$1/cgroup.freeze" <<-'END'
		import os, sys, time
		deadline = time.monotonic() + 60
		with open(sys.argv[2], "rb", 0) as freeze:
		    print("waits", flush=True)
		    while os.pread(freeze.fileno(), 1, 0) != b"1":
		        if time.monotonic() > deadline:
		            sys.exit(1)
		os.kill(int(sys.argv[1]), 9)
	END
}

@test "an engine that is killed while it pauses a container for a commit: the container goes on" {
	local id cgroup fd line
	requires python3
	# So many take a moment to freeze.
	id=$(docker run -d busybox:test sh -c 'i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i + 1)); done; touch /all; wait')
	until_true 60 has_file "$id" /all
	cgroup=$(world_cgroups | grep "/$id\$") || skip "containers have no cgroups here"
	exec {fd}< <(strike_at_freeze "$cgroup")
	read -r -u "$fd" line
	equal waits "$line"
	docker commit "$id" busy:1 >/dev/null 2>&1 || true
	run ! read -r -u "$fd" line
	exec {fd}<&-
	until_true 60 is_status "$id" running
	equal 0 "$(cat "$cgroup/cgroup.freeze")"
	docker rm -f "$id" >/dev/null
	docker images -q busy | xargs -r docker rmi >/dev/null
}

# start_and_leave EXEC: asks for the start of a command, and is gone before the engine reads that.
start_and_leave()
{
	python3 - "$SOCKET" "$1" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(b"POST /exec/%s/start HTTP/1.1\r\nHost: docker\r\nContent-Length: 2\r\n\r\n{}" % sys.argv[2].encode())
	END
}

has_not_run()
{
	[ "$(api GET "/exec/$1/json" | jq -c '[.Running, .ExitCode]')" = '[false,126]' ]
}

@test "a command whose client is gone before the start is answered does not run" {
	local id pid
	requires python3
	docker run -d --name left busybox:test sleep 1000 >/dev/null
	id=$(api POST /containers/left/exec -H 'Content-Type: application/json' -d '{"Cmd":["touch","/ran"],"AttachStdout":true}' | jq -r .Id)
	pid=$(engine)
	strike STOP "$pid"
	start_and_leave "$id"
	strike CONT "$pid"
	until_true 30 has_not_run "$id"
	equal null "$(api GET /containers/left/json | jq -c .ExecIDs)"
	run ! has_file left /ran
	docker rm -f left >/dev/null
}

@test "a lent socket takes connections again when one of the most at a time has ended" {
	local id
	requires python3
	id=$(api POST /containers/create -H 'Content-Type: application/json' \
		-d '{"Image":"busybox:test","Cmd":["sleep","1000"],"HolmFiles":[{"Name":"aa","Target":"/run/aa","Socket":"0:0:600"}]}' | jq -r .Id)
	docker start "$id" >/dev/null
	equal 64 "$("$BATS_TEST_DIRNAME/../lib/lent-socket" "$SOCKET" "$id" "/proc/$(engine)/root/run/containers/$id/s-aa" \
		nsenter --user --target "$(engine)" --setuid 0 --setgid 0)"
	docker rm -f "$id" >/dev/null
}
