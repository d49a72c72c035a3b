#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pushing: to a real registry, plain and with a login, and to one that misbehaves.
load ../lib/holm
load ../lib/images
load ../lib/registry

setup_file()
{
	requires docker-registry skopeo umoci openssl htpasswd python3
	holm_begin empty
	mkdir "$WORLD/images"
	image_from_tree busybox "$WORLD/images" --config.env GREETING=hello
	holm image load "$WORLD/images/busybox.tar"
	export DIGEST
	DIGEST=$(holm image ls --format json | jq -r '.[0].digest')
	registry_start plain
	registry_start secure tls
	faulty_registry_start
	export FAULTY_REGISTRY=$REGISTRY
	rm -rf "$WORLD/tmp"/*
}

teardown_file()
{
	registry_stop plain
	registry_stop secure
	faulty_registry_stop
	holm_end
}

setup()
{
	: >"$LOG"
}

# asked METHOD [WORD]: the number of requests of this method with WORD in their path.
asked()
{
	jq -r --arg m "$1" --arg w "${2-}" 'select(.method == $m and (.path | contains($w))) | .path' "$LOG" | wc -l
}

push_to()
{
	holm image push --progress none busybox:test "$FAULTY_REGISTRY/$1:1" "${@:2}"
}

@test "push: the registry has the image with the same digest, and a pull brings it back" {
	equal "$REGISTRY_plain/me/box:2@$DIGEST" "$(holm image push busybox:test "$REGISTRY_plain/me/box:2")"
	equal "$DIGEST" "$(skopeo inspect --tls-verify=false "docker://$REGISTRY_plain/me/box:2" | jq -r .Digest)"
	XDG_DATA_HOME=$WORLD/other holm image pull "$REGISTRY_plain/me/box:2"
	equal "$DIGEST" "$(XDG_DATA_HOME=$WORLD/other holm image ls --format json | jq -r '.[0].digest')"
}

@test "a build sends its image: --push, --output type=registry" {
	local digest
	mkdir "$TMPDIR/context"
	printf 'FROM scratch\nLABEL a=1\n' >"$TMPDIR/context/Dockerfile"
	digest=$(holm build -q --push -t "$REGISTRY_plain/built/box:1" "$TMPDIR/context")
	equal "$digest" "$(skopeo inspect --tls-verify=false "docker://$REGISTRY_plain/built/box:1" | jq -r .Digest)"
	holm build -q -o "type=image,push=true,name=$REGISTRY_plain/built/other:1" "$TMPDIR/context"
	equal "$digest" "$(skopeo inspect --tls-verify=false "docker://$REGISTRY_plain/built/other:1" | jq -r .Digest)"
	holm image rm "$REGISTRY_plain/built/box:1" "$REGISTRY_plain/built/other:1"
	rm -r "$TMPDIR/context"
}

@test "push: one word is name and destination" {
	holm image tag busybox:test "$REGISTRY_plain/one/word:1"
	equal "$REGISTRY_plain/one/word:1@$DIGEST" "$(holm image push "$REGISTRY_plain/one/word:1")"
	holm image rm "$REGISTRY_plain/one/word:1"
}

@test "push --all-tags: each name of a repository, and no other" {
	holm image tag busybox:test "$REGISTRY_plain/me/all:1"
	holm image tag busybox:test "$REGISTRY_plain/me/all:2"
	holm image tag busybox:test "$REGISTRY_plain/me/allother:3"
	equal "$REGISTRY_plain/me/all:1 $REGISTRY_plain/me/all:2" "$(holm push -a --tls-verify=false "$REGISTRY_plain/me/all" 2>/dev/null | sed 's/@.*//' | sort | xargs)"
	equal 404 "$(curl -s -o /dev/null -w '%{http_code}' "http://$REGISTRY_plain/v2/me/allother/manifests/3")"
	fails 125 holm push --all-tags "$REGISTRY_plain/me/all:1"
	contains "$stderr" 'without a tag'
	fails 125 holm push --all-tags "$REGISTRY_plain/me/absent"
	contains "$stderr" 'has no image in the library'
	holm image rm "$REGISTRY_plain/me/all:1" "$REGISTRY_plain/me/all:2" "$REGISTRY_plain/me/allother:3" >/dev/null
}

