#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The home and other shares: whose files they are, rw, ro and none, what is hidden, mounts while the machine runs, cp.
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

@test "a file made in the home inside is yours outside, and the other way round" {
	echo outside >from-outside
	chmod 600 from-outside
	equal outside "$(holm machine run cat from-outside)"
	equal "$UID_ME $GID_ME 600" "$(holm machine run stat -c '%u %g %a' from-outside)"
	holm machine run sh -c 'echo inside >from-inside; mkdir -p d; ln -s from-inside link; ln from-inside hard'
	equal inside "$(cat from-inside)"
	equal "$UID_ME $GID_ME" "$(stat -c '%u %g' from-inside)"
	equal "$UID_ME" "$(stat -c %u d)"
	equal from-inside "$(readlink link)"
	equal 2 "$(stat -c %h from-inside)"
	holm machine run rm -r link hard d
	[ ! -e hard ]
}

@test "a process inside goes on in a directory that the host renames" {
	mkdir -p stand/deep
	echo text >stand/deep/file
	# The shell closes its descriptors of a coprocess that has ended: these stay.
	local answer in out
	coproc IN { holm machine run sh -c 'cd stand/deep && echo ready && read -r _ && cat file && ls . && touch new' 3>&-; }
	exec {out}<&"${IN[0]}" {in}>&"${IN[1]}"
	read -r -t 60 answer <&"$out"
	equal ready "$answer"
	mv stand/deep stand/deeper
	mv stand stood
	mkdir -p stand/deep
	echo go >&"$in"
	exec {in}>&-
	answer=$(timeout 60 cat <&"$out")
	exec {out}<&-
	equal "text file" "$(xargs <<<"$answer")"
	[ -e stood/deeper/new ]
	rm -r stand stood
}

# Outside of the native isolation the program has seen the directory in a listing alone.
@test "a process inside goes on in a directory that the host moves to another one" {
	mkdir -p stand/deep away
	echo text >stand/deep/file
	local answer in out
	coproc IN { holm machine run sh -c 'ls -l stand >/dev/null; cd stand/deep && echo ready && read -r _ && cat file && ls . && touch new' 3>&-; }
	exec {out}<&"${IN[0]}" {in}>&"${IN[1]}"
	read -r -t 60 answer <&"$out"
	equal ready "$answer"
	mv stand/deep away/deeper
	[ "$ISOLATION" = native ] || kill_fsd_workers
	mv away/deeper away/deepest
	echo go >&"$in"
	exec {in}>&-
	answer=$(timeout 60 cat <&"$out")
	exec {out}<&-
	equal "text file" "$(xargs <<<"$answer")"
	[ -e away/deepest/new ]
	rm -r stand away
}

# The broker starts another worker before the next request is answered.
kill_fsd_workers()
{
	local workers
	workers=$(fsd_workers box)
	[ -n "$workers" ]
	# shellcheck disable=SC2086
	kill -KILL $workers
}

@test "root's files in the home" {
	as_root box touch "$HOME/by-root"
	if [ "$ISOLATION" = vm ]; then
		equal "$UID_ME" "$(stat -c %u by-root)"
	else
		run ! equal "$UID_ME" "$(stat -c %u by-root)"
		holm machine fix-owner by-root
		equal "$UID_ME" "$(stat -c %u by-root)"
	fi
	rm by-root
}

@test "provisioning leaves the home alone" {
	# Only what the tests made: no skeleton files, nothing chowned.
	equal "" "$(find . -mindepth 1 -maxdepth 1 ! -name from-outside ! -name from-inside ! -name .local ! -name .config ! -name .cache ! -name .vscode-server ! -name .cursor-server)"
}

