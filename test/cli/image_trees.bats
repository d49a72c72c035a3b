#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The trees of images' layers, for native machines: prepare and unpack --form trees, and when trees go.
load ../lib/holm
load ../lib/images

setup_file()
{
	requires umoci skopeo unshare
	[ "$(id -u)" = 0 ] || unshare -Ur true 2>/dev/null || skip "no user namespaces here"
	holm_begin empty
	mkdir "$WORLD/images" "$WORLD/layers"
	image_from_tree busybox "$WORLD/images"
	holm image load "$WORLD/images/busybox.tar"
}

teardown_file()
{
	holm_end
}

inner()
{
	local bin
	bin=$(dirname "$(type -P holm)")
	[ ! -x "$bin/../libexec/holm/holm-image" ] || bin=$bin/../libexec/holm
	command timeout 120 "$bin/holm-image" "$@"
}

trees()
{
	find "$XDG_DATA_HOME/holm/images/trees" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort
}

# layer NAME TAR-OPTION...: a layer tar; GNU tar's words.
layer()
{
	local name=$1
	shift
	tar --owner=0 --group=0 --numeric-owner -cf "$WORLD/layers/$name.tar" "$@"
}

# on_top NAME LAYER...: busybox with layers, loaded as NAME:test.
on_top()
{
	local name=$1 base=$WORLD/images/busybox.tar step
	shift
	for step; do
		image_on_top "$base" "$WORLD/layers/$step.tar" "$name" "$WORLD/images"
		base=$WORLD/images/$name.tar
	done
	holm image load -t "$name:test" "$WORLD/images/$name.tar" >/dev/null
}

