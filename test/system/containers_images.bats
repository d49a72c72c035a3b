#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Images over docker.sock, which the keeper answers: names, registries, archives; and what a client
# sees that attaches late.
load ../lib/holm
load ../lib/containers
load ../lib/registry

setup_file()
{
	containers_begin
}

teardown_file()
{
	registry_stop A
	holm_end
}

# appears TEXT FILE
appears()
{
	local deadline=$((SECONDS + 60))
	until grep -qs "$1" "$2"; do
		[ $SECONDS -lt $deadline ] || { echo "\"$1\" does not come" >&2; return 1; }
		command sleep 0.05
	done
}

# The answer of a registry's login, as docker sends it.
login_header()
{
	printf '{"username":"alice","password":"%s"}' "$1" | base64 -w0 | tr '+/' '-_'
}

@test "short names are docker.io's, shown as they were typed; ancestor= and reference= find them" {
	local id
	id=$(docker images -q --no-trunc busybox:test)
	docker tag busybox:test short
	equal 'short:latest' "$(docker images --format '{{.Repository}}:{{.Tag}}' short)"
	contains "$(holm image ls -q)" docker.io/library/short:latest
	equal "short:latest" "$(docker images --format '{{.Repository}}:{{.Tag}}' --filter 'reference=sh*:lat*')"
	equal '' "$(docker images -q --filter reference=shor)"
	docker create --name s1 short true >/dev/null
	docker create --name s2 "${id:7:12}" true >/dev/null
	equal short "$(docker ps -a --filter name=s1 --format '{{.Image}}')"
	for name in short short:latest docker.io/library/short busybox:test "$id" "${id:7:12}"; do
		equal $'s1\ns2' "$(docker ps -a --filter "ancestor=$name" --format '{{.Names}}' | sort)"
	done
	equal '' "$(docker ps -aq --filter ancestor=nothing)"
	# An image of this host's own stands back behind docker.io's of the same short name.
	holm image tag no-init:test localhost/short
	equal "$id" "$(docker inspect -f '{{.Id}}' --type image short)"
	docker rm s1 s2 >/dev/null
	docker rmi short >/dev/null
	docker run --rm short true
	holm image rm localhost/short:latest >/dev/null
}

@test "image inspect has names, digests, layers and the configuration; lists filter by label, dangling, before" {
	local id
	id=$(docker images -q --no-trunc busybox:test)
	docker tag busybox:test second:1
	equal '["busybox:test","second:1"]' "$(api GET /images/second:1/json | jq -c '.RepoTags | sort')"
	equal "second@$id" "$(api GET /images/second:1/json | jq -r '.RepoDigests[] | select(startswith("second"))')"
	equal 'layers linux amd64' "$(docker inspect -f '{{.RootFS.Type}} {{.Os}} {{.Architecture}}' --type image busybox:test)"
	[ "$(docker inspect -f '{{len .RootFS.Layers}}' busybox:test)" -ge 1 ]
	equal "$id" "$(docker history -q --no-trunc busybox:test | head -n 1)"
	equal "$(docker images -q | sort -u | wc -l)" "$(docker info -f '{{.Images}}')"
	equal 'true true' "$(api GET /images/json | jq -r '.[0] | .Size > 0, .VirtualSize == .Size' | xargs)"
	equal '' "$(docker images -q --filter dangling=true)"
	equal '' "$(docker images -q --filter label=nobody.has.this)"
	exits 1 docker images --filter before=nothing
	exits 1 docker images --filter nonsense=1
	docker rmi second:1 >/dev/null
}

@test "an image whose name another one gets stays as long as its containers want it" {
	local first
	printf 'FROM busybox:test\nRUN echo 1 >/n\n' | docker build -q -t moves - >/dev/null
	first=$(docker images -q --no-trunc moves)
	docker create --name kept moves sleep 1000 >/dev/null
	printf 'FROM busybox:test\nRUN echo 2 >/n\n' | docker build -q -t moves - >/dev/null
	[ "$first" != "$(docker images -q --no-trunc moves)" ]
	# A removal takes what nobody wants any more.
	docker tag busybox:test other
	docker rmi other >/dev/null
	equal "$first" "$(docker image inspect -f '{{.Id}}' "$first")"
	equal "$first" "$(docker images -q --no-trunc --filter dangling=true)"
	docker commit kept of-kept >/dev/null
	equal 1 "$(docker run --rm of-kept cat /n)"
	# Without containers a name that goes takes the image along.
	printf 'FROM busybox:test\nRUN echo 3 >/n\n' | docker build -q -t moves - >/dev/null
	docker rm kept >/dev/null
	docker rmi of-kept moves >/dev/null
	equal "$first" "$(docker images -q --no-trunc --filter dangling=true)"
	docker rmi "$first" >/dev/null
	equal '' "$(docker images -q --filter dangling=true)"
}