@test "what programs keep for one host is the machine's own over the home (home-private)" {
	local db="$HOME/.local/share/containers/db"
	# A second machine with the same places comes and goes meanwhile.
	create other busybox --home-private .config/systemd,odd%name/x,file,link --no-boot
	echo here >file
	ln -s /tmp link
	run --separate-stderr in_machine other sh -c 'echo other >"$1/.config/systemd/unit"; : >"$1/odd%name/x/made"; cat file' sh "$HOME"
	equal here "$output"
	contains "$stderr" 'home-private: left shared: file (Not a directory), link (a symbolic link is in the way)'
	holm machine run sh -c 'echo inside >"$1"; echo box >.config/systemd/unit; stat -c "%u %g %a" .config/systemd' sh "$db"
	equal "$UID_ME $GID_ME 700" "$(holm machine run stat -c '%u %g %a' .config/systemd)"
	equal other "$(in_machine other cat .config/systemd/unit)"
	equal "" "$(find .config/systemd .local/share/containers .vscode-server 'odd%name/x' -mindepth 1)"
	holm machine rm --force other
	[ ! -e odd%name ] && [ -d .config/systemd ]
	rm file link
	equal box "$(holm machine run cat .config/systemd/unit)"
	echo outside >.local/share/containers/db
	equal inside "$(holm machine run cat "$db")"
	holm machine stop box
	[ ! -e .config ] && [ ! -e .vscode-server ] && [ ! -e .cache ]
	equal outside "$(cat .local/share/containers/db)"
	run --separate-stderr holm machine run cat "$db"
	equal inside "$output"
	contains "$stderr" "home-private: the machine has its own .local/share/containers; what your home has there stays on the host"
	rm .local/share/containers/db
}

@test "an editor's way of saving, modes, times, a big directory" {
	holm machine run sh -c 'echo one >file; echo two >file.new; mv file.new file; chmod 640 file; touch -d "2020-01-02 03:04:05" file'
	equal two "$(cat file)"
	equal 640 "$(stat -c %a file)"
	holm machine run sh -c 'mkdir many; cd many; for i in $(seq 1 500); do : >f$i; done; ls | wc -l'
	equal 500 "$(find many -type f | wc -l)"
	equal 500 "$(holm machine run sh -c 'ls many | wc -l')"
	touch many/late
	equal 501 "$(holm machine run sh -c 'ls many | wc -l')"
	holm machine run rm -r many file
	[ ! -e many ]
}

@test "a change made outside is seen inside at once" {
	local n
	for n in 1 2 3 4 5; do
		echo "version $n and more" >changing
		equal "version $n and more" "$(holm machine run cat changing)"
	done
	rm changing
	run ! holm machine run cat changing
}

@test "a directory that was made anew outside is the new one inside at once" {
	local n
	for n in 1 2 3 4 5; do
		mkdir made
		echo $n >made/file-$n
		equal $n "$(holm machine run cat made/file-$n)"
		rm -r made
		mkdir made
		equal "" "$(holm machine run ls made)"
		rmdir made
	done
}

@test "a long file is read ahead by whole requests" {
	requires vm
	equal 1024 "$(as_root box sh -c 'cat "/sys/class/bdi/0:$(stat -c %d "$1")/read_ahead_kb"' sh "$HOME")"
}

@test "what is written with sync survives a kill of the keeper" {
	as_root box sh -c 'echo durable >/root/durable; sync'
	local keeper
	keeper=$(keeper_of box)
	kill -KILL "$keeper"
	until_true 60 is_state box stopped
	equal durable "$(as_root box cat /root/durable)"
}

@test "a home of none is not reachable; one inside is made from /etc/skel" {
	create none busybox --home-mount none --no-boot
	run --separate-stderr in_machine none pwd
	equal 0 "$status"
	equal "$HOME" "$output"
	run ! contains "$stderr" 'not shared'
	run ! in_machine none cat from-outside
	run ! as_root none cat "$HOME/from-outside"
	in_machine none sh -c 'touch mine && test -w .'
	[ ! -e mine ]
	run ! grep -qF -e virtiofs -e 'my\040home' <<<"$(as_root none cat /proc/mounts)"
	holm machine rm --force none
}

