#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: vm
# The subset of the other files of containers that runs in a VM: short cases in one machine,
# beside containers.bats and three cases of networks.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
	holm machine set-default box
	docker run -d --name web -v www:/www busybox:test sh -c 'echo up; trap "exit 7" TERM; httpd -p 80 -h /www; while :; do sleep 1; done'
}

teardown_file()
{
	holm_end
}

setup()
{
	H=$(mktemp -d "$HOME/vm.XXXX")
}

teardown()
{
	rm -rf "$H"
}

run_in()
{
	docker run --rm "$@"
}

# --- mounts ---------------------------------------------------------------------------------------

@test "vm: -v of a directory in the home: both ways, the user's, read-only; a path outside says how to share it" {
	echo host >"$H/file"
	equal host "$(run_in -v "$H:/data" busybox:test sh -c 'cat /data/file; echo inside >/data/new')"
	equal "inside $UID_ME" "$(cat "$H/new") $(stat -c %u "$H/new")"
	exits 1 run_in -v "$H:/data:ro" busybox:test touch /data/no
	exits 125 run_in -v /usr:/data busybox:test true
	contains "$stderr" 'holm machine mount add'
}

@test "vm: an absent path: -v makes it, --mount refuses" {
	run_in -v "$H/deep/er:/data" busybox:test touch /data/x
	[ -e "$H/deep/er/x" ]
	exits 125 run_in --mount "type=bind,source=$H/nothing,target=/data" busybox:test true
	contains "$stderr" 'bind source path does not exist'
}

@test "vm: holm's own folders are in no container" {
	local path
	for path in "$XDG_DATA_HOME/holm" "$XDG_DATA_HOME/holm/machines" "$XDG_RUNTIME_DIR/holm"; do
		exits 125 run_in -v "$path:/data" busybox:test true
	done
}

@test "vm: a volume is kept, shared, filled from the image, in use, removed" {
	docker volume create --label k=v data >/dev/null
	run_in -v data:/data busybox:test sh -c 'echo kept >/data/file'
	equal kept "$(run_in -v data:/other busybox:test cat /other/file)"
	equal data "$(docker volume ls -q -f label=k=v)"
	run_in -v etc:/etc busybox:test grep -q root /etc/passwd
	exits 1 docker volume rm www
	contains "$stderr" 'in use'
	docker volume rm data etc >/dev/null
}

@test "vm: tmpfs and /dev/shm have their options and sizes" {
	contains "$(run_in --tmpfs /t:size=1m,mode=700 busybox:test grep ' /t ' /proc/mounts)" 'size=1024k,mode=700'
	contains "$(run_in busybox:test grep ' /dev/shm ' /proc/mounts)" 'size=65536k'
}

# --- files ----------------------------------------------------------------------------------------

@test "vm: cp goes both ways, with a container that runs and with one that never ran" {
	mkdir "$H/tree"
	echo one >"$H/tree/file"
	chmod 640 "$H/tree/file"
	ln -s file "$H/tree/link"
	docker cp "$H/tree" web:/opt-tree
	equal 'one file 640' "$(docker exec web sh -c 'cat /opt-tree/link; readlink /opt-tree/link; stat -c %a /opt-tree/file' | xargs)"
	docker create --name never busybox:test true >/dev/null
	docker cp web:/opt-tree "$H/back"
	docker cp "$H/back" never:/again
	docker cp never:/again/file - | tar xO | cmp - "$H/tree/file"
	docker rm never >/dev/null
}

@test "vm: an image's set-id files, and deletions, stay a container's" {
	docker run --name changed busybox:test sh -c 'rm /etc/shells; echo x >/new; cp /bin/busybox /suid; chmod 4755 /suid; chown 33:33 /new'
	docker start -a changed >/dev/null 2>&1 || true
	docker export changed | tar tvf - >"$BATS_TEST_TMPDIR/list"
	grep -q '^-rwsr-xr-x .* suid$' "$BATS_TEST_TMPDIR/list"
	grep -q ' 33/33 .* new$' "$BATS_TEST_TMPDIR/list"
	equal 0 "$(grep -c ' etc/shells$' "$BATS_TEST_TMPDIR/list")"
	docker rm changed >/dev/null
}