@test "push behind a build: the image that was built, not another platform's of that name" {
	local name=$REGISTRY_plain/built/box:1 other=arm64
	[ "$(uname -m)" = aarch64 ] && other=amd64
	mkdir -p "$WORLD/context"
	printf 'FROM scratch\nCOPY Dockerfile /\n' >"$WORLD/context/Dockerfile"
	holm build -q -t "$name" "$WORLD/context"
	holm build -q --platform "linux/$other" -t "$name" --push "$WORLD/context"
	equal "$other" "$(skopeo inspect --tls-verify=false --config "docker://$name" | jq -r .architecture)"
	fails 125 holm build -q -t "$name" --push -o "type=local,dest=$WORLD/files" "$WORLD/context"
	contains "$stderr" 'asks for no image'
	holm image rm "$name"
}

@test "push: in pieces, and what is there is not sent again" {
	equal "$REGISTRY_plain/chunked/box:1@$DIGEST" "$(holm image push --chunk-size 1M busybox:test "$REGISTRY_plain/chunked/box:1")"
	equal "$DIGEST" "$(skopeo inspect --tls-verify=false "docker://$REGISTRY_plain/chunked/box:1" | jq -r .Digest)"
	run --separate-stderr holm image push --progress plain busybox:test "$REGISTRY_plain/chunked/box:other"
	equal 0 "$status"
	equal 2 "$(grep -c 'there already' <<<"$stderr")"
}

@test "push: with TLS and a login" {
	mkdir -p "$HOME/.docker"
	jq -n --arg r "$REGISTRY_secure" --arg a "$(printf '%s' 'alice:secret word' | base64)" '{auths: {($r): {auth: $a}}}' >"$HOME/.docker/config.json"
	fails 125 holm image push busybox:test "$REGISTRY_secure/me/box:1"
	contains "$stderr" certificate
	SSL_CERT_FILE="$REGISTRY_DIR_secure/cert.pem" holm image push busybox:test "$REGISTRY_secure/me/box:1"
	rm -r "$HOME/.docker"
	fails 125 holm image push --tls-verify=false busybox:test "$REGISTRY_secure/me/box:2"
	contains "$stderr" login
}

@test "push: what cannot be is refused before anything is sent" {
	fails 125 holm image push nothing:1 "$FAULTY_REGISTRY/push-x:1"
	contains "$stderr" nothing
	fails 125 holm image push busybox:test localhost/box:1
	contains "$stderr" registry
	fails 125 holm image push busybox:test "$FAULTY_REGISTRY/push-x@sha256:$(printf '0%.0s' {1..64})"
	contains "$stderr" digest
	fails 125 holm image push --chunk-size 10K busybox:test "$FAULTY_REGISTRY/push-x:1"
	contains "$stderr" --chunk-size
	equal '' "$(cat "$LOG")"
}

# raw HOST:PORT/REPOSITORY:TAG: the digest of its manifest or index.
raw()
{
	skopeo inspect --tls-verify=false --raw "docker://$1" | sha256sum | cut -d' ' -f1
}

