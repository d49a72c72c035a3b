# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The engine again, in a machine with three networks and many containers on them; and
# docker-compose, up and down. Uses bench/rows/engine.bash.

# on_networks PROGRAM: three networks, and CONTAINERS on one of them each, two at a time.
on_networks()
{
	local program=$1 net
	for net in 0 1 2; do
		as_user "$program" network create "net$net" >/dev/null 2>"$work/try.err" </dev/null || return 1
	done
	# shellcheck disable=SC2016
	seq "${CONTAINERS:-100}" | as_user xargs -P 2 -I{} sh -c \
		'exec "$1" run -d --pull never --network "net$(($2 % 3))" --name "n$2" busybox:test sleep 10000' sh "$program" '{}' >/dev/null 2>"$work/try.err"
}

# timed_on_networks WHAT ROUNDS EVERY WORD...: a row of holm beside podman for the same words.
timed_on_networks()
{
	local what=$1 count=$2 every=$3
	shift 3
	sides_begin
	side "$what" holm "${user_words[@]}" holm "$@"
	[ -z "$with_podman" ] || side "$what" podman "${user_words[@]}" "every=$every" podman "$@"
	measure_sides "$count"
	beside "$what" podman "podman" p50
	measured podman || row "$what, p50 of $(of holm count)" "$(ms "$(of holm p50)")" "" "" ""
}

bench_engine_networks()
{
	local where="3 networks, ${CONTAINERS:-100} containers" why with_podman=''
	engine_machine
	on_networks holm || { cat "$work/try.err" >&2; exit 1; }
	if why=$(peer podman) && { on_networks podman || { why=$(reason); false; }; }; then
		with_podman=yes
	else
		skipped "$where" "podman" "$why"
	fi
	timed_on_networks "$where: run --rm --network true" $((rounds * 10)) 10 run --rm --pull never --network net1 busybox:test "true"
	timed_on_networks "$where: exec true" $((rounds * 10)) 10 exec n1 "true"
	timed_on_networks "$where: ps" $((rounds * 10)) 10 ps
	timed_on_networks "$where: a name of another container" $((rounds * 10)) 10 exec n1 nslookup -type=a n4
	as_user podman network rm -f net0 net1 net2 >/dev/null 2>&1 </dev/null
	engine_end
}

# --- compose --------------------------------------------------------------------------------------------------------------------------

compose_project()
{
	as_user mkdir -p "$world/compose"
	as_user tee "$world/compose/docker-compose.yml" >/dev/null <<-'END'
		version: "2.4"
		services:
		  db: { image: "busybox:test", command: sleep 10000, networks: [back], volumes: ["data:/data"], stop_grace_period: 0s }
		  web: { image: "busybox:test", command: sleep 10000, networks: [back, front], depends_on: [db], stop_grace_period: 0s }
		  proxy: { image: "busybox:test", command: sleep 10000, networks: [front], depends_on: [web], stop_grace_period: 0s }
		networks: { back: {}, front: {} }
		volumes: { data: {} }
	END
}

# podman_service: podman's docker.sock; prints where, or why there is none.
podman_service()
{
	local socket=$world/podman.sock
	as_user podman system service --time=0 "unix://$socket" >/dev/null 2>"$work/try.err" </dev/null &
	echo "$!" >"$work/podman-service"
	wait_for 20 test -S "$socket" || { reason; return 1; }
	echo "unix://$socket"
}

bench_engine_compose()
{
	local what="compose: up and down of 3 services" why socket peers=holm peer
	if ! command -v docker-compose >/dev/null; then
		skipped "$what" "" "there is no docker-compose here"
		return
	fi
	sides_begin
	engine_machine
	compose_project
	if why=$(peer podman) && why=$(podman_service); then
		peers+=' podman' socket=$why
	else
		skipped "$what" "docker-compose on podman" "$why"
	fi
	for _ in $(seq "$rounds"); do
		for peer in $peers; do
			sample "$peer" "${user_words[@]}" env "DOCKER_HOST=$([ "$peer" = holm ] && echo "$DOCKER_HOST" || echo "$socket")" \
				sh -c 'cd "$1" && docker-compose --no-ansi up -d && docker-compose --no-ansi down -v -t 0' sh "$world/compose"
		done
	done
	beside "$what" podman "docker-compose on podman" p50
	measured podman || row "$what, p50 of $(of holm count)" "$(ms "$(of holm p50)")" "" "" ""
	[ ! -e "$work/podman-service" ] || kill "$(cat "$work/podman-service")" 2>/dev/null
	engine_end
}
