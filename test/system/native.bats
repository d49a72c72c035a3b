#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Machines in namespaces on the host's own kernel: whose files they are, and what root inside is kept from. Each attempt to get out stands
# beside something of the same kind that is allowed, so that a tool that is missing does not look like a refusal.
load ../lib/holm

setup_file()
{
	holm_begin
	cc -static -o "$WORLD/attempt" "$BATS_TEST_DIRNAME/../lib/attempt.c"
	create box busybox --no-boot
	holm machine set-default box
	cp "$WORLD/attempt" "$HOME/attempt"
}

teardown_file()
{
	[ -z "${WORLD-}" ] || holm_end
}

setup()
{
	requires native cc
}

# root_script NAME SCRIPT [ARGUMENT]...: as root inside.
root_script()
{
	local name=$1 script=$2
	shift 2
	as_root "$name" sh -c "$script" sh "$@"
}

# refuse NAME SCRIPT [ARGUMENT]...: the same, and it must not succeed. 97: the script got somewhere it should not.
refuse()
{
	run root_script "$@"
	[ "$status" != 0 ] || { echo "root inside was let: $2" >&2; return 1; }
	[ "$status" -lt 125 ] || [ "$status" = 255 ] || { echo "not tried (status $status): $output" >&2; return 1; }
}

# --- whose files -----------------------------------------------------------------------------------------------------------------------

@test "your own id is itself on both sides, everybody else's is a subordinate one" {
	holm machine run true
	local init
	init=$(init_of box)
	grep -Eq "^ *$UID_ME +$UID_ME +1\$" "/proc/$init/uid_map"
	grep -Eq "^ *$GID_ME +$GID_ME +1\$" "/proc/$init/gid_map"
	# No other id of the host is in it than those that /etc/subuid gives.
	local inside outside count first
	first=$(awk -F: -v me="$ME" '$1 == me { print $2; exit }' /etc/subuid)
	while read -r inside outside count; do
		[ "$outside" = "$UID_ME" ] || [ "$outside" -ge "$first" ] || { echo "$inside is $outside outside, for $count" >&2; return 1; }
	done <"/proc/$init/uid_map"
	equal "$first" "$(awk '/^Uid:/ { print $2 }' "/proc/$init/status")"
}

@test "ls and inspect have a running machine measured, and ls says how old a result is" {
	has_measured()
	{
		[ "$(field box disk_measured)" != null ] && [ "$(field box disk_used)" -ge "$1" ]
	}
	holm machine run true
	until_true 60 has_measured 0
	# A measurement that has begun may end in between.
	is_old()
	{
		touch -d '3 hours ago' "$XDG_DATA_HOME/holm/machines/box/native/usage"
		[[ "$(holm machine ls)" == *", 3 hours ago"* ]]
	}
	until_true 60 is_old
	in_machine box sh -c 'head -c 20000000 /dev/urandom >/tmp/big'
	until_true 60 has_measured 20000000
	run ! grep -q '3 hours' <<<"$(holm machine ls)"
	in_machine box rm /tmp/big
}

@test "files of the image keep their owners, and what is given away stays given" {
	equal "0 0" "$(in_machine box stat -c '%u %g' /bin/busybox)"
	root_script box 'echo x >/srv/theirs; chown 12:34 /srv/theirs; chmod 640 /srv/theirs'
	holm machine stop box
	equal "12 34 640" "$(as_root box stat -c '%u %g %a' /srv/theirs)"
	run ! in_machine box cat /srv/theirs
}

@test "what root inside makes in the home is a subordinate id's; fix-owner returns all of it" {
	root_script box 'mkdir -p "$1/tree/deep"; echo a >"$1/tree/deep/file"; ln -s file "$1/tree/deep/link"; chown -R 33:33 "$1/tree/deep"; chmod 700 "$1/tree"' "$HOME"
	[ "$(stat -c %u tree)" != "$UID_ME" ]
	[ "$(stat -c %u tree)" != 0 ]
	run ! rm -rf tree
	holm machine fix-owner tree
	equal "" "$(find tree ! -user "$ME")"
	equal a "$(cat tree/deep/link)"
	rm -r tree
}

