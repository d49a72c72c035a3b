#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Commands in a running machine: who, where, with what arguments, streams, signals and exit status.
load ../lib/holm

setup_file()
{
	holm_begin
	create box busybox
	holm machine set-default box
}

teardown_file()
{
	holm_end
}

@test "the user is the host's, by id and by name; --root is root" {
	equal "$UID_ME" "$(holm machine run id -u)"
	equal "$ME" "$(holm machine run whoami)"
	equal 0 "$(holm machine run --root id -u)"
	equal root "$(holm machine run --root whoami)"
	equal "$HOME" "$(holm machine run sh -c 'echo "$HOME"')"
	equal /root "$(holm machine run --root sh -c 'echo "$HOME"')"
	equal "$ME $ME" "$(holm machine run sh -c 'echo $USER $LOGNAME')"
}

@test "--user takes a number pair that is nowhere in /etc/passwd, a number, and a name" {
	contains "$(holm machine run --user 1234:1234 id)" "uid=1234"
	equal 1234 "$(holm machine run --user 1234:1234 id -g)"
	equal daemon "$(holm machine run -u daemon whoami)"
	fails 125 holm machine run -u nobody-has-this true
}

@test "arguments arrive as they are, with no shell in between" {
	equal '$HOME' "$(holm machine run echo '$HOME')"
	equal "[a b][][*][\\n][\"q\"]['s']" "$(holm machine run printf '[%s]' 'a b' '' '*' '\n' '"q"' "'s'")"
	equal $'two\nlines' "$(holm machine run echo $'two\nlines')"
	equal '-n --root' "$(holm machine run echo -- '-n' --root | sed 's/^-- //')"
	equal x "$(holm machine run -- echo x)"
}

@test "-e sets variables, in order; NAME alone takes the caller's; --env-file reads a file" {
	equal 1-2 "$(holm machine run -e A=1 -e B=2 sh -c 'echo $A-$B')"
	equal 'with space' "$(MINE='with space' holm machine run -e MINE sh -c 'echo "$MINE"')"
	printf '# a comment\nC=3\nD=four words here\n' >"$TMPDIR/env"
	equal '3 four words here' "$(holm machine run --env-file "$TMPDIR/env" sh -c 'echo $C $D')"
	equal 2 "$(holm machine run -e A=1 -e A=2 sh -c 'echo $A')"
	rm "$TMPDIR/env"
}

@test "the caller's locale and proxies come along; the rest of its environment does not" {
	equal 'nb_NO.UTF-8 http://p:1 ' "$(LANG=nb_NO.UTF-8 http_proxy=http://p:1 SECRET=s holm machine run sh -c 'echo "$LANG $http_proxy $SECRET"')"
	contains "$(holm machine run sh -c 'echo $PATH')" /usr/bin
}

@test "Kerberos tickets of a keyring lie in a file, where the kernel's keys are closed" {
	local wanted=''
	[ "$ISOLATION" != native ] || wanted="FILE:/tmp/krb5cc_$UID_ME"
	as_root box sh -c 'printf "[libdefaults]\n default_ccache_name = KEYRING:persistent:%%{uid}\n" >/etc/krb5.conf'
	equal "$wanted" "$(in_machine box sh -c 'echo $KRB5CCNAME')"
	equal FILE:mine "$(holm machine run -e KRB5CCNAME=FILE:mine sh -c 'echo $KRB5CCNAME')"
	as_root box rm /etc/krb5.conf
	equal '' "$(in_machine box sh -c 'echo $KRB5CCNAME')"
}

@test "proxy=none and proxy=URL decide instead of the caller; -e decides over all" {
	local print='echo "$http_proxy,$HTTPS_PROXY,$no_proxy"'
	holm machine set -n box proxy=none 2>/dev/null
	equal ",," "$(http_proxy=http://p:1 HTTPS_PROXY=http://p:1 no_proxy=x holm machine run sh -c "$print")"
	run --separate-stderr holm machine set -n box proxy=http://me:secret@127.0.0.1:3128
	contains "$stderr" "new sessions have the proxy now, services at its next start"
	contains "$stderr" "the proxy 127.0.0.1:3128 is out of the machine's reach"
	run ! grep -q secret <<<"$stderr"
	equal "http://me:secret@127.0.0.1:3128,http://me:secret@127.0.0.1:3128,localhost,127.0.0.1,::1" \
		"$(http_proxy=http://p:1 holm machine run sh -c "$print")"
	equal "x,http://me:secret@127.0.0.1:3128,localhost,127.0.0.1,::1" "$(holm machine run -e http_proxy=x sh -c "$print")"
	equal http://me:secret@127.0.0.1:3128 "$(holm machine inspect box | jq -r '.[0].proxy')"
	holm machine set -n box proxy= 2>/dev/null
	equal "http://p:1,," "$(http_proxy=http://p:1 holm machine run sh -c "$print")"
}

