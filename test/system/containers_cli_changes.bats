#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# holm's own verbs for the changes of containers, and the prunes: diff, commit, export, container
# prune, system prune, and the room that things take.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
}

teardown_file()
{
	holm_end
}

@test "diff, commit and export, which import takes" {
	local id
	holm run --name base busybox:test sh -c 'echo text >/new; rm /etc/group' 
	equal $'C /etc\nD /etc/group\nA /new' "$(holm diff base)"
	id=$(holm commit -m comment -c 'CMD ["cat", "/new"]' base made:1)
	contains "$id" sha256:
	equal text "$(holm run --rm made:1)"
	equal comment "$(holm history --format '{{.comment}}' made:1 | head -n 1)"
	exits 1 holm commit nothing
	exits 1 holm diff nothing
	contains "$stderr" 'container "nothing"'
	holm export -o "$TMPDIR/all.tar" base
	equal text "$(tar -xOf "$TMPDIR/all.tar" new)"
	equal text "$(holm export base | tar -xO new)"
	holm import "$TMPDIR/all.tar" localhost/again:1 >/dev/null 2>&1
	equal text "$(holm run --rm localhost/again:1 cat /new)"
	holm rm base >/dev/null
	holm rmi made:1 localhost/again:1 >/dev/null
	rm "$TMPDIR/all.tar"
}

@test "df counts containers, volumes and images; ps -s says what a container has written" {
	docker run --name big busybox:test sh -c 'dd if=/dev/zero of=/big bs=1M count=3 2>/dev/null' 
	docker volume create kept >/dev/null
	docker run --rm -v kept:/v busybox:test sh -c 'echo x >/v/x'
	api GET /system/df >"$TMPDIR/df"
	equal true "$(jq '.Containers[0].SizeRw > 3000000 and .Containers[0].SizeRw < 4000000' "$TMPDIR/df")"
	equal 'kept 0 true' "$(jq -r '.Volumes[0] | "\(.Name) \(.UsageData.RefCount) \(.UsageData.Size > 0)"' "$TMPDIR/df")"
	equal 1 "$(jq '.Images[] | select(.RepoTags[0] == "busybox:test") | .Containers' "$TMPDIR/df")"
	contains "$(docker system df)" 'Local Volumes'
	contains "$(docker ps -as --format '{{.Size}}')" 3.1
	docker rm big >/dev/null
	docker volume rm kept >/dev/null
	rm "$TMPDIR/df"
}

@test "prunes take filters, ask first, and say what they free" {
	docker run --name old -l keep=yes busybox:test true
	docker run --name other busybox:test true
	exits 125 holm container prune </dev/null
	contains "$stderr" --force
	contains "$(holm container prune -f --filter label!=keep)" "$(printf 'Deleted Containers:')"
	equal old "$(docker ps -a --format '{{.Names}}')"
	contains "$(holm container prune -f --filter until=24h)" 'Total reclaimed space: 0B'
	docker commit old >/dev/null
	docker volume create named >/dev/null
	contains "$(docker image prune -f --filter until=24h)" 'Total reclaimed space: 0B'
	[ -n "$(docker images -q --filter dangling=true)" ]
	contains "$(holm system prune -f --volumes)" 'Total reclaimed space'
	equal '' "$(docker ps -aq)$(docker images -q --filter dangling=true)"
	equal named "$(holm volume ls -q --no-boot)"
	[ "$(api POST /networks/prune -d '' -o "$TMPDIR/answer" -w '%{http_code}')" = 404 ] || docker system prune -f --volumes >/dev/null
	docker builder prune -f >/dev/null
	equal named "$(docker volume ls -q)"
	docker volume rm named >/dev/null
	rm -f "$TMPDIR/answer"
	exits 125 holm image prune --filter nonsense=1
	contains "$stderr" label
}
