#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# From nothing to a running machine and back: create, ls, inspect, set, the default, start, stop, logs, rm.
load ../lib/holm

setup_file()
{
	holm_begin
}

teardown_file()
{
	holm_end
}

@test "with no machines ls prints its header and [] as JSON" {
	run holm machine ls
	equal 0 "$status"
	equal 1 "${#lines[@]}"
	contains "$output" NAME
	contains "$output" DEFAULT
	equal '[]' "$(holm machine ls --format json | jq -c .)"
	equal '' "$(holm machine ls -q)"
	equal "$(holm machine ls)" "$(holm m list)"
}

@test "with no machines run says how to make one or set the default" {
	fails 125 holm machine run true
	contains "$stderr" "default"
}

@test "create --no-boot makes a stopped machine and prints its name" {
	run --separate-stderr create one busybox --no-boot
	equal 0 "$status"
	equal one "$output"
	equal stopped "$(state one)"
	field one created | grep -Eq '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T'
	equal null "$(field one started)"
	[ "$(field one cpus)" -gt 0 ]
	[ "$(field one memory)" -gt 0 ]
	contains "$(field one image)" busybox
	equal "$ISOLATION" "$(field one isolation)"
}

@test "the first machine is the default" {
	equal true "$(holm machine ls --format json | jq '.[] | select(.name == "one") | .default')"
	holm machine ls | grep -q '^one .*\*'
}

@test "inspect without a name tells of the default machine" {
	equal one "$(holm machine inspect | jq -r '.[0].name')"
	equal 1 "$(holm machine inspect --format json | jq length)"
}

@test "the name comes from the image when none is given" {
	run --separate-stderr holm machine create busybox:test --no-boot --isolation "$ISOLATION"
	equal 0 "$status"
	equal busybox-test "$output"
	holm machine rm busybox-test
}

@test "a name that exists is an error that names it, and nothing changes" {
	local before
	before=$(holm machine inspect one)
	fails 125 create one busybox --no-boot
	contains "$stderr" one
	equal "$before" "$(holm machine inspect one)"
}

@test "names, sizes, numbers and images that are wrong are refused and leave nothing" {
	local name
	for name in '' A under_score -dash 'a b' ../up "$(printf 'a%.0s' {1..64})"; do
		fails 125 holm machine create busybox:test --name "$name" --no-boot
	done
	fails 125 create two busybox --no-boot --memory 10
	fails 125 create two busybox --no-boot --memory 1Q
	fails 125 create two busybox --no-boot --cpus 0
	fails 125 create two busybox --no-boot --cpus -1
	fails 125 create two busybox --no-boot --disk-size 1
	fails 125 create two busybox --no-boot --home-mount maybe
	fails 125 create two busybox --no-boot --isolation magic
	fails 125 create two busybox --no-boot -p 0:80
	fails 125 create two busybox --no-boot -p 70000:80
	fails 125 create two busybox --no-boot -v /does/not/exist
	fails 125 create two no-such-image --no-boot --pull never
	contains "$stderr" no-such-image
	fails 125 holm machine create 'not a reference!' --no-boot
	fails 125 holm machine create
	fails 125 holm machine create busybox:test --no-such-option
	contains "$stderr" --help
	equal one "$(holm machine ls -q)"
	leaks_of_stopped
}

@test "set changes several settings at once, and inspect reads them back" {
	run --separate-stderr holm machine set -n one cpus=2 memory=8G home-mount=ro env.COLOUR=blue
	equal 0 "$status"
	equal one "$output"
	equal 2 "$(field one cpus)"
	equal 8589934592 "$(field one memory)"
	equal ro "$(field one home_mount)"
	contains "$(holm machine inspect one)" blue
}

@test "set with an empty value goes back to the default" {
	holm machine set -n one memory=512M cpus=1 home-mount= env.COLOUR=
	equal rw "$(field one home_mount)"
	run ! grep -q blue <<<"$(holm machine inspect one)"
}

@test "a setting that is wrong changes nothing, nor do those beside it" {
	local before wrong
	before=$(holm machine inspect one)
	for wrong in bogus=1 home-mount=bad memory=10 cpus=x cpus=0 isolation=magic disk-size=1 cpus; do
		fails 125 holm machine set -n one cpus=3 "$wrong"
	done
	fails 125 holm machine set -n one
	equal "$before" "$(holm machine inspect one)"
}

@test "stop of a stopped machine succeeds and prints its name" {
	run --separate-stderr holm machine stop one
	equal 0 "$status"
	equal one "$output"
}

@test "run on a stopped machine boots it, prints what the command prints, and leaves it running" {
	holm machine set -n one cpus=2
	run --separate-stderr holm machine run -n one --root echo autoboot
	equal 0 "$status"
	equal autoboot "$output"
	equal running "$(state one)"
	field one started | grep -Eq '^20[0-9]{2}-'
	equal 2 "$(in_machine one nproc)"
}

