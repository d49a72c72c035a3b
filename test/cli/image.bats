#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The image library without a registry: load in every form, ls, inspect, tag, rm, and files that are not what they say.
load ../lib/holm
load ../lib/images

setup_file()
{
	requires skopeo umoci
	holm_begin empty
	mkdir "$WORLD/images"
	image_from_tree busybox "$WORLD/images" --config.env GREETING=hello --config.label org.example=yes
	skopeo copy --quiet --insecure-policy "oci-archive:$WORLD/images/busybox.tar" "oci:$WORLD/layout:docker.io/library/layout:1"
	skopeo copy --quiet --insecure-policy "oci-archive:$WORLD/images/busybox.tar" "docker-archive:$WORLD/docker.tar:docker.io/library/dockered:1"
	rm -rf "$WORLD/tmp"/*
}

teardown_file()
{
	holm_end
}

@test "an empty library" {
	equal 1 "$(holm image ls | wc -l)"
	equal '[]' "$(holm image ls --format json | jq -c .)"
	equal '' "$(holm image ls -q)"
}

@test "load an OCI archive, a layout, a docker archive, and one from standard input" {
	holm image load "$WORLD/images/busybox.tar"
	holm image load "$WORLD/layout"
	holm image load "$WORLD/docker.tar"
	gzip -c "$WORLD/images/busybox.tar" | holm image load -t zipped:1 -
	local list
	list=$(holm image ls -q)
	contains "$list" busybox:test
	contains "$list" layout:1
	contains "$list" dockered:1
	contains "$list" zipped:1
	equal 4 "$(holm image ls --format json | jq length)"
}

# An archive of 1 MB that unpacks to 250: a layer, by a link, and a member that nothing names.
@test "members of an archive that nothing names take no room" {
	requires python3
	python3 - "$WORLD/large.tar.gz" <<-'E'
	import hashlib, io, json, sys, tarfile
	layer = io.BytesIO()
	with tarfile.open(fileobj=layer, mode="w") as t:
	    info = tarfile.TarInfo("large")
	    info.size = 80_000_000
	    t.addfile(info, io.BytesIO(b"A" * info.size))
	layer = layer.getvalue()
	config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {
	    "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
	manifest = json.dumps([{"Config": "config.json", "RepoTags": ["large:1"], "Layers": ["one/layer.tar"]}]).encode()
	with tarfile.open(sys.argv[1], "w:gz", compresslevel=1) as t:
	    for name, data in (("rubbish", b"B" * 150_000_000), ("two/layer.tar", layer), ("config.json", config), ("manifest.json", manifest)):
	        info = tarfile.TarInfo(name)
	        info.size = len(data)
	        t.addfile(info, io.BytesIO(data))
	    info = tarfile.TarInfo("one/layer.tar")
	    info.type, info.linkname = tarfile.SYMTYPE, "../two/layer.tar"
	    t.addfile(info)
	E
	# No file may get larger than 100 MB: the layer can be unpacked, the other one cannot.
	(ulimit -f 100000; equal docker.io/library/large:1 "$(holm image load "$WORLD/large.tar.gz")")
	run bash -c 'cat "$1" | (ulimit -f 100000; holm image load -)' sh "$WORLD/large.tar.gz"
	[ "$status" != 0 ]
	holm image rm large:1
	rm "$WORLD/large.tar.gz"
}

@test "load -t NAME gives that name, from a file and from standard input" {
	equal docker.io/library/named:latest "$(holm image load -t named "$WORLD/images/busybox.tar")"
	equal docker.io/library/piped:latest "$(holm image load -t piped - <"$WORLD/docker.tar")"
	equal localhost/mine:2 "$(holm image load -t localhost/mine:2 - <"$WORLD/docker.tar")"
	holm image rm named piped mine:2
}

@test "inspect has the configuration" {
	contains "$(holm image inspect busybox:test)" GREETING=hello
	contains "$(holm image inspect busybox:test)" org.example
	equal "linux/amd64 GREETING=hello" \
		"$(holm image inspect busybox:test --format '{{.platform}} {{range .config.config.Env}}{{if ge (len (split . "GREETING")) 2}}{{.}}{{end}}{{end}}')"
	contains "$(holm image ls --format 'table {{.Name}}\t{{.Platform}}' | sed -n 's/  */ /g; 1p')" "NAME PLATFORM"
	contains "$(holm image ls --format '{{.name}} {{.platform}}')" "docker.io/library/busybox:test linux/amd64"
	fails 125 holm image ls --format '{{.name'
	contains "$stderr" 'it has no }}'
	fails 125 holm image ls --format jsn
	fails 125 holm image inspect nothing
	contains "$stderr" nothing
}

