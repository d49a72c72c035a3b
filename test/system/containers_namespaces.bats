#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Namespaces of containers: --userns, --ipc, --pid, --uts, --cgroupns, --privileged.
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

# create_with HOSTCONFIG [MEMBERS]: as a client without checks of its own; prints the id.
create_with()
{
	api POST /v1.51/containers/create -H 'Content-Type: application/json' \
		-d "{\"Image\":\"busybox:test\",\"Cmd\":[\"sh\",\"-c\",\"id -u; id -g; touch /mine; stat -c %u:%g /mine /etc/passwd\"]${2-},\"HostConfig\":$1}" | jq -r '.Id // .message'
}

# output_of ID: after its end; removes it.
output_of()
{
	docker start "$1" >/dev/null
	equal 0 "$(docker wait "$1")"
	docker logs "$1" | tr '\n' ' '
	docker rm "$1" >/dev/null
}

@test "--userns host and keep-id: the machine's ids, in files too; keep-id runs as the machine's user" {
	local id map
	id=$(create_with '{"UsernsMode":"host"}')
	equal 'host 0' "$(docker inspect -f '{{.HostConfig.UsernsMode}} {{len .Config.User}}' "$id")"
	equal '0 0 0:0 0:0 ' "$(output_of "$id")"
	id=$(create_with '{"UsernsMode":"keep-id"}' ',"WorkingDir":"/tmp","Cmd":["sh","-c","id -u; id -g; touch mine; stat -c %u:%g mine /etc/passwd"]')
	equal "$UID_ME $GID_ME $UID_ME:$GID_ME 0:0 " "$(output_of "$id")"
	id=$(create_with '{"UsernsMode":"keep-id"}' ',"User":"0:0"')
	equal '0 0 0:0 0:0 ' "$(output_of "$id")"
	map=$(docker run --rm --userns=host busybox:test cat /proc/self/uid_map)
	[ -z "$(awk '$1 && $1 != $2' <<<"$map")" ]
	contains "$(create_with '{"UsernsMode":"auto"}')" 'invalid user namespace (--userns) mode: auto'
	# Both forms of an image at a time, restarted, changed and committed.
	docker run -d --name own --userns=host busybox:test sh -c 'touch /own; exec sleep 1000' >/dev/null
	docker run --rm busybox:test true
	until_true 60 has_file own /own
	equal 'A /own' "$(docker diff own)"
	echo text >"$TMPDIR/file"
	docker cp "$TMPDIR/file" own:/file
	equal text "$(docker exec own cat /file)"
	equal 0 "$(docker exec own stat -c %u /own)"
	docker restart -t 0 own >/dev/null
	equal text "$(docker exec own cat /file)"
	contains "$(docker top own | tail -n +2)" root
	docker rm -f own >/dev/null
	rm "$TMPDIR/file"
}

@test "--privileged has every capability in its own user namespace alone, with --userns=host, too" {
	local mode
	for mode in '' --userns=host; do
		# shellcheck disable=SC2086
		docker run --rm --privileged $mode busybox:test mount -t tmpfs tmpfs /mnt
		# shellcheck disable=SC2086
		exits 1 docker run --rm --privileged $mode busybox:test sh -c 'echo 1 >/proc/sys/kernel/panic' 2>/dev/null
		# shellcheck disable=SC2086
		exits 1 docker run --rm --privileged $mode busybox:test sh -c 'mknod /x b 7 0' 2>/dev/null
	done
}

@test "--ipc shareable and container:NAME share queues and /dev/shm; private and none do not" {
	local id shm
	docker run -d --name donor --ipc shareable --shm-size 1m busybox:test sh -c 'echo shared >/dev/shm/file; exec sleep 1000' >/dev/null
	docker run -d --name alone busybox:test sleep 1000 >/dev/null
	until_true 60 has_file donor /dev/shm/file
	shm=$(docker run --rm --ipc container:donor busybox:test sh -c 'cat /dev/shm/file; df -k /dev/shm | tail -1 | awk "{print \$2}"; readlink /proc/self/ns/ipc')
	equal "shared 1024 $(docker exec donor readlink /proc/self/ns/ipc)" "$(xargs <<<"$shm")"
	exits 1 docker run --rm busybox:test test -e /dev/shm/file
	exits 1 docker run --rm --ipc none busybox:test sh -c 'grep -q " /dev/shm " /proc/mounts'
	exits 125 docker run --rm --ipc container:alone busybox:test true
	contains "$stderr" 'non-shareable IPC'
	exits 125 docker run --rm --ipc container:nobody busybox:test true
	contains "$stderr" 'No such container: nobody'
	exits 125 docker run --rm --ipc host busybox:test true
	contains "$stderr" "--ipc host: the machine's own IPC namespace is out of the engine's reach"
	id=$(docker create --ipc container:donor busybox:test true)
	equal "container:$(docker inspect -f '{{.Id}}' donor)" "$(docker inspect -f '{{.HostConfig.IpcMode}}' "$id")"
	docker rm -f donor >/dev/null
	exits 1 docker start "$id"
	contains "$stderr" 'cannot join the IPC namespace of a non running container'
	docker rm -f alone "$id" >/dev/null
}

# runs CONTAINER COMMAND: whether it is among the container's processes; runs_not: whether not.
runs()
{
	[[ "$(docker exec "$1" ps)" == *"$2"* ]]
}

runs_not()
{
	[[ "$(docker exec "$1" ps)" != *"$2"* ]]
}

@test "--pid container:NAME: its processes, also with --ipc and --network of the same container; --uts host" {
	docker run -d --name first --ipc shareable busybox:test sleep 1234 >/dev/null
	# A command is in the list only some time after the start, and after its end for a while.
	until_true 60 runs first 'sleep 1234'
	contains "$(docker run --rm --pid container:first busybox:test ps)" 'sleep 1234'
	contains "$(docker run --rm --pid container:first --ipc container:first --network container:first busybox:test ps)" 'sleep 1234'
	contains "$(docker run --rm --pid container:first --network none busybox:test sh -c 'ps; ls /sys/class/net')" lo
	contains "$(docker run --rm --pid container:first --network host busybox:test ps)" 'sleep 1234'
	# its other processes end with the first one, though it is not process 1 of the namespace
	equal 0 "$(docker wait "$(docker run -d --name rest --pid container:first busybox:test sh -c 'sleep 3456 & sleep 1')")"
	until_true 60 runs_not first 'sleep 3456'
	docker rm rest >/dev/null
	docker run -d --name second --pid container:first busybox:test sleep 2345 >/dev/null
	contains "$(docker exec second ps)" 'sleep 1234'
	docker kill first >/dev/null
	equal 137 "$(docker wait second)"
	docker rm -f first second >/dev/null
	exits 125 docker run --rm --pid host busybox:test true
	contains "$stderr" "--pid host: the machine's own processes are out of the engine's reach"
	equal "$(in_machine box hostname)" "$(docker run --rm --uts host busybox:test hostname)"
	exits 125 docker run --rm --uts host -h other busybox:test true
	contains "$stderr" 'conflicting options: hostname and the UTS mode'
}
