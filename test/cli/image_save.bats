#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images as files: save in every form, read back by holm and skopeo; import; history.
load ../lib/holm
load ../lib/images

setup_file()
{
	requires skopeo umoci
	holm_begin empty
	mkdir "$WORLD/images"
	image_from_tree busybox "$WORLD/images" --config.env GREETING=hello
	holm image load "$WORLD/images/busybox.tar"
	export DIGEST
	DIGEST=$(holm image ls --format json | jq -r '.[0].digest')
	rm -rf "$WORLD/tmp"/*
}

teardown_file()
{
	holm_end
}

@test "save: the same bytes to a file, through a pipe and again" {
	holm image save -o "$WORLD/one.tar" busybox:test
	holm image save busybox:test >"$WORLD/two.tar"
	holm image save busybox:test | cat >"$WORLD/three.tar"
	cmp "$WORLD/one.tar" "$WORLD/two.tar"
	cmp "$WORLD/one.tar" "$WORLD/three.tar"
	equal 644 "$(stat -c %a "$WORLD/one.tar")"
	equal '0/0 1970-01-01' "$(tar --numeric-owner --utc -tvf "$WORLD/one.tar" | awk '{print $2, $4}' | sort -u)"
}

@test "save: skopeo reads each form, and the digest stays" {
	holm image save --format oci-archive -o "$WORLD/oci.tar" busybox:test
	holm image save --format oci-dir -o "$WORLD/dir" busybox:test
	holm image save --format docker-archive -o "$WORLD/docker.tar" busybox:test
	equal "$DIGEST" "$(skopeo inspect "oci-archive:$WORLD/oci.tar:docker.io/library/busybox:test" | jq -r .Digest)"
	equal "$DIGEST" "$(skopeo inspect "oci-archive:$WORLD/docker.tar" | jq -r .Digest)"
	equal "$DIGEST" "$(skopeo inspect "oci:$WORLD/dir:docker.io/library/busybox:test" | jq -r .Digest)"
	contains "$(skopeo inspect --config "docker-archive:$WORLD/docker.tar:docker.io/library/busybox:test")" GREETING=hello
	skopeo copy --quiet --insecure-policy "docker-archive:$WORLD/docker.tar" "oci:$WORLD/copied:x"
	run ! tar -tf "$WORLD/oci.tar" manifest.json
}

@test "save and load: each form comes back as it was" {
	local form
	for form in docker-archive oci-archive oci-dir; do
		rm -rf "$WORLD/back"
		holm image save --format "$form" -o "$WORLD/back" busybox:test
		XDG_DATA_HOME=$WORLD/data.$form holm image load "$WORLD/back"
		equal "docker.io/library/busybox:test $DIGEST" \
			"$(XDG_DATA_HOME=$WORLD/data.$form holm image ls --format json | jq -r '.[] | .name + " " + .digest')"
	done
}

@test "save: several names and images in one archive, each blob once" {
	holm image tag busybox:test other/name:2
	holm image save -o "$WORLD/many.tar" busybox:test other/name:2 busybox:test
	equal 3 "$(tar -tf "$WORLD/many.tar" | grep -c 'sha256/.')"
	equal 2 "$(tar -xOf "$WORLD/many.tar" manifest.json | jq '.[0].RepoTags | length')"
	XDG_DATA_HOME=$WORLD/data.many holm image load "$WORLD/many.tar"
	equal 2 "$(XDG_DATA_HOME=$WORLD/data.many holm image ls -q | wc -l)"
	holm image rm other/name:2
}

@test "save: an image that its digest names has no name in the archive" {
	holm image save -o "$WORLD/unnamed.tar" "$DIGEST"
	equal '[]' "$(tar -xOf "$WORLD/unnamed.tar" manifest.json | jq -c '.[0].RepoTags')"
	equal null "$(tar -xOf "$WORLD/unnamed.tar" index.json | jq -c '.manifests[0].annotations')"
	equal docker.io/library/unnamed:latest "$(XDG_DATA_HOME=$WORLD/data.unnamed holm image load "$WORLD/unnamed.tar")"
}

@test "save: what cannot be written is one line and leaves nothing" {
	fails 125 holm image save -o "$WORLD/none.tar" nothing:1
	contains "$stderr" nothing
	[ ! -e "$WORLD/none.tar" ]
	fails 125 holm image save -o "$WORLD/no/such/folder/x.tar" busybox:test
	contains "$stderr" no/such/folder
	fails 125 holm image save --format oci-dir busybox:test
	contains "$stderr" '-o DIRECTORY'
	mkdir "$WORLD/full"
	: >"$WORLD/full/file"
	fails 125 holm image save --format oci-dir -o "$WORLD/full" busybox:test
	contains "$stderr" exists
	equal file "$(ls -A "$WORLD/full")"
	equal '' "$(find "$WORLD" -maxdepth 1 \( -name '.holm-save*' -o -name '.tmp-*' \))"
	fails 125 sh -c 'holm image save busybox:test >/dev/full'
	contains "$stderr" 'No space left'
	# Bytes of the library that are not what their name says are not passed on.
	local blob
	cp -r "$XDG_DATA_HOME/holm" "$WORLD/damaged"
	blob=$(find "$WORLD/damaged/images/blobs" -type f -size +100k)
	cp "$blob" "$blob.new"
	printf damaged | dd of="$blob.new" bs=1 seek=500 conv=notrunc 2>/dev/null
	mv "$blob.new" "$blob"
	mkdir "$WORLD/damaged-home"
	mv "$WORLD/damaged" "$WORLD/damaged-home/holm"
	XDG_DATA_HOME=$WORLD/damaged-home fails 125 holm image save -o "$WORLD/bad.tar" busybox:test
	contains "$stderr" damaged
	[ ! -e "$WORLD/bad.tar" ]
}

@test "save: to a pipe by name, and through a symbolic link" {
	mkfifo "$WORLD/pipe"
	holm image save -o "$WORLD/pipe" busybox:test &
	cat <"$WORLD/pipe" >"$WORLD/piped.tar"
	wait $!
	[ -p "$WORLD/pipe" ]
	rm "$WORLD/pipe"
	cmp "$WORLD/one.tar" "$WORLD/piped.tar"
	mkdir "$WORLD/elsewhere"
	: >"$WORLD/elsewhere/target.tar"
	ln -s elsewhere/target.tar "$WORLD/link.tar"
	holm image save -o "$WORLD/link.tar" busybox:test
	[ -L "$WORLD/link.tar" ]
	cmp "$WORLD/one.tar" "$WORLD/elsewhere/target.tar"
}

@test "history: a line a step, the newest first; layers that no step claims; a history that is none" {
	requires python3
	"$BATS_TEST_DIRNAME/../lib/make-layout" "$WORLD/made" '{"history": [{"created": "2024-05-01T10:00:00Z", "created_by": "ADD rootfs"},
		{"created_by": "ENV A=1", "empty_layer": true, "comment": "no \u001b[2J\u202e layer"}]}'
	holm image load "$WORLD/made"
	run --separate-stderr holm image history made:1
	equal 0 "$status"
	contains "${lines[0]}" 'CREATED BY'
	contains "${lines[1]}" 'ENV A=1'
	contains "${lines[2]}" 'ADD rootfs'
	contains "${lines[2]}" 2024-05-01
	printable "$output"
	run --separate-stderr holm image history --format json made:1
	equal '[null,"ADD rootfs"]' "$(jq -c '[.[0].layer, .[1].created_by]' <<<"$output")"
	equal "$(holm image inspect made:1 | jq -r '.[0].manifest.layers[0].digest')" "$(jq -r '.[1].layer' <<<"$output")"
	holm image rm made:1
	"$BATS_TEST_DIRNAME/../lib/make-layout" "$WORLD/made2" '{}'
	holm image load -t made:2 "$WORLD/made2"
	equal 2 "$(holm image history made:2 | wc -l)"
	"$BATS_TEST_DIRNAME/../lib/make-layout" "$WORLD/made3" '{"history": [7]}'
	holm image load -t made:3 "$WORLD/made3"
	fails 125 holm image history made:3
	contains "$stderr" 'history of image "docker.io/library/made:3"'
	holm image rm made:2 made:3
}

@test "import: a root file system's archive, compressed in any way, makes an image that makes a machine" {
	local way
	mkdir "$WORLD/root"
	(cd "$WORLD/root" && busybox_tree)
	tar -C "$WORLD/root" --owner=0 --group=0 --numeric-owner -cf "$WORLD/My-Root.tar" .
	equal localhost/my-root:latest "$(holm image import "$WORLD/My-Root.tar")"
	for way in gzip xz zstd bzip2; do
		"$way" -kc "$WORLD/My-Root.tar" | holm image import - "by/$way:1"
	done
	# The layer is the archive itself, however it was compressed.
	equal 1 "$(holm image ls -q | xargs holm image inspect | jq -r '.[] | select(.name | test("my-root|by/")).config.rootfs.diff_ids[0]' | sort -u | wc -l)"
	equal "sha256:$(sha256sum <"$WORLD/My-Root.tar" | cut -d' ' -f1)" "$(holm image inspect my-root | jq -r '.[0].config.rootfs.diff_ids[0]')"
	holm machine create my-root --name imported --no-boot --isolation vm
	holm machine rm imported
	holm image rm my-root by/gzip:1 by/xz:1 by/zstd:1 by/bzip2:1
}

@test "import: changes, a message and a platform" {
	holm image import --platform arm64 -m 'from a friend' -c 'ENV A=1' -c 'ENV A=2' -c 'ENV B="two words"' -c 'LABEL org.x=y' -c 'USER app' \
		-c 'WORKDIR /srv' -c 'STOPSIGNAL SIGTERM' -c 'CMD ["a", "b"]' -c 'ENTRYPOINT run it' "$WORLD/My-Root.tar" changed:1
	equal '{"Env":["A=2","B=two words"],"Labels":{"org.x":"y"},"User":"app","WorkingDir":"/srv","StopSignal":"SIGTERM","Cmd":["a","b"],"Entrypoint":["/bin/sh","-c","run it"]}' \
		"$(holm image inspect changed:1 | jq -c '.[0].config.config')"
	equal linux/arm64 "$(holm image inspect changed:1 | jq -r '.[0].platform')"
	contains "$(holm image history changed:1)" 'from a friend'
	holm image rm changed:1
	local change
	for change in 'EXPOSE x' 'EXPOSE 80/x' 'EXPOSE 0' ENV 'ENV A' 'CMD [1]' 'CMD [' ''; do
		fails 125 holm image import -c "$change" "$WORLD/My-Root.tar" x:1
		contains "$stderr" --change
	done
}

@test "import: what is no root file system is one line and leaves nothing" {
	local before
	before=$(find "$XDG_DATA_HOME/holm/images" -type f | sort)
	holm image save -o "$WORLD/an-image.tar" busybox:test
	fails 125 holm image import "$WORLD/an-image.tar"
	contains "$stderr" 'holm image load'
	echo nonsense >"$WORLD/text"
	fails 125 holm image import "$WORLD/text"
	contains "$stderr" text
	: >"$WORLD/nothing"
	fails 125 holm image import "$WORLD/nothing"
	contains "$stderr" empty
	head -c 100000 "$WORLD/My-Root.tar" >"$WORLD/cut.tar"
	fails 125 holm image import "$WORLD/cut.tar"
	tar -cf "$WORLD/hollow.tar" -T /dev/null
	fails 125 holm image import "$WORLD/hollow.tar"
	contains "$stderr" 'no files'
	fails 125 holm image import "$WORLD/not-there"
	fails 125 holm image import - </dev/null
	contains "$stderr" NAME
	fails 125 holm image import - x:1 </dev/null
	fails 125 holm image import "$WORLD/My-Root.tar" "busybox@$DIGEST"
	fails 125 holm image import "$WORLD/My-Root.tar" 'not a name'
	equal "$before" "$(find "$XDG_DATA_HOME/holm/images" -type f | sort)"
}

@test "diff: added, changed and deleted paths; times do not count" {
	mkdir -p "$WORLD/a/dir/gone" "$WORLD/a/keep"
	(cd "$WORLD/a" && echo 1 >dir/gone/x && echo 1 >dir/gone/y && echo 1 >keep/same && echo 1 >keep/changed && echo 1 >keep/mode && ln -s same keep/link)
	tar -C "$WORLD/a" --owner=0 --group=0 -cf "$WORLD/a.tar" .
	(cd "$WORLD/a" && rm -r dir/gone && echo 2 >keep/changed && chmod 600 keep/mode && ln -sfn changed keep/link && echo 3 >keep/new && touch -d 2001-01-01 keep/same)
	tar -C "$WORLD/a" --owner=0 --group=0 -cf "$WORLD/b.tar" .
	holm image import --progress none "$WORLD/a.tar" a:1
	holm image import --progress none "$WORLD/b.tar" b:1
	equal "D /dir/gone
C /keep/changed
C /keep/link
C /keep/mode
A /keep/new" "$(holm image diff a:1 b:1)"
	equal '' "$(holm image diff a:1 a:1)"
	equal '/keep/new deleted' "$(holm image diff b:1 a:1 --format json | jq -r '.[] | select(.change == "deleted") | .path + " " + .change')"
	holm image rm a:1 b:1
	fails 125 holm image diff busybox:test nothing:1
	contains "$stderr" nothing
	fails 125 holm image diff busybox:test
}

@test "diff: layers on top of the same base, with whiteouts and hard links" {
	mkdir -p "$WORLD/top/etc"
	(cd "$WORLD/top" && : >etc/.wh.shells && echo root:x:0:root >etc/group && echo new >etc/new && ln etc/new etc/again)
	tar -C "$WORLD/top" --owner=0 --group=0 --numeric-owner -cf "$WORLD/top.tar" etc/.wh.shells etc/group etc/new etc/again
	TMPDIR=$WORLD image_on_top "$WORLD/images/busybox.tar" "$WORLD/top.tar" topped "$WORLD/images"
	holm image load --progress none "$WORLD/images/topped.tar"
	equal "A /etc/again
C /etc/group
A /etc/new
D /etc/shells" "$(holm image diff busybox:test topped:test)"
	holm image rm topped:test
}

@test "a full disk: load, import and save are one line and leave nothing" {
	unshare --user --map-root-user --mount true 2>/dev/null || skip "no user namespaces here"
	mkdir -p "$WORLD/small"
	head -c 8000000 /dev/urandom >"$WORLD/noise"
	tar -C "$WORLD" -cf "$WORLD/noise.tar" noise
	cat >"$WORLD/small.sh" <<-'E'
	mount -t tmpfs -o size=1M none "$WORLD/small" || exit 1
	export XDG_DATA_HOME=$WORLD/small
	holm image load --progress none "$WORLD/one.tar" && echo loaded
	holm image import --progress none "$WORLD/noise.tar" && echo imported
	XDG_DATA_HOME=$1 holm image save --progress none -o "$WORLD/small/saved.tar" busybox:test && echo saved
	XDG_DATA_HOME=$1 holm image save --progress none --format oci-dir -o "$WORLD/small/saved" busybox:test && echo saved
	holm image ls -q
	find "$WORLD/small" -type f ! -name oci-layout ! -name '*.lock'
	# With room it works.
	mount -t tmpfs -o size=20M none "$WORLD/small" && holm image load --progress none "$WORLD/one.tar"
	E
	run --separate-stderr unshare --user --map-root-user --mount sh "$WORLD/small.sh" "$XDG_DATA_HOME"
	equal 0 "$status"
	equal docker.io/library/busybox:test "$output"
	equal 4 "$(grep -c '^holm: .*No space left' <<<"$stderr")"
	equal 4 "$(wc -l <<<"$stderr")"
	run ! grep -q 'not the archive' <<<"$stderr"
}
