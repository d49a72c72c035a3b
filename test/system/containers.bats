#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Containers in a machine, by a stock docker client on the machine's docker.sock.
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

# on_storage COMMAND...: in the folder with the containers' files, wherever the machine has it.
on_storage()
{
	if [ "$ISOLATION" = vm ]; then
		as_root box sh -c 'cd /var/lib/holm/storage && exec "$@"' sh "$@"
	else
		(cd "$XDG_DATA_HOME/holm/machines/box/containers" && exec "$@")
	fi
}

@test "docker.sock is the user's alone; ping and version say who answers, with any served version in front" {
	local path
	equal "600 $UID_ME" "$(stat -c '%a %u' "$SOCKET")"
	for path in /_ping /v1.24/_ping /v1.51/_ping; do
		equal OK "$(api GET "$path")"
		contains "$(api GET "$path" -i)" 'Api-Version: 1.51'
	done
	contains "$(api HEAD /_ping --head)" 'Builder-Version: 1'
	equal '1.51 1.24 linux' "$(api GET /version | jq -r '"\(.ApiVersion) \(.MinAPIVersion) \(.Os)"')"
	contains "$(api GET /v1.99/info | jq -r .message)" 'too new'
	contains "$(api GET /v1.12/info | jq -r .message)" 'too old'
	contains "$(api GET /v1.51/nothing | jq -r .message)" 'page not found'
	contains "$(api GET /v1.51/containers/nothing/json -i)" 'Api-Version: 1.51'
	equal box "$(docker info --format '{{.OperatingSystem}}' | sed 's/^holm .*/box/')"
}

@test "run --rm: output, arguments, exit statuses, and nothing stays" {
	equal hello "$(docker run --rm busybox:test echo hello)"
	equal '[a b][][*]' "$(docker run --rm busybox:test printf '[%s]' 'a b' '' '*')"
	exits 7 docker run --rm busybox:test sh -c 'exit 7'
	exits 137 docker run --rm busybox:test sh -c 'sleep 60 & kill -9 $!; wait $!'
	exits 127 docker run --rm busybox:test nosuchprogram
	contains "$stderr" nosuchprogram
	exits 126 docker run --rm busybox:test /etc
	equal '' "$(docker run --rm busybox:test sh -c 'echo err >&2' 2>/dev/null)"
	equal '' "$(docker ps -aq)"
	equal '' "$(on_storage ls)"
}

@test "stdin: bytes as they are, its end, and a client that sends none" {
	local sum
	head -c 5000000 /dev/urandom >"$TMPDIR/bytes"
	sum=$(sha256sum <"$TMPDIR/bytes")
	equal "$sum" "$(docker run --rm -i busybox:test cat <"$TMPDIR/bytes" | sha256sum)"
	equal '' "$(docker run --rm -i busybox:test cat </dev/null)"
	equal '' "$(echo lost | docker run --rm busybox:test cat)"
	rm "$TMPDIR/bytes"
}

@test "root in a container is the machine's user; the machine's root is in none; Docker's rights and no more" {
	local out
	out=$(docker run --rm busybox:test sh -c 'cat /proc/self/uid_map' | tr -s ' ')
	contains "$out" "0 $UID_ME 1"
	[ -z "$(awk '$2 == 0' <<<"$out")" ]
	equal 00000000a80425fb "$(docker run --rm busybox:test sed -n 's/^CapBnd:\t//p' /proc/self/status)"
	equal 0000000000000000 "$(docker run --rm --cap-drop ALL busybox:test sed -n 's/^CapEff:\t//p' /proc/self/status)"
	equal 0000000000000000 "$(docker run --rm -u 1 busybox:test sed -n 's/^CapEff:\t//p' /proc/self/status)"
	exits 125 docker run --rm -u 4294967295 busybox:test true
	contains "$stderr" 'must be in range'
	exits 125 docker run --rm -u 0:70000 busybox:test true
	contains "$stderr" 'gid 70000 is not among those of containers; choose one from 0 to 65535'
	equal 2 "$(docker run --rm busybox:test sed -n 's/^Seccomp:\t//p' /proc/self/status)"
	exits 1 docker run --rm busybox:test unshare -U true
	exits 1 docker run --rm busybox:test mount -t tmpfs tmpfs /mnt
	exits 1 docker run --rm busybox:test sh -c 'echo 1 >/proc/sysrq-trigger'
	exits 1 docker run --rm --read-only busybox:test touch /x
	# An image's trees cannot be written to, by nobody.
	docker run --rm busybox:test rm -rf /bin/busybox
	equal again "$(docker run --rm busybox:test echo again)"
}

