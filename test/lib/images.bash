# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Test images, made from busybox-static and Debian's archive with umoci, skopeo, tar and fakeroot; no registry and no root needed.
#
# A root file system is described by a function ROOTFS_NAME that fills the current directory; image_from_tree packs it as one layer
# owned by root. image_on_top adds a layer to an image that exists. The result is always DIR/NAME.tar, an OCI archive whose
# reference is docker.io/library/NAME:test.

# image_archive LAYOUT NAME DIR: LAYOUT's tag `test` as DIR/NAME.tar.
image_archive()
{
	rm -f "$3/$2.tar"
	skopeo copy --quiet --insecure-policy "oci:$1:test" "oci-archive:$3/$2.tar.new:docker.io/library/$2:test"
	mv "$3/$2.tar.new" "$3/$2.tar"
}

# image_from_layer LAYER.tar NAME DIR [umoci config option]...: an image of this one layer.
image_from_layer()
{
	local layer=$1 name=$2 dir=$3 layout
	shift 3
	layout=$(mktemp -d)
	umoci init --layout "$layout/oci"
	umoci new --image "$layout/oci:test"
	umoci raw add-layer --image "$layout/oci:test" "$layer"
	umoci config --image "$layout/oci:test" --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		--architecture amd64 --os linux "$@"
	image_archive "$layout/oci" "$name" "$dir"
	rm -rf "$layout"
}

# image_from_tree NAME DIR [umoci config option]...: rootfs_NAME (dashes as underscores) makes the tree.
image_from_tree()
{
	local name=$1 dir=$2 tree
	shift 2
	tree=$(mktemp -d)
	mkdir "$tree/rootfs"
	(cd "$tree/rootfs" && "rootfs_${name//-/_}")
	tar -C "$tree/rootfs" --sort=name --owner=0 --group=0 --numeric-owner -cf "$tree/layer.tar" .
	image_from_layer "$tree/layer.tar" "$name" "$dir" "$@"
	rm -rf "$tree"
}

# image_on_top BASE.tar LAYER.tar NAME DIR
image_on_top()
{
	local layout
	layout=$(mktemp -d)
	skopeo copy --quiet --insecure-policy "oci-archive:$1" "oci:$layout/oci:test"
	umoci raw add-layer --image "$layout/oci:test" "$2"
	image_archive "$layout/oci" "$3" "$4"
	rm -rf "$layout"
}

# image_file BASE.tar PATH: prints a file of an image (the last layer that has it).
image_file()
{
	local layout digest found=
	layout=$(mktemp -d)
	skopeo copy --quiet --insecure-policy "oci-archive:$1" "oci:$layout/oci:test"
	while read -r digest; do
		if tar -xOf "$layout/oci/blobs/sha256/$digest" "$2" >"$layout/file" 2>/dev/null ||
			tar -xOf "$layout/oci/blobs/sha256/$digest" "./$2" >"$layout/file" 2>/dev/null; then
			cp "$layout/file" "$layout/found"
			found=1
		fi
	done < <(skopeo inspect --raw "oci:$layout/oci:test" | jq -r '.layers[].digest | ltrimstr("sha256:")')
	[ -z "$found" ] || cat "$layout/found"
	rm -rf "$layout"
	[ -n "$found" ]
}

# --- busybox trees -----------------------------------------------------------------------------------------------------------------

# busybox_tree [APPLET that is left out]...: the common part: busybox, its links, the usual folders, root's account.
busybox_tree()
{
	local busybox applet folder
	busybox=$(command -v busybox)
	mkdir -p bin sbin usr/bin usr/sbin etc dev proc sys run tmp root home var/log mnt
	chmod 1777 tmp
	chmod 700 root
	cp "$busybox" bin/busybox
	for applet in $("$busybox" --list); do
		case " busybox $* " in
		*" $applet "*) continue ;;
		esac
		folder=bin
		case "$applet" in
		init | halt | poweroff | reboot | getty | ip | ifconfig | route | mdev | sysctl) folder=sbin ;;
		esac
		ln -s /bin/busybox "$folder/$applet"
	done
	cat >etc/passwd <<-'END'
		root:x:0:0:root:/root:/bin/sh
		daemon:x:2:2:daemon:/sbin:/sbin/nologin
		nobody:x:65534:65534:nobody:/:/sbin/nologin
	END
	printf 'root:*::0:::::\ndaemon:!::0:::::\nnobody:!::0:::::\n' >etc/shadow
	chmod 640 etc/shadow
	printf 'root:x:0:root\ndaemon:x:2:\nwheel:x:10:root\nnobody:x:65534:\n' >etc/group
	printf 'ID=testbox\nNAME="Test Box"\nVERSION_ID=1\nPRETTY_NAME="Test Box 1"\n' >etc/os-release
	printf '/bin/sh\n' >etc/shells
}

