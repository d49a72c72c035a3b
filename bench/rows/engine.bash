# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Containers in a native machine: run, exec, ps, a published port, many at a time, memory. holm and
# podman as the ordinary user.

# engine_machine: "engine", running, with the image; a stock client finds it in DOCKER_HOST.
engine_machine()
{
	native_machine engine busybox
	export HOLM_MACHINE=engine DOCKER_HOST DOCKER_CONFIG=$world/docker
	as_user sh -c 'mkdir -p "$DOCKER_CONFIG" && echo "{}" >"$DOCKER_CONFIG/config.json"' # podman reads it, too
	# The client that the tests have fetched, where none is installed.
	if ! command -v docker >/dev/null && [ -x "$build/cache/docker/docker" ]; then
		mkdir -p "$work/bin" && install -m 755 "$build/cache/docker/docker" "$work/bin/docker" && PATH=$PATH:$work/bin
	fi
	DOCKER_HOST=$(as_user holm docker-host --machine engine --start 2>"$work/try.err") || { cat "$work/try.err" >&2; exit 1; }
	try_once "containers" holm "${user_words[@]}" "${holm_container[@]}" run --rm busybox:test "true"
}

engine_end()
{
	as_user podman rm -f -a -t 0 >/dev/null 2>&1 </dev/null
	as_user holm machine rm --force engine >/dev/null 2>&1
}

holm_container=(holm)
podman_run=(podman run --pull never)

# docker_side ROW WORD...: the stock client through holm, and what its own start costs.
docker_side()
{
	local what=$1
	shift
	if ! command -v docker >/dev/null; then
		skipped "$what" "the docker client" "there is no docker here (Debian package docker.io)"
		return
	fi
	side "$what" docker "${user_words[@]}" every=2 docker "$@"
	side "$what" client "${user_words[@]}" every=2 docker --version
}

# beside_docker ROW MORE_US
beside_docker()
{
	local all own
	measured docker || return 0
	all=$(of docker p50) own=$(of client p50)
	row "$1 by docker, p50 of $(of docker count)" "$(ms "$all")" "docker --version" "$(ms "$own")" "$(ratio "$all" "$own")" \
		"$(at_most "more than that by" $((all - own)) "$2")"
}

# --- run ------------------------------------------------------------------------------------------------------------------------------

bench_engine_run()
{
	local what="engine: run --rm true" why ours
	sides_begin
	engine_machine
	side "$what" holm "${user_words[@]}" "${holm_container[@]}" run --rm busybox:test "true"
	docker_side "$what" run --rm busybox:test "true"
	if why=$(peer crun_filter); then
		crun_words
		side "$what" crun "${user_words[@]}" "${crun[@]}" run -b "$world/crun/filter" filter
	else
		skipped "$what" "crun run" "$why"
	fi
	if why=$(peer podman); then
		side "$what" podman "${user_words[@]}" every=10 "${podman_run[@]}" --rm busybox:test "true"
	else
		skipped "$what" "podman run" "$why"
	fi
	measure_sides $((rounds * 20))
	ours=$(of holm p50)
	beside "$what" crun "crun run, filter as annotation, no network" p50 "$(measured crun && at_most "p50" "$ours" $((2 * $(of crun p50))))"
	beside "$what" podman "podman run --rm true" p50 "$(at_most "p50" "$ours" 25000)"
	beside_docker "$what" 40000
	engine_end
}

# --- exec -----------------------------------------------------------------------------------------------------------------------------

bench_engine_exec()
{
	local what="engine: exec true" why
	sides_begin
	engine_machine
	as_user holm run -d --name exec busybox:test sleep 10000 >/dev/null 2>"$work/try.err" </dev/null || { cat "$work/try.err" >&2; exit 1; }
	side "$what" holm "${user_words[@]}" "${holm_container[@]}" exec exec "true"
	docker_side "$what" exec exec "true"
	if why=$(peer crun); then
		crun_words
		as_user "${crun[@]}" run -d -b "$world/crun/init" machine >/dev/null 2>&1 </dev/null
		side "$what" crun "${user_words[@]}" every=2 "${crun[@]}" exec machine "true"
	else
		skipped "$what" "crun exec" "$why"
	fi
	if why=$(peer podman); then
		as_user "${podman_run[@]}" -d --name exec busybox:test sleep 10000 >/dev/null 2>&1 </dev/null
		side "$what" podman "${user_words[@]}" every=10 podman exec exec "true"
	else
		skipped "$what" "podman exec" "$why"
	fi
	measure_sides $((rounds * 20))
	beside "$what" crun "crun exec" p50 "$(at_most "p50" "$(of holm p50)" 10000)"
	beside "$what" podman "podman exec" p50
	beside_docker "$what" 10000
	crun_end
	engine_end
}

# --- ps -------------------------------------------------------------------------------------------------------------------------------

# many_containers PROGRAM COUNT [OPTION]...: that many which run, two at a time.
many_containers()
{
	local program=$1 count=$2
	shift 2
	seq "$count" | as_user xargs -P 2 -I{} "$program" run -d --pull never "$@" --name 'n{}' busybox:test sleep 10000 >/dev/null 2>"$work/try.err"
}