@test "-u, -w, -e, --entrypoint, --hostname, --name and labels" {
	equal "$(docker run --rm busybox:test sh -c 'grep ^daemon: /etc/passwd | cut -d: -f3,4')" "$(docker run --rm -u daemon busybox:test sh -c 'echo $(id -u):$(id -g)')"
	equal 1234:99 "$(docker run --rm -u 1234:99 busybox:test sh -c 'echo $(id -u):$(id -g)')"
	exits 125 docker run --rm -u nobody-has-this busybox:test true
	# Images log to /dev/stdout by its name (nginx).
	equal named "$(docker run --rm busybox:test sh -c 'echo named >/dev/stdout')"
	equal named "$(docker run --rm -u 1234:99 busybox:test sh -c 'echo named >/dev/stderr' 2>&1)"
	equal /tmp/new/place "$(docker run --rm -w /tmp/new/place busybox:test pwd)"
	equal '1 two words' "$(docker run --rm -e A=1 -e 'B=two words' busybox:test sh -c 'echo $A $B')"
	equal 'a b' "$(docker run --rm --entrypoint echo busybox:test a b)"
	equal here "$(docker run --rm -h here busybox:test hostname)"
	docker create --name named -l k=v busybox:test true >/dev/null
	equal 'named v' "$(docker ps -a --filter label=k=v --format '{{.Names}} {{.Label "k"}}')"
	equal '' "$(docker ps -aq --filter label=k=other)"
	exits 1 docker create --name named busybox:test true
	contains "$stderr" 'is already in use'
	docker rm named
}

@test "an option that the engine does not honour is an error that names it" {
	exits 1 docker create --runtime other busybox:test true
	contains "$stderr" 'not supported by holm'
	exits 125 docker run --rm --network container:x busybox:test true
	equal '' "$(docker ps -aq)"
}

# in_terminal COMMAND...: with 30 rows and 90 columns; prints what comes, without carriage returns.
in_terminal()
{
	python3 -c '
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
text = b""
try:
    while piece := os.read(fd, 65536):
        text += piece
except OSError:
    pass
sys.stdout.buffer.write(text.replace(b"\r", b""))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))' "$@"
}

@test "-t: a terminal of the right size, for run and exec; its statuses, and its log without frames" {
	requires python3
	local id size='until s=$(stty size 2>/dev/null) && [ "$s" ]; do :; done; echo "$s"' # clients before 1.42 send the size after the start
	equal $'30 90\n/dev/pts/0\nxterm\nto\n1000:5 620' "$(in_terminal timeout 60 docker run --rm -it -u 1000 busybox:test sh -c \
		"$size; tty; echo \$TERM; echo to >/dev/console; stat -c '%u:%g %a' /dev/pts/0; : </dev/tty")"
	docker run -d --name first busybox:test sleep 1000 >/dev/null
	equal $'30 90\n/dev/pts/0\n100\nto' "$(in_terminal timeout 60 docker run --rm -it --pid container:first --ulimit nofile=100:200 \
		busybox:test sh -c "$size; tty; ulimit -n; echo to >/dev/console")"
	docker rm -f first >/dev/null
	id=$(api POST /v1.51/containers/create -H 'Content-Type: application/json' \
		-d '{"Image":"busybox:test","Cmd":["stty","size"],"Tty":true,"HostConfig":{"ConsoleSize":[31,91]}}' | jq -r .Id)
	docker start "$id" >/dev/null
	equal 0 "$(docker wait "$id")"
	equal $'31 91\r' "$(docker logs "$id")"
	docker rm "$id" >/dev/null
	exits 9 in_terminal timeout 60 docker run --rm -it busybox:test sh -c 'exit 9'
	exits 126 in_terminal timeout 60 docker run --rm -it busybox:test /etc
	exits 127 in_terminal timeout 60 docker run --rm -it busybox:test nosuchprogram
	docker run -d -t --ulimit core=0 --name term busybox:test sh -c 'echo logged; sleep 1000' >/dev/null
	# holm's own starter has started it; crun keeps a state of each container.
	[ "$ISOLATION" = vm ] || equal '' "$(nsenter --user --mount --target "$(engine_of box)" --setuid 0 --setgid 0 ls /run/crun)"
	equal '30 90' "$(in_terminal timeout 60 docker exec -it term sh -c "$size")"
	exits 3 in_terminal timeout 60 docker exec -it term sh -c 'exit 3'
	exits 127 in_terminal timeout 60 docker exec -it term nosuchprogram
	until_true 60 has_said term
	equal $'logged\r' "$(docker logs term)"
	docker rm -f term >/dev/null
}

