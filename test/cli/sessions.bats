#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The command line's side of boots and sessions, against a keeper that runs commands on the host (fake-keeper).
load ../lib/holm

setup_file()
{
	command -v python3 >/dev/null || skip "there is no python3 here"
	holm_begin empty
	export HOLM_LIBEXEC="$WORLD/libexec"
	mkdir -p "$HOLM_LIBEXEC"
	cp "$BATS_TEST_DIRNAME/fake-keeper" "$HOLM_LIBEXEC/holm-keeper"
	cp "$BATS_TEST_DIRNAME/fake-image" "$HOLM_LIBEXEC/holm-image"
	holm machine create box --no-boot >/dev/null
	holm machine create other --no-boot >/dev/null
}

teardown_file()
{
	holm machine stop --all >/dev/null
	holm_end
}

request()
{
	holm machine run "$@" sh -c 'echo "$FAKE_REQUEST"' 2>/dev/null
}

@test "twenty commands at once boot a stopped machine once" {
	local i pids=()
	holm machine stop box
	rm -f "$XDG_DATA_HOME/holm/machines/box/boots"
	export FAKE_BOOT_SECONDS=0.5
	for i in {1..20}; do
		holm machine run echo "$i" >"$WORLD/out.$i" 2>/dev/null </dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	for i in {1..20}; do
		equal "$i" "$(cat "$WORLD/out.$i")"
	done
	equal 1 "$(wc -l <"$XDG_DATA_HOME/holm/machines/box/boots")"
}

@test "exactly the words, exactly the status" {
	equal "a  b|\$HOME|*|" "$(holm machine run printf '%s|' 'a  b' '$HOME' '*' 2>/dev/null)"
	run holm machine run sh -c 'exit 42'
	equal 42 "$status"
	run holm machine run sh -c 'kill -TERM $$'
	equal 143 "$status"
	fails 127 holm machine run nosuchprogram
	equal "-n" "$(holm machine run printf %s -n 2>/dev/null)"
	equal "--help" "$(holm machine run -- printf %s --help 2>/dev/null)"
}

@test "bytes: eight bits, two streams, and a hundred megabytes" {
	equal "$(printf 'a\0b\377' | od -c)" "$(printf 'a\0b\377' | holm machine run cat 2>/dev/null | od -c)"
	run --separate-stderr holm machine run sh -c 'echo out; echo err >&2'
	equal out "$output"
	contains "$stderr" err
	head -c 100000000 /dev/zero | holm machine run cat 2>/dev/null | cmp - <(head -c 100000000 /dev/zero)
	head -c 3000000 /dev/urandom >"$WORLD/noise"
	holm machine run cat <"$WORLD/noise" 2>/dev/null >"$WORLD/copy"
	cmp "$WORLD/noise" "$WORLD/copy"
}

@test "stdin: null, closed, a file, a pipe that nobody reads" {
	equal '' "$(holm machine run cat 2>/dev/null </dev/null)"
	equal '' "$(holm machine run cat 2>/dev/null <&-)"
	equal 5 "$(yes | { holm machine run sh -c 'exec 0<&-; exit 5' 2>/dev/null; echo $?; })"
}

@test "a reader that goes away ends the session quietly" {
	equal "y" "$(holm machine run yes 2>"$WORLD/stderr" | head -n 1)"
	equal '' "$(grep -v note "$WORLD/stderr" || true)"
}

@test "signals reach the command" {
	local name pid
	for name in INT TERM HUP QUIT USR1 USR2; do
		rm -f "$WORLD/signal"
		env --default-signal=INT,QUIT holm machine run sh -c "trap 'echo got-$name; exit 7' $name; echo up; while :; do sleep 0.05; done" >"$WORLD/signal" 2>/dev/null </dev/null &
		pid=$!
		until_true 60 grep -qs up "$WORLD/signal"
		kill -"$name" $pid
		local status=0
		wait $pid || status=$?
		equal 7 "$status"
		contains "$(cat "$WORLD/signal")" "got-$name"
	done
}

