#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Whatever is killed, whenever, and whatever is full: one line that says so, nothing leaked, nothing lost, the next command works.
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

# The state of a machine after something of it died: stopped, nothing left, and it works again with what was synced.
works_again()
{
	until_true 60 is_state box stopped
	leaks "${2-}"
	equal "$1" "$(as_root box cat /root/kept)"
}

# The same after its keeper was killed, who removes the machine's cgroup where no systemd does: it stays, empty, until the machine's next end.
works_again_without_keeper()
{
	works_again "$1" but-cgroups
	holm machine stop box
	leaks
}

# session_ends_without keeper_of|agent_of: a session ends with a line, the last in $TMPDIR/err, when the process that this finds is killed.
session_ends_without()
{
	command timeout 60 holm machine run sh -c 'echo up; sleep 100' >"$TMPDIR/out" 2>"$TMPDIR/err" 3>&- &
	local pid=$! got=0
	until_true 60 grep -q up "$TMPDIR/out"
	kill -KILL "$("$1" box)"
	wait $pid || got=$?
	equal 125 "$got"
	contains "$(tail -n 1 "$TMPDIR/err")" "holm: "
}

@test "kill -9 of the keeper takes all of the machine along; data is kept" {
	as_root box sh -c 'echo one >/root/kept; sync'
	kill -KILL "$(keeper_of box)"
	works_again_without_keeper one
}

@test "kill -9 of the keeper loses no container, network or volume that was reported, and its policy holds" {
	holm run --rm --network none busybox:test true
	as_root box sync
	holm volume create kept >/dev/null
	holm network create kept >/dev/null
	holm run -d --name kept --restart always --network none busybox:test sleep 1000 >/dev/null
	kill -KILL "$(keeper_of box)"
	until_true 60 is_state box stopped
	holm machine start
	contains "$(holm ps --format '{{.Names}} {{.Status}}')" 'kept Up'
	equal kept "$(holm network ls -q -f name=kept --format '{{.Name}}')"
	equal kept "$(holm volume ls -q)"
	holm rm -f kept >/dev/null
	holm network rm kept >/dev/null
	holm volume rm kept >/dev/null
	holm machine stop box
	leaks
}

@test "kill -9 of the keeper while a session runs: the session ends with a line, not a hang" {
	holm machine run true
	session_ends_without keeper_of
	equal 1 "$(wc -l <"$TMPDIR/err")"
	rm "$TMPDIR/out" "$TMPDIR/err"
	works_again_without_keeper one
}

@test "kill -9 of the virtual machine" {
	requires vm
	as_root box sh -c 'echo two >/root/kept; sync'
	kill -KILL "$(child_of box qemu)"
	works_again two
}

@test "kill -9 of the share server" {
	requires vm
	holm machine run true
	kill -KILL "$(child_of box holm-fsd)"
	# Either the share comes back or the machine ends; it must not hang.
	HOLM_TEST_TIMEOUT=60 run holm machine run ls "$HOME"
	[ "$status" != 124 ]
	HOLM_TEST_TIMEOUT=60 holm machine stop box
	works_again two
}

@test "kill -9 of the network" {
	requires vm
	holm machine run true
	local passt
	passt=$(child_of box passt) || skip "no passt here"
	kill -KILL "$passt"
	HOLM_TEST_TIMEOUT=60 run holm machine run echo still
	[ "$status" != 124 ]
	HOLM_TEST_TIMEOUT=60 holm machine stop box
	works_again two
}

# die_and_work_again KIND: a part of a machine without a VM is killed while it runs. Either it is replaced or the machine ends; nothing hangs.
die_and_work_again()
{
	local pid
	as_root box sh -c "echo $1 >/root/kept; sync"
	case "$1" in
	agent) pid=$(agent_of box) ;;
	init) pid=$(init_of box) ;;
	pasta) pid=$(part_of_world passt) ;; # pasta executes it
	esac
	kill -KILL "$pid"
	HOLM_TEST_TIMEOUT=60 run holm machine run echo still
	[ "$status" != 124 ]
	HOLM_TEST_TIMEOUT=60 holm machine stop box
	works_again "$1"
}