# --- holm's verbs ---------------------------------------------------------------------------------

@test "vm: holm run: output, stdin and statuses" {
	equal out "$(holm run --rm busybox:test echo out)"
	equal 'a b' "$(printf 'a\nb\n' | holm run --rm -i busybox:test xargs)"
	exits 7 holm run --rm busybox:test sh -c 'exit 7'
	equal 127 "$(holm run --rm busybox:test nosuchprogram >/dev/null 2>&1 || echo $?)"
	exits 125 holm run --rm --pull never nosuchimage true
}

@test "vm: holm ps, inspect, top, port and logs" {
	equal web "$(holm ps --format '{{.Names}}')"
	equal true "$(holm inspect -f '{{.State.Running}}' web)"
	contains "$(holm top web)" httpd
	equal up "$(holm logs web)"
	equal '' "$(holm port web)"
}

@test "vm: holm exec, create, start, stop, rename, kill, wait and rm" {
	equal 0 "$(holm exec web id -u)"
	exits 3 holm exec web sh -c 'exit 3'
	holm create --name made busybox:test sh -c 'trap "exit 5" TERM; echo up; while :; do sleep 1; done' >/dev/null
	equal made "$(holm start made)"
	holm rename made called
	holm exec called true
	until_true 60 has_said called
	holm stop -t 60 called >/dev/null
	equal 5 "$(holm wait called)"
	holm start called >/dev/null
	holm kill called >/dev/null
	equal 137 "$(holm wait called)"
	equal called "$(holm rm called)"
}

@test "vm: holm cp and holm volume" {
	echo text >"$H/file"
	holm cp "$H/file" web:/www/index.html
	equal text "$(docker exec web wget -qO- http://127.0.0.1/)"
	holm volume create mine >/dev/null
	contains "$(holm volume ls -q | xargs)" mine
	equal mine "$(holm volume rm mine)"
}

@test "vm: holm images, tag and rmi work on the host's library" {
	holm tag busybox:test named:here
	contains "$(holm images --format '{{.Repository}}:{{.Tag}}' | xargs)" named:here
	equal out "$(holm run --rm named:here echo out)"
	holm rmi named:here >/dev/null
}

# --- life -----------------------------------------------------------------------------------------

@test "vm: a port is open as long as its container runs" {
	docker run -d --name port -p 127.0.0.1:0:80 -v www:/www busybox:test httpd -f -p 80 -h /www >/dev/null
	local address
	address=$(docker port port 80)
	until_true 60 curl -sS --max-time 20 "http://$address/" -o /dev/null
	docker rm -f port >/dev/null
	until_true 60 is_closed "${address##*:}"
}

@test "vm: a network with IPv6: names, addresses, and nobody of another network" {
	docker network create --ipv6 --subnet 10.213.1.0/24 --subnet fd00:213:1::/64 six >/dev/null
	docker network create other >/dev/null
	docker run -d --name on-six --network six busybox:test sleep 1000 >/dev/null
	run_in --network six busybox:test sh -c 'nslookup -type=aaaa on-six 127.0.0.11 | grep fd00:213:1::2 && ping -6 -c 1 -W 10 on-six'
	run ! run_in --network other busybox:test sh -c 'ping -c 1 -W 2 10.213.1.2 || ping -c 1 -W 2 10.213.1.1'
	docker rm -f on-six >/dev/null
	docker network rm six other >/dev/null
}