@test "environment: what has a meaning inside, files, and -e last" {
	printf '# comment\nF=file\n\nE=file\nHERE\n' >"$WORLD/env file"
	export HERE=caller LC_TIME=C.UTF-8 UNRELATED=1 https_proxy=http://proxy:1
	local env
	env=$(request --env-file "$WORLD/env file" -e E=last -e HERE -e ABSENT | jq -r '.env[]')
	contains "$env" "F=file"
	contains "$env" "E=last"
	contains "$env" "HERE=caller"
	contains "$env" "LC_TIME=C.UTF-8"
	contains "$env" "https_proxy=http://proxy:1"
	run ! grep -q UNRELATED <<<"$env"
	run ! grep -q ABSENT <<<"$env"
	fails 125 holm machine run --env-file "$WORLD/none" true
	fails 125 holm machine run -e '=x' true
}

@test "user, directory, terminal and detach in the request" {
	equal '{"name":"root"}' "$(request --root | jq -c .user)"
	equal '{"gid":5,"uid":12}' "$(request -u 12:5 | jq -cS .user)"
	equal '{"name":"bob"}' "$(request --user bob | jq -c .user)"
	equal null "$(request | jq -c .user)"
	equal "$WORLD" "$(cd "$WORLD" && request | jq -r .cwd)"
	equal '"/tmp"' "$(request -w /tmp | jq -c .workdir)"
	equal false "$(request | jq .tty)"
	equal '"/run/agent"' "$(SSH_AUTH_SOCK=/run/agent request | jq -c .ssh_auth_sock)"
	equal null "$(SSH_AUTH_SOCK=no/path request | jq -c .ssh_auth_sock)"
	contains "$(holm machine run -t sh -c 'tty' 2>/dev/null)" /dev/pts
	fails 125 holm machine run -w relative true
	fails 125 holm machine run --root -u bob true
	fails 125 holm machine run -u a:b true
	fails 125 holm machine run -d
	equal '' "$(holm machine run -d sh -c "echo done >'$WORLD/detached'")"
	until_true 60 test -s "$WORLD/detached"
}

@test "ssh: the first word is a machine, or the command begins" {
	equal hi "$(holm machine ssh box echo hi 2>/dev/null)"
	equal hi "$(holm machine ssh echo hi 2>/dev/null)"
	equal hi "$(holm machine ssh --root other echo hi 2>/dev/null)"
	equal hi "$(holm machine ssh box -- echo hi 2>/dev/null)"
	equal '{"name":"root"}' "$(holm machine ssh other --root 'echo "$FAKE_REQUEST"' 2>/dev/null | jq -c .user)"
	equal -- "$(holm machine ssh -- box printf %s -- 2>/dev/null)"
	equal -x "$(holm machine ssh printf %s -x 2>/dev/null)"
}

@test "ssh: the words are joined, and a shell runs them; run keeps them as they are" {
	equal "a
b" "$(holm machine ssh box 'echo a; echo b' 2>/dev/null)"
	equal "x y" "$(holm machine ssh box echo x '  ' y 2>/dev/null)"
	equal 3 "$(holm machine ssh box 'false || exit 3' >/dev/null 2>&1; echo $?)"
	equal 'a; b' "$(holm machine run -n box echo 'a; b' 2>/dev/null)"
	equal false "$(request | jq .shell)"
}

@test "exec NAME: the name is no command, and the error says what was meant" {
	fails 127 holm machine exec nosuchprogram
	run ! grep -q "did you mean" <<<"$stderr"
	holm machine create nosuchprogram --no-boot --name nosuchprogram >/dev/null
	fails 127 holm machine exec nosuchprogram true
	contains "$stderr" 'did you mean "-n nosuchprogram"?'
	holm machine rm nosuchprogram
}

