#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pulling from a registry that misbehaves: what is retried, what is resumed, what is refused, and where the login never goes.
load ../lib/holm
load ../lib/registry

setup_file()
{
	requires python3
	holm_begin empty
	faulty_registry_start
}

teardown_file()
{
	faulty_registry_stop
	holm_end
}

setup()
{
	: >"$LOG"
}

teardown()
{
	forget_images
	rm -f "$XDG_DATA_HOME/holm/images/partial/"*
}

login()
{
	mkdir -p "$HOME/.docker"
	jq -n --arg r "$REGISTRY" --arg a "$(printf '%s' "$1" | base64)" '{auths: {($r): {auth: $a}}}' >"$HOME/.docker/config.json"
}

# refused REPOSITORY WORD: pulling fails with one line that has the word, and nothing is left but what can be resumed.
refused()
{
	fails 125 holm image pull --progress none "$REGISTRY/$1"
	contains "$stderr" "$2"
	equal '' "$(holm image ls -q)"
	equal '' "$(find "$XDG_DATA_HOME/holm/images/blobs" -type f)"
}

# Whether a part was asked for, from where the first attempt had ended.
resumed()
{
	jq -se 'any(.[]; .range == "bytes=100000-")' "$LOG" >/dev/null
}

# asked WHAT: how often a path with WHAT was asked for.
asked()
{
	jq -r .path "$LOG" | grep -c -- "$1"
}

@test "an image of several platforms: this machine's, another's, and one that is not there" {
	holm image pull "$REGISTRY/plain:multi"
	equal linux/amd64 "$(holm image ls --format json | jq -r '.[0].platform')"
	holm image pull --platform linux/arm64 "$REGISTRY/plain:multi"
	equal 2 "$(holm image ls --format json | jq length)"
	equal "$REGISTRY/plain:multi" "$(holm image ls -q)"
	equal linux/arm64 "$(holm image inspect --platform arm64 "$REGISTRY/plain:multi" | jq -r '.[0].platform')"
	fails 125 holm image pull --platform linux/s390x "$REGISTRY/plain:multi"
	contains "$stderr" linux/s390x
	contains "$stderr" linux/arm64
	fails 125 holm image pull --platform linux/arm64 "$REGISTRY/plain:1"
	fails 125 holm image pull --platform windows/amd64 "$REGISTRY/plain:1"
	: >"$LOG"
	fails 125 holm image pull --platform foo "$REGISTRY/plain:1"
	contains "$stderr" '"linux/foo"'
	equal '' "$(cat "$LOG")"
}

@test "too many requests: Retry-After is followed" {
	local since=$SECONDS
	run --separate-stderr holm image pull "$REGISTRY/limited:1"
	equal 0 "$status"
	contains "$stderr" 'too many requests'
	[ $((SECONDS - since)) -ge 2 ]
	equal 3 "$(asked manifests/1)"
}

@test "a wait until tomorrow is an error at once" {
	local since=$SECONDS
	refused tomorrow:1 86400
	[ $((SECONDS - since)) -lt 100 ]
}

@test "busy for a moment is tried again; broken for good ends" {
	holm image pull "$REGISTRY/busy:1"
	holm image rm "$REGISTRY/busy:1"
	HOLM_TEST_TIMEOUT=60 refused broken:1 500
	[ "$(asked broken)" -le 6 ]
}

@test "an interrupted download goes on where it stopped" {
	holm image pull "$REGISTRY/truncated:1"
	resumed
}

@test "a registry that drips: three tries, each from where the one before ended" {
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[registry "%s"]\ntimeout = 1\n' "$REGISTRY" >"$XDG_CONFIG_HOME/holm/config"
	refused drips:1 'Less than 1024 bytes/sec'
	rm "$XDG_CONFIG_HOME/holm/config"
	equal 1 "$(wc -l <<<"$stderr")"
	equal 3 "$(jq -s 'map(select((.path | contains("drips/blobs")) and .range != null)) | length + 1' "$LOG")"
	holm image pull "$REGISTRY/plain:1"
}

@test "a server that does not know ranges: from the beginning" {
	holm image pull "$REGISTRY/no-range:1"
	resumed
}

@test "what came in before a failure is there for the next pull" {
	local before
	HOLM_TEST_TIMEOUT=90 refused never-whole:1 tried
	before=$(find "$XDG_DATA_HOME/holm/images/partial" -type f -size +90k | wc -l)
	equal 1 "$before"
	: >"$LOG"
	holm image pull "$REGISTRY/plain:1"
	resumed
	equal 0 "$(find "$XDG_DATA_HOME/holm/images/partial" -type f | wc -l)"
}