@test "tag gives another name; rm takes names away, and the content with the last" {
	holm image tag busybox:test mine:1
	contains "$(holm image ls -q)" mine:1
	fails 125 holm image tag nothing:1 x
	fails 125 holm image tag busybox:test 'not a name'
	holm image rm mine:1
	run ! grep -q mine:1 <<<"$(holm image ls -q)"
	holm image inspect busybox:test >/dev/null
	fails 125 holm image rm nothing:1
	contains "$stderr" nothing
	holm image rm busybox:test layout:1 dockered:1 zipped:1
	equal '' "$(holm image ls -q)"
	equal '' "$(find "$XDG_DATA_HOME/holm/images/blobs" -type f)"
}

@test "a machine keeps working when its image's name is gone" {
	holm image load "$WORLD/images/busybox.tar"
	holm machine create busybox:test --name keeps --no-boot --isolation vm
	holm image rm busybox:test
	[ -e "$(find "$XDG_DATA_HOME/holm/images/disks" -name '*.ext4')" ]
	holm machine clone keeps copy
	holm machine rm keeps copy
}

@test "the last name of an image that a stopped machine has containers of goes by force alone" {
	holm image load "$WORLD/images/busybox.tar"
	holm machine create busybox:test --name keeps --no-boot --isolation vm
	local digest machine=$XDG_DATA_HOME/holm/machines/keeps
	digest=$(holm image inspect busybox:test | jq -r '.[0].digest')
	echo "{\"$digest\":{\"disk\":\"$(find "$XDG_DATA_HOME/holm/images/disks" -name '*.ext4')\"}}" >"$machine/images.json"
	holm image tag busybox:test second:1
	holm image rm busybox:test
	fails 125 holm image rm second:1
	contains "$stderr" 'unable to remove repository reference "second:1" (must force) - machine keeps with its containers is using'
	fails 125 holm image rm "$digest"
	contains "$stderr" '(must be forced) - image is being used by stopped machine keeps with its containers'
	equal '' "$(holm image rm -f nothing:1)"
	equal "docker.io/library/second:1 null null $digest" "$(holm image rm -f --format json second:1 | jq -r 'map("\(.untagged) \(.deleted)") | join(" ")')"
	holm machine rm keeps
}

@test "the disk of an image is a clean ext4 with the image's content" {
	requires e2fsck debugfs
	holm image load "$WORLD/images/busybox.tar"
	holm machine create busybox:test --name disk --no-boot --isolation vm
	local disk
	disk=$(find "$XDG_DATA_HOME/holm/images/disks" -name '*.ext4')
	/sbin/e2fsck -fn "$disk" >/dev/null 2>&1
	equal '#!/bin/sh' "$(/sbin/debugfs -R 'cat /etc/rc.boot' "$disk" 2>/dev/null | head -n 1)"
	/sbin/debugfs -R 'stat /tmp' "$disk" 2>/dev/null | grep -q 'Mode:  01777'
	holm machine rm disk
}

