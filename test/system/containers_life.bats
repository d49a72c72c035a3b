#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# The life of containers by a stock docker client: restart, rename, top, files, events, policies.
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

# status METHOD PATH [curl option]...: prints the status; the body is in $BATS_TEST_TMPDIR/answer.
status()
{
	api "$@" -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}'
}

@test "restart ends and starts a container, also one that does not run, or has --rm" {
	docker run -d --name again busybox:test sh -c 'trap "echo end; exit 3" TERM; echo begin; touch /ready; sleep 1000 & wait' >/dev/null
	until_true 60 has_file again /ready
	docker exec again rm /ready
	docker restart -t 60 again >/dev/null
	until_true 60 has_file again /ready
	until_true 60 has_logs again $'begin\nend\nbegin'
	docker stop again >/dev/null
	docker restart -t 1 again >/dev/null
	equal running "$(docker inspect -f '{{.State.Status}}' again)"
	docker rm -f again >/dev/null
	docker run -d --rm --name once busybox:test sleep 1000 >/dev/null
	docker restart -t 0 once >/dev/null
	equal running "$(docker inspect -f '{{.State.Status}}' once)"
	docker rm -f once >/dev/null
	# Files that go with their container are not synced; the mark of that stops no other start.
	docker create --rm --name brief busybox:test sh -c 'grep -c " / overlay .*volatile" /proc/mounts; cat /file' >/dev/null
	echo brought >"$BATS_TEST_TMPDIR/file"
	docker cp "$BATS_TEST_TMPDIR/file" brief:/file
	equal $'1\nbrought' "$(docker start -a brief)"
	equal 0 "$(docker run --name lasting busybox:test sh -c 'grep -c " / overlay .*volatile" /proc/mounts || true')"
	docker rm lasting >/dev/null
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
	docker run -d --name busy -u daemon busybox:test sh -c 'sleep 1000 & exec sleep 200' >/dev/null
	docker exec -d busy sleep 300
	# A shell is still one for a moment after its command is there.
	top_is()
	{
		[ "$(docker top busy | awk 'NR > 1 {print $1, $8, $9}' | sort | xargs)" = "$1" ]
	}
	until_true 60 top_is 'daemon sleep 1000 daemon sleep 200 daemon sleep 300'
	equal 'UID PID PPID C STIME TTY TIME CMD' "$(docker top busy | head -n 1 | xargs)"
	equal 'PID USER' "$(docker top busy -eo pid,user | head -n 1 | xargs)"
	equal COMMAND "$(docker top busy aux | awk 'NR == 1 {print $NF}')"
	equal 400 "$(status GET '/containers/busy/top?ps_args=-eo%20nothing')"
	docker kill busy >/dev/null
	equal 409 "$(status GET /containers/busy/top)"
	docker rm busy >/dev/null
}

@test "cp: files, trees and links in and out, of a running container and of one that never ran" {
	local what in="$TMPDIR/in" out="$TMPDIR/out"
	mkdir -p "$in/sub"
	echo one >"$in/one"
	head -c 3000000 /dev/urandom >"$in/sub/big"
	ln -s one "$in/link"
	chmod 4755 "$in/one"
	for what in created running; do
		if [ $what = created ]; then
			docker create --name files busybox:test sleep 1000 >/dev/null
		else
			docker start files >/dev/null
		fi
		docker cp "$in" files:/var
		docker cp "$in/one" files:/etc/renamed
		docker cp "$in/." files:/new
		rm -rf "$out"
		docker cp files:/var/in "$out"
		diff -r "$in" "$out"
		equal 4755 "$(stat -c %a "$out/one")"
		equal one "$(readlink "$out/link")"
		docker cp files:/etc/renamed "$out/back"
		equal one "$(cat "$out/back")"
		rm -rf "$out"
		docker cp files:/new/. "$out"
		diff -r "$in" "$out"
		equal one "$(docker cp -L files:/var/in/link - | tar -xO)"
		exits 1 docker cp files:/nothing "$out"
		equal 404 "$(status GET '/containers/files/archive?path=/nothing')"
		contains "$(jq -r .message "$BATS_TEST_TMPDIR/answer")" 'Could not find the file /nothing in container files'
		exits 1 docker cp "$in/one" files:/nothing/there
		exits 1 docker cp "$in" files:/etc/passwd
	done
	equal "$(sha256sum <"$in/sub/big")" "$(docker exec files sha256sum /var/in/sub/big | sed 's, .*,  -,')"
	docker rm -f files >/dev/null
	rm -rf "$in" "$out"
	# With Docker these are there from the creation on, in any image.
	local name
	docker create --name neveretc busybox:test true >/dev/null
	for name in hosts hostname resolv.conf; do
		docker cp neveretc:/etc/$name - | tar -t | grep -qx "$name"
	done
	run ! docker cp neveretc:/etc/other -
	docker rm neveretc >/dev/null
}