rootfs_busybox()
{
	busybox_tree
	# Says in the console's log that it ran, and keeps one service going.
	cat >etc/inittab <<-'END'
		::sysinit:/etc/rc.boot
		::respawn:/bin/httpd -f -p 8080 -h /srv/www
		::ctrlaltdel:/sbin/reboot
		::shutdown:/bin/sync
	END
	mkdir -p srv/www
	echo 'hello from inside' >srv/www/index.html
	printf '#!/bin/sh\necho "rc.boot: booted"\nuptime >/run/booted\necho boot >>/var/log/boots\n' >etc/rc.boot
	chmod 755 etc/rc.boot
}

# With doas, as far as provisioning sees it: the program and its folder of rules. And with the
# identity of a machine that somebody made the image of. Its ssh-keygen stands in for OpenSSH's.
rootfs_busybox_doas()
{
	rootfs_busybox
	mkdir -p etc/ssh var/lib/dbus var/lib/systemd
	echo 0123456789abcdef0123456789abcdef | tee etc/machine-id >var/lib/dbus/machine-id
	echo seed >var/lib/systemd/random-seed
	echo key >etc/ssh/ssh_host_ed25519_key
	cat >usr/bin/ssh-keygen <<-'END'
		#!/bin/sh
		[ "$*" = -A ] || exit 1
		cat /proc/sys/kernel/random/uuid >/etc/ssh/ssh_host_ed25519_key
		echo "made on $(hostname) by $(id -u)" | tee /etc/ssh/ssh_host_ed25519_key.pub
	END
	mkdir -p etc/dropbear
	echo key >etc/dropbear/dropbear_ed25519_host_key
	cat >usr/bin/dropbearkey <<-'END'
		#!/bin/sh
		[ ! -e "$4" ] && cat /proc/sys/kernel/random/uuid >"$4"
	END
	chmod 755 usr/bin/ssh-keygen usr/bin/dropbearkey
	mkdir -p etc/doas.d
	printf '#!/bin/sh\nexec "$@"\n' >usr/bin/doas
	chmod 755 usr/bin/doas
}

rootfs_no_init()
{
	busybox_tree init linuxrc
}

# Alpine's container image has busybox init and this inittab, but not the openrc that it calls.
rootfs_alpine_like()
{
	local n
	busybox_tree
	{
		printf '# /etc/inittab\n\n::sysinit:/sbin/openrc sysinit\n::sysinit:/sbin/openrc boot\n::wait:/sbin/openrc default\n\n'
		printf "# Set up a couple of getty's\n"
		for n in 1 2 3 4 5 6; do
			printf 'tty%d::respawn:/sbin/getty 38400 tty%d\n' "$n" "$n"
		done
		printf '\n# Put a getty on the serial port\n#ttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100\n'
		printf '\n# Stuff to do for the 3-finger salute\n::ctrlaltdel:/sbin/reboot\n'
		printf '\n# Stuff to do before rebooting\n::shutdown:/sbin/openrc shutdown\n\n'
	} >etc/inittab
	printf 'ID=alpine\nNAME="Alpine Linux"\nVERSION_ID=3.22.0\n' >etc/os-release
}

rootfs_create_user()
{
	rootfs_busybox
	mkdir -p etc/machine
	cat >etc/machine/create-user.sh <<-'END'
		#!/bin/sh
		set -e
		echo "create-user.sh makes $CONTAINER_USER"
		env | grep ^CONTAINER_ | sort >/var/log/create-user
		id -u >>/var/log/create-user
		{
			readlink /proc/self/ns/net
			cat /proc/net/unix
			cat /proc/[0-9]*/cmdline | tr '\0' ' '
			mkdir /dev/net/mine /sys/fs/cgroup/mine && echo writable
		} >/var/log/create-user-place 2>/dev/null || true
		setsid sleep 7531 </dev/null >/dev/null 2>&1 &
		grep -q ":$CONTAINER_GID:" /etc/group || echo "mine:x:$CONTAINER_GID:" >>/etc/group
		echo "$CONTAINER_USER:x:$CONTAINER_UID:$CONTAINER_GID:made by the image:$CONTAINER_HOME:/bin/sh" >>/etc/passwd
	END
	chmod 755 etc/machine/create-user.sh
}

# Fails until the user's home has a file `fixed`.
rootfs_create_user_fails()
{
	rootfs_create_user
	mv etc/machine/create-user.sh etc/machine/works.sh
	cat >etc/machine/create-user.sh <<-'END'
		#!/bin/sh
		if [ ! -e "$CONTAINER_HOME/fixed" ]; then
			echo "this image is not finished" >&2
			exit 3
		fi
		exec /etc/machine/works.sh
	END
	chmod 755 etc/machine/create-user.sh
}

