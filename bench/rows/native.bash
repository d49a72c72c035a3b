# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Native machines: sessions, starts, a systemd machine, memory. holm and podman as the ordinary user, systemd-nspawn as root.

# native_image NAME: in the user's library, with its trees.
native_image()
{
	local file
	file=$(archive "$1") || exit 1
	as_user holm image ls --format json | grep -q "library/$1:test\"" || as_user holm image load "$file" >/dev/null 2>"$work/try.err" </dev/null || {
		cat "$work/try.err" >&2
		exit 1
	}
}

# native_machine NAME IMAGE: stopped.
native_machine()
{
	native_image "$2"
	if ! as_user holm machine create "$2:test" --name "$1" --isolation native --no-boot >/dev/null 2>"$work/try.err" </dev/null; then
		cat "$work/try.err" >&2
		exit 1
	fi
}

holm_run=(holm machine run -n)

# --- sessions -------------------------------------------------------------------------------------------------------------------------

session_peers()
{
	local what=$1 why
	if why=$(peer crun); then
		crun_words
		as_user "${crun[@]}" run -d -b "$world/crun/init" machine >/dev/null 2>&1 </dev/null
		side "$what" crun "${user_words[@]}" every=2 "${crun[@]}" exec machine true
	else
		skipped "$what" "crun exec" "$why"
	fi
	if why=$(peer podman); then
		podman_machine session && as_user podman start session >/dev/null 2>&1 </dev/null
		side "$what" podman "${user_words[@]}" every=10 podman exec session true
	else
		skipped "$what" "podman exec" "$why"
	fi
	if why=$(peer distrobox); then
		side "$what" distrobox "${user_words[@]}" every=20 distrobox enter -T box -- true
	else
		skipped "$what" "distrobox enter" "$why"
	fi
	if why=$(peer nspawn); then
		nspawn_start busybox /sbin/init && side "$what" nsenter every=2 nsenter -t "$nspawn_init" -a /bin/true
		skipped "$what" "machinectl shell, systemd-run -M" "$(machined)"
	else
		skipped "$what" "nsenter to systemd-nspawn's init" "$why"
	fi
}

machined()
{
	[ -d /run/systemd/system ] && echo "the container is not registered with machined" || echo "systemd is not this host's init, so there is no machined"
}

bench_native_session()
{
	local what="native: run true on a running machine" p50 p99 plain nspawn_pid='' nspawn_init=''
	sides_begin
	native_machine session busybox
	# The same busybox, on the host.
	tar -xOf "$(busybox_layer)" ./bin/busybox >"$work/busybox" && chmod 755 "$work/busybox" || exit 1
	side "$what" holm "${user_words[@]}" "${holm_run[@]}" session true
	side "$what" plain "${user_words[@]}" "$work/busybox" true
	side "$what" version "${user_words[@]}" holm version
	session_peers "$what"
	measure_sides "${SESSIONS:-500}"
	p50=$(of holm p50) p99=$(of holm p99) plain=$(of plain p50)
	beside "$what" plain "fork+exec of the same busybox on the host" p50 "$(at_most "more than that by" $((p50 - plain)) 3000)"
	beside "$what" plain "fork+exec of the same busybox on the host" p99 "$(at_most "p99" "$p99" 10000)"
	beside "$what" version "holm version (a start of the program)" p50
	beside "$what" crun "crun exec" p50
	beside "$what" crun "crun exec" p99
	beside "$what" podman "podman exec" p50
	beside "$what" podman "podman exec" p99
	beside "$what" distrobox "distrobox enter" p50
	beside "$what" nsenter "nsenter to systemd-nspawn's init, root" p50
	beside "$what" nsenter "nsenter to systemd-nspawn's init, root" p99
	[ -z "$nspawn_pid" ] || nspawn_stop
	crun_end
	as_user podman rm -f -t 0 session >/dev/null 2>&1 </dev/null
	as_user holm machine rm --force session >/dev/null 2>&1
}

# --- starts ---------------------------------------------------------------------------------------------------------------------------