@test "cp: what a container and a client can write leads nowhere else; owners are the archive's" {
	local stat dir="$BATS_TEST_TMPDIR"
	docker run -d --name jail busybox:test sh -c 'mkdir -p /srv /tmp; ln -s / /root-link; ln -s ../../../../../../etc/hostname /up; ln -s /proc/1/root /magic; sleep 1000' >/dev/null
	until_true 60 docker exec jail test -L /magic
	equal "$(docker inspect -f '{{printf "%.12s" .Id}}' jail)" "$(docker cp -L jail:/up - | tar -xO)"
	# The name of an entry cannot lead out, nor a symlink in the archive.
	python3 -c '
import io, sys, tarfile
def add(t, name, **members):
    i = tarfile.TarInfo(name)
    for key, value in members.items():
        setattr(i, key, value)
    i.size = 4 if i.type == tarfile.REGTYPE else 0
    t.addfile(i, io.BytesIO(b"evil"))
with tarfile.open(sys.argv[1] + "/up.tar", "w") as t:
    add(t, "../../up-file")
with tarfile.open(sys.argv[1] + "/link.tar", "w") as t:
    add(t, "way", type=tarfile.SYMTYPE, linkname="../../../../../../../var")
    add(t, "way/landed", uid=33, gid=34, mode=0o640)
with tarfile.open(sys.argv[1] + "/device.tar", "w") as t:
    add(t, "device", type=tarfile.CHRTYPE, devmajor=1, devminor=1)' "$dir"
	equal 400 "$(status PUT '/containers/jail/archive?path=/tmp' --data-binary "@$dir/up.tar")"
	equal 200 "$(status PUT '/containers/jail/archive?path=/srv' --data-binary "@$dir/link.tar")"
	equal '33 34 640' "$(docker exec jail stat -c '%u %g %a' /var/landed)"
	equal 500 "$(status PUT '/containers/jail/archive?path=/srv' --data-binary "@$dir/device.tar")"
	equal 400 "$(status PUT '/containers/jail/archive?path=/srv' --data-binary 'no archive at all')"
	equal 400 "$(status PUT '/containers/jail/archive?path=/etc/passwd' --data-binary "@$dir/link.tar")"
	equal 404 "$(status PUT '/containers/jail/archive?path=/none' --data-binary "@$dir/link.tar")"
	equal 400 "$(status GET '/containers/jail/archive?path=')"
	equal 404 "$(status GET '/containers/nothing/archive?path=/')"
	exits 1 docker cp jail:/magic/etc "$dir/etc"
	# HEAD says what is there: a symlink and where it leads to.
	stat=$(api HEAD '/containers/jail/archive?path=/root-link' --head | tr -d '\r' | sed -n 's/^X-Docker-Container-Path-Stat: //p' | base64 -d)
	equal 'root-link / 134218239' "$(jq -r '"\(.name) \(.linkTarget) \(.mode)"' <<<"$stat")"
	equal '' "$(find /var/landed /up-file 2>/dev/null)"
	docker rm -f jail >/dev/null
	docker create --name jail --read-only busybox:test true >/dev/null
	equal 403 "$(status PUT '/containers/jail/archive?path=/srv' --data-binary "@$dir/link.tar")"
	docker rm jail >/dev/null
}

