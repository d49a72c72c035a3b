# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# From a registry to trees and to a disk that machines can use, beside podman's pull of the same
# image from the same registry and the limit; each on a fresh file system, with its writes synced.

# Each takes the image's address and works in $work/fresh.
unpack_holm()
{
	# shellcheck disable=SC2016
	sample "$2" "${user_words[@]}" env XDG_DATA_HOME="$work/fresh/data" sh -c 'holm-image prepare $3 --progress none "$1" && sync -f "$2"' \
		sh "$1" "$work/fresh" "$3"
}

unpack_podman()
{
	# shellcheck disable=SC2016
	sample "$2" "${user_words[@]}" sh -c 'podman --root "$2/containers" --runroot "$3" pull -q --tls-verify=false "$1" && sync -f "$2"' \
		sh "$1" "$work/fresh" "$XDG_RUNTIME_DIR/unpack"
	podman_pause_end
}

# The limit on two cores: blobs in local files, both digests, the uncompressed bytes written, as one
# file or (--files) as those of a tree.
unpack_limit()
{
	# shellcheck disable=SC2016
	sample "$2" sh -c '"$1" $4 "$2" $3 && sync -f "$2"' sh "$work/pull-limit" "$work/fresh" "$1" "${3-}"
}

# The floor: no download, no check, no user; what is measured is decoding and writing.
unpack_tar()
{
	# shellcheck disable=SC2016
	sample "$2" sh -c 'mkdir "$1/tree" && for layer in $2; do
		tar -C "$1/tree" -xf "$layer" --exclude="./dev/*" --exclude="dev/*" || exit 1
		done && sync -f "$1"' sh "$work/fresh" "$1"
}

bench_native_unpack()
{
	local what="native: bookworm from a registry to trees" why format n file address files
	PATH=$(dirname "$(find "$work/root" -name holm-image | head -n 1)"):$PATH
	sides_begin
	why=$(peer registry) || { skipped "$what" "podman pull" "$why"; return; }
	[ -n "$root_user" ] || { skipped "$what" "podman pull" "a fresh file system takes root"; return; }
	address=$(cat "$work/registry.address")
	file=$(archive bookworm) || exit 1
	cc -O2 -std=gnu17 -D_GNU_SOURCE -o "$work/pull-limit" "$root/bench/pull-limit.c" -lisal -lzstd -lcrypto -lpthread || exit 1
	why=$(peer podman) || skipped "$what" "podman pull" "$why"
	for format in gzip zstd; do
		skopeo copy --quiet --insecure-policy --dest-tls-verify=false --dest-compress-format $format \
			"oci-archive:$file" "docker://$address/bookworm:$format" || exit 1
		skopeo copy --quiet --insecure-policy --src-tls-verify=false "docker://$address/bookworm:$format" "oci:$work/layout-$format:x" || exit 1
		files=$(layout_layers "$work/layout-$format")
		for n in 1 2 3; do
			fresh || exit 1
			unpack_holm "$address/bookworm:$format" "holm-$format" "--form trees"
			fresh || exit 1
			unpack_holm "$address/bookworm:$format" "disk-$format" ""
			fresh || exit 1
			unpack_limit "$files" "limit-$format"
			fresh || exit 1
			unpack_limit "$files" "files-$format" --files
			fresh || exit 1
			unpack_tar "$files" "tar-$format"
			[ -z "$why" ] || continue
			fresh || exit 1
			unpack_podman "$address/bookworm:$format" "podman-$format"
		done
		unpack_rows "$what" $format "$(for n in $files; do unpacked "$n" | wc -c; done | awk '{ s += $1 } END { printf "%d", s / 1000000 }')"
		rm -rf "$work/layout-$format"
	done
	fresh_gone
}

# unpack_rows WHAT FORMAT MEGABYTES
unpack_rows()
{
	local ours theirs disk limit files
	ours=$(of "holm-$2" p50) disk=$(of "disk-$2" p50) limit=$(of "limit-$2" p50) files=$(of "files-$2" p50)
	row "$1, $2, $3 MB" "$(ms "$ours")" "the limit: inflate, both digests, write the files" "$(ms "$files")" "$(ratio "$ours" "$files")" \
		"$(at_most_ratio 1.5 "$ours" "$files")"
	row "$1, $2, $3 MB" "$(ms "$ours")" "the limit of a disk: one file" "$(ms "$limit")" "$(ratio "$ours" "$limit")"
	row "${1%trees}a disk, $2, $3 MB" "$(ms "$disk")" "the limit: inflate, both digests, write" "$(ms "$limit")" "$(ratio "$disk" "$limit")" \
		"$(at_most_ratio 1.5 "$disk" "$limit")"
	if measured "podman-$2"; then
		theirs=$(of "podman-$2" p50)
		row "$1, $2, $3 MB" "$(ms "$ours")" "podman pull from the same registry" "$(ms "$theirs")" "$(ratio "$ours" "$theirs")"
	fi
	theirs=$(of "tar-$2" p50)
	row "$1, $2, $3 MB" "$(ms "$ours")" "tar -x of the same layers, from a file, root" "$(ms "$theirs")" "$(ratio "$ours" "$theirs")"
}
