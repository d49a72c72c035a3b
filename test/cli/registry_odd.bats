#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Registries that other tools trip over; pulls and pushes that are cut or killed anywhere.
load ../lib/holm
load ../lib/registry

setup_file()
{
	requires python3
	holm_begin empty
	faulty_registry_start
}

teardown_file()
{
	faulty_registry_stop
	holm_end
}

setup()
{
	: >"$LOG"
}

teardown()
{
	forget_images
}

sound()
{
	local file
	while IFS= read -r file; do
		equal "$(basename "$file")" "$(sha256sum <"$file" | cut -d' ' -f1)"
	done < <(find "$XDG_DATA_HOME/holm/images/blobs/sha256" -type f ! -name '.*')
}

# leftovers: what is in the library besides the blobs of whole images.
leftovers()
{
	find "$XDG_DATA_HOME/holm/images" \( -path '*/partial/*' -o -name '.tmp*' -o -name 'unpacked-*' \) -print
}

@test "a registry that closes the connection after each answer" {
	holm image pull --progress none "$REGISTRY/closes:1"
}

@test "a manifest that is redirected to a storage with another Content-Type" {
	holm image pull --progress none "$REGISTRY/moved-manifest:1"
	holm image pull --progress none "$REGISTRY/moved-manifest:multi"
	sound
}

@test "a relative redirect" {
	holm image pull --progress none "$REGISTRY/relative:1"
	sound
}

@test "Basic and Bearer in one header" {
	mkdir -p "$HOME/.docker"
	jq -n --arg r "$REGISTRY" --arg a "$(printf '%s' 'alice:secret' | base64)" '{auths: {($r + "/both"): {auth: $a}, ($r): {auth: "eDp5"}}}' >"$HOME/.docker/config.json"
	# The login is that of the namespace, and goes to the token service only.
	holm image pull --progress none "$REGISTRY/both:1"
	equal /token "$(jq -r 'select(.authorization // "" | startswith("Basic")) | .path | sub("[?].*"; "")' "$LOG" | sort -u)"
}

@test "a layer that need not be distributed: taken where the registry has it, pushed nowhere" {
	fails 125 holm image pull --progress none "$REGISTRY/gone:foreign"
	contains "$stderr" 'not distributed with every image'
	holm image pull --progress none "$REGISTRY/plain:foreign"
	holm image prepare --progress none "$REGISTRY/plain:foreign" >/dev/null
	: >"$LOG"
	run --separate-stderr holm image push --progress none "$REGISTRY/plain:foreign" "$REGISTRY/push-foreign:1"
	equal 1 "$(jq -r 'select(.method == "PUT" and (.path | contains("blobs"))) | .path' "$LOG" | wc -l)"
}

# requests: how many there were.
requests()
{
	wc -l <"$LOG"
}

@test "a pull of what is all there costs one request, one with a changed layer what has changed" {
	holm image pull --progress none "$REGISTRY/plain:multi"
	: >"$LOG"
	holm image pull --progress none "$REGISTRY/plain:multi"
	equal 1 "$(requests)"
	: >"$LOG"
	holm image pull --progress none "$REGISTRY/plain:2"
	equal '3 2' "$(requests) $(jq -r .path "$LOG" | grep -c /blobs/)"
	sound
}

# ahead REPOSITORY: prepares its image, and prints a line if layers are unpacked after the pull.
ahead()
{
	run --separate-stderr holm image prepare --form trees --progress plain "$REGISTRY/$1:1"
	equal 0 "$status"
	equal 400000 "$(stat -c %s "$(jq -r '.trees[0]' <<<"$output")/one")"
	grep -o '^layers: unpacked' <<<"$stderr" || true
}

# half_trees: trees that are not whole.
half_trees()
{
	find "$XDG_DATA_HOME/holm/images/trees" -name '.making-*' -print -quit
}

@test "layers are unpacked while they come in, and afterwards where a download began again" {
	local kind
	for kind in plain truncated no-range damaged; do
		rm -rf "$WORLD/data"
		case $kind in
		damaged)
			XDG_DATA_HOME=$WORLD/data fails 125 holm image prepare --form trees --progress none "$REGISTRY/$kind:1"
			contains "$stderr" 'wrong digest'
			equal '' "$(XDG_DATA_HOME=$WORLD/data half_trees)"
			;;
		no-range) equal 'layers: unpacked' "$(XDG_DATA_HOME=$WORLD/data ahead $kind)" ;;
		*) equal '' "$(XDG_DATA_HOME=$WORLD/data ahead $kind)" ;;
		esac
		inside_mapping rm -rf "$WORLD/data"
	done
}