@test "a home of ro refuses writes, also root's, who cannot remount or unmount it away" {
	create ro busybox --home-mount ro --home-private new/place,.local/share/containers --no-boot
	run --separate-stderr in_machine ro cat from-outside
	equal outside "$output"
	contains "$stderr" 'home-private: left shared: new/place (the home is read-only and does not have it)'
	[ ! -e new ]
	in_machine ro sh -c ': >"$1/.local/share/containers/own"' sh "$HOME"
	[ ! -e .local/share/containers/own ]
	run ! in_machine ro touch no
	run ! as_root ro touch "$HOME/no"
	as_root ro sh -c 'mount -o remount,rw "$1"; mount -o remount,bind,rw "$1"; touch "$1/no"; mkdir -p /tmp/again; mount -t virtiofs home /tmp/again && touch /tmp/again/no; umount "$1"; mkdir -p "$1"; touch "$1/no"; true' sh "$HOME" 2>/dev/null || true
	[ ! -e no ]
	holm machine rm --force ro
}

@test "holm's own folders are hidden, from root too" {
	[ -d "$HOME/.local/share/holm/machines/box" ]
	equal '' "$(as_root box sh -c 'ls -A "$1/.local/share/holm" 2>/dev/null' sh "$HOME")"
	run ! as_root box cat "$HOME/.local/share/holm/machines/box/machine.json"
	run ! as_root box sh -c 'echo x >"$1/.local/share/holm/default"' sh "$HOME"
	equal box "$(tr -d '\n' <"$HOME/.local/share/holm/default")"
	run ! as_root box mv "$HOME/.local/share/holm" "$HOME/elsewhere"
	run ! as_root box sh -c 'mv "$1/.local" "$1/moved" && cat "$1/moved/share/holm/default"' sh "$HOME"
	[ ! -e "$HOME/moved" ] || mv "$HOME/moved" "$HOME/.local"
	[ -f "$HOME/.local/share/holm/default" ]
}

@test "nothing outside the share is reached by links or .." {
	echo secret >"$WORLD/secret"
	ln -s "$WORLD/secret" leak
	ln -s "../secret" leak2
	run ! holm machine run cat leak
	run ! holm machine run cat leak2
	run ! holm machine run cat ../secret
	rm leak leak2
}

@test "a share of its own by -v, read-only with :ro, at another path" {
	mkdir -p "$WORLD/extra" "$WORLD/second"
	echo hello >"$WORLD/extra/file"
	create extra busybox --no-boot -v "$WORLD/extra" -v "$WORLD/second:/mnt/two:ro" -v "$WORLD/second:$HOME/at-boot"
	equal hello "$(in_machine extra cat "$WORLD/extra/file")"
	in_machine extra touch "$WORLD/extra/new"
	equal "$UID_ME" "$(stat -c %u "$WORLD/extra/new")"
	touch "$WORLD/second/seen"
	in_machine extra test -e /mnt/two/seen
	run ! as_root extra touch /mnt/two/no
	(cd "$WORLD/extra" && equal "$WORLD/extra" "$(in_machine extra pwd)")
	holm machine mount ls -n extra | grep -q /mnt/two
	# The mount point in the home is the user's, and goes with the last machine that has it.
	equal "$UID_ME $GID_ME" "$(stat -c '%u %g' "$HOME/at-boot")"
	in_machine extra test -e "$HOME/at-boot/seen"
	holm machine mount add -n box "$WORLD/second:$HOME/at-boot"
	holm machine mount rm -n extra "$HOME/at-boot"
	holm machine run test -e "$HOME/at-boot/seen"
	holm machine mount rm -n box "$HOME/at-boot"
	[ ! -e "$HOME/at-boot" ]
	# Of a stopped machine they go at once, and with the machine.
	holm machine mount add -n extra "$WORLD/second:$HOME/in/one"
	holm machine mount add -n extra "$WORLD/second:$HOME/in/two"
	holm machine stop extra
	[ -d "$HOME/in/one" ]
	holm machine mount rm -n extra "$HOME/in/one"
	[ ! -e "$HOME/in/one" ] && [ -d "$HOME/in/two" ]
	holm machine rm extra
	[ ! -e "$HOME/in" ]
}

# serve PATH: a service that answers each connection with what it read, in upper case; $pid ends it.
serve()
{
	python3 -c '
import os, socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read().upper())
class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
os.umask(0o117)
Server(sys.argv[1], Handler).serve_forever()' "$1" 3>&- &
	pid=$!
	until_true 60 test -S "$1"
}

