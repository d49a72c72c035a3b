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
	command timeout 60 docker "$@"
}

# exits STATUS COMMAND...: leaves its stderr in $stderr.
exits()
{
	local wanted=$1
	shift
	run --separate-stderr "$@"
	# shellcheck disable=SC2154 # bats sets it
	[ "$status" = "$wanted" ] || { echo "exit status $status instead of $wanted from: $*; stderr: ${stderr-}" >&2; return 1; }
}

# api METHOD PATH [curl option]...
api()
{
	local method=$1 path=$2
	shift 2
	command timeout 30 curl -sS --unix-socket "$SOCKET" -X "$method" "$@" "http://docker$path"
}
