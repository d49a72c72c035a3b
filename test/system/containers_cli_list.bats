#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# The verbs of holm itself that list, stop and remove containers.
load ../lib/holm

setup_file()
{
	[ "$(id -u)" != 0 ] || skip "machines of root have no containers"
	requires docker
	holm_begin
	create box busybox
	export DOCKER_HOST DOCKER_CONFIG="$WORLD/docker"
	DOCKER_HOST=$(holm docker-host)
}

teardown_file()
{
	holm_end
}

teardown()
{
	command timeout 60 docker ps -aq 2>/dev/null | xargs -r timeout 60 docker rm -f >/dev/null 2>&1 || true
}

docker()
{
	command timeout 60 docker "$@"
}

# exits STATUS COMMAND...: leaves its stderr in $stderr.
exits()
{
	local wanted=$1
	shift
	run --separate-stderr "$@"
	[ "$status" = "$wanted" ] || { echo "exit status $status instead of $wanted from: $*; stderr: ${stderr-}" >&2; return 1; }
}

state()
{
	docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$1"
}

sleeper()
{
	docker run -d --name "$1" busybox:test sh -c 'trap "exit 3" TERM; trap "exit 4" INT; echo up; sleep 100 & wait' >/dev/null
	until [ -n "$(docker logs "$1")" ]; do :; done
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
	local name begun
	for name in cc dd ee; do
		docker run -d --name $name busybox:test sh -c 'trap "" TERM; sleep 100' >/dev/null
	done
	begun=$SECONDS
	equal $'cc\ndd\nee' "$(holm stop -t 2 cc dd ee)"
	[ $((SECONDS - begun)) -lt 6 ]
	equal 'exited 137' "$(state ee)"
	exits 125 holm stop -t soon cc
	contains "$stderr" '--time soon: give seconds'
	exits 125 holm stop
	exits 1 holm kill -s NOSIGNAL cc
	contains "$stderr" 'container "cc": Invalid signal'
}

@test "which machine: --machine and -n, else HOLM_MACHINE, else the default; one that is stopped boots" {
	docker create --name there busybox:test true >/dev/null
	exits 125 holm stop --machine nothing there
	contains "$stderr" 'no machine "nothing"'
	exits 125 env HOLM_MACHINE=nothing holm stop there
	contains "$stderr" HOLM_MACHINE
	equal "$DOCKER_HOST" "$(holm docker-host -n box)"
	holm machine stop box
	equal there "$(HOLM_MACHINE=nothing holm rm -n box there)"
	equal box "$(holm machine ls --format '{{if eq .state "running"}}{{.name}}{{end}}')"
}
