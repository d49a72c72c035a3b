#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Containers by holm's own verbs, in an engine machine: run, create, start, exec, attach, wait.
load ../lib/holm

setup_file()
{
	[ "$(id -u)" != 0 ] || skip "machines of root have no containers"
	requires curl python3
	holm_begin
	# There is no machine: the first container makes one, also where two are the first.
	local other
	holm run --rm busybox:test echo other >"$WORLD/other" 2>"$WORLD/other.err" 3>&- &
	other=$!
	holm run --rm busybox:test echo first >"$WORLD/first" 2>"$WORLD/first.err" || { cat "$WORLD/first.err" >&2; return 1; }
	wait "$other" || { cat "$WORLD/other.err" >&2; return 1; }
	export SOCKET
	SOCKET=$(find "$XDG_RUNTIME_DIR" -name docker.sock)
}

teardown_file()
{
	holm_end
}



# api PATH: the answer of the machine's docker.sock.
api()
{
	command timeout 30 curl -sS --unix-socket "$SOCKET" "http://docker$1"
}

# names: of all containers; state NAME: "running" and the like.
names()
{
	api '/containers/json?all=1' | jq -r '.[].Names[0][1:]'
}

state_of()
{
	api "/containers/$1/json" | jq -r .State.Status
}

# ends STATUS PID: waits for it.
ends()
{
	local status=0
	wait "$2" || status=$?
	equal "$1" "$status"
}

# appears TEXT FILE
appears()
{
	local deadline=$((SECONDS + 60))
	until grep -qs "$1" "$2"; do
		[ $SECONDS -lt $deadline ] || { echo "\"$1\" does not come" >&2; return 1; }
		command sleep 0.05
	done
}

# typing SCRIPT COMMAND...: runs it in a terminal with 30 rows and 90 columns. Each line of SCRIPT
# is "TEXT|KEYS": once TEXT has come, KEYS (with the escapes of Python) are typed; "size R C"
# changes the size. Prints the output without carriage returns.
typing()
{
	command timeout --foreground 120 python3 - "$@" <<-'END'
	import fcntl, os, pty, struct, sys, termios
	def resize(fd, rows, columns):
	    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
	steps = [line.split("|", 1) for line in sys.argv[1].splitlines() if line]
	pid, fd = pty.fork()
	if pid == 0:
	    resize(0, 30, 90)
	    os.execvp(sys.argv[2], sys.argv[2:])
	seen, at = b"", 0
	while True:
	    try:
	        data = os.read(fd, 65536)
	    except OSError:
	        break
	    if not data:
	        break
	    seen += data
	    while steps and steps[0][0].encode() in seen[at:]:
	        text, keys = steps.pop(0)
	        at = seen.index(text.encode(), at) + len(text)
	        if keys.startswith("size "):
	            resize(fd, *map(int, keys.split()[1:]))
	        else:
	            os.write(fd, keys.encode().decode("unicode_escape").encode("latin-1"))
	sys.stdout.buffer.write(seen.replace(b"\r", b""))
	sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
	END
}

@test "without a machine, run makes and boots one; init makes one without an image; start says how clients reach it" {
	equal $'first\nother' "$(cat "$WORLD/first" "$WORLD/other")"
	contains "$(cat "$WORLD/first.err" "$WORLD/other.err")" 'making "holm-machine-default"'
	equal holm-machine-default "$(holm machine ls -q)"
	equal holm-machine-default "$(holm machine ls --format '{{if .default}}{{.name}}{{end}}')"
	equal "$ME" "$(holm machine ssh id -un)"
	equal "$UID_ME $HOME" "$(holm machine ssh 'echo $(id -u) $HOME')"
	exits 125 holm machine init
	contains "$stderr" 'machine "holm-machine-default"'
	exits 0 holm machine init second
	contains "$output" 'holm machine start second'
	exits 0 holm machine start second
	equal second "$output"
	contains "$stderr" "export DOCKER_HOST=$(holm docker-host --machine second)"
	equal 'in second' "$(holm run --rm --machine second busybox:test echo in second)"
	equal 'in second' "$(HOLM_MACHINE=second holm run --rm busybox:test echo in second)"
	exits 125 holm run --rm --machine third busybox:test true
	contains "$stderr" 'machine "third"'
	exits 125 env HOLM_MACHINE=third holm run --rm busybox:test true
	contains "$stderr" HOLM_MACHINE
	holm machine rm --force second
	holm machine stop
	equal booted "$(holm run --rm busybox:test echo booted)"
}

@test "run --rm: output, arguments, exit statuses, and nothing stays" {
	equal hello "$(holm run --rm busybox:test echo hello)"
	equal '[a b][][*]' "$(holm run --rm busybox:test printf '[%s]' 'a b' '' '*')"
	exits 0 holm container run --rm busybox:test true
	exits 7 holm run --rm busybox:test sh -c 'echo out; echo err >&2; exit 7'
	equal out "$output"
	equal err "$stderr"
	exits 137 holm run --rm busybox:test sh -c 'sleep 60 & kill -9 $!; wait $!'
	exits 127 holm run --rm busybox:test nosuchprogram
	contains "$stderr" 'nosuchprogram'
	equal 1 "$(wc -l <<<"$stderr")"
	exits 126 holm run --rm busybox:test /etc
	equal '' "$(names)"
	exits 127 holm run --rm -d busybox:test nosuchprogram
	equal '' "$(names)"
}

