#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# holm build --cache-to and --cache-from: steps that another machine has made. No machine is needed.
load ../lib/holm

setup_file()
{
	requires jq
	holm_begin empty
}

teardown_file()
{
	holm_end
}

setup()
{
	cd "$(mktemp -d "$WORLD/context.XXXXXX")" || return 1
	mkdir one two
	echo one >one/file
	echo two >two/file
	cat >Dockerfile <<-'END'
		FROM scratch AS first
		COPY one /one
		FROM scratch AS second
		COPY two /two
		WORKDIR /made
		FROM first
		COPY --from=second /two /copied
	END
	CACHE=$TMPDIR/cache
}

teardown()
{
	cd / && rm -rf "${TMPDIR:?}"/* "$WORLD/other"
}

# build WORD...: $TMPDIR/log has the output.
build()
{
	holm build -t built "$@" . >"$TMPDIR/digest" 2>"$TMPDIR/log" || { cat "$TMPDIR/log" >&2; return 1; }
}

# elsewhere WORD...: the same with another library, which is empty.
elsewhere()
{
	rm -rf "$WORLD/other"
	XDG_DATA_HOME=$WORLD/other build "$@"
}

cached()
{
	grep -c CACHED "$TMPDIR/log" || true
}

# config JQ: changes the records of $CACHE, and all digests that follow from that.
config()
{
	local manifest records
	manifest=$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$CACHE/index.json")
	records=$(jq -r '.config.digest | ltrimstr("sha256:")' "$CACHE/blobs/sha256/$manifest")
	jq -c "$1" "$CACHE/blobs/sha256/$records" >"$TMPDIR/records"
	cp "$TMPDIR/records" "$CACHE/blobs/sha256/$(sha256sum <"$TMPDIR/records" | cut -d' ' -f1)"
	jq -c --arg d "sha256:$(sha256sum <"$TMPDIR/records" | cut -d' ' -f1)" '.config.digest = $d' "$CACHE/blobs/sha256/$manifest" >"$TMPDIR/manifest"
	cp "$TMPDIR/manifest" "$CACHE/blobs/sha256/$(sha256sum <"$TMPDIR/manifest" | cut -d' ' -f1)"
	jq -c --arg d "sha256:$(sha256sum <"$TMPDIR/manifest" | cut -d' ' -f1)" '.manifests[0].digest = $d' "$CACHE/index.json" >"$TMPDIR/index"
	cp "$TMPDIR/index" "$CACHE/index.json"
}

@test "a folder: another library finds the steps by what they are made of" {
	export SOURCE_DATE_EPOCH=1
	build --cache-to type=local,dest="$CACHE",mode=max
	equal 0 "$(cached)"
	skopeo inspect --raw "oci:$CACHE" | jq -e '.layers | length == 4' >/dev/null
	elsewhere --cache-from type=local,src="$CACHE"
	equal 4 "$(cached)"
	equal "$(holm image inspect built | jq -r '.[0].digest')" "$(cat "$TMPDIR/digest")"
	# They are there for the next build, too; a changed file is another step.
	XDG_DATA_HOME=$WORLD/other build
	equal 4 "$(cached)"
	touch -d 2001-01-01 one/file
	echo other >two/file
	elsewhere --cache-from type=local,src="$CACHE"
	equal 1 "$(cached)"
	# The least has the layers of the image alone.
	rm -rf "$CACHE"
	build --cache-to type=local,dest="$CACHE"
	elsewhere --cache-from type=local,src="$CACHE"
	equal 2 "$(cached)"
}

@test "an image has its steps by --cache-to type=inline" {
	build --cache-to type=inline
	holm image save --progress none -o "$TMPDIR/built.tar" built
	mkdir "$WORLD/other"
	XDG_DATA_HOME=$WORLD/other holm image load --progress none "$TMPDIR/built.tar"
	XDG_DATA_HOME=$WORLD/other build --cache-from type=registry,ref=localhost/built
	equal 2 "$(cached)"
	holm build -t plain . 2>/dev/null
	build --cache-from localhost/plain
	contains "$(cat "$TMPDIR/log")" 'warning: --cache-from localhost/plain: the image has no cache'
}

@test "a cache is hostile: what is wrong with it is a warning, and the step is made" {
	local layer
	build --cache-to type=local,dest="$CACHE",mode=max
	cp -r "$CACHE" "$TMPDIR/good"
	layer=$(tar -c -C one file | tee "$TMPDIR/other.tar" | sha256sum | cut -d' ' -f1)
	cp "$TMPDIR/other.tar" "$CACHE/blobs/sha256/$layer"
	# Another layer under that name, and one that is another archive inside.
	config ".records[] |= if .digest then .diffId = \"sha256:$(printf '%064d' 0)\" else . end"
	elsewhere --cache-from type=local,src="$CACHE"
	equal 0 "$(cached)"
	contains "$(cat "$TMPDIR/log")" 'warning: a layer of --cache-from is of no use'
	rm -rf "$CACHE" && cp -r "$TMPDIR/good" "$CACHE"
	for layer in "$CACHE"/blobs/sha256/*; do
		[ "$(head -c 1 "$layer")" = '{' ] || printf damaged | dd of="$layer" bs=1 seek=20 conv=notrunc status=none
	done
	elsewhere --cache-from type=local,src="$CACHE"
	equal 0 "$(cached)"
	rm -rf "$CACHE" && cp -r "$TMPDIR/good" "$CACHE"
	for layer in "$CACHE"/blobs/sha256/*; do
		[ "$(head -c 1 "$layer")" = '{' ] || ln -sf /dev/zero "$layer"
	done
	elsewhere --cache-from type=local,src="$CACHE"
	equal 0 "$(cached)"
	rm -rf "$CACHE" && cp -r "$TMPDIR/good" "$CACHE"
	config '.records |= map(if .digest then .size = 18446744073709551615 else . end)'
	elsewhere --cache-from type=local,src="$CACHE"
	equal 0 "$(cached)"
	rm -rf "$CACHE" && cp -r "$TMPDIR/good" "$CACHE"
	config '.records |= map(if .digest then .mediaType |= sub("gzip"; "zstd") else . end)'
	elsewhere --cache-from type=local,src="$CACHE"
	equal 0 "$(cached)"
	contains "$(cat "$TMPDIR/log")" 'the bytes are gzip, the type is zstd'
	rm -rf "$CACHE" && cp -r "$TMPDIR/good" "$CACHE"
	config '.records[0].size = 99999999999999'
	config '.records[1].key = "../../x"'
	elsewhere --cache-from type=local,src="$CACHE"
	contains "$(cat "$TMPDIR/log")" 'warning: --cache-from type=local,src='
	printf '{"manifests":[{"digest":"sha256:../../../../etc/passwd"}]}' >"$CACHE/index.json"
	elsewhere --cache-from type=local,src="$CACHE"
	contains "$(cat "$TMPDIR/log")" 'it is no cache of builds'
	elsewhere --cache-from type=local,src=/nowhere
	contains "$(cat "$TMPDIR/log")" 'warning: --cache-from type=local,src=/nowhere'
	equal '' "$(find "$WORLD/other/holm/images" -maxdepth 1 -name 'unpacked-*')"
}

# is_old FILE: it was changed more than two seconds ago, so that its digest is kept.
is_old()
{
	[ $(($(date +%s%N) - $(date -d "$(stat -c %z "$1")" +%s%N))) -gt 2000000000 ]
}

# opened: the files of the context that the last build read.
opened()
{
	sed -n 's/.*openat2([0-9]*, "\(\(one\|two\)\/[^"]*\)", .*/\1/p' "$TMPDIR/trace" | sort -u | tr '\n' ' '
}

