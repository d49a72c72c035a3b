#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Three distributions at once with one home, and an image that has somebody else's user.
load ../lib/holm

setup_file()
{
	holm_begin
	create one bookworm --no-boot --memory 768M
	create two trixie --no-boot --memory 768M
	create three busybox --no-boot
}

teardown_file()
{
	holm_end
}

@test "three machines of three distributions run at once, same home, each its own system" {
	echo shared >note
	local name
	for name in one two three; do
		holm machine start "$name" &
	done
	wait
	equal "one two three" "$(for name in one two three; do is_state "$name" running && printf '%s ' "$name"; done | xargs)"
	for name in one two three; do
		equal shared "$(in_machine "$name" cat note)"
		in_machine "$name" sh -c ". /etc/os-release; echo \"\$ID \${VERSION_ID}\"" >>systems
	done
	equal "debian 12
debian 13
testbox 1" "$(cat systems)"
	as_root one touch /only-here
	run ! as_root two test -e /only-here
}

@test "they stop together" {
	holm machine stop --all
	equal '' "$(holm machine ls --format json | jq -r '.[] | select(.state != "stopped") | .name')"
}

@test "an image whose user has your id: the entry becomes yours, its home is left alone" {
	[ "$UID_ME" != 0 ] || skip "for an ordinary user"
	create ubu ubuntu-like --memory 768M
	equal "$ME" "$(in_machine ubu whoami)"
	equal "$ME" "$(in_machine ubu id -un "$UID_ME")"
	run ! in_machine ubu id ubuntu
	equal root "$(in_machine ubu sudo -n id -un)"
	contains " $(in_machine ubu id -Gn) " " sudo "
	equal mine "$(as_root ubu cat /home/ubuntu/keep)"
	equal "$UID_ME" "$(as_root ubu stat -c %u /home/ubuntu/keep)"
}
