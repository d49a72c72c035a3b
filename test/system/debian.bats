#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A machine with systemd: it reaches `running`, has services, a user manager, sudo, a name, name service and the time of the host.
load ../lib/holm

setup_file()
{
	holm_begin
	create deb bookworm --cpus 2 --memory 1G
	holm machine start --wait deb
}

teardown_file()
{
	holm_end
}

@test "systemd is running, and degraded by nothing of ours" {
	run --separate-stderr in_machine deb systemctl is-system-running --wait
	if [ "$output" != running ]; then
		as_root deb systemctl --failed --no-legend >&2
	fi
	equal running "$output"
}

@test "whoami, pwd in a folder of the home, sudo without a password" {
	mkdir -p project
	cd project
	equal "$ME" "$(holm machine run whoami)"
	equal "$PWD" "$(holm machine run pwd)"
	equal root "$(holm machine run sudo -n id -un)"
	contains "$(holm machine run getent passwd "$ME")" ":$HOME:/bin/bash"
}

@test "the container variable, the host name, /etc/hosts" {
	contains "$(as_root deb sh -c "tr '\\0' '\\n' </proc/1/environ")" container=holm
	equal deb "$(in_machine deb hostname)"
	equal deb "$(in_machine deb cat /etc/hostname)"
	in_machine deb getent hosts deb
	contains "$(in_machine deb cat /proc/1/comm)" systemd
}

@test "a service that is enabled runs after the session, and after stop and start" {
	as_root deb sh -c 'printf "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/mine.service'
	as_root deb systemctl daemon-reload
	as_root deb systemctl enable --now mine.service
	equal active "$(in_machine deb systemctl is-active mine.service)"
	# The test of sudo below looks at this after the restart.
	as_root deb sh -c 'cp /etc/sudoers /root; printf "Defaults requiretty\n%%mine ALL=(ALL) ALL\n" >>/etc/sudoers; groupadd mine; usermod -aG mine "$1"' sh "$ME"
	[ "$ISOLATION" != native ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -days 2 -subj /CN=corp -out "$HOLM_AUTHORITIES/corp.crt" 2>/dev/null
	holm machine set -n deb proxy=http://me:a%40b@127.0.0.1:3128 2>/dev/null
	holm machine stop deb
	run --separate-stderr holm machine start --wait deb
	contains "$stderr" "the proxy 127.0.0.1:3128 is out of the machine's reach"
	equal active "$(in_machine deb systemctl is-active mine.service)"
}

# Whether the machine's programs trust the host's authority.
trusts()
{
	as_root "$1" grep -qF "$(sed -n 2p "$HOLM_AUTHORITIES/corp.crt")" /etc/ssl/certs/ca-certificates.crt
}

@test "the host's certificate authorities are trusted inside, also by programs with stores of their own" {
	# In a virtual machine without acceleration update-ca-certificates takes minutes.
	requires native
	# shellcheck disable=SC2016
	local print='echo "$NODE_EXTRA_CA_CERTS $SSL_CERT_FILE $REQUESTS_CA_BUNDLE"'
	until_true 120 trusts deb
	until_true 60 in_machine deb test -e /var/lib/holm/authorities.pem
	equal "/var/lib/holm/authorities.pem /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt" "$(in_machine deb sh -c "$print")"
	equal "$(in_machine deb sh -c "$print")" "$(in_machine deb sudo -n sh -c "$print")"
	[ "$(as_root deb grep -c BEGIN /etc/ssl/certs/ca-certificates.crt)" -gt 50 ]
	holm machine set -n deb ca=none 2>/dev/null
}

@test "services have the proxy of the setting, by a file that root alone may read" {
	local main
	contains "$(holm machine inspect deb | jq -c '.[0].keeper.warnings')" "the proxy 127.0.0.1:3128"
	equal "600 0" "$(as_root deb stat -c '%a %u' /run/systemd/system.conf.d/holm.conf)"
	main=$(in_machine deb systemctl show -p MainPID --value mine.service)
	contains "$(as_root deb sh -c "tr '\\0' '\\n' </proc/$main/environ")" https_proxy=http://me:a%40b@127.0.0.1:3128
	equal no_proxy=localhost,127.0.0.1,::1 "$(in_machine deb systemd-run --user --wait --pipe --quiet env | grep no_proxy)"
	holm machine set -n deb proxy= 2>/dev/null
}

@test "sudo needs no password whatever /etc/sudoers says, and keeps proxies" {
	contains " $(in_machine deb id -Gn) " " mine "
	contains " $(in_machine deb id -Gn) " " systemd-journal "
	contains " $(in_machine deb id -Gn) " " adm "
	as_root deb grep -q requiretty /etc/sudoers
	equal root "$(holm machine run -n deb sudo -n id -un </dev/null 2>&1 | cat)"
	# shellcheck disable=SC2016
	equal http://proxy.example:3128,http://PROXY.example:3128, "$(https_proxy=http://proxy.example:3128 HTTPS_PROXY=http://PROXY.example:3128 in_machine deb \
		sudo -n sh -c 'echo $https_proxy,$HTTPS_PROXY,$NOTHING')"
	as_root deb visudo -c -q
	as_root deb cp /root/sudoers /etc/sudoers
}

