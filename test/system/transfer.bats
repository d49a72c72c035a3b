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
	in_machine src sh -c 'echo unit >.config/systemd/unit; ln .config/systemd/unit .config/systemd/hard'
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
	equal unit "$(in_machine copy cat .config/systemd/unit)"
	in_machine copy sh -c 'echo changed >.config/systemd/unit'
	holm machine stop copy
	equal mine "$(as_root src cat /srv/mine)"
	equal unit "$(in_machine src cat .config/systemd/unit)"
	holm machine stop src
	run ! equal "$(field src id)" "$(field copy id)"
	equal "$(field src memory)" "$(field copy memory)"
	holm machine clone copy copy2
	holm machine rm copy
	equal changed "$(as_root copy2 cat /srv/mine)"
	equal changed "$(in_machine copy2 cat .config/systemd/unit)"
	holm machine rm --force copy2
	fails 125 holm machine clone src src
	fails 125 holm machine clone nobody x
}

@test "export writes an OCI archive that another tool reads" {
	equal src "$(holm machine export src -o "$WORLD/src.tar")"
	equal 600 "$(stat -c %a "$WORLD/src.tar")"
	skopeo inspect "oci-archive:$WORLD/src.tar" | jq -e '.Architecture == "amd64"'
	skopeo inspect --raw "oci-archive:$WORLD/src.tar" | jq -e '.annotations["org.holm.machine"]'
	equal stopped "$(state src)"
}

@test "import makes the machine again, with its files and its settings" {
	equal again "$(holm machine import "$WORLD/src.tar" --name again --trust-settings)"
	equal "mine" "$(as_root again cat /srv/mine)"
	equal "12 34" "$(as_root again stat -c '%u %g' /srv/deep)"
	equal 4755 "$(as_root again stat -c %a /srv/mine)"
	equal ../mine "$(as_root again readlink /srv/deep/link)"
	as_root again test -p /srv/fifo
	equal "$(cat "$WORLD/sum")" "$(as_root again sha256sum /srv/noise | cut -d' ' -f1)"
	equal "unit $UID_ME 2" "$(in_machine again sh -c 'cat .config/systemd/hard; stat -c "%u %h" .config/systemd/unit' | xargs)"
	equal green "$(in_machine again sh -c 'echo $COLOUR')"
	equal 536870912 "$(field again memory)"
	run ! equal "$(field src id)" "$(field again id)"
	equal "$(field again id)" "$(as_root again cat /etc/machine-id)"
	holm machine rm --force again
	holm machine import "$WORLD/src.tar" --name again --keep-identity
	equal "$(field src id)" "$(field again id)"
	holm machine rm --force again
}

@test "import leaves the openings of an archive out, and its options give them" {
	mkdir -p "$WORLD/data" "$XDG_CONFIG_HOME/holm"
	echo outside >"$WORLD/data/file"
	echo secret >"$HOME/secret"
	holm machine clone src open -v "$WORLD/data:/srv/data" -p 18080:80
	holm machine set -n open host-access=true env.LD_PRELOAD=/x
	holm machine export open -o "$WORLD/open.tar"
	holm machine rm open
	printf '[machine]\nhome-mount = none\n' >"$XDG_CONFIG_HOME/holm/config"
	run --separate-stderr holm machine import "$WORLD/open.tar" --name closed
	equal 0 "$status"
	contains "$stderr" "home-mount=rw (none here)"
	contains "$stderr" "mount $WORLD/data:/srv/data"
	contains "$stderr" "publish 18080:80"
	contains "$stderr" host-access=true
	contains "$stderr" "env COLOUR, LD_PRELOAD"
	as_root closed sh -c '[ ! -e "$1/secret" ] && [ ! -e /srv/data/file ] && [ -z "$LD_PRELOAD$COLOUR" ] && ! grep host.holm.internal /etc/hosts' - "$HOME"
	equal mine "$(as_root closed cat /srv/mine)"
	run ! bash -c ': <>/dev/tcp/127.0.0.1/18080' 2>/dev/null
	holm machine rm --force closed
	holm machine import "$WORLD/open.tar" --name open --home-mount ro -v "$WORLD/data:/mnt:ro"
	equal "secret outside" "$(in_machine open sh -c 'echo $(cat "$1/secret" /mnt/file)' - "$HOME")"
	run ! in_machine open sh -c ': >"$1/new"' - "$HOME"
	holm machine rm --force open
	rm "$XDG_CONFIG_HOME/holm/config" "$WORLD/open.tar"
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
