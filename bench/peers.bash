# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What holm's native machines are measured beside: podman (rootless), crun alone, distrobox, systemd-nspawn (as root), and a registry to pull from.
#
# peer NAME: makes it ready, once; where that is not possible it says why on stdout and fails, and rows print that as skipped. Everything lives in
# $world and $work and ends with peers_end.

# peer NAME: podman, crun, crun_filter, distrobox, nspawn or registry.
peer()
{
	local tried=$work/peer.$1
	if [ ! -e "$tried" ]; then
		: >"$tried"
		if "peer_$1" >"$tried.why" 2>"$tried.log"; then
			: >"$tried.why"
		elif [ ! -s "$tried.why" ]; then
			{ tail -n 1 "$tried.log" | grep . || echo "it does not work here"; } >"$tried.why"
		fi
	fi
	[ -s "$tried.why" ] || return 0
	head -n 1 "$tried.why" | cut -c1-200
	return 1
}

# installed PROGRAM PACKAGE
installed()
{
	command -v "$1" >/dev/null || { echo "there is no $1 here (Debian package $2)"; return 1; }
}

# wait_for SECONDS COMMAND...: tries again until it succeeds.
wait_for()
{
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# --- podman ---------------------------------------------------------------------------------------------------------------------------

# Its overlay driver is the kernel's own; left alone, 4.3 takes `vfs` (a copy of the image for each container) in a fresh home.
peer_podman()
{
	installed podman podman || return 1
	as_user mkdir -p "$XDG_CONFIG_HOME/containers" || return 1
	printf '[storage]\ndriver = "overlay"\n' >"$XDG_CONFIG_HOME/containers/storage.conf"
	as_user podman load -q -i "$(archive busybox)" >&2 </dev/null || return 1
	as_user podman run --rm --pull never busybox:test true >&2 </dev/null
}

# podman_machine NAME: a container that runs busybox init, as a machine does; created, not started.
podman_machine()
{
	as_user podman create -q --pull never --name "$1" busybox:test /sbin/init >/dev/null 2>&1 </dev/null
}

podman_end()
{
	[ -e "$work/peer.podman" ] || return 0
	local pid conmons
	# shellcheck disable=SC2046 # one word an id
	conmons=$(as_user podman container inspect --format '{{.State.ConmonPid}}' $(as_user podman ps -a -q 2>/dev/null </dev/null) 2>/dev/null </dev/null)
	as_user podman rm -f -a -t 0 >/dev/null 2>&1 </dev/null
	# That of a container without process namespace (distrobox) waits for what its first process has left behind.
	for pid in $conmons; do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != conmon ] || as_user kill -KILL "$pid"
	done
	podman_pause_end
	as_user podman unshare rm -rf "$XDG_DATA_HOME/containers" >/dev/null 2>&1 </dev/null
	podman_pause_end
}

# The process that keeps podman's user namespace.
podman_pause()
{
	grep . "$XDG_RUNTIME_DIR/libpod/tmp/pause.pid" 2>/dev/null
}

podman_pause_end()
{
	local pid
	pid=$(podman_pause) || return 0
	as_user kill "$pid" 2>/dev/null
	rm -f "$XDG_RUNTIME_DIR/libpod/tmp/pause.pid"
}

# --- crun -----------------------------------------------------------------------------------------------------------------------------

crun=()