# events [docker option]...: "TYPE ACTION" of what has happened since $since, a line each.
events()
{
	docker events --since "$since" --until "$(date +%s.%N)" --format '{{.Type}} {{.Action}}' "$@"
}

@test "events: Docker's names and order, live and later, with filters and attributes" {
	local since id
	since=$(date +%s.%N)
	timeout 120 docker events --filter type=container --format '{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.k}}' >"$BATS_TEST_TMPDIR/live" 3>&- &
	local listener=$!
	is_heard()
	{
		docker create --name mark busybox:test true >/dev/null
		docker rm mark >/dev/null
		grep -q '^create mark' "$BATS_TEST_TMPDIR/live"
	}
	until_true 60 is_heard
	docker run --name told -l k=v busybox:test true
	docker rm told >/dev/null
	until_true 60 grep -q '^destroy told' "$BATS_TEST_TMPDIR/live"
	kill "$listener"
	wait "$listener" || true
	equal $'create told v\nattach told v\nstart told v\ndie told v\ndestroy told v' "$(grep ' told ' "$BATS_TEST_TMPDIR/live")"
	equal $'container create\ncontainer attach\ncontainer start\ncontainer die\ncontainer destroy' "$(events --filter container=told)"

	since=$(date +%s.%N)
	id=$(docker run -d --name told busybox:test sh -c 'trap "exit 5" TERM; touch /ready; sleep 1000 & wait')
	until_true 60 has_file told /ready
	equal $'exec_create: test -e /ready\nexec_start: test -e /ready\nexec_die' "$(events --filter container=told --filter event=exec_create --filter event=exec_start --filter event=exec_die | sed 's/^container //' | tail -n 3)"
	since=$(date +%s.%N)
	docker restart -t 60 told >/dev/null
	until_true 60 has_file told /ready
	docker rename told tales
	docker stop -t 60 tales >/dev/null
	docker rm tales >/dev/null
	equal 'kill die stop start restart rename kill die stop destroy' "$(events --filter container="$id" | sed 's/^container //' | grep -v ^exec_ | xargs)"
	equal 5 "$(docker events --since "$since" --until "$(date +%s.%N)" --filter event=die --format '{{.Actor.Attributes.exitCode}}' | tail -n 1)"
	equal 15 "$(docker events --since "$since" --until "$(date +%s.%N)" --filter event=kill --format '{{.Actor.Attributes.signal}}' | tail -n 1)"
	equal '' "$(events --filter label=k=other)"
	equal '' "$(events --filter image=other)"
	[ -n "$(events --filter image=busybox)" ]
	equal 400 "$(status GET '/events?filters=%7B%22nothing%22%3A%5B%5D%7D')"
	equal 400 "$(status GET '/events?filters=%7B')"
	# No client reaches what the keeper tells the engine.
	equal 404 "$(status POST /holm/event -d '{"Action":"pull","ID":"x"}' -H 'Content-Type: application/json')"
}

# restarts NAME: how often its policy has started it.
restarts()
{
	docker inspect -f '{{.RestartCount}}' "$1"
}

has_restarted()
{
	[ "$(restarts "$1")" -ge "$2" ]
}

