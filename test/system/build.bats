#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# holm build: from a Dockerfile and a context to an image. RUN needs the machine "box".
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
	mkdir "$WORLD/context"
}

teardown_file()
{
	holm_end
}

setup()
{
	CONTEXT=$WORLD/context/$BATS_TEST_NUMBER
	mkdir -p "$CONTEXT"
	cd "$CONTEXT" || return 1
}

teardown()
{
	cd /
	rm -rf "$CONTEXT" "${TMPDIR:?}"/*
}

# build NAME [option]...: the Dockerfile is on standard input. $TMPDIR/log has the output.
build()
{
	local name=$1
	shift
	cat >Dockerfile
	holm build -t "$name" "$@" . >"$TMPDIR/digest" 2>"$TMPDIR/log" || { cat "$TMPDIR/log" >&2; return 1; }
}

# fails TEXT [option]...: the same for a build that fails and says this; it leaves no image.
fails()
{
	local text=$1
	shift
	cat >Dockerfile
	! holm build -t failed "$@" . 2>"$TMPDIR/log" || return 1
	contains "$(cat "$TMPDIR/log")" "$text"
	! holm image inspect failed 2>/dev/null
}

# config NAME JQ: of the image's configuration.
config()
{
	holm image inspect "$1" | jq -c ".[0].config.config | $2"
}

# changes NAME [BASE]: the paths in which the image differs from its base.
changes()
{
	holm image diff "${2-busybox:test}" "$1" | tr '\n' ';'
}

# listing NAME: mode, owner, path and target of each file of an image of COPY alone.
listing()
{
	local layer
	rm -rf "$TMPDIR/saved"
	holm image save --progress none --format oci-dir -o "$TMPDIR/saved" "$1"
	for layer in $(holm image inspect "$1" | jq -r '.[0].manifest.layers[].digest'); do
		tar -tvz --numeric-owner -f "$TMPDIR/saved/blobs/sha256/${layer#sha256:}"
	done | awk '{ $3 = $4 = $5 = ""; print }' | tr -s ' '
}

@test "the configuration is what the instructions say" {
	build conf --label given=1 --build-arg VERSION=2 --annotation note=x <<-'END'
		FROM busybox:test
		ARG VERSION=1 OTHER=o
		ENV A=1 B="two words" C=$A-${D:-d} V=$VERSION$OTHER
		LABEL one=1 "two words"='x y'
		USER 1000:1000
		WORKDIR /srv
		WORKDIR app
		EXPOSE 80 53/udp 7000-7001
		VOLUME /data /$A
		STOPSIGNAL SIGQUIT
		SHELL ["/bin/sh", "-ec"]
		HEALTHCHECK --interval=1m30s --retries=2 CMD wget -q localhost
		CMD echo $A
		MAINTAINER someone
	END
	equal '["A=1","B=two words","C=-d","V=2o"]' "$(config conf '.Env[-4:]')"
	equal '{"given":"1","one":"1","two words":"x y"}' "$(config conf .Labels | jq -cS .)"
	equal '["1000:1000","/srv/app","SIGQUIT",["/bin/sh","-ec"],["/bin/sh","-ec","echo $A"]]' \
		"$(config conf '[.User, .WorkingDir, .StopSignal, .Shell, .Cmd]')"
	equal '["53/udp","7000/tcp","7001/tcp","80/tcp"]["/1","/data"]' \
		"$(config conf '.ExposedPorts | keys')$(config conf '.Volumes | keys')"
	equal '{"Test":["CMD-SHELL","wget -q localhost"],"Interval":90000000000,"Retries":2}' "$(config conf .Healthcheck)"
	equal 'someone LABEL one=1 "two words"='\''x y'\' \
		"$(holm image inspect conf | jq -r '.[0].config | "\(.author) \(.history[] | .created_by | select(startswith("LABEL")))"')"
	equal x "$(holm image inspect conf | jq -r '.[0].manifest.annotations.note')"
	equal 'A /srv/app;' "$(changes conf)"

	# An entry point makes the CMD of the base meaningless, and not the stage's own.
	build entry <<<$'FROM conf\nENTRYPOINT ["/bin/echo"]'
	equal '[["/bin/echo"],null]' "$(config entry '[.Entrypoint, .Cmd]')"
	build entry <<<$'FROM conf\nCMD a\nENTRYPOINT x\nHEALTHCHECK NONE'
	equal '[["/bin/sh","-ec","x"],["/bin/sh","-ec","a"],["NONE"]]' "$(config entry '[.Entrypoint, .Cmd, .Healthcheck.Test]')"

	# ONBUILD waits for the next image.
	build trigger <<<$'FROM busybox:test\nONBUILD ENV T=1\nONBUILD WORKDIR /t'
	equal '["ENV T=1","WORKDIR /t"]' "$(config trigger .OnBuild)"
	build triggered <<<'FROM trigger'
	equal '["T=1","/t",null]' "$(config triggered '[.Env[-1], .WorkingDir, .OnBuild]')"
}

@test "COPY: directories, names, owners, modes, globs, symlinks as such" {
	mkdir -p dir/sub other
	echo 1 >dir/one
	echo 2 >dir/sub/two
	echo 3 >other/three.txt
	echo 4 >other/four.md
	ln -s ../../../etc/passwd dir/link
	chmod 750 dir/sub
	chmod 640 dir/one
	build copied <<-'END'
		FROM scratch
		WORKDIR /w
		COPY dir /to
		COPY dir/one dir/sub/two ./files/
		COPY --chown=5:6 --chmod=0711 dir/one renamed
		COPY --parents other/*.txt dir/./sub /p/
		COPY --exclude=sub dir /some
		COPY other/*.txt missing* /globbed/
		COPY --link dir/sub/t[vw]o /linked/
	END
	equal "$(cat <<-'END'
		drwxr-xr-x 0/0 w/
		drwxr-xr-x 0/0 to/
		lrwxrwxrwx 0/0 to/link -> ../../../etc/passwd
		-rw-r----- 0/0 to/one
		drwxr-x--- 0/0 to/sub/
		-rw-r--r-- 0/0 to/sub/two
		drwxr-xr-x 0/0 w/
		drwxr-xr-x 0/0 w/files/
		-rw-r----- 0/0 w/files/one
		-rw-r--r-- 0/0 w/files/two
		drwxr-xr-x 0/0 w/
		-rwx--x--x 5/6 w/renamed
		drwxr-xr-x 0/0 p/
		drwxr-xr-x 0/0 p/other/
		-rw-r--r-- 0/0 p/other/three.txt
		drwxr-x--- 0/0 p/sub/
		-rw-r--r-- 0/0 p/sub/two
		drwxr-xr-x 0/0 some/
		lrwxrwxrwx 0/0 some/link -> ../../../etc/passwd
		-rw-r----- 0/0 some/one
		drwxr-xr-x 0/0 globbed/
		-rw-r--r-- 0/0 globbed/three.txt
		drwxr-xr-x 0/0 linked/
		-rw-r--r-- 0/0 linked/two
	END
	)" "$(listing copied)"
}

@test "COPY --from: of stages and images, with their owners, through the symlinks in them" {
	echo a >a
	build staged --target last <<-'END'
		FROM busybox:test AS base
		COPY --chown=7:8 a /real/a
		RUN ln -s real /link && ln /real/a /real/b && ln -s /etc/passwd /real/out
		FROM nosuchimage AS unused
		FROM base AS second
		FROM scratch AS last
		COPY --from=base /link/a /one
		COPY --from=2 --chown=9 /real/ /two/
		COPY --from=busybox:test /bin/busybox /
	END
	equal "$(cat <<-'END'
		-rw-r--r-- 7/8 one
		drwxr-xr-x 9/9 two/
		lrwxrwxrwx 9/9 two/out -> /etc/passwd
		-rw-r--r-- 9/9 two/a
		hrw-r--r-- 9/9 two/b link to two/a
	END
	)" "$(listing staged | grep -v busybox)"
}

@test "ADD unpacks local archives; here-documents are files; names of users are the image's" {
	mkdir tree
	echo x >tree/x
	ln tree/x tree/y
	tar -czf a.tar.gz --owner=3 --group=4 tree
	tar -cJf b.tar.xz -C tree x
	build added <<-'END'
		FROM busybox:test AS base
		ARG FROM=b
		ADD a.tar.gz ${FROM}.tar.xz /u/
		COPY a.tar.gz /plain/
		COPY <<one <<"two" /docs/
		from $FROM
		one
		from $FROM
		two
		RUN cat /docs/* && echo someone:x:700:701::/: >>/etc/passwd
		COPY --chown=someone a.tar.gz /owned
		RUN stat -c '%u:%g' /owned /u/tree/x; [ /u/tree/x -ef /u/tree/y ]
	END
	contains "$(cat "$TMPDIR/log")" 'from b'
	contains "$(cat "$TMPDIR/log")" 'from $FROM'
	contains "$(cat "$TMPDIR/log")" '700:701'
	contains "$(cat "$TMPDIR/log")" '3:4'
	contains "$(changes added)" 'A /docs;A /docs/one;A /docs/two;'
	contains "$(changes added)" 'A /plain;A /plain/a.tar.gz;A /u;A /u/tree;A /u/tree/x;A /u/tree/y;A /u/x;'
}

@test "RUN: its changes are a layer, with deletions and owners; here-documents, directories, users" {
	build ran <<-'END'
		FROM busybox:test
		ENV GREETING="hello there"
		ARG SECOND=2
		RUN echo $GREETING $SECOND && echo world >/made && rm /etc/group && mkdir -p /a/b && touch /a/b/c
		RUN ["/bin/sh", "-c", "cat /made; chown 33:44 /made; chmod 4755 /made"]
		RUN true
		USER 1000
		WORKDIR /tmp
		RUN <<EOF
		echo "$(id -u) in $PWD"
		touch mine
		EOF
		RUN <<EOF
		#!/bin/busybox ash
		echo "interpreted by $0"
		EOF
		SHELL ["/bin/sh", "-uc"]
		RUN cat <<one && echo unset ${NOTHING-fine}
		first $GREETING
		one
		USER 0
		RUN mkdir /gone /opaque && touch /gone/x /opaque/x
		RUN rm -r /gone /opaque && mkdir /opaque && touch /opaque/y
	END
	local log
	log=$(cat "$TMPDIR/log")
	contains "$log" 'hello there 2'
	contains "$log" 'world'
	contains "$log" '1000 in /tmp'
	contains "$log" 'interpreted by /.holm-build-script'
	contains "$log" 'first hello there'
	contains "$log" 'unset fine'
	equal 'A /a;A /a/b;A /a/b/c;D /etc/group;A /made;A /opaque;A /opaque/y;' "$(changes ran | sed 's|[AC] /tmp[^;]*;||g')"
	equal '33:44 4755 1000' "$(docker run --rm ran stat -c '%u:%g %a' /made | tr '\n' ' ')$(docker run --rm ran stat -c %u /tmp/mine)"
	equal 5 "$(holm image inspect ran | jq '[.[0].config.history[] | select(.created_by | startswith("RUN")) | select(.empty_layer | not)] | length')"
	until_true 60 no_containers
}

@test "a second build makes nothing, whatever the times of files say; a change makes what follows" {
	local first
	mkdir src
	echo 1 >src/a
	echo 2 >src/b
	df='FROM busybox:test
COPY src /src
RUN echo ran >/ran
ENV X=1
COPY --from=0 /src/a /copy/
RUN cat /src/b
'
	df=${df/busybox:test/busybox:test AS one}
	df=${df/ENV X=1/ENV X=1$'\n'FROM one}
	build cached <<<"$df"
	first=$(cat "$TMPDIR/digest")
	touch -d '2 days ago' src/*
	build cached <<<"$df"
	equal "$first" "$(cat "$TMPDIR/digest")"
	equal 4 "$(grep -c CACHED "$TMPDIR/log")"
	build cached -q <<<"$df"
	equal "$first" "$(cat "$TMPDIR/digest")"
	equal '' "$(cat "$TMPDIR/log")"
	# The layers of all stages stay, also without a name.
	holm image prune >/dev/null
	echo 3 >src/b
	build cached <<<"$df"
	# The file that the second stage copies is the same; its base is not.
	equal 0 "$(grep -c CACHED "$TMPDIR/log")"
	contains "$(cat "$TMPDIR/log")" ' 3'
	build cached --no-cache <<<"$df"
	equal 0 "$(grep -c CACHED "$TMPDIR/log")"
}

@test "a step that fails says where, and names no image" {
	fails 'exit 7' <<-'END'
		FROM busybox:test
		RUN echo some output; \
		    exit 7
		CMD x
	END
	contains "$(cat "$TMPDIR/log")" 'some output'
	contains "$(cat "$TMPDIR/log")" '2 | >>> RUN echo some output'
	contains "$(cat "$TMPDIR/log")" 'Dockerfile:2: RUN echo some output'
	cp Dockerfile "$TMPDIR/again"
	fails 'some output' -q <"$TMPDIR/again"
	fails 'Dockerfile:2:1: unknown instruction "COPPY"; did you mean COPY?' <<<$'FROM busybox:test\nCOPPY a b'
	contains "$(cat "$TMPDIR/log")" '2 | >>> COPPY a b'
	fails '"absent" is not in the context' <<<$'FROM busybox:test\nCOPY absent /'
	fails 'ADD --checksum is for URLs' <<<$'FROM busybox:test\nADD --checksum=sha256:00 absent /'
	fails 'no stage "twoo"; did you mean two?' --target twoo <<<$'FROM busybox:test AS two'
	fails 'exit 127' <<<$'FROM busybox:test\nRUN nosuchprogram'
	fails 'the image is for linux/s390x, and this host is' --platform linux/s390x <<<$'FROM scratch\nCOPY Dockerfile /bin/sh\nRUN x'
	until_true 60 no_containers
}

@test ".dockerignore decides what there is; a link leads out of neither context nor stage" {
	mkdir -p node_modules/deep src
	touch node_modules/deep/keep node_modules/x src/a.o src/a.c
	ln -s / src/root
	ln -s /etc outside
	printf '%s\n' node_modules '!node_modules/deep/keep' '**/*.o' Dockerfile >.dockerignore
	build ignored <<<$'FROM scratch\nCOPY . /'
	equal '.dockerignore node_modules/ node_modules/deep/ node_modules/deep/keep outside src/ src/a.c src/root' \
		"$(listing ignored | awk '{ print $3 }' | tr '\n' ' ' | sed 's/ $//')"
	fails 'is left out by .dockerignore' <<<$'FROM scratch\nCOPY src/a.o /'
	fails 'is not in the context' <<<$'FROM scratch\nCOPY outside/passwd /'
	fails 'is not in the context' <<<$'FROM scratch\nCOPY ../../../../../../../../etc/passwd /'
	echo src >Dockerfile.dockerignore
	fails 'is left out by .dockerignore' <<<$'FROM scratch\nCOPY src/a.c /'
}

