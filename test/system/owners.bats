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

# somebody_elses FILE MODE: made by a subordinate id of ours; in a directory with setgid its group is the directory's.
somebody_elses()
{
	# shellcheck disable=SC2016
	(cd "${1%/*}" && inside_mapping setpriv --reuid 5 --regid 5 --clear-groups sh -c 'umask 0; echo text >"$1"; chmod "$2" "$1"' sh "${1##*/}" "$2")
}

@test "other people's files that only a group may use: of the host user's groups, not of others" {
	requires vm setpriv
	other_group
	inside_mapping true || skip "no subordinate ids here"
	mkdir ours others
	chgrp "$group" ours
	chmod 2777 ours
	chmod 777 others
	somebody_elses ours/read 040
	somebody_elses ours/write 060
	somebody_elses others/closed 060
	equal "$group $group 60" "$(stat -c %g ours/read) $(stat -c '%g %a' ours/write)"
	run ! test -O ours/write
	run ! cat others/closed
	equal text "$(holm machine run cat ours/read)"
	run ! holm machine run sh -c 'echo no >>ours/read'
	holm machine run sh -c 'echo more >>ours/write'
	as_root box sh -c 'echo root >>"$1/ours/write"' - "$HOME"
	equal "text more root" "$(holm machine run cat ours/write | xargs)"
	equal "text more root" "$(xargs <ours/write)"
	run ! holm machine run cat others/closed
	run ! holm machine run sh -c 'echo no >>others/closed'
	run ! as_root box cat "$HOME/others/closed"
	run ! as_root box sh -c 'echo no >>"$1/others/closed"' - "$HOME"
	rm -rf ours others
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

# with_map WORD: starts the machine with that owner-map.
with_map()
{
	holm machine stop box
	holm machine set -n box "owner-map=$1"
	equal "$1" "$(field box owner_map)"
	holm machine start box
}

@test "owner-map=root: your files are root's inside" {
	requires vm
	mkdir -m 755 served
	echo page >served/page
	chmod 600 served/page
	with_map root
	equal "0 0 600" "$(as_root box stat -c '%u %g %a' "$HOME/served/page")"
	equal page "$(as_root box cat "$HOME/served/page")"
	as_root box sh -c 'cd "$1/served" && echo more >more && chown 0:0 more page' - "$HOME"
	equal "$UID_ME $GID_ME" "$(stat -c '%u %g' served/more)"
	# The machine's user has the rights of others.
	run ! holm machine run cat "$HOME/served/page"
	equal more "$(holm machine run cat "$HOME/served/more")"
	run ! as_root box chown "$UID_ME" "$HOME/served/page"
	rm -r served
}

@test "owner-map=record: what is made inside belongs to who made it, and stays yours outside" {
	requires vm
	with_map record
	mkdir -m 1777 drop
	echo outside >drop/mine
	equal "$UID_ME $GID_ME" "$(holm machine run stat -c '%u %g' drop/mine)"
	holm machine run sh -c 'echo inside >drop/own'
	equal "$UID_ME $GID_ME" "$(holm machine run stat -c '%u %g' drop/own)"
	# Root, and an id that is nobody's.
	as_root box sh -c 'umask 077; echo root >"$1/drop/root"' - "$HOME"
	equal "0 0 600" "$(holm machine run stat -c '%u %g %a' drop/root)"
	run ! holm machine run cat drop/root
	equal "1234 4321 600 secret" "$(holm machine run --user 1234:4321 -w "$HOME" sh -c 'umask 077; echo secret >drop/other; echo $(stat -c "%u %g %a" drop/other) $(cat drop/other)')"
	run ! holm machine run cat drop/other
	run ! holm machine run --user 1234:4321 rm "$HOME/drop/root"
	equal "$UID_ME $GID_ME $UID_ME $GID_ME secret" "$(stat -c '%u %g' drop/root drop/other | xargs) $(cat drop/other)"
	# It is as it was after a restart.
	with_map record
	equal "0 0 600" "$(holm machine run stat -c '%u %g %a' drop/root)"
	equal "1234 4321 600" "$(holm machine run stat -c '%u %g %a' drop/other)"
	rm -r drop
}

@test "owner-map=record: a tree that root unpacks is as it was packed" {
	requires vm
	as_root box sh -ec '
		rm -rf /root/tree; mkdir -p /root/tree/data /root/tree/team; cd /root/tree
		echo a >data/a; echo b >data/b; echo c >team/c; echo none >none; cp /bin/busybox su
		chown 33:44 data data/a; chown 999:0 data/b; chmod 700 data; chmod 640 data/a; chmod 400 data/b
		chown 0:50 team team/c; chmod 2775 team; chmod 0 none; chown 7:7 none; chmod 4755 su
		ln -s data/a link; ln data/a hard
		mkdir "$1/unpacked"; tar cf - . | tar xpf - -C "$1/unpacked"' - "$HOME"
	as_root box sh -ec 'cd "$1"; find . ! -type l -exec stat -c "%n %u %g %a %h" {} + | sort' - /root/tree >packed
	as_root box sh -ec 'cd "$1"; find . ! -type l -exec stat -c "%n %u %g %a %h" {} + | sort' - "$HOME/unpacked" >unpacked.list
	diff packed unpacked.list
	contains "$(cat packed)" "./su 0 0 4755"
	as_root box sh -ec 'cd "$1"; cmp data/a /root/tree/data/a; cat data/b none; echo more >>data/b' - "$HOME/unpacked"
	# A file that the user may not write can be given back to the user.
	as_root box sh -ec 'cd "$1/data"; chmod 440 b; chown "$2:$3" b; stat -c "%u %g %a" b' - "$HOME/unpacked" "$UID_ME" "$GID_ME" >given
	equal "$UID_ME $GID_ME 440" "$(cat given)"
	rm given
	# On the host: yours, without setuid.
	equal "$UID_ME" "$(find unpacked -exec stat -c %u {} + | sort -u)"
	equal "" "$(find unpacked -type f -perm /6000)"
	equal "b more" "$(xargs <unpacked/data/b)"
	# In a directory with setgid new files are the group's.
	as_root box sh -c 'cd "$1/unpacked/team" && : >new && stat -c "%u %g" new' - "$HOME" >new
	equal "0 50" "$(cat new)"
	# Who may not change owners inside may not here.
	run ! holm machine run chown 0 "$HOME/unpacked/none"
	run ! holm machine run chmod 644 "$HOME/unpacked/none"
	chmod -R u+rwX unpacked
	rm -r unpacked unpacked.list packed new
}

@test "owner-map=record: the record is nobody's to see or to write inside" {
	requires vm
	requires cc
	cc -static -o attempt "$BATS_TEST_DIRNAME/../lib/attempt.c"
	as_root box sh -c ': >"$1/recorded"' - "$HOME"
	run ! as_root box "$HOME/attempt" xattr "$HOME/recorded" user.holm.owner=33:33:-:-
	equal "" "$(as_root box "$HOME/attempt" xattrs "$HOME/recorded")"
	equal "0 0" "$(holm machine run stat -c '%u %g' recorded)"
	as_root box "$HOME/attempt" xattr "$HOME/recorded" user.colour=green
	rm recorded attempt
}

# In the user namespace that rootless containers have: its root is the machine's user, its other ids are subordinate ones. (Made by root, as the
# image has no newuidmap.)
in_container()
{
	# shellcheck disable=SC2016
	as_root containers sh -euc '
		uid=$1 gid=$2
		shift 2
		setpriv --reuid "$uid" --regid "$gid" --clear-groups unshare --user sleep 1000 &
		pid=$!
		until [ "$(cat "/proc/$pid/comm")" = sleep ]; do sleep 0.05; done
		printf "0 $uid 1\n1 100000 65535\n" >"/proc/$pid/uid_map"
		printf "0 $gid 1\n1 100000 65535\n" >"/proc/$pid/gid_map"
		nsenter --user --target "$pid" --setuid 0 --setgid 0 "$@"
		kill "$pid"' sh "$UID_ME" "$GID_ME" "$@"
}

# What a tree's files are, to root inside.
described()
{
	as_root containers sh -euc 'cd "$1"; find . -exec stat -c "%n %u %g %a" {} + | sort; tar --sort=name --numeric-owner -cf - . | tar --numeric-owner -tvf -' sh "$1"
}

@test "owner-map=record: what rootless containers make has their owners, also after a restart" {
	requires vm
	create containers bookworm --init holm --owner-map record
	# shellcheck disable=SC2016
	in_container sh -euc '
		mkdir "$1/layer" && cd "$1/layer"
		mkdir data web; echo secret >data/db; echo page >web/page; echo mine >own; cp /bin/true su; ln web/page hard
		chown 999:998 data data/db; chmod 700 data; chmod 600 data/db
		chown -R 33:33 web; chown 0:42 own; chmod 4755 su; chmod 2775 web
		test "$(stat -c "%u %g" data/db web/page own | xargs)" = "999 998 33 33 0 42"
		# Who has another id there may what the mode says, no more.
		setpriv --reuid 33 --regid 33 --clear-groups sh -euc "echo more >>web/page; if cat data/db; then exit 1; fi; : >web/new"
		mkdir ../copy; tar --numeric-owner -cf - . | tar --numeric-owner -xpf - -C ../copy' sh "$HOME" 2>refused
	contains "$(cat refused)" "data/db"
	described "$HOME/layer" >before
	contains "$(cat before)" "./data/db 100998 100997 600"
	contains "$(cat before)" "./own $UID_ME 100041 644"
	contains "$(cat before)" "./su $UID_ME $GID_ME 4755"
	contains "$(cat before)" "./web 100032 100032 2775"
	contains "$(cat before)" "./web/new 100032 100032"
	# On the host they are all the host user's, and none has setuid.
	equal "$UID_ME $GID_ME" "$(find layer copy -exec stat -c '%u %g' {} + | sort -u)"
	equal "" "$(find layer copy -type f -perm /6000)"
	described "$HOME/copy" >copied
	diff before copied
	holm machine stop containers
	described "$HOME/layer" >after
	diff before after
	# shellcheck disable=SC2016
	in_container sh -euc 'cd "$1"; test "$(cat layer/data/db)" = secret; test "$(stat -c "%u %g" layer/data/db)" = "999 998"; rm -r layer copy' sh "$HOME"
	[ ! -e layer ]
	rm refused before copied after
	holm machine rm --force containers
}