@test "of the context's files only those that changed are read again" {
	requires strace
	cp one/file one/more
	until_true 30 is_old one/more
	strace -f -e trace=openat2 -o "$TMPDIR/trace" holm build -t built . 2>/dev/null
	equal 'one/file one/more two/file ' "$(opened)"
	echo other >two/file
	strace -f -e trace=openat2 -o "$TMPDIR/trace" holm build -t built . 2>/dev/null
	equal 'two/file ' "$(opened)"
	# One that is as big, and as old by its own times, is another one.
	touch -r one/more "$TMPDIR/stamp"
	echo eno >one/new && touch -r "$TMPDIR/stamp" one/new && mv one/new one/more
	strace -f -e trace=openat2 -o "$TMPDIR/trace" holm build -t built . 2>"$TMPDIR/log"
	contains "$(opened)" 'one/more '
	equal 2 "$(cached)"
}

@test "the layers below a COPY are read once" {
	requires strace
	local images=$XDG_DATA_HOME/holm/images layers
	mkdir -p tree/usr/lib tree/etc
	ln -s usr/lib tree/lib
	echo 'app:x:7:8::/:/bin/sh' >tree/etc/passwd
	head -c 2M /dev/urandom >tree/big
	printf 'FROM scratch\nCOPY tree /\nCOPY --chown=app one/file /lib/new\n' >Dockerfile
	build
	echo again >one/file
	strace -f -e trace=openat -o "$TMPDIR/trace" holm build -t built . 2>/dev/null
	mapfile -t layers < <(holm image inspect built | jq -r '.[0].manifest.layers[].digest | ltrimstr("sha256:")')
	equal 0 "$(grep -c "\"${layers[0]}\"" "$TMPDIR/trace")"
	contains "$(tar -tvz --numeric-owner -f "$images/blobs/sha256/${layers[1]}")" '-rw-r--r-- 7/8'
	contains "$(tar -tz -f "$images/blobs/sha256/${layers[1]}")" usr/lib/new
	[ -e "$images/build/outline-${layers[0]}" ]
	# COPY --from has the digests of their files, too.
	printf 'FROM scratch AS one\nCOPY tree /\nCOPY one/file /new\nFROM scratch\nCOPY --from=one new etc/passwd /to/\n' >Dockerfile
	build
	echo third >one/file
	strace -f -e trace=openat -o "$TMPDIR/trace" holm build -t again -o type=tar,dest="$TMPDIR/tar" -o type=image . 2>/dev/null
	equal 1 "$(grep -c "/${layers[0]}\"\|\"${layers[0]}\"" "$TMPDIR/trace")" # for the bytes of passwd
	equal third "$(tar -xOf "$TMPDIR/tar" to/new)"
	equal 'app:x:7:8::/:/bin/sh' "$(tar -xOf "$TMPDIR/tar" to/passwd)"
	rm "$TMPDIR/tar"
	[ -e "$images/build/digests-${layers[0]}" ]
	# The bytes count: another file below makes another layer.
	echo fourth >tree/etc/passwd
	build
	tar -xzOf "$images/blobs/sha256/$(holm image inspect built | jq -r '.[0].manifest.layers[0].digest | ltrimstr("sha256:")')" to/passwd | grep -q fourth
	# Outlines and digests go with their layer.
	holm image rm built again
	find "$images/build" -type f ! -name 'outline-*' ! -name 'digests-*' -delete
	holm image prune >/dev/null
	equal '' "$(find "$images/build" -name "*-${layers[0]}")"
}

@test "words of --cache-to and --cache-from that mean nothing are errors" {
	local word
	for word in type=local type=s3,bucket=x type=inline,mode=max type=local,dest=x,mode=some dest=x; do
		! holm build --cache-to "$word" . 2>"$TMPDIR/log" || return 1
		contains "$(cat "$TMPDIR/log")" 'write type=inline, or type=local,dest=DIR'
	done
	for word in type=local type=local,ref=x type=registry,src=x type=gha src=x; do
		! holm build --cache-from "$word" . 2>"$TMPDIR/log" || return 1
		contains "$(cat "$TMPDIR/log")" 'write type=local,src=DIR'
	done
}