@test "owners that the mapping does not have are nobody's, and that is said" {
	mkdir "$WORLD/layers/own"
	echo far >"$WORLD/layers/own/far"
	echo near >"$WORLD/layers/own/near"
	tar --owner=3000000000 --group=3000000000 --numeric-owner -cf "$WORLD/layers/far.tar" -C "$WORLD/layers/own" far
	layer near -C "$WORLD/layers/own" near
	on_top far far
	on_top near near
	run --separate-stderr inner prepare --form trees --progress plain far:test
	equal 0 "$status"
	contains "$stderr" 'far:test": files with owners above your subordinate ids: 1;'
	run --separate-stderr inner prepare --form trees --progress plain far:test
	contains "$stderr" 'belong to nobody (65534) inside'
	run --separate-stderr inner prepare --form trees --progress plain near:test
	run ! grep -q subordinate <<<"$stderr"
	holm image rm far:test near:test
	rm -r "$WORLD/layers"/*
}

@test "system df says what images, trees and machines take" {
	local before
	before=$(holm system df --format '{{.type}} {{.total}} {{.active}} {{.size}}')
	grep -q '^images [1-9]' <<<"$before"
	head -c 3M /dev/urandom >"$WORLD/layers/noise"
	layer noise -C "$WORLD/layers" noise
	on_top noisy noise
	inner prepare --form trees --progress none noisy:test >/dev/null
	[ "$(holm system df --format json | jq 'map(select(.type == "trees"))[0].size')" -ge 3145728 ]
	equal "$(trees | wc -l)" "$(holm system df --format json | jq 'map(select(.type == "trees"))[0].total')"
	equal "$(du -sB1 "$XDG_DATA_HOME/holm/images/blobs/sha256" | cut -f1)" \
		"$(holm system df --format json | jq 'map(select(.type == "images"))[0].size')"
	equal "TYPE TOTAL ACTIVE SIZE" "$(holm system df | sed -n 's/  */ /g; 1p')"
	contains "$(holm system df)" "$XDG_DATA_HOME/holm has "
	equal 'images build cache downloads disks trees machines containers volumes bases' "$(holm system df --format json | jq -r '[.[].type] | join(" ")')"
	holm image rm noisy:test
	rm "$WORLD/layers"/*
}

@test "zeros of a layer take no room on the host's disk" {
	local tree
	head -c 64M /dev/zero >"$WORLD/layers/zeros"
	(head -c 30M /dev/zero; echo middle; head -c 30M /dev/zero; echo end) >"$WORLD/layers/some"
	layer zeros -C "$WORLD/layers" zeros some
	on_top zeros zeros
	tree=$(inner prepare --form trees --progress none zeros:test | jq -r '.trees[-1]')
	cmp "$WORLD/layers/zeros" "$tree/zeros"
	cmp "$WORLD/layers/some" "$tree/some"
	[ "$(du -k "$tree" | tail -n 1 | cut -f1)" -lt 1000 ]
	holm image rm zeros:test
	rm "$WORLD/layers"/*
}

@test "prepare --form trees answers in one JSON line; again, at once, and no disk is made" {
	local answer tree
	answer=$(inner prepare --form trees --progress none busybox:test)
	equal 1 "$(wc -l <<<"$answer")"
	equal null "$(jq -r .disk <<<"$answer")"
	equal 1 "$(jq '.trees | length' <<<"$answer")"
	equal /sbin/init "$(jq -r .init <<<"$answer")"
	tree=$(jq -r '.trees[0]' <<<"$answer")
	[ -d "$tree/bin" ]
	[ -f "$tree.json" ]
	equal "$answer" "$(inner prepare --form trees --pull never busybox:test)"
	equal '' "$(find "$XDG_DATA_HOME/holm/images/disks" -name '*.ext4')"
	equal "$tree" "$(holm image inspect busybox:test | jq -r '.[0].trees[0]')"
	equal null "$(inner prepare busybox:test | jq -r .trees)"
	fails 125 inner prepare --form cylinders busybox:test
}

@test "layers: whiteouts, opaque folders, folders that are not described, init behind them" {
	local answer top
	mkdir -p "$WORLD/one/etc" "$WORLD/one/opt/d" "$WORLD/one/sbin" "$WORLD/two/etc" "$WORLD/two/opt/d"
	chmod 700 "$WORLD/one/opt/d"
	touch "$WORLD/one/etc/first" "$WORLD/one/opt/d/f" "$WORLD/two/etc/.wh.first" "$WORLD/two/etc/.wh.nothing" "$WORLD/two/opt/.wh..wh..opq" "$WORLD/two/opt/d/new"
	touch "$WORLD/one/sbin/.wh.init"
	layer one -C "$WORLD/one" etc opt sbin
	layer two -C "$WORLD/two" etc/.wh.first etc/.wh.nothing opt/.wh..wh..opq opt/d/new
	on_top layered one two
	answer=$(inner prepare --form trees layered:test)
	equal 3 "$(jq '.trees | length' <<<"$answer")"
	equal null "$(jq -r .init <<<"$answer")"
	top=$(jq -r '.trees[2]' <<<"$answer")
	contains "$top" -on-
	equal 'character special file 0:0' "$(stat -c '%F %t:%T' "$top/etc/first")"
	[ ! -e "$top/etc/nothing" ]
	[ -f "$top/opt/d/new" ] # made after its folder was emptied: a new one
	equal y "$(getfattr --only-values -n user.overlay.opaque "$top/opt" 2>/dev/null)"
	# The lowest is shared.
	equal "$(inner prepare --form trees busybox:test | jq -r '.trees[0]')" "$(jq -r '.trees[0]' <<<"$answer")"
}

@test "120 layers" {
	local n answer layout="$WORLD/many"
	skopeo copy --quiet --insecure-policy "oci-archive:$WORLD/images/busybox.tar" "oci:$layout:test"
	for n in {1..119}; do
		mkdir -p "$WORLD/n$n/etc"
		echo "$n" >"$WORLD/n$n/etc/layer"
		echo "$n" >"$WORLD/n$n/etc/layer-$n"
		layer "n$n" -C "$WORLD/n$n" etc
		umoci raw add-layer --image "$layout:test" "$WORLD/layers/n$n.tar"
		rm -r "${WORLD:?}/n$n" "$WORLD/layers/n$n.tar"
	done
	holm image load -t many:1 "$layout"
	answer=$(inner prepare --form trees many:1)
	equal 120 "$(jq '.trees | length' <<<"$answer")"
	equal 119 "$(cat "$(jq -r '.trees[119]' <<<"$answer")/etc/layer")"
	equal /sbin/init "$(jq -r .init <<<"$answer")"
	holm image rm many:1
}

@test "a layer that is not what the configuration says, and ways out, make no tree" {
	local before
	before=$(trees)
	echo out >"$WORLD/evil"
	tar --owner=0 --group=0 --transform='s,^,../../,' -C "$WORLD" -Pcf "$WORLD/layers/evil.tar" evil
	on_top evil evil
	fails 125 inner prepare --form trees evil:test
	contains "$stderr" 'layer 2'
	contains "$stderr" '..'
	touch "$WORLD/.wh."
	layer nothing -C "$WORLD" .wh.
	on_top nothing nothing
	fails 125 inner prepare --form trees nothing:test
	contains "$stderr" 'the whiteout names nothing'
	equal '' "$(trees | grep -v '^sha256-' || true)"
	equal "$before" "$(trees)"
	holm image rm evil:test nothing:test
}

@test "five at once make each tree once; kill -9 and an interrupt leave nothing that lasts" {
	local n pid moment program
	program=$(type -P holm)
	mkdir "$WORLD/big"
	head -c 40000000 /dev/urandom >"$WORLD/big/data"
	layer big -C "$WORLD/big" .
	on_top big big
	program=$(dirname "$program")
	[ ! -x "$program/../libexec/holm/holm-image" ] || program=$program/../libexec/holm
	for n in KILL TERM INT; do
		for moment in 0.03 0.1; do
			"$program/holm-image" prepare --form trees big:test >/dev/null 2>&1 3>&- &
			pid=$!
			command sleep $moment
			kill -$n $pid 2>/dev/null || true
			wait $pid || true
		done
	done
	for n in 1 2 3 4 5; do
		inner prepare --form trees --progress plain big:test >"$WORLD/answer.$n" 2>"$WORLD/stderr.$n" 3>&- &
	done
	wait
	for n in 2 3 4 5; do
		equal "$(cat "$WORLD/answer.1")" "$(cat "$WORLD/answer.$n")"
	done
	[ "$(cat "$WORLD"/stderr.* | grep -c '^layers: unpacked')" -le 1 ]
	inner prepare --form trees big:test >/dev/null
	equal '' "$(trees | grep -v '^sha256-' || true)"
	equal "$(sha256sum <"$WORLD/big/data")" "$(sha256sum <"$(jq -r '.trees[1]' "$WORLD/answer.1")/data")"
}

@test "prepare --form containers: trees of containers' ids, with set-id bits; they stay while images.json names them" {
	local answer tree machine own
	[ "$(id -u)" != 0 ] || skip "root's containers have the machine's ids"
	requires newuidmap
	mkdir -p "$WORLD/owned/opt"
	touch "$WORLD/owned/opt/root" "$WORLD/owned/opt/daemon" "$WORLD/owned/opt/mine"
	chmod 4755 "$WORLD/owned/opt/root"
	own=$(id -u)
	tar --owner=0 --group=0 --numeric-owner -cf "$WORLD/layers/owned.tar" -C "$WORLD/owned" opt/root
	tar --owner=1 --group=1 --numeric-owner -rf "$WORLD/layers/owned.tar" -C "$WORLD/owned" opt/daemon
	tar --owner="$own" --group="$own" --numeric-owner -rf "$WORLD/layers/owned.tar" -C "$WORLD/owned" opt/mine
	on_top owned owned
	machine=$(inner prepare --form trees owned:test | jq -r '.trees[-1]')
	answer=$(inner prepare --form containers owned:test)
	tree=$(jq -r '.trees[-1]' <<<"$answer")
	[ "$tree" != "$machine" ]
	equal "$own 4755" "$(stat -c '%u %a' "$tree/opt/root")"
	equal "$(stat -c %u "$machine/opt/daemon")" "$(stat -c %u "$tree/opt/daemon")"
	[ "$(stat -c %u "$tree/opt/mine")" != "$own" ]
	equal '["Cmd","Entrypoint"]' "$(jq -c '.config | keys | map(select(test("^(Cmd|Entry)")))' <<<"$answer")"
	equal "$answer" "$(inner prepare --form containers --pull never owned:test)"

	mkdir -p "$XDG_DATA_HOME/holm/machines/dev"
	echo '{"image_trees":["/none"]}' >"$XDG_DATA_HOME/holm/machines/dev/machine.json"
	jq '{(.digest):{trees}}' <<<"$answer" >"$XDG_DATA_HOME/holm/machines/dev/images.json"
	fails 125 holm image rm owned:test
	holm image rm --force owned:test
	find "$XDG_DATA_HOME/holm/images/trees" -maxdepth 1 -name '*.json' -exec touch -d '2 minutes ago' {} +
	holm image tag busybox:test again:1
	holm image rm again:1
	[ -d "$tree" ]
	[ ! -d "$machine" ]
	rm -r "$XDG_DATA_HOME/holm/machines/dev"
}

@test "trees go with the last image and machine that has them" {
	local tree
	mkdir -p "$WORLD/lone"
	touch "$WORLD/lone/file"
	layer lone -C "$WORLD/lone" .
	on_top lone lone
	tree=$(inner prepare --form trees lone:test | jq -r '.trees[1]')
	mkdir -p "$XDG_DATA_HOME/holm/machines/dev"
	printf '{"image_trees":["%s"]}' "$tree" >"$XDG_DATA_HOME/holm/machines/dev/machine.json"
	holm image rm lone:test
	find "$XDG_DATA_HOME/holm/images/trees" -maxdepth 1 -name '*.json' -exec touch -d '2 minutes ago' {} +
	holm image tag busybox:test again:1
	holm image rm again:1
	[ -d "$tree" ]
	rm -r "$XDG_DATA_HOME/holm/machines/dev"
	holm image tag busybox:test again:1
	holm image rm again:1
	[ ! -e "$tree" ]
	[ ! -e "$tree.json" ]
	[ -d "$(inner prepare --form trees --pull never busybox:test | jq -r '.trees[0]')" ]
}
