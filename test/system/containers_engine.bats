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
