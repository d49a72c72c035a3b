#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The changes of a container in its image's files: diff and commit.
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

@test "diff: added, changed and deleted paths, of whiteouts, opaque directories, modes and types" {
	docker run --name changed busybox:test sh -c '
		echo x >/new; mkdir -p /dir/in; echo y >/dir/in/file
		rm /etc/issue /bin/true 2>/dev/null; rm /etc/group
		rm -r /srv/www; mkdir /srv/www; echo z >/srv/www/other
		chmod 700 /home
		rm -r /mnt; ln -s /tmp /mnt
		touch -d @1 /etc/inittab
		chown 0 /etc/passwd; mkdir /var/log/deep; rmdir /var/log/deep' >/dev/null
	docker diff changed >"$TMPDIR/diff"
	equal 'A /dir
A /dir/in
A /dir/in/file
A /new
C /bin
C /etc
C /etc/inittab
C /home
C /mnt
C /srv
C /srv/www
D /bin/true
D /etc/group
A /srv/www/other
D /srv/www/index.html' "$(sort -k1,1 -k2 "$TMPDIR/diff" | sed '/^. .srv.www./d'; grep '^. /srv/www/' "$TMPDIR/diff" | sort)"
	# In the order of paths, and the same while it runs.
	cut -d' ' -f2 "$TMPDIR/diff" | LC_ALL=C sort -c
	equal '[]' "$(docker create --name fresh busybox:test true >/dev/null; api GET /containers/fresh/changes)"
	docker run -d --name runs -v "$HOME:/data" busybox:test sh -c 'echo x >/made; sleep 100' >/dev/null
	until_true 60 docker exec runs test -s /made
	equal $'A /data\nA /made' "$(docker diff runs)"
	exits 1 docker diff nothing
	contains "$stderr" 'No such container'
	docker rm -f changed fresh runs >/dev/null
	rm "$TMPDIR/diff"
}

@test "commit: the changes are one layer; its configuration is the container's, with changes, author and comment" {
	local id count
	docker run --name base -e FROM=run busybox:test sh -c '
		mkdir /new; echo text >/new/file; ln /new/file /new/link; chown 7:8 /new/file; chmod 4711 /new/file
		rm /etc/group; rm -r /srv/www; mkdir /srv/www; echo z >/srv/www/other' >/dev/null
	id=$(docker commit -a 'Me <me@example.org>' -m 'a comment' -c 'ENV ADDED=yes' -c 'CMD ["cat", "/new/file"]' -c 'EXPOSE 80' base made:1)
	contains "$id" sha256:
	equal text "$(docker run --rm made:1)"
	equal '4711 7 8 2' "$(docker run --rm made:1 stat -c '%a %u %g %h' /new/file)"
	equal 'run yes' "$(docker run --rm made:1 sh -c 'echo $FROM $ADDED')"
	exits 1 docker run --rm made:1 test -e /etc/group
	equal other "$(docker run --rm made:1 ls /srv/www)"
	equal 'Me <me@example.org> map[80/tcp:{}]' "$(docker inspect -f '{{.Author}} {{.Config.ExposedPorts}}' made:1)"
	equal 'a comment' "$(docker history --format '{{.Comment}}' made:1 | head -n 1)"
	count=$(docker inspect -f '{{len .RootFS.Layers}}' busybox:test)
	equal "$((count + 1))" "$(docker inspect -f '{{len .RootFS.Layers}}' made:1)"
	# An image of the image, of a container that never ran, and without a name.
	docker create --name second made:1 true >/dev/null
	id=$(api POST '/commit?container=second' -d '' | jq -r .Id)
	equal "$id" "$(docker images --no-trunc -q --filter dangling=true)"
	equal 404 "$(api POST '/commit?container=nothing' -d '' -o "$TMPDIR/answer" -w '%{http_code}')"
	docker rm base second >/dev/null
	docker rmi made:1 "$id" >/dev/null
	equal '' "$(docker images -q --filter dangling=true)"
	rm "$TMPDIR/answer"
}

@test "commit of a running container goes on with it; events list it" {
	local since id
	since=$(date +%s)
	docker run -d --name live busybox:test sh -c 'echo one >/one; while :; do sleep 1; done' >/dev/null
	until_true 60 docker exec live test -s /one
	id=$(docker commit live live:1)
	equal one "$(docker run --rm live:1 cat /one)"
	equal 'running false' "$(docker inspect -f '{{.State.Status}} {{.State.Paused}}' live)"
	contains "$(docker events --since "$since" --until "$(($(date +%s) + 1))" --filter event=commit --format '{{.Actor.Attributes.imageID}} {{.Actor.Attributes.name}}')" "$id live"
	docker rm -f live >/dev/null
	docker rmi live:1 >/dev/null
}
