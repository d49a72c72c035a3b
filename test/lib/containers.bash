# SPDX-License-Identifier: Apache-2.0
# For files that test containers: a machine "box" with the image busybox:test, and a stock
# docker client on its docker.sock. shellcheck shell=bash

# For setup_file.
containers_begin()
{
	[ "$ISOLATION" = vm ] || [ "$(id -u)" != 0 ] || skip "native machines of root have no containers"
	requires docker curl
	holm_begin
	create box busybox "$@"
	export SOCKET DOCKER_HOST DOCKER_CONFIG="$WORLD/docker"
	SOCKET=$(find "$XDG_RUNTIME_DIR" -name docker.sock)
	DOCKER_HOST=unix://$SOCKET
}

docker()
{
	command timeout 120 docker "$@"
}

# The state of a container for until_true: its log, its files, its processes.
has_logs()
{
	equal "$2" "$(docker logs "$1" 2>&1)" 2>/dev/null
}

has_said()
{
	[ -n "$(docker logs "$1" 2>&1)" ]
}

has_file()
{
	docker exec "$1" test -e "$2"
}

is_status()
{
	[ "$(docker inspect -f '{{.State.Status}}' "$1")" = "$2" ]
}

# engine_of MACHINE: the number of its engine on the host, without a VM.
engine_of()
{
	local keeper pid
	keeper=$(keeper_of "$1") || return 1
	for pid in $(pgrep -x holm-engine); do
		! descends "$pid" "$keeper" || { echo "$pid"; return 0; }
	done
	return 1
}

# listens CONTAINER PORT: whether a TCP server in the container has the port.
listens()
{
	docker exec "$1" netstat -ltn | grep -q ":$2 "
}



# api METHOD PATH [curl option]...
api()
{
	local method=$1 path=$2
	shift 2
	command timeout 60 curl -sS --unix-socket "$SOCKET" -X "$method" "$@" "http://docker$path"
}