@test "stdin: bytes as they are, its end while output goes on, and none without -i" {
	local sum
	head -c 5000000 /dev/urandom >"$TMPDIR/bytes"
	sum=$(sha256sum <"$TMPDIR/bytes")
	equal "$sum" "$(holm run --rm -i busybox:test cat <"$TMPDIR/bytes" | sha256sum)"
	rm "$TMPDIR/bytes"
	equal $'in\nlater' "$(echo in | holm run --rm -i busybox:test sh -c 'cat; sleep 0.5; echo later')"
	equal '' "$(echo lost | holm run --rm busybox:test cat)"
	equal '' "$(holm run --rm -i busybox:test cat </dev/null)"
}

@test "a terminal has its size at the first instruction and follows it; keys detach" {
	equal '30 90' "$(typing '' holm run --rm -it busybox:test stty size)"
	contains "$(typing $'ready|size 40 100' holm run --rm -it busybox:test sh -c 'trap "stty size; exit" WINCH; echo ready; while :; do sleep 0.1; done')" '40 100'
	exits 9 typing '' holm run --rm -it busybox:test sh -c 'exit 9'
	exits 0 typing $'# |echo on$((1+1))\\r\non2|\\x10\\x11' holm run --name kept -it busybox:test sh
	contains "$output" 'holm attach kept'
	equal running "$(state_of kept)"
	exits 5 typing $'#|exit 5\\r' holm attach kept
	exits 0 holm rm kept
	exits 125 holm run --rm -it busybox:test true </dev/null
	contains "$stderr" 'stdin is no terminal'
	exits 0 typing $'# |\\x01' holm run --rm --detach-keys ctrl-a --name other -it busybox:test sh
	holm rm -f other
	exits 125 holm run --detach-keys ctrl-ä busybox:test true
	contains "$stderr" '--detach-keys'
}

@test "signals go to the container, or end holm alone" {
	background holm run --name trap busybox:test sh -c 'trap "echo got it; exit 3" TERM; echo ready; while :; do sleep 0.05; done' >"$BATS_TEST_TMPDIR/out"
	appears ready "$BATS_TEST_TMPDIR/out"
	kill -TERM "$pid"
	ends 3 "$pid"
	contains "$(cat "$BATS_TEST_TMPDIR/out")" 'got it'
	holm rm trap
	background holm run --name calm --sig-proxy=false busybox:test sh -c 'echo ready; sleep 1000' >"$BATS_TEST_TMPDIR/out"
	appears ready "$BATS_TEST_TMPDIR/out"
	kill -INT "$pid"
	ends 130 "$pid"
	equal running "$(state_of calm)"
	holm rm -f calm
}

@test "-d, --cidfile, create, start -a -i, wait" {
	local id
	id=$(holm run -d --cidfile "$TMPDIR/cid" --name bg busybox:test sh -c 'sleep 0.3; exit 4')
	equal "$id" "$(cat "$TMPDIR/cid")"
	equal 64 "${#id}"
	equal 4 "$(holm wait bg)"
	exits 125 holm run --cidfile "$TMPDIR/cid" --name second busybox:test true
	contains "$stderr" '--cidfile'
	exits 125 holm run --cidfile "$TMPDIR/new" no-such-image:test --pull never
	exits 125 holm run --cidfile "$TMPDIR/new" --pull never no-such-image:test true
	[ ! -e "$TMPDIR/new" ]
	rm "$TMPDIR/cid"
	exits 4 holm start -a bg
	holm rm bg
	equal 64 "$(holm create -i --name made busybox:test sh -c 'read line; echo "<$line>"; exit 6' | tr -d '\n' | wc -c)"
	exits 6 sh -c 'echo word | holm start -ai made'
	equal '<word>' "$output"
	holm create -it --name sized busybox:test stty size
	equal '30 90' "$(typing '' holm start -ai sized)"
	holm rm sized
	exits 1 holm start nothing made
	contains "$stderr" 'container "nothing": no such container'
	holm rm -f made
	exits 1 holm wait nothing
}

