#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# What a stock docker client mounts in containers: host paths, volumes, tmpfs.
load ../lib/holm
load ../lib/containers

setup_file()
{
	export OUTSIDE
	containers_begin
	OUTSIDE=$(mktemp -d "$WORLD/outside.XXXX")
}

teardown_file()
{
	holm_end
}

setup()
{
	H=$(mktemp -d "$HOME/binds.XXXX")
}

teardown()
{
	rm -rf "$H"
}

# status METHOD PATH [curl option]...: prints the status; the body is in $BATS_TEST_TMPDIR/answer.
status()
{
	api "$@" -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}'
}

run_in()
{
	docker run --rm "$@"
}

@test "-v of a directory in the home: both ways, owners, read-only, files, names with blanks" {
	echo host >"$H/file"
	equal host "$(run_in -v "$H:/data" busybox:test cat /data/file)"
	run_in -v "$H:/data" busybox:test sh -c 'echo inside >/data/new; mkdir /data/folder'
	equal inside "$(cat "$H/new")"
	equal "$UID_ME $UID_ME" "$(stat -c %u "$H/new" "$H/folder" | xargs)"
	exits 1 run_in -v "$H:/data:ro" busybox:test touch /data/no
	contains "$stderr" 'Read-only'
	exits 1 run_in --mount "type=bind,source=$H,target=/data,readonly" busybox:test touch /data/no
	[ ! -e "$H/no" ]
	equal host "$(run_in -v "$H/file:/etc/special:ro" busybox:test cat /etc/special)"
	equal host "$(run_in -v "$H/file:/etc/hosts" busybox:test cat /etc/hosts)"
	mkdir "$H/two words"
	run_in --mount "type=bind,source=$H/two words,target=/a b" busybox:test touch '/a b/c'
	[ -e "$H/two words/c" ]
	mkdir "$H/a" "$H/b"
	run_in -v "$H/b:/x/y" -v "$H/a:/x" busybox:test touch /x/in-a /x/y/in-b
	[ -e "$H/a/in-a" ] && [ -e "$H/b/in-b" ]
}

@test "an absent path: -v makes a directory, --mount refuses; a link leads where it leads in the home" {
	run_in -v "$H/deep/er:/data" busybox:test touch /data/x
	[ -e "$H/deep/er/x" ]
	equal "$UID_ME" "$(stat -c %u "$H/deep")"
	exits 125 run_in --mount "type=bind,source=$H/nothing,target=/data" busybox:test true
	contains "$stderr" "bind source path does not exist: $H/nothing"
	[ ! -e "$H/nothing" ]
	ln -s deep/er "$H/link"
	equal x "$(run_in -v "$H/link:/data" busybox:test ls /data)"
	# At the start it is looked for again.
	docker create --name gone -v "$H/deep/er:/data" busybox:test true >/dev/null
	rm -r "$H/deep"
	exits 1 docker start gone
	contains "$stderr" 'bind source path does not exist'
	ln -s "$OUTSIDE" "$H/deep"
	mkdir "$OUTSIDE/er"
	exits 1 docker start gone
	docker rm gone >/dev/null
}

@test "a path outside of the shares is an error that says how to share it; a mount that is added works at once" {
	exits 125 run_in -v "$OUTSIDE:/data" busybox:test true
	contains "$stderr" "$OUTSIDE is not shared with the machine \"box\"; share it: holm machine mount add --name box $OUTSIDE"
	exits 125 run_in -v "$OUTSIDE/new/one:/data" busybox:test true
	contains "$stderr" 'holm machine mount add'
	[ ! -e "$OUTSIDE/new" ]
	ln -s "$OUTSIDE" "$H/out"
	exits 125 run_in -v "$H/out:/data" busybox:test true
	exits 125 run_in -v "$H/../../../etc:/data" busybox:test true
	contains "$stderr" 'is not shared with'
	holm machine mount add --name box "$OUTSIDE:/given:ro"
	echo shared >"$OUTSIDE/file"
	equal shared "$(run_in -v "$OUTSIDE:/data" busybox:test cat /data/file)"
	exits 1 run_in -v "$OUTSIDE:/data" busybox:test touch /data/no
	exits 125 run_in -v "$OUTSIDE/new:/data" busybox:test true
	contains "$stderr" 'read-only'
	[ ! -e "$OUTSIDE/new" ]
	holm machine mount rm --name box /given
}

