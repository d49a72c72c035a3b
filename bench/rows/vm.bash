# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The rows of machines in a VM, and of what both isolations share: start, session, create, disk, memory. They run as whoever typed it.

vm_home()
{
	export HOME=$work/vm/home XDG_DATA_HOME=$work/vm/data XDG_CONFIG_HOME=$work/vm/config XDG_RUNTIME_DIR=$work/vm/run TMPDIR=$work/vm/tmp
}

# The rows' own home and library, made once, with the busybox image.
vm_begin()
{
	vm_home
	if [ ! -e "$work/vm" ]; then
		mkdir -p "$HOME" "$TMPDIR"
		mkdir -m 700 "$XDG_RUNTIME_DIR"
		holm image load "$(archive busybox)" >/dev/null 2>&1 || exit 1
	fi
	cd "$HOME" || exit 1
}

vm_end()
{
	if [ -e "$work/vm" ]; then
		(vm_home && holm machine rm --force --all >/dev/null 2>&1)
	fi
}

# The value of an option of the running QEMU.
qemu_option()
{
	tr '\0' '\n' <"/proc/$qemu/cmdline" | grep -A1 -x -e "$1" | tail -n 1
}

bench_start()
{
	local n bare=() full=() pid accel cpu append smp memory qemu
	vm_begin
	holm machine create busybox:test --name start --isolation vm --cpus 1 --memory 512M >/dev/null 2>&1 || exit 1
	pid=$(keeper start)
	qemu=$(pgrep -P "$pid" qemu-system | head -n 1)
	[ -n "$qemu" ] || { echo "bench: machine \"start\" has no QEMU" >&2; exit 1; }
	accel=$(qemu_option -accel) cpu=$(qemu_option -cpu) append=$(qemu_option -append) smp=$(qemu_option -smp) memory=$(qemu_option -m)
	holm machine stop start >/dev/null
	# An init that only exits: the kernel panics and, told so by panic=-1 and -no-reboot, QEMU ends.
	mkdir -p "$work/bare/dev"
	printf 'int main(void) { return 0; }\n' >"$work/bare.c"
	cc -O2 -static -o "$work/bare/init" "$work/bare.c" || exit 1
	(cd "$work/bare" && find . | cpio --quiet -o -H newc >"$work/bare.cpio")
	bare()
	{
		qemu-system-x86_64 -machine q35 -accel "$accel" ${cpu:+-cpu "$cpu"} -smp "$smp" -m "${memory%%,*}" -nodefaults -no-user-config -display none \
			-no-reboot -kernel "$build/guest/vmlinux" -initrd "$work/bare.cpio" -append "$append panic=-1"
	}
	for n in $(seq "$rounds"); do
		bare+=("$(microseconds bare)") || exit 1
		full+=("$(microseconds holm machine run -n start true)") || exit 1
		holm machine stop start >/dev/null 2>&1
	done
	local b f
	b=$(printf '%s\n' "${bare[@]}" | percentile 50) f=$(printf '%s\n' "${full[@]}" | percentile 50)
	row "run true on a stopped busybox machine" "$(ms "$f")" "bare QEMU, same kernel, init exits" "$(ms "$b")" "$(ratio "$f" "$b")"
	holm machine rm start >/dev/null
}

bench_session()
{
	local n run=() base=()
	vm_begin
	holm machine create busybox:test --name session --isolation vm --cpus 1 --memory 512M >/dev/null 2>&1 || exit 1
	holm machine run -n session true 2>/dev/null || exit 1
	for n in $(seq 200); do
		run+=("$(microseconds holm machine run -n session true)") || exit 1
		base+=("$(microseconds holm version)") || exit 1
	done
	local b p50 p99
	b=$(printf '%s\n' "${base[@]}" | percentile 50)
	p50=$(printf '%s\n' "${run[@]}" | percentile 50)
	p99=$(printf '%s\n' "${run[@]}" | percentile 99)
	row "run true on a running machine, p50 of 200" "$(ms "$p50")" "holm version (a start of the program)" "$(ms "$b")" "$(ratio "$p50" "$b")"
	row "run true on a running machine, p99 of 200" "$(ms "$p99")" "" "$(ms "$b")" "$(ratio "$p99" "$b")"
	holm machine rm --force session >/dev/null 2>&1
}