@test "a setuid program that root inside makes is nobody's outside" {
	root_script box 'cp /bin/busybox "$1/suid"; chmod 4755 "$1/suid"' "$HOME"
	local owner
	owner=$(stat -c %u suid)
	[ "$owner" != 0 ] && [ "$owner" != "$UID_ME" ]
	contains "0 $owner $UID_ME" "$(./suid id -u)"
	[ "$(./suid id -u)" != 0 ]
	root_script box 'rm "$1/suid"' "$HOME"
}

@test "device nodes cannot be made, in the home or elsewhere; fifos can" {
	root_script box 'mkfifo "$1/fifo" /tmp/fifo && rm "$1/fifo" /tmp/fifo' "$HOME"
	refuse box 'mknod "$1/node" c 1 3' "$HOME"
	refuse box 'mknod /tmp/node c 1 3'
	refuse box 'mknod /dev/node b 254 0'
	refuse box 'mount -t tmpfs -o dev none /mnt || exit 1; mknod /mnt/node c 1 5; r=$?; umount /mnt; exit $r'
}

# --- ro ----------------------------------------------------------------------------------------------------------------------------------

# writes NAME SCRIPT: tries something on the read-only home ($1), then to write there. The file on the host tells.
writes()
{
	local name=$1 script=$2
	run root_script "$name" "$script; echo broken >\"\$1/kept\"; echo broken >\"\$1/new\"; true" "$HOME"
	equal kept "$(cat kept)"
	[ ! -e new ] || { echo "written after: $script" >&2; rm -f new; return 1; }
}

@test "ro holds against root inside, whatever is mounted, moved or unmounted" {
	echo kept >kept
	create ro busybox --home-mount ro --no-boot
	equal kept "$(in_machine ro cat kept)"
	# What is allowed, in the same words.
	root_script ro 'mount -t tmpfs none /mnt && mount -o remount,bind,ro /mnt && ! touch /mnt/x && mount -o remount,bind,rw /mnt && touch /mnt/x && umount /mnt'
	writes ro 'mount -o remount,rw "$1"'
	writes ro 'mount -o remount,bind,rw "$1"'
	writes ro 'umount "$1"; umount -l "$1"'
	writes ro 'mkdir -p /tmp/b; mount --bind "$1" /tmp/b; mount -o remount,bind,rw /tmp/b; echo broken >/tmp/b/kept; echo broken >/tmp/b/new; umount /tmp/b'
	writes ro 'mkdir -p /tmp/b; mount --rbind "$1" /tmp/b; mount -o remount,bind,rw /tmp/b; echo broken >/tmp/b/new; umount -l /tmp/b'
	writes ro 'mkdir -p /tmp/m; mount --move "$1" /tmp/m; mount -o remount,bind,rw /tmp/m; echo broken >/tmp/m/new'
	writes ro 'unshare -U -r -m sh -c "mount -o remount,bind,rw \"\$1\"; umount \"\$1\"; echo broken >\"\$1/new\"" sh "$1"'
	writes ro 'unshare -m sh -c "umount -l \"\$1\"; mount -o remount,bind,rw \"\$1\"; echo broken >\"\$1/new\"" sh "$1"'
	writes ro 'echo broken >"/proc/1/root$1/new"; echo broken >"/proc/self/root$1/new"; cd "$1"; echo broken >/proc/self/cwd/new'
	writes ro 'exec 3<"$1/kept"; echo broken >/proc/self/fd/3'
	writes ro 'for p in /proc/[0-9]*; do echo broken >"$p/root$1/new"; done'
	writes ro '"$1/attempt" setattr-rw "$1"; "$1/attempt" setattr-rw /'
	writes ro '"$1/attempt" clone-rw "$1" new'
	writes ro 'unshare -U -r -m "$1/attempt" clone-rw "$1" new'
	writes ro 'mkdir -p /tmp/u /tmp/w /tmp/o; mount -t overlay -o "lowerdir=$1,upperdir=$1,workdir=/tmp/w" none /tmp/o && echo broken >/tmp/o/new; umount /tmp/o'
	holm machine rm --force ro
	rm kept
}

@test "in nested namespaces a tmpfs can be made, so the attempts above were real" {
	root_script box 'unshare -m sh -c "mount -t tmpfs none /mnt && touch /mnt/x"'
	root_script box '"$1/attempt" setattr-rw /tmp || mount -t tmpfs none /mnt && "$1/attempt" clone-rw /mnt file' "$HOME"
	root_script box 'umount /mnt; true'
}