@test "restart policies: on-failure:N ends, always goes on until it is stopped, with a growing delay" {
	local option
	docker run -d --name fails --restart on-failure:2 busybox:test sh -c 'echo run; exit 3' >/dev/null
	equal 3 "$(docker wait fails)" # of the first end
	until_true 60 has_restarted fails 2
	until_true 60 is_status fails exited
	equal 'exited 2' "$(docker inspect -f '{{.State.Status}} {{.RestartCount}}' fails)"
	equal $'run\nrun\nrun' "$(docker logs fails)"
	docker run -d --name well --restart on-failure busybox:test true >/dev/null
	equal 0 "$(docker wait well)"
	equal 0 "$(restarts well)"
	docker run -d --name always --restart always busybox:test true >/dev/null
	until_true 60 has_restarted always 3
	shows_restarting()
	{
		[[ "$(docker ps --filter name=always --format '{{.Status}}')" == *'Restarting (0)'* ]]
	}
	until_true 60 shows_restarting
	exits 1 docker rm always
	docker stop always >/dev/null
	equal 'exited false' "$(docker inspect -f '{{.State.Status}} {{.State.Restarting}}' always)"
	docker start always >/dev/null
	until_true 60 is_status always restarting
	docker rm -f always fails well >/dev/null
	# A kill by the container's own hand is no end that somebody asked for.
	docker run -d --name killed --restart unless-stopped busybox:test sh -c 'kill -9 $$' >/dev/null
	until_true 60 has_restarted killed 1
	docker rm -f killed >/dev/null
	for option in '--restart nothing' '--restart always:3' '--restart always --rm'; do
		# shellcheck disable=SC2086
		exits 125 docker run $option busybox:test true
	done
	equal 400 "$(status POST /containers/create -H 'Content-Type: application/json' -d '{"Image":"busybox:test","Cmd":["true"],"HostConfig":{"RestartPolicy":{"Name":"nothing"}}}')"
	equal '' "$(docker ps -aq)"
}

@test "restart policies hold over a stop and a start of the machine, without a client" {
	local name before
	for name in always unless-stopped on-failure no; do
		docker run -d --name "$name" --restart "$name" busybox:test sleep 1013 >/dev/null
		docker run -d --name "$name-stopped" --restart "$name" busybox:test sleep 1013 >/dev/null
	done
	docker create --name never --restart always busybox:test sleep 1013 >/dev/null
	docker stop -t 0 always-stopped unless-stopped-stopped on-failure-stopped no-stopped >/dev/null
	holm machine stop box
	before=$(date +%s.%N)
	holm machine start box
	until_true 60 pgrep -u "$UID_ME" -f 'sleep 1013' >/dev/null
	# The first answer comes when all run.
	equal $'always\nalways-stopped\non-failure\nunless-stopped' "$(docker ps --format '{{.Names}}' | sort)"
	equal $'always\nalways-stopped\non-failure\nunless-stopped' "$(docker events --since "$before" --until "$(date +%s.%N)" --filter event=start --format '{{.Actor.Attributes.name}}' | sort)"
	# shellcheck disable=SC2046
	docker rm -f $(docker ps -aq) >/dev/null
	# Nothing to start: no engine until somebody asks.
	holm machine stop box
	holm machine start box
	run ! engine_of box
	equal '' "$(docker ps -aq)"
	engine_of box
}

# caps [docker option]...: the effective capabilities of root, in hexadecimal.
caps()
{
	docker run --rm "$@" busybox:test sed -n 's/^CapEff:\t//p' /proc/self/status
}

@test "capabilities, their system calls, --privileged and --security-opt: everything within the user namespace" {
	local all
	all=$(printf '%016x' $(((1 << ($(cat /proc/sys/kernel/cap_last_cap) + 1)) - 1)))
	equal 00000000a82425fb "$(caps --cap-add SYS_ADMIN)"
	equal 00000000a82435fb "$(caps --cap-add sys_admin --cap-add CAP_NET_ADMIN)"
	equal 0000000000000400 "$(caps --cap-drop ALL --cap-add NET_BIND_SERVICE)"
	equal "$all" "$(caps --cap-add ALL)"
	equal "$all" "$(caps --privileged)"
	exits 125 docker run --rm --cap-add NOTHING busybox:test true
	contains "$stderr" 'unknown capability'
	docker run --rm --cap-add SYS_ADMIN busybox:test mount -t tmpfs tmpfs /mnt
	exits 1 docker run --rm --cap-add NET_ADMIN busybox:test mount -t tmpfs tmpfs /mnt
	docker run --rm --cap-add NET_ADMIN busybox:test ip link set lo mtu 1400
	docker run --rm --privileged busybox:test sh -c 'mount -t tmpfs tmpfs /mnt && unshare -U true && echo 1 >/proc/sys/net/ipv4/ip_forward'
	exits 1 docker run --rm busybox:test sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	docker run --rm --security-opt seccomp=unconfined busybox:test unshare -U true
	# Never more than the user namespace: the host's own stays out of reach.
	exits 1 docker run --rm --privileged busybox:test sh -c 'echo x >/proc/sys/kernel/hostname-of-nobody || mknod /tmp/disk b 8 0'
	exits 1 docker run --rm --privileged busybox:test sh -c 'echo 1 >/proc/sys/kernel/panic'
	docker run -d --name held busybox:test sleep 1000 >/dev/null
	equal "$all" "$(docker exec --privileged held sed -n 's/^CapEff:\t//p' /proc/self/status)"
	docker rm -f held >/dev/null
}