@test "what is no image is refused in one line and leaves nothing" {
	local before
	before=$(find "$XDG_DATA_HOME/holm/images" -type f | sort)
	echo nonsense >"$WORLD/text"
	fails 125 holm image load "$WORLD/text"
	contains "$stderr" text
	fails 125 holm image load "$WORLD/not-there"
	contains "$stderr" not-there
	: >"$WORLD/empty"
	fails 125 holm image load "$WORLD/empty"
	head -c 300000 "$WORLD/images/busybox.tar" >"$WORLD/cut.tar"
	fails 125 holm image load "$WORLD/cut.tar"
	mkdir "$WORLD/emptydir"
	fails 125 holm image load "$WORLD/emptydir"
	fails 125 holm image load - </dev/null
	# A layout whose blob is not what its name says; a blob that the library has already is not read again.
	holm image rm busybox:test
	before=$(find "$XDG_DATA_HOME/holm/images" -type f | sort)
	cp -r "$WORLD/layout" "$WORLD/bad"
	local blob
	blob=$(find "$WORLD/bad/blobs/sha256" -type f -size +100k)
	printf damaged | dd of="$blob" bs=1 seek=500 conv=notrunc 2>/dev/null
	fails 125 holm image load "$WORLD/bad"
	contains "$stderr" digest
	equal "$before" "$(find "$XDG_DATA_HOME/holm/images" -type f | sort)"
}

@test "layers with tricks stay inside or are refused" {
	local trick
	mkdir "$WORLD/evil"
	echo pwned >"$WORLD/evil/file"
	for trick in ../../escaped /etc/../../escaped "$(printf 'n%.0s' {1..10000})"; do
		tar -C "$WORLD/evil" -P --transform "s,^file\$,$trick," -cf "$WORLD/evil.tar" file
		TMPDIR=$WORLD image_from_layer "$WORLD/evil.tar" evil "$WORLD/images"
		run --separate-stderr holm image load "$WORLD/images/evil.tar"
		if [ "$status" = 0 ]; then
			run --separate-stderr holm machine create evil:test --name evil --no-boot
			[ "$status" != 0 ] || holm machine rm evil
		fi
		[ "$status" = 0 ] || contains "$stderr" "holm: "
		[ -z "$(find "$WORLD" -name 'escaped*')" ]
	done
	# A link that points outside, then a file through it.
	ln -s "$WORLD/victim" "$WORLD/evil/link"
	mkdir "$WORLD/victim"
	tar -C "$WORLD/evil" -cf "$WORLD/evil.tar" link
	tar -C "$WORLD/evil" -P --transform 's,^file$,link/through,' -rf "$WORLD/evil.tar" file
	TMPDIR=$WORLD image_from_layer "$WORLD/evil.tar" evil "$WORLD/images"
	run holm image load "$WORLD/images/evil.tar"
	run holm machine create evil:test --name evil --no-boot
	[ "$status" != 0 ] || holm machine rm evil
	equal '' "$(ls -A "$WORLD/victim")"
	holm image ls -q | grep evil | while read -r trick; do
		holm image rm "$trick"
	done
}

# made CONFIG [DESCRIPTOR [FILE]]: an image with these members, in $WORLD/made.
made()
{
	rm -rf "$WORLD/made"
	"$BATS_TEST_DIRNAME/../lib/make-layout" "$WORLD/made" "$@"
}

@test "an image whose fields would steer the terminal is refused, in one printable line" {
	requires python3
	local members
	for members in '"os": "linux\u001b]52;c;aGk=\u0007"' '"architecture": "amd64\u009b2J"' '"variant": "\u202ev8"' \
		'"created": "2024-01-01T00:00:00Z\u001b[2J"' '"created": "yesterday"' '"rootfs": {"diff_ids": ["\u009b2J\u200b"]}'; do
		made "{$members}"
		fails 125 holm image load "$WORLD/made"
		contains "$stderr" 'image "'
		printable "$stderr"
		equal 1 "$(grep -c '^holm: ' <<<"$stderr")"
	done
	equal '' "$(holm image ls -q | grep made)"
}

@test "an image whose environment has entries without \"=\" is loaded" {
	requires python3
	made '{"config": {"Env": ["A=1", "noequals", "=x"]}}'
	equal docker.io/library/made:1 "$(holm image load "$WORLD/made")"
	holm image rm made:1
}

@test "a platform of other words in an index is none" {
	requires python3
	made '{}' '{"platform": {"os": "linux", "architecture": "\u001b]0;title\u0007\u009b2J"}}'
	holm image load "$WORLD/made"
	printable "$(holm image ls)"
	equal linux/amd64 "$(holm image ls --format json | jq -r '.[] | select(.name | endswith("made:1")).platform')"
	holm image rm made:1
}