# --- none, and what is hidden -----------------------------------------------------------------------------------------------------------

@test "with none the home is nowhere, also below what is mounted" {
	echo secret >not-for-none
	create none busybox --home-mount none --no-boot
	refuse none 'cat "$1/not-for-none"' "$HOME"
	refuse none 'cat "/proc/1/root$1/not-for-none"' "$HOME"
	equal '' "$(root_script none 'find / -name not-for-none ! -path "/proc/*" 2>/dev/null; true')"
	# Unmount whatever can be, in a nested namespace and then in the machine itself, and look again.
	equal '' "$(root_script none 'unshare -m sh -c "cut -d\" \" -f5 /proc/self/mountinfo | sort -r | xargs -n 1 umount -l 2>/dev/null; find / -xdev -name not-for-none 2>/dev/null; true"')"
	equal '' "$(root_script none 'cut -d" " -f5 /proc/self/mountinfo | grep -e ^/home -e ^/var -e ^/mnt | sort -r | xargs -r -n 1 umount -l 2>/dev/null; cat "$1/not-for-none" 2>/dev/null; true' "$HOME")"
	holm machine rm --force none
	rm not-for-none
}

@test "holm's own folders are hidden in every share, by every way that leads there" {
	create seen busybox --no-boot -v "$WORLD:/mnt/world"
	holm machine start seen
	local below path
	root_script seen 'test -e "$1/attempt" && test -e "/mnt/world/my home/attempt" && test -e /mnt/world/tmp' "$HOME"
	[ -e "$XDG_DATA_HOME/holm/machines/seen/machine.json" ]
	for below in "$HOME" "/mnt/world/my home" "$HOME/.local/../.local" "/proc/1/root$HOME" "/proc/1/root/mnt/world/my home" "/mnt/world/tmp/../my home"; do
		path=$below/.local/share/holm
		equal '' "$(root_script seen 'ls -A "$1" 2>/dev/null' "$path")"
		refuse seen 'cat "$1/machines/seen/machine.json"' "$path"
		refuse seen 'echo x >"$1/default"' "$path"
	done
	[ -n "$(ls -A "$XDG_RUNTIME_DIR/holm")" ]
	equal '' "$(root_script seen 'find /mnt/world/run -type s 2>/dev/null')"
	# A mount beside it, with and without what is mounted below.
	refuse seen 'mount --bind "$1" /tmp && cat /tmp/.local/share/holm/default && exit 0; umount /tmp; exit 1' "$HOME"
	refuse seen 'mkdir -p /tmp/r; mount --rbind "$1" /tmp/r && umount -l /tmp/r/.local/share/holm; cat /tmp/r/.local/share/holm/default' "$HOME"
	refuse seen 'umount -l "$1/.local/share/holm"; cat "$1/.local/share/holm/default"' "$HOME"
	refuse seen 'unshare -m sh -c "umount -l \"\$1/.local/share/holm\"; cat \"\$1/.local/share/holm/default\"" sh "$1"' "$HOME"
	refuse seen 'unshare -U -r -m sh -c "mount --bind \"\$1\" /tmp && cat /tmp/.local/share/holm/default" sh "$1"' "$HOME"
	holm machine rm --force seen
}

@test "no folder of the host is mounted but the shares, and none is named" {
	local line shared=0
	echo secret >"$WORLD/beside"
	while read -r line; do
		case "$line" in
		*"${WORLD##*/}"*) shared=$((shared + 1)) ;;
		*) continue ;;
		esac
		# Only the share's own line and what hides below it may name it: root of the mount, or the mount point.
		contains "$line" 'my\040home'
	done < <(as_root box cat /proc/self/mountinfo)
	[ $shared -gt 0 ]
	equal '' "$(as_root box find / -name beside ! -path '/proc/*' 2>/dev/null)"
	refuse box 'cat "$1"' "$WORLD/beside"
	refuse box 'cat "/proc/1/root$1"' "$WORLD/beside"
	# The parent of the home inside is the machine's own.
	equal "${HOME##*/}" "$(as_root box ls -A "$WORLD")"
	rm "$WORLD/beside"
}