@test "--init, --ulimit, --sysctl, --shm-size, --group-add and --device" {
	equal '1 docker-init' "$(docker run --rm --init busybox:test sh -c 'cat /proc/1/comm | sed "s/^/1 /"')"
	exits 7 docker run --rm --init busybox:test sh -c 'exit 7'
	equal 127 "$(docker run --rm --init busybox:test nosuchprogram 2>/dev/null || echo $?)"
	docker run -d --name init --init busybox:test sh -c 'trap "exit 9" TERM; touch /ready; while :; do sleep 1; done' >/dev/null
	until_true 60 has_file init /ready
	# The init reaps orphans and passes a signal on.
	docker exec init sh -c '(sleep 0.1 &)'
	has_no_zombie()
	{
		[ -z "$(docker exec init sh -c 'grep -l "^State:.Z" /proc/[0-9]*/status' 2>/dev/null)" ]
	}
	until_true 60 has_no_zombie
	docker stop -t 60 init >/dev/null
	equal 9 "$(docker inspect -f '{{.State.ExitCode}}' init)"
	docker rm init >/dev/null
	equal '100 200' "$(docker run --rm --ulimit nofile=100:200 busybox:test sh -c 'echo $(ulimit -n) $(ulimit -Hn)')"
	exits 125 docker run --rm --ulimit nothing=1 busybox:test true
	equal 1 "$(docker run --rm --sysctl net.ipv4.ip_forward=1 busybox:test cat /proc/sys/net/ipv4/ip_forward)"
	equal 4096 "$(docker run --rm --sysctl kernel.msgmax=4096 busybox:test cat /proc/sys/kernel/msgmax)"
	exits 125 docker run --rm --sysctl kernel.panic=1 busybox:test true
	equal 65536 "$(docker run --rm busybox:test df -k /dev/shm | awk 'NR == 2 {print $2}')"
	equal 1024 "$(docker run --rm --shm-size 1m busybox:test df -k /dev/shm | awk 'NR == 2 {print $2}')"
	contains "$(docker run --rm --group-add 4321 busybox:test id -G)" 4321
	equal 'character special file' "$(docker run --rm --device /dev/null:/dev/nothing busybox:test stat -c %F /dev/nothing)"
	exits 125 docker run --rm --device /dev/nothing busybox:test true
	contains "$stderr" '/dev/nothing'
}

