#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What people do in a directory, timed: on the host, on a machine's own disk, in shared directories of any kind.
#
#   fs-work.sh [-c] DIR ROW...
#
# DIR/work has tree.tar, repo.git and build/ (bench/rows/share-work.bash). A line each is printed, `ROW SECONDS 1`, as fs-load does. -c, as root: before
# each row, outside of its time, everything is synced and this kernel's caches are dropped.
set -e
cold=
[ "$1" != -c ] || { cold=1; shift; }
cd "$1/work"
shift
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C

untar() { mkdir tree; tar -xf tree.tar -C tree; }
clone() { git clone -q --no-hardlinks repo.git clone; }
status() { git -C clone status --porcelain; }
build() { make -s -C build -j2; }
remove() { rm -rf tree clone; }
clean() { rm -rf tree clone build/*.o build/program; }

# In hundredths of a second.
uptime_now() { read -r seconds _ </proc/uptime; echo "${seconds%.*}${seconds#*.}"; }

for row; do
	if [ -n "$cold" ]; then
		sync
		echo 3 >/proc/sys/vm/drop_caches
		sleep 1
	fi
	begin=$(uptime_now)
	"$row" >&2
	end=$(uptime_now)
	echo "$row $(((end - begin) / 100)).$(printf %02d $(((end - begin) % 100))) 1"
done
