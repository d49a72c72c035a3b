# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the bats files share. A file calls holm_begin in setup_file and holm_end in teardown_file: between the two it has a home, an image
# library and runtime folders of its own, so files run side by side; afterwards nothing may be left of it.
#
# Environment (from tools/run-tests): HOLM_TEST_STAGE (the staged installation and images), HOLM_TEST_ISOLATION (vm or native),
# HOLM_TEST_CGROUP (the file's own delegated cgroup v2 directory, in which it runs; empty where the host gives none), HOLM_TEST_TIMEOUT (seconds
# for one command).

bats_require_minimum_version 1.5.0

ISOLATION=${HOLM_TEST_ISOLATION:-vm}

# --- a file's own world ---------------------------------------------------------------------------------------------------------------

# holm_begin [empty]: a world with the test images in its library, or with nothing.
holm_begin()
{
	# A space in every path: whatever quotes badly shows.
	WORLD=$(mktemp -d "${HOLM_TEST_STAGE:-${TMPDIR:-/var/tmp}}/work/$(basename "$BATS_TEST_FILENAME" .bats).XXXX")
	export WORLD HOME="$WORLD/my home" XDG_DATA_HOME="$WORLD/my home/.local/share" XDG_CONFIG_HOME="$WORLD/config" XDG_CACHE_HOME="$WORLD/cache"
	export XDG_RUNTIME_DIR="$WORLD/run" TMPDIR="$WORLD/tmp" HOLM_TEST_WORLD="$WORLD"
	export ME UID_ME GID_ME
	ME=$(id -un) UID_ME=$(id -u) GID_ME=$(id -g)
	mkdir -p "$HOME" "$XDG_DATA_HOME/holm" "$XDG_CONFIG_HOME" "$TMPDIR"
	mkdir -m 700 "$XDG_RUNTIME_DIR"
	mkdir "$WORLD/authorities"
	export HOLM_AUTHORITIES="$WORLD/authorities"
	unset SSH_AUTH_SOCK DBUS_SESSION_BUS_ADDRESS TZ
	if [ "${1-}" != empty ]; then
		library "$XDG_DATA_HOME/holm/images" || return 1
	fi
	cd "$HOME" || return 1
}

# library TO: a copy of the staged images. Blobs and disks are never rewritten, so hard links do, except for another owner; locks are not copied,
# and there are no layer trees in it.
library()
{
	local link=(-al)
	[ -O "$HOLM_TEST_STAGE/images/library" ] || link=(-a --no-preserve=ownership)
	cp "${link[@]}" "$HOLM_TEST_STAGE/images/library" "$1" || return 1
	find "$1" -name '*.lock' -delete
	rm -rf "$1"/locks/* "$1"/partial/*
}

# Removes all machines and checks that nothing is left; whatever is, is named, ended, and fails the file.
holm_end()
{
	local status=0
	[ -n "${WORLD-}" ] || return 0 # all of the file was skipped
	cd / || return 1
	command timeout 300 holm machine rm --force --all >/dev/null 2>&1 || { echo "\"machine rm --force --all\" failed" >&2; status=1; }
	leaks all || status=1
	local pid
	for pid in $(world_processes); do
		kill -KILL "$pid" 2>/dev/null
	done
	local dir
	for dir in $(world_cgroups); do
		rmdir "$dir" 2>/dev/null
	done
	chmod -R u+rwX "$WORLD" 2>/dev/null
	rm -rf "$WORLD" 2>/dev/null || inside_mapping rm -rf "$WORLD"
	return $status
}

# inside_mapping COMMAND...: as root of a user namespace in which our subordinate ids are, for what belongs to them.
inside_mapping()
{
	if [ "$UID_ME" = 0 ]; then
		"$@"
	else
		unshare --user --map-root-user --map-auto "$@"
	fi
}

# The cgroups of this world's machines, lowest first: all below the file's own.
world_cgroups()
{
	[ -z "${HOLM_TEST_CGROUP-}" ] || find "$HOLM_TEST_CGROUP" -mindepth 1 -depth -type d 2>/dev/null
}

# Process ids of this world. Of holm's own programs and what they start: those in the file's cgroup, those with the environment that they
# inherited from here, those with the world's folder in their arguments. Of all others: what is in a machine's cgroup, or in a pid namespace
# below ours that sees a folder of this world.
world_processes()
{
	local pid comm
	{
		[ -z "${HOLM_TEST_CGROUP-}" ] || find "$HOLM_TEST_CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null
		grep -lzsxF "HOLM_TEST_WORLD=$WORLD" /proc/[0-9]*/environ | cut -d/ -f3
		grep -lzsF "$WORLD/" /proc/[0-9]*/cmdline | cut -d/ -f3
		nested_processes
	} | sort -un | while read -r pid; do
		read -r comm 2>/dev/null <"/proc/$pid/comm" || continue
		case "$comm" in
		holm* | qemu* | passt* | pasta* | crun* | mmdebstrap*) echo "$pid" ;;
		*) ! is_inside "$pid" || echo "$pid" ;;
		esac
	done
}