bench_native_start()
{
	local what="native: run true on a stopped machine" n peers='' why
	sides_begin
	native_machine start busybox
	try_once "$what" holm "${user_words[@]}" "${holm_run[@]}" start true
	as_user holm machine stop start >/dev/null 2>&1
	if why=$(peer crun); then peers+=' crun'; else skipped "$what" "crun run" "$why"; fi
	if why=$(peer podman) && podman_machine start; then peers+=' podman'; else skipped "$what" "podman start" "$why"; fi
	if why=$(peer nspawn); then peers+=' nspawn'; else skipped "$what" "systemd-nspawn /bin/true" "$why"; fi
	crun_words
	for n in $(seq $((rounds * 4))); do
		sample holm "${user_words[@]}" "${holm_run[@]}" start true
		as_user holm machine stop start >/dev/null 2>&1
		[[ $peers != *crun* ]] || sample crun "${user_words[@]}" "${crun[@]}" run -b "$world/crun/true" "true"
		[[ $peers != *nspawn* ]] || sample nspawn "${nspawn[@]}" -D "$work/nspawn/busybox" /bin/true
		[[ $peers = *podman* ]] || continue
		sample podman "${user_words[@]}" podman start start
		as_user podman stop -t 0 start >/dev/null 2>&1 </dev/null
		sample podman-run "${user_words[@]}" podman run --rm --pull never busybox:test true
	done
	beside "$what" crun "crun run true (no network, no init)" p50 "$(at_most "p50" "$(of holm p50)" 60000)"
	measured crun || row "$what" "$(ms "$(of holm p50)")" "" "" "" "$(at_most "p50" "$(of holm p50)" 60000)"
	beside "$what" nspawn "systemd-nspawn /bin/true, root" p50
	beside "$what" podman "podman start, busybox init" p50
	beside "$what" podman-run "podman run --rm true" p50
	beside "$what" podman "podman start, busybox init" p99
	[[ $peers != *podman* ]] || as_user podman rm -f -t 0 start >/dev/null 2>&1 </dev/null
	as_user holm machine rm --force start >/dev/null 2>&1
}

bench_native_systemd()
{
	local what="native: bookworm to running" n why='' ours
	sides_begin
	native_machine systemd bookworm
	try_once "$what" holm "${user_words[@]}" holm machine start --wait systemd
	[ "$(as_user holm machine run -n systemd systemctl is-system-running 2>/dev/null </dev/null)" = running ] ||
		{ echo "bench: systemd in the native machine is not running" >&2; exit 1; }
	as_user holm machine stop systemd >/dev/null 2>&1
	if why=$(peer nspawn); then
		nspawn_bookworm && chroot "$work/nspawn/bookworm" useradd --create-home bench || why="the tree could not be unpacked"
	fi
	for n in $(seq "$rounds"); do
		sample holm "${user_words[@]}" holm machine start --wait systemd
		as_user holm machine stop systemd >/dev/null 2>&1
		[ -n "$why" ] || sample nspawn ready "${nspawn[@]}" --notify-ready=yes -b -D "$work/nspawn/bookworm"
		if [ -z "$why" ]; then
			mkdir -p "$work/nspawn/bookworm/var/lib/systemd/linger"
			touch "$work/nspawn/bookworm/var/lib/systemd/linger/bench"
			sample lingering ready "${nspawn[@]}" --notify-ready=yes -b -D "$work/nspawn/bookworm"
			rm "$work/nspawn/bookworm/var/lib/systemd/linger/bench"
		fi
		sample session "${user_words[@]}" "${holm_run[@]}" systemd true
		as_user holm machine stop systemd >/dev/null 2>&1
	done
	ours=$(of holm p50)
	[ -z "$why" ] || skipped "$what" "systemd-nspawn --boot" "$why"
	beside "$what" nspawn "systemd-nspawn --boot until READY=1, root" p50 "$(measured nspawn && at_most "p50" "$ours" "$(of nspawn p50)")"
	beside "$what" lingering "the same with a lingering user, as in holm" p50 "$(measured lingering && at_most "p50" "$ours" "$(of lingering p50)")"
	row "native: bookworm, stopped to first session, p50" "$(ms "$(of session p50)")" "the same machine to running" "$(ms "$ours")" \
		"$(ratio "$(of session p50)" "$ours")"
	rm -rf "$work/nspawn/bookworm"
	as_user holm machine rm --force systemd >/dev/null 2>&1
}

