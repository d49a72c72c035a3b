# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What holm's share is measured beside: QEMU's 9p and a system virtiofsd, two devices of one VM of our own; and holm-fsd once more as a third one, so that
# nothing but the server differs. Its kernel is Debian's for all machines, since the one for clouds, which holm boots, has no 9p; holm's machine is started
# with the same then. Its init is a shell that reads commands from the serial console.

share_peers=()

# Debian's kernel in $build/cache/bench-kernel, fetched once; prints its folder. As guest/build does it, no root is needed.
bench_kernel()
{
	local name version cache=$build/cache/bench-kernel
	read -r name version < <(apt-cache show --no-all-versions linux-image-amd64 | sed -n 's/^Depends: .*\(linux-image-[0-9][^ ,]*\) (= \([^)]*\)).*/\1 \2/p')
	[ -n "$name" ] || { echo "the package archive has no linux-image-amd64" >&2; return 1; }
	if [ "$(cat "$cache/version" 2>/dev/null)" != "$name $version" ]; then
		rm -rf "$cache"
		mkdir -p "$cache"
		(cd "$cache" && apt-get -qq -o APT::Sandbox::User=root download "$name=$version" && dpkg-deb -x ./*.deb root && rm -f ./*.deb) >&2 || return 1
		depmod -b "$cache/root" "${name#linux-image-}"
		echo "$name $version" >"$cache/version"
	fi
	echo "$cache/root"
}

# peer_initramfs KERNEL-ROOT FILE: busybox, fs-load, the modules in the order in which they load, and the init.
peer_initramfs()
{
	local dir=$work/share/initramfs release module
	release=$(ls "$1/lib/modules")
	mkdir -p "$dir"/{bin,dev,proc,sys,modules,9p,virtiofsd,holm-fsd,image}
	cp "$(command -v busybox)" "$dir/bin/busybox" && cp "$work/share/fs-load" "$dir/bin/" || return 1
	: >"$dir/modules/order"
	for module in virtio_pci virtio_blk crc32c_generic ext4 9p 9pnet_virtio virtiofs; do
		modprobe --show-depends -d "$1" -S "$release" "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p' | while read -r module; do
			cp "$module" "$dir/modules/" && echo "/modules/${module##*/}" >>"$dir/modules/order"
		done
	done
	cat >"$dir/init" <<-'END'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		export PATH=/bin
		mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
		for file in $(cat /modules/order); do insmod $file 2>/dev/null; done
		in_image() { chroot /image env PATH=/usr/bin:/bin "$@"; }
		exec </dev/ttyS0 >/dev/ttyS0 2>&1
		stty -echo -onlcr
		echo :ready
		while read -r line; do eval "$line"; echo ":exit $?"; done
	END
	chmod 755 "$dir/init"
	(cd "$dir" && find . | cpio --quiet -o -H newc >"$2")
}