# ask MACHINE PATH [USER-OPTION...]: what the service answers inside.
ask()
{
	local machine=$1 path=$2
	shift 2
	echo word | holm machine run -n "$machine" "$@" "$HOME/attempt" unix "$path"
}

answers()
{
	[ "$(ask "$@")" = WORD ]
}

@test "a single file and a socket are mounted at the start, the same ones until the next" {
	requires python3
	local pid
	mkdir "$WORLD/side"
	echo conf >"$WORLD/side/con:f"
	echo secret >"$WORLD/side/other"
	cc -static -o attempt "$BATS_TEST_DIRNAME/../lib/attempt.c"
	serve "$WORLD/sock"
	fails 125 create one busybox --no-boot -v /dev/null:/srv/null
	create one busybox --no-boot --mount "type=bind,source=$WORLD/side/con:f,target=/srv/deep/conf,readonly" -v "$WORLD/sock:/srv/sock:ro"
	equal "conf regular file" "$(in_machine one sh -c 'cat "$1"; stat -c %F "$1"' x /srv/deep/conf | xargs)"
	equal "$UID_ME $(stat -c '%a %i' "$WORLD/side/con:f")" "$(in_machine one stat -c '%u %a %i' /srv/deep/conf)"
	run ! as_root one sh -c 'echo no >/srv/deep/conf || { mount -o remount,rw /srv/deep/conf && echo no >/srv/deep/conf; }'
	equal conf "$(cat "$WORLD/side/con:f")"
	equal "$UID_ME $GID_ME 660" "$(in_machine one stat -c '%u %g %a' /srv/sock)"
	equal WORD "$(ask one /srv/sock)"
	# The file has no neighbours inside, in a VM not even in the whole share.
	if [ "$ISOLATION" = vm ]; then
		equal file "$(as_root one sh -c 'mkdir /tmp/whole && mount -t virtiofs share1 /tmp/whole && ls -A /tmp/whole')"
		run ! as_root one sh -c 'echo no >/tmp/whole/new || mv /tmp/whole/file /tmp/whole/x || rm /tmp/whole/file || cat /tmp/whole/other /tmp/whole/../other'
		as_root one umount /tmp/whole
	fi
	echo more >>"$WORLD/side/con:f"
	equal "conf more" "$(in_machine one cat /srv/deep/conf | xargs)"
	# An editor puts a new file in its place, the service starts again with a new socket.
	echo new >"$WORLD/side/new"
	mv "$WORLD/side/new" "$WORLD/side/con:f"
	equal "conf more" "$(in_machine one cat /srv/deep/conf | xargs)"
	run as_root one reboot
	until_true 60 in_machine one grep -q more /srv/deep/conf
	until_true 60 answers one /srv/sock
	kill "$pid"
	wait "$pid" || true
	rm "$WORLD/sock"
	serve "$WORLD/sock"
	equal "" "$(ask one /srv/sock 2>/dev/null || true)"
	holm machine restart one
	equal new "$(in_machine one cat /srv/deep/conf)"
	equal WORD "$(ask one /srv/sock)"
	holm machine rm --force one
	equal "con:f
other" "$(ls "$WORLD/side")"
	kill "$pid"
	rm -r attempt "$WORLD/sock" "$WORLD/side"
}