@test "a disk is made while its layers come in, and kill -9 leaves nothing that lasts" {
	run --separate-stderr holm image prepare --progress plain "$REGISTRY/plain:1"
	equal 0 "$status"
	/sbin/e2fsck -fn "$(jq -r .disk <<<"$output")"
	equal '' "$(grep '^disk:' <<<"$stderr" || true)"
	holm image rm "$REGISTRY/plain:1"
	for _ in 1 2; do
		command holm image prepare --form trees --progress none "$REGISTRY/slow:1" >/dev/null 2>&1 3>&- &
		until_true 30 compgen -G "$XDG_DATA_HOME/holm/images/trees/.making-*" >/dev/null
		kill -KILL $!
		wait $! || true
		until_true 30 nothing_runs
		# This registry begins again whatever is there, which ends the work ahead at once.
		rm -f "$XDG_DATA_HOME/holm/images/partial/"*
	done
	holm image prune
	equal '' "$(half_trees)$(leftovers)"
}

# nothing_runs: no process works on this registry's images.
nothing_runs()
{
	! pgrep -u "$(id -u)" -f "image prepare .*$REGISTRY" >/dev/null
}

@test "a blob without end is refused" {
	fails 125 holm image pull --progress none "$REGISTRY/endless:1"
	contains "$stderr" 'is longer than'
	holm image prune
	equal '' "$(leftovers)"
}

@test "a full disk at every stage of a pull and of making its disk" {
	unshare --user --map-root-user --mount true 2>/dev/null || skip "no user namespaces here"
	mkdir -p "$WORLD/small"
	cat >"$WORLD/small.sh" <<-'E'
	export XDG_DATA_HOME=$WORLD/small
	size=40
	until [ "$size" -gt 8000 ]; do
		mount -t tmpfs -o size=${size}k none "$WORLD/small" || exit 1
		if holm image prepare --progress none "$REGISTRY/plain:1" >/dev/null 2>"$WORLD/stderr"; then
			echo "whole $(find "$WORLD/small" -name '*.ext4' | wc -l)"
			exit 0
		fi
		printf '%s %s %s\n' "$(grep -c 'No space left' "$WORLD/stderr")" "$(wc -l <"$WORLD/stderr")" \
			"$(find "$WORLD/small/holm/images/disks" -type f 2>/dev/null | wc -l)"
		for blob in $(find "$WORLD/small/holm/images/blobs" -type f ! -name '.*' 2>/dev/null); do
			[ "$(basename "$blob")" = "$(sha256sum <"$blob" | cut -d' ' -f1)" ] || echo "wrong $blob"
		done
		umount "$WORLD/small"
		size=$((size + 80))
	done
	E
	run --separate-stderr unshare --user --map-root-user --mount sh "$WORLD/small.sh"
	equal 0 "$status"
	equal '1 1 0
whole 1' "$(uniq <<<"$output")"
}

@test "a pull whose connection is cut anywhere is whole in the end" {
	local at step=61
	# At every byte in a long run.
	[ "${HOLM_TEST_KILLS:-0}" -lt 200 ] || step=1
	for at in $(seq 1 $step 1500); do
		holm image pull --progress none "$REGISTRY/cut-$at:tiny" >/dev/null &
		[ $((at % 4)) != 0 ] || wait
	done
	wait
	equal "$(seq 1 $step 1500 | wc -l)" "$(holm image ls -q | wc -l)"
	equal 1 "$(holm image ls --format json | jq -r '.[].digest' | sort -u | wc -l)"
	sound
	equal '' "$(leftovers)"
}

@test "kill -9 of a pull at random moments: the next one is right, and prune finds what is left" {
	local n pid
	for n in $(seq "${HOLM_TEST_KILLS:-40}"); do
		command holm image pull --progress none "$REGISTRY/plain:1" >/dev/null 2>&1 3>&- &
		pid=$!
		command sleep "0.0$((RANDOM % 90 + 10))"
		kill -KILL $pid 2>/dev/null || true
		wait $pid || true
		[ $((n % 5)) != 0 ] || holm image rm "$REGISTRY/plain:1" >/dev/null 2>&1 || true
	done
	until_true 60 sh -c '! pgrep -u "$(id -u)" -f "image pull --progress none $REGISTRY"'
	holm image pull --progress none "$REGISTRY/plain:1"
	sound
	holm image prepare --progress none "$REGISTRY/plain:1" >/dev/null
	holm image prune --all
	equal '' "$(leftovers)"
	equal '' "$(holm image ls -q)"
}

@test "kill -9 of a push at random moments: the next one is right" {
	local pid
	holm image pull --progress none "$REGISTRY/plain:1"
	for _ in $(seq "${HOLM_TEST_KILLS:-15}"); do
		command holm image push --progress none "$REGISTRY/plain:1" "$REGISTRY/push-killed:1" >/dev/null 2>&1 3>&- &
		pid=$!
		command sleep "0.0$((RANDOM % 90 + 10))"
		kill -KILL $pid 2>/dev/null || true
		wait $pid || true
	done
	contains "$(holm image push --progress none "$REGISTRY/plain:1" "$REGISTRY/push-killed:1")" "@sha256:"
	sound
	equal '' "$(leftovers)"
}

