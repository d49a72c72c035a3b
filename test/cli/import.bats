#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Settings that import takes from a file and clone from a machine. No machine boots: holm-image is
# fake-image, with the settings that a test writes.
load ../lib/holm

setup_file()
{
	requires jq
	holm_begin empty
	export HOLM_LIBEXEC="$WORLD/libexec" FAKE_SETTINGS="$WORLD/settings" ARCHIVE="$WORLD/archive" CONFIG="$XDG_CONFIG_HOME/holm/config"
	mkdir -p "$HOLM_LIBEXEC" "${CONFIG%/*}" "$WORLD/data" "$WORLD/other"
	cp "$BATS_TEST_DIRNAME/fake-keeper" "$HOLM_LIBEXEC/holm-keeper"
	cp "$BATS_TEST_DIRNAME/fake-image" "$HOLM_LIBEXEC/holm-image"
	echo content >"$ARCHIVE"
}

teardown_file()
{
	holm_end
}

setup()
{
	rm -f "$CONFIG"
	settings '{}'
}

teardown()
{
	holm machine rm --force --all >/dev/null
}

# settings JSON: what the archive says, beside what every archive has.
settings()
{
	jq -n --argjson more "$1" '{version: 1, name: "theirs", created: "2026-01-01T00:00:00Z", image: "docker.io/library/x", user: "them",
		isolation: "auto"} + $more' >"$FAKE_SETTINGS"
}

# config LINE...: below [machine] of holm/config.
config()
{
	printf '%s\n' '[machine]' "$@" >"$CONFIG"
}

# import OPTION...: leaves the name in $output and the notes in $stderr.
import()
{
	run --separate-stderr holm machine import "$ARCHIVE" "$@"
	equal 0 "$status"
	equal theirs "$output"
}

# All that opens the host.
OPENINGS='{"home_mount":"rw","host_access":true,"publish":["0.0.0.0:8080:80","[::1]:53:53/udp"],"env":["LD_PRELOAD=/x","PATH=/evil"],
	"owner_map":"root","share_locks":"host","autostart":"on","auto_ports":"on","transport":"vsock","kernel":"/boot/theirs","kernel_modules":"/lib/theirs",
	"mounts":[{"host":"/etc","inside":"/srv/etc"},{"host":"/home","inside":"/srv/home","read_only":true}]}'

# opened: what of it holds for the machine, as words.
opened()
{
	holm machine inspect theirs | jq -r '.[0] | [.home_mount, .host_access, (.publish | length), (.mounts | length), (.env | length),
		.owner_map, .share_locks, .autostart, .auto_ports, .transport, .kernel, .kernel_modules] | map(tostring) | join(" ")'
}

@test "a file opens nothing of the host, and import names the settings that it left out" {
	config 'home-mount = none'
	settings "$OPENINGS"
	import
	equal "none false 0 0 0 user guest off off serial null null" "$(opened)"
	contains "$stderr" "home-mount=rw (none here)"
	contains "$stderr" "host-access=true"
	contains "$stderr" "publish 0.0.0.0:8080:80, [::1]:53:53/udp"
	contains "$stderr" "mount /etc:/srv/etc, /home:/srv/home:ro"
	contains "$stderr" "env LD_PRELOAD, PATH"
	contains "$stderr" "owner-map=root"
	contains "$stderr" "share-locks=host"
	contains "$stderr" "autostart=on"
	contains "$stderr" "auto-ports=on"
	contains "$stderr" "transport=vsock"
	contains "$stderr" "kernel=/boot/theirs"
	contains "$stderr" "kernel-modules=/lib/theirs"
	contains "$stderr" --trust-settings
	run ! contains "$stderr" /evil
}

@test "of the file's home and this host's the stricter one holds; an option decides" {
	local case file here given right
	for case in "rw - - rw" "ro - - ro" "none - - none" "rw ro - ro" "ro rw - ro" "none rw - none" "rw none - none" "ro none - none" \
		"none none - none" "none none rw rw" "rw none ro ro" "rw - none none"; do
		read -r file here given right <<<"$case"
		rm -f "$CONFIG"
		[ "$here" = - ] || config "home-mount = $here"
		settings "{\"home_mount\":\"$file\"}"
		if [ "$given" = - ]; then import; else import --home-mount "$given"; fi
		equal "$case: $right" "$case: $(field theirs home_mount)"
		holm machine rm theirs
	done
}