@test "a layer's names are printable in errors" {
	requires python3
	made '{}' '{}' $'x\302\2332J\342\200\256\2332J\033[2J'
	holm image load "$WORLD/made"
	fails 125 holm image prepare made:1
	contains "$stderr" 2J
	printable "$stderr"
	holm image rm made:1
}

@test "JSON is printable too, and loses nothing" {
	requires python3
	made '{"config": {"Labels": {"l": "\u001b]52;\u0007\u007f\u009b2J\u202e\u200b\udb40\udc01 bl\u00e5"}}}'
	holm image load "$WORLD/made"
	printable "$(holm image inspect made:1)"
	contains "$(holm image inspect made:1)" '\u009b2J\u202e'
	equal '"\u001b]52;\u0007\u007f\u009b2J\u202e\u200b\udb40\udc01 bl\u00e5"' "$(holm image inspect made:1 | jq -ca '.[0].config.config.Labels.l')"
	holm image rm made:1
}

@test "a name, a word or a path that is typed comes back printable" {
	requires python3
	local text=$'\302\2332J\342\200\256\233\033[2J'
	for words in "image inspect" "image nothing" "image pull" "image load" "image ls --format" "machine inspect" "machine start" nothing "machine nothing" "machine ls --x"; do
		# shellcheck disable=SC2086
		fails 125 holm $words "$text"
		printable "$stderr"
	done
}

