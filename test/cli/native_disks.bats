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

@test "system info: every part says for which isolation it is, and how to get it when it is not there" {
	local info
	info=$(holm system info --format json)
	equal '["both","images","native","vm"]' "$(jq -c '[.probes[].for] | unique' <<<"$info")"
	equal '[]' "$(jq -c '[.probes[] | select(.ok | not) | select(.fix == null) | .name]' <<<"$info")"
	equal '[]' "$(jq -c '[.probes[] | select(.ok) | select(.fix) | .name]' <<<"$info")"
	contains "$(holm system info)" "subordinate-ids "
}

@test "system info: how many more machines with systemd fit, and the setting for more" {
	local info limit=/proc/sys/user/max_inotify_instances
	unshare --user --map-root-user sh -c "echo 30 >$limit" || skip "no user namespaces here"
	info=$(unshare --user --map-root-user sh -c "echo 30 >$limit; holm system info --format json" | jq -c '.probes[] | select(.name == "inotify")')
	equal 'true 30 instances are left to you: enough for 2 more machines with systemd at once' "$(jq -r '"\(.ok) \(.detail)"' <<<"$info")"
	info=$(unshare --user --map-root-user sh -c "echo 5 >$limit; holm system info --format json" | jq -c '.probes[] | select(.name == "inotify")')
	equal 'false sudo sysctl fs.inotify.max_user_instances=1024' "$(jq -r '"\(.ok) \(.fix)"' <<<"$info")"
}

@test "an isolation that cannot work here is refused with the reason; auto takes what works" {
	HOLM_NATIVE=0 fails 125 holm machine create thing --no-boot --isolation native -n m
	contains "$stderr" "isolation=native does not work here"
	HOLM_KVM=0 holm machine create thing --no-boot -n m
	equal "auto native" "$(holm machine inspect m | jq -r '.[0] | "\(.isolation) \(.isolation_used)"')"
	HOLM_NATIVE=0 HOLM_KVM=0 holm machine create thing --no-boot -n v
	equal "auto vm" "$(holm machine inspect v | jq -r '.[0] | "\(.isolation) \(.isolation_used)"')"
	# Made once, the form stays; where it cannot run any more the machine can still be seen and removed.
	HOLM_NATIVE=0 fails 125 holm machine set -n v isolation=native
	export HOLM_NATIVE=0
	equal native "$(holm machine ls --format json | jq -r '.[] | select(.name == "m") | .isolation')"
	holm machine rm m v
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
	fails 125 holm machine clone three three
	contains "$stderr" "the machine itself"
	fails 125 holm machine rename three three
	contains "$stderr" "has this name already"
	holm machine rename three four
	equal data "$(inside cat "$(head -n 1 "$MACHINES/four/native/bases")/var/lib/other")"
	holm machine rm four
	equal 0 "$(find "$MACHINES/.bases" -mindepth 1 -maxdepth 1 -type d | wc -l)"
}