@test "a terminal that the image does not know brings its description along" {
	mkdir -p "$TMPDIR/terminfo/h"
	infocmp xterm | sed 's/^xterm|/holm-terminal|/' >"$TMPDIR/source"
	tic -x -o "$TMPDIR/terminfo" "$TMPDIR/source"
	run --separate-stderr env TERM=holm-terminal TERMINFO="$TMPDIR/terminfo" holm machine run -t sh -c 'echo "$TERM $TERMINFO"; md5sum <"$TERMINFO/h/$TERM"' </dev/null
	equal 0 "$status"
	equal "holm-terminal /run/holm/terminfo" "$(tr -d '\r' <<<"${lines[0]}")"
	contains "${lines[1]}" "$(md5sum <"$TMPDIR/terminfo/h/holm-terminal" | cut -d' ' -f1)"
	equal 644 "$(holm machine run stat -c %a /run/holm/terminfo/h/holm-terminal)"
	rm -r "$TMPDIR/terminfo" "$TMPDIR/source"
}

@test "exit statuses: the command's own, 128 and the signal, 127, 126" {
	run holm machine run sh -c 'exit 42'
	equal 42 "$status"
	run holm machine run sh -c 'kill -TERM $$'
	equal 143 "$status"
	run holm machine run sh -c 'kill -KILL $$'
	equal 137 "$status"
	run -127 --separate-stderr holm machine run nosuchprogram
	equal 127 "$status"
	contains "$stderr" nosuchprogram
	run --separate-stderr holm machine run /etc/passwd
	equal 126 "$status"
	run holm machine run true
	equal 0 "$status"
	run holm machine run false
	equal 1 "$status"
}

@test "a usage error is 125 and points to --help" {
	fails 125 holm machine run --no-such-option true
	contains "$stderr" --help
	fails 125 holm machine run -n nobody true
	contains "$stderr" nobody
}

@test "stdout and stderr stay separate" {
	run --separate-stderr holm machine run sh -c 'echo out; echo err >&2'
	equal out "$output"
	equal err "$stderr"
}

@test "bytes of every value go through and back" {
	printf 'a\0b\377' | holm machine run cat >"$TMPDIR/bytes"
	equal '61 00 62 ff' "$(od -An -tx1 "$TMPDIR/bytes" | xargs)"
	rm "$TMPDIR/bytes"
}

@test "100 MB through cat have the same checksum" {
	head -c 100000000 /dev/urandom >"$TMPDIR/big"
	equal "$(sha256sum <"$TMPDIR/big")" "$(holm machine run cat <"$TMPDIR/big" | sha256sum)"
	rm "$TMPDIR/big"
}

@test "stdin half-closes; /dev/null, a file, a pipe and no reader all end" {
	equal 3 "$(printf 'a\nb\nc\n' | holm machine run wc -l | tr -d ' ')"
	equal 0 "$(holm machine run wc -c </dev/null | tr -d ' ')"
	echo text >"$TMPDIR/in"
	equal text "$(holm machine run cat <"$TMPDIR/in")"
	rm "$TMPDIR/in"
	# The command does not read: the sender is not stuck.
	equal 'done' "$(head -c 5000000 /dev/zero | holm machine run echo 'done')"
	# The reader goes away: the command is ended, not stuck.
	equal y "$(holm machine run yes | head -n 1)"
	equal 0 "$(holm machine run wc -c <&- | tr -d ' ')"
}

@test "a grandchild that keeps the output open does not hold the session" {
	local began=$SECONDS
	equal started "$(holm machine run sh -c 'sleep 170 & echo started')"
	[ $((SECONDS - began)) -lt 120 ]
}