# --- the host's kernel, processes and network -----------------------------------------------------------------------------------------

@test "the host's kernel is not for root inside: no settings, no log, no modules" {
	local file
	for file in kernel/core_pattern kernel/sysrq kernel/panic vm/overcommit_memory vm/swappiness fs/file-max kernel/printk kernel/randomize_va_space; do
		[ -e "/proc/sys/$file" ] || continue
		refuse box 'cat "/proc/sys/$1" >/tmp/value && cat /tmp/value >"/proc/sys/$1"' "$file"
		refuse box 'mkdir -p /tmp/p; unshare -f -p -m sh -c "mount -t proc none /tmp/p && cat /tmp/value >/tmp/p/sys/\$1" sh "$1"' "$file"
	done
	refuse box 'echo h >/proc/sysrq-trigger'
	refuse box 'dmesg'
	refuse box 'cat /proc/kcore >/dev/null || cat /dev/kmsg >/dev/null || cat /dev/mem >/dev/null'
	refuse box 'cat /proc/kallsyms | grep -v "^0000000000000000" | grep -q .'
	refuse box '"$1/attempt" module' "$HOME"
	refuse box 'echo mem >/sys/power/state'
	refuse box 'for f in /sys/kernel/*/* /sys/class/block/*/queue/*; do echo 1 >"$f" && exit 0; done; exit 1'
	refuse box 'swapoff -a && date -s 2020-01-01'
	refuse box 'hwclock -w'
	# Its own name is its own.
	local name
	name=$(uname -n)
	root_script box 'hostname changed'
	equal "$name" "$(uname -n)"
	root_script box 'hostname box'
}

@test "sockets: none to the hypervisor or of the kernel's cryptography, by no table of system calls" {
	local family
	"$WORLD/attempt" socketcall 1 2>/dev/null || skip "this kernel has no 32-bit programs"
	for family in 1 2 38 40; do
		refuse box '"$1/attempt" socketcall "$2"' "$HOME" "$family"
	done
	contains "$output" 'Function not implemented'
	create old busybox --no-boot --socketcall
	equal true "$(field old socketcall)"
	root_script old '"$1/attempt" socketcall 2' "$HOME"
	holm machine stop old
	holm machine set -n old socketcall=false
	refuse old '"$1/attempt" socketcall 2' "$HOME"
	holm machine rm --force old
}

@test "processes: only the machine's are seen, and only they can be signalled" {
	sleep 9753 3>&- &
	local pid=$!
	equal '' "$(as_root box ps -o args | grep -e 9753 -e holm-keeper | grep -v -e grep || true)"
	has_httpd()
	{
		as_root box ps -o args | grep -q httpd
	}
	until_true 60 has_httpd
	refuse box 'for p in $(seq 300 400) "$1"; do test -d /proc/$p || continue; grep -q 9753 /proc/$p/cmdline && exit 0; done; exit 1' "$pid"
	root_script box 'kill -9 -1; true' || true
	kill -0 "$pid"
	[ -n "$(keeper_of box)" ]
	kill "$pid"
	equal again "$(holm machine run echo again)"
}

@test "abstract unix sockets and the network of the host are not there" {
	requires socat
	local pid port listener
	listen "ABSTRACT-LISTEN:holm-test-$$,fork" 'SYSTEM:echo host'
	until_true 60 ./attempt abstract "holm-test-$$"
	refuse box '"$1/attempt" abstract "$2"' "$HOME" "holm-test-$$"
	kill "$pid"
	[ "$(readlink /proc/self/ns/net)" != "$(in_machine box readlink /proc/self/ns/net)" ]
	port=$(free_port)
	listen "TCP4-LISTEN:$port,bind=127.0.0.1,fork" /dev/null
	listener=$pid
	until_true 60 grep -q "$(printf '0100007F:%04X' "$port")" /proc/net/tcp
	equal '' "$(as_root box sh -c 'cat /proc/net/tcp /proc/1/net/tcp' | grep "$(printf ':%04X' "$port")" || true)"
	kill "$listener"
}

