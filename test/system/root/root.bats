#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# holm typed by root: it works as it does for anybody, and the user inside is root.
load ../../lib/holm

setup_file()
{
	[ "$(id -u)" = 0 ] || skip "only as root"
	holm_begin
	create box busybox
	holm machine set-default box
}

teardown_file()
{
	holm_end
}

@test "the user inside is root, with the home that root has" {
	equal root "$(holm machine run whoami)"
	equal /root "$(holm machine run sh -c 'echo $HOME')"
	equal "$HOME" "$(holm machine run pwd)"
}

@test "the home is shared both ways" {
	echo outside >note
	equal outside "$(holm machine run cat note)"
	holm machine run sh -c 'echo inside >back'
	equal "inside 0" "$(cat back) $(stat -c %u back)"
}

@test "exit status, stop and start" {
	run holm machine run sh -c 'exit 42'
	equal 42 "$status"
	equal box "$(holm machine stop box)"
	equal again "$(holm machine run echo again)"
}

@test "a Debian machine runs its services" {
	create deb bookworm --cpus 2 --memory 1G
	contains "running degraded" "$(holm machine run -n deb -- systemctl is-system-running --wait || true)"
	holm machine rm --force deb
}

@test "without a VM: root inside is nobody on the host but in the home, where the files are root's" {
	requires native
	holm machine run true
	local init
	init=$(init_of box)
	[ "$(awk '/^Uid:/ { print $2 }' "/proc/$init/status")" -ge 100000 ]
	run ! grep -Eq ' 0 +[0-9]+$' <<<"$(awk '{ print $2, $3 }' "/proc/$init/uid_map" | sed 's/^/ /')"
	holm machine run sh -c 'mkdir made; echo x >made/file'
	equal "0 0" "$(stat -c %u made) $(stat -c %u made/file)"
	rm -r made
	# The files of the machine itself are the range's.
	holm machine run touch /srv/mine
	[ "$(stat -c %u "$XDG_DATA_HOME"/holm/machines/box/native/upper/srv/mine)" -ge 100000 ]
}