@test "swarms answer as on a node that is no manager; there are no plugins; info has what clients read" {
	local command
	for command in 'node ls' 'service ls' 'secret ls' 'config ls' 'service rm x' 'swarm join-token worker'; do
		# shellcheck disable=SC2086
		exits 1 docker $command
		contains "$stderr" 'This node is not a swarm manager'
	done
	equal 503 "$(api GET /v1.41/tasks -o /dev/null -w '%{http_code}')"
	equal 503 "$(api POST /swarm/init -o /dev/null -w '%{http_code}')"
	equal 404 "$(api GET /swarms -o /dev/null -w '%{http_code}')"
	equal 404 "$(api GET /libpod/info -o /dev/null -w '%{http_code}')"
	equal '[]' "$(api GET /plugins)"
	equal '/var/lib/holm local true crun' "$(api GET /info |
		jq -r '.DockerRootDir, .Plugins.Volume[0], (.SecurityOptions | contains(["name=rootless"])), (.Runtimes | keys[0])' | xargs)"
}

@test "import: an image of a tar stream with changes; one without a name dangles until it is pruned" {
	local id
	mkdir -p "$TMPDIR/root/bin"
	cp "$(command -v busybox)" "$TMPDIR/root/bin/"
	ln -s busybox "$TMPDIR/root/bin/sh"
	tar -C "$TMPDIR/root" -cf "$TMPDIR/root.tar" .
	id=$(docker import -c 'ENV A=one' -c 'CMD ["/bin/sh", "-c", "echo $A"]' -m 'a message' - made:1 <"$TMPDIR/root.tar")
	contains "$id" sha256:
	equal one "$(docker run --rm made:1)"
	contains "$(docker history --format '{{.Comment}}' made:1)" 'a message'
	id=$(docker import - <"$TMPDIR/root.tar")
	equal "$id" "$(docker images --no-trunc -q --filter dangling=true)"
	docker rmi made:1 >/dev/null
	exits 1 docker import -c 'NONSENSE 1' - made:2 <"$TMPDIR/root.tar"
	contains "$stderr" NONSENSE
	exits 1 docker import http://127.0.0.1:1/x.tar
	docker image prune -f >/dev/null
	equal '' "$(docker images -q --filter dangling=true)"
	rm -rf "$TMPDIR/root" "$TMPDIR/root.tar"
}

@test "a registry: auth, push, pull and distribution with the login that the client sends, and no other" {
	requires docker-registry openssl htpasswd
	local certs answer
	registry_start A tls
	certs=$HOME/.config/containers/certs.d/$REGISTRY_A
	mkdir -p "$certs"
	cp "$REGISTRY_DIR_A/cert.pem" "$certs/ca.crt"
	answer=$(api POST /auth -H 'Content-Type: application/json' -d "{\"username\":\"alice\",\"password\":\"secret word\",\"serveraddress\":\"$REGISTRY_A\"}")
	equal 'Login Succeeded' "$(jq -r .Status <<<"$answer")"
	equal 401 "$(api POST /auth -o "$TMPDIR/answer" -w '%{http_code}' -H 'Content-Type: application/json' -d "{\"username\":\"alice\",\"password\":\"wrong\",\"serveraddress\":\"$REGISTRY_A\"}")"
	docker tag busybox:test "$REGISTRY_A/up:1"
	contains "$(api POST "/images/$REGISTRY_A/up/push?tag=1" -H "X-Registry-Auth: $(login_header wrong)" -d '')" errorDetail
	answer=$(api POST "/images/$REGISTRY_A/up/push?tag=1" -H "X-Registry-Auth: $(login_header 'secret word')" -d '')
	contains "$answer" '"Digest":"sha256:'
	docker rmi "$REGISTRY_A/up:1" >/dev/null
	contains "$(api POST "/images/create?fromImage=$REGISTRY_A/up&tag=1" -d '')" errorDetail
	answer=$(api POST "/images/create?fromImage=$REGISTRY_A/up&tag=1" -H "X-Registry-Auth: $(login_header 'secret word')" -d '')
	contains "$answer" '{"status":"Pulling from '
	contains "$answer" "Status: Downloaded newer image for $REGISTRY_A/up:1"
	equal "$(docker images -q busybox:test)" "$(docker images -q "$REGISTRY_A/up:1")"
	answer=$(api GET "/distribution/$REGISTRY_A/up:1/json" -H "X-Registry-Auth: $(login_header 'secret word')")
	equal "$(docker images -q --no-trunc busybox:test) linux/amd64" "$(jq -r '"\(.Descriptor.digest) \(.Platforms[0].os)/\(.Platforms[0].architecture)"' <<<"$answer")"
	exits 0 api GET "/distribution/$REGISTRY_A/up:1/json" -o "$TMPDIR/answer" -w '%{http_code}'
	equal 403 "$output"
	equal '' "$(find "$HOME/.config/containers" "$HOME/.docker" "$DOCKER_CONFIG" -name '*.json' 2>/dev/null)"
	docker rmi "$REGISTRY_A/up:1" >/dev/null
	rm -rf "$certs" "$TMPDIR/answer"
	registry_stop A
}

