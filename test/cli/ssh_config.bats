#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `holm ssh-config`, in a user namespace whose root has a home of the test's: ssh looks in the
# home of the account.
load ../lib/holm

setup_file()
{
	command -v ssh >/dev/null || skip "there is no ssh here"
	unshare --user --map-root-user --mount true 2>/dev/null || skip "this host gives no user namespaces"
	holm_begin empty
	export ACCOUNT="$WORLD/account"
}

setup()
{
	mkdir -m 700 "$ACCOUNT"
}

teardown()
{
	rm -rf "$ACCOUNT"
}

teardown_file()
{
	holm_end
}

# as_account COMMAND...: with ACCOUNT as the home.
as_account()
{
	# shellcheck disable=SC2016
	command timeout 60 unshare --user --map-root-user --mount sh -c 'mount --bind "$1" /root && shift && exec "$@"' sh "$ACCOUNT" "$@"
}

@test "ssh-config prints what it would write, and writes nothing" {
	run --separate-stderr as_account holm ssh-config
	equal 0 "$status"
	contains "$output" "Include \"$XDG_DATA_HOME/holm/ssh/config\""
	contains "$output" "Host *.holm"
	equal '' "$(ls -A "$ACCOUNT")"
	[ ! -e "$XDG_DATA_HOME/holm/ssh/config" ]
}

@test "ssh-config --install puts one line first, once; --remove gives the file back" {
	mkdir -m 755 "$ACCOUNT/.ssh"
	printf 'Host *\n\tProxyCommand none\n\n# no newline at the end' >"$ACCOUNT/.ssh/config"
	chmod 640 "$ACCOUNT/.ssh/config"
	cp "$ACCOUNT/.ssh/config" "$WORLD/before"
	as_account sh -c 'umask 077; holm ssh-config --install'
	as_account holm ssh-config --install
	equal "Include \"$XDG_DATA_HOME/holm/ssh/config\"" "$(head -n 1 "$ACCOUNT/.ssh/config")"
	tail -n +2 "$ACCOUNT/.ssh/config" | cmp - "$WORLD/before"
	equal 640 "$(stat -c %a "$ACCOUNT/.ssh/config")"
	contains "$(as_account ssh -G dev.holm)" "holm-ssh' '%n'"
	equal '' "$(as_account ssh -G dev.example | grep holm-ssh)"
	as_account holm ssh-config --remove
	cmp "$ACCOUNT/.ssh/config" "$WORLD/before"
	[ ! -e "$XDG_DATA_HOME/holm/ssh/config" ]
	as_account holm ssh-config --remove
}

@test "ssh-config --install makes ~/.ssh and the file; --remove leaves none" {
	as_account holm ssh-config --install
	equal "700 600" "$(stat -c %a "$ACCOUNT/.ssh" "$ACCOUNT/.ssh/config" | xargs)"
	as_account holm ssh-config --remove
	[ ! -e "$ACCOUNT/.ssh/config" ]
}

@test "ssh-config --install follows a link, and undoes what ssh does not take" {
	mkdir -m 700 "$ACCOUNT/.ssh"
	echo 'NoSuchWord yes' >"$ACCOUNT/dotfile"
	ln -s ../dotfile "$ACCOUNT/.ssh/config"
	fails 125 as_account holm ssh-config --install
	contains "$stderr" "nothing is changed: ssh does not take /root/.ssh/config"
	equal 'NoSuchWord yes' "$(cat "$ACCOUNT/dotfile")"
	echo 'Host a' >"$ACCOUNT/dotfile"
	as_account holm ssh-config --install
	[ -L "$ACCOUNT/.ssh/config" ]
	equal 2 "$(wc -l <"$ACCOUNT/dotfile")"
	rm "$ACCOUNT/dotfile"
	fails 125 as_account holm ssh-config --install
	contains "$stderr" "symbolic link"
	fails 125 as_account holm ssh-config --install --remove
}

@test "ssh-config --server sshd: for machines that are named, or all; the next --install forgets it" {
	mkdir -m 700 "$ACCOUNT/.ssh"
	as_account holm ssh-config --install --server sshd dev work.holm
	contains "$(as_account ssh -G dev.holm)" "holm-ssh' --server sshd '%n'"
	contains "$(as_account ssh -G work.holm)" "hostkeyalias holm-sshd"
	contains "$(as_account ssh -G work.holm)" "identityfile $XDG_DATA_HOME/holm/ssh/client_key"
	contains "$(as_account ssh -G other.holm)" "holm-ssh' '%n'"
	contains "$(as_account ssh -G other.holm)" $'hostkeyalias holm\n'
	as_account holm ssh-config --install --server=sshd
	contains "$(as_account ssh -G other.holm)" "holm-ssh' --server sshd '%n'"
	as_account holm ssh-config --install
	contains "$(as_account ssh -G dev.holm)" "holm-ssh' '%n'"
	as_account holm ssh-config --remove
	fails 125 as_account holm ssh-config --install dev
	contains "$stderr" '"dev": names go with --server sshd'
	fails 125 as_account holm ssh-config --server sshd 'De v'
	contains "$stderr" '"De v"'
	fails 125 as_account holm ssh-config --server dropbear
	contains "$stderr" "sshd"
}

@test "holm-ssh says how it is used" {
	local program
	program=$(dirname "$(readlink -f "$(type -P holm)")")/../libexec/holm/holm-ssh
	fails 125 "$program"
	contains "$stderr" ssh-config
}