@test "an archive without settings gets this host's configuration, as create does" {
	config 'home-mount = none' 'memory = 640M' 'cpus = 1'
	FAKE_SETTINGS='' run --separate-stderr holm machine import "$ARCHIVE" --name theirs
	equal 0 "$status"
	equal "" "$stderr"
	equal "none 671088640 1" "$(holm machine inspect theirs | jq -r '.[0] | "\(.home_mount) \(.memory) \(.cpus)"')"
}

@test "cpus, memory and disk of a file are no more than create would give" {
	config 'cpus = 2' 'memory = 1G' 'disk-size = 20G'
	settings '{"cpus":500,"memory":1099511627776,"disk_size":1125899906842}'
	import
	equal "2 1073741824 21474836480" "$(holm machine inspect theirs | jq -r '.[0] | "\(.cpus) \(.memory) \(.disk_size)"')"
	contains "$stderr" "cpus=500 (2 here)"
	contains "$stderr" "memory=1T (1G here)"
	contains "$stderr" "(20G here)"
	holm machine rm theirs
	settings '{"cpus":1,"memory":536870912,"disk_size":1073741824,"init":"holm","share_cache":"strict","share_events":"off"}'
	import
	equal "1 536870912 1073741824 holm strict off" \
		"$(holm machine inspect theirs | jq -r '.[0] | "\(.cpus) \(.memory) \(.disk_size) \(.init) \(.share_cache) \(.share_events)"')"
	equal "" "$stderr"
	holm machine rm theirs
	settings '{"cpus":500,"memory":1099511627776}'
	import --trust-settings
	equal "500 1099511627776" "$(holm machine inspect theirs | jq -r '.[0] | "\(.cpus) \(.memory)"')"
}

@test "--trust-settings takes a file's settings, checked, and says what they open" {
	config 'home-mount = none'
	settings "$(jq -c --arg d "$WORLD/data" '.mounts[0].host = $d | .mounts[1].host = "/not/there"' <<<"$OPENINGS")"
	import --trust-settings
	# The host has no such directory and kernel.
	equal "rw true 2 1 2 root host on on vsock null null" "$(opened)"
	contains "$stderr" /not/there
	contains "$stderr" /boot/theirs
	contains "$stderr" "$WORLD/data"
	contains "$stderr" 0.0.0.0:8080:80
	equal "$ME" "$(field theirs user)"
}

@test "--home-mount, --publish and --mount of import come before the file's, and are checked before it is read" {
	settings '{"publish":["8080:80","8081:81"],"mounts":[{"host":"'"$WORLD/data"'","inside":"/srv"}]}'
	import --trust-settings -p 8080:90 -p 9090:90 -v "$WORLD/other:/srv:ro" --home-mount ro
	equal "8081:81 8080:90 9090:90 " "$(holm machine inspect theirs --format '{{range .publish}}{{.host}}:{{.inside}} {{end}}')"
	equal '[{"host":"'"$WORLD/other"'","inside":"/srv","read_only":true}]' "$(holm machine inspect theirs | jq -c '.[0].mounts')"
	equal ro "$(field theirs home_mount)"
	holm machine rm theirs
	local words
	for words in "-p 80" "-p 1:1 -p 1:2" "-v /not/there" "-v /etc:/proc" "--home-mount maybe"; do
		# shellcheck disable=SC2086
		FAKE_UNPACK_RUNS=/bin/false fails 125 holm machine import "$ARCHIVE" $words
		equal '' "$(holm machine ls -q)"
	done
	fails 125 holm machine import /not/there -p 80
	contains "$stderr" 'publish "80"'
}