@test "single files come to a running machine and go" {
	echo late >"$WORLD/late"
	holm machine mount add "$WORLD/late:/srv/late"
	in_machine box sh -c 'echo later >>/srv/late && chmod 640 /srv/late && truncate -s 8 /srv/late && echo end >>/srv/late'
	equal "late latend 640" "$(xargs <"$WORLD/late") $(stat -c %a "$WORLD/late")"
	run ! in_machine box sh -c 'rm -f /srv/late && [ ! -e /srv/late ]'
	# Neither a file over a directory nor a directory over a file can work: it is not stored.
	mkdir "$WORLD/folder"
	fails 125 holm machine mount add "$WORLD/late:/srv"
	fails 125 holm machine mount add "$WORLD/folder:/etc/hostname"
	equal 0 "$(holm machine mount ls --format json | jq 'map(select(.inside == "/srv" or .inside == "/etc/hostname")) | length')"
	# Its place goes with it, unless the machine had it.
	as_root box touch /tmp/mine
	holm machine mount add "$WORLD/late:/tmp/added"
	holm machine mount add "$WORLD/late:/tmp/mine"
	holm machine mount rm /tmp/added
	holm machine mount rm /tmp/mine
	in_machine box sh -c '[ ! -e /tmp/added ] && [ -e /tmp/mine ]'
	# A file of root's is as readable as it is to you. Its place in the home is yours, and goes
	# with the mount.
	holm machine mount add "/etc/hostname:$HOME/place/of/name:ro"
	equal "$UID_ME $UID_ME" "$(stat -c %u place/of place/of/name | xargs)"
	equal "$(cat /etc/hostname)" "$(in_machine box cat place/of/name)"
	[ "$ISOLATION" = native ] || equal 0 "$(in_machine box stat -c %u place/of/name)"
	holm machine mount rm "$HOME/place/of/name"
	[ ! -e place ]
	holm machine mount rm /srv/late
	run ! in_machine box grep late /srv/late
}

@test "a socket comes to a running machine: its users inside talk to the host's service until it goes" {
	requires python3
	cc -static -o attempt "$BATS_TEST_DIRNAME/../lib/attempt.c"
	local pid
	serve "$WORLD/sock"
	holm machine mount add "$WORLD/sock:/tmp/sock"
	equal WORD "$(ask box /tmp/sock)"
	# Nobody else inside, as nobody else on the host.
	run ! ask box /tmp/sock -u 4711:4711
	equal WORD "$(ask box /tmp/sock --root)"
	head -c 3000000 /dev/zero | tr '\0' a >big
	equal "$(tr a A <big | sha256sum)" "$(holm machine run "$HOME/attempt" unix /tmp/sock <big | sha256sum)"
	local i answers=()
	for i in 1 2 3 4 5 6 7 8; do
		ask box /tmp/sock >"$BATS_TEST_TMPDIR/answer$i" &
		answers+=($!)
	done
	wait "${answers[@]}"
	equal 8 "$(cat "$BATS_TEST_TMPDIR"/answer* | grep -c WORD)"
	if [ "$ISOLATION" = vm ]; then
		crash agent
		until_true 60 answers box /tmp/sock
		as_root box dmesg >"$BATS_TEST_TMPDIR/kernel"; tail -n 5 "$BATS_TEST_TMPDIR/kernel"; grep -q 'went on with the running machine box' "$BATS_TEST_TMPDIR/kernel"
	fi
	holm machine mount rm /tmp/sock
	run ! in_machine box test -e /tmp/sock
	kill "$pid"
	rm attempt big "$WORLD/sock"
}

@test "a start that fails because of a mount names the remedy" {
	mkdir -p "$WORLD/gone"
	create lost busybox --no-boot -v "$WORLD/gone:/srv/gone" -v "$WORLD/gone:/sbin/init/x"
	rmdir "$WORLD/gone"
	fails 125 holm machine start lost
	contains "$stderr" "holm machine mount rm -n lost /srv/gone"
	mkdir "$WORLD/gone"
	holm machine mount rm -n lost /srv/gone
	fails 125 holm machine start lost
	contains "$stderr" "holm machine mount rm -n lost /sbin/init/x"
	holm machine mount rm -n lost /sbin/init/x
	holm machine rm --force lost
}

@test "mount add and rm, on a running machine at once or with a note" {
	mkdir -p "$WORLD/later"
	echo later >"$WORLD/later/file"
	run --separate-stderr holm machine mount add "$WORLD/later:/mnt/later"
	equal 0 "$status"
	if grep -q 'next start' <<<"$stderr"; then
		holm machine stop box
	fi
	equal later "$(holm machine run cat /mnt/later/file)"
	fails 125 holm machine mount add "$WORLD/later:/mnt/later"
	fails 125 holm machine mount add "$WORLD/nowhere:/mnt/x"
	run --separate-stderr holm machine mount rm /mnt/later
	equal 0 "$status"
	if grep -q 'next start' <<<"$stderr"; then
		holm machine stop box
	fi
	run ! holm machine run cat /mnt/later/file
	run ! holm machine run test -e /mnt/later
	fails 125 holm machine mount rm /mnt/later
	mkdir kept
	holm machine mount add "$WORLD/later:$HOME/kept"
	holm machine mount add "$WORLD/later:$HOME/points/deep"
	equal later "$(holm machine run cat points/deep/file)"
	equal "$UID_ME $UID_ME" "$(stat -c %u points points/deep | xargs)"
	holm machine mount rm "$HOME/points/deep"
	holm machine mount rm "$HOME/kept"
	[ -d kept ] && [ ! -e points ]
	rmdir kept
}

