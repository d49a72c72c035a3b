#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Disks of native machines while they are stopped: files that belong to subordinate ids, as a machine that ran leaves them. No machine runs here.
load ../lib/holm

setup_file()
{
	holm_begin empty
	export HOLM_LIBEXEC="$WORLD/libexec" MACHINES="$XDG_DATA_HOME/holm/machines"
	mkdir -p "$HOLM_LIBEXEC"
	cp "$BATS_TEST_DIRNAME/fake-keeper" "$HOLM_LIBEXEC/holm-keeper"
	cp "$BATS_TEST_DIRNAME/fake-image" "$HOLM_LIBEXEC/holm-image"
}

teardown_file()
{
	holm_end
}

setup()
{
	holm system info --format json | jq -e '[.probes[] | select(.for == "native") | select(.name | IN("user-namespaces", "subordinate-ids", "overlayfs", "crun"))] | all(.ok)' >/dev/null ||
		skip "native isolation does not work here"
	command -v unshare >/dev/null || skip "there is no unshare here"
}

# inside COMMAND...: as root of a user namespace with subordinate ids.
inside()
{
	unshare --map-auto --map-root-user -- "$@" 2>/dev/null || unshare --map-users="100000,0,65536" --map-root-user -- "$@"
}

# ran NAME FILE: as if the machine had run and written a file: directories that the user can neither enter nor delete.
ran()
{
	# shellcheck disable=SC2016
	inside sh -c 'mkdir -p "$1/upper/var/lib" "$1/work/work" && echo data >"$1/upper/var/lib/$2" && mknod "$1/upper/gone" c 0 0 &&
		chown -R 33:33 "$1/upper/var" && chmod 700 "$1/upper/var" && chmod 0 "$1/work/work"' sh "$MACHINES/$1/native" "$2"
}

make()
{
	holm machine create "${2:-thing}" --no-boot --isolation native -n "$1" >/dev/null
}

@test "a native machine has a folder and no disk" {
	make m
	equal "native native null 1 0" "$(holm machine inspect m | jq -r '.[0] | "\(.isolation) \(.isolation_used) \(.image_disk) \(.image_trees | length) \(.disk_used)"')"
	equal 700 "$(stat -c %a "$MACHINES/m/native")"
	[ ! -e "$MACHINES/m/disk.qcow2" ]
	echo 12345 >"$MACHINES/m/native/usage"
	equal 12345 "$(field m disk_used)"
	holm machine rm m
}

@test "rm deletes what belongs to subordinate ids" {
	make m
	ran m file
	[ "$(stat -c %u "$MACHINES/m/native/upper/var")" != "$UID_ME" ]
	run ! ls "$MACHINES/m/native/upper/var"
	equal m "$(holm machine rm m)"
	equal '' "$(find "$MACHINES" -mindepth 1 -maxdepth 1 ! -name .bases)"
}

@test "what a crashed removal left goes with the next command" {
	make m
	ran m file
	mv "$MACHINES/m" "$MACHINES/.old-0123456789abcdef"
	make n
	[ ! -e "$MACHINES/.old-0123456789abcdef" ]
	holm machine rm n
}

@test "clone shares what was written, and copies nothing" {
	make m
	ran m file
	holm machine clone m one
	[ ! -e "$MACHINES/m/native/upper" ]
	equal 1 "$(wc -l <"$MACHINES/m/native/bases")"
	equal "$(cat "$MACHINES/m/native/bases")" "$(cat "$MACHINES/one/native/bases")"
	local base
	base=$(cat "$MACHINES/m/native/bases")
	equal data "$(inside cat "$base/var/lib/file")"
	# Nothing written since: the same base again.
	holm machine clone m two
	equal "$base" "$(cat "$MACHINES/two/native/bases")"
	# A clone that has written, cloned: its own on top.
	ran one other
	holm machine clone one three
	equal 2 "$(wc -l <"$MACHINES/three/native/bases")"
	equal "$base" "$(tail -n 1 "$MACHINES/three/native/bases")"
	holm machine rm m one two
	equal 2 "$(find "$MACHINES/.bases" -mindepth 1 -maxdepth 1 -type d | wc -l)"
	holm machine rename three four
	equal data "$(inside cat "$(head -n 1 "$MACHINES/four/native/bases")/var/lib/other")"
	holm machine rm four
	equal 0 "$(find "$MACHINES/.bases" -mindepth 1 -maxdepth 1 -type d | wc -l)"
}

@test "a clone of too many clones is refused" {
	make m
	ran m file
	seq -f /nowhere/%g/upper 64 >"$MACHINES/m/native/bases"
	fails 125 holm machine clone m n
	contains "$stderr" "too many clones"
	holm machine rm m
}