@test "docker save: an index without layers beside a right manifest.json, layers that are links from the root, empty layers" {
	requires python3
	local kind count form
	for kind in hollow:1 links:3 empty-layers:4; do
		count=${kind#*:} kind=${kind%:*}
		for form in "$WORLD/odd.tar" "$WORLD/odd/"; do
			rm -rf "$WORLD/odd.tar" "$WORLD/odd"
			"$BATS_TEST_DIRNAME/../lib/make-docker-archive" "$form" "$kind"
			equal docker.io/library/odd:1 "$(holm image load "$form")"
			equal "$count" "$(holm image inspect odd:1 | jq '.[0].layers')"
			holm image prepare odd:1 >/dev/null
			holm image rm odd:1
		done
	done
}

# fake_mmdebstrap: makes a tree, runs the hooks on it as the real one does, and writes its tar;
# first in PATH.
fake_mmdebstrap()
{
	mkdir -p "$WORLD/bin"
	cat >"$WORLD/bin/mmdebstrap" <<-'END'
		#!/bin/bash
		set -e
		if [ "${FAKE_ARGUMENTS:-}" ]; then printf '%s\n' "$@" >"$FAKE_ARGUMENTS"; fi
		if [ "${FAKE_COMPLAINT:-}" ]; then echo "$FAKE_COMPLAINT" >&2; exit 1; fi
		root=$(mktemp -d)
		mkdir -p "$root/etc/ssh" "$root/sbin" "$root/usr/sbin"
		install -m 755 /dev/null "$root/usr/sbin/sshd"
		echo '#!/bin/sh' >"$root/sbin/init"
		chmod 755 "$root/sbin/init"
		for name in ssh_host_rsa_key ssh_host_ed25519_key ssh_host_ed25519_key.pub sshd_config hostname; do
			echo "$name" >"$root/etc/ssh/$name"
		done
		for word in "$@"; do
			[ "$word" != -- ] || break
			case $word in
			--customize-hook=*) sh -c "${word#*=}" exec "$root" ;;
			esac
		done
		tar -C "$root" --owner=0 --group=0 --numeric-owner -cf - .
		rm -rf "$root"
	END
	chmod 755 "$WORLD/bin/mmdebstrap"
	printf '#!/bin/sh\n' | tee "$WORLD/bin/newuidmap" "$WORLD/bin/fakechroot" "$WORLD/bin/fakeroot" >/dev/null
	chmod 755 "$WORLD/bin"/*
	PATH=$WORLD/bin:$PATH
}

@test "what debootstrap makes is localhost's, and its short name finds it first" {
	fake_mmdebstrap
	holm image load "$WORLD/images/busybox.tar"
	holm image tag busybox:test debian:12
	equal localhost/debian:12 "$(holm image debootstrap bookworm -t debian:12)"
	equal localhost/debian:trixie "$(holm image debootstrap trixie)"
	equal r.example/me/debian:1 "$(holm image debootstrap trixie -t r.example/me/debian:1)"
	equal localhost/debian:12 "$(holm image inspect debian:12 | jq -r '.[0].name')"
	equal docker.io/library/debian:12 "$(holm image inspect docker.io/library/debian:12 | jq -r '.[0].name')"
	# A name takes only what it finds.
	equal localhost/debian:12 "$(holm image rm debian:12)"
	equal docker.io/library/debian:12 "$(holm image inspect debian:12 | jq -r '.[0].name')"
	equal docker.io/library/debian:12 "$(holm image rm debian:12)"
	holm image rm debian:trixie r.example/me/debian:1 busybox:test
}

@test "debootstrap puts no ssh host keys into the image" {
	fake_mmdebstrap
	holm image debootstrap bookworm -t keys:1
	local layer
	layer=$(holm image inspect keys:1 | jq -r '.[0].manifest.layers[0].digest')
	local list
	list=$(zstd -dc "$XDG_DATA_HOME/holm/images/blobs/sha256/${layer#sha256:}" | tar -tf -)
	contains "$list" etc/ssh/sshd_config
	contains "$list" etc/systemd/system/ssh.service.d/holm-host-keys.conf
	run ! grep -q ssh_host_ <<<"$list"
	holm image rm keys:1
}

@test "debootstrap takes an expired mirror and another keyring where asked, and says so where not" {
	fake_mmdebstrap
	echo key >"$WORLD/key.gpg"
	(cd "$WORLD" && FAKE_ARGUMENTS=$WORLD/arguments holm image debootstrap bookworm -t old:1 --no-check-valid-until --keyring key.gpg)
	grep -Fqx -- '--aptopt=Acquire::Check-Valid-Until "false"' "$WORLD/arguments"
	grep -Fqx -- "--keyring=$WORLD/key.gpg" "$WORLD/arguments"
	FAKE_ARGUMENTS=$WORLD/arguments holm image debootstrap bookworm -t old:1
	run ! grep -q 'keyring\|Valid' "$WORLD/arguments"
	fails 125 holm image debootstrap bookworm -t old:1 --keyring "$WORLD/none.gpg"
	contains "$stderr" none.gpg
	FAKE_COMPLAINT="E: Release file for http://x/InRelease is expired (invalid since 3d)" fails 125 holm image debootstrap bookworm -t old:1
	contains "$stderr" "is expired (invalid since 3d); --no-check-valid-until"
	holm image rm old:1
	rm "$WORLD/key.gpg" "$WORLD/arguments"
}

@test "debootstrap of a suite that does not exist is one line" {
	requires mmdebstrap archive
	HOLM_TEST_TIMEOUT=120 fails 125 holm image debootstrap nosuchsuite -t x:1
	contains "$stderr" nosuchsuite
}

@test "errors about names have a remedy" {
	fails 125 holm image rm nothing-here
	contains "$stderr" 'image "nothing-here" is not in the library; holm image ls shows what is'
	touch "$WORLD/archive.tar"
	fails 125 holm image pull "$WORLD/archive.tar"
	contains "$stderr" '"holm image load" takes an image from it'
	fails 125 holm machine create "$WORLD/archive.tar" --no-boot
	contains "$stderr" '"holm image import" makes one of a tar file'
	# The registry of these names is one that nobody has.
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[registry "docker.io"]\nblocked = true\n' >"$XDG_CONFIG_HOME/holm/config"
	fails 125 holm image pull --progress none debian:12-slim
	contains "$stderr" '"holm image debootstrap bookworm" makes one'
	fails 125 holm image pull --progress none trixie
	contains "$stderr" '"holm image debootstrap trixie" makes one'
	fails 125 holm image pull --progress none debian:sid
	[[ "$stderr" != *debootstrap* ]]
	fails 125 holm image pull --progress none alpine
	[[ "$stderr" != *debootstrap* ]]
	rm "$XDG_CONFIG_HOME/holm/config"
	run holm image login -u me --password-stdin 127.0.0.1:1 <<<secret
	contains "$output" "registry 127.0.0.1:1: login: "
	contains "$output" "check its name"
}
