#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who waits inside for changes (inotify) hears of those that the host makes in shares; in a VM by way of the share's server and the agent.
load ../lib/holm

setup_file()
{
	holm_begin
	cc -static -o "$WORLD/watcher" "$BATS_TEST_DIRNAME/../lib/watcher.c"
	cp "$WORLD/watcher" "$HOME/watcher"
	mkdir -p "$WORLD/fixed" "$WORLD/late"
	create box busybox -v "$WORLD/fixed:/mnt/fixed:ro"
	holm machine set-default box
}

teardown_file()
{
	holm_end
}

setup()
{
	cd "$HOME" || return 1
	rm -rf w
	mkdir w
	: >"w/$BATS_TEST_NUMBER"
	until_true 60 is_seen_inside
	rm "w/$BATS_TEST_NUMBER"
	seen=$BATS_TEST_TMPDIR/seen host_seen=$BATS_TEST_TMPDIR/host
}

# What was told is shown with what failed.
teardown()
{
	[ -n "$BATS_TEST_COMPLETED" ] || { cat "$seen"; holm machine logs --boot box | tail -n 20; } >&2
}

# For a second the machine may take the folder for the one that was there before, and believe in what was in that; their inode numbers may be the same.
is_seen_inside()
{
	holm machine run test -e "w/$BATS_TEST_NUMBER" 2>/dev/null 3>&-
}

# watch OUTSIDE PATH...: watches inside, until `enough` is made OUTSIDE, which is one of them. A watch counts from some moment after it was added.
watch()
{
	outside=$1
	shift
	command timeout 200 holm machine run -- "$HOME/watcher" "$@" >"$seen" 2>&1 3>&- </dev/null &
	watcher=$!
	until_true 60 grep -qx ready "$seen"
	until_true 60 poked
	rm "$outside/poke"
	sees "^DELETE [^ ]*/poke"
}

poked()
{
	: >>"$outside/poke"
	chmod 600 "$outside/poke"
	grep -q '/poke ' "$seen"
}

watched()
{
	: >"$outside/enough"
	wait "$watcher"
	rm "$outside/enough"
}

# sees PATTERN: a line of what was told inside, within a minute.
sees()
{
	until_true 60 grep -qE -- "$1" "$seen" || { cat "$seen" >&2; return 1; }
}

@test "what the host makes, writes, renames and removes is told inside" {
	mkdir elsewhere
	watch w w
	echo hello >w/file
	sees '^CREATE w/file '
	sees '^(MODIFY|CLOSE_WRITE) w/file 6$'
	echo more >>w/file
	sees '^(MODIFY|CLOSE_WRITE) w/file 11$'
	chmod 640 w/file
	sees '^ATTRIB w/file '
	mv w/file w/other
	sees '^MOVED_FROM w/file -1$'
	sees '^MOVED_TO w/other 11$'
	mkdir w/folder
	sees '^CREATE,DIR w/folder '
	ln -s nowhere w/link
	sees '^CREATE w/link 7$'
	mkfifo w/pipe
	sees '^CREATE w/pipe '
	mv w/other elsewhere/
	sees '^(DELETE|MOVED_FROM) w/other -1$'
	mv elsewhere/other w/back
	sees '^(CREATE|MOVED_TO) w/back 11$'
	rm w/back w/link w/pipe
	sees '^DELETE w/back -1$'
	sees '^DELETE w/link -1$'
	rmdir w/folder
	sees '^DELETE,DIR w/folder -1$'
	watched
	rm -r elsewhere
	# What is inside is what is outside.
	equal "$(ls -A w)" "$(holm machine run ls -A w)"
}

@test "a file saved by renaming over it is the new one when its event comes" {
	local n
	printf old >w/file
	watch w w w/file
	for n in 1 2 3 4 5; do
		head -c $((n * 100)) /dev/zero >w/.file.new
		mv w/.file.new w/file
		sees "^MOVED_TO w/file $((n * 100))\$"
	done
	# The file that was watched is another one than the last of that name.
	sees '^DELETE_SELF w/file '
	watched
	equal 500 "$(holm machine run stat -c %s w/file)"
}

@test "telling it inside changes nothing outside" {
	"$WORLD/watcher" w >"$host_seen" 2>&1 3>&- &
	local outside_watcher=$! before
	until_true 60 grep -qx ready "$host_seen"
	printf kept >w/kept
	touch -d '2020-01-02 03:04:05' w/kept
	watch w w
	before=$(stat -c '%i %s %Y %a' w/kept)
	chmod 600 w/kept
	sees '^ATTRIB w/kept 4$'
	: >w/new
	sees '^CREATE w/new '
	mv w/new w/newer
	sees '^MOVED_TO w/newer '
	until_true 60 grep -q '^MOVED_TO w/newer ' "$host_seen"
	rm w/newer
	sees '^DELETE w/newer '
	watched
	wait "$outside_watcher"
	equal "${before% *} 600" "$(stat -c '%i %s %Y %a' w/kept)"
	equal kept "$(cat w/kept)"
	equal 'CREATE w/new 0
CLOSE_WRITE w/new 0
MOVED_FROM w/new -1
MOVED_TO w/newer 0
DELETE w/newer -1' "$(grep -E ' w/newe?r? ' "$host_seen" | sed 's/ w\/new [0-9]*$/ w\/new 0/; s/^MOVED_FROM w\/new .*/MOVED_FROM w\/new -1/')"
	equal 1 "$(grep -c '^ATTRIB w/kept' <(sed -n '/w.kept/p' "$host_seen" | tail -n 1))"
}

