#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# holm build: contexts and sources that are elsewhere, at a git daemon and a web server on loopback.
load ../lib/holm

setup_file()
{
	requires git curl
	holm_begin empty
	export SERVED=$WORLD/served GIT_PORT HTTP_PORT
	mkdir -p "$SERVED/git" "$SERVED/http"
	GIT_PORT=$(free_port) HTTP_PORT=$(free_port)
	make_repositories
	"$(git --exec-path)/git-daemon" --reuseaddr --listen=127.0.0.1 --port="$GIT_PORT" --base-path="$SERVED/git" --export-all "$SERVED/git" \
		>"$SERVED/git.log" 2>&1 3>&- &
	export GIT_PID=$!
	/usr/bin/python3 -u -c "$WEB_SERVER" "$HTTP_PORT" "$SERVED/http" >"$SERVED/http.log" 2>&1 3>&- &
	export HTTP_PID=$!
	until_true 60 git ls-remote -q "git://127.0.0.1:$GIT_PORT/repo.git" >/dev/null 2>&1
	until_true 60 curl -s -o /dev/null "http://127.0.0.1:$HTTP_PORT/"
}

# Files of a folder; /to/NAME leads to NAME, /loop to itself; /cut ends within its headers.
WEB_SERVER='
import http.server, os, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/cut":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n")
            return
        if not self.path.startswith(("/to/", "/loop")):
            return super().do_GET()
        self.send_response(302)
        self.send_header("Location", "/" + self.path[4:] if self.path.startswith("/to/") else "/loop")
        self.send_header("Content-Length", "0")
        self.end_headers()
os.chdir(sys.argv[2])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'

teardown_file()
{
	kill "$GIT_PID" "$HTTP_PID"
	until_true 30 is_closed "$GIT_PORT"
	holm_end
}

is_closed()
{
	! ss -Hltn "sport = :$1" | grep -q .
}

setup()
{
	GIT=git://127.0.0.1:$GIT_PORT/repo.git
	HTTP=http://127.0.0.1:$HTTP_PORT
	cd "$(mktemp -d "$WORLD/context.XXXXXX")" || return 1
}