@test "create tries the places of mounts in the image's trees" {
	local tree
	make first
	tree=$(jq -r '.image_trees[0]' "$MACHINES/first/machine.json")
	mkdir -p "$tree/etc" "$tree/srv/dir" "$WORLD/dir"
	touch "$tree/etc/passwd" "$WORLD/file"
	ln -s etc "$tree/link"
	fails 125 holm machine create thing --no-boot --isolation native -n m -v "$WORLD/dir:/etc/passwd"
	contains "$stderr" '"/etc/passwd" inside is a file, which a directory cannot cover'
	fails 125 holm machine create thing --no-boot --isolation native -n m -v "$WORLD/dir:/etc/passwd/deep"
	fails 125 holm machine create thing --no-boot --isolation native -n m -v "$WORLD/file:/srv/dir"
	contains "$stderr" '"/srv/dir" inside is a directory, which a file cannot cover'
	[ ! -e "$MACHINES/m" ]
	# A symlink is the machine's to follow.
	holm machine create thing --no-boot --isolation native -n m -v "$WORLD/dir:/link/passwd" -v "$WORLD/file:/etc/hosts" >/dev/null
	rm -r "${tree:?}"/*
	holm machine rm m first
}

@test "a clone of too many clones is refused" {
	make m
	ran m file
	seq -f /nowhere/%g/upper 64 >"$MACHINES/m/native/bases"
	fails 125 holm machine clone m n
	contains "$stderr" "too many clones"
	holm machine rm m
}

# --- moving a disk ----------------------------------------------------------------------------------------------------------------------

tag()
{
	holm machine create probe --no-boot --isolation native -n probe >/dev/null
	holm machine rm probe >/dev/null
	awk '{ print $3 }' "$XDG_RUNTIME_DIR/holm/native-probe"
}

forms()
{
	holm machine inspect "$1" | jq -r '.[0] | "\(.isolation) \(.isolation_used) \(.image_disk == null) \(.image_trees == null)"'
}

@test "set isolation= moves a stopped machine's disk, and the settings with it" {
	export FAKE_TAG
	FAKE_TAG=$(tag)
	make m
	ran m file
	equal "native native true false" "$(forms m)"
	equal m "$(holm machine set -n m isolation=vm memory=300M)"
	equal "vm vm false true" "$(forms m)"
	equal "314572800 docker.io/library/thing /lib/systemd/systemd" "$(holm machine inspect m | jq -r '.[0] | "\(.memory) \(.image) \(.init_path)"')"
	[ ! -e "$MACHINES/m/native" ]
	[ -e "$MACHINES/m/disk.qcow2" ]
	[ ! -e "$MACHINES/m/moving.oci" ]
	# auto stays where the disk is.
	holm machine set -n m isolation=auto
	equal "auto vm false true" "$(forms m)"
	holm machine set -n m isolation=native
	equal "native native true false" "$(forms m)"
	[ ! -e "$MACHINES/m/disk.qcow2" ]
	holm machine rm m
}

@test "a move that fails changes nothing" {
	export FAKE_TAG
	FAKE_TAG=$(tag)
	make m
	ran m file
	local before
	before=$(cat "$MACHINES/m/machine.json")
	FAKE_UNPACK_FAILS=1 fails 125 holm machine set -n m isolation=vm memory=300M
	fails 125 holm machine set -n m isolation=vm memory=nonsense
	# A disk that is smaller than what was in the other.
	fails 125 holm machine set -n m isolation=vm disk-size=0
	PATH="$WORLD/nothing:$(dirname "$(command -v holm)")" HOLM_KVM=0 FAKE_BOOT_ERROR=broken run ! "$(command -v holm)" machine set -n m isolation=vm
	equal "$before" "$(cat "$MACHINES/m/machine.json")"
	equal data "$(inside cat "$MACHINES/m/native/upper/var/lib/file")"
	[ ! -e "$MACHINES/m/disk.qcow2" ]
	[ ! -e "$MACHINES/m/moving.oci" ]
	holm machine rm m
}

@test "a running machine's disk is not moved, and nobody can start it meanwhile" {
	export FAKE_TAG
	FAKE_TAG=$(tag)
	make m
	holm machine start m 2>/dev/null
	fails 125 holm machine set -n m isolation=vm
	contains "$stderr" "holm machine stop m"
	equal native "$(field m isolation_used)"
	holm machine stop m
	printf '#!/bin/sh\nholm machine rename m other >/dev/null 2>"%s/rename" && echo renamed >>"%s/rename"\n' "$WORLD" "$WORLD" >"$WORLD/meddle"
	chmod +x "$WORLD/meddle"
	FAKE_UNPACK_RUNS="$WORLD/meddle" holm machine set -n m isolation=vm
	contains "$(cat "$WORLD/rename")" "in use"
	holm machine rm m
}

@test "what a crashed move left does not stand in the way of the next" {
	export FAKE_TAG
	FAKE_TAG=$(tag)
	make m
	echo left >"$MACHINES/m/disk.qcow2"
	echo left >"$MACHINES/m/moving.oci"
	holm machine set -n m isolation=vm
	mkdir -p "$MACHINES/m/native"
	ran m file
	holm machine set -n m isolation=native
	equal "native native true false" "$(forms m)"
	[ ! -e "$MACHINES/m/native/upper" ]
	holm machine rm m
}

# --- settings of a running machine -------------------------------------------------------------------------------------------------------

@test "limits of a running machine are asked of it, and what cannot be done now is noted" {
	export FAKE_TAG
	FAKE_TAG=$(tag)
	make m
	FAKE_LIMITS=live holm machine start m 2>/dev/null
	run --separate-stderr holm machine set -n m cpus=2 memory=1G
	equal '' "$stderr"
	equal '{"cpus":2,"memory":1073741824}' "$(jq -c . "$MACHINES/m/limits")"
	run --separate-stderr holm machine set -n m cpus=3 env.A=1
	contains "$stderr" "next start"
	equal '{"cpus":3,"memory":1073741824}' "$(jq -c . "$MACHINES/m/limits")"
	rm "$MACHINES/m/limits"
	run --separate-stderr holm machine set -n m env.A=2
	contains "$stderr" "next start"
	[ ! -e "$MACHINES/m/limits" ]
	holm machine stop m
	holm machine start m 2>/dev/null
	run --separate-stderr holm machine set -n m memory=
	contains "$stderr" "next start"
	holm machine rm -f m
}

# --- fix-owner ----------------------------------------------------------------------------------------------------------------------------

@test "fix-owner gives files of subordinate ids back, and nothing else" {
	mkdir -p "$HOME/share/mine" "$XDG_DATA_HOME/containers/layer"
	: >"$HOME/share/mine/file"
	# shellcheck disable=SC2016
	inside sh -c 'cd "$1" && mkdir -p deep/er && echo x >deep/er/file && ln -s /etc/passwd deep/link && ln -s nowhere deep/lost && ln deep/er/file deep/hard &&
		chown -R 33:33 deep && chown 65534:65534 deep/er && chmod 0 deep/er && : >"$2/keep" && chown 33 "$2/keep"' sh "$HOME/share" "$XDG_DATA_HOME/containers/layer"
	equal 5 "$(cd "$HOME/share" && holm machine fix-owner)"
	equal '' "$(chmod -R u+rwX "$HOME/share" && find "$HOME/share" ! -user "$ME" -o ! -group "$GID_ME")"
	equal 0 "$(stat -c %u /etc/passwd)"
	equal 0 "$(holm machine fix-owner "$HOME/share")"
	# One file; the folders of programs that live on such ids.
	# shellcheck disable=SC2016
	inside sh -c ': >"$1" && chown 0:44 "$1"' sh "$HOME/share/one"
	equal 1 "$(holm machine fix-owner "$HOME/share/one")"
	equal 0 "$(holm machine fix-owner "$HOME")"
	[ "$(stat -c %u "$XDG_DATA_HOME/containers/layer/keep")" != "$UID_ME" ]
	fails 125 holm machine fix-owner "$XDG_DATA_HOME/containers/layer"
	fails 125 holm machine fix-owner "$XDG_DATA_HOME/holm"
	fails 125 holm machine fix-owner "$HOME/nothing"
	equal 0 "$(holm machine fix-owner /etc)"
	inside rm "$XDG_DATA_HOME/containers/layer/keep"
	rm -r "$HOME/share" "$XDG_DATA_HOME/containers"
}
