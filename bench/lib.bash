# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the rows of `make bench` share: measuring, the table, images, a fresh file system, looking at processes.
#
# From bench/run: $work (this run's folder), $build, $rounds, $timer (bench/spawn-timer.c, compiled), and of bench/world.bash as_user.

# --- numbers --------------------------------------------------------------------------------------------------------------------------

# microseconds COMMAND...: how long it took; its output is dropped; a failure ends the row.
microseconds()
{
	local begin=${EPOCHREALTIME/./} end
	if ! "$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null; then
		echo "bench: failed: $*" >&2
		cat "$TMPDIR/err" >&2
		return 1
	fi
	end=${EPOCHREALTIME/./}
	echo $((end - begin))
}

# percentile P: of the numbers on stdin, one a line.
percentile()
{
	sort -n | awk -v p="$1" '{ v[NR] = $1 } END { i = int((NR - 1) * p / 100 + 0.5) + 1; print v[i] }'
}

ms()
{
	awk -v us="$1" 'BEGIN { printf us < 10000 ? "%.2f ms" : us < 1000000 ? "%.0f ms" : "%.2f s", us < 1000000 ? us / 1000 : us / 1000000 }'
}

ratio()
{
	awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'
}

# at_most WHAT US LIMIT_US: the text of an aim and whether it is met.
at_most()
{
	echo "$1 at most $(ms "$3"): $(ms "$2"), $([ "$2" -le "$3" ] && echo met || echo MISSED)"
}

# at_least N RATIO: the same for a ratio that is wished to be that or more.
at_least()
{
	echo "at least $1: $(awk -v r="$2" -v l="$1" 'BEGIN { print(r >= l ? "met" : "MISSED") }')"
}

# at_most_ratio LIMIT US US: the same for a ratio that is to be that or less.
at_most_ratio()
{
	echo "at most $1: $(awk -v a="$2" -v b="$3" -v l="$1" 'BEGIN { print(a <= b * l ? "met" : "MISSED") }')"
}

# row WHAT HOLM BESIDE VALUE RATIO [AIM]
row()
{
	printf '%-54s %12s   %-50s %12s %8s%s\n' "$1" "$2" "$3" "$4" "$5" "${6:+   $6}"
}

# skipped WHAT PEER WHY: a row that says what was not measured.
skipped()
{
	row "$1" "" "$2" "" "" "skipped: $3"
}

# --- sides: commands that are measured in turn ----------------------------------------------------------------------------------------
# A row names its sides; a peer that does not work here is said so and left out; holm failing ends the row.

sides=()
side_words=()

sides_begin()
{
	sides=() side_words=()
	rm -rf "$work/samples"
	mkdir -p "$work/samples"
}

# reason: the last line of what a failed try said.
reason()
{
	local line
	line=$(grep -v '^spawn-timer:' "$work/try.err" | tail -n 1)
	[ -n "$line" ] || line=$(tail -n 1 "$work/try.err")
	echo "it does not work here: ${line:0:200}"
}

# try_once ROW PEER WORD...: the words of a side of the timer, once, before it counts.
try_once()
{
	local what=$1 peer=$2
	shift 2
	"$timer" -n 1 -t 120 ::: "$@" >/dev/null 2>"$work/try.err" </dev/null && return 0
	[ "$peer" != holm ] || { cat "$work/try.err" >&2; exit 1; }
	skipped "$what" "$peer" "$(reason)"
	return 1
}

# side ROW PEER WORD...: one that takes part in measure_sides.
side()
{
	local peer=$2
	try_once "$@" || return 0
	shift 2
	sides+=("$peer")
	side_words+=(::: "$@")
}

# measure_sides N: all sides in turn, N rounds; afterwards `of PEER count|min|p50|p99|max` has the figures.
measure_sides()
{
	local peer numbers
	"$timer" -n "$1" -t 120 "${side_words[@]}" >"$work/measured" 2>"$work/try.err" </dev/null || { cat "$work/try.err" >&2; exit 1; }
	for peer in "${sides[@]}"; do
		read -r numbers
		echo "$numbers" >"$work/samples/$peer.summary"
	done <"$work/measured"
}

# sample PEER WORD...: one more sample of a side whose rounds need something undone in between.
sample()
{
	local peer=$1 us
	shift
	us=$("$timer" -n 1 -t 180 ::: "$@" 2>"$work/try.err" </dev/null | cut -d' ' -f3)
	[ -n "$us" ] || { echo "bench: $peer failed" >&2; cat "$work/try.err" >&2; exit 1; }
	echo "$us" >>"$work/samples/$peer"
}

# of PEER count|min|p50|p99|max
of()
{
	local file=$work/samples/$1
	if [ -e "$file.summary" ]; then
		awk -v want="$2" '{ split("count min p50 p99 max", name, " "); for (i = 1; i <= 5; i++) if (name[i] == want) print $i }' "$file.summary"
		return
	fi
	case "$2" in
	count) wc -l <"$file" ;;
	min) percentile 0 <"$file" ;;
	p50) percentile 50 <"$file" ;;
	p99) percentile 99 <"$file" ;;
	max) percentile 100 <"$file" ;;
	esac
}