part_of_world()
{
	local pid
	for pid in $(world_processes); do
		case "$(cat "/proc/$pid/comm")" in
		"$1"*) echo "$pid"; return 0 ;;
		esac
	done
	return 1
}

@test "kill -9 of the agent, of the init: the machine ends or comes back, nothing is left" {
	requires native
	die_and_work_again agent
	die_and_work_again init
	as_root box sh -c 'echo two >/root/kept; sync'
}

@test "kill -9 of the network of a machine without a VM" {
	requires native tun
	holm machine run true
	until_true 60 part_of_world passt >/dev/null
	die_and_work_again pasta
	as_root box sh -c 'echo two >/root/kept; sync'
}

@test "kill -9 of an agent with a session: it ends with a line" {
	requires native
	session_ends_without agent_of
	rm "$TMPDIR/out" "$TMPDIR/err"
	works_again two
}

@test "kill -9 of keeper, agent, crun, pasta, init while they start" {
	requires native cgroup python3
	local name delay pid
	for name in holm-keeper holm-agent crun passt.avx2 init; do
		for delay in 0 3 10 30; do
			holm machine stop box
			# The keeper's name is cut by the kernel at 15 bytes, so is none of these.
			"$BATS_TEST_DIRNAME/../lib/kill-when" "$HOLM_TEST_CGROUP" "$name" "$delay" 3>&- &
			pid=$!
			HOLM_TEST_TIMEOUT=60 run holm machine run echo up
			[ "$status" != 124 ] || { echo "hangs after $name was killed $delay ms after its start" >&2; return 1; }
			kill "$pid" 2>/dev/null || true
			wait "$pid" || true
			HOLM_TEST_TIMEOUT=60 holm machine stop box
			until_true 60 is_state box stopped
			# Nobody is left who could remove a killed keeper's cgroup, but whoever uses the machine next.
			leaks "$([ "$name" != holm-keeper ] || echo but-cgroups)" || { echo "after $name was killed $delay ms after its start" >&2; return 1; }
		done
		equal two "$(as_root box cat /root/kept)"
	done
}

@test "kill -9 of the CLI ends its command, not the machine" {
	command holm machine run sh -c 'echo up; exec sleep 977' >"$TMPDIR/out" 3>&- &
	local pid=$!
	until_true 60 grep -q up "$TMPDIR/out"
	kill -KILL $pid
	rm "$TMPDIR/out"
	no_sleep()
	{
		! as_root box sh -c 'ps | grep -q "[s]leep 977"'
	}
	until_true 60 no_sleep
	equal running "$(state box)"
}

@test "kill -9 of the CLI while the machine boots leaves a machine that works" {
	local moment moments="0.05 0.3 1 2"
	[ "$ISOLATION" != native ] || moments="0.005 0.01 0.02 0.04 0.08"
	for moment in $moments; do
		holm machine stop box
		command holm machine run true 3>&- &
		local pid=$!
		command sleep "$moment"
		kill -KILL $pid 2>/dev/null || true
		equal two "$(as_root box cat /root/kept)"
	done
	holm machine stop box
	leaks
}

@test "kill -9 of the keeper at moments of its boot" {
	local moment keeper moments="0.1 0.6 1.5"
	[ "$ISOLATION" != native ] || moments="0 0.01 0.02 0.04 0.08 0.2"
	for moment in $moments; do
		command timeout 60 holm machine run true 2>/dev/null 3>&- &
		local pid=$!
		until_true 60 keeper_of box >/dev/null
		command sleep "$moment"
		keeper=$(keeper_of box) || true
		[ -z "$keeper" ] || kill -KILL "$keeper"
		wait $pid || true
		until_true 60 is_state box stopped
		leaks but-cgroups
	done
	equal two "$(as_root box cat /root/kept)"
	holm machine stop box
}

