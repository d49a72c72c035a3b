#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The Debian package, made of the installation under test: its contents, lintian's opinion, and a
# fresh Debian 12 that apt installs it on.
load ../lib/holm

setup_file()
{
	holm_begin empty
	# mmdebstrap's root is another id, which has to come through.
	chmod 711 "$WORLD" "$TMPDIR"
	export DEB=$WORLD/deb/holm.deb
	command -v dh >/dev/null || return 0
	"$HOLM_TEST_STAGE/tools/deb" "$WORLD/deb" "$(realpath "$(dirname "$(type -P holm)")/..")"
	mv "$WORLD"/deb/holm_*.deb "$DEB"
}

teardown_file()
{
	holm_end
}

# A tree of Debian 12 with its package lists and what the package depends on, made once and kept
# between runs by tools/run-tests.
fresh_debian()
{
	FRESH=$HOLM_TEST_STAGE/images/fresh-debian-${HOLM_TEST_IMAGES_KEY:-none}.tar
	[ ! -e "$FRESH" ] || return 0
	requires archive
	# Device nodes cannot be unpacked without root; mmdebstrap makes /dev itself.
	# shellcheck disable=SC2016
	mmdebstrap --mode=unshare --variant=apt --skip=cleanup/apt --customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb' \
		--customize-hook="copy-in '$DEB' /" --customize-hook='chroot "$1" apt-get install -qy --no-install-recommends --download-only /holm.deb' \
		--customize-hook='rm "$1/holm.deb"' bookworm - 2>"$WORLD/mmdebstrap" | mmtarfilter --path-exclude='/dev/*' >"$FRESH.new" || {
		tail -n 20 "$WORLD/mmdebstrap"
		return 1
	}
	mv "$FRESH.new" "$FRESH"
}

# said NAME: what the hook printed behind "=== NAME".
said()
{
	awk -v name="=== $1" '/^=== / { on = $0 == name; next } on' "$WORLD/log"
}

@test "the package has the programs, the guest bundle, the manual, completion, copyright and changelog" {
	requires dh
	contents=$(dpkg-deb --fsys-tarfile "$DEB" | tar -tf -)$'\n'
	for file in bin/holm libexec/holm/holm-{agent,fsd,image,keeper,scope,ssh} share/holm/guest/{vmlinux,initramfs.cpio,modules.ext4,bundle.json,engine.tar} \
		share/man/man1/holm{,-machine,-container,-image,-ssh-config}.1.gz share/man/man5/holm-config.5.gz share/man/man7/holm-{images,security,shares}.7.gz \
		share/bash-completion/completions/holm share/zsh/vendor-completions/_holm share/fish/vendor_completions.d/holm.fish \
		lib/systemd/user/holm-{autostart.service,docker.service,docker.socket} share/doc/holm/{copyright,changelog.gz}; do
		contains "$contents" "./usr/$file"$'\n'
	done
	equal ./ "$(printf '%s' "$contents" | grep -v '^\./usr/')"
}

@test "the package has the programs' version and depends on what machines need" {
	requires dh
	equal "$(holm version)" "holm $(dpkg-deb --field "$DEB" Version)"
	depends=$(dpkg-deb --field "$DEB" Depends)
	for package in qemu-system-x86 passt crun uidmap libc6 libjson-c5; do
		contains "$depends, " "$package"
	done
	contains "$(dpkg-deb --field "$DEB" Built-Using)" "linux (= "
}

@test "all files of the package belong to root, also when an ordinary user has made it" {
	requires dh
	equal 'root/root' "$(dpkg-deb --contents "$DEB" | awk '{ print $2 }' | sort -u)"
}

@test "lintian finds no error and no warning in the package" {
	requires dh lintian
	TMPDIR=$BATS_TEST_TMPDIR run lintian --fail-on error,warning "$DEB"
	equal '' "$output"
	equal 0 "$status"
}

@test "apt installs the package on a fresh Debian 12, where holm works and leaves nothing when it is purged" {
	requires dh mmdebstrap newuidmap
	grep -q "^$ME:" /etc/subuid || skip "$ME has no subordinate ids"
	fresh_debian
	mmdebstrap --mode=unshare --variant=custom --format=null --skip=update,cleanup --setup-hook="tar-in '$FRESH' /" \
		--customize-hook="copy-in '$DEB' /" --customize-hook="$HOLM_TEST_STAGE/test/lib/fresh-debian" '' - >"$WORLD/log" 2>&1 || {
		tail -n 30 "$WORLD/log"
		return 1
	}
	contains "$(said installed)" "Setting up holm ($(dpkg-deb --field "$DEB" Version))"
	equal /usr/bin/holm "$(said 'command -v holm')"
	equal "$(holm version)" "$(said 'holm version')"
	for part in holm-keeper holm-image holm-fsd holm-agent qemu-system-x86_64 passt guest-bundle crun pasta newuidmap; do
		said 'holm system info' | grep -E "^$part +(both|vm|native|images) +yes "
	done
	contains "$(said completion)" "complete"
	grep -q '^=== end$' "$WORLD/log"
	equal '' "$(said left | grep -v '^[IW]: ')"
}
