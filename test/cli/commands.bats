#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The command line without any machine: help, version, usage errors, completion, manual pages, what it links.
load ../lib/holm

setup_file()
{
	holm_begin empty
}

teardown_file()
{
	holm_end
}

@test "holm alone and --help print help on stdout; a wrong word points to it" {
	run --separate-stderr holm --help
	equal 0 "$status"
	contains "$output" machine
	contains "$output" image
	equal '' "$stderr"
	fails 125 holm frobnicate
	contains "$stderr" frobnicate
	contains "$stderr" --help
	fails 125 holm machine frobnicate
	fails 125 holm --no-such-option
}

@test "every command of machine and image has help with its options" {
	local verb
	for verb in create init start run ssh ls inspect set set-default mount stop rm logs cp rename clone export import; do
		run --separate-stderr holm machine "$verb" --help
		equal 0 "$status"
		contains "$output" "holm machine $verb"
	done
	for verb in pull push login logout load save import ls inspect history diff rm prune tag debootstrap; do
		run --separate-stderr holm image "$verb" --help
		equal 0 "$status"
		contains "$output" "holm image $verb"
	done
}

@test "the aliases are there" {
	equal "$(holm machine ls)" "$(holm m list)"
	holm machine delete --help >/dev/null
}

@test "version and system info" {
	contains "$(holm version)" 0.
	contains "$(holm version --format '{{.Server.Version}} {{.Client.ApiVersion}}')" ' 1.51'
	equal "$(holm version --format '{{.Server.Version}}')" "$(holm info --format '{{.ServerVersion}}')"
	contains "$(holm --version)" 0.
	equal "$(holm --version)" "$(holm -v)"
	fails 125 env PATH="$(dirname "$(type -P holm)")" HOME=/nowhere holm compose -f x up
	contains "$stderr" 'docker-compose is not installed'
	fails 125 holm -H unix:///x ps
	contains "$stderr" 'no option -H; --machine or HOLM_MACHINE'
	fails 125 holm --log-level=error ps
	contains "$stderr" 'no option --log-level; HOLM_DEBUG=1'
	fails 125 holm swarm init
	contains "$stderr" 'no swarms'
	run --separate-stderr holm system info
	equal 0 "$status"
	contains "$output" kvm || contains "$output" KVM
}

@test "a start of holm is quick because it links little" {
	requires readelf
	local program
	program=$(readlink -f "$(type -P holm)")
	equal "libc.so.6
libjson-c.so.5" "$(readelf -d "$program" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v ld-linux | sort)"
}

@test "completion for bash, zsh and fish is installed and knows the verbs" {
	local prefix shell found
	prefix=$(dirname "$(dirname "$(readlink -f "$(type -P holm)")")")
	for shell in bash zsh fish; do
		found=$(grep -rl -e 'set-default' "$prefix/share" 2>/dev/null | grep -c -i -e "$shell")
		[ "$found" -ge 1 ] || { echo "no completion for $shell" >&2; return 1; }
	done
	bash -n "$prefix"/share/bash-completion/completions/holm
}

@test "bash completes verbs and options" {
	local prefix
	prefix=$(dirname "$(dirname "$(readlink -f "$(type -P holm)")")")
	run bash -c '
		. "$1"
		COMP_WORDS=(holm machine set-d) COMP_CWORD=2 COMP_LINE="holm machine set-d" COMP_POINT=18
		$(complete -p holm | sed "s/.*-F \([^ ]*\).*/\1/") holm set-d machine
		printf "%s\n" "${COMPREPLY[@]}"' sh "$prefix/share/bash-completion/completions/holm"
	contains "$output" set-default
}

@test "holm completion prints the scripts that are installed, and the words that these ask for" {
	local prefix
	prefix=$(dirname "$(dirname "$(readlink -f "$(type -P holm)")")")
	cmp <(holm completion bash) "$prefix/share/bash-completion/completions/holm"
	cmp <(holm completion zsh) "$prefix/share/zsh/site-functions/_holm"
	cmp <(holm completion fish) "$prefix/share/fish/vendor_completions.d/holm.fish"
	fails 125 holm completion csh
	fails 125 holm completion
	equal $'autostart=off\nautostart=on' "$(holm completion words key autostart=)"
	equal 'home-mount= home-private= host-access=' "$(holm completion words key ho | tr '\n' ' ' | sed 's/ $//')"
	contains "$(holm completion words key)" env.
	equal '' "$(holm completion words nothing; holm completion words key x=; holm completion words machine -- -x)"
	# bash has the word after = or : alone.
	# shellcheck disable=SC2016
	run bash -c '. <(holm completion bash); COMP_LINE="holm m set -n x home-mount=r" COMP_POINT=28; _holm; echo "${COMPREPLY[*]}"'
	equal 'rw ro' "$output"
}

@test "units for systemd's user manager are installed, name the program, and are sound" {
	local prefix unit
	prefix=$(dirname "$(dirname "$(readlink -f "$(type -P holm)")")")
	mkdir "$BATS_TEST_TMPDIR/units"
	for unit in autostart.service docker.service docker.socket; do
		sed "s,^\(Exec[A-Za-z]*=-\?\)[^ ]*/bin/holm ,\1$prefix/bin/holm ," "$prefix/share/systemd/user/holm-$unit" >"$BATS_TEST_TMPDIR/units/holm-$unit"
	done
	equal 3 "$(grep -h ^Exec "$BATS_TEST_TMPDIR"/units/* | grep -c "$prefix/bin/holm ")"
	run ! grep -r @ "$BATS_TEST_TMPDIR/units"
	requires systemd-analyze
	run env XDG_RUNTIME_DIR="$BATS_TEST_TMPDIR" systemd-analyze --user --man=no verify "$BATS_TEST_TMPDIR"/units/*
	equal '0 ' "$status $output"
}

@test "manual pages are installed for what exists" {
	local prefix page
	prefix=$(dirname "$(dirname "$(readlink -f "$(type -P holm)")")")
	for page in holm.1 holm-machine.1 holm-container.1 holm-image.1 holm-security.7; do
		[ -e "$prefix/share/man/man${page##*.}/$page" ] || [ -e "$prefix/share/man/man${page##*.}/$page.gz" ] || { echo "no $page" >&2; return 1; }
	done
}

@test "output that cannot be written is an error" {
	requires vm
	[ -e /dev/full ] || skip "no /dev/full"
	run bash -c 'holm --help >/dev/full'
	[ "$status" != 0 ]
}
