#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Other people's programs on docker.sock, as their makers publish them: dockerode, testcontainers
# and devcontainers from npm (test/clients), and nginx behind a port for ab and Chromium.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
	export CLIENTS=$BATS_TEST_DIRNAME/../clients PATH="$BATS_TEST_DIRNAME/../clients/node_modules/.bin:$PATH"
}

teardown_file()
{
	holm_end
}

teardown()
{
	cd "$HOME" || return
	[ -n "${BATS_TEST_COMPLETED-}" ] || { docker ps -aq | xargs -r timeout 60 docker rm -fv && docker system prune -f --volumes; } >/dev/null
	rm -rf "${TMPDIR:?}"/*
}

# needs_npm: skips where npm has not brought the clients.
needs_npm()
{
	requires node
	[ -d "$CLIENTS/node_modules" ] || skip "npm's registry was not reachable"
}

# nothing_stays: neither containers nor networks nor volumes.
nothing_stays()
{
	equal '' "$(docker ps -aq)$(docker network ls -q -f type=custom)$(docker volume ls -q)"
}

dockerode()
{
	needs_npm
	node "$CLIENTS/dockerode.js" "$@"
}

# testcontainers takes "localhost" for the host also in a container of Docker.
testcontainers()
{
	needs_npm
	TESTCONTAINERS_HOST_OVERRIDE=localhost TESTCONTAINERS_RYUK_DISABLED=true FREE_PORT=$(free_port) node "$CLIENTS/testcontainers.js" "$@"
}

@test "dockerode: the host, lists, errors; run, attach, exec and logs, with and without a terminal" {
	dockerode host lists run inspect errors attach tty exec logs
	nothing_stays
}

@test "dockerode: archives, life, stats, events, images, a build, networks and volumes" {
	dockerode archive life stats events images build networks
	nothing_stays
}

@test "testcontainers: each way to wait; ports, exec, logs, files, mounts, networks" {
	testcontainers port fixedport log http health oneshot shell exec logs files mounts network
	nothing_stays
}

@test "testcontainers: restart, stop, a build, commit, reuse, users and limits, failures" {
	testcontainers restart stop build commit reuse user fails
	docker rm -f "$(docker ps -aq --filter status=created)" >/dev/null
	nothing_stays
	docker rmi tc-built:1 tc-committed:1 >/dev/null
}

# The reaper is a container with docker.sock that removes what a client leaves behind. Ours is a
# shell script that speaks the protocol of testcontainers' own.
@test "testcontainers: its reaper removes what a client leaves, by the docker.sock in its container" {
	needs_npm
	requires cc
	local context=$TMPDIR/reaper
	mkdir "$context"
	cc -O1 -static -o "$context/unix-request" "$BATS_TEST_DIRNAME/../lib/unix-request.c"
	cat >"$context/session" <<-'END'
		#!/bin/sh
		while read -r filter; do
			echo "$filter" | tr -d '\r' >>/filters
			echo ACK
		done
	END
	cat >"$context/reaper" <<-'END'
		#!/bin/sh
		echo Started
		nc -l -p 8080 -e /session
		while IFS='=' read -r kind label; do
			for id in $(/unix-request /var/run/docker.sock GET "/containers/json?filters=%7B%22$kind%22%3A%5B%22$label%22%5D%7D" |
				grep -o '"Id":"[0-9a-f]*"' | cut -d'"' -f4); do
				case $id in "$(hostname)"*) ;; *) /unix-request /var/run/docker.sock DELETE "/containers/$id?force=1" ;; esac
			done
		done </filters
	END
	chmod 755 "$context"/*
	printf 'FROM busybox:test\nCOPY . /\nCMD ["/reaper"]\n' >"$TMPDIR/Dockerfile"
	docker build -q -t reaper:test -f "$TMPDIR/Dockerfile" "$context" >/dev/null
	TESTCONTAINERS_HOST_OVERRIDE=localhost RYUK_CONTAINER_IMAGE=reaper:test node "$CLIENTS/testcontainers.js" leave
	until_true 60 nothing_stays 2>/dev/null
	docker rmi reaper:test >/dev/null
}

# devcontainer COMMAND [OPTION]...: on the project in the current folder; shows its log if it fails.
devcontainer()
{
	local command=$1
	shift
	command timeout 120 devcontainer "$command" --workspace-folder . "$@" 2>"$TMPDIR/log" || { status=$?; cat "$TMPDIR/log" >&2; return "$status"; }
}

# project NAME: a folder in the home with this devcontainer.json (standard input).
project()
{
	needs_npm
	mkdir -p "$HOME/$1/.devcontainer"
	cd "$HOME/$1" || return
	cat >.devcontainer/devcontainer.json
	echo "of the host" >file
}

@test "devcontainer up of an image: the workspace, environment, mounts, commands; a second up finds it" {
	project image <<-'END'
		{
			"image": "busybox:test",
			"containerEnv": { "A": "b" },
			"remoteEnv": { "R": "${containerEnv:A}x" },
			"mounts": ["source=devvol,target=/vol,type=volume"],
			"runArgs": ["--hostname", "devhost"],
			"initializeCommand": "echo first >initialized",
			"postCreateCommand": "echo created >>/tmp/life",
			"postStartCommand": "echo started >>/tmp/life"
		}
	END
	local id
	id=$(devcontainer up | jq -r 'select(.outcome == "success").containerId')
	equal 64 "${#id}"
	# shellcheck disable=SC2016 # of the container
	devcontainer exec sh -c 'echo $A $R; pwd; hostname; cat file initialized /tmp/life; echo inside >made; grep -q " /vol " /proc/mounts && exit 5' >"$TMPDIR/out" && return 1
	equal 5 "$status"
	equal 'b bx /workspaces/image devhost of the host first created started' "$(xargs <"$TMPDIR/out")"
	equal "inside $UID_ME" "$(cat made) $(stat -c %u made)"
	equal "$id" "$(devcontainer up | jq -r .containerId)"
	docker rm -f "$id" >/dev/null
	docker volume rm devvol >/dev/null
	nothing_stays
	rm -r "$PWD"
}

@test "devcontainer up of a Dockerfile: target, arguments, a user who gets our id, a port; exec as that user" {
	local port
	port=$(free_port)
	project dockerfile <<-END
		{
			"build": { "dockerfile": "Dockerfile", "context": "..", "target": "dev", "args": { "WORD": "said" } },
			"remoteUser": "dev",
			"appPort": ["$port:80"],
			"init": true,
			"capAdd": ["SYS_PTRACE"],
			"securityOpt": ["seccomp=unconfined"],
			"onCreateCommand": ["sh", "-c", "id -un >/tmp/who"]
		}
	END
	cat >.devcontainer/Dockerfile <<-'END'
		FROM busybox:test AS base
		ARG WORD=none
		RUN echo $WORD >/word && echo dev:x:4321:4321::/home/dev:/bin/sh >>/etc/passwd && echo dev:x:4321: >>/etc/group && \
			mkdir -p /home/dev && chown -R dev:dev /home/dev
		FROM base AS dev
		COPY file /copied
		FROM base AS other
		RUN false
	END
	devcontainer up | jq -e '.outcome == "success" and .remoteUser == "dev"' >/dev/null
	equal "said of the host dev $UID_ME $UID_ME" "$(devcontainer exec sh -c 'cat /word /copied /tmp/who; id -u; stat -c %u /home/dev' | xargs)"
	equal "127.0.0.1:$port" "$(docker port "$(docker ps -q)" 80 | head -n 1)"
	devcontainer build --image-name dev-built:1 | jq -e '.outcome == "success"' >/dev/null
	equal said "$(docker run --rm dev-built:1 cat /word)"
	docker rm -f "$(docker ps -q)" >/dev/null
	docker images --format '{{.Repository}}' | grep -e ^vsc- -e ^dev-built | sed 's/$/:latest/;s/^\(dev-built\).*/\1:1/' | sort -u | xargs docker rmi >/dev/null
	nothing_stays
	rm -r "$PWD"
}

