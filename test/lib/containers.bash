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

# Whether there are no containers: a client's own removal may go on after its answer.
no_containers()
{
	[ -z "$(docker ps -aq)" ]
}

# actions_until CONTAINER ACTION: prints its events up to this one, for which it waits.
actions_until()
{
	local fd action
	exec {fd}< <(exec timeout 60 docker events --since 1 --filter "container=$1" --format '{{.Action}}')
	while read -r -u "$fd" action; do
		printf '%s ' "$action"
		[ "$action" != "$2" ] || break
	done
	kill $! 2>/dev/null || true
	exec {fd}<&-
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

# ports_of_containers: the keeper's TCP listeners, except those that opened by themselves for the
# httpd of the machine's own image (8080).
ports_of_containers()
{
	ss -Hltnp | grep "pid=$(keeper_of box)," | grep -v ':8080 '
}

# nothing_left: of containers in "box": files, runs, cgroups, interfaces, mounts, processes, ports.
# What is left is said on stderr.
nothing_left()
{
	local engine inside
	engine=$(engine_of box)
	inside=(nsenter --user --mount --net --target "$engine" --setuid 0 --setgid 0)
	equal '' "$(find "$XDG_DATA_HOME/holm/machines/box/containers" -mindepth 1 -maxdepth 1 ! -name volumes)"
	equal '' "$("${inside[@]}" find /run/containers /run/crun -mindepth 1 2>/dev/null)"
	equal '' "$("${inside[@]}" ls /sys/class/net | grep veth)"
	equal '' "$(grep ' /run/containers/' "/proc/$engine/mountinfo")"
	equal '' "$(world_cgroups | grep -E '/[0-9a-f]{64}$')"
	equal '' "$(ports_of_containers)"
	equal 'holm-engine' "$(cat "/proc/$(awk '/^PPid:/ { print $2 }' "/proc/$engine/status")/task/"*/children | xargs -n 1 sh -c 'cat "/proc/$0/comm"')"
}

# The same in a VM: in the folder of the containers, and outside of the machine.
nothing_left_in_vm()
{
	equal '' "$(as_root box ls -A /var/lib/holm/storage | grep -vx volumes)"
	equal '' "$(as_root box ls /sys/class/net | grep veth)"
	equal '' "$(outside left <<-'END'
		$b find /sys/fs/cgroup/holm-containers -mindepth 1 -type d ! -name engine
		for process in /proc/[0-9]*; do
			read -r line <"$process/cmdline"
			case $line in *exe--engine*) $b grep ' /run/containers/' "$process/mountinfo"; $b ls "$process/root/run/containers" ;; esac
		done
	END
	)"
	equal '' "$(ports_of_containers)"
}

is_nothing_left()
{
	if [ "$ISOLATION" = native ]; then nothing_left; else nothing_left_in_vm; fi 2>"$BATS_TEST_TMPDIR/left"
	[ ! -s "$BATS_TEST_TMPDIR/left" ]
}

# Waits until nothing is left of any container.
nothing_stays_of_containers()
{
	until_true 60 is_nothing_left || { cat "$BATS_TEST_TMPDIR/left" >&2; return 1; }
}

# api METHOD PATH [curl option]...
api()
{
	local method=$1 path=$2
	shift 2
	command timeout 60 curl -sS --unix-socket "$SOCKET" -X "$method" "$@" "http://docker$path"
}
