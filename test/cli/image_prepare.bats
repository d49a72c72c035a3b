#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What `holm machine create`, export and import ask of holm-image: prepare, pack, unpack.
load ../lib/holm
load ../lib/images

setup_file()
{
	requires umoci skopeo
	holm_begin empty
	mkdir "$WORLD/images"
	export HOLM_TEST_BIG_MIB=40
	image_from_tree busybox "$WORLD/images" --config.env GREETING=hello --config.workingdir /srv --config.volume /etc --config.exposedports 80/tcp \
		--config.user 0 --config.label org.holm.machine=x
	image_from_tree no-init "$WORLD/images"
	image_from_tree big "$WORLD/images"
	rm -rf "$WORLD/tmp"/*
	holm image load "$WORLD/images/busybox.tar"
	holm image load "$WORLD/images/no-init.tar"
	holm image load "$WORLD/images/big.tar"
}

teardown_file()
{
	holm_end
}

# Where holm-image is: installed, or side by side in a build folder.
inner_path()
{
	local bin
	bin=$(dirname "$(type -P holm)")
	if [ -x "$bin/../libexec/holm/holm-image" ]; then
		echo "$bin/../libexec/holm/holm-image"
	else
		echo "$bin/holm-image"
	fi
}

inner()
{
	command timeout 120 "$(inner_path)" "$@"
}

disks()
{
	find "$XDG_DATA_HOME/holm/images/disks" -name '*.ext4' | wc -l
}

@test "prepare answers in one JSON line; again, at once" {
	local answer
	answer=$(inner prepare --progress none busybox:test)
	equal 1 "$(wc -l <<<"$answer")"
	equal docker.io/library/busybox:test "$(jq -r .reference <<<"$answer")"
	equal linux/amd64 "$(jq -r .platform <<<"$answer")"
	equal /sbin/init "$(jq -r .init <<<"$answer")"
	equal GREETING=hello "$(jq -r '.config.Env[] | select(startswith("GREETING"))' <<<"$answer")"
	equal /srv "$(jq -r .config.WorkingDir <<<"$answer")"
	# Volumes and ports of an image are none of the machine's.
	equal '["Env","Labels","User","WorkingDir"]' "$(jq -c '.config | keys' <<<"$answer")"
	equal null "$(jq -c .machine <<<"$answer")"
	equal 1 "$(jq -r .layers <<<"$answer")"
	[ -f "$(jq -r .disk <<<"$answer")" ]
	[ ! -w "$(jq -r .disk <<<"$answer")" ] || [ "$(id -u)" = 0 ]
	equal "$answer" "$(inner prepare --pull never busybox:test)"
	equal null "$(inner prepare no-init:test | jq -r .init)"
}

@test "an image that is not there: --pull never says so; a wrong answer to --pull is refused" {
	fails 125 inner prepare --pull never nothing:1
	contains "$stderr" nothing:1
	fails 125 inner prepare --pull sometimes busybox:test
}

@test "five at once make the disk once" {
	local n before
	before=$(disks)
	for n in 1 2 3 4 5; do
		inner prepare --progress plain big:test >"$WORLD/answer.$n" 2>"$WORLD/stderr.$n" 3>&- &
	done
	wait
	for n in 2 3 4 5; do
		equal "$(cat "$WORLD/answer.1")" "$(cat "$WORLD/answer.$n")"
	done
	equal $((before + 1)) "$(disks)"
	equal 1 "$(cat "$WORLD"/stderr.* | grep -c '^disk: made')"
	rm "$WORLD"/answer.* "$WORLD"/stderr.*
}

@test "kill -9 and an interrupt while the disk is made leave nothing; then it is made" {
	local disk pid moment signal program
	program=$(inner_path)
	disk=$(inner prepare big:test | jq -r .disk)
	for signal in KILL TERM KILL; do
		for moment in 0.02 0.06 0.15; do
			rm -f "$disk" "${disk%.ext4}.json"
			"$program" prepare big:test >/dev/null 2>&1 3>&- &
			pid=$!
			command sleep $moment
			kill -$signal $pid 2>/dev/null || true
			wait $pid || true
			[ ! -e "$disk" ] || /sbin/e2fsck -fn "$disk" >/dev/null 2>&1
		done
	done
	equal "$disk" "$(inner prepare big:test | jq -r .disk)"
	/sbin/e2fsck -fn "$disk" >/dev/null 2>&1
	equal '' "$(find "$XDG_DATA_HOME/holm/images" -name '.tmp*')"
}

@test "a layer that is not what the configuration says makes no disk" {
	local layout="$WORLD/lie" config manifest
	skopeo copy --quiet --insecure-policy "oci-archive:$WORLD/images/busybox.tar" "oci:$layout:lie"
	manifest=$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$layout/index.json")
	config=$(jq -r '.config.digest | ltrimstr("sha256:")' "$layout/blobs/sha256/$manifest")
	jq -c --arg d "sha256:$(printf 'a%.0s' {1..64})" '.rootfs.diff_ids[0] = $d' "$layout/blobs/sha256/$config" >"$WORLD/config.json"
	replace_blob "$layout" "$WORLD/config.json" "$manifest" '.config'
	holm image load -t lie:1 "$layout"
	local before
	before=$(disks)
	fails 125 inner prepare --progress none lie:1
	contains "$stderr" 'layer 1'
	equal "$before" "$(disks)"
	holm image rm lie:1
}

# replace_blob LAYOUT FILE MANIFEST KEY: puts FILE into the layout as the blob that KEY of the manifest names.
replace_blob()
{
	local digest size new
	digest=$(sha256sum "$2" | cut -d' ' -f1) size=$(stat -c %s "$2")
	cp "$2" "$1/blobs/sha256/$digest"
	jq -c --arg d "sha256:$digest" --argjson s "$size" "$4.digest = \$d | $4.size = \$s" "$1/blobs/sha256/$3" >"$WORLD/manifest.json"
	new=$(sha256sum "$WORLD/manifest.json" | cut -d' ' -f1)
	cp "$WORLD/manifest.json" "$1/blobs/sha256/$new"
	jq -c --arg d "sha256:$new" --argjson s "$(stat -c %s "$WORLD/manifest.json")" '.manifests[0].digest = $d | .manifests[0].size = $s' "$1/index.json" >"$WORLD/index.json"
	cp "$WORLD/index.json" "$1/index.json"
}

# annotate LAYOUT TEXT [NAME]: gives the image of an OCI layout this annotation, and a name.
annotate()
{
	local manifest new
	manifest=$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$1/index.json")
	jq -c --arg text "$2" '.annotations["org.holm.machine"] = $text' "$1/blobs/sha256/$manifest" >"$WORLD/manifest.json"
	new=$(sha256sum "$WORLD/manifest.json" | cut -d' ' -f1)
	cp "$WORLD/manifest.json" "$1/blobs/sha256/$new"
	jq -c --arg d "sha256:$new" --argjson s "$(stat -c %s "$WORLD/manifest.json")" --arg name "${3-}" \
		'.manifests[0].digest = $d | .manifests[0].size = $s
			| if $name == "" then . else .manifests[0].annotations["org.opencontainers.image.ref.name"] = $name end' \
		"$1/index.json" >"$WORLD/index.json"
	cp "$WORLD/index.json" "$1/index.json"
}

@test "pack and unpack: the tree, the configuration and the machine's settings come back" {
	local answer
	mkdir -p "$WORLD/tree/sbin"
	printf '#!/bin/sh\n' >"$WORLD/tree/sbin/init"
	chmod 755 "$WORLD/tree/sbin/init"
	printf '{"config":{"Env":["A=1"],"StopSignal":"SIGUSR2"},"machine":{"name":"dev","cpus":3},"reference":"docker.io/library/busybox:test"}' >"$WORLD/settings"
	tar -C "$WORLD/tree" -cf - . | inner pack --config "$WORLD/settings" --output "$WORLD/out.oci"
	equal SIGUSR2 "$(skopeo inspect --config "oci-archive:$WORLD/out.oci" | jq -r .config.StopSignal)"
	local before
	before=$(holm image ls --format json)
	answer=$(inner unpack --progress none "$WORLD/out.oci")
	equal 3 "$(jq -r .machine.cpus <<<"$answer")"
	equal A=1 "$(jq -r '.config.Env[0]' <<<"$answer")"
	equal /sbin/init "$(jq -r .init <<<"$answer")"
	[ -f "$(jq -r .disk <<<"$answer")" ]
	# The name that the machine was made from stays with its image.
	equal "$before" "$(holm image ls --format json)"
	fails 125 inner pack --config "$WORLD/settings" --output "$WORLD/none.oci" </dev/null
	[ ! -e "$WORLD/none.oci" ]
	tar -C "$WORLD/tree" -cf - . | fails 125 inner pack --config "$WORLD/settings" --output "$WORLD/not-there/x.oci"
	fails 125 inner unpack "$WORLD/settings"
	# A name that is taken is said before the disk is made.
	rm "$(jq -r .disk <<<"$answer")"
	fails 125 inner unpack --taken other --taken dev "$WORLD/out.oci"
	contains "$stderr" '"dev"'
	[ ! -e "$(jq -r .disk <<<"$answer")" ]
	# In a plain file it is said before this damaged layer is read.
	dd if=/dev/urandom of="$WORLD/tree/large" bs=1M count=5 status=none
	tar -C "$WORLD/tree" -cf - . | inner pack --config "$WORLD/settings" --output "$WORLD/large.oci"
	rm "$WORLD/tree/large"
	printf damage | dd of="$WORLD/large.oci" bs=1M seek=3 conv=notrunc status=none
	fails 125 inner unpack --taken dev "$WORLD/large.oci"
	contains "$stderr" 'there is a machine "dev" already'
	fails 125 inner unpack --taken other "$WORLD/large.oci"
	contains "$stderr" 'wrong digest'
	fails 125 inner unpack --taken dev - <"$WORLD/large.oci"
	contains "$stderr" 'there is a machine "dev" already'
	# Settings that are no JSON are no settings.
	local layout="$WORLD/annotated"
	skopeo copy --quiet --insecure-policy "oci-archive:$WORLD/out.oci" "oci:$layout:x"
	annotate "$layout" '{"name":'
	fails 125 inner unpack "$layout"
	contains "$stderr" org.holm.machine
	# Nor are a number, and a name of the archive that no image can have is not needed.
	annotate "$layout" 7 ../../x
	fails 125 inner unpack "$layout"
	contains "$stderr" 'no JSON object'
	annotate "$layout" '{"name":"other"}' ../../x
	answer=$(inner unpack --progress none "$layout")
	equal "other $(jq -r .digest <<<"$answer")" "$(jq -r '"\(.machine.name) \(.reference)"' <<<"$answer")"
}

@test "a full disk while the image's disk is made: one line, nothing left" {
	requires root
	local small="$WORLD/small"
	mkdir -p "$small/holm"
	mount -t tmpfs -o size=34M none "$small" 2>/dev/null || skip "no mounts here"
	XDG_DATA_HOME=$small holm image load --progress none "$WORLD/images/big.tar" >/dev/null
	XDG_DATA_HOME=$small run --separate-stderr inner prepare --progress none big:test
	find "$small" -path '*disks*' -type f >"$WORLD/left"
	umount "$small"
	equal 125 "$status"
	contains "$stderr" 'No space left'
	equal 1 "$(wc -l <<<"$stderr")"
	equal '' "$(cat "$WORLD/left")"
}

@test "what was made on this host is never asked of a registry" {
	local own=$WORLD/own
	export XDG_DATA_HOME=$own
	holm image load "$WORLD/images/busybox.tar"
	holm image tag busybox:test localhost/own:1
	fails 125 inner prepare --progress none --pull always own:1
	contains "$stderr" "was made on this host"
	fails 125 holm image pull localhost/nothing:1
	contains "$stderr" "no registry has images of localhost"
	fails 125 inner prepare --progress none localhost/nothing:1
	contains "$stderr" "no registry has images of localhost"
	equal localhost/own:1 "$(inner prepare --progress none own:1 | jq -r .reference)"
	rm -rf "$own"/holm/images/disks/*
	# Damaged: a stranger's image of that name is no substitute.
	find "$XDG_DATA_HOME/holm/images/blobs" -type f -size +100k -delete
	fails 125 inner prepare --progress none own:1
	contains "$stderr" "make it again"
}

@test "an image without layers, and entries of its environment that are none, are named" {
	requires python3
	local made=$WORLD/nolayers
	mkdir "$made"
	python3 "$BATS_TEST_DIRNAME/../lib/make-layout" "$made" '{"config": {"Env": ["A=1", "noequals"]}}'
	holm image load "$made"
	run --separate-stderr inner prepare --progress plain made:1
	contains "$stderr" 'environment entry "noequals" is not NAME=VALUE'
	equal '["A=1"]' "$(jq -c .config.Env <<<"$output")"
	holm image rm made:1
	python3 - "$made" <<-'END'
		import hashlib, json, sys
		folder = sys.argv[1]
		def add(value):
		    data = json.dumps(value).encode()
		    name = hashlib.sha256(data).hexdigest()
		    open(f"{folder}/blobs/sha256/{name}", "wb").write(data)
		    return {"digest": "sha256:" + name, "size": len(data)}
		index = json.load(open(f"{folder}/index.json"))
		config = add({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}})
		config["mediaType"] = "application/vnd.oci.image.config.v1+json"
		index["manifests"][0].update(add({"schemaVersion": 2, "config": config, "layers": []}))
		json.dump(index, open(f"{folder}/index.json", "w"))
	END
	holm image load "$made"
	fails 125 inner prepare made:1
	contains "$stderr" "has no layers"
	fails 125 inner prepare --form trees made:1
	contains "$stderr" "has no layers"
	holm image rm made:1
}
