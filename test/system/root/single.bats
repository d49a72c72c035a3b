#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# A user without subordinate ids, and without a VM. Only root can be somebody else for that: `games`, whom Debian gives none.
load ../../lib/holm

setup_file()
{
	getent passwd games >/dev/null || skip "there is no user games here"
	! grep -q '^games:' /etc/subuid || skip "games has subordinate ids here"
	holm_begin
	chown -R games: "$WORLD"
	[ -z "${HOLM_TEST_CGROUP-}" ] || chown -R games: "$HOLM_TEST_CGROUP"
}

teardown_file()
{
	[ -n "${WORLD-}" ] || return 0
	chown -R root: "$WORLD"
	holm_end
}

setup()
{
	requires native
	[ -n "${WORLD-}" ] || skip "there is no user without subordinate ids here"
}

# as_games COMMAND...
as_games()
{
	command timeout 180 setpriv --reuid games --regid games --clear-groups env USER=games LOGNAME=games "$@"
}

@test "system info names the one command that adds the ids" {
	run as_games holm system info
	contains "$output" "--add-subuids"
	contains "$output" " games"
}

@test "an image that can live with a single id runs, with a warning" {
	run --separate-stderr as_games holm machine create busybox:test --name one --isolation native --cpus 1 --memory 512M
	echo "$stderr" >&2
	equal 0 "$status"
	contains "$stderr" "subordinate ids"
	equal 0 "$(as_games holm machine run -n one --root -- id -u)"
	as_games holm machine run -n one --root -- sh -c 'echo mine >"$1/by-root"' sh "$HOME"
	equal games "$(stat -c %U "$HOME/by-root")"
	equal one "$(as_games holm machine stop one)"
	equal one "$(as_games holm machine rm one)"
}
