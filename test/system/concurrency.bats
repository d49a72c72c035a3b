#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many commands at once: one boot, right answers, no lock that all share, and commands that return when theirs ends.
load ../lib/holm

setup_file()
{
	holm_begin
	create box busybox --no-boot
	holm machine set-default box
}

teardown_file()
{
	holm_end
}

@test "20 runs at once on a stopped machine: one boot, 20 right answers" {
	local n
	for n in $(seq 1 20); do
		holm machine run sh -c "echo answer $n" >"$TMPDIR/answer.$n" 2>"$TMPDIR/err.$n" &
	done
	wait
	for n in $(seq 1 20); do
		equal "answer $n" "$(cat "$TMPDIR/answer.$n")"
	done
	rm "$TMPDIR"/answer.* "$TMPDIR"/err.*
	equal boot "$(as_root box cat /var/log/boots)"
}

@test "x=\$(run) on a stopped machine returns as soon as the command ends" {
	holm machine stop box
	local x began=$SECONDS
	x=$(holm machine run echo captured)
	equal captured "$x"
	# A boot under emulation takes seconds; a descriptor that the keeper kept would hold this for ever.
	[ $((SECONDS - began)) -lt 150 ]
}

@test "ls and inspect answer while a machine boots, and say starting; runs wait for it" {
	# Its first boot lasts as long as its create-user.sh, which waits for a file.
	create slow create-user-waits --no-boot
	holm machine start slow 3>&- &
	local pid=$! waiting
	until_true 60 is_state slow starting
	HOLM_TEST_TIMEOUT=100 field slow name >/dev/null
	holm machine run -n slow echo waited >"$TMPDIR/waited" 3>&- &
	waiting=$!
	command sleep 0.5
	HOLM_TEST_TIMEOUT=100 equal starting "$(state slow)"
	kill -0 $pid
	kill -0 $waiting
	touch "$HOME/go"
	wait $pid
	wait $waiting
	equal waited "$(cat "$TMPDIR/waited")"
	equal running "$(state slow)"
	rm "$HOME/go" "$TMPDIR/waited"
	holm machine rm --force slow
}

@test "two machines are made at once, and one name only once" {
	local n
	for n in 1 2 3 4; do
		create "many$n" busybox --no-boot >"$TMPDIR/made.$n" 3>&- &
	done
	wait
	equal 4 "$(holm machine ls -q | grep -c '^many')"
	for n in 1 2 3 4; do
		create same busybox --no-boot >"$TMPDIR/same.$n" 2>/dev/null 3>&- &
	done
	wait
	equal 1 "$(cat "$TMPDIR"/same.* | grep -c '^same$')"
	rm "$TMPDIR"/made.* "$TMPDIR"/same.*
	holm machine rm many1 many2 many3 many4 same
}

@test "stop while sessions run ends them with a line" {
	command timeout 90 holm machine run sh -c 'echo up; sleep 100' >"$TMPDIR/out" 2>"$TMPDIR/err" 3>&- &
	local pid=$! got=0
	until_true 60 grep -q up "$TMPDIR/out"
	holm machine stop -t 5 box
	wait $pid || got=$?
	[ "$got" != 0 ]
	[ "$got" != 124 ]
	rm "$TMPDIR/out" "$TMPDIR/err"
}

@test "run and stop over and over" {
	local n
	for n in 1 2 3; do
		equal "round $n" "$(holm machine run echo "round $n")"
		holm machine stop box
		equal stopped "$(state box)"
	done
	leaks
}

# The keeper is a child of the start that makes it.
has_begun()
{
	pgrep -P "$pid" >/dev/null || ! kill -0 "$pid" 2>/dev/null
}

@test "stop wins over a start that began before it" {
	local delay status deadline
	for delay in 0 0.1 0.3; do
		background holm machine start box >"$TMPDIR/out" 2>"$TMPDIR/err"
		deadline=$((SECONDS + 60))
		until has_begun || [ $SECONDS -ge $deadline ]; do :; done
		command sleep $delay
		equal box "$(holm machine stop box)"
		status=0
		wait "$pid" || status=$?
		# It may have been ready already.
		[ "$status" = 0 ] || contains "$(cat "$TMPDIR/err")" "was stopped by another command"
		equal stopped "$(state box)"
	done
	rm "$TMPDIR/out" "$TMPDIR/err"
	leaks
}
