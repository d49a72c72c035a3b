#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The Dockerfile reference as a table: files, and the configuration and tree that each becomes. What
# needs a command to run is in test/system/build.bats.
load ../lib/holm

setup_file()
{
	holm_begin empty
	export CONTEXT=$WORLD/context
	mkdir -p "$CONTEXT/dir/sub/deep" "$CONTEXT/tree/t" "$CONTEXT/etc"
	cd "$CONTEXT" || return 1
	echo one >f
	echo two >x
	echo a >dir/a.txt
	echo b >dir/b.md
	echo c >dir/sub/c.txt
	echo d >dir/sub/deep/d.txt
	echo t >tree/t/file
	echo blank >'sp ace'
	echo bracket >'arr[0].txt'
	printf 'root:x:0:0::/:\napp:x:700:701::/:\n' >etc/passwd
	printf 'root:x:0:\ngrp:x:702:\n' >etc/group
	ln -s f link
	chmod 644 f dir/*.* dir/sub/*.* etc/* 'sp ace' arr*
	chmod 755 x dir/sub dir/sub/deep etc
	chmod 750 dir
	tar -C tree --owner=3 --group=4 --mode=750 -cf a.tar t
	gzip -k a.tar && bzip2 -k a.tar && xz -k a.tar && zstd -q a.tar
	: >empty.tar.gz
	cd / || return 1
}

teardown_file()
{
	holm_end
}

teardown()
{
	rm -rf "${TMPDIR:?}"/*
}

# finish: builds a case and looks at what is expected of it.
finish()
{
	local want options got
	[ "$file" ] || return 0
	printf '%s' "$file" >"$TMPDIR/Dockerfile"
	eval "options=($words)"
	echo "case: $words"$'\n'"$file" # shown if the case fails
	if [ "$fault" ]; then
		! holm build -f "$TMPDIR/Dockerfile" "${options[@]}" "$CONTEXT" >"$TMPDIR/out" 2>"$TMPDIR/log" </dev/null || return 1
		contains "$(cat "$TMPDIR/log")" "$fault"
		return
	fi
	[ "$tree$text" ] && options+=(-o "type=tar,dest=$TMPDIR/tree.tar" -o type=image)
	holm build -f "$TMPDIR/Dockerfile" -t case "${options[@]}" "$CONTEXT" \
		>"$TMPDIR/out" 2>"$TMPDIR/log" </dev/null || { cat "$TMPDIR/log"; return 1; }
	[ ! "$said" ] || contains "$(cat "$TMPDIR/log")" "$said"
	if [ "${#filters[@]}" -gt 0 ]; then
		got=$(holm image inspect "$(cat "$TMPDIR/out")" | jq -c ".[0].config.config | $(printf '%s, ' "${filters[@]%% = *}")empty")
		want=$(printf '%s\n' "${filters[@]#* = }")
		equal "$want" "$got"
	fi
	if [ "$tree" ]; then
		got=$(tar -tv --numeric-owner -f "$TMPDIR/tree.tar" | awk '{ $3 = $4 = $5 = ""; print }' | tr -s ' ' | sort -k 3)
		tree=${tree//UID/$UID_ME} tree=${tree//GID/$GID_ME}
		equal "$(sort -k 3 <<<"${tree%$'\n'}")" "$got"
	fi
	[ ! "$text" ] || equal "${text%$'\n'}" "$(tar -xOf "$TMPDIR/tree.tar" "$place")"
}

# table: cases on standard input. "== OPTIONS" begins one, its Dockerfile follows; then
#   => FILTER = JSON    of the image's configuration
#   => tree             and a line for each entry: mode, owner, path
#   => text PATH        and the lines of a file
#   => fails TEXT       of the error
#   => says TEXT        of what is printed
table()
{
	local line words='' file='' tree='' text='' place='' fault='' said='' part='' filters=()
	while IFS= read -r line; do
		case $line in
		==*)
			finish
			words=${line#==} file='' tree='' text='' place='' fault='' said='' filters=() part=file
			;;
		'=> tree') part=tree ;;
		'=> text '*) part=text place=${line#=> text } ;;
		'=> fails '*) fault=${line#=> fails } ;;
		'=> says '*) said=${line#=> says } ;;
		'=> '*) filters+=("${line#=> }") ;;
		*) printf -v "$part" '%s%s\n' "${!part}" "$line" ;;
		esac
	done
	finish
}

@test "the file: directives, escapes, comments, blanks, case" {
	table <<-'END'
		==
		# syntax=docker/dockerfile:1
		# escape=`
		FROM scratch
		ENV A=a`
		b B="c\d" C=e` f
		=> .Env[1:] = ["A=ab","B=c\\d","C=e f"]
		==
		# a comment, so that what follows is one
		# escape=`
		from scratch
		  EnV A=1 \
		# in between

		    B=2
		=> .Env[1:] = ["A=1","B=2"]
		==
		#   eScApE =	`
		FROM scratch
		LABEL a=\x
		=> .Labels = {"a":"\\x"}
		==
		# escape=/
		FROM scratch
		=> fails the escape "/" is neither
		==
		# syntax=a
		# syntax=b
		FROM scratch
		=> fails the directive "syntax" is there twice
		==
		FROM scratch
		ENVV a=b
		=> fails :2:1: unknown instruction "ENVV"; did you mean ENV?
		==
		ENV a=b
		FROM scratch
		=> fails ENV stands before the first FROM
		==
		# check=skip=all;error=true
		FROM scratch
		MAINTAINER me
		=> .Env[1:] = []
		==
		# check=error=true
		FROM scratch
		MAINTAINER me
		=> fails MaintainerDeprecated
		== --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all
		# check=error=true
		FROM scratch
		MAINTAINER me
		=> .Env[1:] = []
	END
}

@test "variables: all forms of substitution" {
	table <<-'END'
		==
		FROM scratch
		ENV v=foobarbaz empty=
		ENV a=$v b=${v}x c=\$v d='$v' e="$v" f="\$v" g=$vx h=$none i=${none} j=x${empty}y k=$$ l=a\ b
		=> .Env[3:] = ["a=foobarbaz","b=foobarbazx","c=$v","d=$v","e=foobarbaz","f=$v","g=","h=","i=","j=xy","k=","l=a b"]
		==
		FROM scratch
		ENV v=foobarbaz empty=
		ENV a=${v:-w} b=${none:-w} c=${empty:-w} d=${empty-w} e=${none-w} f=${none:-${v}} g=${none:-"a b"}
		ENV h=${v:+w} i=${none:+w} j=${empty:+w} k=${empty+w} l=${none+w} m="${v:?is not there}" n=${v?}
		=> .Env[3:] = ["a=foobarbaz","b=w","c=w","d=","e=w","f=foobarbaz","g=a b","h=w","i=","j=","k=w","l=","m=foobarbaz","n=foobarbaz"]
		==
		FROM scratch
		ENV v=foobarbaz p=/usr/lib/x.tar.gz
		ENV a=${v#f*b} b=${v##f*b} c=${v%b*} d=${v%%b*} e=${v/ba/fo} f=${v//ba/fo} g=${v/ba/} h=${v//[a]/x} i=${v#x}
		ENV j=${p##*/} k=${p%.*} l=${p%%.*} m=${p//\//_} n=${v/?o/O} o=${v//o?b/X} q=${v/*/all}
		=> .Env[3:] = ["a=arbaz","b=az","c=foobar","d=foo","e=fooforbaz","f=fooforfoz","g=foorbaz","h=foobarbaz","i=foobarbaz","j=x.tar.gz","k=/usr/lib/x.tar","l=/usr/lib/x","m=_usr_lib_x.tar.gz","n=Oobarbaz","o=fXarbaz","q=all"]
		==
		FROM scratch
		ENV s="a*b?c"
		ENV a=${s#*\*} b=${s%\?*} c=${s/\*/-}
		=> .Env[2:] = ["a=b?c","b=a*b","c=a-b?c"]
		==
		FROM scratch
		ENV abc=hello
		ENV abc=bye def=$abc
		ENV ghi=$abc $abc=name
		=> .Env[1:] = ["abc=bye","def=hello","ghi=bye","bye=name"]
		==
		FROM scratch
		ENV a="${none:?it is missing}"
		=> fails none: it is missing
		==
		FROM scratch
		ENV a=${none?}
		=> fails none
		==
		FROM scratch
		ENV a=${v
		=> fails the "}" is missing
		==
		FROM scratch
		ENV a=${v~x}
		=> fails the modifier is unknown
		==
		FROM scratch
		ENV a='x
		=> fails a single quote has no end
		== --build-arg DIR=dir/sub --build-arg OWNER=5:6
		FROM scratch AS base
		ARG DIR
		ARG OWNER MODE=700 NUMBER=10 V="/one /two"
		ENV DIR=$DIR
		WORKDIR /w/$NUMBER
		COPY --chown=$OWNER --chmod=$MODE ${DIR}/c.txt ${DIR##*/}/
		USER $NUMBER:${NUMBER}1
		EXPOSE $NUMBER-12/udp 90
		LABEL $DIR=$NUMBER
		VOLUME $V
		STOPSIGNAL $NUMBER
		CMD echo $DIR
		ENTRYPOINT ["$DIR"]
		=> [.User, .StopSignal, .WorkingDir] = ["10:101","10","/w/10"]
		=> [.Cmd, .Entrypoint] = [["/bin/sh","-c","echo $DIR"],["$DIR"]]
		=> [(.ExposedPorts | keys), .Labels, .Volumes] = [["10/udp","11/udp","12/udp","90/tcp"],{"dir/sub":"10"},{"/one /two":{}}]
		=> tree
		drwxr-xr-x 0/0 w/
		drwxr-xr-x 0/0 w/10/
		drwxr-xr-x 5/6 w/10/sub/
		-rwx------ 5/6 w/10/sub/c.txt
	END
}

@test "ARG: defaults, scope, stages, what is there without one" {
	table <<-'END'
		== --build-arg given=g
		ARG global=glob other=$global
		FROM scratch
		ENV a=$given b=$global
		ARG given=default global here=1 there=$here nothing
		ENV c=$given d=$global e=$there f=${nothing-unset} g=${other-unset}
		=> .Env[1:] = ["a=","b=","c=g","d=glob","e=1","f=unset","g=unset"]
		==
		FROM scratch AS base
		ARG x=1
		COPY f /
		FROM base AS next
		ENV y=$x
		FROM scratch AS alone
		ENV y=${x-unset}
		FROM next
		ENV z=$x
		=> .Env[1:] = ["y=1","z=1"]
		== --target alone
		FROM scratch AS base
		ARG x=1
		FROM scratch AS alone
		ENV y=${x-unset} t=$TARGETSTAGE
		ARG TARGETSTAGE
		ENV u=$TARGETSTAGE
		=> .Env[1:] = ["y=unset","t=","u=alone"]
		== --platform linux/arm64
		FROM scratch
		ARG TARGETPLATFORM
		ARG TARGETOS TARGETARCH TARGETVARIANT BUILDOS TARGETSTAGE
		ENV a=$TARGETPLATFORM b=$TARGETOS-$TARGETARCH-$TARGETVARIANT c=$BUILDOS d=$TARGETSTAGE
		=> .Env[1:] = ["a=linux/arm64","b=linux-arm64-","c=linux","d=default"]
		== --build-arg TARGETARCH=other
		FROM scratch AS stage-other
		ENV a=1
		FROM stage-$TARGETARCH
		ENV b=2
		=> .Env[1:] = ["a=1","b=2"]
		== --build-arg e=arg
		FROM scratch
		ENV e=env
		ARG e
		ENV f=$e
		=> .Env[1:] = ["e=env","f=env"]
		== --build-arg unused=1 --build-arg HTTP_PROXY=http://p --build-arg SOURCE_DATE_EPOCH=1
		FROM scratch
		=> says no ARG asks for --build-arg unused
		==
		FROM scratch
		ARG =x
		=> fails has no name
		==
		ARG i
		FROM $i
		=> fails the image $i is empty
	END
	! grep -q PROXY "$TMPDIR/log" || return 1
}

@test "the configuration: each instruction" {
	table <<-'END'
		==
		FROM scratch
		CMD echo "$HOME" [x]
		ENTRYPOINT exec top -b
		CMD second 'one'
		=> [.Cmd, .Entrypoint] = [["/bin/sh","-c","second 'one'"],["/bin/sh","-c","exec top -b"]]
		==
		FROM scratch AS base
		CMD ["a", "b \"c\" \\d \u00e9"]
		FROM base
		SHELL ["/bin/bash", "-ec"]
		ENTRYPOINT ["e"]
		=> [.Cmd, .Entrypoint, .Shell] = [null,["e"],["/bin/bash","-ec"]]
		==
		FROM scratch AS base
		ENTRYPOINT ["e"]
		FROM base
		ENTRYPOINT []
		SHELL ["sh"]
		CMD x
		=> [.Cmd, (.Entrypoint // [])] = [["sh","x"],[]]
		==
		FROM scratch
		CMD ['not', 'json']
		=> .Cmd = ["/bin/sh","-c","['not', 'json']"]
		==
		FROM scratch
		CMD ["node", 3000]
		=> fails a word of the JSON array is no string; write "3000"
		==
		FROM scratch
		SHELL sh -c
		=> fails SHELL needs a JSON array of strings
		==
		FROM scratch
		LABEL a=1 "b c"="d e" f='{"g":1}' h="two \
		lines" i=
		LABEL old style of a label
		LABEL a=2
		=> .Labels = {"b c":"d e","f":"{\"g\":1}","h":"two lines","i":"","old":"style of a label","a":"2"}
		== --label a=3 --label j
		FROM scratch
		LABEL a=1
		=> .Labels.a = "3"
		==
		FROM scratch
		ENV MY_NAME="John Doe" MY_DOG=Rex\ The\ Dog \
		    MY_CAT=fluffy
		ENV ONE TWO= THREE=world
		ENV MY_CAT=
		=> .Env[1:] = ["MY_NAME=John Doe","MY_DOG=Rex The Dog","MY_CAT=","ONE=TWO= THREE=world"]
		==
		FROM scratch
		ENV a=1 b
		=> fails is not NAME=VALUE
		==
		FROM scratch
		ENV a
		=> fails lacks a value
		==
		FROM scratch
		EXPOSE 80 53/udp 8000-8002/TCP 80/tcp 90/sctp
		=> (.ExposedPorts | keys) = ["53/udp","80/tcp","8000/tcp","8001/tcp","8002/tcp","90/sctp"]
		==
		FROM scratch
		EXPOSE 70000
		=> fails is no port
		==
		FROM scratch
		VOLUME /a "/b c" d
		VOLUME ["/e f", "/g"]
		=> (.Volumes | keys) = ["/a","/b c","/e f","/g","d"]
		==
		FROM scratch
		VOLUME [""]
		=> fails VOLUME has an empty path
		==
		FROM scratch
		USER app:grp
		USER "1000"
		=> .User = "1000"
		==
		FROM scratch
		WORKDIR /a
		WORKDIR b/../c d
		WORKDIR "./e/"
		=> .WorkingDir = "/a/c d/e"
		=> tree
		drwxr-xr-x 0/0 a/
		drwxr-xr-x 0/0 a/c d/
		drwxr-xr-x 0/0 a/c d/e/
		==
		FROM scratch
		COPY etc /etc/
		USER app
		WORKDIR /home/app
		USER 5:grp
		WORKDIR /home/app/sub
		USER nobody
		WORKDIR /roots
		=> tree
		drwxr-xr-x 0/0 etc/
		-rw-r--r-- 0/0 etc/group
		-rw-r--r-- 0/0 etc/passwd
		drwxr-xr-x 700/701 home/
		drwxr-xr-x 700/701 home/app/
		drwxr-xr-x 5/702 home/app/sub/
		drwxr-xr-x 0/0 roots/
		==
		FROM scratch
		STOPSIGNAL sigusr1
		=> .StopSignal = "sigusr1"
		==
		FROM scratch
		STOPSIGNAL SIGRTMIN+3
		=> .StopSignal = "SIGRTMIN+3"
		==
		FROM scratch
		STOPSIGNAL SIGNONE
		=> fails "SIGNONE" is no signal
		==
		FROM scratch
		STOPSIGNAL 0
		=> fails "0" is no signal
		==
		FROM scratch
		MAINTAINER A Name <a@example.org>
		=> .Env[1:] = []
	END
	equal '"A Name <a@example.org>"' "$(holm image inspect case | jq -c '.[0].config.author')"
}

@test "HEALTHCHECK: all options" {
	table <<-'END'
		==
		FROM scratch
		HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=500ms --retries=4 CMD curl -f "http://x" || exit 1
		=> .Healthcheck = {"Test":["CMD-SHELL","curl -f \"http://x\" || exit 1"],"Interval":300000000000,"Timeout":3000000000,"StartPeriod":90000000000,"StartInterval":500000000,"Retries":4}
		==
		FROM scratch
		HEALTHCHECK CMD ["a", "b c"]
		=> .Healthcheck = {"Test":["CMD","a","b c"]}
		==
		FROM scratch
		HEALTHCHECK CMD x
		HEALTHCHECK none
		=> .Healthcheck = {"Test":["NONE"]}
		==
		FROM scratch
		HEALTHCHECK --interval=1.5h --timeout=0 CMD x
		=> [.Healthcheck.Interval, .Healthcheck.Timeout] = [5400000000000,0]
		==
		FROM scratch
		HEALTHCHECK NONE x
		=> fails write HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE
		==
		FROM scratch
		HEALTHCHECK CMD []
		=> fails HEALTHCHECK CMD has no command
		==
		FROM scratch
		HEALTHCHECK CMD ["x", 1]
		=> fails is no string
		==
		FROM scratch
		HEALTHCHECK --interval=1us CMD x
		=> fails HEALTHCHECK --interval=1us: write a time
		==
		FROM scratch
		HEALTHCHECK --retries=-1 CMD x
		=> fails HEALTHCHECK --retries=-1 is no number
		==
		FROM scratch
		HEALTHCHECK --intervall=1s CMD x
		=> fails HEALTHCHECK has no flag "--intervall"; did you mean --interval?
		==
		FROM scratch
		HEALTHCHECK RUN x
		=> fails write HEALTHCHECK CMD COMMAND
	END
}

@test "ONBUILD: triggers run behind FROM, with their here-documents, and once" {
	table <<-'END'
		==
		FROM scratch AS base
		ONBUILD ARG a=1
		ONBUILD ENV b=$a
		onbuild copy f /on/
		ONBUILD COPY <<-one <<"two" /texts/
			$b
		one
		$b
		two
		ONBUILD CMD ["c"]
		FROM base AS child
		ENTRYPOINT ["e"]
		FROM child
		=> [.Env[1:], .OnBuild, .Cmd, .Entrypoint] = [["b=1"],null,["c"],["e"]]
		=> tree
		drwxr-xr-x 0/0 on/
		-rw-r--r-- 0/0 on/f
		drwxr-xr-x 0/0 texts/
		-rw-r--r-- 0/0 texts/one
		-rw-r--r-- 0/0 texts/two
		=> text texts/two
		$b
		==
		FROM scratch
		ONBUILD RUN echo x
		ONBUILD COPY <<E /e
		text
		E
		=> .OnBuild = ["RUN echo x","COPY <<E /e\ntext\nE"]
		==
		FROM scratch
		ONBUILD ONBUILD ENV a=1
		=> fails ONBUILD cannot have ONBUILD
		==
		FROM scratch
		ONBUILD MAINTAINER x
		=> fails ONBUILD cannot have MAINTAINER
	END
}

@test "COPY: names, slashes, globs, JSON" {
	table <<-'END'
		==
		FROM scratch
		WORKDIR /w
		COPY f /new
		COPY f /d/
		COPY f x rel/
		COPY f .
		COPY ["sp ace", "f", "./j s/"]
		COPY arr[[]0].txt /b
		COPY dir/*.txt /g/
		COPY dir/?.md dir/[a-c].txt /h/
		COPY ./dir/../f /norm/./a/../f
		COPY link /link
		=> tree
		drwxr-xr-x 0/0 w/
		-rw-r--r-- 0/0 new
		drwxr-xr-x 0/0 d/
		-rw-r--r-- 0/0 d/f
		drwxr-xr-x 0/0 w/rel/
		-rw-r--r-- 0/0 w/rel/f
		-rwxr-xr-x 0/0 w/rel/x
		-rw-r--r-- 0/0 w/f
		drwxr-xr-x 0/0 w/j s/
		-rw-r--r-- 0/0 w/j s/f
		-rw-r--r-- 0/0 w/j s/sp ace
		-rw-r--r-- 0/0 b
		drwxr-xr-x 0/0 g/
		-rw-r--r-- 0/0 g/a.txt
		drwxr-xr-x 0/0 h/
		-rw-r--r-- 0/0 h/a.txt
		-rw-r--r-- 0/0 h/b.md
		drwxr-xr-x 0/0 norm/
		-rw-r--r-- 0/0 norm/f
		lrwxrwxrwx 0/0 link -> f
		==
		FROM scratch
		COPY dir /d
		COPY dir/ /e/
		COPY dir/s* /f
		=> tree
		drwxr-xr-x 0/0 d/
		-rw-r--r-- 0/0 d/a.txt
		-rw-r--r-- 0/0 d/b.md
		drwxr-xr-x 0/0 d/sub/
		-rw-r--r-- 0/0 d/sub/c.txt
		drwxr-xr-x 0/0 d/sub/deep/
		-rw-r--r-- 0/0 d/sub/deep/d.txt
		drwxr-xr-x 0/0 e/
		-rw-r--r-- 0/0 e/a.txt
		-rw-r--r-- 0/0 e/b.md
		drwxr-xr-x 0/0 e/sub/
		-rw-r--r-- 0/0 e/sub/c.txt
		drwxr-xr-x 0/0 e/sub/deep/
		-rw-r--r-- 0/0 e/sub/deep/d.txt
		drwxr-xr-x 0/0 f/
		-rw-r--r-- 0/0 f/c.txt
		drwxr-xr-x 0/0 f/deep/
		-rw-r--r-- 0/0 f/deep/d.txt
		==
		FROM scratch
		COPY dir/**/*.txt /d/
		=> tree
		drwxr-xr-x 0/0 d/
		-rw-r--r-- 0/0 d/c.txt
		==
		FROM scratch
		COPY f missing* /d/
		COPY missing* /e/
		=> says warning: COPY: no file fits "missing*"
		=> tree
		drwxr-xr-x 0/0 d/
		-rw-r--r-- 0/0 d/f
		==
		FROM scratch
		COPY dir/*.txt /app.txt
		COPY dir/sub /d
		COPY dir/*.md /d
		=> tree
		-rw-r--r-- 0/0 app.txt
		drwxr-xr-x 0/0 d/
		-rw-r--r-- 0/0 d/b.md
		-rw-r--r-- 0/0 d/c.txt
		drwxr-xr-x 0/0 d/deep/
		-rw-r--r-- 0/0 d/deep/d.txt
		==
		FROM scratch
		COPY dir/*.* /d
		=> fails several files fit "*.*", so that "/d" is a directory; write /d/
		==
		FROM scratch
		COPY f x /d
		=> fails COPY has several sources, so that "/d" is a directory; write /d/
		==
		FROM scratch
		COPY f
		=> fails COPY has 1 argument
		==
		FROM scratch
		COPY absent /
		=> fails COPY: "absent" is not in the context
		==
		FROM scratch
		COPY http://127.0.0.1/x /
		=> fails COPY takes no URL; write ADD
		==
		FROM scratch
		COPY f /a
		COPY dir /a
		=> fails "/a" is a file of the image, and cannot become a directory
		==
		FROM scratch
		COPY dir /d/x
		COPY --link f /y
		COPY x /d/
		=> fails "/d/x" is a directory of the image, and cannot become a file
	END
}

@test "COPY: owners, modes, --exclude, --parents, --from, --link" {
	table <<-'END'
		==
		FROM scratch AS base
		COPY etc /etc
		FROM base
		COPY --chown=app f /1
		COPY --chown=app:grp f /2
		COPY --chown=10 f /3
		COPY --chown=10:grp f /4
		COPY --chown=app:0 f /5
		COPY --chown=7:8 dir/sub /6
		COPY --chmod=u=rwX,go=rX --chown=1:2 dir /7
		COPY --chmod=600 dir/sub /8
		COPY --chmod=4755 f /9
		=> tree
		drwxr-xr-x 0/0 etc/
		-rw-r--r-- 0/0 etc/group
		-rw-r--r-- 0/0 etc/passwd
		-rw-r--r-- 700/701 1
		-rw-r--r-- 700/702 2
		-rw-r--r-- 10/10 3
		-rw-r--r-- 10/702 4
		-rw-r--r-- 700/0 5
		drwxr-xr-x 7/8 6/
		-rw-r--r-- 7/8 6/c.txt
		drwxr-xr-x 7/8 6/deep/
		-rw-r--r-- 7/8 6/deep/d.txt
		drwxr-xr-x 1/2 7/
		-rw-r--r-- 1/2 7/a.txt
		-rw-r--r-- 1/2 7/b.md
		drwxr-xr-x 1/2 7/sub/
		-rw-r--r-- 1/2 7/sub/c.txt
		drwxr-xr-x 1/2 7/sub/deep/
		-rw-r--r-- 1/2 7/sub/deep/d.txt
		drwxr-xr-x 0/0 8/
		-rw------- 0/0 8/c.txt
		drw------- 0/0 8/deep/
		-rw------- 0/0 8/deep/d.txt
		-rwsr-xr-x 0/0 9
		==
		FROM scratch
		COPY --chown=nobody f /
		=> fails the image has no user "nobody"
		==
		FROM scratch
		COPY --chmod=9 f /
		=> fails COPY --chmod=9: write a mode
		==
		FROM scratch
		COPY --chown=1:2 --chmod=700 dir/sub /d/sub
		COPY dir /d
		=> tree
		drwxr-xr-x 1/2 d/
		-rw-r--r-- 0/0 d/a.txt
		-rw-r--r-- 0/0 d/b.md
		drwxr-xr-x 0/0 d/sub/
		-rw-r--r-- 0/0 d/sub/c.txt
		drwxr-xr-x 0/0 d/sub/deep/
		-rw-r--r-- 0/0 d/sub/deep/d.txt
		==
		FROM scratch
		COPY --exclude=*.md --exclude=sub/deep dir /a
		COPY --exclude=**/*.txt dir /b
		COPY --exclude=d* dir/sub /c
		=> tree
		drwxr-xr-x 0/0 a/
		-rw-r--r-- 0/0 a/a.txt
		drwxr-xr-x 0/0 a/sub/
		-rw-r--r-- 0/0 a/sub/c.txt
		drwxr-xr-x 0/0 b/
		-rw-r--r-- 0/0 b/b.md
		drwxr-xr-x 0/0 b/sub/
		drwxr-xr-x 0/0 b/sub/deep/
		drwxr-xr-x 0/0 c/
		-rw-r--r-- 0/0 c/c.txt
		==
		FROM scratch
		COPY --parents dir/sub/c.txt f /a/
		COPY --parents ./dir/./sub/deep /b/
		COPY --parents **/d.txt /c/
		=> tree
		drwxr-xr-x 0/0 a/
		-rw-r--r-- 0/0 a/f
		drwxr-x--- 0/0 a/dir/
		drwxr-xr-x 0/0 a/dir/sub/
		-rw-r--r-- 0/0 a/dir/sub/c.txt
		drwxr-xr-x 0/0 b/
		drwxr-xr-x 0/0 b/sub/
		drwxr-xr-x 0/0 b/sub/deep/
		-rw-r--r-- 0/0 b/sub/deep/d.txt
		drwxr-xr-x 0/0 c/
		drwxr-x--- 0/0 c/dir/
		drwxr-xr-x 0/0 c/dir/sub/
		drwxr-xr-x 0/0 c/dir/sub/deep/
		-rw-r--r-- 0/0 c/dir/sub/deep/d.txt
		==
		FROM scratch AS One
		COPY --chown=5:6 --chmod=700 dir/sub /s
		FROM scratch
		WORKDIR /w
		COPY --from=one /s/c.txt s/deep ./
		COPY --from=0 --chown=1 /s/c.txt /r
		COPY --link --from=ONE s /l/
		=> tree
		drwxr-xr-x 0/0 w/
		-rwx------ 5/6 w/c.txt
		-rwx------ 5/6 w/d.txt
		-rwx------ 1/1 r
		drwxr-xr-x 0/0 l/
		-rwx------ 5/6 l/c.txt
		drwx------ 5/6 l/deep/
		-rwx------ 5/6 l/deep/d.txt
		==
		FROM scratch
		COPY --from=1 f /
		=> fails stage 1 is not above this one
		==
		FROM scratch
		COPY --from=0 f /
		=> fails stage 0 is not above this one
		==
		FROM scratch
		COPY --links f /
		=> fails COPY has no flag "--links"; did you mean --link?
		==
		FROM scratch
		COPY --link=maybe f /
		=> fails COPY --link=maybe: write true or false
	END
}

@test "ADD: archives, and what looks like one" {
	table <<-'END'
		==
		FROM scratch
		ADD a.tar /1
		ADD a.tar.gz /2/
		ADD a.tar.bz2 a.tar.xz /3/
		ADD a.tar.zst /4
		ADD --chown=8:9 a.tar /5
		ADD --unpack=false a.tar /6/
		ADD empty.tar.gz f /7/
		COPY a.tar /8/
		=> tree
		drwxr-xr-x 0/0 1/
		drwxr-x--- 3/4 1/t/
		-rwxr-x--- 3/4 1/t/file
		drwxr-xr-x 0/0 2/
		drwxr-x--- 3/4 2/t/
		-rwxr-x--- 3/4 2/t/file
		drwxr-xr-x 0/0 3/
		drwxr-x--- 3/4 3/t/
		-rwxr-x--- 3/4 3/t/file
		drwxr-xr-x 0/0 4/
		drwxr-x--- 3/4 4/t/
		-rwxr-x--- 3/4 4/t/file
		drwxr-xr-x 8/9 5/
		drwxr-x--- 8/9 5/t/
		-rwxr-x--- 8/9 5/t/file
		drwxr-xr-x 0/0 6/
		-rw-r--r-- 0/0 6/a.tar
		drwxr-xr-x 0/0 7/
		-rw-r--r-- 0/0 7/empty.tar.gz
		-rw-r--r-- 0/0 7/f
		drwxr-xr-x 0/0 8/
		-rw-r--r-- 0/0 8/a.tar
		==
		FROM scratch
		ADD --exclude=deep --link dir/sub /d/
		=> tree
		drwxr-xr-x 0/0 d/
		-rw-r--r-- 0/0 d/c.txt
		==
		FROM scratch
		COPY f /x
		ADD a.tar /x
		=> fails "/x" is a file of the image, and cannot become a directory
		==
		FROM scratch
		ADD --from=x f /
		=> fails ADD has no flag "--from"
		==
		FROM scratch
		ADD --checksum=sha256:00 f /
		=> fails ADD --checksum is for URLs
		==
		FROM scratch
		ADD https://127.0.0.1:9/a.git?branch=x&tag=y /
		=> fails a second branch, tag or ref "y"
		==
		FROM scratch
		ADD https://127.0.0.1:9/a.git?brunch=x /
		=> fails and no "brunch"
	END
}

@test "ADD: archives that lead elsewhere" {
	local long
	long=$(printf 'long-name/%.0s' {1..500})
	mkdir "$WORLD/odd"
	cd "$WORLD/odd" || return 1
	ln -s /etc l && tar -cf "$CONTEXT/symlink.tar" l
	rm l && mkdir l && echo evil >l/passwd && tar -rf "$CONTEXT/symlink.tar" l/passwd
	echo a >a && ln a b && echo c >c && tar -cf "$CONTEXT/link.tar" a b && tar --delete -f "$CONTEXT/link.tar" a
	tar -P --transform 's|^a$|../../../up|' --transform 's|^c$|/absolute/c|' -cf "$CONTEXT/dots.tar" a c
	tar --transform "s|^a$|${long}a|" -cf "$CONTEXT/long.tar" a
	touch .wh.f && tar -cf "$CONTEXT/whiteout.tar" .wh.f
	truncate -s 15T bomb && tar -Sczf "$CONTEXT/bomb.tar.gz" bomb
	cd "$CONTEXT" || return 1
	table <<-'END'
		==
		FROM scratch
		ADD dots.tar /x/
		=> tree
		drwxr-xr-x 0/0 x/
		-rw-r--r-- UID/GID x/up
		drwxr-xr-x 0/0 x/absolute/
		-rw-r--r-- UID/GID x/absolute/c
		==
		FROM scratch
		ADD symlink.tar /x/
		=> fails "/x/l/passwd" lies below "/x/l", which is no directory
		==
		FROM scratch
		ADD link.tar /
		=> fails "/b" is a hard link to "/a", which is no file
		==
		FROM scratch
		ADD bomb.tar.gz /
		=> fails archive "/bomb.tar.gz": its files have more bytes than the library's file system has left
		==
		FROM scratch
		COPY f /a
		ADD --chown=0 link.tar /
		=> tree
		-rw-r--r-- 0/0 a
		hrw-r--r-- 0/0 b link to a
		==
		FROM scratch
		ADD long.tar /
		=> fails archive "/long.tar"
		==
		FROM scratch
		ADD whiteout.tar /
		=> fails no file of an image can have a name that begins with .wh.
	END
	rm -f "$CONTEXT"/{symlink,link,dots,long,whiteout}.tar "$CONTEXT/bomb.tar.gz"
}

@test "here-documents: names, modes, variables, tabs, beside files" {
	table <<-'END'
		==
		FROM scratch
		ARG v=value
		COPY --chown=1:2 --chmod=755 <<script.sh /bin/
		#!/bin/sh
		it's "$v" '$v' \$v ${none:-"q"} \\
		# no comment \
		script.sh
		ADD <<'raw' <<tail /d/
		$v \$v
		raw
		$v
		tail
		COPY f <<z x /mix/
		zzz
		z
		=> tree
		drwxr-xr-x 1/2 bin/
		-rwxr-xr-x 1/2 bin/script.sh
		drwxr-xr-x 0/0 d/
		-rw-r--r-- 0/0 d/raw
		-rw-r--r-- 0/0 d/tail
		drwxr-xr-x 0/0 mix/
		-rw-r--r-- 0/0 mix/f
		-rwxr-xr-x 0/0 mix/x
		-rw-r--r-- 0/0 mix/z
		=> text mix/z
		zzz
		==
		FROM scratch
		ARG v=value
		COPY <<E /t
		it's "$v" '$v' \$v ${none:-"q"} \\

		  # "no comment
		E
		=> text t
		it's "value" 'value' $v "q" \

		  # "no comment
		==
		# escape=`
		FROM scratch
		COPY <<E /t
		a\$b`
		E
		=> text t
		a$b`
		==
		FROM scratch
		COPY <<E /t
		x
		=> fails the here-document "E" has no end
		==
		FROM scratch AS a
		COPY f /
		FROM scratch
		COPY --from=a /f <<E /d/
		x
		E
		=> fails COPY takes here-documents or --from, not both
	END
	printf 'FROM scratch\nCOPY <<-E /t\n\t\ttabs\n\t go\n\tE\n' >"$TMPDIR/Dockerfile"
	holm build -f "$TMPDIR/Dockerfile" -o - "$CONTEXT" 2>/dev/null | tar -xO >"$TMPDIR/out"
	equal $'tabs\n go' "$(cat "$TMPDIR/out")"
}

# ignored TEXT: the names of the context that are left, in one line.
ignored()
{
	printf '%b' "$1" >"$TMPDIR/Dockerfile.dockerignore"
	printf 'FROM scratch\nCOPY . /\n' >"$TMPDIR/Dockerfile"
	holm build -f "$TMPDIR/Dockerfile" -o - "$CONTEXT" 2>"$TMPDIR/log" </dev/null | tar -t | grep -v '/$' | sort | tr '\n' ' '
}

@test ".dockerignore: Go's patterns, exceptions, comments" {
	local all='a.tar a.tar.bz2 a.tar.gz a.tar.xz a.tar.zst arr[0].txt dir/a.txt dir/b.md dir/sub/c.txt dir/sub/deep/d.txt empty.tar.gz etc/group etc/passwd f link sp ace tree/t/file x ' pattern
	equal "$all" "$(ignored '')"
	for pattern in '# f\n\n   \n' '.\n' '/\n' 'nothing\n!nothing\n' 'F\n' '*/*/*/*/*\n' ' # x\n'; do
		equal "$all" "$(ignored "$pattern")"
	done
	equal 'f x ' "$(ignored '*\n!f\n!x\n')"
	equal 'dir/sub/c.txt ' "$(ignored '*\n!dir/sub/c.txt\n')"
	equal 'dir/a.txt dir/sub/c.txt dir/sub/deep/d.txt ' "$(ignored '*\n!dir\ndir/*.md')"
	equal 'dir/a.txt dir/b.md dir/sub/c.txt dir/sub/deep/d.txt etc/group etc/passwd tree/t/file ' "$(ignored '?\na.*\n*.gz\nlink\narr*\nsp ace\n')"
	equal 'arr[0].txt dir/a.txt dir/b.md dir/sub/c.txt dir/sub/deep/d.txt f link sp ace tree/t/file x ' "$(ignored '**/*.tar*\n/etc/\n')"
	equal 'arr[0].txt dir/b.md f link sp ace x ' "$(ignored 'a.*\n*.gz\netc\n  tree/t/../../tree  \ndir/**/[a-d].txt\n')"
	equal 'a.tar a.tar.bz2 a.tar.gz a.tar.xz a.tar.zst dir/sub/deep/d.txt empty.tar.gz etc/group etc/passwd f link sp ace tree/t/file x ' \
		"$(ignored 'arr[[]0].txt\ndir\n!**/deep\n')"
	ignored '[' >/dev/null 2>&1 || true
	contains "$(cat "$TMPDIR/log")" 'Dockerfile.dockerignore:1: "[" is no pattern'
}