@test "settings that are not what they should be are refused, and nothing is made" {
	local bad
	for bad in '{"mounts":"x"}' '{"mounts":[1]}' '{"mounts":[{"host":"relative","inside":"/a"}]}' '{"mounts":[{"host":"/a","inside":"/proc"}]}' \
		'{"mounts":[{"host":"/a","inside":"/srv/../etc"}]}' '{"mounts":[{"host":"/a/../b","inside":"/srv"}]}' \
		'{"mounts":[{"host":"/a\u001b[2J","inside":"/srv"}]}' '{"publish":["80"]}' '{"publish":[{"a":1}]}' '{"publish":["1:1","1:2"]}' \
		'{"env":["A"]}' '{"env":["A B=1"]}' '{"env":{"A":1}}' '{"cpus":-1}' '{"cpus":4000}' '{"cpus":"many"}' '{"memory":1}' '{"disk_size":1}' \
		'{"memory":1e30}' '{"home_mount":"all"}' '{"host_access":"yes"}' '{"owner_map":1}' '{"transport":"tcp"}' '{"version":2}' \
		'{"kernel":"relative"}' '{"name":"../up"}' '{"name":"a\u001b[2Jb"}' '{"name":7}'; do
		settings "$bad"
		for trust in "" --trust-settings; do
			run --separate-stderr holm machine import "$ARCHIVE" $trust
			equal "$bad 125" "$bad $status"
			equal "$bad 1" "$bad $(wc -l <<<"$stderr")"
			run ! grep -q $'\e' <<<"$stderr"
			equal '' "$(holm machine ls -q)"
		done
	done
	# No object at all.
	for bad in '[]' '"x"' 7; do
		echo "$bad" >"$FAKE_SETTINGS"
		fails 125 holm machine import "$ARCHIVE" --name theirs
		contains "$stderr" machine
	done
	# A thousand of everything: each line has an end.
	settings '{"isolation":"\u001b[2J"}'
	import
	equal "" "$stderr"
	holm machine rm theirs
	settings "$(jq -nc '{env: [range(1000) | "V\(.)=x"], publish: [range(200) | "\(. + 1000):1"]}')"
	import
	[ ${#stderr} -lt 1500 ]
	contains "$stderr" "and 992 more"
}

@test "a clone does not start at login, unless it takes its original's place" {
	holm machine create a -n one --no-boot --autostart on
	run --separate-stderr holm machine clone one two
	equal 0 "$status"
	contains "$stderr" 'left out: autostart=on, which machine "one" has'
	run --separate-stderr holm machine clone one three --keep-identity
	equal '' "$stderr"
	equal 'on off on' "$(holm machine inspect one two three | jq -r '[.[].autostart] | join(" ")')"
}

@test "a clone leaves out the ports of its original, and takes ports, mounts and home of its own" {
	run --separate-stderr holm machine create a -n one --no-boot -p 8080:80 -p 5353:53/udp -v "$WORLD/data:/srv" -e A=1
	run --separate-stderr holm machine clone one two
	equal 0 "$status"
	equal two "$output"
	contains "$stderr" "8080:80, 5353:53/udp"
	contains "$stderr" --publish
	equal '[]' "$(holm machine inspect two | jq -c '.[0].publish')"
	equal '/srv rw 1' "$(holm machine inspect two | jq -r '.[0] | "\(.mounts[0].inside) \(.home_mount) \(.env.A)"')"
	run --separate-stderr holm machine clone one three -p 8081:80 -v "$WORLD/other:/srv:ro" -v "$WORLD/data" --home-mount none
	equal 0 "$status"
	equal '[{"ip":null,"host":8081,"inside":80,"protocol":"tcp"}]' "$(holm machine inspect three | jq -c '.[0].publish')"
	equal "none $WORLD/other true $WORLD/data" \
		"$(holm machine inspect three | jq -r '.[0] | "\(.home_mount) \(.mounts[0].host) \(.mounts[0].read_only) \(.mounts[1].host)"')"
	fails 125 holm machine clone one four -v /not/there
	fails 125 holm machine clone one four -p x
	equal "one
three
two" "$(holm machine ls -q)"
}
