# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The shared directory as people use it: bench/fs-work.sh (tar, git, a C build, rm -rf) in turn on the same sides as the row `share`, in a Debian
# machine.

# How much, by the names of FS_LOAD: files of the tree, C files.
work_sizes()
{
	case "$share_size" in
	small) work_files=200 work_sources=2 ;;
	medium) work_files=400 work_sources=3 ;;
	full) work_files=50000 work_sources=60 ;;
	esac
	# shellcheck disable=SC2034 # of share_measure
	share_rounds=1
}

# A tree as npm leaves it, the same as an archive and as a repository, and C files with a Makefile; in the current folder.
work_make()
{
	local n git=(git -c init.defaultBranch=main -c user.name=bench -c user.email=bench@localhost -c gc.auto=0)
	"$work/share/fs-load" -f "$work_files" . packages >/dev/null && mv load/packages tree && rmdir load || return 1
	tar -cf tree.tar -C tree . || return 1
	"${git[@]}" -C tree init -q && "${git[@]}" -C tree add . && "${git[@]}" -C tree commit -q -m tree && "${git[@]}" clone -q --bare tree repo.git && rm -rf tree || return 1
	mkdir build
	for ((n = 0; n < work_sources; n++)); do
		printf '#include <errno.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/stat.h>\n#include <unistd.h>\nint part_%d(void) { return printf("%%d\\n", %d); }\n' \
			"$n" "$n" >"build/part-$n.c"
	done
	echo 'int main(void) { return 0; }' >build/main.c
	# shellcheck disable=SC2016 # make's
	printf 'program: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\t$(CC) -o $@ $^\n' >build/Makefile
}

work_begin()
{
	local side
	share_begin work --init holm
	work_sizes
	mkdir -p "$work/share/work" && (cd "$work/share/work" && work_make) || exit 1
	for side in "${share_sides[@]}"; do
		[ "$side" = own ] || cp -R "$work/share/work" "$root/bench/fs-work.sh" "$work/share/$side/" || exit 1
	done
	holm machine run -n share --root -w / -- cp -R /share/work /share/fs-work.sh /own/ || exit 1
}

work_run()
{
	case "$1" in
	host) "$root/bench/fs-work.sh" "$work/share/host" "$2" ;;
	own) holm machine run -n share --root -w / -- /own/fs-work.sh -c /own "$2" ;;
	holm) holm machine run -n share --root -w / -- /own/fs-work.sh -c /share "$2" ;;
	*) peer_tells "in_image /bin/sh /$1/fs-work.sh -c /$1 $2" ;;
	esac </dev/null 2>"$work/share/work.log" || { cat "$work/share/work.log" >&2; return 1; }
}

# work_time SIDE ROW: microseconds.
work_time()
{
	awk -v row="$2" '$1 == row { printf "%d", $2 * 1000000 }' "$work/share.$1" 2>/dev/null
}

work_table()
{
	local name side ours theirs
	for name in "${share_rows[@]}"; do
		for side in own host 9p virtiofsd; do
			ours=$(work_time "$(share_ours "$side")" "$name")
			theirs=$(work_time "$side" "$name")
			[ -n "$theirs" ] || continue
			row "share: $(work_what "$name")$(share_where "$side")" "$(ms "$ours")" "$(share_text "$side")" "$(ms "$theirs")" "$(ratio "$ours" "$theirs")" \
				"$([ "$side" != virtiofsd ] || at_most "virtiofsd," "$ours" "$theirs")"
		done
	done
}

work_what()
{
	case "$1" in
	untar) echo "tar -x, $work_files files" ;;
	clone) echo "git clone, $work_files files" ;;
	status) echo "git status, $work_files files" ;;
	build) echo "make -j2, $work_sources C files" ;;
	remove) echo "rm -rf of both trees" ;;
	esac
}

bench_share_work()
{
	local work_files=0 work_sources=0 name
	for name in git make; do
		command -v "$name" >/dev/null || { skipped "share-work" "" "there is no $name here"; return 0; }
	done
	work_begin
	share_turns=(untar clone status build remove) share_rows=("${share_turns[@]}")
	share_measure work_run
	work_table
	share_end
}