nested_processes()
{
	local status
	grep -lsE $'^NSpid:\t[0-9]+\t' /proc/[0-9]*/status | while read -r status; do
		! grep -qsF "${WORLD##*/}" "${status%status}mountinfo" || echo "$status" | cut -d/ -f3
	done
}

# is_inside PID: in the cgroup of one of the file's machines, or in a pid namespace below ours.
is_inside()
{
	local line
	if [ -n "${HOLM_TEST_CGROUP-}" ]; then
		while read -r line; do
			case "$line" in
			0::*"/holm-test-${HOLM_TEST_CGROUP##*/holm-test-}"/*) return 0 ;;
			esac
		done 2>/dev/null <"/proc/$1/cgroup"
	fi
	grep -qsE $'^NSpid:\t[0-9]+\t' "/proc/$1/status"
}

# leaks [all|but-cgroups]: prints what is left of stopped machines (processes, mounts, cgroups, temporary files; with `all` also sockets, what belongs to
# others in the machines' folder, and what tests made in TMPDIR, but for the answers of the probes, which are kept until the host reboots); fails when there is
# something. A socket of a keeper that was killed may stay until its machine's next start or removal.
leaks()
{
	local deadline=$((SECONDS + 30)) found
	while :; do
		found=$(
			for pid in $(world_processes); do
				echo "process $pid: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | head -c 200)"
			done
			[ "${1-}" = but-cgroups ] || world_cgroups | sed 's/^/cgroup /'
			if [ "${1-}" = all ]; then
				find "$XDG_RUNTIME_DIR" "$TMPDIR" -mindepth 1 \( -type s -o -type p -o -type f \) ! -path "$WORLD/tmp/bats*" ! -name '*-probe' 2>/dev/null | sed 's/^/file /'
				find "$XDG_DATA_HOME/holm/machines" ! -user "$UID_ME" 2>/dev/null | sed 's/^/file of another id /'
			fi
			find "$XDG_DATA_HOME/holm" \( -name '.tmp*' -o -name '*.tmp' -o -name '*.partial' -o -name '.new*' \) ! -path '*/trees/sha256-*/*' ! -path '*/native/*' 2>/dev/null |
				sed 's/^/temporary file /'
			grep -F "$WORLD" /proc/mounts | sed 's/^/mount /'
		)
		[ -n "$found" ] || return 0
		[ $SECONDS -lt $deadline ] || break
		command sleep 0.2
	done
	printf 'left behind:\n%s\n' "$found" >&2
	return 1
}

# --- words for tests --------------------------------------------------------------------------------------------------------------------

# holm with a time limit, so that a hang is a failure of one test.
holm()
{
	command timeout --foreground --kill-after=10 "${HOLM_TEST_TIMEOUT:-180}" holm "$@"
}

# background COMMAND...: in the background, its process id in $pid; unlike a plain `&` it does not ignore INT and QUIT, and holds no descriptor of
# bats.
background()
{
	env --default-signal=INT,QUIT "$@" 3>&- &
	pid=$!
}

# create NAME IMAGE [OPTION...]: a machine as the tests want it: small, and of the isolation under test.
create()
{
	local name=$1 image=$2
	shift 2
	holm machine create "$image:test" --name "$name" --isolation "$ISOLATION" --cpus 1 --memory 512M "$@"
}

# in_machine NAME COMMAND...: as the machine's user.
in_machine()
{
	local name=$1
	shift
	holm machine run -n "$name" -- "$@"
}

# as_root NAME COMMAND...
as_root()
{
	local name=$1
	shift
	holm machine run -n "$name" --root -- "$@"
}

# state NAME: stopped, starting, running or stopping; field NAME KEY: of inspect.
state()
{
	holm machine ls --format json | jq -r --arg name "$1" '.[] | select(.name == $name) | .state'
}

field()
{
	holm machine inspect "$1" | jq -r ".[0].$2"
}

# until_true SECONDS COMMAND...: tries again until it succeeds.
until_true()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $deadline ] || { echo "not within the time: $*" >&2; return 1; }
		command sleep 0.2
	done
}

# requires WHAT...: skips the test, with the reason, where it cannot run.
requires()
{
	local what
	for what in "$@"; do
		case "$what" in
		vm | native) [ "$ISOLATION" = "$what" ] || skip "only in the $what isolation" ;;
		root) [ "$(id -u)" = 0 ] || skip "only as root" ;;
		# Natively only: a VM brings its own.
		cgroup) [ "$ISOLATION" = vm ] || [ -n "${HOLM_TEST_CGROUP-}" ] || skip "this host delegates no cgroup to us" ;;
		tun) [ "$ISOLATION" = vm ] || { [ -r /dev/net/tun ] && [ -w /dev/net/tun ]; } || skip "/dev/net/tun is closed to us" ;;
		archive) [ -n "${HOLM_TEST_OFFLINE-}" ] && skip "Debian's package archive is not reachable" ;;
		*) command -v "$what" >/dev/null || skip "there is no $what here" ;;
		esac
	done
	return 0
}

# exits STATUS COMMAND...: it ends with that status; its output is in $output and $stderr.
exits()
{
	local wanted=$1
	shift
	run "-$wanted" --separate-stderr "$@" || { echo "stderr: ${stderr-}" >&2; return 1; }
}

# fails STATUS COMMAND...: exits with that status and says one line that starts with "holm: " on stderr, nothing on stdout. $stderr has it.
fails()
{
	local wanted=$1
	shift
	run --separate-stderr "$@"
	if [ "$status" != "$wanted" ]; then
		echo "exit status $status instead of $wanted from: $*; stderr: ${stderr-}" >&2
		return 1
	fi
	local last
	# Notes ("holm: note…", a warning about emulation) may stand before it; the last line is the error.
	last=$(printf '%s\n' "${stderr-}" | tail -n 1)
	case "$last" in
	"holm: "*) ;;
	*) echo "not an error in one line: ${stderr-}" >&2; return 1 ;;
	esac
	[ -z "$output" ] || { echo "prints something on stdout: $output" >&2; return 1; }
}

# equal WANTED GOT: says both when they differ.
equal()
{
	[ "$1" = "$2" ] || { printf 'wanted: %s\ngot:    %s\n' "$1" "$2" >&2; return 1; }
}

# contains TEXT PART
contains()
{
	case "$1" in
	*"$2"*) ;;
	*) printf 'no "%s" in: %s\n' "$2" "$1" >&2; return 1 ;;
	esac
}

# printable TEXT: UTF-8 without control and format characters and separators of lines (Unicode's Cc,
# Cf, Zl, Zp) except newlines.
printable()
{
	python3 - "$1" <<-'E' || { printf 'not printable: %q\n' "$1" >&2; return 1; }
	import os, sys, unicodedata
	text = os.fsencode(sys.argv[1]).decode("utf-8", "strict").replace("\n", "")
	sys.exit(any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in text))
	E
}

# on_terminal COMMAND: runs a line of sh with a terminal as stdout and stderr; prints its output.
on_terminal()
{
	command timeout --kill-after=10 "${HOLM_TEST_TIMEOUT:-180}" script -qec "stty -onlcr; $1" /dev/null </dev/null
}

# keeper_of NAME, child_of NAME PROGRAM: process ids.
keeper_of()
{
	local pid
	for pid in $(world_processes); do
		case "$(tr '\0' ' ' <"/proc/$pid/cmdline")" in
		*holm-keeper" $1 "*) echo "$pid"; return 0 ;;
		esac
	done
	return 1
}

child_of()
{
	local keeper pid
	keeper=$(keeper_of "$1") || return 1
	for pid in $(world_processes); do
		[ "$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null)" = "$keeper" ] || continue
		case "$(cat "/proc/$pid/comm")" in
		"$2"*) echo "$pid"; return 0 ;;
		esac
	done
	return 1
}

# fsd_workers NAME: the processes that serve the files of a machine's shares; fsd_worker NAME: one of them.
fsd_workers()
{
	local keeper pid
	keeper=$(keeper_of "$1") || return 1
	for pid in /proc/[0-9]*; do
		[ "$(cat "$pid/comm" 2>/dev/null)" = holm-fsd-worker ] || continue
		! descends "${pid#/proc/}" "$keeper" || echo "${pid#/proc/}"
	done
}

fsd_worker()
{
	fsd_workers "$1" | grep -m 1 .
}

# outside WORD: runs the script on stdin in the VM "box", but outside of the machine there: a
# program inside crashes, and the kernel runs the handler of its dump. The script has the word as
# $2, and a busybox as $b, as there is no other program. Prints its output.
outside()
{
	# shellcheck disable=SC2016
	{ echo 'b=/proc/$1/root/bin/busybox; exec >"/proc/$1/root/tmp/handler.out" 2>&1'; cat; } |
		as_root box sh -c 'cat >/tmp/handler; rm -f /tmp/handler.out
			echo "|/proc/%P/root/bin/busybox sh /proc/%P/root/tmp/handler %P $1" >/proc/sys/kernel/core_pattern
			{ sh -c "kill -SEGV \$\$"; } 2>/dev/null; echo core >/proc/sys/kernel/core_pattern; cat /tmp/handler.out 2>/dev/null' sh "$1"
}

# crash WHAT: ends the agent, engine or monitor of the VM "box", and nothing else. The reaper and
# the process that waits for the engine's place are no agents.
crash()
{
	outside "$1" <<-'END' || true
		for process in /proc/[0-9]*; do
			line='' name=''
			{ read -r line <"$process/cmdline"; read -r name <"$process/comm"; } 2>/dev/null
			case "$2 $name $line" in
			"agent init holm-agent"* | "engine "*exe--engine* | "monitor "*monitor--monitor*) kill -9 "${process#/proc/}" ;;
			esac
		done
	END
}

# agent_of NAME, init_of NAME: of a machine without a VM. The agent is the first process of a pid namespace below ours, the init of one below that.
agent_of()
{
	first_of "$1" 2
}

init_of()
{
	first_of "$1" 3
}

first_of()
{
	local keeper pid
	keeper=$(keeper_of "$1") || return 1
	while read -r pid; do
		! descends "$pid" "$keeper" || { echo "$pid"; return 0; }
	done < <(grep -lsE "^NSpid:(\s[0-9]+){$(($2 - 1))}\s1\$" /proc/[0-9]*/status | cut -d/ -f3)
	return 1
}

