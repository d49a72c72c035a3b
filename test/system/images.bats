#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images of every kind: without an init, with Alpine's inittab, with doas, with a create-user.sh of their own.
load ../lib/holm
load ../lib/images

setup_file()
{
	holm_begin
}

teardown_file()
{
	holm_end
}

@test "an image without an init: create says so in one line, sessions work, stop is clean and quick" {
	run --separate-stderr create bare no-init
	equal 0 "$status"
	equal bare "$output"
	contains "$stderr" init
	equal "$ME" "$(in_machine bare whoami)"
	equal 0 "$(as_root bare id -u)"
	as_root bare sh -c 'sleep 300 & sleep 0.1'
	local began=$SECONDS
	holm machine stop -t 150 bare
	[ $((SECONDS - began)) -lt 120 ]
	holm machine rm bare
}

@test "--init image insists on the image's own" {
	fails 125 create bare no-init --init image
	contains "$stderr" init
	equal '' "$(holm machine ls -q)"
}

@test "an init that is installed inside counts from the next start on, and from the next reboot" {
	create late no-init
	equal "holm's own" "$(holm machine inspect late | jq -r '.[0].keeper.init')"
	holm machine set -n late init=image
	holm machine stop late
	fails 125 holm machine start late
	contains "$stderr" "has no init"
	holm machine set -n late init=
	as_root late sh -c 'printf "::sysinit:/bin/touch /run/came-up\n" >/etc/inittab; ln -s /bin/busybox /sbin/init'
	holm machine stop late
	holm machine start late
	equal /sbin/init "$(holm machine inspect late | jq -r '.[0].keeper.init')"
	until_true 60 as_root late test -e /run/came-up
	equal "$ME" "$(in_machine late whoami)"
	# One that was removed is done without, unless init=image insists.
	as_root late rm /sbin/init
	holm machine stop late
	equal "$ME" "$(in_machine late whoami)"
	run ! as_root late test -e /run/came-up
	holm machine rm --force late
}

@test "--init holm takes the minimal one although the image has its own" {
	create minimal busybox --init holm
	equal "$ME" "$(in_machine minimal whoami)"
	run ! as_root minimal test -e /run/booted
	holm machine rm --force minimal
}

@test "Alpine's stock inittab: it boots, sessions work, nothing spins, stop is quick" {
	create alp alpine-like
	equal "$ME" "$(in_machine alp whoami)"
	# Ticks over three seconds in which no session begins or ends: inside a VM, of its kernel;
	# else of all that the machine consists of, with the children that they had.
	ticks()
	{
		world_processes | sed 's,.*,/proc/&/stat,' | xargs cat 2>/dev/null | sed 's/.*) //' | awk '{ t += $12 + $13 + $14 + $15 } END { print t }'
	}
	local busy
	if [ "$ISOLATION" = vm ]; then
		busy=$(as_root alp sh -c 'head -n 1 /proc/stat; sleep 3; head -n 1 /proc/stat' | awk '{ t = $2 + $4 - t } END { print t }')
	else
		busy=$(ticks)
		command sleep 3
		busy=$(($(ticks) - busy))
	fi
	echo "ticks: $busy" >&2
	# Gettys that respawn cost hundreds.
	[ "$busy" -lt 100 ]
	equal 0 "$(as_root alp sh -c 'ps | grep -c "[g]etty"')"
	local began=$SECONDS
	holm machine stop -t 150 alp
	[ $((SECONDS - began)) -lt 120 ]
	holm machine rm alp
}

@test "doas has a rule where it is there, sudo's folder only where sudo is" {
	create doas busybox-doas --no-boot
	contains "$(as_root doas sh -c 'cat /etc/doas.d/* /etc/doas.conf 2>/dev/null')" "permit nopass"
}

# identity NAME: machine-id, D-Bus' copy of it, and the host keys of dropbear and sshd, a line each.
identity()
{
	as_root "$1" sh -c 'cat /etc/machine-id /var/lib/dbus/machine-id /etc/dropbear/dropbear_ed25519_host_key /etc/ssh/ssh_host_ed25519_key'
}

@test "an image with the identity of another machine, and a clone: each machine has its own" {
	local first second lines=()
	holm machine inspect doas >/dev/null 2>&1 || create doas busybox-doas --no-boot
	first=$(identity doas)
	mapfile -t lines <<<"$first"
	equal "$(field doas id)" "${lines[0]}"
	equal "$(field doas id)" "${lines[1]}"
	run ! equal key "${lines[2]}"
	run ! equal key "${lines[3]}"
	equal "made on doas by 0" "$(as_root doas cat /etc/ssh/ssh_host_ed25519_key.pub)"
	as_root doas test ! -e /var/lib/systemd/random-seed
	contains "$(holm machine logs --boot doas)" "ssh-keygen: made on doas"
	as_root doas sh -c 'echo seed | tee /var/lib/systemd/random-seed >/var/lib/systemd/credential.secret; sync'
	holm machine stop doas
	holm machine clone doas other
	second=$(identity other)
	mapfile -t lines <<<"$second"
	equal "$(field other id)" "${lines[0]}"
	equal "$(field other id)" "${lines[1]}"
	run ! equal "$(tail -n 1 <<<"$first")" "${lines[3]}"
	run ! equal "$(tail -n 2 <<<"$first" | head -n 1)" "${lines[2]}"
	as_root other test ! -e /var/lib/systemd/credential.secret
	as_root other test ! -e /var/lib/systemd/random-seed
	holm machine rm --force other
	holm machine clone doas moved --keep-identity
	equal "$first" "$(identity moved)"
	as_root moved test -e /var/lib/systemd/random-seed
	holm machine rm --force moved
	equal "$first" "$(identity doas)"
	holm machine rm --force doas
}