has_some()
{
	[ -n "$(find "$XDG_DATA_HOME/holm/images/partial" -type f -size +0 2>/dev/null)" ]
}

@test "Ctrl-C: ends by the signal at once, and what came in is kept" {
	local pid status=0
	command holm image pull "$REGISTRY/slow:1" >/dev/null 2>"$WORLD/stderr" 3>&- &
	pid=$!
	until_true 60 has_some
	kill -TERM $pid # a script's background job ignores SIGINT
	wait $pid || status=$?
	equal 143 "$status"
	contains "$(tail -n 1 "$WORLD/stderr")" 'holm: interrupted'
	equal '' "$(holm image ls -q)"
	[ -n "$(find "$XDG_DATA_HOME/holm/images/partial" -type f)" ]
	holm image pull "$REGISTRY/plain:1"
}

@test "blobs that are damaged, too short or too long, and a manifest that is another" {
	refused damaged:1 digest
	refused short:1 5000
	refused long:1 longer
	refused lying:multi digest
	refused endless-manifest:1 bigger
	refused schema1:1 'schema 1'
	equal 0 "$(find "$XDG_DATA_HOME/holm/images/partial" -type f -size +90k | wc -l)"
}

@test "redirects: to storage on another host without the login, and never in a circle" {
	login alice:secret
	holm image pull "$REGISTRY/elsewhere:1"
	equal 3 "$(jq -r 'select(.path | startswith("/signed/")) | .path' "$LOG" | wc -l)"
	equal null "$(jq -r 'select(.path | startswith("/signed/")) | .authorization' "$LOG" | sort -u)"
	holm image rm "$REGISTRY/elsewhere:1"
	rm -r "$HOME/.docker"
	refused loop:1 redirected
}

@test "more layers than Linux lays over each other: refused before one is fetched" {
	refused layers/500:1 'blob unknown'
	: >"$LOG"
	refused layers/501:1 'the most'
	equal 0 "$(asked /blobs/)"
}

@test "tokens: with the right login, with a wrong one, without" {
	login alice:secret
	holm image pull "$REGISTRY/token:1"
	# The password goes to the token service only.
	equal /token "$(jq -r 'select(.authorization // "" | startswith("Basic")) | .path | sub("[?].*"; "")' "$LOG" | sort -u)"
	equal 1 "$(asked ^/token)"
	holm image rm "$REGISTRY/token:1"
	login alice:wrong
	refused token:1 login
	rm -r "$HOME/.docker"
	refused token:1 login
}

