#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Floods of containers and of clients: output, processes, connections that nobody reads from. Other
# containers go on, and the engine's memory is bounded.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
	requires python3
	docker run -d --name beside busybox:test sleep 1000 >/dev/null
}

teardown_file()
{
	holm_end
}

teardown()
{
	local pid
	for pid in $(jobs -p); do
		kill "$pid" 2>/dev/null || true
	done
}

# goes_on: another container starts, and one that runs takes a command.
goes_on()
{
	equal fine "$(docker run --rm busybox:test echo fine)"
	equal fine "$(docker exec beside echo fine)"
	contains "$(docker ps --format '{{.Names}}')" beside
}

# memory_of_engine: its resident KiB. In a VM the engine is no process of the host.
memory_of_engine()
{
	awk '/^VmRSS:/ { print $2 }' "/proc/$(engine_of box)/status"
}

# stuck KIND COUNT CONTAINER: connections that send a request and then never read: "logs", "attach",
# "half" (of a body), "idle" (no request). Says "stuck" when all are there; ends with its stdin.
stuck()
{
	exec python3 - "$SOCKET" "$@" 3<&0 <<-'END'
		import os, socket, sys
		path, kind, count, name = sys.argv[1:]
		requests = {
		    "logs": f"GET /v1.41/containers/{name}/logs?follow=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n\r\n",
		    "attach": f"POST /v1.41/containers/{name}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n"
		              "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n",
		    "half": "POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
		            "Content-Length: 1000000\r\n\r\n{",
		    "idle": ""}
		held = []
		for _ in range(int(count)):
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(60)
		    s.connect(path)
		    s.sendall(requests[kind].encode())
		    if kind in ("logs", "attach"):
		        s.recv(1) # the request was taken
		    held.append(s)
		print("stuck", flush=True)
		os.read(3, 1)
	END
}

@test "a flood and clients that do not read: the log and the engine's memory are bounded, others go on" {
	local before flood files kind held=()
	before=$([ "$ISOLATION" = vm ] || memory_of_engine)
	flood=$(docker run -d --name flood --log-opt max-size=1m --log-opt max-file=2 busybox:test sh -c 'yes "a line of some length that comes without an end"')
	mkfifo "$TMPDIR/end"
	for kind in logs half idle; do
		stuck $kind 100 flood <>"$TMPDIR/end" >"$TMPDIR/$kind" 3>&- &
		held+=($!)
		until_true 60 grep -q stuck "$TMPDIR/$kind"
	done
	goes_on
	if [ "$ISOLATION" = native ]; then
		# 100 readers have 256 KiB each.
		[ "$(memory_of_engine)" -lt "$((before + 60000))" ]
		files=$(inside_mapping sh -c 'du -k "$1"/json.log*' sh "$XDG_DATA_HOME/holm/machines/box/containers/$flood" | awk '{ n += $1 } END { print n }')
		[ "$files" -lt 4000 ]
	fi
	# A reader of the present holds the container back, and nobody else.
	stuck attach 20 flood <>"$TMPDIR/end" >"$TMPDIR/attach" 3>&- &
	held+=($!)
	until_true 60 grep -q stuck "$TMPDIR/attach"
	goes_on
	docker rm -f flood >/dev/null
	goes_on
	kill "${held[@]}"
	wait "${held[@]}" || true
	rm "$TMPDIR/end" "$TMPDIR"/{logs,half,idle,attach}
	goes_on
}

@test "a container with hundreds of processes ends by rm; others go on" {
	has_forked()
	{
		[ "$(docker top bomb 2>/dev/null | wc -l)" -gt "$1" ]
	}
	# containers_limits.bats has one without an end, where a limit holds it.
	docker run -d --name bomb busybox:test sh -c 'i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i + 1)); done; wait' >/dev/null
	until_true 60 has_forked 300
	goes_on
	docker rm -f bomb >/dev/null
	goes_on
}

# lives COUNT: so many containers are created, run to their end and removed, eight at a time.
lives()
{
	python3 - "$SOCKET" "$1" <<-'END'
		import concurrent.futures, http.client, json, socket, sys
		class Client(http.client.HTTPConnection):
		    def connect(self):
		        self.sock = socket.socket(socket.AF_UNIX)
		        self.sock.settimeout(120)
		        self.sock.connect(sys.argv[1])
		def call(method, target, body=None):
		    client = Client("docker")
		    client.request(method, target, body and json.dumps(body), {"Content-Type": "application/json"} if body else {})
		    answer = client.getresponse()
		    text = answer.read()
		    if answer.status >= 300:
		        raise Exception(f"{method} {target}: {answer.status} {text}")
		    client.close()
		    return text
		def live(n):
		    body = {"Image": "busybox:test", "Cmd": ["sh", "-c", f"echo {n}; exit {n % 100}"],
		            "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}]} if n % 10 == 0 else {}}}
		    id = json.loads(call("POST", "/v1.41/containers/create", body))["Id"]
		    call("POST", f"/containers/{id}/start")
		    status = json.loads(call("POST", f"/containers/{id}/wait"))["StatusCode"]
		    log = call("GET", f"/containers/{id}/logs?stdout=1")[8:].decode()
		    call("DELETE", f"/containers/{id}")
		    return status == n % 100 and log == f"{n}\n"
		with concurrent.futures.ThreadPoolExecutor(8) as pool:
		    print(sum(pool.map(live, range(int(sys.argv[2])))))
	END
}

@test "hundreds of containers come and go: nothing is left, and the engine does not grow" {
	local count before
	docker rm -f beside >/dev/null
	# An emulated machine takes a second for each.
	count=$([ "$ISOLATION" = vm ] && echo "${HOLM_TEST_MANY:-16}" || echo "${HOLM_TEST_MANY:-300}")
	equal 16 "$(lives 16)"
	before=$([ "$ISOLATION" = vm ] || memory_of_engine)
	equal "$count" "$(lives "$count")"
	nothing_stays_of_containers
	[ "$ISOLATION" = vm ] || [ "$(memory_of_engine)" -lt "$((before + 4000))" ]
}
