# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The shared directory: bench/fs-load.c in turn on the host, on a machine's own disk, in holm's share and in those of bench/share-peers.bash. They run as
# whoever typed it.
#
# FS_LOAD says how much: full (the default with KVM), medium (without), small (a minute; only the sides that need no second VM).

share_sides=()
share_mib=0 share_operations=0 share_files=0 share_rounds=1

share_sizes()
{
	local size=${FS_LOAD-}
	if [ -z "$size" ]; then
		size=medium
		! kvm_works || size=full
	fi
	case "$size" in
	# Under emulation the machine's processor is an order of magnitude slower, and so is every row.
	small) share_mib=64 share_operations=1000 share_files=1000 ;;
	medium) share_mib=128 share_operations=1500 share_files=1000 share_rounds=3 ;;
	full) share_mib=1024 share_operations=20000 share_files=20000 share_rounds=3 ;;
	*) echo "bench: FS_LOAD=$size: it is small, medium or full" >&2; exit 2 ;;
	esac
	share_size=$size
	echo "(share: FS_LOAD=$size: one file of $share_mib MiB, $share_operations random reads and writes, $share_files small files)"
}

kvm_works()
{
	holm system info --format json 2>/dev/null | jq -e 'any(.probes[]; .name == "kvm" and .ok)' >/dev/null
}

# share_place NAME SIZE: a new, empty ext4 at $work/share/NAME, as root; else a folder on whatever /var/tmp is on.
share_place()
{
	local place=$work/share/$1
	! mountpoint -q "$place" || umount "$place" || return 1
	[ "$(id -u)" = 0 ] || rm -rf "$place"
	mkdir -p "$place"
	[ "$(id -u)" = 0 ] || return 0
	rm -f "$place.img"
	truncate -s "$2" "$place.img"
	mkfs.ext4 -q -F "$place.img" && mount -o loop "$place.img" "$place"
}

share_home()
{
	vm_home
	export XDG_DATA_HOME=$work/share/own/data
}

