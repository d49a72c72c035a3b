#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: vm
# A share in a virtual machine beside the same file system on the host: what programs see when they do the same things (test/lib/fs-check),
# whether random work on a file gives what it should (test/lib/fsx.c), whether both sides can change one tree at once (test/lib/churn.c), and
# where locks hold (test/lib/lock.c).
load ../lib/holm

setup_file()
{
	holm_begin
	cc -O1 -static -o "$HOME/fs-check" "$BATS_TEST_DIRNAME"/../lib/fs-check/*.c
	cc -O1 -static -o "$HOME/fsx" "$BATS_TEST_DIRNAME/../lib/fsx.c"
	cc -O1 -static -o "$HOME/churn" "$BATS_TEST_DIRNAME/../lib/churn.c"
	cc -O1 -static -o "$HOME/lock" "$BATS_TEST_DIRNAME/../lib/lock.c"
	create box busybox
	holm machine set-default box
	mkdir host user root
	./fs-check host >host.seen
}

teardown_file()
{
	holm_end
}

# What is seen inside whatever the host's file system says (it may lack the same things), and why; all else is the same.
differences()
{
	cat <<-'END'
		owners.set-uid-is: -0755 links 1 size 1             # these bits never get to the host
		owners.set-gid-is: -0755 links 1 size 1
		direct.unaligned: 100                               # O_DIRECT is the machine's own affair
		rename.whiteout: EINVAL                             # but with owner-map=record
		xattrs.acl-read: EOPNOTSUPP                         # attributes other than user.*
		xattrs.acl-set: EOPNOTSUPP
		fallocate.collapse: EOPNOTSUPP                      # the guest's kernel does not ask the server
		fallocate.insert: EOPNOTSUPP
		pipes.ioctl-flags: ENOTTY
	END
}

# Root may what you may not, as on Linux everywhere; its files are yours.
differences_of_root()
{
	cat <<-'END'
		owners.mine: no
		owners.group-mine: no
		owners.still-mine: no
		permissions.read-only-write: ok
		permissions.read-only-truncate: ok
		permissions.read-only-truncate-by-name: 0
		permissions.read-only-read: 1 bytes, sum 050c5d1f   # it was truncated
		permissions.read-only-access: 0
		permissions.none-read: ok
		permissions.none-write: ok
		permissions.closed-create: ok
		permissions.closed-remove: 0
		permissions.closed-rename: ENOENT                   # it was removed
		permissions.closed-write: ENOENT
		permissions.no-x-open: ENOENT
		permissions.no-x-list: 3 names, sum f77ad60f
		permissions.no-r-open: ENOENT
		permissions.no-r-list: ok
		permissions.shut-open: ok
		xattrs.trusted: EOPNOTSUPP
		xattrs.trusted-read: EOPNOTSUPP
	END
}

# same_but HOST INSIDE: with the differences on stdin.
same_but()
{
	local line
	sed 's/ *#.*//' >"$WORLD/differences"
	[ -s "$2" ]
	while IFS= read -r line; do
		grep -qxF -- "$line" "$2" || { echo "not seen inside: $line; but: $(grep -F -- "${line%%:*}:" "$2")" >&2; return 1; }
		echo "^${line%%:*}:"
	done <"$WORLD/differences" >"$WORLD/checks"
	diff <(grep -v -f "$WORLD/checks" "$1") <(grep -v -f "$WORLD/checks" "$2")
}

@test "the user finds in the share what programs find on the host, but for a short list" {
	[ "$(wc -l <host.seen)" -gt 500 ]
	holm machine run ./fs-check user >user.seen
	differences | same_but host.seen user.seen
}

@test "and so does root, who may do more" {
	as_root box "$HOME/fs-check" "$HOME/root" >root.seen
	{ differences; differences_of_root; } | same_but host.seen root.seen
	# What root made is the user's, and nothing has another mode than on the host.
	equal "" "$(find root ! -user "$ME" | head)"
	equal "$(cd host && find . -name 'made*' -printf '%p %m\n' | sort)" "$(cd root && find . -name 'made*' -printf '%p %m\n' | sort)"
}

@test "a directory of 100 000 names is read while it changes" {
	mkdir many
	(cd many && seq -f 'k%06g' 100000 | xargs touch)
	mkdir a b
	./fs-check a big >a.seen
	holm machine run ./fs-check b big >b.seen
	diff a.seen b.seen
	equal 100000 "$(holm machine run sh -c 'ls many | wc -l')"
	rm -r many
}

@test "random work on one file, by user and root" {
	local seed=$RANDOM
	holm machine run ./fsx fsx.file $seed 3000
	as_root box "$HOME/fsx" "$HOME/fsx.root" $((seed + 1)) 3000
}