# rust_virtiofsd: the one of Debian 13 with the libraries that it wants, in $build/cache/virtiofsd, fetched once; prints its folder. apt checks the
# signatures with the keys that Debian 12 has.
rust_virtiofsd()
{
	local cache=$build/cache/virtiofsd apt
	if [ ! -e "$cache/root/usr/libexec/virtiofsd" ]; then
		rm -rf "$cache"
		mkdir -p "$cache"/apt/{lists,archives}/partial
		: >"$cache/apt/status"
		printf '%s\n' "Types: deb" "URIs: http://deb.debian.org/debian" "Suites: trixie" "Components: main" \
			"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" >"$cache/apt/trixie.sources"
		apt=(apt-get -qq -o "Dir::Etc::sourcelist=$cache/apt/trixie.sources" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$cache/apt/lists"
			-o "Dir::State::status=$cache/apt/status" -o "Dir::Cache=$cache/apt" -o APT::Sandbox::User=root)
		(cd "$cache" && "${apt[@]}" update && "${apt[@]}" download virtiofsd libc6 libgcc-s1 libcap-ng0 libseccomp2 &&
			for package in *.deb; do dpkg-deb -x "$package" root || exit; done && rm -rf apt ./*.deb) >&2 || { rm -rf "$cache"; return 1; }
	fi
	echo "$cache/root"
}

# An installed one, that of Debian 13, or that of QEMU 7.2, which works for root only; all with extended attributes, as
# holm's share and 9p have them, and Linux asks for one at the first write to a file. Sets virtiofsd_words.
find_virtiofsd()
{
	local program found="" libraries
	for program in "$(command -v virtiofsd)" /usr/libexec/virtiofsd /usr/lib/virtiofsd; do
		[ ! -x "$program" ] || { found=$program; break; }
	done
	if [ -n "$found" ]; then
		virtiofsd_words=("$found")
	elif found=$(rust_virtiofsd); then
		libraries=$found/usr/lib/x86_64-linux-gnu
		virtiofsd_words=("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$found/usr/libexec/virtiofsd")
	else
		[ "$(id -u)" = 0 ] && [ -x /usr/lib/qemu/virtiofsd ] || return 1
		virtiofsd_words=(/usr/lib/qemu/virtiofsd "--socket-path=$work/share/virtiofsd.socket" -o "source=$work/share/virtiofsd" -o xattr)
		return 0
	fi
	virtiofsd_words+=(--socket-path "$work/share/virtiofsd.socket" --shared-dir "$work/share/virtiofsd" --xattr)
	[ "$(id -u)" = 0 ] || virtiofsd_words+=(--sandbox none)
}

start_virtiofsd()
{
	find_virtiofsd || { echo "there is none, or only one that wants root"; return 1; }
	share_place virtiofsd 4G || return 1
	"${virtiofsd_words[@]}" >"$work/share/virtiofsd.log" 2>&1 </dev/null &
	echo $! >>"$work/share/pids"
	wait_for 10 test -S "$work/share/virtiofsd.socket" || { tail -n 1 "$work/share/virtiofsd.log"; return 1; }
}

# QEMU connects to a path; holm-fsd takes a connected socket.
start_holm_fsd()
{
	share_place holm-fsd 4G || return 1
	python3 -c 'import os, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
connection = listening.accept()[0].detach()
os.set_inheritable(connection, True)
os.execv(sys.argv[2], sys.argv[2:] + ["--fd", str(connection)])' "$work/share/holm-fsd.socket" "$(dirname "$(command -v holm)")/../libexec/holm/holm-fsd" \
		--root "$work/share/holm-fsd" --inside-uid "$(id -u)" --inside-gid "$(id -g)" >"$work/share/holm-fsd.log" 2>&1 </dev/null &
	echo $! >>"$work/share/pids"
	wait_for 10 test -S "$work/share/holm-fsd.socket" || { cat "$work/share/holm-fsd.log" >&2; return 1; }
}

# virtiofs_device NAME: QEMU's words for it, appended to `devices`.
virtiofs_device()
{
	devices+=(-chardev "socket,id=$1,path=$work/share/$1.socket" -device "vhost-user-fs-pci,chardev=$1,tag=$1,queue-size=1024")
}

# share_peers_begin: starts the VM with holm's own words for accelerator, processor and memory; sets share_peers.
share_peers_begin()
{
	local kernel=$1 pid qemu why name devices=()
	pid=$(keeper share)
	qemu=$(pgrep -P "$pid" qemu-system | head -n 1)
	share_place 9p 4G && start_holm_fsd || return 1
	share_peers=(holm-fsd 9p)
	# shellcheck disable=SC2054 # QEMU's
	devices=(-fsdev "local,id=fs9p,path=$work/share/9p,security_model=none" -device "virtio-9p-pci,fsdev=fs9p,mount_tag=9p"
		-drive "if=none,id=image,format=raw,snapshot=on,file=$(holm machine inspect share | jq -r '.[0].image_disk // .image_disk')" -device virtio-blk-pci,drive=image)
	virtiofs_device holm-fsd
	if why=$(start_virtiofsd); then
		share_peers+=(virtiofsd)
		virtiofs_device virtiofsd
	else
		skipped "share" "virtiofsd" "$why"
	fi
	peer_initramfs "$kernel" "$work/share/initramfs.cpio" && mkfifo "$work/share/console.in" "$work/share/console.out" || return 1
	qemu-system-x86_64 -machine q35,memory-backend=ram,usb=off,vmport=off,smbus=off,sata=off,hpet=off,i8042=off -accel "$(qemu_option -accel)" \
		-cpu "$(qemu_option -cpu)" -smp "$(qemu_option -smp)" -m "$(qemu_option -m)" -object "$(tr '\0' '\n' <"/proc/$qemu/cmdline" | grep ^memory-backend)" \
		-nodefaults -no-user-config -display none -no-reboot -kernel "$kernel"/boot/vmlinuz-* -initrd "$work/share/initramfs.cpio" \
		-append "$(qemu_option -append)" -chardev "pipe,id=console,path=$work/share/console" -serial chardev:console "${devices[@]}" \
		>"$work/share/qemu.log" 2>&1 </dev/null &
	echo $! >>"$work/share/pids"
	exec {peer_in}<>"$work/share/console.in" {peer_out}<>"$work/share/console.out"
	peer_reads :ready && peer_tells "mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 9p /9p" || return 1
	for name in "${share_peers[@]}"; do
		[ "$name" = 9p ] || peer_tells "mount -t virtiofs $name /$name" || return 1
	done
	peer_tells "mount -t ext4 /dev/vda /image" || return 1
	for name in dev proc "${share_peers[@]}"; do
		peer_tells "mkdir -p /image/$name && mount --bind /$name /image/$name" || return 1
	done
}

# peer_reads WORD: prints lines of the console until one that begins with this word.
peer_reads()
{
	local line
	while IFS= read -r -t 600 -u "$peer_out" line; do
		line=${line%$'\r'}
		case "$line" in
		"$1"*) peer_said=$line; return 0 ;;
		*) printf '%s\n' "$line" ;;
		esac
	done
	echo "bench: the VM of the peers says no more" >&2
	cat "$work/share/qemu.log" >&2
	return 1
}

# peer_tells COMMAND: in the VM; its output, and its success.
peer_tells()
{
	printf '%s\n' "$1" >&"$peer_in"
	peer_reads :exit && [ "$peer_said" = ":exit 0" ]
}

share_peers_end()
{
	local pid
	[ -e "$work/share/pids" ] || return 0
	while read -r pid; do
		kill "$pid" 2>/dev/null
		for _ in $(seq 50); do
			[ -e "/proc/$pid" ] || break
			sleep 0.1
		done
	done <"$work/share/pids"
}