share_end()
{
	local place
	[ -e "$work/share" ] || return 0
	(share_home && holm machine rm --force --all >/dev/null 2>&1)
	share_peers_end
	for place in "$work"/share/*; do
		! mountpoint -q "$place" || umount "$place" || umount -l "$place"
	done
	rm -rf "$work/share"
}

# share_begin IMAGE [OPTION]...: the places, a machine of that image, and where FS_LOAD is not small the peers.
share_begin()
{
	local image=$1 kernel="" others=("${@:2}")
	share_sizes
	mkdir -p "$work/share"
	share_place host 4G && share_place own 12G && share_place holm 4G || exit 1
	vm_begin
	share_home
	mkdir -p "$XDG_DATA_HOME"
	cc -O2 -static -std=gnu17 -D_GNU_SOURCE -o "$work/share/fs-load" "$root/bench/fs-load.c" && cp "$work/share/fs-load" "$work/share/holm/" || exit 1
	holm image load "$(archive "$image")" >/dev/null 2>&1 || exit 1
	if [ "$share_size" != small ]; then
		kernel=$(bench_kernel) || exit 1
		others+=(--kernel "$(echo "$kernel"/boot/vmlinuz-*)" --kernel-modules "$(echo "$kernel"/lib/modules/*)")
	fi
	holm machine create "$image:test" --name share --isolation vm --cpus 2 --memory 1G --home-mount none --mount "$work/share/holm:/share" "${others[@]}" \
		>/dev/null || exit 1
	holm machine run -n share --root -w / -- sh -c 'mkdir /own && cp /share/fs-load /own/' || exit 1
	share_sides=(host own holm)
	[ -z "$kernel" ] || share_peers_begin "$kernel" || exit 1
	share_sides+=("${share_peers[@]}")
}

# share_run SIDE ROW...: fs-load's lines.
share_run()
{
	local side=$1
	shift
	set -- -m "$share_mib" -n "$share_operations" -f "$share_files" "$@"
	case "$side" in
	host) "$work/share/fs-load" "${@:1:6}" "$work/share/host" "${@:7}" ;;
	own) holm machine run -n share --root -w / -- /own/fs-load -c "${@:1:6}" /own "${@:7}" ;;
	holm) holm machine run -n share --root -w / -- /own/fs-load -c "${@:1:6}" /share "${@:7}" ;;
	*) peer_tells "fs-load -c ${*:1:6} /$side ${*:7}" ;;
	esac </dev/null
}

# What a side does in one turn: what is timed again must follow at once, before what the machine keeps has expired.
share_turns=(write "read reread" random-read random-write create open-read "stat restat" list rename unlink packages remove-packages)
read -ra share_rows <<<"${share_turns[*]}"

# share_measure COMMAND: all sides take turns, since later rows work on what earlier ones made; 9p only once,
# as it takes longer than all others together. $work/share.SIDE has fs-load's lines.
share_measure()
{
	local round turn side
	rm -f "$work"/share.*
	for round in $(seq "$share_rounds"); do
		for turn in "${share_turns[@]}" clean; do
			for side in "${share_sides[@]}"; do
				[ "$side" != 9p ] || [ "$round" = 1 ] || continue
				# shellcheck disable=SC2086 # the words of a turn
				"$1" "$side" $turn >"$work/measured" || share_failed "$side" "$turn"
				cat "$work/measured" >>"$work/share.$side"
			done
		done
	done
}

# A peer that cannot do a row takes no part in it; the others have to.
share_failed()
{
	case "$1" in
	9p | virtiofsd) skipped "share: $2" "$(share_text "$1")" "$(tail -n 1 "$work/measured" | cut -c1-160)" ;;
	*) echo "bench: $2 on $1 failed" >&2; exit 1 ;;
	esac
	: >"$work/measured"
}

# share_rate SIDE ROW: the median round's MiB, operations or files a second.
share_rate()
{
	awk -v row="$2" '$1 == row && $2 > 0 { print $3 / $2 }' "$work/share.$1" 2>/dev/null | percentile 50
}

share_figure()
{
	case "$1" in
	write | read | reread | read-*) awk -v n="$2" 'BEGIN { printf "%.0f MiB/s", n }' ;;
	*) awk -v n="$2" 'BEGIN { printf "%.0f /s", n }' ;;
	esac
}

# share_aim ROW SIDE RATIO: what is wished of the ratio, and whether it is so.
share_aim()
{
	local least
	case "$2:$1" in
	own:write | own:read | own:reread) least=0.77 ;;
	virtiofsd:create | virtiofsd:open-read | virtiofsd:stat | virtiofsd:list | virtiofsd:rename | virtiofsd:unlink | virtiofsd:*packages) least=2 ;;
	virtiofsd:reread | virtiofsd:restat) return 0 ;; # which no server is asked for
	virtiofsd:*) least=1 ;;
	*) return 0 ;;
	esac
	at_least "$least" "$3"
}

share_text()
{
	case "$1" in
	own) echo "the machine's own disk" ;;
	host) echo "the host" ;;
	9p) echo "QEMU's 9p" ;;
	virtiofsd) echo "virtiofsd" ;;
	esac
}

# share_ours SIDE: the side that is holm's beside it, in the same VM; share_where: what the table says of it.
share_ours()
{
	case "$1" in
	own | host) echo holm ;;
	*) echo holm-fsd ;;
	esac
}

share_where()
{
	case "$1" in
	own | host) ;;
	*) echo ", in one VM" ;;
	esac
}

share_what()
{
	case "$1" in
	write | read | reread) echo "share: $1, one file of $share_mib MiB" ;;
	random-*) echo "share: $1, 4 KiB, $share_operations" ;;
	*) echo "share: $1, $share_files files" ;;
	esac
}

share_table()
{
	local name side ours theirs times
	for name in "${share_rows[@]}"; do
		for side in own host 9p virtiofsd; do
			ours=$(share_rate "$(share_ours "$side")" "$name")
			theirs=$(share_rate "$side" "$name")
			[ -n "$theirs" ] || continue
			times=$(ratio "$ours" "$theirs")
			row "$(share_what "$name")$(share_where "$side")" "$(share_figure "$name" "$ours")" "$(share_text "$side")" "$(share_figure "$name" "$theirs")" "$times" \
				"$(share_aim "$name" "$side" "$times")"
		done
	done
}

bench_share()
{
	share_begin busybox
	share_measure share_run
	share_table
	share_end
}