@test "every namespace is the machine's own, and its user namespace is not the one that mounts" {
	local kind init agent
	init=$(init_of box) agent=$(agent_of box)
	for kind in user mnt pid ipc uts cgroup net; do
		[ "$(readlink "/proc/$init/ns/$kind")" != "$(readlink "/proc/self/ns/$kind")" ] || { echo "$kind is the host's" >&2; return 1; }
	done
	for kind in user mnt pid; do
		[ "$(readlink "/proc/$init/ns/$kind")" != "$(readlink "/proc/$agent/ns/$kind")" ] || { echo "$kind is the agent's" >&2; return 1; }
	done
}

@test "a session is what the init is: namespaces, capabilities, system call filter, limits, cgroup's root" {
	local file
	for file in user mnt pid ipc uts cgroup net; do
		equal "$(as_root box readlink "/proc/1/ns/$file")" "$(as_root box readlink "/proc/self/ns/$file")"
	done
	for file in CapInh CapPrm CapEff CapBnd CapAmb Seccomp Seccomp_filters NoNewPrivs; do
		equal "$(as_root box grep "^$file:" /proc/1/status)" "$(as_root box grep "^$file:" /proc/self/status)"
	done
	contains "$(as_root box grep Seccomp: /proc/self/status)" 2
	equal "$(as_root box cat /proc/1/limits)" "$(as_root box cat /proc/self/limits)"
	# Nothing of ours is open in it, and it has no capability as the user.
	equal '0 1 2 3' "$(holm machine run ls /proc/self/fd </dev/null | xargs)"
	equal 0000000000000000 "$(holm machine run awk '/CapEff/ { print $2 }' /proc/self/status)"
}

# A session may execute /proc/self/exe and so run the agent's program: through its own /proc/PID/exe the file is at hand then, on the agent's mount.
@test "the agent's file on the host cannot be changed by way of a process that runs it" {
	holm machine run true
	local agent
	agent=$(agent_of box)
	run chmod 755 "/proc/$agent/exe"
	[ "$status" != 0 ]
	contains "$output" 'Read-only file system'
	# The way there is open, so the refusal is the mount's.
	"/proc/$agent/exe" --version
}

@test "create-user.sh is kept in as well: no network, processes or cgroup of the host or the agent, and nothing that outlives it" {
	create scripted create-user --no-boot
	local place
	place=$(as_root scripted cat /var/log/create-user-place)
	contains "$place" create-user.sh
	equal "$(as_root scripted readlink /proc/self/ns/net)" "$(grep '^net:' <<<"$place")"
	equal 1 "$(grep -c RefCount <<<"$place")"
	run ! grep -e '^[0-9a-f]*: ' <<<"$place"
	run ! grep -w writable <<<"$place"
	equal 1 "$(grep -o -e 'holm-agent' <<<"$place" | wc -l)"
	# Other files' machines may run the script now.
	local pid
	for pid in $(pgrep -f 'sleep 7531'); do
		! descends "$pid" "$(keeper_of scripted)" || return 1
		! grep -qsF "${HOLM_TEST_CGROUP:-no cgroup}/" "/proc/$pid/cgroup" || return 1
	done
	holm machine rm --force scripted
}

@test "two machines see nothing of each other" {
	create other busybox
	root_script box 'touch /tmp/of-box; ipcmk -M 4096 2>/dev/null || true'
	local kind
	for kind in user mnt pid ipc uts cgroup net; do
		[ "$(as_root box readlink /proc/self/ns/$kind)" != "$(as_root other readlink /proc/self/ns/$kind)" ]
	done
	refuse other 'test -e /tmp/of-box'
	root_script box 'sleep 8642 >/dev/null 2>&1 & true'
	equal '' "$(as_root other ps -o args | grep 8642 | grep -v grep || true)"
	contains "$(as_root box ps -o args)" 8642
	equal 0700 "0$(stat -c %a "$(find "$XDG_RUNTIME_DIR/holm" -mindepth 1 -maxdepth 1 -type d | head -n 1)")"
	holm machine rm --force other
}

# --- limits -------------------------------------------------------------------------------------------------------------------------------

# The machine's own cgroup.
machine_cgroup()
{
	echo "$(findmnt -n -o TARGET -t cgroup2 | head -n 1)$(sed -n 's/^0:://p' "/proc/$(init_of "$1")/cgroup" | sed 's,/holm-machine.*,,')"
}