@test "a context on standard input: an archive, compressed or not, or a Dockerfile alone" {
	mkdir dir
	echo 1 >dir/file
	ln -s /etc dir/etc
	ln -s /etc/passwd Dockerfile.out
	printf 'FROM scratch\nCOPY dir /d\n' >Dockerfile
	printf 'FROM scratch\nCOPY dir/file /other\n' >Dockerfile.other
	tar -cz . | holm build -t streamed - 2>"$TMPDIR/log"
	equal 'd/ d/etc d/file ' "$(listing streamed | awk '{ print $3 }' | tr '\n' ' ')"
	tar -c . | holm build -t streamed -f Dockerfile.other - 2>"$TMPDIR/log"
	equal 'other ' "$(listing streamed | awk '{ print $3 }' | tr '\n' ' ')"
	echo 'FROM busybox:test' | holm build -t alone - 2>"$TMPDIR/log"
	equal '' "$(changes alone)"
	# The archive's symlinks lead to nothing of the host.
	! tar -c . | holm build -f Dockerfile.out - 2>"$TMPDIR/log" || return 1
	! tar -c . | holm build -f dir/etc/passwd - 2>"$TMPDIR/log" || return 1
	! grep -q root "$TMPDIR/log" || return 1
	equal '' "$(find "$XDG_DATA_HOME/holm/images" -maxdepth 1 -name 'unpacked-*')"
}