# descends PID ANCESTOR
descends()
{
	local pid=$1
	while [ "${pid:-0}" -gt 1 ]; do
		[ "$pid" != "$2" ] || return 0
		pid=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
	done
	return 1
}

gone()
{
	! [ -e "/proc/$1" ]
}

is_state()
{
	[ "$(state "$1")" = "$2" ]
}

# listen ADDRESS ANSWER: socat in the background, its process id in $pid. Each connection's own process ends soon after its last byte, and none holds
# a descriptor of bats, which would wait for it.
listen()
{
	socat -T 5 "$1" "$2" >/dev/null 2>&1 3>&- &
	pid=$!
}

# A TCP or UDP port that nobody uses now, and that no other call in this run of the tests has got.
# It is below those that the kernel gives to clients.
free_port()
{
	local port
	while [ -d "$HOLM_TEST_STAGE/ports" ]; do
		port=$((20000 + RANDOM % 12000))
		mkdir "$HOLM_TEST_STAGE/ports/$port" 2>/dev/null || continue
		ss -Hltun "sport = :$port" | grep -q . || break
	done
	echo "$port"
}

# is_open PORT: whether somebody listens there on the host.
is_open()
{
	ss -Hltun "sport = :$1" | grep -q .
}

is_closed()
{
	! is_open "$1"
}