bench_create()
{
	local n small=() big=()
	vm_begin
	holm image load "$(archive big)" >/dev/null 2>&1 || exit 1
	# The first of each prepares the image's disk.
	holm machine create busybox:test --name first --isolation vm --no-boot >/dev/null 2>&1
	holm machine create big:test --name second --isolation vm --no-boot >/dev/null 2>&1
	for n in $(seq $((rounds * 2))); do
		small+=("$(microseconds holm machine create busybox:test --name "small$n" --isolation vm --no-boot)") || exit 1
		big+=("$(microseconds holm machine create big:test --name "big$n" --isolation vm --no-boot)") || exit 1
	done
	local s b
	s=$(printf '%s\n' "${small[@]}" | percentile 50) b=$(printf '%s\n' "${big[@]}" | percentile 50)
	row "create --no-boot, image of 800 MB" "$(ms "$b")" "create --no-boot, image of 2 MB" "$(ms "$s")" "$(ratio "$b" "$s")"
	holm machine rm --force --all >/dev/null 2>&1
}

bench_disk()
{
	local name file bytes holm_us tar_us n ours theirs files
	vm_begin
	[ "$(id -u)" = 0 ] || echo "(not as root: on the file system of /var/tmp, not a fresh one)" >&2
	for name in big bookworm; do
		file=$(archive $name) || exit 1
		rm -rf "$work/layout"
		files=$(layers "$file" "$work/layout") || exit 1
		ours=() theirs=()
		for n in 1 2 3; do
			fresh || exit 1
			mkdir "$work/fresh/tree"
			extract()
			{
				local layer
				for layer in $files; do
					tar -xf "$layer" --no-same-owner --exclude='./dev/*' --exclude='dev/*' -C "$work/fresh/tree" || return 1
				done
				sync -f "$work/fresh/tree"
			}
			theirs+=("$(microseconds extract)") || exit 1
			fresh || exit 1
			export XDG_DATA_HOME=$work/fresh/data
			holm image load "$file" >/dev/null 2>&1 || exit 1
			rm -rf "$work/fresh/data/holm/images/disks"
			ours+=("$(microseconds "$build/holm-image" prepare --pull never --progress none "docker.io/library/$name:test")") || exit 1
			export XDG_DATA_HOME=$work/vm/data
		done
		bytes=$(for n in $files; do unpacked "$n" | wc -c; done | awk '{ s += $1 } END { print s }')
		holm_us=$(printf '%s\n' "${ours[@]}" | percentile 50) tar_us=$(printf '%s\n' "${theirs[@]}" | percentile 50)
		row "image to disk, $name, $((bytes / 1000000)) MB of layers" "$((bytes / holm_us)) MB/s" "tar -x of the same layers, same place" \
			"$((bytes / tar_us)) MB/s" "$(ratio "$tar_us" "$holm_us")"
	done
	rm -rf "$work/layout"
	fresh_gone
}

bench_memory()
{
	local pid cli name k all=0 guest qemu
	vm_begin
	holm machine create busybox:test --name memory --isolation vm --cpus 1 --memory 512M >/dev/null 2>&1 || exit 1
	holm machine run -n memory sleep 20 2>/dev/null &
	cli=$!
	holm machine run -n memory true 2>/dev/null
	pid=$(keeper memory)
	qemu=$(pgrep -P "$pid" qemu-system | head -n 1)
	[ -n "$qemu" ] || { echo "bench: machine \"memory\" has no QEMU" >&2; exit 1; }
	guest=$(pss "$qemu")
	for name in keeper cli fsd passt; do
		case $name in
		keeper) k=$(pss "$pid") ;;
		cli) k=$(pss $cli) ;;
		fsd) # the broker, and below it the holder, and below that the worker and who knows whose files are
			k=0
			local part parts
			parts=$(child "$pid" holm-fsd)
			while [ -n "$parts" ]; do
				for part in $parts; do
					k=$((k + $(pss "$part") + 0))
				done
				parts=$(pgrep -P "${parts//$'\n'/,}")
			done
			;;
		passt) k=$(pss "$(pgrep -P "$pid" passt | head -n 1)") ;;
		esac
		[ -n "$k" ] || continue
		all=$((all + k))
		row "memory of $name (PSS)" "$k KiB" "QEMU with a machine of 512 MiB" "$guest KiB" "$(ratio "$k" "$guest")"
	done
	# The agent is outside of the machine's process namespace: it says so itself, by way of the keeper.
	k=$(curl -s --max-time 10 --unix-socket "$(echo "$XDG_RUNTIME_DIR"/holm/*/api)" http://holm/v1/memory | jq '.rss / 1024 | floor')
	row "memory of the agent inside (RSS)" "$k KiB" "QEMU with a machine of 512 MiB" "$guest KiB" "$(ratio "$k" "$guest")"
	row "memory of all of holm on the host (PSS)" "$all KiB" "" "$guest KiB" "$(ratio $all "$guest")"
	kill $cli 2>/dev/null
	wait $cli 2>/dev/null
	holm machine rm --force memory >/dev/null 2>&1
}