@test "create-user.sh runs once instead of the built-in steps, as root, with what it needs to know" {
	create own create-user
	local seen
	seen=$(as_root own cat /var/log/create-user)
	contains "$seen" "CONTAINER_USER=$ME"
	contains "$seen" "CONTAINER_UID=$UID_ME"
	contains "$seen" "CONTAINER_GID=$GID_ME"
	contains "$seen" "CONTAINER_HOME=$HOME"
	grep -Eq '^CONTAINER_MACHINE_ID=.+' <<<"$seen"
	grep -Eq '^CONTAINER_SHELL=/' <<<"$seen"
	equal 0 "$(tail -n 1 <<<"$seen")"
	equal "$ME" "$(in_machine own whoami)"
	contains "$(as_root own cat /etc/passwd)" "made by the image"
	contains "$(holm machine logs --boot own; holm machine logs own)" "create-user.sh makes $ME"
	as_root own rm /var/log/create-user
	equal own "$(as_root own hostname)"
	as_root own sh -c 'echo renamed >/etc/hostname'
	holm machine stop own
	equal "$ME" "$(in_machine own whoami)"
	equal renamed "$(as_root own hostname)"
	as_root own grep -q '127.0.1.1.*renamed' /etc/hosts
	run ! as_root own test -e /var/log/create-user
	holm machine rm --force own
}

@test "a create-user.sh that fails: its output is shown, the machine stops, and the next start tries again" {
	run --separate-stderr create failing create-user-fails
	equal 125 "$status"
	contains "$stderr" "this image is not finished"
	equal stopped "$(state failing)"
	fails 125 holm machine start failing
	touch "$HOME/fixed"
	equal "$ME" "$(in_machine failing whoami)"
	contains "$(as_root failing cat /etc/passwd)" "made by the image"
	rm "$HOME/fixed"
	holm machine rm --force failing
}

@test "image environment is there in sessions, and -e of create too" {
	create env busybox --no-boot -e GREETING='hello there'
	equal 'hello there' "$(in_machine env sh -c 'echo "$GREETING"')"
	equal over "$(holm machine run -n env -e GREETING=over sh -c 'echo "$GREETING"')"
	holm machine rm --force env
}

@test "an image of 120 layers: what the last one says holds, also what they removed" {
	create layers many-layers --no-boot
	equal 120 "$(in_machine layers cat /layers/last)"
	equal "118 119 120 last opaque" "$(in_machine layers ls /layers | sort | xargs)"
	equal 120 "$(in_machine layers ls /layers/opaque)"
	as_root layers sh -c 'rm -r /layers/opaque; mkdir /layers/opaque; echo mine >/layers/opaque/1'
	holm machine stop layers
	equal 1 "$(in_machine layers ls /layers/opaque)"
	holm machine rm --force layers
}

@test "another kernel that is not there is refused" {
	requires vm
	fails 125 create kernel busybox --no-boot --kernel /not/a/kernel
	contains "$stderr" /not/a/kernel
}

# The first layer describes "/" and has dangling links in the way of the home and others; the
# second layer does not describe "/".
rootfs_odd()
{
	busybox_tree init linuxrc
	rm -rf etc/passwd home
	ln -s sysroot/home home
	ln -s ../sysroot/elsewhere var/tmp
}

@test "an image without /etc/passwd, with / of mode 0555, links to nothing, and an environment of its own" {
	mkdir -p "$WORLD/odd" "$WORLD/more/opt"
	(cd "$WORLD/odd" && rootfs_odd)
	chmod 0555 "$WORLD/odd"
	tar -C "$WORLD/odd" --owner=0 --group=0 --numeric-owner -cf "$WORLD/odd-layer.tar" .
	chmod -R u+rwX "$WORLD/odd"
	image_from_layer "$WORLD/odd-layer.tar" odd "$WORLD" --config.env PATH=/opt/none --config.env XDG_RUNTIME_DIR=/run/user/4711
	echo more >"$WORLD/more/opt/more"
	tar -C "$WORLD/more" --owner=0 --group=0 --numeric-owner -cf "$WORLD/more.tar" opt/more
	image_on_top "$WORLD/odd.tar" "$WORLD/more.tar" odd2 "$WORLD"
	holm image load "$WORLD/odd2.tar"
	create odd odd2
	equal 0 "$(as_root odd id -u)"
	equal "555 0 0" "$(as_root odd stat -c '%a %u %g' /)"
	equal more "$(in_machine odd cat /opt/more)"
	equal /opt/none "$(in_machine odd sh -c 'echo "${PATH%%:*}"')"
	equal '' "$(in_machine odd sh -c 'echo "$XDG_RUNTIME_DIR"')"
	in_machine odd test -d "$HOME"
	holm machine rm --force odd
	holm image rm odd2:test
	rm -rf "$WORLD"/odd* "$WORLD"/more*
}

@test "an image with an environment that no program can start with is named at create" {
	local n
	skopeo copy --quiet --insecure-policy "oci:$XDG_DATA_HOME/holm/images:docker.io/library/no-init:test" "oci:$WORLD/big:test"
	for n in $(seq 1 25); do
		umoci config --image "$WORLD/big:test" --config.env "BIG$n=$(head -c 100000 /dev/zero | tr '\0' x)"
	done
	image_archive "$WORLD/big" big-env "$WORLD"
	holm image load "$WORLD/big-env.tar"
	fails 125 create big big-env
	contains "$stderr" "its environment has"
	equal '' "$(holm machine ls -q)"
	holm image rm big-env:test
	rm -r "$WORLD/big" "$WORLD/big-env.tar"
}
