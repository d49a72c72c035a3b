#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Containers go along with their machine: clone, export and import, set isolation there and back,
# rm.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
	docker run -d --name web --restart always -v data:/data busybox:test httpd -f -p 80 -h /data
	docker create --name ported -p 127.0.0.7:4711:80 -p 127.0.0.7:4712:81/udp busybox:test sleep 1000 >/dev/null
	# Owners, special bits, a whiteout and an opaque directory, in the container and its volume.
	docker exec web sh -c 'echo page >/data/index.html; mkdir /data/d /opt; echo own >/opt/own; chown 33:12 /data/d /opt/own; chmod 2750 /data/d; cp /bin/busybox /opt/suid
		chown 12:33 /opt/suid; chmod 4755 /opt/suid; rm /etc/shells; rm -r /srv/www; mkdir /srv/www; ln /opt/own /opt/hard; chown 65535:65535 /data/index.html'
	export BEFORE
	BEFORE=$(seen_in box)
	holm machine stop box
}

teardown_file()
{
	holm_end
}

# client MACHINE ARGUMENT...: docker with this machine's engine; boots it.
client()
{
	local host
	host=$(holm docker-host --machine "$1" --start)
	shift
	DOCKER_HOST=$host docker "$@"
}

# seen_in MACHINE: what the container serves, and how it sees its files.
seen_in()
{
	client "$1" start web >/dev/null
	client "$1" exec web sh -c 'until netstat -ltn | grep -q ":80 "; do usleep 10000; done; wget -qO- http://127.0.0.1/; cd /; stat -c "%n %u:%g %a %h" data data/* opt/*; ls /etc/shells /srv/www 2>&1; ls -A /srv'
}

# has_status STATUS MACHINE CONTAINER
has_status()
{
	[ "$(client "$2" inspect -f '{{.State.Status}}' "$3")" = "$1" ]
}

# waits MACHINE CONTAINER: until somebody else's ports are free.
waits()
{
	has_status restarting "$@" && [[ "$(client "$1" inspect -f '{{.State.Error}}' "$2")" == *'port is already allocated'*4711* ]]
}

@test "what is to be moved is there" {
	contains "$BEFORE" page
	contains "$BEFORE" "data/d 33:12 2750"
	contains "$BEFORE" "opt/suid 12:33 4755"
	contains "$BEFORE" "data/index.html 65535:65535 644"
	contains "$BEFORE" "/etc/shells: No such file"
	[[ "$BEFORE" != */srv/www/* ]]
}

@test "a clone has the containers and volumes; each changes its own; rm takes them away" {
	run --separate-stderr holm machine clone box copy
	equal "0 copy" "$status $output"
	contains "$stderr" 'have the ports of their originals: 127.0.0.7:4711, 127.0.0.7:4712/udp; those of machine "copy" start when these are free'
	equal "$BEFORE" "$(seen_in copy)"
	equal ported "$(client copy start ported)"
	client copy exec web sh -c 'echo changed >/data/index.html'
	client copy update --restart always ported
	holm machine stop copy
	equal "$BEFORE" "$(seen_in box)"
	# The original has the ports: the clone boots, its container says so, and waits for them.
	equal ported "$(client box start ported)"
	until_true 60 waits copy ported
	contains "$(holm machine logs --boot copy)" 'container ported does not start, and is tried again: '
	holm machine stop box
	until_true 90 has_status running copy ported
	contains "$(seen_in copy)" changed
	holm machine rm --force copy
	[ ! -e "$XDG_DATA_HOME/holm/machines/copy" ]
}

@test "export, import, and set isolation= there and back keep containers and volumes" {
	holm machine export box -o "$WORLD/box.oci"
	holm machine import "$WORLD/box.oci" --name moved
	rm "$WORLD/box.oci"
	equal "$BEFORE" "$(seen_in moved)"
	holm machine stop moved
	holm machine set -n moved isolation=vm
	[ ! -e "$XDG_DATA_HOME/holm/machines/moved/containers" ]
	equal "$BEFORE" "$(seen_in moved)"
	client moved exec web sh -c 'echo from-vm >/data/vm; chown 34 /data/vm; rm /etc/passwd'
	holm machine stop moved
	holm machine set -n moved isolation=native
	client moved start web
	equal from-vm "$(client moved exec web cat /data/vm)"
	equal 34 "$(client moved exec web stat -c %u /data/vm)"
	exits 1 client moved exec web ls /etc/passwd
	client moved exec web rm /data/vm
	equal "$BEFORE" "$(seen_in moved)"
	equal data "$(client moved volume ls -q)"
	holm machine rm --force moved
	leaks
}