@test "a registry elsewhere cannot send the login to this machine" {
	requires unshare ip
	unshare --user --map-root-user --net --mount true 2>/dev/null || skip "no user namespaces here"
	mkdir "$WORLD/elsewhere"
	cat >"$WORLD/elsewhere/elsewhere.sh" <<-'E'
	ip link set lo up && ip addr add 192.0.2.1/32 dev lo && ip addr add 169.254.7.7/32 dev lo || exit 1
	printf '127.0.0.1 localhost near.test\n192.0.2.1 far.test\n127.0.0.1 alias.test\n' >"$WORLD/elsewhere/hosts"
	mount --bind "$WORLD/elsewhere/hosts" /etc/hosts || exit 1
	mkfifo "$WORLD/elsewhere/names"
	"$1" "$LOG" 0.0.0.0 >"$WORLD/elsewhere/names" & server=$!
	read -r line <"$WORLD/elsewhere/names"
	port=${line% *} port=${port##*:}
	mkdir -p "$HOME/.docker"
	auth=$(printf alice:secret | base64)
	printf '{"auths": {"192.0.2.1:%s": {"auth": "%s"}, "alias.test:%s": {"auth": "%s"}}}' "$port" "$auth" "$port" "$auth" >"$HOME/.docker/config.json"
	pull() { "$HOLM" image pull --tls-verify=false --progress none "$@"; }
	for host in 127.0.0.1 127.1 0.0.0.0 localhost a.localhost near.test 169.254.7.7; do
		pull "192.0.2.1:$port/token-at/$host:1" 2>"$WORLD/elsewhere/error" && echo "pulled from $host"
		grep -q 'names a token service on this machine' "$WORLD/elsewhere/error" || { echo "$host:"; cat "$WORLD/elsewhere/error"; }
	done
	if grep '"/token' "$LOG"; then echo "a token service was asked"; fi
	for host in 127.0.0.1 localhost near.test 169.254.7.7; do
		pull "192.0.2.1:$port/away/$host:1" 2>"$WORLD/elsewhere/error" && echo "pulled from $host"
		grep -q 'redirected to this machine' "$WORLD/elsewhere/error" || { echo "$host:"; cat "$WORLD/elsewhere/error"; }
	done
	if grep '"/signed' "$LOG"; then echo "a storage was asked"; fi
	pull "192.0.2.1:$port/away/far.test:1" >"$WORLD/elsewhere/pulled" && "$HOLM" image rm "192.0.2.1:$port/away/far.test:1" >/dev/null || exit 1
	pull "alias.test:$port/away/near.test:1" >"$WORLD/elsewhere/pulled" || exit 1
	pull "192.0.2.1:$port/token-at/far.test:1" >"$WORLD/elsewhere/pulled" && pull "alias.test:$port/token-at/near.test:1" >>"$WORLD/elsewhere/pulled"
	"$HOLM" image push --tls-verify=false --progress none "alias.test:$port/away/near.test:1" "192.0.2.1:$port/push-elsewhere:1" 2>"$WORLD/elsewhere/error" && echo pushed
	grep -q 'sent to this machine' "$WORLD/elsewhere/error" || cat "$WORLD/elsewhere/error"
	if grep '"PUT"' "$LOG"; then echo "a storage was sent something"; fi
	kill "$server"
	E
	HOLM=$(command -v holm) run unshare --user --map-root-user --net --mount sh "$WORLD/elsewhere/elsewhere.sh" "$BATS_TEST_DIRNAME/../lib/faulty-registry"
	equal '' "$output"
	equal 0 "$status"
	equal 2 "$(asked ^/token)"
	equal 3 "$(holm image ls -q | wc -l)"
}

@test "what a registry says is printable" {
	local repository
	for repository in says says-code says-token says-type says-digest; do
		fails 125 holm image pull --progress none "$REGISTRY/$repository"
		printable "$stderr"
		fails 125 holm image pull --progress plain "$REGISTRY/$repository"
		printable "$stderr"
	done
	fails 125 holm image pull --progress none "$REGISTRY/says"
	contains "$stderr" 'no  ]52;c;aGk=  2J?? ?x'
	equal '' "$(holm image ls -q)"
}

@test "a mirror that fails: the registry itself is asked" {
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[registry "%s"]\nmirror = 127.0.0.1:1\nmirror = %s/nothing\n' "$REGISTRY" "${REGISTRY/localhost/127.0.0.1}" >"$XDG_CONFIG_HOME/holm/config"
	run --separate-stderr holm image pull "$REGISTRY/damaged:multi"
	run --separate-stderr holm image pull "$REGISTRY/plain:1"
	equal 0 "$status"
	contains "$stderr" 'mirror 127.0.0.1:1'
	printf '[registry "%s"]\nmirror = not a host\n' "$REGISTRY" >"$XDG_CONFIG_HOME/holm/config"
	fails 125 holm image pull "$REGISTRY/plain:1"
	contains "$stderr" mirror
	rm "$XDG_CONFIG_HOME/holm/config"
}

@test "a proxy is used for hosts elsewhere and not for this machine" {
	http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 holm image pull "$REGISTRY/plain:1"
	https_proxy=http://127.0.0.1:1 fails 125 holm image pull registry.invalid/x:1
	contains "$stderr" 127.0.0.1
}

@test "plain HTTP and unknown certificates are for this machine only" {
	fails 125 holm image pull --tls-verify=maybe "$REGISTRY/plain:1"
	contains "$stderr" tls-verify
}

@test "a full disk while pulling: one line, nothing half done, and the next pull works" {
	requires root
	local small="$WORLD/small"
	mkdir -p "$small"
	mount -t tmpfs -o size=200k none "$small" 2>/dev/null || skip "no mounts here"
	XDG_DATA_HOME=$small run --separate-stderr holm image pull --progress none "$REGISTRY/plain:1"
	mount -o remount,size=4M "$small"
	XDG_DATA_HOME=$small holm image pull "$REGISTRY/plain:1" || { umount "$small"; return 1; }
	umount "$small"
	equal 125 "$status"
	contains "$stderr" 'No space left'
	equal 1 "$(wc -l <<<"$stderr")"
}
