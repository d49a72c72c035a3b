#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# docker.sock as the source of a bind: a container asks the engine of its own machine, with the
# rights of the machine.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
	requires cc
	mkdir -p "$HOME/bin"
	cc -O1 -static -o "$HOME/bin/unix-request" "$BATS_TEST_DIRNAME/../lib/unix-request.c"
	docker run -d --name asks -v "$SOCKET:/var/run/docker.sock" -v "$HOME/bin:/tools:ro" busybox:test sleep 1000 >/dev/null
}

teardown_file()
{
	rm -r "${HOME:?}/bin"
	holm_end
}

# inside METHOD TARGET [BODY]: of a container.
inside()
{
	docker exec asks /tools/unix-request /var/run/docker.sock "$@"
}

@test "a container with docker.sock lists, makes, runs, reads and removes containers of its machine" {
	local id
	equal '200 OK' "$(inside GET /_ping)"
	contains "$(inside GET /v1.41/containers/json)" '"Names":["/asks"]'
	id=$(inside POST '/containers/create?name=child' '{"Image":"busybox:test","Cmd":["echo","from inside"]}' | sed -n 's/^201 //p' | jq -r .Id)
	equal 204 "$(inside POST "/containers/$id/start" | tr -d ' ')"
	contains "$(inside POST "/containers/$id/wait")" '"StatusCode":0'
	contains "$(inside GET "/containers/$id/logs?stdout=1" | tr -d '\000')" 'from inside'
	equal 'from inside' "$(docker logs child)"
	contains "$(inside GET /images/json)" busybox:test
	equal 204 "$(inside DELETE "/containers/$id" | tr -d ' ')"
	equal asks "$(docker ps -a --format '{{.Names}}')"
}

@test "the socket of /var/run/docker.sock is the same; it is root's in the container, and nobody else's" {
	docker run --rm -v /var/run/docker.sock:/s busybox:test stat -c '%F %a %u' /s >"$TMPDIR/out"
	equal 'socket 660 0' "$(cat "$TMPDIR/out")"
	contains "$(docker run --rm -v /var/run/docker.sock:/s -v "$HOME/bin:/tools:ro" busybox:test /tools/unix-request /s GET /version)" '"ApiVersion"'
	exits 1 docker run --rm -u 1000:1000 -v /var/run/docker.sock:/s -v "$HOME/bin:/tools:ro" busybox:test /tools/unix-request /s GET /version
	contains "$(docker inspect -f '{{range .Mounts}}{{.Source}} {{end}}' asks)" "$SOCKET"
	rm "$TMPDIR/out"
}

@test "the engine reaches docker.sock once a container was created with it on the host" {
	local leave=$XDG_DATA_HOME/holm/machines/box/docker-socket
	rm "$leave"
	run ! inside GET /images/json
	equal '' "$output"
	docker run --rm -v /var/run/docker.sock:/s busybox:test true
	[ -e "$leave" ]
	equal '200 OK' "$(inside GET /_ping)"
}

@test "from inside no name of the host's images changes, no login is used, and no registry is asked" {
	local before
	before=$(holm image ls --format json | jq -S .)
	while read -r method target; do
		equal 403 "$(inside "$method" "$target" '{}' | cut -c1-3)"
	done <<-'END'
		POST /images/busybox:test/tag?repo=mine
		DELETE /images/busybox:test
		DELETE /v1.41/images/busybox:test?force=1
		POST /images/prune
		POST /images/create?fromImage=127.0.0.1:1/x&tag=1
		POST /images/create?fromSrc=-&repo=mine
		POST /images/load
		POST /images/busybox:test/push?tag=test
		GET /distribution/127.0.0.1:1/x:1/json
		GET /images/search?term=127.0.0.1:1/x
		POST /auth
		POST /commit?container=asks&repo=mine
		POST /build?t=mine
	END
	contains "$(inside DELETE /images/busybox:test)" 'docker.sock on the host'
	equal "$before" "$(holm image ls --format json | jq -S .)"
}