nspawn_bookworm()
{
	local layer
	mkdir -p "$work/nspawn/bookworm"
	for layer in $(layers "$(archive bookworm)" "$work/layout"); do
		tar -C "$work/nspawn/bookworm" -xf "$layer" --exclude='./dev/*' --exclude='dev/*' || return 1
	done
	rm -rf "$work/layout"
	"$timer" -t 120 ::: ready "${nspawn[@]}" --notify-ready=yes -b -D "$work/nspawn/bookworm" >/dev/null 2>"$work/try.err"
}

# --- memory ---------------------------------------------------------------------------------------------------------------------------

# holm_processes NAME: everything that holm runs for a native machine. What is in three process namespaces is the machine's own.
holm_processes()
{
	local pid
	for pid in $(descendants "$(keeper "$1")"); do
		[ "$(depth "$pid")" -ge 3 ] || echo "$pid"
	done
}

# sum_pss: of the process ids on stdin.
sum_pss()
{
	local pid all=0 one
	while read -r pid; do
		one=$(pss "$pid")
		all=$((all + ${one:-0}))
	done
	echo $all
}

# by_name: PSS of the process ids on stdin as `name N, name N`.
by_name()
{
	local pid
	while read -r pid; do
		echo "$(cat "/proc/$pid/comm") $(pss "$pid")"
	done | awk '{ sum[$1] += $2 } END { for (n in sum) { printf "%s%s %d", between, n, sum[n]; between = ", " } }'
}

# podman_processes NAME: conmon and the network's process; the process that keeps the user namespace is shared by all containers.
podman_processes()
{
	local conmon
	conmon=$(as_user podman inspect --format '{{.State.ConmonPid}}' "$1" 2>/dev/null </dev/null) || return 1
	echo "$conmon"
	pgrep -u "$tester" -f "slirp4netns.*$XDG_RUNTIME_DIR/netns/" | tail -n 1
}

all_podman_processes()
{
	pgrep -u "$tester" -f "conmon.*$XDG_DATA_HOME"
	pgrep -u "$tester" -f "slirp4netns.*$XDG_RUNTIME_DIR"
	podman_pause
}

bench_native_memory()
{
	local what="native: memory of an idle machine (PSS)" all theirs why nspawn_pid='' nspawn_init=''
	if [ -z "$root_user" ]; then
		skipped "$what" "" "only root may look into all of its processes"
		return
	fi
	native_machine memory busybox
	as_user "${holm_run[@]}" memory true >/dev/null 2>&1 </dev/null || exit 1
	sleep 2
	all=$(holm_processes memory | sum_pss)
	row "$what" "$all KiB" "of these: $(holm_processes memory | by_name)" "" ""
	if why=$(peer podman) && podman_machine memory && as_user podman start memory >/dev/null 2>&1 </dev/null; then
		sleep 2
		theirs=$(podman_processes memory | sum_pss)
		row "$what" "$all KiB" "podman: $(podman_processes memory | by_name)" "$theirs KiB" "$(ratio "$all" "$theirs")"
		row "$what" "" "podman's pause process, one a user" "$(podman_pause | sum_pss) KiB" ""
		as_user podman rm -f -t 0 memory >/dev/null 2>&1 </dev/null
	else
		skipped "$what" "podman" "$why"
	fi
	if why=$(peer nspawn) && nspawn_start busybox /sbin/init; then
		sleep 2
		theirs=$(echo "$nspawn_pid" | sum_pss)
		row "$what" "$all KiB" "systemd-nspawn (no network, no API)" "$theirs KiB" "$(ratio "$all" "$theirs")"
		nspawn_stop
	else
		skipped "$what" "systemd-nspawn" "$why"
	fi
	as_user holm machine rm --force memory >/dev/null 2>&1
}