bench_engine_ps()
{
	local many=${CONTAINERS:-100} why
	local what="engine: ps of $many"
	sides_begin
	engine_machine
	many_containers holm "$many" || { cat "$work/try.err" >&2; exit 1; }
	side "$what" holm "${user_words[@]}" "${holm_container[@]}" ps
	if why=$(peer podman) && { many_containers podman "$many" --network none || { why=$(reason); false; }; }; then
		side "$what" podman "${user_words[@]}" every=5 podman ps
	else
		skipped "$what" "podman ps" "$why"
	fi
	measure_sides $((rounds * 10))
	beside "$what" podman "podman ps" p50
	row "$what, p50 of $(of holm count)" "$(ms "$(of holm p50)")" "" "" "" "$(at_most "p50" "$(of holm p50)" 10000)"
	engine_end
}

# --- a published port -----------------------------------------------------------------------------------------------------------------

# until_answer: a script (PROGRAM PORT) that starts a container with a published port, and ends when
# a line came from it.
until_answer()
{
	cat >"$world/until-answer" <<-'END'
		#!/bin/bash
		"$1" run -d --pull never --name port -p "127.0.0.1:$2:80" busybox:test nc -ll -p 80 -e echo here >/dev/null || exit 1
		until read -r -t 5 line 2>/dev/null <"/dev/tcp/127.0.0.1/$2" && [ "$line" = here ]; do :; done
	END
	chmod 755 "$world/until-answer"
}

free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

bench_engine_port()
{
	local what="engine: run -d -p until the port answers" why program peers=holm port
	sides_begin
	engine_machine
	until_answer
	if why=$(peer podman); then peers+=' podman'; else skipped "$what" "podman run -d -p" "$why"; fi
	for _ in $(seq $((rounds * 2))); do
		for program in $peers; do
			port=$(free_port)
			sample "$program" "${user_words[@]}" "$world/until-answer" "$program" "$port"
			as_user "$program" rm -f port >/dev/null 2>&1 </dev/null
		done
	done
	beside "$what" podman "podman, rootlessport" p50
	row "$what, p50 of $(of holm count)" "$(ms "$(of holm p50)")" "" "" "" "$(at_most "p50" "$(of holm p50)" 60000)"
	engine_end
}

# --- many at a time -------------------------------------------------------------------------------------------------------------------

# churn COUNT COMMAND...: that many times, 8 at a time; {} is a number. Prints how many a second.
churn()
{
	local count=$1 us
	shift
	us=$(microseconds as_user sh -c 'n=$1; shift; seq "$n" | xargs -P 8 -I{} "$@"' sh "$count" "$@") || return 1
	awk -v n="$count" -v us="$us" 'BEGIN { printf "%.0f\n", n * 1000000 / us }'
}

bench_engine_churn()
{
	local what="engine: run --rm true, 200 times, 8 at once" why ours theirs
	sides_begin
	engine_machine
	ours=$(churn 200 holm run --rm busybox:test "true") || exit 1
	if why=$(peer crun_filter); then
		crun_words
		theirs=$(churn 200 "${crun[@]}" run -b "$world/crun/filter" 'filter{}') &&
			row "$what" "$ours/s" "crun run alone" "$theirs/s" "$(ratio "$ours" "$theirs")"
	else
		skipped "$what" "crun run" "$why"
	fi
	if why=$(peer podman); then
		theirs=$(churn 24 "${podman_run[@]}" --rm busybox:test "true") && row "$what" "$ours/s" "podman, 24 times" "$theirs/s" "$(ratio "$ours" "$theirs")"
	else
		skipped "$what" "podman" "$why"
	fi
	row "$what" "$ours/s" "" "" "" "at least 80/s: $([ "$ours" -ge 80 ] && echo met || echo MISSED)"
	engine_end
}

# --- memory ---------------------------------------------------------------------------------------------------------------------------

# engine_pss: of all that holm runs for the machine, without what runs in containers.
engine_pss()
{
	local pid
	for pid in $(descendants "$(keeper engine)"); do
		case "$(cat "/proc/$pid/comm" 2>/dev/null)" in holm-* | pasta* | passt*) echo "$pid" ;; esac
	done | sum_pss
}

podman_pss()
{
	{ all_podman_processes; pgrep -u "$tester" -f "rootlessport"; } | sort -u | sum_pss
}

# further PROGRAM PSS_FUNCTION: KiB that each of ten further containers with a port takes.
further()
{
	local program=$1 measure=$2 before n
	for n in $(seq 11); do
		as_user "$program" run -d --pull never -p "127.0.0.1:$(free_port):80" busybox:test sleep 10000 >/dev/null 2>"$work/try.err" </dev/null || return 1
		[ "$n" != 1 ] || { sleep 2; before=$($measure); }
	done
	sleep 2
	echo $((($($measure) - before) / 10))
}

bench_engine_memory()
{
	local what="engine: memory of a further idle container (PSS)" why ours theirs
	if [ -z "$root_user" ]; then
		skipped "$what" "" "only root may look into all of its processes"
		return
	fi
	sides_begin
	engine_machine
	ours=$(further holm engine_pss) || { cat "$work/try.err" >&2; exit 1; }
	if why=$(peer podman); then
		theirs=$(further podman podman_pss) && row "$what" "$ours KiB" "podman, with a port" "$theirs KiB" "$(ratio "$ours" "$theirs")"
	else
		skipped "$what" "podman" "$why"
	fi
	row "$what" "$ours KiB" "" "" "" "at most 1024 KiB: $([ "$ours" -le 1024 ] && echo met || echo MISSED)"
	engine_end
}