@test "a start and its wait are one request, and a command and its start" {
	local id
	docker create --name seven busybox:test sh -c 'exit 7' >/dev/null
	equal '{"StatusCode":7}' "$(api POST /containers/seven/run)"
	equal 400 "$(status POST '/containers/seven/run?condition=nothing')"
	equal 404 "$(status POST /containers/nosuch/run)"
	docker create --rm --name six busybox:test sh -c 'exit 6' >/dev/null
	equal '{"StatusCode":6}' "$(api POST '/containers/six/run?condition=removed')"
	equal 404 "$(status GET /containers/six/json)"
	docker create --name wrong busybox:test nosuchprogram >/dev/null
	equal 400 "$(status POST /containers/wrong/run)"
	contains "$(jq -r .message "$BATS_TEST_TMPDIR/answer")" 'executable file not found'
	docker run -d --name work busybox:test sleep 1000 >/dev/null
	equal said "$(api POST '/containers/work/exec?holmStart=1' -H 'Content-Type: application/json' -D "$BATS_TEST_TMPDIR/head" \
		-d '{"Cmd":["sh","-c","printf said; exit 5"],"AttachStdout":true,"Tty":true,"ConsoleSize":[30,90]}')"
	id=$(sed -n 's/^Holm-Exec: \([0-9a-f]*\)\r$/\1/p' "$BATS_TEST_TMPDIR/head")
	equal 5 "$(api GET "/exec/$id/json" | jq .ExitCode)"
	equal 404 "$(status POST '/containers/nosuch/exec?holmStart=1')"
	# One that runs already is only waited for.
	api POST /containers/work/run -v >"$BATS_TEST_TMPDIR/end" 2>"$BATS_TEST_TMPDIR/head" &
	until_true 60 grep -q '^< HTTP/1.1 200' "$BATS_TEST_TMPDIR/head"
	docker kill work >/dev/null
	wait $!
	equal '{"StatusCode":137}' "$(cat "$BATS_TEST_TMPDIR/end")"
	# A restart of one that was started so is answered when it runs, not at its end.
	docker create --name once busybox:test sleep 1000 >/dev/null
	api POST /containers/once/run >/dev/null &
	until_true 60 is_status once running
	equal 204 "$(status POST '/containers/once/restart?t=0')"
	docker rm -f once >/dev/null
	wait $!
	docker rm seven wrong work >/dev/null
}

@test "images: tag, history, rmi with its conflicts, events; images.json and ports.json follow the containers" {
	local since id file="$XDG_DATA_HOME/holm/machines/box/images.json" ports="$XDG_DATA_HOME/holm/machines/box/ports.json"
	since=$(date +%s.%N)
	id=$(docker images --no-trunc -q busybox:test)
	docker tag busybox:test other/name:1
	equal "$id" "$(docker images --no-trunc -q other/name:1)"
	exits 1 docker tag nothing:1 other:2
	equal 404 "$(status POST '/images/nothing/tag?repo=x&tag=y')"
	contains "$(docker history --no-trunc busybox:test)" '<missing>'
	equal 404 "$(status GET /images/nothing/history)"
	equal 'Untagged: other/name:1' "$(docker rmi other/name:1)"
	equal 404 "$(status DELETE /images/other/name:1)"
	# The keeper tells the engine beside its answer to the client.
	image_events()
	{
		[ "$(docker events --since "$since" --until "$(date +%s.%N)" --filter type=image --format '{{.Action}}')" = "$1" ]
	}
	until_true 60 image_events $'tag\nuntag'

	# An image of its own, in use and no more.
	docker tag busybox:test keep:1
	docker create --name user -p 127.0.0.9:9:80 keep:1 true >/dev/null
	equal 127.0.0.9:9:1 "$(jq -r '.allowed[]' "$ports")"
	docker rmi keep:1 >/dev/null
	equal 409 "$(status DELETE /images/busybox:test)"
	contains "$(jq -r .message "$BATS_TEST_TMPDIR/answer")" "container $(docker inspect -f '{{printf "%.12s" .Id}}' user) is using"
	equal "$id" "$(jq -r 'keys[]' "$file")"
	docker rm user >/dev/null
	# The engine is asked some seconds after the last container went.
	timeout 120 sh -c "until [ \"\$(jq length '$file')\" = 0 ]; do sleep 0.2; done"
	timeout 120 sh -c "until [ \"\$(jq '.allowed | length' '$ports')\" = 0 ]; do sleep 0.2; done"
	equal again "$(docker run --rm busybox:test echo again)"
	equal 400 "$(status POST '/images/prune?filters=%7B')"
	docker tag busybox:test keep:1
	contains "$(docker rmi "$id" 2>&1)" 'must be forced'
	docker rmi keep:1 >/dev/null
}