# rights PID: what a process of the container may do, as the process itself sees it, one line each.
rights()
{
	cat <<-'END'
		cd "/proc/$1"
		grep -E "^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters):" status
		cat limits cgroup
		for n in user mnt pid ipc uts net cgroup; do readlink "ns/$n"; done
		readlink root
	END
}

@test "exec: as confined as the first process, and with nothing of the engine" {
	local options
	for options in '' '-t --privileged' '-t -u 33:34 --group-add 35 --cap-drop CHOWN' '--cap-add SYS_PTRACE --security-opt no-new-privileges' \
		'--network none --security-opt seccomp=unconfined --ulimit nofile=100:200 --ulimit core=0'; do
		# shellcheck disable=SC2086 # several words
		docker run -d --name same $options busybox:test sleep 1000 >/dev/null
		docker exec same sh -c "$(rights)" sh 1 >"$BATS_TEST_TMPDIR/first"
		docker exec same sh -c "$(rights)" sh self >"$BATS_TEST_TMPDIR/further"
		diff "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/further"
		# The fourth is the directory itself.
		equal '0 1 2 3' "$(docker exec same ls /proc/self/fd | xargs)"
		equal '/ 0022' "$(docker exec same sh -c 'echo $(pwd) $(umask)')"
		docker rm -f same >/dev/null
	done
	docker run -d --name other --privileged busybox:test sh -c 'mkdir /sys/fs/cgroup/own && echo 1 >/sys/fs/cgroup/own/cgroup.procs; echo ready; exec sleep 1000' >/dev/null
	until_true 60 has_said other
	docker exec other true
	# A file in the place of the kernel's terminals is refused.
	docker exec other sh -c 'echo x >/file && mount --bind /file /dev/pts/ptmx'
	exits 126 docker exec -t other true
	contains "$output$stderr" 'cannot make a terminal in the container'
	docker rm -f other >/dev/null
}

@test "exec: a user, a directory, a stream by its name, and why there is no command" {
	docker run -d --name errors busybox:test sleep 1000 >/dev/null
	equal '33:34' "$(docker exec -u 33:34 errors sh -c 'echo $(id -u):$(id -g) >/dev/stdout')"
	equal '/tmp' "$(docker exec -w /tmp errors pwd)"
	exits 126 docker exec -u nobody-has-this errors true
	contains "$output$stderr" 'unable to find user nobody-has-this'
	exits 126 docker exec -w /nowhere errors true
	contains "$output$stderr" 'chdir to cwd ("/nowhere")'
	exits 126 docker exec errors /etc
	contains "$output$stderr" 'OCI runtime exec failed: exec failed: unable to start container process: exec: "/etc": Permission denied'
	exits 127 docker exec errors nosuchprogram
	contains "$output$stderr" 'exec: "nosuchprogram": executable file not found in $PATH'
	exits 127 docker exec errors /no/such
	contains "$output$stderr" 'exec: "/no/such": No such file or directory'
	# A detached command says it in the answer.
	exits 1 docker exec -d errors nosuchprogram
	contains "$stderr" 'executable file not found in $PATH'
	docker rm -f errors >/dev/null
}