@test "search asks a registry that answers" {
	requires python3
	local port
	coproc SEARCH { exec python3 -u - 3>&- <<-'END'
		import http.server, json, urllib.parse
		class Handler(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        url = urllib.parse.urlparse(self.path)
		        found = url.path == "/v1/search"
		        word = urllib.parse.parse_qs(url.query).get("q", [""])[0]
		        body = json.dumps({"results": [
		            {"name": word, "description": "the thing itself", "star_count": 9, "is_official": True},
		            {"name": "a/" + word, "description": "x" * 60, "star_count": 1, "is_official": False}]}).encode()
		        self.send_response(200 if found else 404)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)
		    def log_message(self, *words):
		        pass
		server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
		print(server.server_port)
		server.serve_forever()
	END
	}
	local pid=$SEARCH_PID
	read -r port <&"${SEARCH[0]}"
	equal $'thing 9 [OK]\na/thing 1 ' "$(docker search --format '{{.Name}} {{.StarCount}} {{.IsOfficial}}' "127.0.0.1:$port/thing" | sed 's/ true$/ [OK]/; s/ false$/ /')"
	equal thing "$(docker search --filter stars=5 --format '{{.Name}}' "127.0.0.1:$port/thing")"
	equal $'NAME\nthing\na/thing' "$(holm search "127.0.0.1:$port/thing" | awk '{print $1}')"
	equal 'thing true' "$(holm search --limit 1 --format '{{.Name}} {{.IsOfficial}}' "127.0.0.1:$port/thing")"
	contains "$(holm search "127.0.0.1:$port/thing")" xxx...
	kill "$pid"
}

@test "attach with logs=1 shows what was, then what comes, and nothing twice; without stream it ends" {
	docker run -d -i --name late busybox:test sh -c 'echo one; echo two >&2; printf half; read x; echo " and then $x"; read y' >/dev/null
	until_true 60 sh -c '[ "$(docker logs late 2>&1 | wc -l)" = 2 ]'
	equal $'one\ntwo' "$(api POST '/containers/late/attach?logs=1&stdout=1&stderr=1' -d '' --output - | tr -d '\000-\011\013-\037')"
	equal one "$(api POST '/containers/late/attach?logs=1&stdout=1' -d '' --output - | tr -d '\000-\011\013-\037')"
	api POST '/containers/late/attach?logs=1&stream=1&stdout=1' -d '' --no-buffer --output "$TMPDIR/seen" &
	appears half "$TMPDIR/seen"
	printf 'more\nend\n' | docker attach late >/dev/null
	wait $!
	equal $'one\nhalf and then more' "$(tr -d '\000-\011\013-\037' <"$TMPDIR/seen")"
	docker rm -f late >/dev/null
	rm "$TMPDIR/seen"
}

@test "creates that want the same image at once start one program that prepares it" {
	requires python3
	local i held lock jobs=()
	holm tag busybox:test together:1
	coproc HOLDER {
		exec python3 -c 'import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()' "$XDG_DATA_HOME/holm/images/use.lock" 3>&-
	}
	read -r held <&"${HOLDER[0]}"
	equal held "$held"
	for i in $(seq 20); do
		api POST "/containers/create?name=together$i" -H 'Content-Type: application/json' -d '{"Image":"together:1","Cmd":["true"]}' -o /dev/null 3>&- &
		jobs+=($!)
	done
	all_have_asked()
	{
		[ "$(ss -Hx src "$SOCKET" | wc -l)" -ge 20 ] && [ "$(programs)" -gt 0 ]
	}
	programs()
	{
		local pid keeper
		keeper=$(keeper_of box)
		for pid in $(pgrep -x holm-image); do
			! descends "$pid" "$keeper" || echo "$pid"
		done | wc -l
	}
	until_true 30 all_have_asked
	equal 1 "$(programs)"
	lock=${HOLDER[1]}
	exec {lock}>&-
	wait "${jobs[@]}"
	equal 20 "$(docker ps -aq --filter name=together | wc -l)"
	docker ps -aq --filter name=together | xargs docker rm >/dev/null
	holm rmi together:1 >/dev/null
}
