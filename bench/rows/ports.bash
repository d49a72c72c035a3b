# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Published ports: bench/port-load.c serves inside and asks from the host, through holm's ports,
# through the least that forwarding can cost (bench/splice-proxy.c, on the host's loopback alone),
# and through podman's rootlessport.

ports_ms=1500 # of each measurement

ports_free()
{
	local port
	while true; do
		port=$((20000 + RANDOM % 12000))
		ss -Hltn "sport = :$port" | grep -q . || break
	done
	echo "$port"
}

# ports_background COMMAND...: as the user, until the bench ends.
ports_background()
{
	as_user "$@" >"$work/ports.log" 2>&1 </dev/null &
	echo $! >>"$work/pids"
	ports_pids+=($!)
}

ports_answers()
{
	as_user "$HOME/port-load" connections 127.0.0.1 "$1" 1 1
}

# ports_side NAME PORT: takes part once its service answers.
ports_side()
{
	wait_for 30 ports_answers "$2" || return 1
	ports_sides+=("$1:$2")
}

ports_machine()
{
	local machine container
	machine=$(ports_free)
	container=$(ports_free)
	native_machine ports busybox
	as_user holm machine port add -n ports "$machine:7000" >/dev/null || exit 1
	as_user holm machine run -n ports -d -- "$HOME/port-load" serve 7000 >"$work/try.err" 2>&1 </dev/null || { cat "$work/try.err" >&2; exit 1; }
	ports_side machine "$machine" || exit 1
	as_user holm run --machine ports -d -p "127.0.0.1:$container:7000" -v "$HOME/port-load:/port-load" --name ports busybox:test /port-load serve 7000 \
		>"$work/try.err" 2>&1 </dev/null || { cat "$work/try.err" >&2; exit 1; }
	ports_side container "$container" || exit 1
}

ports_proxy()
{
	local server proxy
	server=$(ports_free)
	ports_background "$HOME/port-load" serve "$server"
	proxy=$(ports_free)
	ports_background "$HOME/splice-proxy" "$proxy" "$server"
	ports_side proxy "$proxy" || exit 1
}

ports_podman()
{
	local port
	port=$(ports_free)
	as_user podman run -d -q --pull never --name ports -p "127.0.0.1:$port:7000" -v "$HOME/port-load:/port-load" busybox:test /port-load serve 7000 \
		>"$work/try.err" 2>&1 </dev/null && ports_side podman "$port"
}

# ports_measure: every side in turn, in each round; the samples are whole numbers.
ports_measure()
{
	local side name port
	for _ in $(seq "$rounds"); do
		for side in "${ports_sides[@]}"; do
			name=${side%:*} port=${side#*:}
			as_user "$HOME/port-load" up 127.0.0.1 "$port" $ports_ms >>"$work/samples/$name.up"
			as_user "$HOME/port-load" down 127.0.0.1 "$port" $ports_ms >>"$work/samples/$name.down"
			as_user "$HOME/port-load" connections 127.0.0.1 "$port" $ports_ms 16 >>"$work/samples/$name.connections"
			as_user "$HOME/port-load" latency 127.0.0.1 "$port" 5000 >"$work/latency" || exit 1
			cut -d' ' -f1 "$work/latency" >>"$work/samples/$name.p50"
			cut -d' ' -f2 "$work/latency" >>"$work/samples/$name.p99"
		done
	done
}

# ports_row SIDE TEXT KEY UNIT PEER PEER-TEXT [AIM]
# Latencies are better when small, all others when big.
ports_row()
{
	local ours theirs r
	[ -s "$work/samples/$5.$3" ] || return 0
	ours=$(percentile 50 <"$work/samples/$1.$3")
	theirs=$(percentile 50 <"$work/samples/$5.$3")
	r=$(ratio "$ours" "$theirs")
	row "$2" "$ours $4" "$6" "$theirs $4" "$r" "${7:+$(at_least "$7" "$r")}"
}

bench_ports()
{
	local side why ports_sides=() ports_pids=()
	sides_begin
	cc -O2 -static -std=gnu17 -D_GNU_SOURCE -o "$work/port-load" "$root/bench/port-load.c" || exit 1
	cc -O2 -std=gnu17 -D_GNU_SOURCE -o "$work/splice-proxy" "$root/bench/splice-proxy.c" || exit 1
	as_user cp "$work/port-load" "$work/splice-proxy" "$HOME/" || exit 1
	ports_machine
	ports_proxy
	if why=$(peer podman); then
		ports_podman || skipped "ports" "podman" "$(reason)"
	else
		skipped "ports" "podman" "$why"
	fi
	ports_measure
	for side in machine container; do
		ports_row $side "port of a $side: to it" up MiB/s proxy "a splice proxy" 0.9
		ports_row $side "port of a $side: to it" up MiB/s podman "podman's rootlessport"
		ports_row $side "port of a $side: from it" down MiB/s proxy "a splice proxy" 0.9
		ports_row $side "port of a $side: from it" down MiB/s podman "podman's rootlessport"
		ports_row $side "port of a $side: new connections a second" connections /s proxy "a splice proxy" 0.9
		ports_row $side "port of a $side: new connections a second" connections /s podman "podman's rootlessport" 4
		ports_row $side "port of a $side: a byte there and back, p50" p50 us proxy "a splice proxy"
		ports_row $side "port of a $side: a byte there and back, p50" p50 us podman "podman's rootlessport"
		ports_row $side "port of a $side: a byte there and back, p99" p99 us proxy "a splice proxy"
		ports_row $side "port of a $side: a byte there and back, p99" p99 us podman "podman's rootlessport"
	done
	kill "${ports_pids[@]}" 2>/dev/null
	as_user podman rm -f -t 0 ports >/dev/null 2>&1 </dev/null
	as_user holm machine rm --force ports >/dev/null 2>&1
}