# has_lines CONTAINER COUNT: in its log.
has_lines()
{
	[ "$(docker logs "$1" 2>&1 | wc -l)" = "$2" ]
}

@test "-d, ps, logs, exec, inspect, stop, start, wait, kill, rm" {
	local id
	id=$(docker run -d --name web busybox:test sh -c 'trap "echo stopped; exit 3" TERM; echo one; echo two >&2; sleep 1000 & wait')
	until_true 60 has_lines web 2
	equal "${id:0:12} web" "$(docker ps --format '{{.ID}} {{.Names}}')"
	equal one "$(docker logs web 2>/dev/null)"
	equal two "$(docker logs --tail 1 web 2>&1)"
	contains "$(docker logs -t web 2>/dev/null)" "$(date -u +%Y-)"
	equal "${id:0:12}" "$(docker exec web hostname)"
	equal fed "$(echo fed | docker exec -i web cat)"
	exits 5 docker exec web sh -c 'exit 5'
	exits 127 docker exec web nosuchprogram
	equal 'running true' "$(docker inspect -f '{{.State.Status}} {{.State.Running}}' web)"
	exits 1 docker rm web
	contains "$stderr" 'is running'
	docker stop -t 60 web >/dev/null
	equal 'exited 3' "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "${id:0:7}")"
	equal stopped "$(docker logs --tail 1 web)"
	equal 3 "$(docker wait web)"
	docker start web >/dev/null
	docker kill web >/dev/null
	equal 137 "$(docker wait web)"
	docker rm web >/dev/null
	exits 1 docker inspect web
}

@test "logs -f ends with the container; a flood is bounded and whole" {
	docker run -d --name flood --log-opt max-size=200k --log-opt max-file=3 busybox:test sh -c 'i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done' >/dev/null
	docker wait flood >/dev/null
	equal 'line 19999' "$(docker logs -f flood | tail -n 1)"
	[ "$(on_storage sh -c 'du -k */json.log*' | awk '{n+=$1} END {print n+0}')" -le 700 ]
	docker rm flood >/dev/null
	docker run -d --name tick busybox:test sh -c 'echo a; sleep 1; echo b' >/dev/null
	equal $'a\nb' "$(docker logs -f tick)"
	docker rm tick >/dev/null
}

@test "networks: each container has an address on the bridge; none, and the machine's" {
	local address
	docker run -d --name server busybox:test nc -ll -p 8000 -e echo served >/dev/null
	address=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' server)
	contains "$address" 172.
	contains "$(docker exec server ip -4 addr show eth0)" "$address/16"
	until_true 60 listens server 8000
	equal served "$(docker run --rm busybox:test timeout 60 nc "$address" 8000 </dev/null)"
	equal lo "$(docker run --rm --network none busybox:test sh -c 'ls /sys/class/net')"
	equal "$(holm machine run -n box readlink /proc/self/ns/net)" "$(docker run --rm --network host busybox:test readlink /proc/self/ns/net)"
	docker rm -f server >/dev/null
}

@test "containers stay when the machine stops and starts; they get their stop signal" {
	docker run -d --name kept busybox:test sh -c 'trap "echo bye; exit 4" TERM; echo x >/file; sleep 1000 & wait' >/dev/null
	until_true 60 docker exec kept test -s /file
	holm machine stop box
	[ "$ISOLATION" = native ] || holm machine clone box copy
	holm machine start box
	equal 'exited 4' "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' kept)"
	equal bye "$(docker logs kept)"
	docker start kept >/dev/null
	equal x "$(docker exec kept cat /file)"
	docker rm -f kept >/dev/null
	# In a VM they are on the machine's disk.
	[ "$ISOLATION" = vm ] || return 0
	holm machine stop box
	equal 'exited 4' "$(DOCKER_HOST=$(holm docker-host --machine copy --start) docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' kept)"
	DOCKER_HOST=$(holm docker-host --machine copy) docker start kept >/dev/null
	equal x "$(DOCKER_HOST=$(holm docker-host --machine copy) docker exec kept cat /file)"
	holm machine rm --force copy
	holm machine start box
}