@test "what is done inside is told once" {
	watch w w
	holm machine run sh -c 'echo 1 >w/own; mv w/own w/renamed; rm w/renamed; mkdir w/folder; rmdir w/folder'
	: >w/after
	sees '^CREATE w/after '
	watched
	local line
	for line in 'CREATE w/own' 'MOVED_FROM w/own' 'MOVED_TO w/renamed' 'DELETE w/renamed' 'CREATE,DIR w/folder' 'DELETE,DIR w/folder' 'CREATE w/after'; do
		equal 1 "$(grep -c "^$line " "$seen")"
	done
}

@test "a share that is read-only tells too, and stays so" {
	watch "$WORLD/fixed" /mnt/fixed
	echo new >"$WORLD/fixed/file"
	sees '^CREATE /mnt/fixed/file '
	echo new >>"$WORLD/fixed/file"
	sees '^(MODIFY|CLOSE_WRITE) /mnt/fixed/file 8$'
	rm "$WORLD/fixed/file"
	sees '^DELETE /mnt/fixed/file '
	run ! as_root box touch /mnt/fixed/no
	watched
}

# is_told FILE PLACE: writes to the file; succeeds if the machine has seen a write at PLACE. A watch
# counts from some moment on.
is_told()
{
	echo more >>"$1"
	grep -qE "^(MODIFY|CLOSE_WRITE) $2 " "$seen"
}

@test "a mounted file tells too, also one that is read-only" {
	echo one >"$WORLD/single"
	holm machine mount add "$WORLD/single:/mnt/single:ro"
	watch w w /mnt/single
	until_true 60 is_told "$WORLD/single" /mnt/single
	run ! as_root box sh -c 'echo no >>/mnt/single'
	watched
	holm machine mount rm /mnt/single
}

@test "a share that was added to the running machine tells too, and goes while it is watched" {
	local keeper
	keeper=$(keeper_of box)
	run --separate-stderr holm machine mount add "$WORLD/late:/mnt/late"
	equal 0 "$status"
	if grep -q 'next start' <<<"$stderr"; then
		skip "not while the machine runs"
	fi
	watch "$WORLD/late" /mnt/late
	mkdir "$WORLD/late/folder"
	sees '^CREATE,DIR /mnt/late/folder '
	holm machine mount rm /mnt/late
	# Natively the file system stays where it is: on the host.
	[ "$ISOLATION" = native ] || sees '^IGNORED /mnt/late '
	kill "$watcher"
	wait "$watcher" || true
	run ! holm machine run ls /mnt/late/folder
	# It is the same machine still.
	equal "$keeper" "$(keeper_of box)"
}

@test "a share server's worker that is killed is replaced by one that tells as before" {
	requires vm
	local workers
	watch w w
	: >w/before
	sees '^CREATE w/before '
	workers=$(fsd_workers box)
	[ -n "$workers" ]
	# shellcheck disable=SC2086
	kill -KILL $workers
	until_true 60 told_again
	watched
}

told_again()
{
	mktemp w/again.XXXX >/dev/null
	grep -q '^CREATE w/again' "$seen"
}

# Either the machine knows by then, or it watches what has gone, and says so.
@test "who begins to watch what the host has just replaced hears of the new one or that the old one is gone" {
	: >w/old
	holm machine run stat w/old >/dev/null
	rm -r w
	mkdir w
	outside=w
	command timeout 200 holm machine run -- "$HOME/watcher" w >"$seen" 2>&1 3>&- </dev/null &
	watcher=$!
	until_true 60 grep -qx ready "$seen"
	until_true 60 poked_or_gone
	kill "$watcher"
	wait "$watcher" || true
	[ "$ISOLATION" = vm ] || sees '^CREATE w/poke '
}

poked_or_gone()
{
	poked || grep -q '^DELETE_SELF w ' "$seen"
}

@test "share-events=off tells nothing, and everything else is as before" {
	requires vm
	create silent busybox --share-events off --no-boot
	command timeout 200 holm machine run -n silent -- "$HOME/watcher" w >"$seen" 2>&1 3>&- </dev/null &
	watcher=$!
	until_true 60 grep -qx ready "$seen"
	: >w/file
	in_machine silent test -e w/file
	in_machine silent touch w/own w/enough
	wait "$watcher"
	run ! grep -q ' w/file ' "$seen"
	grep -q '^CREATE w/own ' "$seen"
	rm w/enough
	holm machine rm --force silent
}