@test "Ctrl-C while it boots stops it cleanly" {
	# A boot that waits for a file that never comes.
	create slow create-user-waits --no-boot
	local pid got=0
	background holm machine start slow 2>"$TMPDIR/err"
	until_true 60 is_state slow starting
	kill -INT "$pid"
	wait "$pid" || got=$?
	[ $got != 0 ]
	rm "$TMPDIR/err"
	until_true 60 is_state slow stopped
	leaks
	holm machine rm slow
}

@test "the runtime folder vanishes while it runs: ls knows, stop works" {
	holm machine run true
	rm -rf "${XDG_RUNTIME_DIR:?}"/holm
	equal running "$(state box)"
	HOLM_TEST_TIMEOUT=60 holm machine stop box
	works_again two
	holm machine stop box
}

@test "a machine.json that is broken is named; the others work" {
	create broken busybox --no-boot
	echo '{ not json' >"$XDG_DATA_HOME/holm/machines/broken/machine.json"
	fails 125 holm machine inspect broken
	contains "$stderr" broken
	run holm machine ls
	contains "$output" box
	holm machine rm --force broken
	equal box "$(holm machine ls -q)"
}

@test "a VM pauses while the host's disk is full, or its user over a quota, says so, and goes on by itself" {
	requires vm unshare cc
	unshare --user --map-current-user --keep-caps --mount true || skip "no user namespaces here"
	mkdir "$WORLD/small" "$WORLD/seen"
	run unshare --user --map-current-user --keep-caps --mount bash "$BATS_TEST_DIRNAME/../lib/full-disk" "$WORLD/small" "$WORLD/seen"
	rmdir "$WORLD/small"
	echo "$output" >&2
	equal 0 "$status"
	contains "$(cat "$WORLD/seen/session")" "is paused: the host has no space left"
	contains "$(cat "$WORLD/seen/session")" "goes on"
	contains "$(cat "$WORLD/seen/new")" "is paused: the host has no space left"
	contains "$(cat "$WORLD/seen/start")" "is free on the host"
	equal written "$(cat "$WORLD/seen/written")"
	equal 143 "$(cat "$WORLD/seen/terminated")"
	contains "$(cat "$WORLD/seen/quota")" "is paused: your disk quota on the host is used up"
	equal "up written" "$(xargs <"$WORLD/seen/quota-written")"
	rm -r "$WORLD/seen"
}

@test "no room on the disk while a machine is made: one line, nothing left" {
	requires unshare
	# A small file system of one's own, in a user and mount namespace.
	cat >"$TMPDIR/full.sh" <<-'END'
		set -e
		mount -t tmpfs -o size=3m none "$1"
		mkdir -p "$1/holm"
		export XDG_DATA_HOME=$1
		if holm image load "$2" >"$3/out" 2>"$3/err"; then
			holm machine create busybox:test --name small --no-boot >"$3/out" 2>"$3/err" && exit 9
		fi
		tail -n 1 "$3/err" | grep -q '^holm: .*[Nn]o space left' || { cat "$3/err"; exit 8; }
		test -z "$(ls -A "$1/holm/machines" 2>/dev/null)" || exit 7
		test -z "$(find "$1/holm" -size +100k -newer "$3/full.sh" -name '*tmp*')" || exit 6
	END
	mkdir "$WORLD/small"
	unshare --user --map-root-user --mount true || skip "no user namespaces here"
	# Noise that does not fit.
	mkdir -p "$WORLD/layout"
	head -c 6000000 /dev/urandom >"$WORLD/layout/noise"
	tar -C "$WORLD/layout" -cf "$WORLD/noise.tar" noise
	TMPDIR="$WORLD/layout" bash -c '. "$1"; image_from_layer "$2" busybox "$3"' sh "$BATS_TEST_DIRNAME/../lib/images.bash" "$WORLD/noise.tar" "$WORLD"
	run unshare --user --map-root-user --mount sh "$TMPDIR/full.sh" "$WORLD/small" "$WORLD/busybox.tar" "$TMPDIR"
	rm -rf "$TMPDIR/full.sh" "$TMPDIR/out" "$TMPDIR/err" "$WORLD/layout" "$WORLD/noise.tar"
	equal 0 "$status"
}
