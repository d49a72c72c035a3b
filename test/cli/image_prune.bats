#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# holm image prune: what no machine uses goes, what one uses stays.
load ../lib/holm
load ../lib/images

setup_file()
{
	requires skopeo umoci
	holm_begin empty
	mkdir "$WORLD/images"
	image_from_tree busybox "$WORLD/images"
	rm -rf "$WORLD/tmp"/*
	export IMAGES="$XDG_DATA_HOME/holm/images"
}

teardown_file()
{
	holm_end
}

# with_everything: the image with disk, trees and a partial download, older than a sweep's grace.
with_everything()
{
	holm image load --progress none "$WORLD/images/busybox.tar" >/dev/null
	holm image prepare --progress none busybox:test >/dev/null
	holm image prepare --progress none --form trees busybox:test >/dev/null
	head -c 300000 /dev/zero >"$IMAGES/partial/sha256-$(printf '0%.0s' {1..64})"
	older
}

older()
{
	find "$IMAGES/disks" "$IMAGES/trees" -maxdepth 1 -type f -exec touch -d '2 minutes ago' {} +
}

# counts [OPTION]...: images, layers, disks, trees and downloads that go.
counts()
{
	holm image prune --format json "$@" | jq -r '[.[].count] | join(" ")'
}

@test "prune --dry-run counts and deletes nothing" {
	with_everything
	local before
	before=$(find "$IMAGES" | sort)
	equal '0 0 1 1 1' "$(counts --dry-run)"
	equal '1 3 1 1 1' "$(counts --dry-run --all)"
	equal '["docker.io/library/busybox:test"]' "$(holm image prune --dry-run --all --format json | jq -c '.[0].names')"
	contains "$(holm image prune --dry-run --all)" 'would remove docker.io/library/busybox:test'
	[ "$(holm image prune --dry-run --format json | jq '.[3].bytes')" -gt 500000 ]
	equal "$before" "$(find "$IMAGES" | sort)"
}

@test "prune says what of the last minute it keeps" {
	find "$IMAGES/trees" "$IMAGES/disks" -maxdepth 1 -type f -exec touch {} +
	equal '0 0 1 1 0' "$(holm image prune --dry-run --format json | jq -r '[.[].kept] | join(" ")')"
	contains "$(holm image prune --dry-run)" "made or used within the last minute"
	older
	equal '0 0 0 0 0' "$(holm image prune --dry-run --format json | jq -r '[.[].kept] | join(" ")')"
	equal 'images blobs disks trees downloads' "$(holm image prune --dry-run --format json | jq -r '[.[].kind] | join(" ")')"
	[[ "$(holm image prune --dry-run)" != *"last minute"* ]]
}

@test "prune deletes what can be made or fetched again, and the image stays usable" {
	equal '0 0 1 1 1' "$(counts)"
	equal '' "$(find "$IMAGES/disks" "$IMAGES/trees" "$IMAGES/partial" -mindepth 1)"
	equal '0 0 0 0 0' "$(counts)"
	holm image prepare --progress none busybox:test >/dev/null
	older
}

@test "prune --all leaves what a machine uses, by its image, its trees or its containers" {
	local digest
	with_everything
	holm machine create busybox:test --name uses --no-boot --isolation vm
	holm image tag busybox:test second:1
	older
	equal '0 0 0 1 1' "$(counts --all)"
	digest=$(holm image ls --format json | jq -r '.[0].digest')
	holm machine rm uses
	older
	# Only a container of a machine has it.
	mkdir -p "$XDG_DATA_HOME/holm/machines/holds"
	printf '{"%s":{"trees":[]}}' "$digest" >"$XDG_DATA_HOME/holm/machines/holds/images.json"
	echo '{"image_trees":["/x"]}' >"$XDG_DATA_HOME/holm/machines/holds/machine.json"
	equal 0 "$(holm image prune --all --format json | jq '.[0].count')"
	# A file that cannot be read may name any image.
	echo nonsense >"$XDG_DATA_HOME/holm/machines/holds/images.json"
	equal 0 "$(holm image prune --all --format json | jq '.[0].count')"
	rm -r "$XDG_DATA_HOME/holm/machines/holds"
	contains "$(holm image prune --all)" 'removed docker.io/library/second:1'
	equal '' "$(holm image ls -q)"
	equal '' "$(find "$IMAGES/blobs" "$IMAGES/disks" "$IMAGES/trees" -type f)"
}

@test "prune waits for nobody for long" {
	mkfifo "$WORLD/pipe"
	exec 8<>"$WORLD/pipe"
	holm image import --progress none - held:1 <"$WORLD/pipe" >/dev/null 2>&1 8>&- &
	until_true 60 grep -q ":$(stat -c %i "$IMAGES/use.lock") " /proc/locks
	fails 125 holm image prune
	exec 8>&-
	wait $! || true
	contains "$stderr" 'another process uses the image library'
}