# A bundle each for a container that runs `true` and for one with an init; crun's own rootless specification, with a tree of the user's.
peer_crun()
{
	installed crun crun || return 1
	as_user mkdir -p "$world/crun/true" "$world/crun/init" "$world/crun/tree" || return 1
	tar -C "$world/crun/tree" -xf "$(busybox_layer)" --no-same-owner || return 1
	[ -z "$root_user" ] || chown -R "$tester:" "$world/crun/tree" || return 1
	local name
	for name in "true" init; do
		(cd "$world/crun/$name" && rm -f config.json && as_user crun spec --rootless && jq --arg tree "$world/crun/tree" --arg program "$name" '
			.process.terminal = false | .process.args = [if $program == "init" then "/sbin/init" else $program end] | .root = {path: $tree, readonly: false}' \
			config.json >config.new && cat config.new >config.json) || return 1
	done
	crun_words
	as_user "${crun[@]}" run -b "$world/crun/true" try >&2 </dev/null
}

# The bundle for `true` with the filter of holm's containers, as the annotation that spares crun the
# compilation.
peer_crun_filter()
{
	local filter=$build/src/agent/confine/filter.h
	peer crun || return 1
	[ -e "$filter" ] || { echo "the build has no $filter"; return 1; }
	as_user mkdir -p "$world/crun/filter" || return 1
	sed -n '/container_base64/,/;/s/.*"\(.*\)".*/\1/p' "$filter" | tr -d '\n' >"$work/filter" || return 1
	jq --rawfile filter "$work/filter" '.annotations["run.oci.seccomp_bpf_data"] = $filter' "$world/crun/true/config.json" >"$world/crun/filter/config.json" || return 1
	crun_words
	as_user "${crun[@]}" run -b "$world/crun/filter" filter >&2 </dev/null
}

crun_words()
{
	crun=(crun --root "$world/crun/state")
}

crun_end()
{
	[ -e "$work/peer.crun" ] || return 0
	crun_words
	as_user "${crun[@]}" delete -f machine >/dev/null 2>&1
}

# busybox_layer: the one layer of the busybox image, a file.
busybox_layer()
{
	[ -e "$work/busybox-layout" ] || layers "$(archive busybox)" "$work/busybox-layout" >"$work/busybox-layers" || return 1
	head -n 1 "$work/busybox-layers"
}

# --- distrobox ------------------------------------------------------------------------------------------------------------------------

# An image in which its set-up finds all that it wants, so that it fetches no packages: what `enter` costs is not in the image.
rootfs_distrobox()
{
	local name
	rootfs_busybox
	for name in sudo useradd usermod groupadd pinentry curl lsof passwd chpasswd; do
		rm -f {,usr/}{bin,sbin}/"$name"
		printf '#!/bin/sh\nexit 0\n' >"bin/$name"
		chmod 755 "bin/$name"
	done
	printf '#!/bin/sh\nexit 1\n' >bin/findmnt
	chmod 755 bin/findmnt
}

peer_distrobox()
{
	installed distrobox distrobox || return 1
	peer podman || return 1
	as_user podman load -q -i "$(archive distrobox)" >&2 </dev/null || return 1
	as_user distrobox create --yes --image docker.io/library/distrobox:test --name box >&2 </dev/null || return 1
	as_user timeout 90 distrobox enter -T box -- true >&2 </dev/null
}

# --- systemd-nspawn -------------------------------------------------------------------------------------------------------------------

nspawn=(systemd-nspawn --quiet --register=no --keep-unit --private-network)

# Without systemd as the host's init there is nobody to register with. Its folder below /run has to be on a tmpfs.
peer_nspawn()
{
	installed systemd-nspawn systemd-container || return 1
	[ -n "$root_user" ] || { echo "only as root"; return 1; }
	mkdir -p /run/systemd/nspawn "$work/nspawn/busybox" && mount -t tmpfs tmpfs /run/systemd/nspawn || return 1
	tar -C "$work/nspawn/busybox" -xf "$(busybox_layer)" || return 1
	"${nspawn[@]}" -D "$work/nspawn/busybox" /bin/true >&2 </dev/null
}

# nspawn_start NAME COMMAND...: in the background; sets nspawn_pid (systemd-nspawn) and nspawn_init (the container's first process, as seen from
# outside).
nspawn_start()
{
	local name=$1
	shift
	"${nspawn[@]}" -D "$work/nspawn/$name" "$@" </dev/null >"$work/nspawn.log" 2>&1 &
	nspawn_pid=$!
	echo $nspawn_pid >>"$work/pids"
	wait_for 20 nspawn_runs
}

nspawn_runs()
{
	nspawn_init=$(for pid in $(pgrep -P "$nspawn_pid"); do
		grep -q '^NSpid:.*[[:space:]]1$' "/proc/$pid/status" && nsenter -t "$pid" -a /bin/true && echo "$pid"
	done | head -n 1)
	[ -n "$nspawn_init" ]
}

# A second SIGTERM ends it at once.
nspawn_stop()
{
	kill "$nspawn_pid" 2>/dev/null
	kill -KILL "$nspawn_init" 2>/dev/null
	wait "$nspawn_pid" 2>/dev/null
}

# --- a registry -----------------------------------------------------------------------------------------------------------------------

# Debian's docker-registry on loopback; its address is in $work/registry.address.
peer_registry()
{
	local port dir=$world/registry
	installed docker-registry docker-registry || return 1
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	as_user mkdir -p "$dir/data"
	printf 'version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: "%s"\nhttp:\n  addr: 127.0.0.1:%s\n' \
		"$dir/data" "$port" >"$dir/config.yml"
	OTEL_TRACES_EXPORTER=none "${become[@]}" docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 </dev/null &
	echo $! >>"$work/pids"
	echo "localhost:$port" >"$work/registry.address"
	wait_for 10 curl -s -o /dev/null "http://localhost:$port/v2/"
}

# --- the end --------------------------------------------------------------------------------------------------------------------------

peers_end()
{
	local pid
	crun_end
	podman_end
	[ -e "$work/pids" ] || return 0
	while read -r pid; do
		kill "$pid" 2>/dev/null
	done <"$work/pids"
}
