# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A real registry (docker-registry) on loopback, plain or with TLS and basic authentication.

# registry_start NAME [tls]: sets REGISTRY_NAME to HOST:PORT and REGISTRY_PID; with tls the user is `alice`, the password `secret word`.
registry_start()
{
	local dir=$WORLD/registry.$1 port
	port=$(free_port)
	mkdir -p "$dir/data"
	{
		printf 'version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: "%s"\n  delete:\n    enabled: true\n' "$dir/data"
		printf 'http:\n  addr: 127.0.0.1:%s\n' "$port"
		if [ "${2-}" = tls ]; then
			printf '  tls:\n    certificate: "%s"\n    key: "%s"\n' "$dir/cert.pem" "$dir/key.pem"
			printf 'auth:\n  htpasswd:\n    realm: test\n    path: "%s"\n' "$dir/htpasswd"
		fi
	} >"$dir/config.yml"
	if [ "${2-}" = tls ]; then
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
			-keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
		htpasswd -Bbc "$dir/htpasswd" alice 'secret word' 2>/dev/null
	fi
	OTEL_TRACES_EXPORTER=none docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 3>&- &
	export "REGISTRY_$1=localhost:$port" "REGISTRY_PID_$1=$!" "REGISTRY_DIR_$1=$dir"
	until_true 60 curl -sk -o /dev/null "http${2:+s}://localhost:$port/v2/"
}

# registry_stop NAME
registry_stop()
{
	local pid="REGISTRY_PID_$1"
	local name="REGISTRY_$1"
	[ -n "${!pid-}" ] && kill "${!pid}" 2>/dev/null || return 0
	until_true 30 is_closed "${!name##*:}"
}

# registry_push ARCHIVE HOST:PORT/REPOSITORY:TAG [skopeo option]...
registry_push()
{
	local archive=$1 to=$2
	shift 2
	skopeo copy --quiet --insecure-policy --dest-tls-verify=false "$@" "oci-archive:$archive" "docker://$to"
}

# faulty_registry_start: starts lib/faulty-registry. REGISTRY is its HOST:PORT, STORAGE that of its
# second server. LOG has a line of JSON for each request.
faulty_registry_start()
{
	export LOG="$WORLD/log"
	coproc FAULTY { exec "$BATS_TEST_DIRNAME/../lib/faulty-registry" "$LOG" 3>&-; }
	# shellcheck disable=SC2154 # coproc sets it
	export FAULTY_SERVER="$FAULTY_PID" REGISTRY STORAGE
	read -r REGISTRY STORAGE <&"${FAULTY[0]}"
}

faulty_registry_stop()
{
	kill "$FAULTY_SERVER" 2>/dev/null
}

# forget_images: takes all images and logins out of the world.
forget_images()
{
	local name
	for name in $(holm image ls -q); do
		holm image rm "$name" >/dev/null
	done
	rm -rf "$HOME/.docker"
}