@test "HOLM_MACHINE on the host is the machine that is meant where none is named; inside it is not" {
	holm machine run -n other true
	HOLM_MACHINE=other holm machine stop
	equal stopped "$(state other)"
	equal other "$(HOLM_MACHINE=other holm machine inspect | jq -r '.[0].name')"
	equal box "$(HOLM_MACHINE=other holm machine inspect box | jq -r '.[0].name')"
	equal box "$(HOLM_MACHINE=other container=holm holm machine inspect | jq -r '.[0].name')"
	equal box "$(HOLM_MACHINE='' holm machine inspect | jq -r '.[0].name')"
	HOLM_MACHINE=otter fails 125 holm machine run true
	contains "$stderr" 'HOLM_MACHINE in the environment: no machine "otter" (did you mean "other"?)'
}

@test "stats: the running machines or the named ones, once or each second, as a table or by a template" {
	local line
	holm machine start box >/dev/null
	equal "NAME CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS" "$(holm machine stats --no-stream | sed -n 's/  */ /g; 1p')"
	holm machine set -n box memory=256M 2>/dev/null
	line=$(holm machine stats --no-stream | sed -n 's/  */ /g; 2p')
	equal "box 128M / 256M 50.00% 2K / 1M - / - 7" "$(cut -d" " -f 1,3- <<<"$line")"
	grep -Eq '^box (2[0-9]|30)\.[0-9]{2}% ' <<<"$line"
	equal "box 50 7 <no value>" "$(holm machine stats --no-stream --format '{{.name}} {{.memory_percent}} {{.pids}} {{.block_read}}')"
	contains "$(holm machine stats --no-stream --format json)" '"memory_percent": 50.00,'
	equal "box running
other stopped" "$(holm machine stats --all --no-stream --format '{{.name}} {{.state}}')"
	equal '[["other","stopped",null,null]]' "$(holm machine stats --no-stream --format json other | jq -c 'map([.name, .state, .pids, .cpu_percent])')"
	holm machine stats box >"$WORLD/tmp/stats" &
	until_true 60 sh -c 'test "$(grep -c NAME "$1")" -ge 2' sh "$WORLD/tmp/stats"
	holm machine stop box >/dev/null
	wait $!
	fails 125 holm machine stats --all box
	fails 125 holm machine stats --no-stream nobody
	holm machine set -n box memory=
	rm "$WORLD/tmp/stats"
}

@test "several names: start, restart, inspect, stop, wait; nothing is done when one does not exist" {
	local pid
	holm machine stop --all
	fails 125 holm machine start box nobody
	equal stopped "$(state box)"
	equal "box
other" "$(holm machine start box other)"
	equal "other box" "$(holm machine inspect other box | jq -r '[.[].name] | join(" ")')"
	equal "box other" "$(holm machine inspect --all | jq -r '[.[].name] | join(" ")')"
	pid=$(field box keeper.pid)
	equal box "$(holm machine restart -t 1 box)"
	[ "$pid" != "$(field box keeper.pid)" ]
	fails 125 holm machine wait -t 0 box
	background holm machine wait box other >"$WORLD/waited"
	equal "box
other" "$(holm machine stop -t 0 box other)"
	wait "$pid"
	equal "box
other" "$(cat "$WORLD/waited")"
	equal box "$(holm machine wait box)"
	equal box "$(holm machine restart box)"
}

# on_terminal COMMAND: the shell's command with a terminal as stdin, stdout and stderr.
on_terminal()
{
	script -qec "$1" /dev/null </dev/null | tr -d '\r'
}

