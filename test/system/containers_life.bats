#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# The life of containers by a stock docker client: restart, rename, top, files, events, policies.
load ../lib/holm

setup_file()
{
	[ "$(id -u)" != 0 ] || skip "machines of root have no containers"
	requires docker curl
	holm_begin
	create box busybox
	export SOCKET DOCKER_HOST DOCKER_CONFIG="$WORLD/docker"
	SOCKET=$(find "$XDG_RUNTIME_DIR" -name docker.sock)
	DOCKER_HOST=unix://$SOCKET
}

teardown_file()
{
	holm_end
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

# api METHOD PATH [curl option]...
api()
{
	local method=$1 path=$2
	shift 2
	command timeout 30 curl -sS --unix-socket "$SOCKET" -X "$method" "$@" "http://docker$path"
}

# status METHOD PATH [curl option]...: prints the status; the body is in $BATS_TEST_TMPDIR/answer.
status()
{
	api "$@" -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}'
}

@test "restart ends and starts a container, also one that does not run, or has --rm" {
	docker run -d --name again busybox:test sh -c 'trap "echo end; exit 3" TERM; echo begin; touch /ready; sleep 100 & wait' >/dev/null
	until docker exec again test -e /ready; do :; done
	docker exec again rm /ready
	docker restart again >/dev/null
	until docker exec again test -e /ready; do :; done
	equal $'begin\nend\nbegin' "$(docker logs again)"
	docker stop again >/dev/null
	docker restart -t 1 again >/dev/null
	equal running "$(docker inspect -f '{{.State.Status}}' again)"
	docker rm -f again >/dev/null
	docker run -d --rm --name once busybox:test sleep 100 >/dev/null
	docker restart -t 0 once >/dev/null
	equal running "$(docker inspect -f '{{.State.Status}}' once)"
	docker rm -f once >/dev/null
	exits 1 docker restart nothing
	contains "$stderr" 'No such container'
}

@test "rename: the new name finds it, the old one is free; a taken name is a conflict" {
	docker create --name old busybox:test true >/dev/null
	docker rename old new
	equal new "$(docker ps -a --format '{{.Names}}')"
	exits 1 docker inspect old
	docker create --name old busybox:test true >/dev/null
	equal 409 "$(status POST '/containers/old/rename?name=new')"
	contains "$(jq -r .message "$BATS_TEST_TMPDIR/answer")" 'is already in use'
	equal 400 "$(status POST '/containers/old/rename?name=')"
	equal 400 "$(status POST '/containers/old/rename?name=old')"
	equal 400 "$(status POST '/containers/old/rename?name=-bad')"
	equal 404 "$(status POST '/containers/nothing/rename?name=x1')"
	holm machine stop box
	holm machine start box
	equal $'new\nold' "$(docker ps -a --format '{{.Names}}' | sort)"
	docker rm old new >/dev/null
}

@test "top: the container's processes alone, with its own users; the columns that ps would have" {
	docker run -d --name busy -u daemon busybox:test sh -c 'sleep 100 & exec sleep 200' >/dev/null
	docker exec -d busy sleep 300
	until [ "$(docker top busy | wc -l)" = 4 ]; do :; done
	equal 'UID PID PPID C STIME TTY TIME CMD' "$(docker top busy | head -n 1 | xargs)"
	equal 'daemon sleep 100 daemon sleep 200 daemon sleep 300' "$(docker top busy | awk 'NR > 1 {print $1, $8, $9}' | sort | xargs)"
	equal 'PID USER' "$(docker top busy -eo pid,user | head -n 1 | xargs)"
	equal COMMAND "$(docker top busy aux | awk 'NR == 1 {print $NF}')"
	equal 400 "$(status GET '/containers/busy/top?ps_args=-eo%20nothing')"
	docker kill busy >/dev/null
	equal 409 "$(status GET /containers/busy/top)"
	docker rm busy >/dev/null
}