@test "all platforms: index, images and attestation go on as they came, by a registry and by an archive" {
	local from=$FAULTY_REGISTRY/plain:attested to=$REGISTRY_plain/all/box index artifact
	index=$(raw "$from")
	artifact=$(raw "$FAULTY_REGISTRY/plain:artifact")
	holm image pull --all-platforms --progress none "$from"
	equal 'linux/amd64 linux/arm64' "$(holm image ls --format json | jq -r --arg n "$from" '[.[] | select(.name == $n).platform] | join(" ")')"
	# The attestation stays with the index.
	holm image prune >/dev/null
	equal "$to:1@sha256:$index" "$(holm image push --progress none --all-platforms "$from" "$to:1")"
	equal "$index $artifact" "$(raw "$to:1") $(raw "$to@sha256:$artifact")"
	holm image save --progress none --all-platforms --format oci-dir -o "$WORLD/all" "$from"
	equal "sha256:$index" "$(jq -r '.manifests[].digest' "$WORLD/all/index.json")"
	skopeo copy --quiet --insecure-policy --dest-tls-verify=false --all "oci:$WORLD/all:$from" "docker://$to:2"
	equal "$index" "$(raw "$to:2")"
	# An entry of the name that changes is not the index's any more: it is made of what is here.
	holm image tag busybox:test "$from"
	holm image push --progress none --all-platforms "$from" "$to:3"
	equal "$DIGEST" "$(skopeo inspect --tls-verify=false --raw "docker://$to:3" | jq -r '.manifests[0].digest')"
	equal 2 "$(skopeo inspect --tls-verify=false --raw "docker://$to:3" | jq '.manifests | length')"
	holm image rm "$from"
	equal '' "$(find "$XDG_DATA_HOME/holm/images/blobs/sha256" -name "$artifact")"
}

@test "all platforms: an artifact of a platform takes no image's name" {
	local from=$FAULTY_REGISTRY/plain:beside
	holm image pull --all-platforms --progress none "$from"
	equal linux/amd64 "$(holm image ls --format json | jq -r --arg n "$from" '.[] | select(.name == $n).platform')"
	holm image rm "$from"
}

@test "an artifact may have a configuration that is not JSON" {
	local from=$FAULTY_REGISTRY/plain:bytes
	holm image pull --progress none "$from"
	equal 'application/vnd.example.bytes null' "$(holm image inspect "$from" | jq -r '.[0] | "\(.artifact_type) \(.config)"')"
	holm image rm "$from"
}

@test "all platforms: what cannot be is one line" {
	fails 125 holm image push --all-platforms --platform linux/amd64 busybox:test "$REGISTRY_plain/all/box:4"
	contains "$stderr" --platform
	fails 125 holm image save --all-platforms -o "$WORLD/x.tar" busybox:test
	contains "$stderr" oci-archive
}

@test "an artifact goes on as it came, by a registry and by an archive, and is no image" {
	local from=$FAULTY_REGISTRY/plain:artifact to=$REGISTRY_plain/all/artifact digest
	digest=$(raw "$from")
	fails 125 holm image prepare --progress none "$from"
	contains "$stderr" 'is an artifact of the type "application/vnd.example.attestation"'
	equal '' "$(holm image ls -q "$from")"
	holm image pull --progress none "$from"
	holm image prune >/dev/null
	equal artifact "$(holm image ls --format json "$from" | jq -r '.[0].platform')"
	equal application/vnd.example.attestation "$(holm image inspect "$from" | jq -r '.[0].artifact_type')"
	holm image tag "$from" signed:1
	equal "$to:1@sha256:$digest" "$(holm image push --progress none signed:1 "$to:1")"
	equal "$digest" "$(raw "$to:1")"
	fails 125 holm image save -o "$WORLD/artifact.tar" signed:1
	contains "$stderr" oci-archive
	holm image save --progress none --format oci-archive -o "$WORLD/artifact.tar" signed:1
	holm image rm "$from" signed:1
	holm image load --progress none "$WORLD/artifact.tar"
	equal "sha256:$digest" "$(holm image inspect signed:1 | jq -r '.[0].digest')"
	fails 125 holm image history signed:1
	contains "$stderr" 'is an artifact'
	fails 125 holm image prepare --pull never --progress none signed:1
	contains "$stderr" 'is an artifact'
	# An image takes its name.
	holm image tag busybox:test signed:1
	equal linux/amd64 "$(holm image ls --format json signed:1 | jq -r '.[].platform')"
	holm image rm signed:1
}