@test "memory and processors are limits of the machine's cgroup, out of its reach, changed while it runs" {
	requires cgroup
	local dir
	holm machine run true
	dir=$(machine_cgroup box)
	[ -e "$dir/memory.max" ] || skip "this host delegates no memory controller"
	equal 536870912 "$(cat "$dir/memory.max")"
	refuse box 'find /sys/fs/cgroup -name memory.max | xargs grep -l 536870912 | grep -q .'
	run ! as_root box sh -c 'head -c 700000000 /dev/zero | tail -n 1'
	holm machine set memory=600M
	equal 629145600 "$(cat "$dir/memory.max")"
	holm machine set memory=512M
}

@test "the number of processes is a limit of the machine's cgroup" {
	requires cgroup
	local dir
	create few busybox --no-boot --pids 64
	equal 64 "$(field few pids)"
	holm machine run -n few true
	dir=$(machine_cgroup few)
	[ -e "$dir/pids.max" ] || { holm machine rm --force few; skip "this host delegates no pids controller"; }
	equal 64 "$(cat "$dir/pids.max")"
	refuse few 'for i in $(seq 100); do sleep 60 & done'
	holm machine stop few
	holm machine set -n few pids=
	holm machine run -n few true
	equal "$(field few pids)" "$(cat "$(machine_cgroup few)/pids.max")"
	holm machine run -n few --root sh -c 'for i in $(seq 100); do sleep 60 & done'
	holm machine rm --force few
}

@test "processors by affinity: nproc follows set, at once" {
	[ "$(nproc)" -ge 2 ] || skip "this host has one processor"
	equal 1 "$(in_machine box nproc)"
	holm machine set cpus=2
	equal 2 "$(in_machine box nproc)"
	holm machine set cpus=1
	equal 1 "$(in_machine box nproc)"
}

@test "the machine has a writable cgroup2 of its own, which ends with it" {
	requires cgroup
	equal cgroup2 "$(as_root box awk '$2 == "/sys/fs/cgroup" { print $3 }' /proc/mounts)"
	root_script box 'mkdir /sys/fs/cgroup/mine && rmdir /sys/fs/cgroup/mine'
	equal '0::/' "$(as_root box sh -c 'grep ^0:: /proc/1/cgroup' | cut -c1-4)"
	root_script box 'mkdir -p /sys/fs/cgroup/left/behind'
	holm machine stop box
	leaks
}

# --- live, forms, images ----------------------------------------------------------------------------------------------------------------

@test "a share comes and goes while the machine runs, and ro holds there too" {
	mkdir -p "$WORLD/live"
	echo live >"$WORLD/live/file"
	holm machine run true
	run --separate-stderr holm machine mount add "$WORLD/live:/mnt/live:ro"
	equal 0 "$status"
	equal '' "$stderr"
	equal live "$(in_machine box cat /mnt/live/file)"
	refuse box 'mount -o remount,bind,rw /mnt/live; echo broken >/mnt/live/new'
	refuse box '"$1/attempt" clone-rw /mnt/live new' "$HOME"
	root_script box 'unshare -m sh -c "mount -o remount,bind,rw /mnt/live; umount /mnt/live; echo broken >/mnt/live/new"; rm -f /mnt/live/new; true'
	equal file "$(ls -A "$WORLD/live")"
	run --separate-stderr holm machine mount rm /mnt/live
	equal 0 "$status"
	refuse box 'cat /mnt/live/file'
	rm -r "$WORLD/live"
}

# All that is below /srv and /etc, with owners, modes, names, contents and extended attributes. (A directory of overlayfs has always one name; a boot as
# a VM adds the groups that the user is in on the host.)
contents()
{
	root_script "$1" 'cd /; find srv etc ! -name resolv.conf ! -name mtab ! -name group ! -name gshadow | sort >/tmp/list
		while read -r f; do
			stat -c "%n %F %u %g %a" "$f"
			test -d "$f" || stat -c "%h" "$f"
			if test -f "$f" && ! test -L "$f"; then md5sum "$f"; fi
			if test -L "$f"; then readlink "$f"; fi
		done </tmp/list
		tr "\n" "\0" </tmp/list | xargs -0 "$1/attempt" xattrs | grep -v overlay
		test srv/t/hard -ef srv/t/one && echo linked; rm /tmp/list' "$HOME"
}