@test "exec: streams, status, terminal; attach sees what comes and gives the status" {
	holm run -d --name work busybox:test sh -c 'while [ ! -e /tmp/end ]; do echo tick; sleep 0.05; done; echo ended; exit 8'
	equal hello "$(holm exec work echo hello)"
	equal in "$(echo in | holm exec -i work cat)"
	equal '' "$(echo in | holm exec work cat)"
	equal 'v /tmp' "$(A=v holm exec -e A -w /tmp work sh -c 'echo $A $(pwd)')"
	exits 3 holm exec work sh -c 'echo err >&2; exit 3'
	equal err "$stderr"
	exits 127 holm exec work nosuchprogram
	exits 126 holm exec work /etc
	equal '30 90' "$(typing '' holm exec -it work stty size)"
	exits 1 holm exec nothing true
	contains "$stderr" 'container "nothing": no such container'
	background holm attach work >"$BATS_TEST_TMPDIR/attached"
	appears tick "$BATS_TEST_TMPDIR/attached"
	exits 0 holm exec -d work touch /tmp/end
	ends 8 "$pid"
	equal ended "$(grep -v tick "$BATS_TEST_TMPDIR/attached")"
	exits 1 holm attach work
	contains "$stderr" 'not running'
	holm rm work
}

has_made_them()
{
	equal made "$(holm logs files)" 2>/dev/null
}

@test "cp: files, directories, contents and streams, both ways; the container need not run" {
	local dir=$BATS_TEST_TMPDIR
	mkdir -p "$dir/tree/sub"
	echo one >"$dir/tree/one"
	echo two >"$dir/tree/sub/two"
	chmod 750 "$dir/tree/one"
	holm run -d --name files busybox:test sh -c 'mkdir /there; ln -s /there /link; echo made; sleep 1000'
	until_true 60 has_made_them
	holm cp "$dir/tree" files:/there
	holm cp "$dir/tree/." files:/there/contents
	holm cp "$dir/tree/one" files:/there/renamed
	holm cp "$dir/tree/one" files:link/
	equal '750 0:0 one' "$(holm exec files sh -c 'stat -c "%a %u:%g" /there/tree/one; cat /there/tree/one' | paste -sd' ')"
	equal 'one two one one' "$(holm exec files cat /there/tree/one /there/contents/sub/two /there/renamed /there/one | paste -sd' ')"
	holm stop -t 0 files
	mkdir "$dir/out"
	holm cp files:/there/tree "$dir/out"
	holm cp files:there/tree/. "$dir/out/contents"
	holm cp files:/there/renamed "$dir/out/file"
	equal '' "$(diff -r "$dir/tree" "$dir/out/tree"; diff -r "$dir/tree" "$dir/out/contents"; diff "$dir/tree/one" "$dir/out/file")"
	equal "$UID_ME" "$(stat -c %u "$dir/out/file")"
	tar -C "$dir" -cf - tree/one | holm cp - files:/tmp
	equal one "$(holm cp files:/tmp/tree/one - | tar -xOf - one)"
	exits 1 holm cp files:/nothing "$dir/out"
	contains "$stderr" '/nothing'
	exits 1 holm cp "$dir/nothing" files:/tmp
	exits 1 holm cp nothing:/x "$dir/out"
	exits 1 holm cp "$dir/tree" "$dir/out"
	contains "$stderr" 'CONTAINER:PATH'
	exits 1 holm cp "$dir/tree" files:/there/one
	contains "$stderr" 'not a directory'
	holm rm files
}

@test "an option that cannot be honoured or read is an error that names it" {
	local row
	# shellcheck disable=SC2089
	for row in '--cpus x|--cpus' '-m 12q|--memory' '--ulimit nofile=2:1|--ulimit' '--device x|--device' '--device-read-bps /dev/sda|--device-read-bps' \
		'--device-write-iops /dev/sda:1m|--device-write-iops' '--restart sometimes|--restart' \
		'--restart always --rm|--restart' '--mount target=/x,no=1|"no"' '-v x|--volume' '-p x|port "x"' '--tmpfs x|--tmpfs' '--attach all|--attach' \
		'--attach stdout -d|--attach' '--pull perhaps|--pull' '--rm=perhaps|--rm' '-e =x|environment' '--env-file /nothing|--env-file' \
		'--isolation x|--isolation'; do
		# shellcheck disable=SC2086,SC2090
		exits 125 holm run --name never ${row%|*} busybox:test true
		contains "$stderr" "${row#*|}"
	done
	exits 125 holm run --gpus all busybox:test true
	contains "$stderr" '--gpus'
	equal '' "$(names | grep never)"
}

@test "run takes the image that a name means now, also right after the name has moved or gone" {
	local version
	version=$(holm version)
	holm image tag busybox:test moving:test
	equal testbox "$(holm run --rm --pull never moving:test sh -c '. /etc/os-release; echo $ID')"
	equal testbox "$(holm run --rm --pull never moving:test sh -c '. /etc/os-release; echo $ID')"
	holm image tag "localhost/holm-engine:${version#holm }" moving:test
	equal holm-engine "$(holm run --rm --pull never moving:test sh -c '. /etc/os-release; echo $ID')"
	holm image rm moving:test
	exits 125 holm run --rm --pull never moving:test true
	contains "$stderr" 'image "moving:test"'
}

@test "an image that is not there is fetched, or not: --pull" {
	exits 125 holm run --rm --pull never nothing.invalid/image:1 true
	contains "$stderr" 'image "nothing.invalid/image:1"'
	exits 125 holm run --rm nothing.invalid/image:1 true
	contains "$stderr" 'nothing.invalid'
}
