#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# holm build: --output, --metadata-file, --build-context, --check. COPY alone needs no machine.
load ../lib/holm

setup_file()
{
	holm_begin empty
}

teardown_file()
{
	holm_end
}

setup()
{
	CONTEXT=$WORLD/context
	mkdir -p "$CONTEXT"
	cd "$CONTEXT" || return 1
}

teardown()
{
	cd /
	holm image ls -q | sort -u | xargs -r holm image rm >/dev/null 2>&1
	rm -rf "$CONTEXT" "${TMPDIR:?}"/*
}

# build [option]...: the Dockerfile is on standard input. $TMPDIR/log has what it says.
build()
{
	cat >"$TMPDIR/Dockerfile"
	holm build -f "$TMPDIR/Dockerfile" "$@" . 2>"$TMPDIR/log" || { cat "$TMPDIR/log" >&2; return 1; }
}

# fails TEXT [option]...: the same for a build that fails and says this.
fails()
{
	local text=$1
	shift
	cat >"$TMPDIR/Dockerfile"
	! holm build -f "$TMPDIR/Dockerfile" "$@" . >"$TMPDIR/out" 2>"$TMPDIR/log" || return 1
	contains "$(cat "$TMPDIR/out" "$TMPDIR/log")" "$text"
}

# with_files: two layers, a link, a deleted file, a set-id bit.
with_files()
{
	mkdir -p dir/sub
	echo one >dir/one
	echo two >dir/sub/two
	ln -s ../one dir/sub/link
	chmod 4755 dir/one
	cat <<-'END'
		FROM scratch AS below
		COPY dir /top
		FROM below
		COPY --chmod=640 dir/one /top/sub/two
	END
}

@test "--output local and tar: the files of the image, the caller's" {
	with_files >"$TMPDIR/df"
	build -o "$TMPDIR/out" <"$TMPDIR/df" >"$TMPDIR/digest"
	equal '' "$(cat "$TMPDIR/digest")"
	equal 'top 755;top/one 755;top/sub 755;top/sub/link 777;top/sub/two 640;' \
		"$(cd "$TMPDIR/out" && find . -mindepth 1 -printf '%P %m;\n' | sort | tr -d '\n')"
	equal 'one ../one' "$(cat "$TMPDIR/out/top/sub/two") $(readlink "$TMPDIR/out/top/sub/link")"
	[ -O "$TMPDIR/out/top/one" ]
	equal '' "$(holm image ls -q)"
	build -o - <"$TMPDIR/df" | tar -t | sort >"$TMPDIR/names"
	equal 'top/ top/one top/sub/ top/sub/link top/sub/two' "$(paste -sd ' ' "$TMPDIR/names")"
	build --output type=tar,dest="$TMPDIR/files.tar" --output type=image,name=both -t named <"$TMPDIR/df" >/dev/null
	tar -xOf "$TMPDIR/files.tar" top/sub/two | grep -q one
	holm image inspect both named >/dev/null
	# No symlink in the directory leads out of it.
	mkdir "$TMPDIR/trap" "$TMPDIR/elsewhere"
	ln -s "$TMPDIR/elsewhere" "$TMPDIR/trap/top"
	build -o "$TMPDIR/trap" <"$TMPDIR/df" >/dev/null || true
	equal '' "$(ls -A "$TMPDIR/elsewhere")"
	build -o type=tar <<<'FROM scratch' | tar -t >"$TMPDIR/names"
	equal '' "$(cat "$TMPDIR/names")"
}

@test "--output oci and docker: archives with the names; --metadata-file, --iidfile" {
	with_files >"$TMPDIR/df"
	build -t my/box:1 -o type=oci,dest="$TMPDIR/oci.tar" --metadata-file "$TMPDIR/meta" --iidfile "$TMPDIR/iid" <"$TMPDIR/df" >/dev/null
	equal '' "$(holm image ls -q)"
	equal "$(cat "$TMPDIR/iid")" "$(tar -xOf "$TMPDIR/oci.tar" index.json | jq -r '.manifests[0].digest')"
	equal "$(cat "$TMPDIR/iid") application/vnd.oci.image.manifest.v1+json localhost/my/box:1" \
		"$(jq -r '"\(.["containerimage.digest"]) \(.["containerimage.descriptor"].mediaType) \(.["image.name"])"' "$TMPDIR/meta")"
	build -t my/box:1 -o type=docker,dest=- <"$TMPDIR/df" | tar -xO manifest.json | jq -e '.[0].RepoTags[0] | endswith("my/box:1")'
	build -t my/box:1 -o type=oci,tar=false,dest="$TMPDIR/layout" <"$TMPDIR/df" >/dev/null
	[ -e "$TMPDIR/layout/oci-layout" ]
	build -t here -o type=docker <"$TMPDIR/df" >/dev/null
	holm image inspect here >/dev/null
	fails 'there are image, registry, local, tar, oci and docker' -o type=cacheonly <"$TMPDIR/df"
	fails 'type=local needs dest=PATH' -o type=local <"$TMPDIR/df"
	fails 'layers of a build are gzip' -o type=oci,compression=zstd,dest=x <"$TMPDIR/df"
	fails 'has no "squashed=true"' -o type=oci,squashed=true,dest=x <"$TMPDIR/df"
	fails 'the image has no name; write --tag' -o type=image,push=true <"$TMPDIR/df"
	fails '"localhost/here:latest" has no registry in its name' -o type=registry,name=here <"$TMPDIR/df"
	fails 'push=true is for type=image' -o type=oci,push=true,dest=x <"$TMPDIR/df"
	fails 'takes one archive' -o - -o type=oci,dest=- <"$TMPDIR/df"
}

@test "options of Docker's builders: those without effect, those that are errors" {
	local option
	with_files >"$TMPDIR/df"
	build -t accepted --load --rm --force-rm=false --compress --disable-content-trust -D --provenance=false --sbom false \
		--attest type=provenance,disabled=true --allow network.host --builder default --isolation=default --call build \
		--no-cache=false --pull=false --quiet=false --check=false --push=false --squash=false <"$TMPDIR/df" >/dev/null
	holm image inspect accepted >/dev/null
	equal "$(holm buildx build -q -f "$TMPDIR/df" .)" "$(holm builder build -q -f "$TMPDIR/df" .)"
	fails 'an image of one platform' --platform linux/amd64,linux/arm64 <"$TMPDIR/df"
	BUILDKIT_PROGRESS=quiet build <"$TMPDIR/df" >/dev/null
	equal '' "$(cat "$TMPDIR/log")"
	for option in --provenance=mode=max --sbom=true --attest=type=sbom --allow=security.insecure --builder=mine --isolation=hyperv \
		--security-opt=seccomp=unconfined --squash; do
		fails "$option" "$option" <"$TMPDIR/df"
	done
	fails 'write a size such as 512M' --memory=much <"$TMPDIR/df"
	fails 'write a number' --cpu-shares=x <"$TMPDIR/df"
	BUILDKIT_PROGRESS=odd fails 'BUILDKIT_PROGRESS: there are auto' <"$TMPDIR/df"
	fails 'has no registry in its name' --push -t here <"$TMPDIR/df"
	fails '--check and --call outline exclude each other' --check --call outline <"$TMPDIR/df"
	fails 'MaintainerDeprecated' --call=check <<<$'FROM scratch\nMAINTAINER x'
}

@test "COPY: modes in words, and the division of --parents" {
	mkdir -p a/b/c
	echo x >a/b/c/x
	chmod 600 a/b/c/x
	cat >"$TMPDIR/df" <<-'END'
		FROM scratch
		COPY --chmod=u=rwX,go=rX a/b /words
		COPY --chmod=a+x,g-r a/b/c/x /x
		COPY --parents ./a/./b/c/x /one/
		COPY --parents ./a/b/c/x /two/
	END
	build -o "$TMPDIR/tree" <"$TMPDIR/df" >/dev/null
	equal 'one 755;one/b 755;one/b/c 755;one/b/c/x 600;two 755;two/a 755;two/a/b 755;two/a/b/c 755;two/a/b/c/x 600;words 755;words/c 755;words/c/x 644;x 711;' \
		"$(cd "$TMPDIR/tree" && find . -mindepth 1 -printf '%P %m;\n' | sort | tr -d '\n')"
	fails 'write a mode such as 755 or u=rwX,go=rX' <<<$'FROM scratch\nCOPY --chmod=u~x a /'
	fails 'write a mode such as' <<<$'FROM scratch\nCOPY --chmod=999 a /'
}

@test "the same bytes twice with SOURCE_DATE_EPOCH, from another folder too" {
	with_files >"$TMPDIR/df"
	SOURCE_DATE_EPOCH=1700000000 build -t same -o type=oci,dest="$TMPDIR/a.tar" --no-cache <"$TMPDIR/df" >/dev/null
	mkdir other
	cp -a dir other
	find other -exec touch -h -d '3 days ago' {} +
	cd other || return 1
	holm builder prune -af >/dev/null
	SOURCE_DATE_EPOCH=1700000000 build -t same -o type=oci,dest="$TMPDIR/b.tar" --no-cache --iidfile "$TMPDIR/digest" <"$TMPDIR/df" >/dev/null
	cmp "$TMPDIR/a.tar" "$TMPDIR/b.tar"
	equal "$(cat "$TMPDIR/digest")" "$(build -t same --build-arg SOURCE_DATE_EPOCH=1700000000 --iidfile "$TMPDIR/other" <"$TMPDIR/df" >/dev/null && cat "$TMPDIR/other")"
	tar -xOf "$TMPDIR/a.tar" "$(tar -t -f "$TMPDIR/a.tar" | grep blobs/sha256/. | head -1)" >/dev/null
}

@test "--build-context: directories, other images, layouts" {
	mkdir -p "$TMPDIR/second/deep"
	echo second >"$TMPDIR/second/deep/file"
	echo out >"$TMPDIR/second/hidden"
	echo hidden >"$TMPDIR/second/.dockerignore"
	ln -s /etc "$TMPDIR/second/etc"
	cat >"$TMPDIR/df" <<-'END'
		FROM base
		COPY --from=more deep /deep
		COPY --from=more etc /link
	END
	echo base >base
	build -t real <<<$'FROM scratch\nCOPY base /base\n' >/dev/null
	holm image save --progress none --format oci-dir -o "$TMPDIR/layout" real
	build --build-context base=docker-image://real --build-context more="$TMPDIR/second" -o "$TMPDIR/one" <"$TMPDIR/df" >/dev/null
	equal 'base second /etc' "$(cat "$TMPDIR/one/base" "$TMPDIR/one/deep/file" | paste -sd ' ') $(readlink "$TMPDIR/one/link")"
	holm image rm real >/dev/null
	build --build-context base=oci-layout://"$TMPDIR/layout" --build-context more="$TMPDIR/second" -o "$TMPDIR/two" <"$TMPDIR/df" >/dev/null
	diff -r "$TMPDIR/one" "$TMPDIR/two"
	equal '' "$(holm image ls -q)"
	fails 'left out by .dockerignore' --build-context more="$TMPDIR/second" <<<$'FROM scratch\nCOPY --from=more hidden /'
	fails 'is not in the context' --build-context more="$TMPDIR/second" <<<$'FROM scratch\nCOPY --from=more etc/passwd /'
	fails 'is a directory; FROM needs an image' --build-context more="$TMPDIR/second" <<<'FROM more'
	fails 'write NAME=' --build-context more <<<'FROM scratch'
	# A changed file counts.
	echo changed >"$TMPDIR/second/deep/file"
	build --build-context more="$TMPDIR/second" -o "$TMPDIR/three" <<<$'FROM scratch\nCOPY --from=more deep /deep' >/dev/null
	equal changed "$(cat "$TMPDIR/three/deep/file")"
}

@test "--no-cache-filter builds the steps of a stage again" {
	echo x >x
	cat >"$TMPDIR/df" <<-'END'
		FROM scratch AS one
		COPY x /x
		FROM scratch AS two
		COPY x /y
		FROM scratch
		COPY --from=one /x /x
		COPY --from=two /y /y
	END
	build <"$TMPDIR/df" >/dev/null
	build --no-cache-filter one <"$TMPDIR/df" >/dev/null
	equal 3 "$(grep -c CACHED "$TMPDIR/log")"
	build --no-cache-filter one,two <"$TMPDIR/df" >/dev/null
	equal 2 "$(grep -c CACHED "$TMPDIR/log")"
	fails 'no stage "thre"' --no-cache-filter thre <"$TMPDIR/df"
}

@test "--check and # check=: warnings, errors, rules that are left out" {
	touch file
	printf 'FROM scratch AS Base\nCOPY file /$nothing\nCMD x\n' >"$TMPDIR/df"
	fails 'Check complete, 3 warnings have been found!' --check <"$TMPDIR/df"
	contains "$(cat "$TMPDIR/out")" 'WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/'
	contains "$(cat "$TMPDIR/out")" "Usage of undefined variable '\$nothing'"
	contains "$(cat "$TMPDIR/out")" '   3 | >>> CMD x'
	contains "$(cat "$TMPDIR/log")" 'lint violation found for rules: StageNameCasing, UndefinedVar, JSONArgsRecommended'
	equal '' "$(holm image ls -q)"
	equal 'Check complete, no warnings found.' "$(build --check <<<'FROM scratch')"
	# An ordinary build says them at its end.
	build <"$TMPDIR/df" >/dev/null
	contains "$(cat "$TMPDIR/log")" "warning: StageNameCasing: Stage name 'Base' should be lowercase (line 1)"
	{ echo '# check=skip=StageNameCasing,UndefinedVar,JSONArgsRecommended;error=true'; cat "$TMPDIR/df"; } | build >/dev/null
	! grep -q warning "$TMPDIR/log" || return 1
	{ echo '# check=error=true'; cat "$TMPDIR/df"; } | fails 'lint violation found for rules: StageNameCasing'
	! grep -q "COPY.*DONE" "$TMPDIR/log" || return 1
	echo file >.dockerignore
	printf '# check=experimental=CopyIgnoredFile\nFROM scratch\nCOPY file /\n' | fails 'excluded by .dockerignore' --check
	printf '# check=skip=Nothing\nFROM scratch\n' | fails 'no rule "Nothing"'
}

@test "--call: the stages, and the arguments and secrets of a target" {
	cat >"$TMPDIR/df" <<-'END'
		# syntax=docker/dockerfile:1
		# VERSION is the version
		#   of all
		ARG VERSION=1
		ARG BASE
		# base makes the tool
		FROM scratch AS base
		ARG VERSION
		ARG MODE=fast-$VERSION
		RUN --mount=type=secret,id=token,required --mount=type=secret,target=/x/y --mount=type=ssh --mount=type=cache,target=/c make
		FROM scratch AS unused
		ARG NOBODY
		FROM scratch AS Last
		COPY --from=base / /
	END
	equal 'TARGET           DESCRIPTION;base             makes the tool;unused           ;last (default)   ;' \
		"$(build --call targets <"$TMPDIR/df" | tr '\n' ';')"
	equal 'TARGET:   last;;BUILD ARG   VALUE    DESCRIPTION;VERSION     2        is the version of all;BASE                 ;MODE        fast-2   ;;SECRET   REQUIRED;token    true;/x/y     ;;SSH       REQUIRED;default   ;' \
		"$(build --call=outline --build-arg VERSION=2 <"$TMPDIR/df" | tr '\n' ';')"
	equal 'TARGET:        base DESCRIPTION:   makes the tool' "$(build --call outline --target base <"$TMPDIR/df" | head -n 2 | tr '\n' ' ' | sed 's/ $//')"
	equal '["VERSION=1","BASE=null","MODE=fast-1"] [{"ID":"/c"}]' \
		"$(build --call outline,format=json <"$TMPDIR/df" | jq -r '([.args[] | "\(.name)=\(.value)"] | tojson) + " " + (.cache | tojson)')"
	equal 'last scratch true' "$(build --call targets,format=json <"$TMPDIR/df" | jq -r '.targets[2] | "\(.name) \(.base) \(.default)"')"
	fails '' --call check,format=json <"$TMPDIR/df"
	equal 'StageNameCasing 13' "$(jq -r '.warnings[] | "\(.ruleName) \(.location.ranges[0].start.line)"' "$TMPDIR/out")"
	fails 'outline' --call nothing <"$TMPDIR/df"
	equal '' "$(holm image ls -q)"
}