@test "cp in and out: a file, a tree, from a stopped machine as well" {
	mkdir -p "$WORLD/tree/sub"
	echo deep >"$WORLD/tree/sub/file"
	ln -s sub/file "$WORLD/tree/link"
	chmod 750 "$WORLD/tree/sub"
	holm machine cp "$WORLD/tree" box:/tmp/
	equal deep "$(in_machine box cat /tmp/tree/link)"
	equal "$UID_ME 750" "$(in_machine box stat -c '%u %a' /tmp/tree/sub)"
	holm machine cp box:/tmp/tree "$WORLD/back"
	equal deep "$(cat "$WORLD/back/sub/file" 2>/dev/null || cat "$WORLD/back/tree/sub/file")"
	holm machine cp box:/etc/os-release "$WORLD/os-release"
	contains "$(cat "$WORLD/os-release")" 'Test Box'
	holm machine stop box
	holm machine cp "$WORLD/os-release" box:/srv/copied
	equal "$(cat "$WORLD/os-release")" "$(holm machine run cat /srv/copied)"
	fails 125 holm machine cp box:/not/there "$WORLD/x"
	contains "$stderr" 'machine "box": '
	contains "$stderr" /not/there
	fails 125 holm machine cp "$WORLD/nothing" box:/tmp
	fails 125 holm machine cp "$WORLD/a" "$WORLD/b"
	[ ! -e "$WORLD/x" ]
}

