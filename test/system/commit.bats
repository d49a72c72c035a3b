#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# machine diff and machine commit.
load ../lib/holm

setup_file()
{
	holm_begin
	create seed busybox --no-boot
	as_root seed sh -c 'echo a >/etc/removed; echo b >/etc/changed; echo c >/etc/same; mkdir -p /opt/tree/below; echo d >/opt/tree/below/file'
	holm machine stop seed
	holm machine commit seed base:test
	holm machine rm seed
	create box base --no-boot
	as_root box true
}

teardown_file()
{
	holm_end
}

# The list of changes without the file that the image's own init writes at each boot.
differs()
{
	holm machine diff "$1" | grep -v ' /var/log/boots$' || true
}

# The layers of an image.
layers()
{
	holm image inspect "$1" | jq '.[0].layers | length'
}

@test "diff and commit want a stopped machine, and say so" {
	fails 125 holm machine diff box
	contains "$stderr" "holm machine stop box"
	contains "$stderr" --pause
	fails 125 holm machine commit box x
}

# The socket of a machine's keeper.
api_of()
{
	sed -n 2p "$XDG_DATA_HOME/holm/machines/$1/lock"
}

# written PATH [IMAGE]: a file in an image's topmost layer.
written()
{
	local digest
	digest=$(holm image inspect "${2-still:1}" | jq -r '.[0].manifest.layers[-1].digest')
	tar -xzOf "$XDG_DATA_HOME/holm/images/blobs/sha256/${digest#sha256:}" "$1"
}

# goes_on NUMBER: the writer inside is past it.
goes_on()
{
	[ "$(as_root box cat /srv/a)" -gt "$1" ]
}

@test "a running machine stands still while it is read, and goes on" {
	requires cgroup curl
	local line pid
	# Each number is in /srv/a first, then in /srv/b.
	as_root box sh -c '(while :; do i=$((i + 1)); for f in a b; do echo $i >/srv/.$f; mv /srv/.$f /srv/$f; done; done) >/dev/null 2>&1 & echo $! >/run/writer'
	until_true 120 as_root box test -e /srv/b
	holm machine commit --pause box still:1
	equal running "$(state box)"
	[ $(($(written srv/a) - $(written srv/b))) -le 1 ]
	until_true 120 goes_on "$(written srv/a)"
	contains "$(holm machine diff --pause box)" "A /srv/a"
	# A client that has gone lets it go on.
	mkfifo "$WORLD/paused"
	curl -sN --unix-socket "$(api_of box)" -X POST http://holm/v1/pause >"$WORLD/paused" 3>&- &
	pid=$!
	exec 4<"$WORLD/paused"
	read -r -t 60 line <&4
	equal '{"paused":true}' "$line"
	fails 125 holm machine diff --pause box
	contains "$stderr" "stands still already"
	kill "$pid"
	as_root box sh -c 'kill $(cat /run/writer); rm -f /srv/a /srv/b /srv/.[ab]'
	exec 4<&-
	rm "$WORLD/paused"
	holm image rm still:1 >/dev/null
}

@test "kill -9 of a commit at random moments: the machine goes on, and the next one is right" {
	requires cgroup
	local pid
	as_root box sh -c 'head -c 3000000 /dev/urandom >/srv/noise; sha256sum /srv/noise >/srv/sum'
	for _ in $(seq "${HOLM_TEST_KILLS:-8}"); do
		command holm machine commit --pause box still:2 >/dev/null 2>&1 3>&- &
		pid=$!
		command sleep "0.$((RANDOM % 30 + 10))"
		kill -KILL $pid 2>/dev/null || true
		wait $pid || true
	done
	# The agent may not have heard of the last one's end.
	until_true 60 holm machine commit --pause box still:2 2>/dev/null
	written srv/noise still:2 >"$WORLD/noise"
	equal "$(written srv/sum still:2 | cut -d' ' -f1)" "$(sha256sum <"$WORLD/noise" | cut -d' ' -f1)"
	as_root box rm /srv/noise /srv/sum
	holm image rm still:2 >/dev/null
	holm image prune >/dev/null
	equal '' "$(find "$XDG_DATA_HOME/holm/images" \( -path '*/partial/*' -o -name '.tmp*' \) -print)"
}

