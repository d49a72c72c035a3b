# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Where the native rows run: an installation below /var/tmp, and an ordinary user with a home, a delegated cgroup and the devices that an ordinary
# host gives. Typed by root that is the user `holm-test`, in a mount namespace of the bench's own; typed by an ordinary user it is that one, as they
# are.
#
# After world_begin: $work (removed at the end), $world (the user's own part of it), $tester (the user), as_user, $timer, and PATH with the
# installation.

bench_user=holm-test
root_user=
tester=$(id -un)
cgroup=

# as_user COMMAND...: as the ordinary user. (In the background, "${become[@]}" COMMAND... leaves no shell in between.)
become=()
as_user()
{
	"${become[@]}" "$@"
}

# What the timer needs to run a side as that user.
user_words=()

# Root starts over in a mount namespace: what it mounts is nobody else's and ends with it. Shared inside, so that an unmount reaches the namespaces
# below.
world_enter()
{
	[ "$(id -u)" = 0 ] || return 0
	[ "${HOLM_BENCH_INSIDE-}" != 1 ] && HOLM_BENCH_INSIDE=1 exec unshare --mount --propagation private bench/run "$@"
	mount --make-rshared /
	root_user=1
	tester=$bench_user
	if ! getent passwd "$tester" >/dev/null; then
		useradd --create-home --shell /bin/bash --comment "holm tests" "$tester" || exit 1
	fi
	become=(setpriv --reuid "$tester" --regid "$(id -g "$tester")" --init-groups)
	# shellcheck disable=SC2034 # of the rows
	user_words=("user=$tester")
}

# usable_device PATH MINOR: the user may open it; on hosts that keep it to root, a node of our own lies over it.
usable_device()
{
	as_user test -r "$1" -a -w "$1" && return
	[ -n "$root_user" ] && [ -e "$1" ] || return 0
	mknod "$work/${1##*/}" c 10 "$2" && chmod 666 "$work/${1##*/}" && mount --bind "$work/${1##*/}" "$1"
}

# A cgroup that the user owns, with this process in it. Where /sys/fs/cgroup is the old kind, cgroup2 is mounted over it: podman, crun and
# systemd-nspawn then do what they do on today's hosts.
delegate_cgroup()
{
	local own
	[ -n "$root_user" ] || return 0
	if [ "$(stat -f -c %T /sys/fs/cgroup 2>/dev/null)" != cgroup2fs ]; then
		umount -R /sys/fs/cgroup 2>/dev/null
		mount -t cgroup2 cgroup2 /sys/fs/cgroup || { echo "(no cgroup2 here: everything runs without)" >&2; return 0; }
	fi
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	cgroup=/sys/fs/cgroup${own%/}/holm-bench.$$
	mkdir -p "$cgroup/bench" && chown -R "$tester:" "$cgroup" && echo $$ >"$cgroup/bench/cgroup.procs" || cgroup=
}

world_begin()
{
	local name bin
	work=$(mktemp -d /var/tmp/holm-bench.XXXXXX) || exit 1
	chmod 755 "$work"
	trap world_end EXIT
	trap 'exit 130' INT TERM
	world=$work/world timer=$work/spawn-timer
	mkdir -p "$work/images" "$work/samples" "$world"
	for name in home data config cache tmp; do
		mkdir "$world/$name"
	done
	mkdir -m 700 "$world/run"
	[ -z "$root_user" ] || chown -R "$tester:" "$world"
	export HOME=$world/home XDG_DATA_HOME=$world/data XDG_CONFIG_HOME=$world/config XDG_CACHE_HOME=$world/cache XDG_RUNTIME_DIR=$world/run
	export TMPDIR=$world/tmp USER=$tester LOGNAME=$tester SHELL=/bin/sh LC_ALL=C.UTF-8
	unset SSH_AUTH_SOCK DBUS_SESSION_BUS_ADDRESS TZ NOTIFY_SOCKET
	# Everything is measured as `make install` leaves it.
	if ! DESTDIR=$work/root meson install -C "$build" --no-rebuild >"$work/install.log" 2>&1; then
		tail -n 20 "$work/install.log" >&2
		exit 1
	fi
	chmod -R a+rX "$work/root"
	bin=$(dirname "$(find "$work/root" -path '*/bin/holm' | head -n 1)")
	PATH=$bin:$PATH:/usr/sbin:/sbin
	cc -O2 -std=gnu17 -D_GNU_SOURCE -o "$timer" bench/spawn-timer.c || exit 1
	usable_device /dev/net/tun 200
	usable_device /dev/fuse 229
	delegate_cgroup
	cd "$HOME" || exit 1
}

# remove_tree DIR: also what belongs to the user's subordinate ids.
remove_tree()
{
	[ -e "$1" ] || return 0
	chmod -R u+rwX "$1" 2>/dev/null
	rm -rf "$1" 2>/dev/null
	[ ! -e "$1" ] || unshare --user --map-root-user --map-auto rm -rf "$1"
}

# Nothing stays: machines, containers, mounts, processes, cgroups, files.
world_end()
{
	trap - EXIT
	trap '' INT TERM
	cd /
	as_user holm machine rm --force --all >/dev/null 2>&1
	vm_end
	share_end
	peers_end
	fresh_gone
	if [ -n "$cgroup" ]; then
		cgroup_end
	fi
	remove_tree "$work"
}

# Whatever is still in the bench's cgroup was started by it.
cgroup_end()
{
	local dir
	echo $$ >"${cgroup%/*}/cgroup.procs"
	[ ! -e "$cgroup/cgroup.kill" ] || echo 1 >"$cgroup/cgroup.kill"
	for _ in $(seq 50); do
		find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
		[ -e "$cgroup" ] || return 0
		sleep 0.1
	done
	dir=$(find "$cgroup" -type d | tail -n 1)
	echo "bench: the cgroup $dir cannot be removed" >&2
}