measured()
{
	[ -s "$work/samples/$1" ] || [ -s "$work/samples/$1.summary" ]
}

# beside WHAT PEER TEXT p50|p99 [AIM]: the row of holm's figure beside that peer's, when it was measured.
beside()
{
	local what=$1 peer=$2 text=$3 figure=$4 ours theirs
	measured "$peer" || return 0
	ours=$(of holm "$figure") theirs=$(of "$peer" "$figure")
	row "$what, $figure of $(of holm count)" "$(ms "$ours")" "$text, of $(of "$peer" count)" "$(ms "$theirs")" "$(ratio "$ours" "$theirs")" "${5-}"
}

# --- images ---------------------------------------------------------------------------------------------------------------------------

# archive NAME: the path of an image archive, made when it is not there yet. bookworm comes from the tests' cache, or is made and kept there; work (bookworm
# with git and a C compiler) is kept there as well.
archive()
{
	local file=$work/images/$1.tar cached
	if [ -e "$file" ]; then
		echo "$file"
		return
	fi
	case "$1" in
	bookworm | work)
		cached=$(find "$root/build/test-images" "$build/test-images" -name "$1-*.tar" 2>/dev/null | head -n 1)
		[ -n "$cached" ] || cached=$(make_debian "$1") || return 1
		ln "$cached" "$file" 2>/dev/null || cp "$cached" "$file" || return 1
		chmod a+r "$file"
		;;
	big)
		echo "(making an image of 800 MB)" >&2
		HOLM_TEST_BIG_MIB=800 image_from_tree big "$work/images" >&2 || return 1
		;;
	*) image_from_tree "$1" "$work/images" >&2 || return 1 ;;
	esac
	echo "$file"
}

# Kept under the name by which tools/run-tests looks for bookworm.
make_debian()
{
	local key to more=()
	key=$(cat "$root"/src/image/*/*debootstrap* | sha256sum | cut -c1-12)
	to=$build/test-images/$1-$key.tar
	[ "$1" != work ] || more=(--include "git,gcc,libc6-dev,make")
	echo "(making an image of Debian bookworm, $1)" >&2
	mkdir -p "$build/test-images"
	as_user env XDG_DATA_HOME="$world/debootstrap" holm image debootstrap bookworm -t "$1:test" "${more[@]}" >&2 </dev/null || return 1
	mkdir -p "$work/debootstrap"
	skopeo copy --quiet --insecure-policy "oci:$world/debootstrap/holm/images:docker.io/library/$1:test" \
		"oci-archive:$work/debootstrap/new.tar:docker.io/library/$1:test" >&2 && mv "$work/debootstrap/new.tar" "$to" || return 1
	rm -rf "$world/debootstrap" "$work/debootstrap"
	echo "$to"
}

# layers ARCHIVE LAYOUT: unpacks the archive to an OCI layout; prints its layers' files, lowest first.
layers()
{
	skopeo copy --quiet --insecure-policy "oci-archive:$1" "oci:$2:x" && layout_layers "$2"
}

layout_layers()
{
	skopeo inspect --raw "oci:$1:x" | jq -r --arg dir "$1/blobs/sha256/" '.layers[].digest | $dir + ltrimstr("sha256:")'
}

# unpacked LAYER: gzip or zstd, by its first bytes.
unpacked()
{
	case "$(head -c 2 "$1" | od -An -tx1)" in
	" 1f 8b") gzip -dc "$1" ;;
	" 28 b5") zstd -dcq "$1" ;;
	*) cat "$1" ;;
	esac
}

# --- a file system that nothing was deleted from --------------------------------------------------------------------------------------

# fresh: an empty ext4 on a loop device at $work/fresh, as root; else an empty folder on whatever /var/tmp is on.
fresh()
{
	mkdir -p "$work/fresh"
	if [ "$(id -u)" = 0 ]; then
		fresh_gone
		[ -e "$work/fresh.img" ] || truncate -s 6G "$work/fresh.img"
		mkfs.ext4 -q -F "$work/fresh.img" && mount -o loop "$work/fresh.img" "$work/fresh" || return 1
	else
		remove_tree "$work/fresh"
		mkdir -p "$work/fresh"
	fi
	chmod 777 "$work/fresh"
}

fresh_gone()
{
	if mountpoint -q "$work/fresh"; then
		umount "$work/fresh"
	fi
}

# --- processes ------------------------------------------------------------------------------------------------------------------------

pss()
{
	awk '/^Pss:/ { print $2; exit }' "/proc/$1/smaps_rollup" 2>/dev/null
}

# keeper NAME: its process id, the first line of the machine's lock file.
keeper()
{
	head -n 1 "$XDG_DATA_HOME/holm/machines/$1/lock"
}

child()
{
	pgrep -P "$1" -x "$2" | head -n 1
}

# descendants PID: it and all below it.
descendants()
{
	ps -e -o pid=,ppid= | awk -v top="$1" '{ parent[$1] = $2 }
		END { for (p in parent) { for (q = p; q > 1 && q != top; q = parent[q]); if (q == top) print p } }'
}

# A process that is in N process namespaces has N numbers.
depth()
{
	awk '/^NSpid:/ { print NF - 1 }' "/proc/$1/status" 2>/dev/null
}