@test "a command typed on a terminal has one; -T, a redirection, a background job and ssh do not" {
	requires script
	local ask='sh -c "test -t 0 && echo on-terminal || echo without"'
	holm machine run -n box true
	contains "$(on_terminal "holm machine run -n box $ask")" on-terminal
	contains "$(on_terminal "holm machine run -n box -T $ask")" without
	contains "$(on_terminal "holm machine run -n box --no-tty $ask")" without
	contains "$(on_terminal "holm machine run -n box $ask 2>'$WORLD/stderr'")" without
	contains "$(on_terminal "holm machine run -n box $ask | cat")" without
	contains "$(on_terminal "holm machine run -n box $ask </dev/null")" without
	contains "$(on_terminal "set -m; holm machine run -n box $ask & wait \$!")" without
	contains "$(on_terminal "holm machine ssh box test -t 0 || echo without")" without
	contains "$(on_terminal "holm machine ssh -t box test -t 0 && echo on-terminal")" on-terminal
	fails 125 holm machine run -n box -t -T true
}

@test "a terminal gets its size, and gives raw bytes" {
	requires script
	run script -qec "stty rows 33 cols 77; holm machine run -t stty size" /dev/null </dev/null
	contains "$output" "33 77"
}

@test "run --wait and set wait=init wait for the init's boot; run does not" {
	holm machine stop box
	FAKE_INIT_SECONDS=2 holm machine run -n box true
	equal session "$(field box wait)"
	holm machine run -n box --wait true
	holm machine stop box
	local begin=$SECONDS
	FAKE_INIT_SECONDS=2 holm machine run -n box --wait true
	[ $((SECONDS - begin)) -ge 1 ]
	holm machine set -n box wait=init 2>/dev/null
	equal init "$(field box wait)"
	holm machine stop box
	begin=$SECONDS
	FAKE_INIT_SECONDS=2 holm machine run -n box true
	[ $((SECONDS - begin)) -ge 1 ]
	fails 125 holm machine set -n box wait=later
	holm machine set -n box wait= 2>/dev/null
	equal session "$(field box wait)"
}

@test "--no-stdin leaves the caller's input to a loop around it" {
	equal "1
2
3" "$(printf '1\n2\n3\n' | while read -r line; do holm machine run --no-stdin -n box echo "$line" 2>/dev/null; done)"
	equal false "$(request --no-stdin | jq .stdin)"
}

@test "state comes from the keeper, and ls does not wait for a boot" {
	holm machine stop --all
	equal stopped "$(state box)"
	FAKE_BOOT_FILE="$WORLD/booted" holm machine start box >"$WORLD/start" &
	local pid=$!
	until_true 60 is_state box starting
	touch "$WORLD/booted"
	wait $pid
	equal running "$(state box)"
	equal box "$(cat "$WORLD/start")"
	equal "running 2026-01-02T03:04:05Z" "$(holm machine inspect box | jq -r '.[0] | "\(.state) \(.started)"')"
	run --separate-stderr holm machine start box
	equal "0 box" "$status $output"
	contains "$stderr" 'machine "box" is running already'
}

@test "ls and inspect wait for a keeper that is slow to answer" {
	holm machine stop box
	FAKE_BOOT_FILE="$WORLD/never" FAKE_STATE_SECONDS=1.2 background holm machine start box >/dev/null 2>&1
	until_true 60 is_state box starting
	equal starting "$(holm machine inspect box | jq -r '.[0].state')"
	holm machine inspect box | jq -e '.[0].keeper.pid' >/dev/null
	holm machine stop box
	wait "$pid" || true
}

@test "a signal during a boot that the command began stops the machine" {
	holm machine stop box
	FAKE_BOOT_SECONDS=300 command holm machine start box >/dev/null 2>&1 &
	local pid=$!
	until_true 60 is_state box starting
	kill -TERM $pid
	local status=0
	wait $pid || status=$?
	equal 143 "$status"
	equal stopped "$(state box)"
}

# one_line FILE: the only line of a file.
one_line()
{
	equal 1 "$(wc -l <"$1")"
	cat "$1"
}