# --- nginx ----------------------------------------------------------------------------------------

# nginx_image: Debian's program, its libraries and a page, as an image by docker build.
nginx_image()
{
	local root=$TMPDIR/nginx library
	[ -x "$HOLM_TEST_STAGE/nginx" ] || skip "Debian's package nginx could not be fetched"
	! ldd "$HOLM_TEST_STAGE/nginx" | grep -q 'not found' || skip "nginx of Debian's package needs other libraries than there are here"
	mkdir -p "$root/etc/nginx" "$root/var/www" "$root/var/lib/nginx" "$root/var/log/nginx"
	install -D "$HOLM_TEST_STAGE/nginx" "$root/usr/sbin/nginx"
	for library in $(ldd "$HOLM_TEST_STAGE/nginx" | grep -o '/[^ ]*'); do
		install -D "$library" "$root$library"
	done
	echo '<title>holm</title><h1 id="page">from nginx</h1><script>page.textContent += " in Chromium"</script>' >"$root/var/www/index.html"
	cat >"$root/etc/nginx/nginx.conf" <<-'END'
		user nobody nobody;
		worker_processes 2;
		events { worker_connections 512; }
		http { access_log off; default_type text/html; server { listen 80; root /var/www; } }
	END
	cat >"$TMPDIR/Dockerfile" <<-'END'
		FROM busybox:test
		COPY . /
		EXPOSE 80
		STOPSIGNAL SIGQUIT
		CMD ["nginx", "-g", "daemon off;"]
	END
	docker build -q -t nginx:test -f "$TMPDIR/Dockerfile" "$root" >/dev/null
}

# serve_nginx: in the container "nginx", behind a port of localhost, printed.
serve_nginx()
{
	local port
	port=$(free_port)
	docker run -d --name nginx -p "$port:80" nginx:test >/dev/null || return
	curl -sS --retry 20 --retry-all-errors --retry-delay 1 "http://localhost:$port/" | grep -q 'from nginx' && echo "$port"
}

@test "nginx of Debian's package behind a port: 10000 requests without an error" {
	requires ab
	nginx_image
	local port
	port=$(serve_nginx)
	command timeout 120 ab -q -n 10000 -c 16 "http://127.0.0.1:$port/" >"$TMPDIR/ab"
	equal 'Complete requests: 10000 Failed requests: 0' "$(grep -e '^Complete' -e '^Failed' "$TMPDIR/ab" | xargs)"
	run ! grep -q '^Non-2xx' "$TMPDIR/ab"
	docker stop nginx >/dev/null
	equal 0 "$(docker inspect -f '{{.State.ExitCode}}' nginx)"
	docker rm nginx >/dev/null
}

# Chromium is 300 MB, so "tools/deps test" leaves it out; "tools/deps browser" installs it.
@test "the page of nginx in headless Chromium" {
	requires chromium
	docker image inspect nginx:test >/dev/null 2>&1 || nginx_image
	local port
	port=$(serve_nginx)
	mkdir -m 700 "$TMPDIR/run"
	XDG_RUNTIME_DIR=$TMPDIR/run command timeout 100 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$TMPDIR/chromium" --dump-dom \
		"http://localhost:$port/" >"$TMPDIR/dom" 2>"$TMPDIR/log" || { cat "$TMPDIR/log" >&2; return 1; }
	contains "$(cat "$TMPDIR/dom")" 'from nginx in Chromium'
	docker rm -f nginx >/dev/null
}