teardown()
{
	cd / && rm -rf "${TMPDIR:?}"/*
	# Nothing of a clone or a download stays.
	equal '' "$(find "$XDG_DATA_HOME/holm/images" -maxdepth 1 -name 'unpacked-*')"
}

commit()
{
	git add . && git -c user.name=n -c user.email=n@localhost commit -qm "$1"
}

make_repositories()
(
	mkdir "$SERVED/sub" "$SERVED/repo"
	cd "$SERVED/sub" && git init -q -b main && echo sub >file && commit first
	cd "$SERVED/repo" && git init -q -b main
	mkdir -p dir/inner
	echo inner >dir/inner/file
	echo run >script && chmod 755 script
	printf 'FROM scratch\nCOPY . /\n' >Dockerfile
	printf 'FROM scratch\nCOPY inner /in\n' >dir/Dockerfile
	commit first
	git -c user.name=n -c user.email=n@localhost tag -am v1 v1
	ln -s /etc dir/out
	echo second >second
	commit second
	git checkout -q -b submodule
	mkdir part
	printf '[submodule "part"]\n\tpath = part\n\turl = git://127.0.0.1:%s/sub.git\n' "$GIT_PORT" >.gitmodules
	git update-index --add --cacheinfo "160000,$(git -C "$SERVED/sub" rev-parse HEAD),part"
	commit submodule
	git checkout -q -b relative
	sed -i 's|url = .*|url = ../sub.git|' .gitmodules
	commit relative
	git checkout -q -b hostile
	sed -i "s|url = .*|url = file://$SERVED/git/sub.git|" .gitmodules
	commit hostile
	git checkout -q main
	git clone -q --bare "$SERVED/repo" "$SERVED/git/repo.git"
	git clone -q --bare "$SERVED/sub" "$SERVED/git/sub.git"
)

# listing NAME: mode and path of each file of the image.
listing()
{
	local layer
	rm -rf "$TMPDIR/saved"
	holm image save --progress none --format oci-dir -o "$TMPDIR/saved" "$1"
	for layer in $(holm image inspect "$1" | jq -r '.[0].manifest.layers[].digest'); do
		tar -tvzf "$TMPDIR/saved/blobs/sha256/${layer#sha256:}"
	done | awk '{ printf "%s %s;", $1, $6 }'
}

# build NAME CONTEXT: $TMPDIR/log has its output.
build()
{
	holm build -t "$@" >"$TMPDIR/digest" 2>"$TMPDIR/log" || { cat "$TMPDIR/log" >&2; return 1; }
}

# fails TEXT WORD...
fails()
{
	local text=$1
	shift
	! holm build -t failed "$@" >/dev/null 2>"$TMPDIR/log" || return 1
	contains "$(cat "$TMPDIR/log")" "$text"
}

@test "a git repository is a context: its branches, tags, commits and directories" {
	build whole "$GIT"
	equal '-rw-r--r-- Dockerfile;drwxr-xr-x dir/;-rw-r--r-- dir/Dockerfile;drwxr-xr-x dir/inner/;-rw-r--r-- dir/inner/file;lrwxrwxrwx dir/out;-rwxr-xr-x script;-rw-r--r-- second;' \
		"$(listing whole)"
	build part "$GIT#v1:dir"
	equal 'drwxr-xr-x in/;-rw-r--r-- in/file;' "$(listing part)"
	build part "$GIT#$(git -C "$SERVED/repo" rev-parse v1^\{commit\}):dir"
	contains "$(cat "$TMPDIR/log")" CACHED
	build part "$GIT?tag=v1&subdir=dir"
	contains "$(cat "$TMPDIR/log")" CACHED
	build part "$GIT?branch=submodule&submodules=false&keep-git-dir=1"
	contains "$(listing part)" '-rw-r--r-- .git/HEAD;'
	! listing part | grep -q part/file || return 1
	build part "$GIT?ref=refs/heads/main&checksum=$(git -C "$SERVED/repo" rev-parse --short=12 main)#:dir"
	fails 'is commit ' "$GIT?tag=v1&checksum=$(git -C "$SERVED/repo" rev-parse main)"
	fails 'and no "brunch"' "$GIT?brunch=main"
	fails 'a second branch, tag or ref "v1"' "$GIT?branch=main#v1"
	fails 'the checksum is no commit' "$GIT?checksum=xyz"
	fails 'has no branch, tag or commit "refs/heads/v1"' "$GIT?branch=v1"
	build kept --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1 "$GIT#v1"
	contains "$(listing kept)" '-rw-r--r-- .git/HEAD;'
	fails 'has no branch, tag or commit "none"' "$GIT#none"
	fails 'no directory "dir/out"' "$GIT#main:dir/out"
	fails 'is no branch, tag or commit' "$GIT#--upload-pack=touch x"
	fails 'repository "git://127.0.0.1:' "git://127.0.0.1:$GIT_PORT/none.git"
}

@test "a git repository gets no hooks, no configuration, and submodules by network alone" {
	printf '#!/bin/sh\ntouch %s\n' "$TMPDIR/hooked" >"$TMPDIR/post-checkout"
	chmod 755 "$TMPDIR/post-checkout"
	mkdir -p "$TMPDIR/template/hooks"
	cp "$TMPDIR/post-checkout" "$TMPDIR/template/hooks"
	git config --global core.hooksPath "$TMPDIR"
	git config --global init.templateDir "$TMPDIR/template"
	git config --global url.file:///nowhere/.insteadOf git://
	GIT_DIR=/nowhere GIT_TEMPLATE_DIR=$TMPDIR/template build sub "$GIT#submodule"
	contains "$(listing sub)" 'part/file;'
	build relative "$GIT#relative"
	contains "$(listing relative)" 'part/file;'
	rm "$HOME/.gitconfig"
	[ ! -e "$TMPDIR/hooked" ]
	fails "transport 'file' not allowed" "$GIT#hostile"
}

@test "git over ssh uses the agent or the keys of --ssh default" {
	mkdir -p "$WORLD/bin"
	cat >"$WORLD/bin/ssh" <<-'END'
		#!/bin/sh
		echo "$SSH_AUTH_SOCK|$*" >>"$SERVED/ssh.log"
		exec git-upload-pack "$SERVED/git/repo.git"
	END
	chmod +x "$WORLD/bin/ssh"
	touch "$WORLD/a key's"
	/usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$WORLD/agent"
	PATH=$WORLD/bin:$PATH SSH_AUTH_SOCK=/mine holm build -q git@example.invalid:repo.git >/dev/null
	contains "$(cat "$SERVED/ssh.log")" '/mine|-o BatchMode=yes -o ConnectTimeout=30 '
	PATH=$WORLD/bin:$PATH holm build -q --ssh default="$WORLD/agent" git@example.invalid:repo.git >/dev/null
	contains "$(tail -n 1 "$SERVED/ssh.log")" "$WORLD/agent|"
	PATH=$WORLD/bin:$PATH holm build -q --ssh default="$WORLD/a key's" git@example.invalid:repo.git >/dev/null
	contains "$(tail -n 1 "$SERVED/ssh.log")" "-o IdentitiesOnly=yes -i $WORLD/a key's "
	rm -r "${WORLD:?}/agent" "${WORLD:?}/bin"
}

@test "a URL is a context: an archive, or a Dockerfile" {
	mkdir inner
	echo x >inner/x
	printf 'FROM scratch\nCOPY inner /in\n' >Dockerfile
	tar -czf "$SERVED/http/context.tar.gz" .
	printf 'FROM scratch\nADD %s/context.tar.gz /\n' "$HTTP" >"$SERVED/http/alone"
	build archive "$HTTP/to/context.tar.gz"
	equal 'drwxr-xr-x in/;-rw-r--r-- in/x;' "$(listing archive)"
	build alone "$HTTP/alone"
	equal '-rw------- context.tar.gz;' "$(listing alone)"
	fails 'the server answers 404' "$HTTP/none"
	fails 'too many redirects' "$HTTP/loop"
	fails 'ended the connection within its headers' "$HTTP/cut"
	fails "Couldn't connect" http://127.0.0.1:1/x
}

@test "ADD of URLs: names, modes, digests, archives" {
	local sum
	echo own >own
	tar -cf "$SERVED/http/a.tar" own
	cp "$SERVED/http/a.tar" "$SERVED/http/two words"
	sum=sha256:$(sha256sum "$SERVED/http/a.tar" | cut -d' ' -f1)
	cat >Dockerfile <<-END
		FROM scratch
		ADD --checksum=$sum $HTTP/a.tar /sum/
		ADD --unpack=true $HTTP/a.tar /unpacked/
		ADD --chmod=755 --chown=5:6 $HTTP/two%20words?x=y#z own /both/
		ADD $HTTP/to/a.tar /renamed
	END
	build added .
	equal 'drwxr-xr-x sum/;-rw------- sum/a.tar;drwxr-xr-x unpacked/;-rw-r--r-- unpacked/own;drwxr-xr-x both/;-rwxr-xr-x both/own;-rwxr-xr-x both/two;-rw------- renamed;' \
		"$(listing added)"
	# A file whose digest is known is not fetched again, the others are.
	: >"$SERVED/http.log"
	build added .
	equal 4 "$(grep -c CACHED "$TMPDIR/log")"
	equal 4 "$(grep -c GET "$SERVED/http.log")"
	echo changed >>"$SERVED/http/a.tar"
	build added .
	equal 2 "$(grep -c CACHED "$TMPDIR/log")"
	fails 'and not that of --checksum' --no-cache .
	printf 'FROM scratch\nADD %s/ /x/\n' "$HTTP" >Dockerfile
	fails 'the URL ends without a name' .
	printf 'FROM scratch\nCOPY %s/a.tar /x/\n' "$HTTP" >Dockerfile
	fails 'COPY takes no URL' .
	printf 'FROM scratch\nADD --checksum=%s own /x\n' "$sum" >Dockerfile
	fails '--checksum is for URLs' .
	printf 'FROM scratch\nADD --checksum=md5:1 %s/a.tar /x\n' "$HTTP" >Dockerfile
	fails 'write sha256:' .
}

@test "ADD of a git repository: its files, its commit, its .git" {
	local commit
	commit=$(git -C "$SERVED/repo" rev-parse v1^\{commit\})
	cat >Dockerfile <<-END
		FROM scratch
		ADD --checksum=$commit --chown=5:6 $GIT#v1:dir /dir/
		ADD --keep-git-dir $GIT#v1 /kept
		ADD $GIT?tag=v1&subdir=dir/inner&commit=${commit:0:9} /query
	END
	build added .
	contains "$(listing added)" 'drwxr-xr-x dir/;-rw-r--r-- dir/Dockerfile;drwxr-xr-x dir/inner/;-rw-r--r-- dir/inner/file;drwxr-xr-x kept/;'
	contains "$(listing added)" 'kept/.git/HEAD;'
	contains "$(listing added)" '-rw-r--r-- query/file;'
	build added .
	equal 3 "$(grep -c CACHED "$TMPDIR/log")"
	printf 'FROM scratch\nADD --checksum=0000000 %s /x\n' "$GIT" >Dockerfile
	fails 'and not at that of --checksum' .
	printf 'FROM scratch\nADD %s Dockerfile /x/\n' "$GIT" >Dockerfile
	fails 'write an ADD for each' .
	printf 'FROM scratch\nADD --keep-git-dir Dockerfile /x\n' >Dockerfile
	fails '--keep-git-dir is for git repositories' .
}
