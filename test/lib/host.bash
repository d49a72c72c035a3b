# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What tools/run-tests prepares on this host for machines without a VM (sourced by it), so that the tests find what an ordinary host gives to
# every user:
#
#   subordinate ids          for the user of the tests, and for root; stay
#   a delegated cgroup       CGROUP, a cgroup v2 directory of this run, one child a test file (HOLM_TEST_CGROUP); removed at the end
#   /dev/net/tun, /dev/fuse  that everybody may open, in a mount namespace of the file's processes only (test/lib/native-host)
#
# Only root can prepare; for an ordinary user the host is taken as it is, and tests that want more skip.

CGROUP=''

# host_ids USER: says what it adds, when there is no range yet.
host_ids()
{
	local user=$1 from
	[ "$(id -u)" = 0 ] || return 0
	has_range "$user" /etc/subuid && has_range "$user" /etc/subgid && return 0
	from=$(awk -F: '$2 + $3 > from { from = $2 + $3 } END { print from < 100000 ? 100000 : from }' /etc/subuid /etc/subgid 2>/dev/null) || from=100000
	echo "adding subordinate ids $from-$((from + 65535)) for $user"
	usermod --add-subuids "$from-$((from + 65535))" --add-subgids "$from-$((from + 65535))" "$user"
}

has_range()
{
	awk -F: -v user="$1" -v uid="$(id -u "$1")" '($1 == user || $1 == uid) && $3 >= 65536 { found = 1 } END { exit !found }' "$2" 2>/dev/null
}

# host_cgroup: sets CGROUP, to a new child of our own cgroup v2 directory; leaves it empty where there is none, or it cannot be written to.
host_cgroup()
{
	local mount own controller
	mount=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	[ -n "$mount" ] && [ -n "$own" ] || return 0
	[ -w "$mount$own/cgroup.procs" ] || return 0
	CGROUP=${mount}${own%/}/holm-test-$$
	mkdir "$CGROUP" 2>/dev/null || { CGROUP=''; return 0; }
	# Limits need controllers, which a cgroup that holds processes cannot hand on: then the tests of limits skip.
	for controller in cpu memory pids; do
		{ echo "+$controller" >"$mount$own/cgroup.subtree_control"; echo "+$controller" >"$CGROUP/cgroup.subtree_control"; } 2>/dev/null || true
	done
}

# host_cgroup_for FILE USER: prints a child of CGROUP that belongs to the user, or `-`.
host_cgroup_for()
{
	local dir=$CGROUP/$1
	if [ -z "$CGROUP" ] || ! mkdir "$dir" 2>/dev/null; then
		echo -
		return 0
	fi
	[ "$(id -u)" != 0 ] || chown -R "$2" "$dir"
	echo "$dir"
}

# host_cgroup_remove DIR: whatever runs in it is ended first.
host_cgroup_remove()
{
	local dir=$1 attempt
	[ -d "$dir" ] || return 0
	echo 1 >"$dir/cgroup.kill" 2>/dev/null || true
	for attempt in 1 2 3 4 5 6 7 8 9 10; do
		find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null
		[ -d "$dir" ] || return 0
		command sleep "0.$attempt"
	done
	echo "run-tests: $dir cannot be removed" >&2
}

# remove_tree DIR: also what belongs to subordinate ids of ours.
remove_tree()
{
	[ -e "$1" ] || return 0
	chmod -R u+rwX "$1" 2>/dev/null
	rm -rf "$1" 2>/dev/null && return 0
	# shellcheck disable=SC2016
	unshare --user --map-root-user --map-auto sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$1"
}