@test "push: an unchanged image costs one request a layer" {
	push_to push-plain
	: >"$LOG"
	push_to push-plain
	equal '2 0 1' "$(asked HEAD) $(asked POST) $(asked PUT)"
}

@test "push: a layer of another repository of the registry is mounted" {
	holm image tag busybox:test "$FAULTY_REGISTRY/push-plain:1"
	push_to push-mount
	contains "$(jq -r .path "$LOG")" 'from=push-plain'
	# Only the configuration is sent: no other image of the library says where it is.
	equal 1 "$(asked PUT blobs)"
	holm image rm "$FAULTY_REGISTRY/push-plain:1"
	holm image tag busybox:test "$FAULTY_REGISTRY/push-other:1"
	# A registry that does not mount takes the bytes.
	: >"$LOG"
	push_to push-again
	equal 2 "$(asked PUT blobs)"
	holm image rm "$FAULTY_REGISTRY/push-other:1"
}

@test "push: a token for pushing is asked for at once" {
	mkdir -p "$HOME/.docker"
	jq -n --arg r "$FAULTY_REGISTRY" --arg a "$(printf '%s' 'alice:secret' | base64)" '{auths: {($r): {auth: $a}}}' >"$HOME/.docker/config.json"
	push_to push-token
	equal 1 "$(asked GET token)"
	rm -r "$HOME/.docker"
	fails 125 push_to push-token
	contains "$stderr" login
}

@test "push: a registry that is busy, closes connections, has no HEAD, moves the upload or says where relatively" {
	local repository
	for repository in push-busy push-closes push-no-head push-moved push-relative push-elsewhere; do
		: >"$LOG"
		equal "$FAULTY_REGISTRY/$repository:1@$DIGEST" "$(push_to "$repository")"
	done
	# The upload went to another host, without the login.
	equal 2 "$(jq -r 'select(.method == "PUT" and (.path | contains("blobs"))) | .port' "$LOG" | wc -l)"
	equal null "$(jq -r 'select(.method == "PUT" and (.path | contains("blobs"))) | .authorization' "$LOG" | sort -u)"
}

@test "push: a connection that breaks, and an upload that the registry loses, start again" {
	push_to push-cut
	equal 3 "$(jq -r 'select(.method == "PUT" and (.size | tonumber) > 1000000) | .path' "$LOG" | wc -l)"
	: >"$LOG"
	push_to push-lost --chunk-size 1M
	[ "$(asked PATCH)" -ge 3 ]
}

@test "push: a registry that refuses the whole layer as too large gets pieces" {
	# The layer compresses badly, and is larger than the registry takes at once.
	mkdir "$WORLD/noise"
	openssl enc -aes-128-ctr -pass pass:holm -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c 6000000 >"$WORLD/noise/data"
	tar -C "$WORLD/noise" -cf - data | holm image import - noise:1
	holm image push --progress none noise:1 "$FAULTY_REGISTRY/push-small:1"
	[ "$(asked PATCH)" -ge 3 ]
	holm image rm noise:1
}

@test "push: nothing goes to a blocked registry" {
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[registry "%s"]\nblocked = true\n' "$FAULTY_REGISTRY" >"$XDG_CONFIG_HOME/holm/config"
	fails 125 push_to push-plain
	contains "$stderr" blocked
	printf '[registry "%s"]\nrequire-digest = true\n' "$FAULTY_REGISTRY" >"$XDG_CONFIG_HOME/holm/config"
	push_to push-plain
	rm "$XDG_CONFIG_HOME/holm/config"
}

@test "push: what is refused for good is one line" {
	fails 125 push_to push-denied
	contains "$stderr" 'not yours'
	fails 125 push_to push-none
	contains "$stderr" 'no such repository'
	fails 125 push_to push-liar
	contains "$stderr" 'took blob'
	fails 125 holm image push busybox:test 127.0.0.1:1/x:1
	contains "$stderr" 127.0.0.1:1
}