@test "POST /build: a docker client without BuildKit" {
	local out
	echo data >file
	echo file2 >.dockerignore
	touch file2
	cat >Dockerfile <<-'END'
		FROM busybox:test
		ARG A=1
		COPY . /in/
		RUN echo "A is $A" && ls /in && grep chosen /etc/hosts
		CMD cat /in/file
	END
	out=$(DOCKER_BUILDKIT=0 docker build -t classic -t my/classic:2 --build-arg A=2 --label l=1 --add-host chosen:10.1.2.3 . 2>&1)
	contains "$out" 'Step 1/5 : FROM busybox:test'
	contains "$out" 'Step 4/5 : RUN echo'
	contains "$out" 'A is 2'
	contains "$out" 'Successfully built '
	contains "$out" 'Successfully tagged classic:latest'
	contains "$out" 'Successfully tagged my/classic:2'
	equal data "$(docker run --rm my/classic:2)"
	equal 1 "$(docker image inspect classic --format '{{.Config.Labels.l}}')"
	out=$(DOCKER_BUILDKIT=0 docker build -t classic --build-arg A=2 --label l=1 --add-host chosen:10.1.2.3 . 2>&1)
	equal 2 "$(grep -c 'Using cache' <<<"$out")"
	contains "$(DOCKER_BUILDKIT=0 docker build -q --build-arg A=2 --add-host chosen:10.1.2.3 .)" sha256:
	printf 'FROM busybox:test\nRUN echo output; exit 3\n' >Dockerfile
	exits 3 env DOCKER_BUILDKIT=0 docker build -t never .
	contains "$stderr" "The command '/bin/sh -c echo output; exit 3' returned a non-zero code: 3"
	! docker image inspect never >/dev/null 2>&1 || return 1
	printf 'FROM busybox:test\nRUN echo "files: $(ulimit -n) $(ulimit -Hn)"\n' >Dockerfile
	contains "$(DOCKER_BUILDKIT=0 docker build --ulimit nofile=1000:1002 .)" 'files: 1000 1002'
	holm build --ulimit nofile=1001 . 2>"$TMPDIR/log" >/dev/null
	contains "$(cat "$TMPDIR/log")" 'files: 1001 1001'
	printf 'FROM busybox:test\nRUN echo "limit: $(cat /sys/fs/cgroup/memory.max)" name: $(hostname)\n' >Dockerfile
	out=$(DOCKER_BUILDKIT=0 docker build -m 64m --cgroup-parent below --build-arg BUILDKIT_SANDBOX_HOSTNAME=box1 .)
	contains "$out" 'name: box1'
	[[ $out = *'limit: 67108864'* || $out = *'warning: '*emory* ]] || { echo "$out"; return 1; }
	exits 1 env DOCKER_BUILDKIT=0 docker build --security-opt seccomp=unconfined .
	contains "$stderr" 'parameter securityopt'
	contains "$(api POST '/build?session=x&version=2&remote=client-session' --data-binary @/dev/null | tr -d '\n')" DOCKER_BUILDKIT=0
	# dockerode asks for BuildKit's version, and sends the context all the same.
	printf 'FROM busybox:test\nRUN --mount=type=cache,target=/cache echo two >/two\n' >Dockerfile
	tar -c Dockerfile | api POST '/build?version=2&session=x&t=two&rm=1' --data-binary @- >/dev/null
	equal two "$(docker run --rm two cat /two)"
	exits 1 env DOCKER_BUILDKIT=1 docker build .
	contains "$stderr" 'set DOCKER_BUILDKIT=0, or use holm build'
	# buildx calls gRPC: SETTINGS, PING and the head of a request.
	out=$(python3 - "$SOCKET" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(30)
		s.connect(sys.argv[1])
		s.sendall(b'POST /v1.43/grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
		frame = lambda kind, flags, stream, data: len(data).to_bytes(3, 'big') + bytes([kind, flags]) + stream.to_bytes(4, 'big') + data
		s.sendall(frame(4, 0, 0, b'') + frame(6, 0, 0, b'pingpong') + frame(0, 0, 7, b'x' * 100) + frame(1, 4, 7, b'\x82'))
		f = s.makefile('rb')
		while f.readline().strip():
		    pass
		for _ in range(4):
		    head = f.read(9)
		    print(head[3], head[4], head[8], f.read(int.from_bytes(head[:3], 'big')))
		s.sendall(b'\xff' * 9)
		print(f.read())
	END
	)
	contains "$out" "4 0 0 b''"
	contains "$out" "4 1 0 b''"
	contains "$out" "6 1 0 b'pingpong'"
	contains "$out" '1 5 7 b"\x88\x00\x0ccontent-type\x10application/grpc\x00\x0bgrpc-status\x019\x00\x0cgrpc-message'
	contains "$out" 'set DOCKER_BUILDKIT=0, or use holm build"'
	exits 1 env DOCKER_BUILDKIT=0 docker build --squash .
	contains "$(api POST '/build?remote=/etc' --data-binary @/dev/null)" 'neither a URL nor a git repository'
	contains "$(api POST '/build?remote=http://127.0.0.1:1/x' --data-binary @/dev/null)" "Couldn't connect"
}

@test "RUN --mount: a secret behind a symlink is in no layer, and has all its bytes" {
	printf 'very\0linked secret' >"$TMPDIR/secret"
	build linked --secret id=token,src="$TMPDIR/secret" <<-'END'
		FROM busybox:test
		RUN mkdir /real && ln -s /real /link
		RUN --mount=type=secret,id=token,target=/link/token wc -c </real/token >/count
	END
	equal 18 "$(docker run --rm linked cat /count)"
	equal '' "$(docker run --rm linked ls /real)"
	! grep -arqs 'linked secret' "$XDG_DATA_HOME/holm" || return 1
	fails 'has a NUL character' --secret id=token,src="$TMPDIR/secret" \
		<<<$'FROM busybox:test\nRUN --mount=type=secret,id=token,env=TOKEN true'
}

@test "RUN --mount: caches stay, secrets are in no layer, binds are there for the command alone" {
	mkdir dir
	echo inside >dir/file
	printf 'very secret' >"$TMPDIR/secret"
	cat >Dockerfile.in <<-'END'
		FROM busybox:test AS other
		RUN mkdir /out && echo from-stage >/out/x
		FROM busybox:test
		RUN --mount=type=cache,target=/cache echo $((1 + $(cat /cache/n 2>/dev/null || echo 0))) >/cache/n && cp /cache/n /count
		RUN --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN \
			[ "$TOKEN" = "$(cat /run/secrets/token)" ] && [ -n "$TOKEN" ] && stat -c %a /run/secrets/token && \
			grep -q '^tmpfs /run/secrets/token .*ro' /proc/mounts
		RUN --mount=type=bind,source=dir,target=/bound --mount=from=other,source=/out,target=/stage,rw \
			cat /bound/file /stage/x >/both && echo dropped >/stage/y
		RUN --mount=type=tmpfs,target=/scratch,size=1m touch /scratch/x && grep -q ' /scratch tmpfs' /proc/mounts
	END
	build mounted --secret id=token,src="$TMPDIR/secret" <Dockerfile.in
	contains "$(cat "$TMPDIR/log")" '400'
	equal 'A /both;A /count;' "$(changes mounted | sed 's|A /cache;||; s|A /scratch;||')"
	equal "$(printf 'inside\nfrom-stage\n1')" "$(docker run --rm mounted cat /both /count)"
	holm image save --progress none --format oci-dir -o "$TMPDIR/saved" mounted
	! find "$TMPDIR/saved" -type f -exec zcat -f {} + | grep -aq 'very secret' || return 1
	! grep -arqs 'very secret' "$XDG_DATA_HOME/holm" || return 1

	# A cache lives on. A changed file of a bind counts, a changed secret does not.
	echo other >dir/file
	printf 'another' >"$TMPDIR/secret"
	build mounted --secret id=token,src="$TMPDIR/secret" <Dockerfile.in
	equal 3 "$(grep -c CACHED "$TMPDIR/log")"
	build mounted --no-cache --secret id=token,src="$TMPDIR/secret" <Dockerfile.in
	equal 2 "$(docker run --rm mounted cat /count)"
	fails 'the secret "needed" is missing' <<<$'FROM busybox:test\nRUN --mount=type=secret,id=needed,required true'
	fails 'RUN --mount has no "tagret"' <<<$'FROM busybox:test\nRUN --mount=type=cache,tagret=/x true'
	docker volume prune -af >/dev/null 2>&1 || docker volume ls -q | xargs -r docker volume rm
}

@test "RUN has limits: processes and memory; it fails and says why" {
	requires cgroup
	docker info -f '{{.PidsLimit}} {{.MemoryLimit}}' | grep -qx 'true true' || skip "no controllers are delegated"
	fails 'the command had 40 processes, which is the most' --pids-limit 40 \
		<<<$'FROM busybox:test\nRUN for i in $(seq 60); do sleep 100 & done; echo made it'
	fails 'as there was no memory left' --memory 20M <<<$'FROM busybox:test\nRUN head -c 60M /dev/zero | tail -n 1 | wc -c; dd if=/dev/zero bs=60M count=1 of=/dev/null'
	build limits <<<$'FROM busybox:test\nRUN ! grep -qx max /sys/fs/cgroup/memory.max && grep -x 16384 /sys/fs/cgroup/pids.max'
	run ! holm build --pids-limit none .
	contains "$output" 'write a number of processes'
}

@test "a RUN that forks without end is stopped, with cgroups and without" {
	fails 'exit' --pids-limit 60 <<<$'FROM busybox:test\nRUN for i in $(seq 100); do sleep 100 & done; echo made it'
	! grep -q '^#.*[0-9] made it' "$TMPDIR/log" || return 1
	until_true 30 no_containers
	build limited --ulimit nproc=70:80 <<<$'FROM busybox:test\nRUN ulimit -u && ulimit -Hu'
	[ "$(docker info -f '{{.PidsLimit}}')" = true ] || contains "$(grep -o ' [0-9]*$' "$TMPDIR/log" | tr '\n' ';')" ' 70; 80;'
}

# said TEXT: the last build's output has it.
said()
{
	grep -qF -- "$1" "$TMPDIR/log" || { cat "$TMPDIR/log" >&2; return 1; }
}

@test "RUN --mount=type=ssh: an agent, keys and sockets, for the command alone" {
	requires ssh-agent ssh-add
	cc -O1 -static -o ask "$BATS_TEST_DIRNAME/../lib/ssh-request.c"
	ssh-keygen -q -t ed25519 -N '' -C agents-key -f "$TMPDIR/key"
	ssh-keygen -q -t ed25519 -N '' -C second-key -f "$TMPDIR/second"
	ssh-keygen -q -t ed25519 -N secret -f "$TMPDIR/locked"
	eval "$(ssh-agent -a "$TMPDIR/agent" 3>&-)" >/dev/null
	SSH_AUTH_SOCK=$TMPDIR/agent ssh-add -q "$TMPDIR/key"
	cat >Dockerfile.in <<-'END'
		FROM busybox:test
		COPY ask /ask
		RUN --mount=type=ssh env | grep ^SSH_AUTH && echo "asked $(/ask $SSH_AUTH_SOCK 11 19 18 22 27 0 11) $(/ask $SSH_AUTH_SOCK 11)"
		RUN --mount=type=ssh,id=other,target=/run/o,uid=7,gid=8,mode=0640 --mount=type=ssh,id=none \
			echo "second $(stat -c '%u:%g %a' /run/o) $SSH_AUTH_SOCK $(/ask /run/o 11) $(ls /run/buildkit 2>&1)" && touch /ran
		RUN echo "third $SSH_AUTH_SOCK $(ls /run)"
	END
	SSH_AUTH_SOCK=$TMPDIR/agent build agents --ssh default --ssh "other=$TMPDIR/key,$TMPDIR/second" <Dockerfile.in
	said 'SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0'
	# Keys are listed; none is added, removed or locked, and no extension is used.
	said 'asked 12:1 5 5 5 5 5 12:1  12:1'
	said 'second 7:8 640 /run/o 12:2'
	said 'third  '
	contains "$(SSH_AUTH_SOCK=$TMPDIR/agent ssh-add -l)" agents-key
	equal 'A /ask;A /ran;' "$(changes agents)"
	! holm image inspect agents | grep -q "$TMPDIR" || return 1
	! grep -arqs 'agents-key' "$XDG_DATA_HOME/holm" || return 1
	# Another agent, and none, is no other build.
	build agents --ssh default="$TMPDIR/second" <Dockerfile.in
	equal 4 "$(grep -c CACHED "$TMPDIR/log")"
	kill "$SSH_AGENT_PID"
	unset SSH_AUTH_SOCK
	fails 'the ssh agent "needed" is missing' --ssh default="$TMPDIR/second" <<<$'FROM busybox:test\nRUN --mount=type=ssh,id=needed,required true'
	fails 'with a passphrase needs an agent' --ssh default="$TMPDIR/locked" <<<$'FROM busybox:test\nRUN --mount=type=ssh true'
	fails 'SSH_AUTH_SOCK is not set' --ssh default <<<'FROM busybox:test'
	fails 'is neither a socket nor a key' --ssh default=/ <<<'FROM busybox:test'
	fails 'has neither source nor from' --ssh default="$TMPDIR/second" <<<$'FROM busybox:test\nRUN --mount=type=ssh,source=/x true'
}

# on CONTAINER IMAGE COMMAND: creates a container that stands on another one's files; the answer.
on()
{
	api POST /containers/create -H 'Content-Type: application/json' \
		-d "$(jq -n --arg on "$1" --arg image "$2" --arg command "$3" '{Image: $image, HolmOn: $on, Cmd: ["sh", "-c", $command]}')"
}

@test "a container stands on the files of one that has ended" {
	local below above top
	docker run --name below busybox:test sh -c 'echo x >/x && rm /etc/group && chmod 701 / && rm -r /etc/init.d; mkdir -p /etc/init.d && touch /etc/init.d/y'
	below=$(docker inspect -f '{{.Id}}' below)
	above=$(on "$below" busybox:test 'echo $(cat /x; ls /etc/group /etc/init.d 2>&1; stat -c %a /); echo z >/z; exec sleep 1000' | jq -r .Id)
	docker start "$above" >/dev/null
	until_true 30 has_said "$above"
	equal 'x ls: /etc/group: No such file or directory /etc/init.d: y 701' "$(docker logs "$above")"
	contains "$(docker rm -f below 2>&1)" 'a build runs on its files'
	contains "$(on "$above" busybox:test true)" 'has not ended'
	contains "$(on "$below" bookworm:test true)" 'has another image'
	contains "$(on "${below//[0-9]/0}" busybox:test true)" 'No such container'
	docker kill "$above" >/dev/null
	equal 'A /z' "$(docker diff "$above")"
	# Each one further down stays, too.
	top=$(on "$above" busybox:test 'exec sleep 1000' | jq -r .Id)
	docker start "$top" >/dev/null
	contains "$(docker rm below 2>&1)" 'a build runs on its files'
	docker rm -f "$top" >/dev/null
	docker rm -f "$above" below >/dev/null
}

# images_since TIME: the images that containers were made of, each once.
images_since()
{
	docker events --since "$1" --until "$(date +%s.%N)" --filter event=create --format '{{.Actor.Attributes.image}}' | sort -u
}

@test "a COPY between two RUNs needs no image of its own" {
	local since
	mkdir -p tree/deep
	echo 1 >tree/deep/one
	ln -s deep/one tree/link
	chmod 750 tree/deep
	cat >Dockerfile.in <<-'END'
		FROM busybox:test
		COPY --chown=7:8 tree /t
		WORKDIR /work
		RUN cat /t/link >1 && rm /t/link && mkdir -p /etc/init.d && rm -rf /etc/init.d /etc/group && chmod 700 /t/deep
		COPY --chown=7:8 tree /t
		COPY --chmod=600 tree/deep/one /etc/group
		RUN stat -c '%n %u:%g %a' /t/deep /t/link /etc/group >2; readlink /t/link >>2; ls -d /etc/init.d >>2 2>&1; true
		COPY tree/deep/one /last
		RUN cat 1 2 /last
	END
	since=$(date +%s.%N)
	build between <Dockerfile.in
	contains "$(grep -o '^#[0-9]* [0-9.]* .*' "$TMPDIR/log" | cut -d ' ' -f 3- | tr '\n' ';')" \
		'1;/t/deep 7:8 750;/t/link 7:8 777;/etc/group 0:0 600;deep/one;ls: /etc/init.d: No such file or directory;1;'
	equal 1 "$(images_since "$since" | wc -l)"
	until_true 30 no_containers
	# Another file in the context: the same image below.
	echo 2 >tree/deep/one
	build between <Dockerfile.in
	equal 1 "$(images_since "$since" | wc -l)"
	contains "$(cat "$TMPDIR/log")" ' 2'
	until_true 30 no_containers
}

@test "stages run side by side, and those that nobody needs do not" {
	local out
	# Each of the two waits for the other, in a folder that both see.
	cat >Dockerfile.in <<-'END'
		FROM busybox:test AS one
		RUN --mount=type=cache,id=meet,target=/m touch /m/1 && timeout 60 sh -c 'until [ -e /m/2 ]; do sleep 0.05; done' && echo 1 >/1
		FROM busybox:test AS two
		RUN --mount=type=cache,id=meet,target=/m touch /m/2 && timeout 60 sh -c 'until [ -e /m/1 ]; do sleep 0.05; done' && echo 2 >/2
		FROM busybox:test AS unused
		RUN exit 1
		FROM one AS late
		RUN cat /1 >/3
		FROM scratch
		COPY --from=two /2 /
		COPY --from=late /1 /3 /
	END
	build beside --build-arg none=1 <Dockerfile.in
	contains "$(cat "$TMPDIR/log")" 'no ARG asks for --build-arg none'
	equal '-rw-r--r-- 0/0 2 -rw-r--r-- 0/0 1 -rw-r--r-- 0/0 3 ' "$(listing beside | tr '\n' ' ')"
	equal '' "$(grep unused "$TMPDIR/log")"
	build beside <Dockerfile.in
	equal 5 "$(grep -c CACHED "$TMPDIR/log")"
	docker volume ls -q | xargs docker volume rm >/dev/null
	# A Docker client sees the steps in their order.
	out=$(DOCKER_BUILDKIT=0 docker build --no-cache . 2>&1)
	equal '1/9 2/9 3/9 4/9 5/9 6/9 7/9 8/9 9/9 ' "$(sed -n 's/^Step \([^ ]*\) .*/\1/p' <<<"$out" | tr '\n' ' ')"
	docker volume ls -q | xargs docker volume rm >/dev/null
	# One that fails ends the others.
	fails 'exit 7' <<-'END'
		FROM busybox:test AS endless
		RUN --mount=type=cache,id=meet,target=/m touch /m/1 && sleep 1000
		FROM busybox:test AS failing
		RUN --mount=type=cache,id=meet,target=/m timeout 60 sh -c 'until [ -e /m/1 ]; do sleep 0.05; done'; echo output; exit 7
		FROM scratch
		COPY --from=endless / /
		COPY --from=failing / /
	END
	until_true 60 no_containers
	docker volume ls -q | xargs docker volume rm >/dev/null
}

@test "--progress: lines, the steps that run, BuildKit's JSON, nothing" {
	printf 'FROM busybox:test\nRUN echo o""utput; echo \033[31mred\n' >Dockerfile
	holm build --no-cache -t shown --progress rawjson . 2>"$TMPDIR/log" >/dev/null
	equal '["[1/2] FROM busybox:test","[2/2] RUN echo o\"\"utput; echo \u001b[31mred"]' \
		"$(jq -sc '[.[].vertexes[]? | select(.completed) | .name]' "$TMPDIR/log")"
	contains "$(jq -r '.logs[]?.data' "$TMPDIR/log" | base64 -d)" output
	holm build --no-cache -t shown --progress quiet . 2>"$TMPDIR/log" >/dev/null
	equal '' "$(cat "$TMPDIR/log")"
	holm build --no-cache -t shown --progress plain . 2>&1 >/dev/null | grep -q '^#2 [0-9.]* output'
	# On a terminal lines stay within its width.
	TERM=xterm script -qec 'stty cols 40 rows 12; holm build --no-cache -t shown .' "$TMPDIR/typescript" >/dev/null </dev/null
	contains "$(cat "$TMPDIR/typescript")" '[+] Building ('
	contains "$(cat "$TMPDIR/typescript")" 'tagged shown:latest'
	equal '' "$(sed -e 's/\r//g' -e 's/\x1b\[[0-9]*[A-Z]//g' "$TMPDIR/typescript" | grep '=>' | awk 'length > 40')"
	printf 'FROM busybox:test\nRUN echo output; exit 9\n' >Dockerfile
	! TERM=xterm script -qec 'holm build .' "$TMPDIR/typescript" >/dev/null </dev/null || return 1
	contains "$(sed 's/\r//' "$TMPDIR/typescript")" $' > [2/2] RUN echo output; exit 9:\noutput\n------\nDockerfile:2'
	contains "$(cat "$TMPDIR/typescript")" 'exit 9'
}

@test "RUN --mount=type=cache: owners, what it begins with, ways of sharing" {
	build caches <<-'END'
		FROM busybox:test AS seed
		RUN mkdir /seed && echo seeded >/seed/x
		FROM busybox:test
		RUN --mount=type=cache,target=/owned,uid=1000,gid=1001,mode=0750 stat -c '%u:%g %a' /owned >/owners && touch /owned/mine
		RUN --mount=type=cache,target=/owned ls /owned >>/owners && stat -c '%u:%g %a' /owned >>/owners
		RUN --mount=type=cache,target=/bin/../etc,id=empty ls /etc >>/tmp/list; wc -l </tmp/list >>/owners
		RUN --mount=type=cache,from=seed,source=/seed,target=/begun cat /begun/x >>/owners
		RUN --mount=type=cache,target=/p,sharing=private --mount=type=cache,target=/q,id=/p,sharing=private \
			touch /p/one && ls /q >>/owners
		RUN --mount=type=cache,target=/l,sharing=locked --mount=type=cache,target=/m,id=/l,sharing=locked \
			touch /l/same && ls /m >>/owners
	END
	equal "$(printf '%s\n' '1000:1001 750' '0:0 755' 0 seeded same)" "$(docker run --rm caches cat /owners)"
	fails '"sharing=some" is not right' <<<$'FROM busybox:test\nRUN --mount=type=cache,target=/x,sharing=some true'
	# They are the build cache of docker's clients, too.
	equal 'true 7' "$(api GET /system/df | jq -r '[.BuildCache[] | select(.Type == "exec.cachemount")] | "\(all(.LastUsedAt != null)) \(length)"')"
	contains "$(holm builder prune -f --filter type=exec.cachemount)" holm-build-cache-
	equal '' "$(docker volume ls -q)"
	contains "$(docker builder prune -af)" 'Total reclaimed space: '
	equal 0 "$(api GET /system/df | jq '.BuildCache | length')"
	build caches <<<$'FROM busybox:test\nRUN --mount=type=cache,target=/x true'
	api POST '/build/prune?all=1&filters=%7B%22type%22%3A%5B%22exec.cachemount%22%5D%7D' | jq -e '.CachesDeleted | length == 1'
	build caches <<<$'FROM busybox:test\nRUN --mount=type=cache,target=/x head -c 99999 /dev/urandom >/x/f'
	equal 0 "$(api POST '/build/prune?all=1&min-free-space=1' | jq '.CachesDeleted | length')"
	[ "$(api POST '/build/prune?all=1&max-used-space=1' | jq '.CachesDeleted | length')" -gt 0 ]
}

# builds COUNT: whether so many containers of builds run.
builds()
{
	[ "$(docker ps -q --filter label=org.holm.build | wc -l)" = "$1" ]
}

# has_gone ID: whether the engine has no such container.
has_gone()
{
	! docker container inspect "$1" >/dev/null 2>&1
}

@test "a file as people write it: optional files, the sources as a mount, one program out of a stage, a user" {
	echo module >go.mod
	echo main >main.go
	build people <<-'END'
		# syntax=docker/dockerfile:1
		ARG BASE=busybox:test
		FROM ${BASE} AS build
		WORKDIR /src
		COPY go.mod go.su[m] ./
		RUN --mount=type=cache,target=/root/.cache cp go.mod /root/.cache/mod
		RUN --mount=type=bind,target=. --mount=type=cache,target=/root/.cache \
		    cat main.go /root/.cache/mod >/x-1.0.jar && touch dropped
		RUN test ! -e dropped && test ! -e main.go
		FROM ${BASE}
		ARG UID=10001
		RUN echo "app:x:${UID}:${UID}::/:/bin/sh" >>/etc/passwd
		USER app
		WORKDIR /app
		COPY --from=build /*.jar app.jar
		RUN touch mine
		CMD ["cat", "app.jar"]
	END
	equal $'main\nmodule' "$(docker run --rm people)"
	equal '10001 10001' "$(docker run --rm people stat -c %u . mine | paste -sd ' ')"
}

@test "a builder that is killed leaves no container; another one's container stays" {
	local dead other
	printf 'FROM busybox:test\nRUN mkfifo /go && cat /go\n' >Dockerfile
	holm build -t waits . 2>/dev/null &
	other=$!
	until_true 60 builds 1
	# This one forks as long as it can, within a limit for this test.
	printf 'FROM busybox:test\nRUN i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i + 1)); done; wait\n' >"$TMPDIR/Dockerfile"
	background "$(type -P holm)" build -f "$TMPDIR/Dockerfile" --no-cache .
	until_true 60 builds 2
	kill -9 "$pid"
	until_true 60 builds 1
	# One whose engine ended with the builder: the next build finds it.
	dead=$(docker create --label org.holm.build=build-0123456789abcdef busybox:test true)
	build sweeps <<<$'FROM busybox:test\nRUN echo $$'
	until_true 30 has_gone "$dead"
	builds 1
	docker exec -d "$(docker ps -q --filter label=org.holm.build)" sh -c 'echo on >/go'
	wait "$other"
	until_true 60 no_containers
}