@test "the machine has every capability, a writable cgroup2 of its own and its kernel's modules" {
	requires vm
	as_root deb sh -c 'test -d "/lib/modules/$(uname -r)"'
	as_root deb modprobe dummy
	as_root deb ip link add holmtest0 type dummy
	as_root deb sh -c 'mkdir /sys/fs/cgroup/holmtest && rmdir /sys/fs/cgroup/holmtest'
	equal cgroup2fs "$(in_machine deb stat -f -c %T /sys/fs/cgroup)"
	as_root deb sh -c 'mount -t tmpfs none /mnt && umount /mnt'
}

@test "units are sandboxed: PrivateTmp, ProtectSystem, DynamicUser" {
	as_root deb sh -c 'cat >/etc/systemd/system/boxed.service' <<-'END'
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		DynamicUser=yes
		PrivateTmp=yes
		ProtectSystem=strict
		ProtectHome=tmpfs
		StateDirectory=boxed
		ExecStart=/bin/sh -c 'touch /tmp/only-mine; id -u >/var/lib/boxed/uid; touch /usr/no && exit 1; exit 0'
	END
	as_root deb systemctl daemon-reload
	run as_root deb systemctl start boxed.service
	[ "$status" = 0 ] || { as_root deb systemctl status --no-pager boxed.service >&2; return 1; }
	[ "$(as_root deb cat /var/lib/private/boxed/uid)" -gt 60000 ]
	run ! as_root deb test -e /tmp/only-mine
	run ! as_root deb test -e /usr/no
	as_root deb systemctl stop boxed.service
}

@test "without a VM: a cgroup2 that systemd manages, mounts of one's own, the console in the log" {
	requires native cgroup
	equal cgroup2fs "$(in_machine deb stat -f -c %T /sys/fs/cgroup)"
	as_root deb test -d /sys/fs/cgroup/system.slice
	as_root deb sh -c 'mount -t tmpfs none /mnt && umount /mnt'
	as_root deb systemd-run --wait --quiet -p MemoryAccounting=yes true
	contains "$(holm machine logs deb)" "Debian GNU/Linux"
	equal container-other "$(as_root deb systemd-detect-virt --container | sed 's/^holm$/container-other/')"
}

@test "a session is in a cgroup of its own outside systemd's units" {
	requires cgroup
	run in_machine deb cat /proc/self/cgroup
	equal 0 "$status"
	run ! grep -Eq '\.service|init\.scope' <<<"$output"
}

@test "sessions have a runtime directory and a bus; systemctl --user works" {
	equal "/run/user/$UID_ME" "$(in_machine deb sh -c 'echo $XDG_RUNTIME_DIR')"
	in_machine deb test -S "/run/user/$UID_ME/bus"
	run in_machine deb systemctl --user is-system-running --wait
	contains "running degraded" "${lines[-1]}"
}