# killed COMMAND...: of holm image, which is killed HOLM_TEST_KILLS times, and then succeeds.
killed()
{
	local pid
	for _ in $(seq "${HOLM_TEST_KILLS:-8}"); do
		command holm image "$@" >/dev/null 2>&1 3>&- &
		pid=$!
		command sleep "0.0$((RANDOM % 60 + 10))"
		kill -KILL $pid 2>/dev/null || true
		wait $pid || true
	done
	holm image "$@" >/dev/null
}

@test "kill -9 of a save, an import, a load and a build: the next one is right, and leaves nothing" {
	holm image pull --progress none "$REGISTRY/plain:1"
	mkdir "$WORLD/out" "$WORLD/context"
	head -c 20000000 /dev/urandom >"$WORLD/context/noise"
	tar -C "$WORLD/context" -cf "$WORLD/noise.tar" noise
	printf 'FROM %s\nCOPY noise /a/\nCOPY noise /b/\n' "$REGISTRY/plain:1" >"$WORLD/context/Dockerfile"
	killed save -o "$WORLD/out/x.tar" "$REGISTRY/plain:1"
	tar -tf "$WORLD/out/x.tar" >/dev/null
	killed import "$WORLD/noise.tar" noise:1
	holm image save --progress none -o "$WORLD/noise.oci" noise:1
	holm image rm noise:1 >/dev/null
	killed load --progress none "$WORLD/noise.oci"
	killed build -q -t built:1 "$WORLD/context"
	equal 'A /a A /a/noise A /b A /b/noise' "$(holm image diff "$REGISTRY/plain:1" built:1 | paste -sd ' ')"
	holm image inspect noise:1 built:1 >/dev/null
	holm image prune
	equal '' "$(leftovers)"
	sound
}

@test "a full disk at every stage of a load, a build and a commit: one line, and the space comes back" {
	unshare --user --map-root-user --mount true 2>/dev/null || skip "no user namespaces here"
	local image step=300000
	image=$(find "$HOLM_TEST_STAGE/root" -path '*/libexec/holm/holm-image')
	mkdir -p "$WORLD/small" "$WORLD/full"
	head -c 400000 /dev/urandom >"$WORLD/full/noise"
	printf 'FROM base:1\nCOPY noise /a/\nCOPY noise /b/\n' >"$WORLD/full/Dockerfile"
	tar -C "$WORLD/full" -cf "$WORLD/layer.tar" noise
	holm image import "$WORLD/layer.tar" base:1 >/dev/null
	holm image save --progress none -o "$WORLD/base.oci" base:1
	holm image build -q -t load:1 "$WORLD/full" >/dev/null
	holm image save --progress none -o "$WORLD/load.oci" load:1
	echo '{"config":{},"changes":[]}' >"$WORLD/changes"
	{ printf 'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' "$(stat -c %s "$WORLD/layer.tar")"; cat "$WORLD/layer.tar"; } >"$WORLD/answer"
	cat >"$WORLD/full.sh" <<-'E'
	export XDG_DATA_HOME=$WORLD/small
	images=$WORLD/small/holm/images
	digest=
	try()
	{
		case $1 in
		load) holm image load --progress none "$WORLD/load.oci" ;;
		build) holm image build -q -t built:1 "$WORLD/full" ;;
		commit) "$IMAGE" commit-layer --base "$digest" committed:1 <"$WORLD/answer" 3<"$WORLD/changes" ;;
		esac
	}
	free()
	{
		stat -f -c '%a %S' "$WORLD/small" | { read -r blocks size; echo $((blocks * size)); }
	}
	for what in load build commit; do
		mount -t tmpfs -o size=16M none "$WORLD/small" || exit 1
		holm image load --progress none "$WORLD/base.oci" >/dev/null
		digest=$(holm image ls --format json | jq -r '.[0].digest')
		left=8192
		while [ $left -lt 4000000 ]; do
			head -c $(($(free) - left)) /dev/zero >"$WORLD/small/ballast"
			before=$(free)
			if try $what >/dev/null 2>"$WORLD/stderr"; then
				echo "$what whole $(holm image ls -q | wc -l)"
				break
			fi
			[ $what != build ] || holm builder prune --force --all >/dev/null
			holm image prune >/dev/null
			printf '%s %s %s %s\n' $what "$(grep -c '^holm.*No space left' "$WORLD/stderr")" "$(grep -c ^holm "$WORLD/stderr")" \
				"$(holm image ls -q | wc -l)"
			[ $(($(free) + 32768)) -gt "$before" ] || echo "$what keeps $((before - $(free))) bytes"
			rm "$WORLD/small/ballast"
			left=$((left + STEP))
		done
		umount "$WORLD/small"
	done
	E
	[ "${HOLM_TEST_KILLS:-0}" -lt 200 ] || step=30000
	IMAGE=$image STEP=$step run --separate-stderr unshare --user --map-root-user --mount sh "$WORLD/full.sh"
	equal 0 "$status"
	equal 'load 1 1 1
load whole 2
build 1 1 1
build whole 2
commit 1 1 1
commit whole 2' "$(uniq <<<"$output")"
}
