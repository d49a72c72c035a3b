#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# clone, export and import.
load ../lib/holm

setup_file()
{
	holm_begin
	create src busybox --no-boot -e COLOUR=green
	as_root src sh -c 'echo mine >/srv/mine; mkdir -p /srv/deep/er; ln -s ../mine /srv/deep/link; chown 12:34 /srv/deep; chmod 4755 /srv/mine; mkfifo /srv/fifo; head -c 3000000 /dev/urandom >/srv/noise; sync'
	as_root src sha256sum /srv/noise | cut -d' ' -f1 >"$WORLD/sum"
}

teardown_file()
{
	holm_end
}

@test "clone and export want a stopped machine, and say so" {
	fails 125 holm machine clone src copy
	contains "$stderr" stop
	fails 125 holm machine export src -o "$WORLD/x.tar"
	fails 125 holm machine rename src other
	[ ! -e "$WORLD/x.tar" ]
	holm machine stop src
}

@test "a clone has all of it and goes its own way; its original may go" {
	equal copy "$(holm machine clone src copy)"
	equal mine "$(as_root copy cat /srv/mine)"
	equal copy "$(as_root copy hostname)"
	as_root copy sh -c 'echo changed >/srv/mine'
	holm machine stop copy
	equal mine "$(as_root src cat /srv/mine)"
	holm machine stop src
	run ! equal "$(field src id)" "$(field copy id)"
	equal "$(field src memory)" "$(field copy memory)"
	holm machine clone copy copy2
	holm machine rm copy
	equal changed "$(as_root copy2 cat /srv/mine)"
	holm machine rm --force copy2
	fails 125 holm machine clone src src
	fails 125 holm machine clone nobody x
}

@test "export writes an OCI archive that another tool reads" {
	equal src "$(holm machine export src -o "$WORLD/src.tar")"
	skopeo inspect "oci-archive:$WORLD/src.tar" | jq -e '.Architecture == "amd64"'
	skopeo inspect --raw "oci-archive:$WORLD/src.tar" | jq -e '.annotations["org.holm.machine"]'
	equal stopped "$(state src)"
}

@test "import makes the machine again, with its files and its settings" {
	equal again "$(holm machine import "$WORLD/src.tar" --name again)"
	equal "mine" "$(as_root again cat /srv/mine)"
	equal "12 34" "$(as_root again stat -c '%u %g' /srv/deep)"
	equal 4755 "$(as_root again stat -c %a /srv/mine)"
	equal ../mine "$(as_root again readlink /srv/deep/link)"
	as_root again test -p /srv/fifo
	equal "$(cat "$WORLD/sum")" "$(as_root again sha256sum /srv/noise | cut -d' ' -f1)"
	equal green "$(in_machine again sh -c 'echo $COLOUR')"
	equal 536870912 "$(field again memory)"
	holm machine rm --force again
}

@test "an archive that is cut or no archive is refused and leaves nothing" {
	head -c 500000 "$WORLD/src.tar" >"$WORLD/cut.tar"
	fails 125 holm machine import "$WORLD/cut.tar" --name bad
	echo nonsense >"$WORLD/text"
	fails 125 holm machine import "$WORLD/text" --name bad
	fails 125 holm machine import "$WORLD/nothing" --name bad
	contains "$stderr" nothing
	fails 125 holm machine import "$WORLD/src.tar" --name src
	equal src "$(holm machine ls -q)"
	fails 125 holm machine export src -o /proc/nope/x
	rm "$WORLD"/*.tar "$WORLD/text"
}
