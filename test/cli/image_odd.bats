#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Layers that other tools trip over, as a disk and as trees: each has its right value.
load ../lib/holm

setup_file()
{
	requires python3 zstd debugfs e2fsck
	holm_begin empty
}

teardown_file()
{
	holm_end
}

# made KIND: loads the image, makes its disk and its trees, and sets DISK and TREES.
made()
{
	rm -rf "$WORLD/odd"
	"$BATS_TEST_DIRNAME/../lib/make-odd-image" "$WORLD/odd" "$1"
	holm image load --progress none "$WORLD/odd"
	DISK=$(holm image prepare --progress none "odd-$1:1" | jq -r .disk)
	TREES=$(holm image prepare --progress none --form trees "odd-$1:1" | jq -r '.trees | reverse | .[]')
	/sbin/e2fsck -fn "$DISK" >/dev/null 2>&1
}

debug()
{
	/sbin/debugfs -R "$1" "$DISK" 2>/dev/null
}

# in_trees COMMAND...: runs it in the topmost tree that has the path $1.
in_trees()
{
	local tree
	while read -r tree; do
		if inside_mapping test -e "$tree/$1" || inside_mapping test -L "$tree/$1"; then
			(cd "$tree" && inside_mapping "${@:2}" "$1")
			return
		fi
	done <<<"$TREES"
	return 1
}

@test "a whiteout that is a hard link" {
	made link-whiteout
	equal '' "$(debug 'cat /a/x')"
	equal two "$(debug 'cat /a/y')"
	equal 'character special file' "$(in_trees a/x stat -c %F)"
}

@test "a hard link to a file of a lower layer, whose parents have no entry" {
	made lower-link
	equal one "$(debug 'cat /b/c/z')"
	equal one "$(in_trees b/c/z cat)"
	contains "$(debug 'stat /b/c')" 'Mode:  0755'
	equal 755 "$(in_trees b/c stat -c %a)"
}

@test "empty values in PAX headers" {
	made empty-pax
	equal one "$(debug 'cat /named')"
	equal one "$(in_trees named cat)"
	contains "$(debug 'stat /link')" 'dest: "named"'
	equal named "$(in_trees link readlink)"
	contains "$(debug 'ea_list /named')" 'user.empty (0)'
}

@test "old GNU headers with times in the place of the prefix, and an incremental directory" {
	made old-gnu
	equal one "$(debug 'cat /dir/file')"
	equal one "$(in_trees dir/file cat)"
	contains "$(debug 'stat /dir')" 'Type: directory'
}

@test "names that are not UTF-8" {
	made latin1
	debug 'ls /' | grep -aqF 'caf\xe9'
	equal one "$(in_trees $'caf\xe9' cat)"
	equal $'caf\xe9' "$(in_trees $'li\xffnk' readlink)"
	printable "$(holm image diff odd-latin1:1 odd-latin1:1 --format json)"
}

@test "a layer of one program" {
	made one-program
	contains "$(debug 'stat /app')" 'Mode:  0755'
	contains "$(debug 'stat /')" 'Mode:  0755'
	equal '#!/bin/sh' "$(in_trees app cat)"
}

@test "folders of mode 0" {
	made mode-zero
	contains "$(debug 'stat /locked')" 'Mode:  0000'
	equal two "$(debug 'cat /locked/in/er')"
	equal 0 "$(in_trees locked stat -c %a)"
	[ "$UID_ME" != 0 ] || skip "the trees of root need no mapping"
	equal two "$(in_trees locked/in/er cat)"
}

@test "owners far outside of every mapping" {
	made big-owner
	contains "$(debug 'stat /theirs')" 'User: 40000000'
	equal one "$(in_trees theirs cat)"
}

@test "file capabilities of version 3" {
	made capability
	contains "$(debug 'ea_list /ping')" 'security.capability'
}

@test "layers whose media type names another compression" {
	made mislabelled
	equal 'one zstd gzip' "$(debug 'cat /a/x') $(debug 'cat /b') $(debug 'cat /c')"
	equal zstd "$(in_trees b cat)"
}

@test "zstd:chunked is read as zstd" {
	made zstd-chunked
	equal one "$(debug 'cat /a/x')"
	equal one "$(in_trees a/x cat)"
}

@test "encrypted layers are refused clearly" {
	rm -rf "$WORLD/odd"
	"$BATS_TEST_DIRNAME/../lib/make-odd-image" "$WORLD/odd" encrypted
	fails 125 holm image load --progress none "$WORLD/odd"
	contains "$stderr" 'layer 1 is encrypted, which is not supported'
	equal 1 "$(wc -l <<<"$stderr")"
}

@test "the empty layer three times" {
	made empty
	equal 4 "$(holm image inspect odd-empty:1 | jq '.[0].layers')"
	equal one "$(debug 'cat /a/x')"
	equal one "$(in_trees a/x cat)"
}