@test "signals of the caller reach the command" {
	local signal pid
	for signal in INT TERM HUP QUIT USR1 USR2; do
		background timeout --foreground 120 holm machine run sh -c "trap 'echo got $signal; exit 7' $signal; echo ready; while :; do sleep 0.1; done" >"$TMPDIR/signal"
		until_true 60 grep -q ready "$TMPDIR/signal"
		kill -"$signal" "$(pgrep -P "$pid" -x holm)"
		local got=0
		wait "$pid" || got=$?
		equal 7 $got
		contains "$(cat "$TMPDIR/signal")" "got $signal"
	done
	rm "$TMPDIR/signal"
}

@test "-d leaves the command running and returns at once" {
	holm machine run -d sh -c 'sleep 1; touch /tmp/detached'
	until_true 60 in_machine box test -e /tmp/detached
}

@test "the working directory: -w, else the caller's when it is shared, else the home with one line" {
	mkdir -p "$HOME/sub/deeper"
	(cd "$HOME/sub/deeper" && equal "$HOME/sub/deeper" "$(holm machine run pwd)")
	equal /etc "$(holm machine run -w /etc pwd)"
	fails 125 holm machine run -w /not/there pwd
	contains "$stderr" /not/there
	cd /
	run --separate-stderr holm machine run pwd
	equal "$HOME" "$output"
	[ -n "$stderr" ]
	cd "$HOME"
}

# The home is the machine's to change: a symlink there could name any socket of ours.
@test "an ssh agent behind a symlink in the home is not lent, and the session says so" {
	requires socat
	local pid
	listen "UNIX-LISTEN:$WORLD/agent,fork" EXEC:true
	until_true 60 test -S "$WORLD/agent"
	ln -s "$WORLD/agent" "$HOME/agent"
	equal '</run/holm/ssh-agent.'"$UID_ME>" "$(SSH_AUTH_SOCK=$WORLD/agent holm machine run sh -c 'echo "<$SSH_AUTH_SOCK>"')"
	export SSH_AUTH_SOCK=$HOME/agent
	run --separate-stderr holm machine run sh -c 'echo "<$SSH_AUTH_SOCK>"'
	unset SSH_AUTH_SOCK
	equal '<>' "$output"
	contains "$stderr" "ssh agent \"$HOME/agent\""
	contains "$stderr" "set SSH_AUTH_SOCK to the socket itself"
	kill "$pid"
	rm -f "$HOME/agent" "$WORLD/agent"
}

@test "ssh: the words are one line for the login shell; options may follow the name" {
	equal hello "$(holm machine ssh box echo hello)"
	equal "$ME" "$(holm machine ssh box whoami)"
	equal "a
$HOME" "$(holm machine ssh box 'echo a; echo "$HOME"')"
	equal "x y" "$(holm machine ssh box -- echo x '  ' y)"
	equal root "$(holm machine ssh box --root whoami)"
	run holm machine ssh box 'exit 4'
	equal 4 "$status"
	contains "$(holm machine ssh box -t tty)" /dev/pts/
}

@test "--no-stdin: the command reads an end, and a loop keeps its input" {
	equal "1
2" "$(printf '1\n2\n' | while read -r line; do holm machine run --no-stdin sh -c "cat; echo $line"; done)"
}

@test "HOLM_MACHINE inside says which machine it is" {
	equal box "$(in_machine box sh -c 'echo $HOLM_MACHINE')"
	equal box "$(as_root box sh -c 'echo $HOLM_MACHINE')"
}

@test "the end of stdin is the end of a terminal's input, whoever reads it and however late" {
	contains "$(echo 'echo aha' | HOLM_TEST_TIMEOUT=100 holm machine run -t sh)" aha
	contains "$(printf 'no newline' | HOLM_TEST_TIMEOUT=100 holm machine run -t cat)" "no newline"
	contains "$(HOLM_TEST_TIMEOUT=100 holm machine run -t sh -c 'stty -icanon; sleep 0.3; stty icanon; cat; echo over' </dev/null)" over
}