@test "from inside, paths of the host are those of shares and a fixed port is nobody's" {
	contains "$(inside POST /containers/create '{"Image":"busybox:test","Cmd":["true"],"HostConfig":{"Binds":["/etc:/x"]}}')" '400 '
	equal 400 "$(inside POST /containers/create "{\"Image\":\"busybox:test\",\"HostConfig\":{\"Binds\":[\"$HOME/../../etc:/x\"]}}" | cut -c1-3)"
	# A directory of the share that is not there is not made.
	local id
	id=$(inside POST /containers/create "{\"Image\":\"busybox:test\",\"Cmd\":[\"true\"],\"HostConfig\":{\"Binds\":[\"$HOME/absent:/x\"]}}" | sed -n 's/^201 //p' | jq -r .Id)
	equal 400 "$(inside POST "/containers/$id/start" | cut -c1-3)"
	[ ! -e "$HOME/absent" ]
	docker rm "$id" >/dev/null
	id=$(inside POST /containers/create '{"Image":"busybox:test","Cmd":["sleep","100"],"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"48123"}]}}}' | sed -n 's/^201 //p' | jq -r .Id)
	[ "$(inside POST "/containers/$id/start" | cut -c1-3)" != 204 ]
	docker rm -f "$id" >/dev/null
}

# as_unit: the service of systemd's socket, in the background: $pid.
as_unit()
{
	background "$BATS_TEST_DIRNAME/../lib/listen-fds" "$XDG_RUNTIME_DIR/holm/docker.sock" holm system docker-socket 2>"$WORLD/unit.err"
	until_true 60 test -S "$XDG_RUNTIME_DIR/holm/docker.sock"
}

# at_unit COMMAND...: docker, at that socket.
at_unit()
{
	docker -H "unix://$XDG_RUNTIME_DIR/holm/docker.sock" "$@"
}

# are_states BOX OTHER: of the two machines.
are_states()
{
	equal "$*" "$(state box) $(state other)" 2>/dev/null
}

@test "a socket of systemd leads to the default machine: it boots, the machine may change, the service may end" {
	requires native python3
	local pid
	as_unit
	equal asks "$(at_unit ps --format '{{.Names}}')"
	contains "$(at_unit run --rm -v "$XDG_RUNTIME_DIR/holm/docker.sock:/s" -v "$HOME/bin:/tools:ro" busybox:test /tools/unix-request /s GET /version)" '"ApiVersion"'
	# Stdin, its end and the status come through: the keeper has the connection itself.
	equal $'in\n7' "$(echo in | at_unit run --rm -i busybox:test sh -c 'cat; exit 7' || echo $?)"
	holm machine stop box
	equal first "$(at_unit run --rm busybox:test echo first)"
	create other busybox --no-boot
	holm machine set-default other
	equal '' "$(at_unit ps -a --format '{{.Names}}')"
	# Its end is the end of the machines that it has booted.
	pkill -P "$pid" -x holm
	until_true 60 are_states stopped stopped
	equal second "$(at_unit run --rm busybox:test echo second)"
	are_states stopped running
	# Machines of somebody else stay, also one that was stopped and booted again since.
	holm machine restart other
	holm machine start box
	equal '' "$(at_unit ps -q)"
	kill "$pid"
	wait "$pid"
	are_states running running
	holm machine set-default box
	holm machine rm -f other >/dev/null
}

@test "a socket of systemd: what no machine takes has an answer that says why" {
	requires native python3
	local pid
	as_unit
	mv "$XDG_DATA_HOME/holm/default" "$WORLD/default"
	exits 1 at_unit ps
	contains "$stderr" 'holm machine set-default'
	mv "$WORLD/default" "$XDG_DATA_HOME/holm/default"
	at_unit version >/dev/null
	kill "$pid"
	wait "$pid"
	fails 125 holm system docker-socket
	contains "$stderr" 'systemctl --user enable --now holm-docker.socket'
	fails 125 env LISTEN_FDS=1 LISTEN_PID=1 holm system docker-socket
}