# marks NAME: what an overlay inside has noted down, for the machine's own folders and for its disk.
marks()
{
	root_script "$1" 'for f in /srv/t/d .config/systemd/d; do "$1/attempt" xattrs "$f" | grep -c " user.overlay.opaque"; done' "$HOME" | xargs
}

@test "set isolation= moves the disk to the other form and back with all that is in it" {
	create moved busybox --no-boot
	root_script moved 'mkdir -p /srv/t/d /srv/gone; cd /srv/t; echo one >one; ln one hard; ln -s ../x link; mkfifo fifo; chown 12:34 d; chmod 2750 d; cp /bin/busybox suid; chmod 4755 suid
		chown 1:2 one; "$1/attempt" xattr one user.colour=green; head -c 3000000 /dev/urandom >noise; rm -r /srv/www /etc/shells; mkdir /etc/shells; rmdir /srv/gone; mkfifo "/srv/t/two  words"' "$HOME"
	in_machine moved sh -c 'echo unit >.config/systemd/unit'
	# From Linux 6.7 on overlayfs keeps the marks of another one.
	root_script moved 'mkdir .config/systemd/d; for f in /srv/t/d .config/systemd/d; do "$1/attempt" xattr "$f" user.overlay.opaque=y; done; true' "$HOME"
	local before marks
	marks=$(marks moved)
	contains "1 1, 0 1" "$marks"
	before=$(contents moved)
	contains "$before" linked
	contains "$before" "user.colour=677265656e"
	holm machine stop moved
	holm machine set -n moved isolation=vm
	equal vm "$(field moved isolation)"
	equal "$before" "$(contents moved)"
	equal "$marks" "$(marks moved)"
	root_script moved 'echo from-vm >/srv/t/vm; echo more >>.config/systemd/unit; sync'
	# Containers of root, and of the user, leave whiteouts and opaque directories behind.
	root_script moved 'mkdir -p /srv/upper/opaque /srv/lower/opaque; echo deleted | tee /srv/lower/gone >/srv/lower/opaque/file; echo kept >/srv/lower/kept
		mknod /srv/upper/gone c 0 0; mknod .config/systemd/d/gone c 0 0; "$1/attempt" xattr /srv/upper/opaque trusted.overlay.opaque=y; sync' "$HOME"
	holm machine stop moved
	holm machine set -n moved isolation=native
	equal from-vm "$(as_root moved cat /srv/t/vm)"
	equal "unit more" "$(in_machine moved cat .config/systemd/unit | xargs)"
	root_script moved 'rm /srv/t/vm'
	equal "$marks" "$(marks moved)"
	equal "kept opaque" "$(root_script moved 'mount -t overlay -o userxattr,lowerdir=/srv/upper:/srv/lower none /mnt; find /mnt -mindepth 1 | sed s:/mnt/:: | sort' | xargs)"
	equal "character special file 0 0" "$(root_script moved 'stat -c "%F %t %T" .config/systemd/d/gone')"
	root_script moved 'rm -r /srv/lower'
	holm machine stop moved
	# An archive has them as the VM had them: a move back writes what it says.
	holm machine export moved -o "$WORLD/moved.oci"
	tar xOf "$WORLD/moved.oci" "$(tar tvf "$WORLD/moved.oci" | sort -n -k 3 | tail -n 1 | awk '{ print $6 }')" | zcat >"$WORLD/moved.tar"
	equal 2 "$(tar tvf "$WORLD/moved.tar" | grep -c '^c.* 0,0 .*/gone$')"
	contains "$(strings "$WORLD/moved.tar")" SCHILY.xattr.trusted.overlay.opaque=y
	equal 0 "$(grep -c user.holm "$WORLD/moved.tar")"
	rm "$WORLD/moved.oci" "$WORLD/moved.tar"
	root_script moved 'rm -r /srv/upper .config/systemd/d/gone'
	equal "$before" "$(contents moved)"
	holm machine rm --force moved
}

@test "set isolation= of a running machine is refused or waits, and changes nothing" {
	holm machine run true
	root_script box 'echo stays >/srv/stays'
	run holm machine set isolation=vm
	equal stays "$(as_root box cat /srv/stays)"
	holm machine stop box
	holm machine set isolation=native
	equal stays "$(as_root box cat /srv/stays)"
	holm machine set isolation=native
}