@test "vm: restart policies: on-failure ends, always goes on" {
	docker run -d --name failing --restart on-failure:2 busybox:test sh -c 'exit 3' >/dev/null
	until_true 60 sh -c '[ "$(docker inspect -f "{{.RestartCount}} {{.State.Status}}" failing)" = "2 exited" ]'
	docker run -d --name always --restart always busybox:test sh -c 'exit 0' >/dev/null
	until_true 60 sh -c '[ "$(docker inspect -f "{{.RestartCount}}" always)" -ge 1 ]'
	docker rm -f failing always >/dev/null
}

@test "vm: events and health" {
	docker run -d --name healthy --health-cmd 'test -e /tmp/ok' --health-interval 1s --health-retries 1 busybox:test sleep 600 >/dev/null
	docker exec healthy touch /tmp/ok
	until_true 60 sh -c '[ "$(docker inspect -f "{{.State.Health.Status}}" healthy)" = healthy ]'
	docker rm -f healthy >/dev/null
	# Up to an event, as the machine's clock is not the host's.
	contains "$(actions_until healthy destroy)" 'create '
}

@test "vm: a request that makes no sense is refused, and the engine goes on" {
	equal 400 "$(api POST /containers/create -H 'Content-Type: application/json' -d '{' -o /dev/null -w '%{http_code}')"
	equal 404 "$(api GET /containers/nothing/json -o /dev/null -w '%{http_code}')"
	equal running "$(docker inspect -f '{{.State.Status}}' web)"
}

@test "vm: the agent is killed: containers and their ports go on, their logs lose no line and have none twice" {
	local address before
	docker run -d --name lines -p 127.0.0.1:0:80 -v www:/www busybox:test sh -c \
		'httpd -p 80 -h /www; i=0; until [ -e /go ]; do i=$((i+1)); echo $i; usleep 5000; done; exit 6' >/dev/null
	address=$(docker port lines 80)
	before=$(docker inspect -f '{{.State.Pid}} {{.State.StartedAt}}' lines)
	until_true 60 has_said lines
	crash agent
	until_true 60 docker exec lines true
	as_root box dmesg >"$BATS_TEST_TMPDIR/kernel"
	grep -q 'went on with the running machine box' "$BATS_TEST_TMPDIR/kernel"
	equal "$before" "$(docker inspect -f '{{.State.Pid}} {{.State.StartedAt}}' lines)"
	curl -sS --max-time 20 "http://$address/" -o /dev/null
	equal inside "$(run_in -v "$H:/data" busybox:test sh -c 'echo inside >/data/file; cat /data/file')"
	docker exec lines touch /go
	equal 6 "$(docker wait lines)"
	docker logs lines >"$BATS_TEST_TMPDIR/log"
	cmp "$BATS_TEST_TMPDIR/log" <(seq 1 "$(wc -l <"$BATS_TEST_TMPDIR/log")")
	docker rm lines >/dev/null
	until_true 60 is_closed "${address##*:}"
}

# --- clients from npm (clients.bats has all) --------------------------------------------------------

@test "vm: dockerode runs, attaches, execs and copies; testcontainers finds a port, and copies at the start" {
	requires node
	local clients=$BATS_TEST_DIRNAME/../clients
	[ -d "$clients/node_modules" ] || skip "npm's registry was not reachable"
	node "$clients/dockerode.js" run attach tty exec archive
	TMPDIR=$H TESTCONTAINERS_HOST_OVERRIDE=localhost TESTCONTAINERS_RYUK_DISABLED=true node "$clients/testcontainers.js" port files
	equal web "$(docker ps -a --format '{{.Names}}')"
}

# --- last -----------------------------------------------------------------------------------------

@test "vm: a volume outlives its containers, and goes with rm" {
	docker exec web sh -c 'echo kept >/www/kept'
	docker rm -f web >/dev/null
	equal kept "$(run_in -v www:/www busybox:test cat /www/kept)"
	docker volume rm www >/dev/null
	equal '' "$(docker volume ls -q)"
}