@test "run without -n uses the default machine" {
	equal default "$(holm machine run echo default)"
}

@test "set on a running machine says on stderr that it waits for the next start" {
	run --separate-stderr holm machine set -n one memory=600M
	equal 0 "$status"
	contains "$stderr" "next start"
	equal 629145600 "$(field one memory)"
}

@test "stats says what a running machine uses" {
	local pid used
	background holm machine run -n one --no-stdin sh -c 'while :; do :; done'
	until_true 60 sh -c 'used=$(holm machine stats --no-stream --format "{{.cpu_percent}}" one); test "${used%.*}" -ge 20'
	used=$(holm machine stats --no-stream --format json | jq -c '.[0] | [.name, .state, .memory_used > 1000000, .pids >= 3, .memory_limit, (.network_received | type)]')
	equal '["one","running",true,true,'"$(field one running.memory)"',"number"]' "$used"
	kill "$pid"
	wait "$pid" || true
	gone "$pid"
}

@test "inspect has what is set and what runs, and which settings wait for a restart" {
	local part
	holm machine set -n one host-access=true env.A=1 2>/dev/null
	equal "true false 1 null" "$(holm machine inspect one | jq -r '.[0] | "\(.host_access) \(.running.host_access) \(.env.A) \(.running.env.A)"')"
	equal "true true" "$(holm machine inspect one | jq -r '.[0].restart_needed | "\(index("host_access") != null) \(index("env") != null)"')"
	holm machine set -n one host-access= env.A= 2>/dev/null
	for part in host_access env mounts cpus user home_mount; do
		equal null "$(holm machine inspect one | jq -c ".[0].restart_needed | index(\"$part\")")"
	done
	mkdir -p "$WORLD/live"
	if holm machine mount add -n one "$WORLD/live:/live" 2>&1 >/dev/null | grep -q 'next start'; then
		equal '["mounts"]' "$(holm machine inspect one | jq -c '.[0].restart_needed - ["memory"]')"
	else
		equal "/live null" "$(holm machine inspect one | jq -r '.[0] | "\(.running.mounts[0].inside) \(.restart_needed | index("mounts"))"')"
	fi
	holm machine mount rm -n one /live 2>/dev/null
}

@test "start of a running machine says so and succeeds" {
	holm machine start one
}

@test "a machine that a login started is found from a cron job" {
	equal running "$(XDG_RUNTIME_DIR='' state one)"
	equal found "$(XDG_RUNTIME_DIR='' holm machine run -n one echo found)"
}

@test "logs has the console of the init, --boot the kernel's and the agent's" {
	contains "$(holm machine logs one)" "rc.boot: booted"
	[ -n "$(holm machine logs --boot one)" ]
	holm machine logs -t one | grep -Eq '^20[0-9-]{8}T[0-9:]{8}\.[0-9]{6}Z rc.boot: booted'
	holm machine logs --boot -t one | grep -Eq '^20[0-9-]{8}T[0-9:]{8}\.[0-9]{6}Z holm-keeper: info: '
	run ! grep -q '^20[0-9-]*T' <<<"$(holm machine logs --boot one)"
	contains "$(holm machine logs --since 1h one)" "rc.boot: booted"
	equal '' "$(holm machine logs --boot --until 1h one)"
	equal 1 "$(holm machine logs -n 1 one | wc -l)"
}

@test "logs -f follows and ends with the interrupt" {
	local pid got=0
	background holm machine logs -f one >"$WORLD/tmp/followed"
	as_root one sh -c 'echo "said later" >/dev/console'
	until_true 60 grep -q 'said later' "$WORLD/tmp/followed"
	kill -INT "$pid"
	wait "$pid" || got=$?
	[ "$got" != 125 ]
	gone "$pid"
	rm "$WORLD/tmp/followed"
}

@test "rm refuses a running machine and says how to" {
	fails 125 holm machine rm one
	contains "$stderr" one
	contains "$stderr" force
	equal running "$(state one)"
}

@test "stop ends it cleanly; what it has is kept, and logs -f ends with it" {
	local pid
	as_root one sh -c 'echo kept >/root/file; mkdir -p /srv/mine'
	background timeout 120 holm machine logs -f one >"$WORLD/tmp/followed"
	as_root one sh -c 'echo "the last word" >/dev/console'
	until_true 60 grep -q 'the last word' "$WORLD/tmp/followed"
	run --separate-stderr holm machine stop one
	equal 0 "$status"
	equal one "$output"
	wait "$pid"
	rm "$WORLD/tmp/followed"
	equal stopped "$(state one)"
	# As a cron job starts it; logins find it all the same.
	equal kept "$(XDG_RUNTIME_DIR='' as_root one cat /root/file)"
	equal running "$(state one)"
	# A session does not wait for the init's scripts.
	booted_twice()
	{
		[ "$(as_root one cat /var/log/boots | xargs)" = "boot boot" ]
	}
	until_true 60 booted_twice
}

