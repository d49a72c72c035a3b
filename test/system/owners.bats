#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Whose the files in shares are: owners, groups, modes, and what changing them comes to.
load ../lib/holm

setup_file()
{
	holm_begin
	create box busybox
	holm machine set-default box
}

teardown_file()
{
	holm_end
}

# other_group: sets $group to the number of a group that we are in besides our own.
other_group()
{
	group=$(id -G | tr ' ' '\n' | grep -vx "$GID_ME" | head -n 1) || true
	[ -n "$group" ] || skip "$ME is in one group only"
}

@test "a group that the host user is in is the machine's user's too" {
	requires vm
	other_group
	contains " $(holm machine run id -G) " " $group "
	contains " $(holm machine run id -Gn) " " $(id -Gn | tr ' ' '\n' | grep -vx "$(id -gn)" | head -n 1) "
	mkdir team
	chgrp "$group" team
	chmod 2770 team
	equal "$UID_ME $group 2770" "$(holm machine run stat -c '%u %g %a' team)"
	holm machine run sh -c 'echo inside >team/file; mkdir team/sub; echo mine >plain'
	equal "$group $group 2755" "$(stat -c '%g' team/file) $(stat -c '%g %a' team/sub)"
	equal "$group" "$(holm machine run stat -c %g team/file)"
	# From one's own group to that one, and back.
	equal "$GID_ME" "$(stat -c %g plain)"
	holm machine run chgrp "$group" plain
	equal "$group" "$(stat -c %g plain)"
	holm machine run chgrp "$GID_ME" plain
	equal "$GID_ME" "$(stat -c %g plain)"
	# Others are refused, to root as well.
	run ! holm machine run chgrp 54321 plain
	run ! as_root box chgrp 54321 plain
	run ! as_root box chown 54321 plain
	equal "$UID_ME $GID_ME" "$(stat -c '%u %g' plain)"
	rm -r team plain
}

@test "natively such a group has no number inside: it gives no right there" {
	requires native
	other_group
	[ "$(grep -c . /proc/self/uid_map)" = 1 ] || skip "we are in a user namespace ourselves"
	mkdir team
	chgrp "$group" team
	chmod 2770 team
	echo text >team/file
	equal "$UID_ME 65534" "$(holm machine run stat -c '%u %g' team)"
	# What is one's own stays so.
	equal text "$(holm machine run cat team/file)"
	holm machine run sh -c 'echo inside >team/new'
	equal "$group" "$(stat -c %g team/new)"
	run ! holm machine run chgrp "$group" team/new
	case " $(holm machine run id -G) " in
	*" $group "*) false ;;
	esac
	rm -r team
}