# The file as the host has it then is the file as the machine has it.
@test "random work with the other kinds of cache" {
	local kind
	for kind in writeback strict; do
		create $kind busybox --share-cache $kind
		in_machine $kind "$HOME/fsx" "$HOME/fsx.$kind" $RANDOM 1500
		equal "$(md5sum "$HOME/fsx.$kind")" "$(in_machine $kind md5sum "$HOME/fsx.$kind")"
		echo host >"fsx.$kind.host"
		equal host "$(in_machine $kind cat "$HOME/fsx.$kind.host")"
		holm machine stop $kind
	done
}

# Inside somebody has the files open, and the names looked up, before the host changes them.
@test "what the host changes is seen by who goes on looking" {
	local kind looker
	for kind in auto strict; do
		create looks-$kind busybox --share-cache $kind
		mkdir seen
		touch seen/gone seen/moved
		echo first | tee seen/lines >seen/changed
		# shellcheck disable=SC2016
		in_machine looks-$kind sh -euc 'cd seen
			exec 3<lines
			read -r line <&3
			stat changed gone moved >/dev/null
			test ! -e new
			test "$(ls | xargs)" = "changed gone lines moved"
			: >../looking
			until test "$(stat -c %s changed)" = 14; do sleep 0.02; done
			test "$(cat changed)" = "changed since"
			until read -r line <&3; do sleep 0.02; done
			test "$line" = second
			while test -e gone || test -e moved || ! test -e new || ! test -e renamed; do sleep 0.02; done
			until test "$(ls | xargs)" = "changed lines new renamed"; do sleep 0.02; done' 3>&- &
		looker=$!
		until_true 60 test -e looking
		echo "changed since" >seen/changed
		echo second >>seen/lines
		rm seen/gone
		mv seen/moved seen/renamed
		touch seen/new
		wait $looker
		rm -r seen looking
		holm machine stop looks-$kind
	done
}

@test "guest and host change one tree at once" {
	local seed=$RANDOM other
	mkdir churning
	./churn churning host $seed 100000 >churn.host 3>&- &
	other=$!
	holm machine run ./churn churning inside $((seed + 1)) 1500
	wait $other || { cat churn.host >&2; return 1; }
	equal "$(find churning -name 'inside-*' | wc -l)" "$(holm machine run sh -c 'find churning -name "inside-*" | wc -l')"
	holm machine run rm -r churning
	[ ! -e churning ]
}

# is_locked FILE START: whether somebody has a lock there, as the host sees it.
is_locked()
{
	local status=0
	./lock "$1" w "$2" 1 true || status=$?
	[ $status = 75 ]
}

whole_is_locked()
{
	local status=0
	./lock "$1" f 0 0 true || status=$?
	[ $status = 75 ]
}

is_free()
{
	./lock "$1" w "$2" 1 true
}

@test "locks are the machine's own affair unless it is told otherwise" {
	touch own
	./lock own w 0 0 holm machine run ./lock own w 0 0 true
	./lock own f 0 0 holm machine run ./lock own f 0 0 true
}

# Who takes a lock waits for it, as who looks whether it is taken has it for a moment.
@test "with share-locks=host they hold on both sides" {
	touch db
	create locks busybox --share-locks host
	# Ranges that the host has.
	./lock -w db w 10 5 sleep 1000 3>&- &
	local holder=$!
	until_true 60 is_locked db 12
	run in_machine locks ./lock db w 14 1 true
	equal 75 "$status"
	in_machine locks ./lock db w 15 1 true
	in_machine locks ./lock -w db r 14 1 touch waited 3>&- &
	local waiter=$!
	in_machine locks sh -c 'sleep 1; ls >/dev/null; echo x >>others'
	[ ! -e waited ]
	kill "$holder"
	wait "$waiter"
	[ -e waited ]
	# Ranges that somebody inside has, until the process ends.
	in_machine locks sh -c 'echo $$ >pid; exec ./lock -w db w 0 10 sleep 1000' 3>&- &
	waiter=$!
	until_true 60 is_locked db 9
	is_free db 10
	as_root locks kill -KILL "$(cat pid)"
	until_true 60 is_free db 9
	wait "$waiter" || true
	# Whole files, and a wait for the host.
	run ! ./lock db f 0 0 holm machine run -n locks ./lock db f 0 0 true
	in_machine locks sh -c 'echo $$ >pid; exec ./lock -w db f 0 0 sleep 1000' 3>&- &
	waiter=$!
	until_true 60 whole_is_locked db
	as_root locks kill -KILL "$(cat pid)"
	until_true 60 ./lock db f 0 0 true
	wait "$waiter" || true
	# Inside they are what they are on the host.
	mkdir lock.host lock.inside
	./fs-check lock.host fcntl flock >a.seen
	in_machine locks ./fs-check lock.inside fcntl flock >b.seen
	diff a.seen b.seen
	holm machine rm --force locks
}