@test "poweroff inside stops the machine" {
	# The init ends what runs with SIGTERM first, and a second later with SIGKILL.
	run -0 as_root one sh -c 'trap "" TERM; poweroff; exit 0'
	until_true 120 is_state one stopped
}

@test "reboot inside starts its init again" {
	as_root one touch /run/before
	run as_root one sh -c 'reboot; sleep 5'
	booted_again()
	{
		as_root one sh -c 'test ! -e /run/before && test -e /run/booted'
	}
	until_true 120 booted_again
	equal running "$(state one)"
}

@test "rename, and the old name is gone" {
	holm machine stop one
	equal uno "$(holm machine rename one uno)"
	equal uno "$(holm machine ls -q)"
	fails 125 holm machine inspect one
	equal kept "$(as_root uno cat /root/file)"
	equal uno "$(as_root uno hostname)"
}

@test "the default follows a rename; its removal leaves none, and the error says how to set one" {
	equal true "$(holm machine ls --format json | jq '.[0].default')"
	run --separate-stderr holm machine rm --force uno
	equal 0 "$status"
	equal uno "$output"
	fails 125 holm machine run true
	contains "$stderr" set-default
}

@test "set-default prints the name; ls marks it; a name that is nobody's is refused" {
	create a busybox --no-boot
	create b busybox --no-boot
	equal b "$(holm machine set-default b)"
	equal b "$(holm machine ls --format json | jq -r '.[] | select(.default) | .name')"
	fails 125 holm machine set-default nobody
	equal "a
b" "$(holm machine ls -q)"
}

@test "rm of several prints the names; a missing one is an error that names it" {
	equal "a
b" "$(holm machine rm a b)"
	fails 125 holm machine rm nobody
	contains "$stderr" nobody
	equal '' "$(holm machine ls -q)"
}

@test "init in Podman's spelling: bare numbers are MiB and GiB, and it says what to type next" {
	run holm machine init --image busybox:test --cpus 1 --memory 512 --disk-size 20 --isolation "$HOLM_TEST_ISOLATION" pod
	equal 0 "$status"
	contains "$output" "holm machine start pod"
	equal "$HOLM_TEST_ISOLATION" "$(field pod isolation)"
	equal 536870912 "$(field pod memory)"
	equal 21474836480 "$(field pod disk_size)"
	holm machine rm pod
}

leaks_of_stopped()
{
	equal '' "$(find "$XDG_DATA_HOME/holm/machines" -mindepth 1 -maxdepth 1 ! -name one 2>/dev/null)"
}

@test "create --script runs once, as root, before any session; its failure is the boot's, and is tried again" {
	requires native # a VM has the same keeper
	printf '%s\n' 'id -u >/scripted' 'echo "said $0"' >"$HOME/script"
	create scripted busybox --script "$HOME/script" >/dev/null
	equal 0 "$(in_machine scripted cat /scripted)"
	contains "$(holm machine logs --boot scripted)" 'script: said /tmp/holm-script.'
	[ ! -e "$XDG_DATA_HOME/holm/machines/scripted/script" ]
	as_root scripted rm /scripted
	holm machine restart scripted >/dev/null
	run in_machine scripted test -e /scripted
	equal 1 "$status"
	holm machine rm -f scripted >/dev/null

	printf '%s\n' '#!/bin/sh' 'echo "no such thing" >&2' 'exit 7' >"$HOME/script"
	run --separate-stderr create failing busybox --script "$HOME/script"
	equal 125 "$status"
	contains "$stderr" 'the script of its creation failed: it ended with status 7: no such thing'
	equal stopped "$(state failing)"
	holm machine clone failing copy >/dev/null
	run --separate-stderr holm machine start copy
	contains "$stderr" 'status 7'
	echo true >"$XDG_DATA_HOME/holm/machines/failing/script"
	equal failing "$(holm machine start failing)"
	holm machine rm -f failing copy >/dev/null
}

@test "create --script takes a text that it can read, at most 128 KiB" {
	requires native
	: >"$HOME/script"
	fails 125 create wrong busybox --script "$HOME/script"
	contains "$stderr" 'an empty file'
	head -c 200000 /dev/zero | tr '\0' x >"$HOME/script"
	fails 125 create wrong busybox --script "$HOME/script"
	contains "$stderr" '128 KiB'
	printf 'a\0b' >"$HOME/script"
	fails 125 create wrong busybox --script "$HOME/script"
	fails 125 create wrong busybox --script /not/there
	contains "$stderr" /not/there
	rm "$HOME/script"
	run ! holm machine inspect wrong
}