@test "in a VM an image is one disk, read-only, for all its containers; it goes some time after the last one" {
	requires vm
	local before
	disks()
	{
		as_root box sh -c 'ls /sys/bus/scsi/devices | grep -c ^0:'
	}
	has_disks()
	{
		[ "$(disks)" = "$1" ]
	}
	# A container keeps its image's disk.
	docker run --name holds busybox:test true
	before=$(disks)
	docker run --rm busybox:test true
	equal "$before" "$(disks)"
	equal '0 0 4755' "$(docker run --name last no-init:test sh -c 'chmod 4755 /bin/busybox; stat -c "%u %g %a" /bin/busybox')"
	equal "$((before + 1))" "$(disks)"
	equal 1 "$(as_root box sh -c 'cat /sys/block/sd*/ro | sort -u')"
	# Root is the machine's user, and nobody else is anybody of the machine's.
	docker create --name owners busybox:test sh -c 'touch /a /b; chown 1 /b' >/dev/null
	docker start -a owners
	equal "$UID_ME 1879048193" "$(as_root box sh -c 'stat -c %u /var/lib/holm/storage/*/upper/a /var/lib/holm/storage/*/upper/b' | xargs)"
	docker rm owners last >/dev/null
	until_true 120 has_disks "$before"
	equal back "$(docker run --rm no-init:test echo back)"
	docker rm holds >/dev/null
}

@test "hostile requests are refused, and records that root in the machine writes" {
	local body
	for body in '' '[]' '{' '{"Image":7}' '{"Image":"-x"}' '{"Image":""}' '{"Image":"busybox:test","Cmd":{"a":1}}'; do
		equal 400 "$(api POST /containers/create -H 'Content-Type: application/json' -d "$body" -o "$TMPDIR/answer" -w '%{http_code}')"
		[ -n "$(jq -r .message "$TMPDIR/answer")" ]
	done
	# The image is the keeper's to name.
	body='{"Image":"busybox:test","Cmd":["true"],"HolmImage":{"id":"sha256:0000000000000000000000000000000000000000000000000000000000000000","config":{}}}'
	equal 201 "$(api POST '/containers/create?name=other' -H 'Content-Type: application/json' -d "$body" -o "$TMPDIR/answer" -w '%{http_code}')"
	equal "$(docker images --no-trunc -q busybox:test)" "$(docker inspect -f '{{.Image}}' other)"
	docker rm other >/dev/null
	rm "$TMPDIR/answer"
	holm machine run -n box --root sh -c 'cd /var/lib/holm/containers && for i in 1 2; do echo "{}" >$(printf "%064d" $i); done; ln -s /etc/passwd $(printf "%064d" 3); mkfifo $(printf "%064d" 4)'
	holm machine stop box
	holm machine start box
	equal '' "$(docker ps -aq)"
	equal well "$(docker run --rm busybox:test echo well)"
}

@test "the status of a command stays when its container has ended with it; another one does not begin" {
	local id other
	new_exec()
	{
		api POST /containers/brief/exec -H 'Content-Type: application/json' -d '{"Cmd":["sh","-c","echo $$ >/pid && mv /pid /go"],"AttachStdout":true}' | sed 's/.*"Id":"\([0-9a-f]*\)".*/\1/'
	}
	# The container ends once the command has exited: before, it would kill the command.
	docker run -d --name brief busybox:test sh -c 'until [ -e /go ]; do usleep 10000; done
		while grep -q " [RSD] " "/proc/$(cat /go)/stat" 2>/dev/null; do usleep 10000; done' >/dev/null
	id=$(new_exec)
	other=$(new_exec)
	api POST "/exec/$id/start" -H 'Content-Type: application/json' -d '{}' -o /dev/null
	docker wait brief >/dev/null
	contains "$(api GET "/exec/$id/json")" '"ExitCode":0'
	equal 409 "$(api POST "/exec/$other/start" -H 'Content-Type: application/json' -d '{}' -o /dev/null -w '%{http_code}')"
	docker rm brief >/dev/null
	equal 404 "$(api GET "/exec/$id/json" -o /dev/null -w '%{http_code}')"
}