@test "cp has the table of docker cp and cp -a, in both directions" {
	local t="$WORLD/table" side
	mkdir -p "$t/src/sub" "$t/out"
	echo one >"$t/src/one"
	echo deep >"$t/src/sub/deep"
	ln -s src/one "$t/link"
	ln -s src "$t/dirlink"
	# put FROM TO goes into the machine, get FROM TO out of it: $t here is /tmp/t inside.
	put() { holm machine cp "$t/$1" "box:/tmp/t/$2"; }
	get() { holm machine cp "box:/tmp/t/$1" "$t/out/$2"; }
	look_in() { in_machine box sh -c 'cd /tmp/t && cat "$@"' sh "$@"; }
	look_out() { (cd "$t/out" && cat "$@"); }
	in_machine box sh -c 'rm -rf /tmp/t; mkdir -p /tmp/t'
	holm machine cp "$t/src" "$t/link" "$t/dirlink" box:/tmp/t
	equal src/one "$(in_machine box readlink /tmp/t/link)"
	for side in put:in get:out; do
		local copy=${side%:*} look=look_${side#*:}
		"$copy" src/one file
		equal one "$("$look" file)"
		"$copy" src/sub/deep file
		equal deep "$("$look" file)"
		fails 125 "$copy" src/one not-there/
		fails 125 "$copy" src/one file/
		fails 125 "$copy" src file
		"$copy" src new/
		equal deep "$("$look" new/sub/deep)"
		"$copy" src new
		equal deep "$("$look" new/src/sub/deep)"
		"$copy" src/. new2
		"$copy" src/sub/. new2
		equal "one deep deep" "$("$look" new2/one new2/sub/deep new2/deep | xargs)"
		"$copy" src/one new2/
		"$copy" link new2
		fails 125 "$copy" src/one/. new2
		"$copy" dirlink/ followed
		equal one "$("$look" followed/one)"
		fails 125 "$copy" missing new2
	done
	equal src/one "$(in_machine box readlink /tmp/t/new2/link)"
	equal src/one "$(readlink "$t/out/new2/link")"
	holm machine cp -L "$t/link" box:/tmp/t/new2/really
	holm machine cp -a -r -L box:/tmp/t/link "$t/out/really"
	equal "one one" "$(cat "$t/out/really") $(in_machine box sh -c 'test ! -L /tmp/t/new2/really && cat /tmp/t/new2/really')"
	# A target that is a symlink: where it leads.
	in_machine box sh -c 'cd /tmp/t; echo old >target; ln -s target to-file; ln -s new2 to-dir; ln -s nowhere dangling'
	put src/one to-file
	equal one "$(in_machine box sh -c 'test -L /tmp/t/to-file && cat /tmp/t/target')"
	put src/sub to-dir
	equal deep "$(in_machine box cat /tmp/t/new2/sub/deep)"
	fails 125 put src/one dangling
	echo old >"$t/out/target"
	ln -s target "$t/out/to-file"
	get src/one to-file
	equal one "$([ -L "$t/out/to-file" ] && cat "$t/out/target")"
	fails 125 holm machine cp "$t/src/one" box:/dev/null
	in_machine box test -c /dev/null
	fails 125 holm machine cp box:/tmp/t/target /dev/null
	[ -c /dev/null ]
	# Several sources, ~, and a directory as the target of all of them.
	fails 125 holm machine cp "$t/src/one" "$t/src/sub" "box:~/nowhere/"
	mkdir several
	holm machine cp "$t/src/one" "$t/src/sub" 'box:~/several'
	equal "one deep" "$(cat several/one several/sub/deep | xargs)"
	holm machine cp 'box:~/several/one' box:several/sub "$t/out"
	equal "one deep" "$(cat "$t/out/one" "$t/out/sub/deep" | xargs)"
	rm -r several
}

@test "cp of tar streams and between machines" {
	in_machine box sh -c 'rm -rf /tmp/s; mkdir -p /tmp/s/d/e /tmp/s/to; echo x >/tmp/s/d/e/x; chmod 4755 /tmp/s/d/e/x; ln -s e /tmp/s/d/l'
	holm machine cp box:/tmp/s/d - >"$WORLD/d.tar"
	equal "x e" "$(tar -xOf "$WORLD/d.tar" d/e/x) $(tar -tvf "$WORLD/d.tar" d/l | sed 's/.* //')"
	holm machine cp - box:/tmp/s/to <"$WORLD/d.tar"
	equal "x 755 $UID_ME" "$(in_machine box sh -c 'cat /tmp/s/to/d/e/x; stat -c "%a %u" /tmp/s/to/d/e/x' | xargs)"
	tar -C "$WORLD" --owner=7 --group=8 -cf - d.tar | holm machine cp -a - box:/tmp/s
	equal "7 8" "$(in_machine box stat -c "%u %g" /tmp/s/d.tar)"
	fails 125 holm machine cp - box:/tmp/not-there <"$WORLD/d.tar"
	head -c 1300 "$WORLD/d.tar" >"$WORLD/cut.tar"
	fails 125 holm machine cp - box:/tmp/s/to <"$WORLD/cut.tar"
	fails 125 holm machine cp - "$WORLD/x" <"$WORLD/d.tar"
	fails 125 holm machine cp box:/tmp/s/d box:/etc/os-release -
	holm machine cp box:/tmp/s/d box:/tmp/s/again
	holm machine cp box:/tmp/s/d/. box:/tmp/s/to
	equal "x x 755" "$(in_machine box sh -c 'cat /tmp/s/again/e/x /tmp/s/to/e/x; stat -c %a /tmp/s/again/e/x' | xargs)"
	fails 125 holm machine cp -L box:/tmp/s/d/l box:/tmp/s/to
	in_machine box mkdir /tmp/s/into
	holm machine cp -L box:/tmp/s/d/l box:/tmp/s/into
	equal x "$(in_machine box cat /tmp/s/into/l/x)"
}

@test "cp of files whose size is not what stat says, and of holes" {
	holm machine cp box:/proc/filesystems "$WORLD/filesystems"
	equal "$(in_machine box cat /proc/filesystems)" "$(cat "$WORLD/filesystems")"
	holm machine cp /proc/filesystems box:/tmp/filesystems
	equal "$(cat /proc/filesystems)" "$(in_machine box cat /tmp/filesystems)"
	holm machine cp box:/sys/kernel/mm/transparent_hugepage/enabled "$WORLD/sys"
	equal "$(in_machine box cat /sys/kernel/mm/transparent_hugepage/enabled)" "$(tr -d '\0' <"$WORLD/sys")"
	equal "$(in_machine box sh -c 'wc -c </sys/kernel/mm/transparent_hugepage/enabled')" "$(wc -c <"$WORLD/sys")"
	fails 125 holm machine cp box:/dev/zero "$WORLD/zero"
	contains "$stderr" "is a device"
	fails 125 holm machine cp /dev/zero box:/tmp/zero
	contains "$stderr" "is a device"
	run ! in_machine box ls /tmp/zero
	in_machine box sh -c 'truncate -s 200M /tmp/sparse; echo middle | dd of=/tmp/sparse bs=1M seek=100 conv=notrunc 2>/dev/null'
	holm machine cp box:/tmp/sparse "$WORLD/sparse"
	equal 209715200 "$(stat -c %s "$WORLD/sparse")"
	equal middle "$(tail -c +104857601 "$WORLD/sparse" | head -c 6)"
	[ "$(stat -c %b "$WORLD/sparse")" -lt 4096 ]
	holm machine cp "$WORLD/sparse" box:/tmp/sparse2
	equal "209715200 small" "$(in_machine box sh -c 'set -- $(stat -c "%s %b" /tmp/sparse2); echo $1 $([ $2 -lt 4096 ] && echo small)')"
	in_machine box rm /tmp/sparse /tmp/sparse2
}

other_worker()
{
	local now
	now=$(fsd_worker box) && [ "$now" != "$1" ]
}

copied()
{
	[ "$(find copy -name 'f*' 2>/dev/null | wc -l)" -ge "$1" ]
}

@test "a share server's worker that is killed is replaced while files are copied, moved and held open" {
	requires vm
	local n copier reader worker
	mkdir tree
	for n in $(seq 1 240); do
		head -c $((n * 97)) /dev/urandom >"tree/f$n"
	done
	holm machine run sh -c 'exec 3>open 4<open; echo before >&3; rm open; touch held; while [ ! -e finished ]; do sleep 0.2; done; echo after >&3; cat <&4 >kept' 3>&- &
	reader=$!
	until_true 60 test -e held
	holm machine run sh -c 'mkdir copy && cp -r tree/. copy/ && cd copy && for f in f1?; do mv $f new.$f && ln -s new.$f $f; done && mkdir -p a/b/c' 3>&- &
	copier=$!
	for n in 20 90 170; do
		until_true 120 copied $n
		worker=$(fsd_worker box)
		kill -KILL "$worker"
		until_true 60 other_worker "$worker"
	done
	wait "$copier"
	touch finished
	wait "$reader"
	equal "$(printf 'before\nafter')" "$(cat kept)"
	diff -r --exclude='new.*' --exclude=a tree copy
	[ -L copy/f10 ]
	[ -d copy/a/b/c ]
	equal "$(cat copy/f* | sha256sum)" "$(holm machine run sh -c 'cat copy/f*' | sha256sum)"
	equal running "$(state box)"
	holm machine run rm -r tree copy held finished kept
	[ ! -e copy ]
}

@test "without its share server the machine stops, and says why" {
	requires vm
	holm machine run true
	kill -KILL "$(child_of box holm-fsd)"
	until_true 60 is_state box stopped
	contains "$(holm machine logs --boot box)" 'share server'
	run ! fsd_worker box
	holm machine run true
}

@test "freed blocks leave the host's file" {
	requires vm
	local disk=$XDG_DATA_HOME/holm/machines/box/disk.qcow2
	as_root box sh -c 'dd if=/dev/urandom of=/root/fill bs=1M count=150 2>/dev/null; sync'
	local full
	full=$(stat -c %b "$disk")
	as_root box sh -c 'rm /root/fill; sync; fstrim / || true'
	smaller()
	{
		[ "$(stat -c %b "$disk")" -lt $((full - 200000)) ]
	}
	until_true 60 smaller
}