@test "what rootless containers need: a /proc of their own in nested namespaces, and subordinate ids that exist" {
	equal 1 "$(in_machine deb unshare --user --map-root-user --mount --pid --fork --mount-proc readlink /proc/self)"
	local kind name first count
	for kind in uid gid; do
		[ "$(in_machine deb sed -n "s/^$ME://p" "/etc/sub$kind" | awk -F: '{ n += $2 } END { print n }')" -ge 65535 ]
		while IFS=: read -r name first count; do
			[ "$name" = "$ME" ] || continue
			in_machine deb awk -v first="$first" -v end=$((first + count)) '$1 <= first && $1 + $3 >= end { found = 1 } END { exit !found }' "/proc/self/${kind}_map" </dev/null
		done < <(in_machine deb cat "/etc/sub$kind")
	done
}

@test "the time zone and the clock follow the host" {
	local before inside after
	before=$(date +%s)
	inside=$(in_machine deb date +%s)
	after=$(date +%s)
	[ "$inside" -ge $((before - 2)) ] && [ "$inside" -le $((after + 2)) ]
	equal "$(date +%Z)" "$(in_machine deb date +%Z)"
}

@test "SSH_AUTH_SOCK inside is the caller's agent, re-pointed at each session" {
	requires ssh-agent
	local round pid
	cat >"$HOME/ask.pl" <<-'END'
		use IO::Socket::UNIX;
		my $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die "no agent: $!";
		syswrite $s, pack("NC", 1, 11);
		sysread $s, my $head, 4;
		my $answer = "";
		while (length $answer < unpack("N", $head)) { sysread($s, $answer, 65536, length $answer) or die }
		print $answer =~ /(a-key-of-round-\d)/ ? "$1\n" : "none\n";
	END
	for round in 1 2; do
		eval "$(ssh-agent -a "$WORLD/agent.$round" 3>&-)" >/dev/null
		pid=$SSH_AGENT_PID
		ssh-keygen -q -t ed25519 -N '' -f "$TMPDIR/key" -C "a-key-of-round-$round"
		ssh-add -q "$TMPDIR/key"
		run in_machine deb perl ask.pl
		kill "$pid"
		rm -f "$TMPDIR/key" "$TMPDIR/key.pub"
		equal "a-key-of-round-$round" "$output"
	done
	unset SSH_AUTH_SOCK
}

# An agent of the caller's, with a process inside that has connected to it and outlives its session.
# Its words go to $HOME/held.
begin_lending()
{
	rm -f "$HOME/held"
	cat >"$HOME/hold.pl" <<-'END'
		use IO::Socket::UNIX;
		$SIG{HUP} = "IGNORE";
		my $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die "no agent: $!";
		my $path = readlink $ENV{SSH_AUTH_SOCK};
		my $pid = fork;
		if (!$pid) {
			open STDOUT, ">>", "$ENV{HOME}/held"; open STDERR, ">&", STDOUT; close STDIN;
			$| = 1;
			alarm 170;
			syswrite $s, pack("NC", 1, 11);
			sysread $s, my $answer, 4 or die;
			print "answered\n";
			print sysread($s, $answer, 65536) ? "" : "ended\n" for 1 .. 2;
			print IO::Socket::UNIX->new(Peer => $path) ? "open\n" : "refused\n";
			exit;
		}
		my $said = "";
		until ($said =~ /answered/) { select undef, undef, undef, 0.1; open my $f, "<", "$ENV{HOME}/held"; $said = <$f> // "" }
		waitpid $pid, 0 if @ARGV;
	END
	eval "$(ssh-agent -a "$WORLD/agent.lent" 3>&-)" >/dev/null
}

has_said()
{
	grep -qx "$1" "$HOME/held" 2>/dev/null
}

@test "what a session left behind loses the caller's ssh agent" {
	requires ssh-agent
	local agent
	begin_lending
	agent=$SSH_AGENT_PID
	run in_machine deb perl hold.pl
	equal 0 "$status"
	until_true 60 has_said refused
	has_said ended
	kill "$agent"
	unset SSH_AUTH_SOCK
}

@test "a session whose command line was killed loses the caller's ssh agent, though its command goes on" {
	requires ssh-agent
	local pid agent
	begin_lending
	agent=$SSH_AGENT_PID
	background holm machine run -n deb -- perl hold.pl stay
	until_true 60 has_said answered
	kill -KILL "$pid"
	until_true 60 has_said refused
	has_said ended
	kill "$agent"
	unset SSH_AUTH_SOCK
}

@test "a package from the archive installs inside" {
	requires archive
	# Through whatever way this host reaches Debian; without a way out of the host it says so.
	timeout 120 holm machine run -n deb --root -- apt-get -qq update >"$WORLD/apt" 2>&1 || skip "no way to the archive from a machine: $(tail -n 1 "$WORLD/apt")"
	HOLM_TEST_TIMEOUT=600 as_root deb apt-get install -qq -y --no-install-recommends bc >/dev/null
	equal 4 "$(echo 2+2 | in_machine deb bc)"
}

@test "reboot and poweroff through systemd" {
	local id boots
	id=$(in_machine deb cat /proc/sys/kernel/random/boot_id)
	run ! equal "$id" "$(cat /proc/sys/kernel/random/boot_id)"
	equal "$id" "$(as_root deb cat /proc/sys/kernel/random/boot_id)"
	[ "$ISOLATION" = vm ] || run ! as_root deb sh -c 'f=/proc/sys/kernel/random/boot_id; mount -o remount,bind,rw $f && echo x >$f'
	boots=$(as_root deb journalctl -q --list-boots | wc -l)
	as_root deb touch /run/before-reboot
	run as_root deb systemctl reboot
	back()
	{
		as_root deb sh -c '! test -e /run/before-reboot'
	}
	until_true 180 back
	run ! equal "$id" "$(in_machine deb cat /proc/sys/kernel/random/boot_id)"
	# Sessions can come before the journal.
	has_boots()
	{
		[ "$(as_root deb journalctl -q --list-boots | wc -l)" = "$1" ]
	}
	until_true 120 has_boots $((boots + 1))
	run as_root deb systemctl poweroff
	until_true 180 is_state deb stopped
}

@test "a name of a directory service: the same inside, with sudo and a user manager" {
	holm machine set -n deb user='CORP\jdoe@x'
	# The first command of a machine that boots finds the bus of its user.
	has_bus()
	{
		in_machine deb sh -c 'test -S "${DBUS_SESSION_BUS_ADDRESS#unix:path=}" && systemctl --user show-environment >/dev/null'
	}
	case $ISOLATION in
	native) has_bus ;;
	*) until_true 60 has_bus ;; # without acceleration it can take longer than a session waits
	esac
	holm machine start --wait deb
	# The setting since the start before the last one is ca=none.
	distrusts()
	{
		! trusts deb
	}
	if [ "$ISOLATION" = native ]; then
		until_true 120 distrusts
		until_true 60 as_root deb test ! -e /var/lib/holm/authorities.pem
	fi
	equal ' ' "$(in_machine deb sh -c 'echo "$NODE_EXTRA_CA_CERTS $SSL_CERT_FILE"')"
	equal 'CORP\jdoe@x' "$(in_machine deb whoami)"
	equal 'CORP\jdoe@x' "$(in_machine deb id -un "$UID_ME")"
	equal root "$(in_machine deb sudo -n id -un)"
	equal "/run/user/$UID_ME" "$(in_machine deb sh -c 'echo $XDG_RUNTIME_DIR')"
}

