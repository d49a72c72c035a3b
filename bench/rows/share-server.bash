# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The server of a shared directory alone: bench/fs-requests.c asks holm-fsd and virtiofsd for the same, in turn, at the speed of the host.

server_files=3000 server_mib=256

# server_run SIDE: on a fresh file system.
server_run()
{
	local options=() words=()
	share_place "$1" 2G || return 1
	case "$1" in
	holm) words=("$(dirname "$(command -v holm)")/../libexec/holm/holm-fsd" --fd '{}' --root "$work/share/holm" --inside-uid "$(id -u)" --inside-gid "$(id -g)") ;;
	virtiofsd)
		options=(-l)
		words=("${virtiofsd_words[@]}" '--fd={}')
		;;
	esac
	"$work/share/fs-requests" -n $server_files -m $server_mib "${options[@]}" "${words[@]}" 2>"$work/share/server.log" || { cat "$work/share/server.log" >&2; return 1; }
}

# The descriptor takes the place of the socket's path.
server_virtiofsd()
{
	find_virtiofsd || return 1
	local word after="" kept=()
	for word in "${virtiofsd_words[@]}"; do
		[[ $after = --socket-path || $word = --socket-path* ]] || kept+=("$word")
		after=$word
	done
	virtiofsd_words=("${kept[@]}")
}

bench_share_server()
{
	local side name ours theirs times sides=(holm)
	mkdir -p "$work/share"
	rm -f "$work"/share.*
	cc -O2 -std=gnu17 -D_GNU_SOURCE -o "$work/share/fs-requests" "$root/bench/fs-requests.c" || exit 1
	if server_virtiofsd; then
		sides+=(virtiofsd)
	else
		skipped "share-server" "virtiofsd" "there is none, or only one that wants root"
	fi
	for _ in $(seq "$rounds"); do
		for side in "${sides[@]}"; do
			server_run "$side" >>"$work/share.$side" || exit 1
		done
	done
	for name in create open-read stat list rename unlink write read-128k read-1m; do
		ours=$(share_rate holm "$name")
		theirs=$(share_rate virtiofsd "$name")
		times=$(ratio "$ours" "${theirs:-0}")
		row "share's server alone: $name" "$(share_figure "$name" "$ours")" "${theirs:+virtiofsd alone}" "${theirs:+$(share_figure "$name" "$theirs")}" "$times" \
			"${theirs:+$(server_aim "$name" "$times")}"
	done
	share_end
}

server_aim()
{
	local least=2
	case "$1" in
	write | read-*) least=1 ;;
	esac
	at_least "$least" "$2"
}
