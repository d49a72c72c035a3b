#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pulling from a real registry on loopback: plain, with TLS and a password; what goes wrong on the way.
load ../lib/holm
load ../lib/images
load ../lib/registry

setup_file()
{
	requires docker-registry skopeo umoci openssl htpasswd
	holm_begin empty
	mkdir "$WORLD/images"
	image_from_tree busybox "$WORLD/images" --config.entrypoint /bin/sh --config.label org.example=yes
	image_from_tree no-init "$WORLD/images"
	registry_start plain
	registry_start secure tls
	registry_push "$WORLD/images/busybox.tar" "$REGISTRY_plain/team/busybox:1"
	registry_push "$WORLD/images/busybox.tar" "$REGISTRY_plain/team/docker:1" --format v2s2
	registry_push "$WORLD/images/no-init.tar" "$REGISTRY_plain/library/mirrored:latest"
	registry_push "$WORLD/images/busybox.tar" "$REGISTRY_secure/private:1" --dest-creds 'alice:secret word'
	rm -rf "$WORLD/tmp"/*
}

teardown_file()
{
	registry_stop plain
	registry_stop secure
	holm_end
}

blobs()
{
	find "$XDG_DATA_HOME/holm/images/blobs" -type f 2>/dev/null | wc -l
}

library_is_sound()
{
	local file
	while IFS= read -r file; do
		equal "$(basename "$file")" "$(sha256sum <"$file" | cut -d' ' -f1)"
	done < <(find "$XDG_DATA_HOME/holm/images/blobs/sha256" -type f ! -name '.*' 2>/dev/null)
	jq -e . "$XDG_DATA_HOME/holm/images/index.json" >/dev/null
}

@test "a pull over plain HTTP from loopback; ls and inspect know the image" {
	run --separate-stderr holm image pull "$REGISTRY_plain/team/busybox:1"
	equal 0 "$status"
	contains "$(holm image ls)" "$REGISTRY_plain/team/busybox"
	equal "$REGISTRY_plain/team/busybox:1" "$(holm image ls -q)"
	holm image inspect "$REGISTRY_plain/team/busybox:1" | jq -e '.[0]'
	equal "$(skopeo inspect --tls-verify=false "docker://$REGISTRY_plain/team/busybox:1" | jq -r .Digest)" \
		"$(holm image ls --format json | jq -r '.[0].digest')"
	library_is_sound
}

@test "a second pull brings nothing new" {
	local before
	before=$(blobs)
	holm image pull "$REGISTRY_plain/team/busybox:1"
	equal "$before" "$(blobs)"
}

@test "Docker's schema 2 manifests" {
	holm image pull "$REGISTRY_plain/team/docker:1"
	holm image inspect "$REGISTRY_plain/team/docker:1" >/dev/null
}

@test "by digest" {
	local digest
	digest=$(skopeo inspect --tls-verify=false "docker://$REGISTRY_plain/team/busybox:1" | jq -r .Digest)
	holm image pull "$REGISTRY_plain/team/busybox@$digest"
	fails 125 holm image pull "$REGISTRY_plain/team/busybox@sha256:$(printf '0%.0s' {1..64})"
}

@test "TLS: an unknown certificate is refused and says what to do; without a login it says so" {
	fails 125 holm image pull "$REGISTRY_secure/private:1"
	contains "$stderr" certificate
	fails 125 holm image pull --tls-verify=false "$REGISTRY_secure/private:1"
	contains "$stderr" "$REGISTRY_secure"
}

@test "logins come from docker's and podman's files, and from a helper" {
	mkdir -p "$HOME/.docker" "$XDG_RUNTIME_DIR/containers" "$WORLD/bin"
	local auth
	auth=$(printf '%s' 'alice:secret word' | base64)
	jq -n --arg r "$REGISTRY_secure" --arg a "$auth" '{auths: {($r): {auth: $a}}}' >"$HOME/.docker/config.json"
	holm image pull --tls-verify=false "$REGISTRY_secure/private:1"
	holm image rm "$REGISTRY_secure/private:1"
	mv "$HOME/.docker/config.json" "$XDG_RUNTIME_DIR/containers/auth.json"
	holm image pull --tls-verify=false "$REGISTRY_secure/private:1"
	holm image rm "$REGISTRY_secure/private:1"
	rm "$XDG_RUNTIME_DIR/containers/auth.json"
	printf '#!/bin/sh\ncat >/dev/null\necho "{\\"Username\\":\\"alice\\",\\"Secret\\":\\"secret word\\"}"\n' >"$WORLD/bin/docker-credential-test"
	chmod 755 "$WORLD/bin/docker-credential-test"
	jq -n --arg r "$REGISTRY_secure" '{credHelpers: {($r): "test"}}' >"$HOME/.docker/config.json"
	PATH=$WORLD/bin:$PATH holm image pull --tls-verify=false "$REGISTRY_secure/private:1"
	auth=$(printf '%s' 'alice:wrong' | base64)
	jq -n --arg r "$REGISTRY_secure" --arg a "$auth" '{auths: {($r): {auth: $a}}}' >"$HOME/.docker/config.json"
	holm image rm "$REGISTRY_secure/private:1"
	fails 125 holm image pull --tls-verify=false "$REGISTRY_secure/private:1"
	rm -r "$HOME/.docker"
}

@test "login: tried at the registry, kept for holm, podman and docker, and forgotten" {
	local auth=$XDG_CONFIG_HOME/containers/auth.json
	fails 125 sh -c "printf 'wrong' | holm image login --tls-verify=false -u alice --password-stdin $REGISTRY_secure"
	contains "$stderr" 'refuses the login'
	[ ! -e "$auth" ]
	printf 'secret word\n' | holm image login --tls-verify=false -u alice --password-stdin "https://$REGISTRY_secure/"
	equal 600 "$(stat -c %a "$auth")"
	equal 'alice:secret word' "$(jq -r --arg r "$REGISTRY_secure" '.auths[$r].auth' "$auth" | base64 -d)"
	holm image pull --tls-verify=false "$REGISTRY_secure/private:1"
	REGISTRY_AUTH_FILE=$auth skopeo inspect --tls-verify=false "docker://$REGISTRY_secure/private:1" >/dev/null
	holm image rm "$REGISTRY_secure/private:1"
	holm image logout "$REGISTRY_secure"
	equal '{}' "$(jq -c .auths "$auth")"
	fails 125 holm image logout "$REGISTRY_secure"
	contains "$stderr" 'no login'
	fails 125 holm image pull --tls-verify=false "$REGISTRY_secure/private:1"
	contains "$stderr" "holm image login $REGISTRY_secure"
	rm -r "$XDG_CONFIG_HOME/containers"
}

@test "login: what is there already decides where; other members and symbolic links stay" {
	local config=$HOME/.docker/config.json
	mkdir -p "$HOME/.docker" "$WORLD/dotfiles"
	jq -n --arg r "$REGISTRY_secure" '{auths: {("https://" + $r + "/v1/"): {auth: "b2xkOm9sZA=="}}, psFormat: "x"}' >"$WORLD/dotfiles/config.json"
	ln -s "$WORLD/dotfiles/config.json" "$config"
	printf 'secret word' | holm image login --tls-verify=false -u alice --password-stdin "$REGISTRY_secure"
	[ -L "$config" ]
	equal "x 1" "$(jq -r '.psFormat + " " + (.auths | length | tostring)' "$config")"
	equal 'alice:secret word' "$(jq -r --arg r "$REGISTRY_secure" '.auths[$r].auth' "$config" | base64 -d)"
	[ ! -e "$XDG_CONFIG_HOME/containers/auth.json" ]
	# A login for a namespace is one of its own.
	printf 'secret word' | holm image login --tls-verify=false -u alice --password-stdin "$REGISTRY_secure/team"
	holm image logout "$REGISTRY_secure"
	[ -e "$XDG_CONFIG_HOME/containers/auth.json" ]
	holm image logout "$REGISTRY_secure/team"
	rm -r "$HOME/.docker" "$XDG_CONFIG_HOME/containers"
}

@test "login: with a credential helper, which alone has the password" {
	mkdir -p "$HOME/.docker" "$WORLD/bin"
	cat >"$WORLD/bin/docker-credential-kept" <<-'END'
		#!/bin/sh
		case $1 in
		store) cat >"$WORLD/kept" ;;
		get) cat >/dev/null; [ -s "$WORLD/kept" ] && cat "$WORLD/kept" || { echo "credentials not found in native keychain"; exit 1; } ;;
		erase) cat >/dev/null; [ -s "$WORLD/kept" ] || { echo "credentials not found in native keychain"; exit 1; }; : >"$WORLD/kept" ;;
		esac
	END
	chmod 755 "$WORLD/bin/docker-credential-kept"
	echo '{"credsStore": "kept"}' >"$HOME/.docker/config.json"
	printf 'secret word' | PATH=$WORLD/bin:$PATH holm image login --tls-verify=false -u alice --password-stdin "$REGISTRY_secure"
	equal "$REGISTRY_secure alice secret word" "$(jq -r '.ServerURL + " " + .Username + " " + .Secret' "$WORLD/kept")"
	equal '[{}]' "$(jq -c '[.auths[]]' "$HOME/.docker/config.json")"
	PATH=$WORLD/bin:$PATH holm image pull --tls-verify=false "$REGISTRY_secure/private:1"
	holm image rm "$REGISTRY_secure/private:1"
	PATH=$WORLD/bin:$PATH holm image logout "$REGISTRY_secure"
	[ ! -s "$WORLD/kept" ]
	PATH=$WORLD/bin:$PATH fails 125 holm image logout "$REGISTRY_secure"
	rm -r "$HOME/.docker" "${WORLD:?}/bin"
}

@test "login: user and password are asked for on a terminal, which does not show the password" {
	timeout 60 python3 - "$REGISTRY_secure" >"$WORLD/shown" <<-'E'
	import os, pty, sys
	pid, fd = pty.fork()
	if pid == 0:
	    os.execlp("holm", "holm", "image", "login", "--tls-verify=false", sys.argv[1])
	out = b""
	def read():
	    global out
	    try:
	        data = os.read(fd, 1000)
	    except OSError:
	        data = b""
	    out += data
	    return data
	for question, answer in ((b"User: ", b"alice\n"), (b"Password: ", b"secret word\n")):
	    while question not in out:
	        if not read():
	            sys.exit(out.decode())
	    os.write(fd, answer)
	while read():
	    pass
	print(out.decode())
	sys.exit(os.waitpid(pid, 0)[1])
	E
	contains "$(cat "$WORLD/shown")" "logged in to $REGISTRY_secure"
	run ! grep -q secret "$WORLD/shown"
	holm image logout "$REGISTRY_secure"
	rm -r "$XDG_CONFIG_HOME/containers"
}

@test "login: what is wrong is one line" {
	fails 125 holm image login "$REGISTRY_secure" </dev/null
	contains "$stderr" --password-stdin
	fails 125 holm image login --password-stdin "$REGISTRY_secure" </dev/null
	contains "$stderr" --username
	fails 125 holm image login -u x --password-stdin "$REGISTRY_secure" </dev/null
	contains "$stderr" password
	fails 125 sh -c "echo y | holm image login -u a:b --password-stdin $REGISTRY_secure"
	fails 125 sh -c "echo y | holm image login -u a --password-stdin localhost"
	contains "$stderr" registry
	fails 125 holm image login --password x "$REGISTRY_secure" </dev/null
	fails 125 holm image login -u a -p x --password-stdin "$REGISTRY_secure" </dev/null
	contains "$stderr" 'exclude each other'
	fails 125 holm login --tls-verify=false -u alice -p wrong "$REGISTRY_secure" </dev/null
	contains "$stderr" 'refuses the login'
	contains "$stderr" 'other users of this host can read --password'
	mkdir -p "$XDG_CONFIG_HOME/containers"
	echo '[1]' >"$XDG_CONFIG_HOME/containers/auth.json"
	fails 125 sh -c "printf 'secret word' | holm image login --tls-verify=false -u alice --password-stdin $REGISTRY_secure"
	contains "$stderr" auth.json
	equal '[1]' "$(cat "$XDG_CONFIG_HOME/containers/auth.json")"
	rm -r "$XDG_CONFIG_HOME/containers"
	# A registry that asks for no login keeps it, and says so.
	run --separate-stderr sh -c "echo y | holm image login -u a --password-stdin $REGISTRY_plain"
	equal 0 "$status"
	contains "$stderr" 'asks for no login'
	holm image logout "$REGISTRY_plain"
	rm -r "$XDG_CONFIG_HOME/containers"
}

@test "a certificate that the system trusts needs no option" {
	local auth
	mkdir -p "$HOME/.docker"
	auth=$(printf '%s' 'alice:secret word' | base64)
	jq -n --arg r "$REGISTRY_secure" --arg a "$auth" '{auths: {($r): {auth: $a}}}' >"$HOME/.docker/config.json"
	SSL_CERT_FILE="$REGISTRY_DIR_secure/cert.pem" CURL_CA_BUNDLE="$REGISTRY_DIR_secure/cert.pem" holm image pull "$REGISTRY_secure/private:1"
	rm -r "$HOME/.docker"
}

@test "a blocked registry, and one that requires digests" {
	local digest
	digest=$(skopeo inspect --tls-verify=false "docker://$REGISTRY_plain/team/busybox:1" | jq -r .Digest)
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[registry "%s"]\nblocked = true\n' "$REGISTRY_plain" >"$XDG_CONFIG_HOME/holm/config"
	fails 125 holm image pull "$REGISTRY_plain/team/busybox:1"
	contains "$stderr" "registry $REGISTRY_plain is blocked"
	fails 125 holm image prepare --pull always "$REGISTRY_plain/team/busybox:1"
	contains "$stderr" blocked
	printf '[registry "%s"]\nrequire-digest = yes\n' "$REGISTRY_plain" >"$XDG_CONFIG_HOME/holm/config"
	fails 125 holm image pull "$REGISTRY_plain/team/busybox:1"
	contains "$stderr" '@sha256:'
	equal "$REGISTRY_plain/team/busybox@$digest" "$(holm image pull "$REGISTRY_plain/team/busybox@$digest")"
	equal "$REGISTRY_plain/team/busybox:1@$digest" "$(holm image pull "$REGISTRY_plain/team/busybox:1@$digest")"
	printf '[registry "%s"]\nblocked = perhaps\n' "$REGISTRY_plain" >"$XDG_CONFIG_HOME/holm/config"
	fails 125 holm image pull "$REGISTRY_plain/team/busybox:1"
	contains "$stderr" 'true or false'
	rm "$XDG_CONFIG_HOME/holm/config"
}

@test "a mirror from the configuration answers for docker.io" {
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[registry "docker.io"]\nmirror = %s\ntls-verify = false\n' "$REGISTRY_plain" >"$XDG_CONFIG_HOME/holm/config"
	holm image pull mirrored
	contains "$(holm image ls -q)" mirrored
	rm "$XDG_CONFIG_HOME/holm/config"
}

@test "an image, a tag or a registry that is not there: one line that names it, nothing left" {
	local before
	before=$(blobs)
	fails 125 holm image pull "$REGISTRY_plain/team/nothing:1"
	contains "$stderr" nothing
	fails 125 holm image pull "$REGISTRY_plain/team/busybox:99"
	fails 125 holm image pull localhost:1/x:1
	contains "$stderr" localhost:1
	fails 125 holm image pull 'UPPER/case'
	fails 125 holm image pull ''
	equal "$before" "$(blobs)"
	library_is_sound
}

@test "a blob that is damaged or cut is refused and does not enter the library" {
	local data blob saved before
	holm image ls -q | while read -r blob; do
		holm image rm "$blob" >/dev/null
	done
	before=$(blobs)
	blob=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY_plain/team/busybox:1" | jq -r '.layers[0].digest | ltrimstr("sha256:")')
	data=$REGISTRY_DIR_plain/data/docker/registry/v2/blobs/sha256/${blob:0:2}/$blob/data
	saved=$WORLD/saved
	cp "$data" "$saved"
	printf damaged | dd of="$data" bs=1 seek=1000 conv=notrunc 2>/dev/null
	fails 125 holm image pull "$REGISTRY_plain/team/busybox:1"
	contains "$stderr" digest
	truncate -s 5000 "$data"
	fails 125 holm image pull "$REGISTRY_plain/team/busybox:1"
	cp "$saved" "$data"
	equal '' "$(holm image ls -q)"
	[ "$(blobs)" -le $((before + 2)) ]
	library_is_sound
	holm image pull "$REGISTRY_plain/team/busybox:1"
	library_is_sound
}

@test "kill -9 and Ctrl-C in the middle of a pull; then it goes on" {
	local big="$WORLD/images/noise.tar" pid moment
	head -c 30000000 /dev/urandom >"$WORLD/noise"
	tar -C "$WORLD" -cf "$WORLD/layer.tar" noise
	TMPDIR=$WORLD image_from_layer "$WORLD/layer.tar" noise "$WORLD/images"
	registry_push "$big" "$REGISTRY_plain/noise:1"
	rm "$WORLD/noise" "$WORLD/layer.tar"
	for moment in 0.05 0.15 0.3; do
		command holm image pull "$REGISTRY_plain/noise:1" >/dev/null 2>&1 3>&- &
		pid=$!
		command sleep $moment
		kill -KILL $pid 2>/dev/null || true
		wait $pid || true
		library_is_sound
	done
	background holm image pull "$REGISTRY_plain/noise:1" >/dev/null 2>&1
	command sleep 0.1
	kill -INT "$pid" 2>/dev/null || true
	wait "$pid" || true
	until_true 60 no_pull_runs
	holm image pull "$REGISTRY_plain/noise:1"
	library_is_sound
}

no_pull_runs()
{
	[ -z "$(world_processes)" ]
}

@test "two pulls of one image at once" {
	holm image rm "$REGISTRY_plain/noise:1"
	holm image pull "$REGISTRY_plain/noise:1" 3>&- &
	local one=$!
	holm image pull "$REGISTRY_plain/noise:1" 3>&- &
	wait $one
	wait $!
	equal "$REGISTRY_plain/noise:1" "$(holm image ls -q | grep noise)"
	library_is_sound
}

@test "the registry goes away" {
	registry_stop plain
	HOLM_TEST_TIMEOUT=100 fails 125 holm image pull "$REGISTRY_plain/team/docker:1"
	contains "$stderr" "$REGISTRY_plain"
}