@test "a machine is found without XDG_RUNTIME_DIR, with another one, and the other way round" {
	local other="$WORLD/run2"
	mkdir -m 700 "$other"
	holm machine stop box
	holm machine start box >/dev/null
	equal running "$(env -u XDG_RUNTIME_DIR holm machine ls --format json | jq -r '.[] | select(.name == "box") | .state')"
	equal found "$(env -u XDG_RUNTIME_DIR holm machine run echo found 2>/dev/null)"
	equal found "$(XDG_RUNTIME_DIR=$other holm machine run echo found 2>/dev/null)"
	equal found "$(env -i PATH="$PATH" HOME="$HOME" XDG_DATA_HOME="$XDG_DATA_HOME" HOLM_LIBEXEC="$HOLM_LIBEXEC" holm machine run echo found 2>/dev/null)"
	equal box "$(env -u XDG_RUNTIME_DIR holm machine stop box)"
	equal stopped "$(state box)"
	FAKE_RUNTIME_DIR="$other" holm machine start box >/dev/null
	equal running "$(state box)"
	equal found "$(holm machine run echo found 2>/dev/null)"
	equal box "$(holm machine stop box)"
	rmdir "$other/holm/fake-box" "$other/holm" "$other"
}

@test "a runtime directory of somebody else, or none, is as good as not set" {
	XDG_RUNTIME_DIR=/ holm system info >/dev/null
	XDG_RUNTIME_DIR="$WORLD/nowhere" holm system info >/dev/null
	[ ! -e "$WORLD/nowhere" ]
}

@test "the data folder spelled in two ways is the same one" {
	ln -s "$XDG_DATA_HOME" "$WORLD/spelled otherwise"
	holm machine start box >/dev/null
	equal running "$(XDG_DATA_HOME="$WORLD/spelled otherwise" state box)"
	equal found "$(XDG_DATA_HOME="$WORLD/spelled otherwise" holm machine run echo found 2>/dev/null)"
	equal box "$(XDG_DATA_HOME="$WORLD/spelled otherwise" holm machine stop box)"
	equal stopped "$(state box)"
}

# Two keepers: one that has not taken the lock yet, and one that has it and no socket. Both read a
# FIFO first.
@test "stop wins over a start that began before it" {
	local fifo="$WORLD/fifo" status=0
	mkfifo "$fifo"
	holm machine stop box
	FAKE_LOCK_FIFO="$fifo" background holm machine start box >"$WORLD/out" 2>"$WORLD/err"
	exec 7>"$fifo" # it has come so far
	equal box "$(holm machine stop box)"
	exec 7>&-
	wait "$pid" || status=$?
	equal 125 "$status"
	contains "$(one_line "$WORLD/err")" "was stopped by another command"
	equal stopped "$(state box)"
	equal again "$(holm machine run echo again 2>/dev/null)"
}

@test "stop --all wins over a start whose keeper does not run yet" {
	local fifo="$WORLD/fifo.all" status=0
	mkfifo "$fifo"
	holm machine stop box
	FAKE_LOCK_FIFO="$fifo" background holm machine start box >"$WORLD/out" 2>"$WORLD/err"
	exec 7>"$fifo"
	holm machine stop --all
	exec 7>&-
	wait "$pid" || status=$?
	equal 125 "$status"
	equal stopped "$(state box)"
}

@test "a start that waits for a boot which another one began is stopped with it" {
	local status=0 first
	holm machine stop box
	FAKE_BOOT_SECONDS=300 background holm machine start box >/dev/null 2>"$WORLD/err.1"
	first=$pid
	until_true 60 is_state box starting
	background holm machine run true >/dev/null 2>"$WORLD/err.2"
	until_true 60 connected_twice
	equal box "$(holm machine stop box)"
	wait "$first" || status=$?
	equal 125 "$status"
	status=0
	wait "$pid" || status=$?
	equal 125 "$status"
	contains "$(one_line "$WORLD/err.1")" "was stopped by another command"
	contains "$(one_line "$WORLD/err.2")" "was stopped by another command"
	equal stopped "$(state box)"
}

# Two clients wait for the boot of box.
connected_twice()
{
	[ "$(ss -Hx state established 2>/dev/null | grep -c fake-box/api)" -ge 2 ]
}

