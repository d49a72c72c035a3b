# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# How soon a program inside a VM that waits for changes (inotify, test/lib/watcher.c) has heard of one that the host makes in the home, and said so.

EVENTS_ROUNDS=50

# events_tell PATTERN: reads what the watcher says until a line is like that; fails after ten seconds.
events_tell()
{
	local line deadline=$((SECONDS + 10))
	while [ $SECONDS -lt $deadline ] && IFS= read -r -t 10 -u "$watcher" line; do
		[[ "$line" =~ $1 ]] && return 0
	done
	return 1
}

# A watch counts from some moment after it was added: until the first event has come.
events_begin()
{
	local n
	events_tell '^ready$' || return 1
	for n in $(seq 100); do
		: >"watched/poke$n"
		! events_tell_soon || return 0
	done
	return 1
}

events_tell_soon()
{
	local line
	IFS= read -r -t 0.2 -u "$watcher" line
}

# What one change still has to say is no part of the next round.
events_settle()
{
	while events_tell_soon; do
		:
	done
}

events_round()
{
	local begin
	events_settle
	begin=${EPOCHREALTIME/./}
	printf x >>watched/file
	events_tell '^(MODIFY|CLOSE_WRITE) watched/file ' || return 1
	written+=("$((${EPOCHREALTIME/./} - begin))")
	events_settle
	begin=${EPOCHREALTIME/./}
	: >"watched/new$1"
	events_tell "^CREATE watched/new$1 " || return 1
	made+=("$((${EPOCHREALTIME/./} - begin))")
	begin=${EPOCHREALTIME/./}
	echo "$1" >&"${back[1]}"
	IFS= read -r -t 10 -u "${back[0]}" _ || return 1
	said+=("$((${EPOCHREALTIME/./} - begin))")
}

# events_row WHAT P NUMBER...
events_row()
{
	local what=$1 p=$2 value beside
	shift 2
	value=$(printf '%s\n' "$@" | percentile "$p") beside=$(printf '%s\n' "${said[@]}" | percentile "$p")
	row "share-events: $what, p$p of $EVENTS_ROUNDS" "$(ms "$value")" "a line to a command inside and back" "$(ms "$beside")" "$(ratio "$value" "$beside")" \
		"$(at_most "p$p" "$value" 200000)"
}

bench_share_events()
{
	local n watcher written=() made=() said=()
	vm_begin
	cc -O2 -static -o watcher "$root/test/lib/watcher.c" && mkdir watched && : >watched/file || exit 1
	holm machine create busybox:test --name events --isolation vm --cpus 1 --memory 512M >/dev/null 2>&1 || exit 1
	holm machine run -n events true 2>/dev/null || exit 1
	exec {watcher}< <(exec holm machine run -n events -- ./watcher watched 2>/dev/null </dev/null)
	coproc back { exec holm machine run -n events -- cat 2>/dev/null; }
	events_begin || { echo "bench: no event came" >&2; exit 1; }
	for n in $(seq "$EVENTS_ROUNDS"); do
		events_round "$n" || { echo "bench: an event did not come" >&2; exit 1; }
	done
	: >watched/enough
	events_row "a file written on the host" 50 "${written[@]}"
	events_row "a file written on the host" 99 "${written[@]}"
	events_row "a file made on the host" 50 "${made[@]}"
	events_row "a file made on the host" 99 "${made[@]}"
	holm machine rm --force events >/dev/null 2>&1
}
