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

@test "a pull whose connection is cut anywhere is whole in the end" {
	local at
	for at in $(seq 1 61 1500); do
		holm image pull --progress none "$REGISTRY/cut-$at:tiny" >/dev/null &
		[ $((at % 4)) != 0 ] || wait
	done
	wait
	equal 25 "$(holm image ls -q | wc -l)"
	equal 1 "$(holm image ls --format json | jq -r '.[].digest' | sort -u | wc -l)"
	sound
	equal '' "$(leftovers)"
}

@test "kill -9 of a pull at random moments: the next one is right, and prune finds what is left" {
	local n pid
	for n in $(seq 40); do
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
	for _ in $(seq 15); do
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

@test "kill -9 of a save and of an import leaves nothing" {
	local pid what
	holm image pull --progress none "$REGISTRY/plain:1"
	mkdir "$WORLD/out"
	head -c 20000000 /dev/urandom >"$WORLD/noise"
	tar -C "$WORLD" -cf "$WORLD/noise.tar" noise
	for what in "save -o $WORLD/out/x.tar $REGISTRY/plain:1" "import $WORLD/noise.tar noise:1"; do
		for _ in $(seq 8); do
			# shellcheck disable=SC2086
			command holm image $what >/dev/null 2>&1 3>&- &
			pid=$!
			command sleep "0.0$((RANDOM % 60 + 10))"
			kill -KILL $pid 2>/dev/null || true
			wait $pid || true
		done
	done
	# A file with its name is whole.
	[ ! -e "$WORLD/out/x.tar" ] || tar -tf "$WORLD/out/x.tar" >/dev/null
	holm image prune
	equal '' "$(leftovers)"
	sound
}