@test "Ctrl-C before the keeper has spoken: 130, and nothing stays" {
	local fifo="$WORLD/fifo.early" status command
	mkfifo "$fifo"
	for command in "start box" "run true"; do
		status=0
		holm machine stop box
		# shellcheck disable=SC2086
		FAKE_READY_FIFO="$fifo" background holm machine $command >"$WORLD/out" 2>"$WORLD/err"
		exec 7>"$fifo"
		kill -INT "$pid"
		exec 7>&-
		wait "$pid" || status=$?
		equal 130 "$status"
		equal "" "$(cat "$WORLD/out" "$WORLD/err")"
		equal stopped "$(state box)"
	done
}

@test "Ctrl-C while a start waits for a machine that is stopping: 130, and it stays stopped" {
	local status=0
	holm machine stop box
	FAKE_STOPPING=1 holm machine start box >/dev/null
	background holm machine start box >"$WORLD/out" 2>"$WORLD/err"
	until_true 60 grep -q . "$XDG_DATA_HOME/holm/machines/box/asked"
	kill -INT "$pid"
	wait "$pid" || status=$?
	equal 130 "$status"
	equal box "$(holm machine stop box)"
	rm "$XDG_DATA_HOME/holm/machines/box/asked"
}

@test "a boot that fails shows the end of the log, and one line" {
	holm machine stop box
	FAKE_BOOT_ERROR="no luck" run --separate-stderr holm machine run true
	equal 125 "$status"
	contains "$stderr" "last line"
	equal 'holm: machine "box" did not start: no luck' "$(tail -n 1 <<<"$stderr")"
	until_true 60 is_state box stopped
}

@test "what a keeper says of a machine is printable" {
	requires python3
	holm machine stop box
	local said=$'\302\2332J\342\200\256\342\200\213\033]0;x\007'
	FAKE_BOOT_WARNING="$said" FAKE_BOOT_ERROR="no $said" run --separate-stderr holm machine run true
	equal 125 "$status"
	printable "$stderr"
	contains "$stderr" "holm:  2J?? ]0;x"
	contains "$stderr" "did not start: no  2J??"
	contains "$stderr" "  | last line  2J"
	until_true 60 is_state box stopped
}

@test "a session whose machine is paused before it answers says so" {
	holm machine stop box
	FAKE_PAUSED="no room" run --separate-stderr holm machine run -n box echo finished
	equal finished "$output"
	contains "$stderr" 'machine "box" is paused: no room'
	holm machine stop box
}

@test "a keeper that is killed: the next command says so or boots again" {
	holm machine run true
	kill -KILL "$(holm machine inspect | jq -r '.[0].keeper.pid')"
	until_true 60 is_state box stopped
	equal again "$(holm machine run echo again 2>/dev/null)"
}

@test "what needs a stopped machine says so; what waits for the next start too" {
	holm machine run true
	fails 125 holm machine rm box
	contains "$stderr" --force
	fails 125 holm machine clone box copy
	fails 125 holm machine rename box other2
	fails 125 holm machine export box -o "$WORLD/x"
	run --separate-stderr holm machine set cpus=2
	contains "$stderr" "next start"
	run --separate-stderr holm machine mount add "$WORLD:/w"
	contains "$stderr" "next start"
	run --separate-stderr holm machine port add 8080:80 5353:53/udp
	equal '' "$stderr"
	equal "yes yes" "$(holm machine port ls | awk 'NR > 1 { print $5 }' | xargs)"
	run --separate-stderr holm machine set publish=8080:81
	equal '' "$stderr"
	equal '[{"ip":"127.0.0.1","host":8080,"inside":81,"protocol":"tcp"}]' "$(holm machine inspect | jq -c '.[0].keeper.ports')"
	run --separate-stderr holm machine port rm 8080
	equal '8080:81 ' "$output $stderr"
	equal '[]' "$(holm machine inspect | jq -c '.[0].keeper.ports')"
	equal "box
other" "$(holm machine rm --force box other)"
}