# A Debian without an init, with the packages of one in a repository of its own, made once and kept
# between runs by tools/run-tests.
plain_debian()
{
	PLAIN=$HOLM_TEST_STAGE/images/plain-debian-${HOLM_TEST_IMAGES_KEY:-none}.tar
	[ ! -e "$PLAIN" ] || return 0
	requires archive
	# shellcheck disable=SC2016
	TMPDIR=/var/tmp mmdebstrap --mode=unshare --variant=apt --format=tar \
		--customize-hook='chroot "$1" apt-get install -qy --no-install-recommends --download-only systemd systemd-sysv libpam-systemd dbus dbus-user-session sudo iproute2' \
		--customize-hook='mkdir "$1/srv/repo" && mv "$1"/var/cache/apt/archives/*.deb "$1/srv/repo"' \
		--customize-hook='cd "$1/srv/repo" && for deb in *.deb; do dpkg-deb -f "$deb"; printf "Filename: ./%s\nSize: %s\nSHA256: %s\n\n" "$deb" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d" " -f1)"; done >Packages' \
		--customize-hook='echo "deb [trusted=yes] file:/srv/repo ./" >"$1/etc/apt/sources.list"; rm -f "$1/etc/hostname" "$1/etc/resolv.conf"' \
		bookworm - >"$TMPDIR/plain.layer" 2>"$WORLD/mmdebstrap" || {
		tail -n 20 "$WORLD/mmdebstrap"
		return 1
	}
	image_from_layer "$TMPDIR/plain.layer" plain "$TMPDIR"
	rm "$TMPDIR/plain.layer"
	mv "$TMPDIR/plain.tar" "$PLAIN"
}