@test "holm's own folders are in no container: by name, by a link, below the home, by a record" {
	local data=$XDG_DATA_HOME/holm path
	run_in -v "$HOME:/h" busybox:test test -d "/h${H#"$HOME"}"
	if [[ $data == "$HOME"/* ]]; then
		equal '' "$(run_in -v "$HOME:/h" busybox:test ls -A "/h${data#"$HOME"}" 2>/dev/null)"
		equal '' "$(run_in -v "$(dirname "$data"):/h" busybox:test ls -A /h/holm 2>/dev/null)"
	fi
	ln -s "$data" "$H/link"
	for path in "$data" "$data/machines" "$data/nothing" "$H/link" "$H/link/machines" "$XDG_RUNTIME_DIR/holm"; do
		exits 125 run_in -v "$path:/data" busybox:test true
	done
	[ ! -e "$data/nothing" ]
	# Root in the machine writes a record that names them.
	docker create --name forged -v "$H:/data" busybox:test ls /data >/dev/null
	holm machine run -n box --root sh -c "sed -i 's|\"path\":\"$H\"|\"path\":\"$data/machines\"|' /var/lib/holm/containers/*"
	holm machine stop box
	holm machine start box
	exits 1 docker start forged
	contains "$stderr" 'belongs to holm itself'
	docker rm forged >/dev/null
}

@test "a machine that swaps a directory for a link while containers start gets nothing of holm's" {
	local data=$XDG_DATA_HOME/holm pid _
	mkdir "$H/dir"
	touch "$H/dir/mine"
	(while [ -d "$H" ]; do
		mv -T "$H/dir" "$H/aside" && ln -sT "$data/machines" "$H/dir" && rm "$H/dir" && mv -T "$H/aside" "$H/dir"
	done 2>/dev/null) &
	pid=$!
	for _ in 1 2 3 4 5 6; do
		run --separate-stderr run_in -v "$H/dir:/data" busybox:test ls /data
		[[ $output == mine || $output == '' ]] || { kill "$pid"; echo "$output" >&2; return 1; }
	done
	kill "$pid"
	wait "$pid" || true
}

@test "named volumes: made once, kept, listed, filled from the image, in use, removed" {
	docker volume create --label k=v data >/dev/null
	equal data "$(docker volume create data)"
	run_in -v data:/data busybox:test sh -c 'echo kept >/data/file'
	equal kept "$(run_in -v data:/other busybox:test cat /other/file)"
	equal "$UID_ME" "$(stat -c %u "$XDG_DATA_HOME"/holm/machines/box/containers/volumes/data/data/file)"
	run_in -v made:/x busybox:test true
	equal 'data made' "$(docker volume ls -q | xargs)"
	equal data "$(docker volume ls -q -f label=k=v)"
	equal 'local v' "$(docker volume inspect -f '{{.Driver}} {{.Labels.k}}' data)"
	# The image's files, with modes and links; not with nocopy, and not a second time.
	equal "$(run_in busybox:test sh -c 'cd /etc && ls -lnA passwd group')" "$(run_in -v etc:/etc busybox:test sh -c 'cd /etc && ls -lnA passwd group')"
	run_in -v etc:/etc busybox:test rm /etc/group
	exits 1 run_in -v etc:/etc busybox:test test -e /etc/group
	exits 1 run_in -v none:/etc:nocopy busybox:test test -e /etc/passwd
	docker create --name user -v data:/data:ro busybox:test touch /data/no >/dev/null
	exits 1 docker volume rm data
	contains "$stderr" 'volume is in use'
	exits 1 docker start -a user
	docker rm -v user >/dev/null
	docker volume rm data made etc none >/dev/null
	equal '' "$(docker volume ls -q)"
	equal 404 "$(status GET /volumes/data)"
	exits 1 docker volume rm data
	docker volume rm -f data
}

@test "anonymous volumes go with --rm and rm -v, else stay until prune, which leaves named ones" {
	run_in -v /anon busybox:test touch /anon/x
	equal '' "$(docker volume ls -q)"
	docker run --name one -v /anon -v named:/n busybox:test touch /anon/x /n/y
	equal 2 "$(docker volume ls -q | wc -l)"
	docker run --name two --volumes-from one:ro busybox:test ls /anon /n/y >/dev/null
	exits 1 docker run --name three --volumes-from one:ro busybox:test touch /n/z
	docker rm -v one >/dev/null
	equal 2 "$(docker volume ls -q | wc -l)"
	docker rm two three >/dev/null
	equal 2 "$(docker volume ls -q -f dangling=true | wc -l)"
	docker volume prune -f >/dev/null
	equal named "$(docker volume ls -q)"
	docker run --name one -v /anon busybox:test true
	docker rm -v one >/dev/null
	equal named "$(docker volume ls -q)"
	equal named "$(api POST '/volumes/prune?filters=%7B%22all%22%3A%5B%22true%22%5D%7D' | jq -r '.VolumesDeleted[]')"
}

@test "a volume's subpath, inspect and ps: mounts as they were given" {
	local id path
	run_in -v sub:/s busybox:test sh -c 'mkdir -p /s/in; echo deep >/s/in/file; ln -s / /s/up'
	for path in in up ../sub; do
		id=$(api POST /v1.51/containers/create -H 'Content-Type: application/json' -d '{"Image":"busybox:test","Cmd":["cat","/x/file"],"HostConfig":{"Mounts":[
			{"Type":"volume","Source":"sub","Target":"/x","VolumeOptions":{"Subpath":"'$path'"}}]}}' | jq -r .Id)
		case $path in
		in) equal deep "$(docker start -a "$id")" ;;
		up) exits 1 docker start "$id" ;; # a link
		*) equal null "$id" && continue ;;
		esac
		docker rm "$id" >/dev/null
	done
	docker create --name seen -v "$H:/a:ro,z" -v sub:/b --tmpfs /t:size=1m --mount type=tmpfs,target=/u busybox:test true >/dev/null
	equal "bind $H /a ro,z false rprivate|volume sub /b  true |tmpfs  /u  true |" \
		"$(docker inspect -f '{{range .Mounts}}{{.Type}} {{if .Name}}{{.Name}}{{else}}{{.Source}}{{end}} {{.Destination}} {{.Mode}} {{.RW}} {{.Propagation}}|{{end}}' seen)"
	equal "[\"$H:/a:ro,z\",\"sub:/b\",{\"/t\":\"size=1m\"}]" "$(docker inspect seen | jq -c '.[0].HostConfig | (.Binds | sort) + [.Tmpfs]')"
	contains "$(docker ps -a --filter volume=sub --format '{{.Names}} {{.Mounts}}')" 'seen'
	equal '' "$(docker inspect seen | grep Holm || true)"
	docker rm seen >/dev/null
	docker volume rm sub >/dev/null
}

@test "tmpfs: options and defaults; /dev/shm has 64 MiB, or what --shm-size says" {
	local options
	options=$(run_in --tmpfs /t:size=1m,mode=1750,uid=5 busybox:test sh -c 'grep " /t " /proc/mounts; stat -c "%a %u" /t; echo x >/t/x')
	contains "$options" size=1024k
	contains "$options" noexec
	contains "$options" '1750 5'
	options=$(run_in --tmpfs /t:noatime,strictatime,nodiratime,sync,dirsync busybox:test grep ' /t ' /proc/mounts)
	contains "$options" 'rw,sync,dirsync,nosuid,nodev,noexec,nodiratime'
	run_in --tmpfs /t:exec busybox:test sh -c 'cp /bin/busybox /t/busybox && /t/busybox true'
	equal 65536 "$(run_in busybox:test df -k /dev/shm | awk 'NR==2 {print $2}')"
	equal 1024 "$(run_in --shm-size 1m busybox:test df -k /dev/shm | awk 'NR==2 {print $2}')"
	run_in --read-only --tmpfs /run busybox:test touch /run/x
	exits 125 run_in --tmpfs /t:lowerdir=/etc busybox:test true
	contains "$stderr" 'invalid tmpfs option'
}

@test "volumes stay when the machine stops; requests that make no sense are refused" {
	run_in -v stays:/d busybox:test touch /d/x
	docker create --name holder -v stays:/d -v "$H:/h" busybox:test ls /d /h/here >/dev/null
	touch "$H/here"
	holm machine stop box
	holm machine start box
	contains "$(docker start -a holder)" x
	docker rm holder >/dev/null
	local option
	for option in '-v /a:/b:bad' '-v a/b:/x' '-v /a:rel' "-v $H:/x -v $H:/x" "-v $H:/x:rshared" '--volumes-from nobody' \
		'--mount type=volume,source=x1,target=/x,volume-driver=nfs' '--volume-driver nfs'; do
		# shellcheck disable=SC2086
		run --separate-stderr docker create $option busybox:test true
		[ "$status" != 0 ] || { echo "taken: $option" >&2; return 1; }
	done
	equal 400 "$(status POST /volumes/create -H 'Content-Type: application/json' -d '{"Name":"../x"}')"
	equal 404 "$(status POST /volumes/create -H 'Content-Type: application/json' -d '{"Name":"xx","Driver":"nfs"}')"
	equal 501 "$(status POST /volumes/create -H 'Content-Type: application/json' -d '{"Name":"xx","DriverOpts":{"type":"nfs"}}')"
	equal 404 "$(status GET /volumes/..%2f..)"
	equal 400 "$(status GET '/volumes?filters=%7B%22no%22%3A%5B%22x%22%5D%7D')"
	docker volume rm stays >/dev/null
	equal '' "$(docker ps -aq; docker volume ls -q)"
}