# Waits until the user's home has a file `go`.
rootfs_create_user_waits()
{
	rootfs_create_user
	sed -i '2a while [ ! -e "$CONTAINER_HOME/go" ]; do sleep 0.1; done' etc/machine/create-user.sh
}

# Replaces /run/holm by symbolic links to the place where the agent has covered holm's folders.
rootfs_create_user_lures()
{
	rootfs_create_user
	cat >>etc/machine/create-user.sh <<-'END'
		mkdir -p /run/x2
		for name in holm-init notify; do
			ln -sfn /run/holm/shares/home/.local/share/holm "/run/x2/$name"
		done
		mv /run/holm /run/holm.old
		ln -s x2 /run/holm
		ln -sfn x2 /run/systemd
		echo lured >/var/log/lured
	END
}

# --- Debian with somebody else's user ----------------------------------------------------------------------------------------------

# image_ubuntu_like BASE.tar UID DIR: BASE whose user UID is `ubuntu`, with a home, groups and a sudo rule.
image_ubuntu_like()
{
	local tree
	tree=$(mktemp -d)
	mkdir -p "$tree/etc/sudoers.d" "$tree/home/ubuntu"
	{ image_file "$1" etc/passwd; echo "ubuntu:x:$2:$2:Ubuntu:/home/ubuntu:/bin/bash"; } >"$tree/etc/passwd"
	{ image_file "$1" etc/shadow; echo 'ubuntu:!:19700:0:99999:7:::'; } >"$tree/etc/shadow"
	{ image_file "$1" etc/group | sed 's/^\(adm\|sudo\):\(.*\):$/\1:\2:ubuntu/'; echo "ubuntu:x:$2:"; } >"$tree/etc/group"
	echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >"$tree/etc/sudoers.d/90-ubuntu"
	echo 'mine' >"$tree/home/ubuntu/keep"
	chmod 640 "$tree/etc/shadow"
	chmod 440 "$tree/etc/sudoers.d/90-ubuntu"
	# shellcheck disable=SC2016
	fakeroot sh -c 'chown -R 0:0 "$1/etc"; chown 0:42 "$1/etc/shadow"; chown -R "$2:$2" "$1/home/ubuntu"
		tar -C "$1" --numeric-owner -cf "$1.tar" etc/passwd etc/shadow etc/group etc/sudoers.d/90-ubuntu home/ubuntu' sh "$tree" "$2"
	image_on_top "$1" "$tree.tar" ubuntu-like "$3"
	rm -rf "$tree" "$tree.tar"
}

# --- many layers ------------------------------------------------------------------------------------------------------------------------

# image_of_many_layers BASE.tar COUNT NAME DIR: COUNT layers on top of BASE. Layer N makes /layers/N and /layers/last, removes the file of layer N-3, and each
# tenth replaces the folder /layers/opaque by one with only its own file.
image_of_many_layers()
{
	local layout n
	layout=$(mktemp -d)
	skopeo copy --quiet --insecure-policy "oci-archive:$1" "oci:$layout/oci:test"
	for n in $(seq 1 "$2"); do
		rm -rf "$layout/tree"
		mkdir -p "$layout/tree/layers/opaque"
		echo "$n" >"$layout/tree/layers/$n"
		echo "$n" >"$layout/tree/layers/last"
		echo "$n" >"$layout/tree/layers/opaque/$n"
		[ "$n" -le 3 ] || : >"$layout/tree/layers/.wh.$((n - 3))"
		[ $((n % 10)) != 0 ] || : >"$layout/tree/layers/opaque/.wh..wh..opq"
		tar -C "$layout/tree" --sort=name --owner=0 --group=0 --numeric-owner -cf "$layout/$n.tar" layers
	done
	python3 "$(dirname "${BASH_SOURCE[0]}")/add-layers" "$layout/oci" "$layout" "$2"
	image_archive "$layout/oci" "$3" "$4"
	rm -rf "$layout"
}

# --- big -----------------------------------------------------------------------------------------------------------------------------

# A tree of SIZE MiB in files of 1 MiB that compress by about half, on top of busybox.
rootfs_big()
{
	local n
	busybox_tree
	mkdir -p srv/data
	openssl enc -aes-128-ctr -pass pass:holm -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c $((HOLM_TEST_BIG_MIB * 512 * 1024)) |
		split -b 524288 -a 4 -d - srv/data/half.
	for n in srv/data/half.*; do
		{ cat "$n"; head -c 524288 /dev/zero; } >"srv/data/file.${n##*.}"
		rm "$n"
	done
}
