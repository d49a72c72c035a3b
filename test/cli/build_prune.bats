#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The cache of builds: what a prune removes, and in which order. COPY alone needs no machine.
load ../lib/holm

setup_file()
{
	holm_begin empty
}

teardown_file()
{
	holm_end
}

setup()
{
	CONTEXT=$WORLD/context
	BUILDS=$XDG_DATA_HOME/holm/images/build
	mkdir -p "$CONTEXT"
	cd "$CONTEXT" || return 1
}

teardown()
{
	cd /
	holm image ls -q | sort -u | xargs -r holm image rm >/dev/null 2>&1
	rm -rf "$CONTEXT" "$BUILDS" "$XDG_CONFIG_HOME/holm" "${TMPDIR:?}"/*
	holm image prune >/dev/null
}

# build NAME FILE BYTES: an image of one file that does not compress; $TMPDIR/log has the output.
build()
{
	[ -e "$2" ] || head -c "$3" /dev/urandom >"$2"
	printf 'FROM scratch\nCOPY %s /\n' "$2" | holm build -t "$1" -f - . >/dev/null 2>"$TMPDIR/log"
}

# is_cached NAME FILE: whether the step is found.
is_cached()
{
	build "$1" "$2" 0 && grep -q CACHED "$TMPDIR/log"
}

blobs()
{
	find "$XDG_DATA_HOME/holm/images/blobs/sha256" -type f | wc -l
}

@test "holm builder prune leaves layers of images, unless --all" {
	local output
	build kept one 100000
	build gone two 100000
	holm image rm gone >/dev/null
	output=$(holm builder prune -f)
	contains "$output" 'Deleted build cache objects:'
	contains "$output" 'Total reclaimed space: 10'
	is_cached kept one
	! is_cached gone two || return 1
	holm image rm gone >/dev/null
	contains "$(holm builder prune -f -a)" 'Total reclaimed space: 10'
	! is_cached kept one || return 1
	holm image rm kept >/dev/null
	holm builder prune --force --all >/dev/null
	equal 'Total reclaimed space: 0B' "$(holm builder prune -f)"
	equal 0 "$(blobs)"
}

@test "what was not used for the longest time goes first, until --keep-storage is reached" {
	build x old 300000
	build x middle 300000
	build x new 300000
	is_cached x old
	holm image rm x >/dev/null
	contains "$(holm builder prune -f --keep-storage 700K)" 'reclaimed space: 30'
	is_cached x old
	is_cached x new
	! is_cached x middle || return 1
	holm image rm x >/dev/null
	equal 'Total reclaimed space: 0B' "$(holm builder prune -f --keep-storage 1G)"
	equal 'Total reclaimed space: 0B' "$(holm builder prune -f --filter until=1h)"
	equal 'Total reclaimed space: 0B' "$(holm builder prune -f --filter type=exec.cachemount)"
	echo notes >"$BUILDS/files-$(printf '0%.0s' {1..64})"
	equal 'Total reclaimed space: 0B' "$(holm builder prune -f --max-used-space 1G)"
	equal 'Total reclaimed space: 0B' "$(holm builder prune -f --max-used-space 1 --reserved-space 1G)"
	equal 'Total reclaimed space: 0B' "$(holm builder prune -f --min-free-space 1)"
	contains "$(holm builder prune -f --filter type=source.local)" files-0000
	is_cached x old
	run ! holm builder prune -f --filter colour=red
	contains "$output" 'the cache of builds has id, inuse'
	holm system df --format json | jq -e '.[] | select(.type == "build cache") | .total > 0 and .active == 0 and .size > 300000'
	contains "$(holm system df -v)" 'regular'
	run ! holm builder prune -f --keep-storage much
	contains "$output" 'write a size such as 10G'
	run ! holm builder prune </dev/null
	contains "$output" 'give --force'
}

@test "a build leaves no more than cache-size" {
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[build]\ncache-size = 500K\n' >"$XDG_CONFIG_HOME/holm/config"
	build x first 300000
	build x second 300000
	holm image rm x >/dev/null
	build y third 300000
	# Layers of images do not count, and stay.
	is_cached y third
	is_cached y second
	! is_cached y first || return 1
	printf '[build]\ncache-size = big\n' >"$XDG_CONFIG_HOME/holm/config"
	build y fourth 1000
	contains "$(cat "$TMPDIR/log")" 'warning: the cache of builds was not pruned'
	contains "$(cat "$TMPDIR/log")" 'write a size such as 20G'
}

@test "kill -9 of a build at random moments: the next one is right, and prune finds what is left" {
	local pid
	head -c 4000000 /dev/urandom >one
	head -c 4000000 /dev/urandom >two
	printf 'FROM scratch\nCOPY one /\nCOPY two /deep/\nLABEL x=1\n' >Dockerfile
	for _ in $(seq "${HOLM_TEST_KILLS:-10}"); do
		command holm build -t killed . >/dev/null 2>&1 3>&- &
		pid=$!
		command sleep "0.$((RANDOM % 20 + 10))"
		kill -KILL $pid 2>/dev/null || true
		wait $pid || true
	done
	until_true 60 sh -c '! pgrep -u "$(id -u)" -f "build -t [k]illed"'
	holm build -t killed . >/dev/null 2>&1
	holm image save --progress none --format oci-dir -o "$WORLD/killed" killed
	jq -r '.layers[].digest' "$WORLD/killed/blobs/sha256/$(jq -r '.manifests[0].digest' "$WORLD/killed/index.json" | cut -d: -f2)" | cut -d: -f2 | while read -r layer; do
		tar -xzf "$WORLD/killed/blobs/sha256/$layer" -C "$WORLD/killed"
	done
	cmp one "$WORLD/killed/one"
	cmp two "$WORLD/killed/deep/two"
	holm image prune >/dev/null
	equal '' "$(find "$XDG_DATA_HOME/holm/images" \( -path '*/partial/*' -o -name '.tmp*' -o -name 'unpacked-*' \) -print)"
}