@test "the caller's umask holds for the machine's user, and for nobody else" {
	equal 0077 "$(umask 077 && in_machine box sh -c umask)"
	equal 0002 "$(umask 002 && in_machine box sh -c umask)"
	equal 0022 "$(umask 077 && as_root box sh -c umask)"
	equal 0022 "$(umask 077 && holm machine run -u daemon sh -c umask)"
	(umask 077 && in_machine box touch "$HOME/private")
	equal 600 "$(stat -c %a "$HOME/private")"
	rm "$HOME/private"
}

@test "a terminal with -t: stdin is one, the size is right, and it follows" {
	requires tmux
	local socket="$TMPDIR/tmux"
	tmux -S "$socket" -f /dev/null new-session -d -x 100 -y 30 "command holm machine run -t sh -c 'tty >/tmp/tty; trap \"stty size >/tmp/size\" WINCH; stty size; while :; do sleep 0.1; done'"
	screen_has()
	{
		tmux -S "$socket" capture-pane -p | grep -q "$1"
	}
	until_true 60 screen_has '30 100'
	contains "$(in_machine box cat /tmp/tty)" /dev/pts/
	tmux -S "$socket" resize-window -x 90 -y 25
	size_is()
	{
		[ "$(in_machine box cat /tmp/size 2>/dev/null)" = "$1" ]
	}
	until_true 60 size_is '25 90'
	tmux -S "$socket" send-keys C-c
	tmux -S "$socket" kill-server || true
	rm -f "$socket"
}

@test "with no command, a login shell on the terminal" {
	requires tmux
	local socket="$TMPDIR/tmux2"
	tmux -S "$socket" -f /dev/null new-session -d -x 100 -y 30 "command holm machine run; echo status \$?; sleep 200"
	screen_has()
	{
		tmux -S "$socket" capture-pane -p | grep -q "$1"
	}
	tmux -S "$socket" send-keys 'echo me=$(whoami) arg0=$0; exit 9' Enter
	until_true 60 screen_has "me=$ME arg0=-"
	until_true 60 screen_has 'status 9'
	tmux -S "$socket" kill-server || true
	rm -f "$socket"
}

@test "confined as the init is: no more capabilities, the same namespaces" {
	equal "$(as_root box readlink /proc/1/ns/pid)" "$(as_root box readlink /proc/self/ns/pid)"
	equal "$(as_root box grep CapBnd /proc/1/status)" "$(as_root box grep CapBnd /proc/self/status)"
	equal 1 "$(as_root box sh -c 'cat /proc/1/comm' | grep -c init)"
}

@test "many sessions at once, each with its own answer" {
	local n
	for n in 1 2 3 4 5 6 7 8; do
		holm machine run sh -c "sleep 0.2; echo answer $n" >"$TMPDIR/answer.$n" &
	done
	wait
	for n in 1 2 3 4 5 6 7 8; do
		equal "answer $n" "$(cat "$TMPDIR/answer.$n")"
		rm "$TMPDIR/answer.$n"
	done
}

# Some systems have /home as a link to /var/home: $HOME has the link in it, a shell's directory not.
@test "a home that is spelled in two ways: both work inside, and the directory is kept" {
	local spelled="$WORLD/spelled otherwise"
	ln -s "$HOME" "$spelled"
	mkdir -p "$HOME/sub/deeper"
	HOME=$spelled create links busybox
	HOME=$spelled holm machine start links
	(cd "$HOME/sub/deeper" && equal "$spelled/sub/deeper" "$(holm machine run -n links pwd)")
	(cd "$spelled/sub" && equal "$spelled/sub" "$(holm machine run -n links pwd)")
	equal "$spelled" "$(in_machine links sh -c 'echo "$HOME"')"
	in_machine links test -d "$HOME/sub/deeper"
	in_machine links test -d "$spelled/sub/deeper"
	in_machine links touch "$HOME/sub/made"
	[ -e "$HOME/sub/made" ]
	holm machine rm --force links
}

@test "a command's HOME with a link in it: the machine has that spelling, too" {
	local spelled="$WORLD/spelled otherwise"
	create links busybox --no-boot
	HOME=$spelled holm machine start links
	equal "$HOME" "$(in_machine links sh -c 'echo "$HOME"')"
	in_machine links test -d "$spelled/sub/deeper"
	(cd "$spelled/sub" && equal "$HOME/sub" "$(HOME=$spelled holm machine run -n links pwd)")
	holm machine rm --force links
}