@test "a stop ends a pause" {
	requires cgroup curl
	local line
	mkfifo "$WORLD/paused"
	curl -sN --unix-socket "$(api_of box)" -X POST http://holm/v1/pause >"$WORLD/paused" 3>&- &
	exec 4<"$WORLD/paused"
	read -r -t 60 line <&4
	holm machine stop box
	read -r -t 60 line <&4
	contains "$line" "it is being stopped"
	exec 4<&-
	rm "$WORLD/paused"
	equal stopped "$(state box)"
}

@test "a machine that only ran differs in nothing" {
	holm machine stop box
	equal '' "$(differs box)"
	equal changed "$(holm machine diff box --format json | jq -r '.[0].change')"
	equal stopped "$(state box)"
}

@test "diff lists what was done inside, and nothing of holm's" {
	as_root box sh -c 'mkdir -p /srv/deep/er; echo new >/srv/deep/er/file; ln /srv/deep/er/file /srv/link; ln -s deep /srv/soft
		mkfifo /srv/fifo; echo svc:x:900:900::/:/bin/false >>/etc/passwd; rm /etc/removed; echo more >>/etc/changed
		chmod 4711 /bin/busybox; ln /etc/same /srv/same; rm -r /opt/tree; echo now a file >/opt/tree; truncate -s 5M /srv/holes
		echo end >>/srv/holes; chown 12:34 /srv/deep; echo key >/etc/machine-id; echo host >/etc/hostname'
	in_machine box sh -c 'echo mine >~/mine'
	holm machine stop box
	differs box >"$WORLD/diff"
	diff - "$WORLD/diff" <<-'END'
		C /bin/busybox
		C /etc/changed
		C /etc/passwd
		D /etc/removed
		C /opt/tree
		A /srv/deep
		A /srv/deep/er
		A /srv/deep/er/file
		A /srv/fifo
		A /srv/holes
		A /srv/link
		A /srv/same
		A /srv/soft
	END
	equal deleted "$(holm machine diff box --format json | jq -r '.[] | select(.path == "/etc/removed").change')"
	equal 13 "$(holm machine diff box --format '{{.path}}' | grep -vc boots)"
}

@test "commit makes an image with one more layer" {
	equal localhost/my/box:test "$(holm machine commit -m 'my changes' -a me box my/box:test)"
	equal "$(($(layers base:test) + 1))" "$(layers my/box:test)"
	contains "$(holm image history my/box:test)" "my changes"
	equal me "$(holm image history --format json my/box:test | jq -r '.[0].author')"
	equal "$(cat "$WORLD/diff")" "$(holm image diff base:test my/box:test | grep -v boots)"
	equal stopped "$(state box)"
}

@test "a machine of it behaves as the first" {
	create two my/box --no-boot
	equal new "$(as_root two cat /srv/deep/er/file)"
	equal 12:34 "$(as_root two stat -c %u:%g /srv/deep)"
	equal 2 "$(as_root two stat -c %h /srv/link)"
	equal 4711 "$(as_root two stat -c %a /bin/busybox)"
	equal "now a file" "$(as_root two cat /opt/tree)"
	equal "5242884 end" "$(as_root two sh -c 'echo $(stat -c %s /srv/holes) $(tail -c 4 /srv/holes)')"
	as_root two sh -c '! test -e /etc/removed && test -p /srv/fifo && test -L /srv/soft'
	equal 1 "$(as_root two grep -c '^svc:' /etc/passwd)"
	equal 1 "$(as_root two grep -c "^$ME:" /etc/passwd)"
	equal two "$(as_root two hostname)"
	holm machine stop two
	equal '' "$(differs two)"
}

@test "commit --squash makes one layer, which needs no image" {
	equal localhost/flat:latest "$(holm machine commit --squash box flat)"
	equal 1 "$(layers flat)"
	equal "A /srv/soft" "$(holm image diff base:test flat | grep soft)"
	[[ $(holm image diff base:test flat) != *machine-id* ]]
}

@test "an image that is gone, and wrong names, are errors that say what to do" {
	holm machine rm --force two
	holm image rm my/box:test flat >/dev/null
	fails 125 holm machine commit box 'my/Box:2'
	fails 125 holm machine commit box "x@sha256:$(printf %064d 0)"
	contains "$stderr" 'a new name is NAME[:TAG]'
	fails 125 holm machine commit nobody x
	holm image tag base:test keep:1
	holm image rm base:test >/dev/null
	equal 13 "$(differs box | wc -l)"
	holm image rm keep:1 >/dev/null
	fails 125 holm machine diff box
	contains "$stderr" "is not in the library any more"
	holm machine commit --squash box flat >/dev/null
}