@test "init=install: an image without an init gets its distribution's, once" {
	# In a virtual machine without acceleration apt-get takes minutes.
	requires native
	# shellcheck source=test/lib/images.bash
	. "$BATS_TEST_DIRNAME/../lib/images.bash"
	plain_debian
	holm image load "$PLAIN" >/dev/null
	run --separate-stderr holm machine create plain:test --name plain --init install --isolation native --no-boot
	equal "0 install" "$status $(holm machine inspect plain | jq -r '.[0].init')"
	run --separate-stderr holm machine start plain
	equal "0 " "$status $(grep "no init" <<<"$stderr")"
	equal 'auto []' "$(holm machine inspect plain | jq -r '.[0] | "\(.init) \(.restart_needed)"')"
	contains "$(as_root plain cat /proc/1/comm)" systemd
	equal root "$(in_machine plain sudo -n id -un)"
	in_machine plain test -S "/run/user/$UID_ME/bus"
	contains "$(holm machine logs --boot plain)" "install: Setting up systemd-sysv"
	holm machine rm --force plain
}

@test "stop is quick: systemd understands it" {
	# A process keeps the home busy until systemd kills what is left.
	as_root deb systemd-run --quiet -p DefaultDependencies=no -p "WorkingDirectory=$HOME" sleep infinity
	# One that did not would be killed when the time is over.
	local began=$SECONDS
	holm machine stop -t 150 deb
	[ $((SECONDS - began)) -lt 120 ]
	run grep -a 'Failed unmounting' <<<"$(holm machine logs deb)"
	equal '' "$output"
}

@test "an export leaves the host's certificate authorities out; the machine gets them back" {
	requires native
	holm machine set -n deb ca=
	holm machine start --wait deb
	until_true 120 trusts deb
	until_true 60 as_root deb test -e /var/lib/holm/authorities.pem
	holm machine stop deb
	holm machine export deb -o "$TMPDIR/deb.tar" >/dev/null
	holm machine import "$TMPDIR/deb.tar" --name other --isolation native >/dev/null
	rm "$TMPDIR/deb.tar"
	HOLM_AUTHORITIES=/nonexistent holm machine start other
	run ! trusts other
	run ! as_root other ls /var/lib/holm/authorities.pem
	equal '' "$(as_root other sh -c 'ls /usr/local/share/ca-certificates')"
	holm machine rm --force other
	holm machine start deb
	until_true 120 trusts deb
}