# --- fifty machines at once -----------------------------------------------------------------------------------------------------------

available()
{
	awk '/^MemAvailable:/ { print $2 }' /proc/meminfo
}

bench_native_fifty()
{
	local n many=${MACHINES:-50} why before taken='' total each p99 memory='' list
	native_image busybox
	for n in $(seq "$many"); do
		native_machine "m$n" busybox
	done
	before=$(available)
	read -r _ _ each p99 total < <("$timer" -n "$many" -t 120 -a ::: "${user_words[@]}" "${holm_run[@]}" 'm{}' true 2>"$work/try.err")
	[ -n "$total" ] || { cat "$work/try.err" >&2; exit 1; }
	sleep 2
	taken=$(((before - $(available)) / many))
	if [ -n "$root_user" ]; then
		memory=$(($(for n in $(seq "$many"); do holm_processes "m$n"; done | sum_pss) / many))
	fi
	list=$("$timer" -n 20 ::: "${user_words[@]}" holm machine ls | cut -d' ' -f3)
	for n in $(seq "$many"); do
		as_user holm machine rm --force "m$n" >/dev/null 2>&1 &
		[ $((n % 10)) != 0 ] || wait
	done
	wait
	fifty_podman "$many" || return
	fifty_row "$many machines at once: all have run true" "$total" total
	fifty_row "$many machines at once: one, p50" "$each" each
	fifty_row "$many machines at once: one, p99" "$p99" p99
	fifty_row "list of $many running machines, p50 of 20" "$list" list
	row "native: $many machines, holm's memory (PSS), each" "${memory:+$memory KiB}" "podman's" "$(fifty_of memory KiB)" \
		"$(ratio "${memory:-0}" "$(fifty_of memory)")"
	row "native: $many machines, memory taken from the host, each" "$taken KiB" "podman's" "$(fifty_of taken KiB)" \
		"$(ratio "$taken" "$(fifty_of taken)")"
}

fifty_of()
{
	local value
	value=$(cat "$work/fifty.$1" 2>/dev/null) || { [ -n "${2-}" ] || echo 0; return; }
	echo "$value${2:+ $2}"
}

# fifty_row WHAT US KEY
fifty_row()
{
	local theirs
	theirs=$(fifty_of "$3")
	if [ "$theirs" = 0 ]; then
		row "native: $1" "$(ms "$2")" "" "" ""
	else
		row "native: $1" "$(ms "$2")" "podman start, podman ps" "$(ms "$theirs")" "$(ratio "$2" "$theirs")"
	fi
}

# The same with podman, when it takes no more than two minutes.
fifty_podman()
{
	local n why before total each p99 many=$1
	rm -f "$work"/fifty.*
	why=$(peer podman) || { skipped "native: $many machines at once" "podman" "$why"; return 0; }
	for n in $(seq "$many"); do
		podman_machine "c$n" || { skipped "native: $many machines at once" "podman" "podman create failed"; return 0; }
	done
	before=$(available)
	read -r _ _ each p99 total < <("$timer" -n "$many" -t 120 -a ::: "${user_words[@]}" podman start 'c{}' 2>"$work/try.err")
	if [ -n "$total" ]; then
		sleep 2
		echo $(((before - $(available)) / many)) >"$work/fifty.taken"
		echo "$total" >"$work/fifty.total"
		echo "$each" >"$work/fifty.each"
		echo "$p99" >"$work/fifty.p99"
		"$timer" -n 20 ::: "${user_words[@]}" podman ps | cut -d' ' -f3 >"$work/fifty.list"
		[ -z "$root_user" ] || echo $(($(all_podman_processes | sum_pss) / many)) >"$work/fifty.memory"
	else
		skipped "native: $many machines at once" "podman start" "$(reason)"
	fi
	as_user podman rm -f -a -t 0 >/dev/null 2>&1 </dev/null
	return 0
}
