# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Builds: holm's in a native machine, and Debian's buildah, rootless, of the same Dockerfile, base
# and context. Library, storage and context lie on one freshly made file system, since ext4 makes
# files many times slower for minutes after many were deleted.

build_words=()
buildah_words=()

# build_begin: the file system, the machine, the base in both stores. Sets `why` if buildah is
# left out.
build_begin()
{
	fresh || exit 1
	export XDG_DATA_HOME=$work/fresh/data
	as_user mkdir -p "$XDG_DATA_HOME" "$work/fresh/context"
	cd "$work/fresh/context" || exit 1
	native_machine build busybox
	as_user holm machine start build >/dev/null 2>&1 || exit 1
	build_words=("${user_words[@]}" holm build -n build --progress plain)
	buildah_words=("${user_words[@]}" buildah bud --layers --pull-never)
	why=
	installed buildah buildah >"$work/why" || { why=$(cat "$work/why"); return; }
	as_user mkdir -p "$XDG_CONFIG_HOME/containers"
	printf '[storage]\ndriver = "overlay"\nrunroot = "%s"\ngraphroot = "%s"\n' "$XDG_RUNTIME_DIR/containers" \
		"$XDG_DATA_HOME/containers/storage" >"$XDG_CONFIG_HOME/containers/storage.conf"
	as_user buildah pull "oci-archive:$(archive busybox)" >"$work/pulled" 2>"$work/try.err" </dev/null || { why=$(reason); return; }
	as_user buildah tag "$(tail -n 1 "$work/pulled")" docker.io/library/busybox:test >/dev/null 2>&1 </dev/null
}

build_end()
{
	as_user holm machine rm --force build >/dev/null 2>&1
	[ -n "$why" ] || as_user buildah unshare rm -rf "$XDG_DATA_HOME/containers" >/dev/null 2>&1 </dev/null
	podman_pause_end
	cd "$HOME" || exit 1
	remove_tree "$XDG_DATA_HOME"
}

# builds WHAT ROUNDS HOLM-AIM-US [--no-cache]: both in turn, the first round is not counted.
builds()
{
	local what=$1 n more=() aim=$3
	[ $# -lt 4 ] || more=("$4")
	sides_begin
	try_once "$what" holm "${build_words[@]}" "${more[@]}" -t bench . || return
	[ -n "$why" ] || try_once "$what" buildah "${buildah_words[@]}" "${more[@]}" -t bench . || why="it failed"
	for n in $(seq "$2"); do
		change "$n"
		sample holm "${build_words[@]}" "${more[@]}" -t bench .
		[ -n "$why" ] || sample buildah "${buildah_words[@]}" "${more[@]}" -t bench .
	done
	if measured buildah; then
		beside "$what" buildah "buildah bud --layers" p50 "${aim:+$(at_most p50 "$(of holm p50)" "$aim")}"
	else
		row "$what, p50 of $(of holm count)" "$(ms "$(of holm p50)")" "" "" "" "${aim:+$(at_most p50 "$(of holm p50)" "$aim")}"
		skipped "$what" "buildah bud --layers" "$why"
	fi
}

# change N: what is new in the context of this round.
change()
{
	:
}

bench_build()
{
	local why n
	build_begin
	as_user tee one two >/dev/null <<<"file"
	as_user tee Dockerfile >/dev/null <<-'END'
		FROM docker.io/library/busybox:test
		RUN echo 1 >/1
		RUN echo 2 >/2
		COPY one /one
		RUN echo 3 >/3
		ENV A=1
		WORKDIR /work
		RUN echo 4 >/4
		COPY two /two
		CMD ["true"]
	END
	builds "build: nothing changed, 10 steps" $((rounds * 4)) 50000
	as_user tee Dockerfile >/dev/null <<-'END'
		FROM docker.io/library/busybox:test
		RUN echo 1 >/1
		RUN echo 2 >/2
		RUN echo 3 >/3
		COPY one /one
	END
	builds "build: 3 RUN and a COPY, no cache" "$rounds" 250000 --no-cache
	as_user sh -c 'mkdir files && cd files && for d in $(seq 100); do mkdir $d && for f in $(seq 500); do echo $d $f >$d/$f; done; done'
	as_user tee Dockerfile >/dev/null <<<$'FROM scratch\nCOPY files /files'
	builds "build: COPY of 50 000 files, no cache" 3 "" --no-cache
	rm -rf files
	# The digests of files that are two seconds old are kept.
	as_user sh -c 'mkdir big && for f in $(seq 64); do head -c 16M /dev/urandom >big/$f; done; echo 0 >changed; touch -d yesterday big/*; sleep 3'
	as_user tee Dockerfile >/dev/null <<<$'FROM scratch\nCOPY big /big\nCOPY changed /changed'
	change()
	{
		as_user tee changed >/dev/null <<<"$1"
	}
	builds "build: 1 GiB of context, one small file changed" "$rounds" ""
	build_end
}