# refused TEXT IMAGE [-f]: docker, holm rmi and holm image rm all refuse in these words.
refused()
{
	local text=$1 image=$2 way
	shift 2
	for way in 'docker rmi' 'holm rmi' 'holm image rm'; do
		run $way "$@" "$image"
		[ "$status" != 0 ] || { echo "$way $* $image removed it" >&2; return 1; }
		contains "$output" "$text"
	done
	equal 409 "$(status DELETE "/images/$image?force=${1:+1}")"
	equal "$text" "$(jq -r .message "$BATS_TEST_TMPDIR/answer")"
}

@test "an image that containers have: a name goes by force, an identity not while one runs; by all ways" {
	requires native # the same code for a VM
	local hex container text
	# Another configuration makes an image of its own.
	docker create --name base busybox:test true >/dev/null
	docker commit -c 'LABEL used=yes' base used:1 >/dev/null
	docker rm base >/dev/null
	hex=$(docker images --no-trunc -q used:1)
	hex=${hex#sha256:}
	docker create --name user used:1 sleep 1000 >/dev/null
	container=$(docker inspect -f '{{printf "%.12s" .Id}}' user)
	refused "conflict: unable to remove repository reference \"used:1\" (must force) - container $container is using its referenced image ${hex:0:12}" used:1
	refused "conflict: unable to delete ${hex:0:12} (must be forced) - image is being used by stopped container $container" "${hex:0:12}"
	docker tag used:1 used:2
	refused "conflict: unable to delete ${hex:0:12} (must be forced) - image is referenced in multiple repositories" "${hex:0:12}"
	docker start user >/dev/null
	for text in '' -f; do
		refused "conflict: unable to delete ${hex:0:12} (cannot be forced) - image is being used by running container $container" "${hex:0:12}" $text
	done
	equal docker.io/library/used:2 "$(holm rmi used:2)"
	# The image of a running container stays, without a name, and no prune takes it.
	equal 'Untagged: used:1' "$(docker rmi -f used:1)"
	holm image prune >/dev/null
	equal '<none>:<none>' "$(docker images --format '{{.Repository}}:{{.Tag}}' -f dangling=true --no-trunc)"
	equal running "$(docker inspect -f '{{.State.Status}}' user)"
	# A container that does not run keeps its files, and no image.
	docker stop -t 0 user >/dev/null
	equal "Deleted: sha256:$hex" "$(docker rmi -f "$hex")"
	equal 0 "$(docker start user >/dev/null && echo $?)"
	docker rm -f user >/dev/null
}

is_health()
{
	[ "$(docker inspect -f '{{.State.Health.Status}}' "$1")" = "$2" ]
}

# The engine keeps 256 events, and a check is three.
health_events()
{
	docker events --since "$since" --until "$(date +%s.%N)" --filter event=health_status --format '{{.Action}}'
}

@test "health checks: starting, healthy and unhealthy in ps, inspect, filters and events; a check that takes too long" {
	local since
	since=$(date +%s.%N)
	docker run -d --name sick --health-cmd 'echo seen; test -e /well' --health-interval 100ms --health-retries 2 busybox:test sleep 1000 >/dev/null
	contains "$(docker ps --filter name=sick --format '{{.Status}}')" health
	until_true 60 is_health sick unhealthy
	equal 'health_status: unhealthy' "$(health_events)"
	contains "$(docker ps --filter health=unhealthy --format '{{.Names}} {{.Status}}')" '(unhealthy)'
	equal '1 seen' "$(docker inspect -f '{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}' sick)"
	since=$(date +%s.%N)
	docker exec sick touch /well
	until_true 60 is_health sick healthy
	equal 'health_status: healthy' "$(health_events)"
	equal sick "$(docker ps --filter health=healthy --format '{{.Names}}')"
	docker rm -f sick >/dev/null
	docker run -d --name slow --health-cmd 'sleep 50' --health-interval 100ms --health-timeout 200ms --health-retries 1 busybox:test sleep 1000 >/dev/null
	until_true 60 is_health slow unhealthy
	contains "$(docker inspect -f '{{range .State.Health.Log}}{{.Output}}{{end}}' slow)" 'exceeded timeout (200ms)'
	# The kernel ends a check that was killed in its own time.
	has_one_check()
	{
		[ -z "$(docker top slow | grep 'sleep 50' | tail -n +3)" ]
	}
	until_true 60 has_one_check
	docker rm -f slow >/dev/null
	docker run -d --name none --no-healthcheck busybox:test sleep 1000 >/dev/null
	equal '<nil>' "$(docker inspect -f '{{.State.Health}}' none)"
	docker rm -f none >/dev/null
	equal 400 "$(status POST /containers/create -H 'Content-Type: application/json' -d '{"Image":"busybox:test","Cmd":["true"],"Healthcheck":{"Test":["NOTHING","x"]}}')"
}

@test "update, container prune with filters, export, and the log driver local" {
	docker run -d --name up busybox:test sleep 1000 >/dev/null
	docker update --restart always up >/dev/null
	equal always "$(docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' up)"
	docker exec up kill -9 1 2>/dev/null || true
	equal 501 "$(status POST /containers/up/update -H 'Content-Type: application/json' -d '{"CpuRealtimePeriod":5}')"
	equal 400 "$(status POST /containers/up/update -H 'Content-Type: application/json' -d '{"RestartPolicy":{"Name":"x"}}')"
	equal 400 "$(status POST /containers/up/update -H 'Content-Type: application/json' -d '{')"
	docker create --name aa -l k=v busybox:test true >/dev/null
	docker create --name bb busybox:test true >/dev/null
	docker create --name cc busybox:test true >/dev/null
	docker container prune -f --filter label=k >/dev/null
	equal $'bb\ncc\nup' "$(docker ps -a --format '{{.Names}}' | sort)"
	docker container prune -f --filter until=1h >/dev/null
	equal $'bb\ncc\nup' "$(docker ps -a --format '{{.Names}}' | sort)"
	contains "$(docker container prune -f)" 'Deleted Containers'
	equal up "$(docker ps -a --format '{{.Names}}')"
	equal 400 "$(status POST '/containers/prune?filters=%7B%22nothing%22%3A%5B%5D%7D')"
	docker exec up sh -c 'echo exported >/file'
	equal exported "$(docker export up | tar -xO file)"
	[ "$(docker export up | tar -t | grep -c '^proc/.')" = 0 ]
	docker rm -f up >/dev/null
	equal local "$(docker run --rm -d --log-driver local --name quiet busybox:test sh -c 'echo kept; sleep 1000' >/dev/null; docker inspect -f '{{.HostConfig.LogConfig.Type}}' quiet)"
	until_true 60 has_said quiet
	equal kept "$(docker logs quiet)"
	docker rm -f quiet >/dev/null
}

@test "save and load: an archive of images, by one name or several, goes through and comes back" {
	local file="$BATS_TEST_TMPDIR/images.tar" id
	id=$(docker images --no-trunc -q busybox:test)
	docker tag busybox:test saved:1
	docker save -o "$file" saved:1 busybox:test
	docker save saved:1 | tar -t | grep -q manifest.json
	docker rmi saved:1 >/dev/null
	contains "$(docker load -i "$file")" 'Loaded image: saved:1'
	equal "$id" "$(docker images --no-trunc -q saved:1)"
	docker rmi saved:1 >/dev/null
	gzip -k "$file"
	contains "$(docker load <"$file.gz")" saved:1
	equal 404 "$(status GET /images/nothing/get)"
	equal 404 "$(status GET '/images/get?names=busybox:test&names=nothing')"
	exits 1 docker load <<<'no archive'
	docker rmi saved:1 >/dev/null
	id=$(docker commit "$(docker create busybox:test true)")
	docker save "$id" >"$file"
	docker rmi "$id" >/dev/null
	equal "Loaded image ID: $id" "$(docker load <"$file")"
	equal '<none>' "$(docker images --no-trunc --format '{{.ID}} {{.Tag}}' | awk -v "id=$id" '$1 == id {print $2}')"
	equal "$id" "$(holm image load <"$file")"
	docker rmi "$id" >/dev/null
	docker rm "$(docker ps -lq)" >/dev/null
}
