#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# holm's own folders stay hidden while root inside puts symbolic links in the agent's way: before a
# reboot, before a stop, and from the image's own create-user.sh. The folders hold the disks of
# other machines and all images.
load ../lib/holm

setup_file()
{
	holm_begin
	create other busybox
	as_root other sh -c 'echo the-secret-of-other >/srv/secret; sync'
	holm machine stop other
}

teardown_file()
{
	[ -z "${WORLD-}" ] || holm_end
}

teardown()
{
	holm machine rm --force one 2>/dev/null || true
}

# lure NAME: replaces /run/holm by a link to a folder in which holm-init is a symbolic link to the
# cover of holm's folder, by the agent's path of the share; so do the agent's other names in /run.
lure()
{
	# shellcheck disable=SC2016
	as_root "$1" sh -c '
		cover=/run/holm/shares/home/.local/share/holm
		mkdir -p /run/x2
		for name in holm-init notify private system_bus_socket system resolved.conf.d; do ln -sfn "$cover" "/run/x2/$name"; done
		rm -rf /run/systemd /run/dbus
		ln -sfn x2 /run/systemd
		ln -sfn x2 /run/dbus
		mv /run/holm /run/holm.old
		ln -s x2 /run/holm
		test "$(readlink /run/holm/holm-init)" = "$cover"'
}

# sees_nothing NAME: of holm's folder there is nothing to list, to read and to write.
sees_nothing()
{
	local name=$1 path=$HOME/.local/share/holm below
	[ -e "$path/machines/other/machine.json" ] && [ -e "$path/images/index.json" ]
	as_root "$name" test -e "$HOME/witness"
	equal '' "$(as_root "$name" ls -A "$path" 2>/dev/null)"
	for below in machines/other/machine.json machines/other/native/upper/srv/secret machines/other/disk.qcow2 images/index.json images/oci-layout; do
		run ! as_root "$name" sh -c 'head -c 1 "$1"' sh "$path/$below"
		run ! as_root "$name" sh -c 'echo broken >>"$1"' sh "$path/$below"
	done
	equal '' "$(as_root "$name" find "$HOME/.local/share" -name machine.json 2>/dev/null)"
	equal '' "$(as_root "$name" sh -c 'cat "$1"/.local/share/holm/machines/*/native/upper/srv/secret 2>/dev/null' sh "$HOME")"
	jq -e . "$path/machines/other/machine.json" >/dev/null
	jq -e . "$path/images/index.json" >/dev/null
}

restarts()
{
	as_root one touch /run/before
	run as_root one sh -c 'reboot; sleep 20'
	until_true 180 as_root one sh -c '! test -e /run/before'
}

@test "a reboot does not uncover holm's folders, whatever /run leads to (home-mount ro)" {
	touch witness
	create one busybox --home-mount ro
	lure one
	restarts
	sees_nothing one
	as_root one test -x /run/holm/holm-init
	lure one
	restarts
	sees_nothing one
}

@test "a reboot does not uncover holm's folders, whatever /run leads to (home-mount rw)" {
	touch witness
	create one busybox --home-mount rw
	lure one
	restarts
	sees_nothing one
}

@test "a stop and a start do not, with ro and rw, by request and from inside" {
	local home
	touch witness
	for home in ro rw; do
		create one busybox --home-mount "$home"
		lure one
		holm machine stop one
		sees_nothing one
		lure one
		run as_root one sh -c 'poweroff; sleep 20'
		until_true 30 is_state one stopped || holm machine stop one
		sees_nothing one
		holm machine rm --force one
	done
}

@test "create-user.sh of an image does not" {
	local home
	touch witness
	for home in ro rw; do
		create one create-user-lures --home-mount "$home"
		contains "$(as_root one cat /var/log/lured)" lured
		sees_nothing one
		restarts
		sees_nothing one
		holm machine rm --force one
	done
}

@test "a machine of another XDG_DATA_HOME sees neither its own folders nor the usual ones" {
	touch witness
	export XDG_DATA_HOME="$HOME/data"
	mkdir -p "$XDG_DATA_HOME/holm"
	library "$XDG_DATA_HOME/holm/images"
	create one busybox
	sees_nothing one
	equal '' "$(as_root one ls -A "$XDG_DATA_HOME/holm" 2>/dev/null)"
	fails 125 holm machine mount add -n one "$HOME/.local/share/holm/machines:/m"
	contains "$stderr" 'belongs to holm itself'
	holm machine rm --force one
}

@test "a share that the machine can write to does not decide where another share leads" {
	mkdir -p proj/data elsewhere
	echo the-secret >elsewhere/file
	create one busybox --home-mount none -v "$PWD/proj:/proj" -v "$PWD/proj/data:/data:ro"
	in_machine one sh -c 'rmdir /proj/data && ln -s ../elsewhere /proj/data && ln -s / /proj/all'
	fails 125 holm machine mount add -n one "$PWD/proj/all:/all"
	contains "$stderr" 'is a symbolic link in a folder that the machine can write to'
	equal '' "$(holm machine mount ls -n one | grep all)"
	holm machine stop one
	fails 125 holm machine start one
	contains "$stderr" "\"$PWD/proj/data\" is a symbolic link in a folder that the machine can write to"
	rm proj/data
	mkdir proj/data
	equal '' "$(in_machine one ls -A /data)"
	# A link that only the user can write to is followed as ever.
	ln -s elsewhere own-link
	holm machine mount add -n one "$PWD/own-link:/own"
	equal the-secret "$(in_machine one cat /own/file)"
	rm -r proj elsewhere own-link
}

# stays_in_place MACHINE FOLDER: FOLDER leads to holm's own, and nobody inside can rename it.
stays_in_place()
{
	run ! in_machine "$1" mv "$2" "$2.moved"
	run ! as_root "$1" mv "$2" "$2.moved"
	run ! as_root "$1" rmdir "$2"
	as_root "$1" test -d "$2"
	in_machine "$1" sh -c 'echo text >/l/probe && mv /l/probe "$1/probe" && rm "$1/probe"' sh "$2"
	equal '' "$(as_root "$1" ls -A "$2/holm" 2>/dev/null)"
}

# A machine that moved a parent of holm's folders could put other settings of machines there.
@test "a machine that can write to a share cannot move the folders above holm's own" {
	create one busybox --home-mount none -v "$HOME/.local:/l"
	stays_in_place one /l/share
	restarts
	stays_in_place one /l/share
	holm machine mount rm -n one /l
	equal '' "$(as_root one ls -A /l)"
	holm machine mount add -n one "$HOME:/l"
	stays_in_place one /l/.local/share
	run ! as_root one mv /l/.local /l/moved
	as_root one test -d /l/.local/share
}

# A keeper without XDG_RUNTIME_DIR has its socket below /tmp.
@test "a share of /tmp has no sockets of keepers, also of those that come later" {
	local mine="/tmp/holm-$UID_ME" beside
	[ ! -e "/run/user/$UID_ME" ] || mine=/run/user/$UID_ME/holm
	beside=$(mktemp "${mine%/*}/holm-beside.XXXX")
	create one busybox --home-mount none -v "${mine%/*}:/mnt/shared:ro"
	XDG_RUNTIME_DIR='' holm machine start other
	[ -n "$(ls "$mine")" ]
	# In a VM the name is hidden as well: the file beside it shows that the share works.
	as_root one test -f "/mnt/shared/${beside##*/}"
	equal '' "$(as_root one ls -A "/mnt/shared/${mine##*/}" 2>/dev/null)"
	rm "$beside"
	holm machine stop other
}
