#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# isolation: native
# Any part of the engine's machine is killed at any moment, HOLM_TEST_KILLS times, while containers
# are made, run, committed, built and removed: the state afterwards is right, and nothing is left.
# SEED of an earlier run chooses the same parts.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
	requires python3
	holm machine set-default box
}

teardown_file()
{
	holm_end
}

# work NAME: containers come and go at the time of a kill, so each command may fail.
work()
{
	case $((RANDOM % 6)) in
	0) docker run -d --rm busybox:test sleep "0.$((RANDOM % 3))" ;;
	1) docker run --rm busybox:test sh -c 'seq 1000; exit 3' ;;
	2) docker run -d --name "life$1" -p 127.0.0.1:0:80 -v kept:/v busybox:test sleep 100 && docker exec "life$1" true && docker logs "life$1" && docker stop -t 0 "life$1" && docker rm "life$1" ;;
	3) docker create --name "made$1" busybox:test true && docker start -a "made$1" && docker rm "made$1" ;;
	4) docker commit kept "committed:$1" && docker run --rm "committed:$1" true && docker rmi "committed:$1" ;;
	5) printf 'FROM busybox:test\nRUN echo %s >/built\n' "$1" | docker build -q -t "built:$1" - && docker run --rm "built:$1" cat /built && docker rmi "built:$1" ;;
	esac
}

# The part that a round kills: those that end all containers now and then.
victim()
{
	local all=(engine engine engine engine engine crun crun crun image image monitor agent keeper)
	echo "${all[RANDOM % ${#all[@]}]}"
}

answers()
{
	docker version >/dev/null 2>&1 || { holm machine start box && docker version; } >/dev/null 2>&1
}

# Each line of the log is the next number, or the first one of another run: there is one more
# after each of $ends kills at most.
counts()
{
	docker logs kept | awk -v most=$((ends + 1)) \
		'$0 != last + 1 && ($0 != 1 || ++runs > most) { print "line " NR ": " $0 " after " last; bad = 1 } { last = $0 } END { exit bad }'
}

# Checks the state after a kill.
holds()
{
	until_true 60 answers
	until_true 60 is_status kept running
	equal 'exited 7' "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' ended)"
	equal text "$(docker exec kept cat /v/text)"
	counts
}

are_removed()
{
	docker ps -aq | xargs -r timeout 60 docker rm -f >/dev/null
	[ -z "$(docker ps -aq)" ]
}

# Nothing of a container is left: files, runs, cgroups, interfaces, mounts, processes, ports.
nothing_left()
{
	local engine inside
	engine=$(engine_of box)
	inside=(nsenter --user --mount --net --target "$engine" --setuid 0 --setgid 0)
	equal volumes "$(ls -A "$XDG_DATA_HOME/holm/machines/box/containers")"
	equal '' "$("${inside[@]}" ls /run/containers /run/crun | grep -v :)"
	equal '' "$("${inside[@]}" ls /sys/class/net | grep veth || true)"
	equal '' "$(grep ' /run/containers/' "/proc/$engine/mountinfo" || true)"
	equal '' "$(world_cgroups | grep -E '/[0-9a-f]{64}$' || true)"
	equal '' "$(ss -Hltnp | grep "pid=$(keeper_of box)," || true)"
	equal 'holm-engine' "$(cat "/proc/$(awk '/^PPid:/ { print $2 }' "/proc/$engine/status")/task/"*/children | xargs -n 1 sh -c 'cat "/proc/$0/comm"')"
}

is_nothing_left()
{
	nothing_left 2>"$TMPDIR/left"
}

@test "parts of the machine are killed at any moment: containers are right afterwards, and nothing is left" {
	local n what jobs hits=0 ends=0 kills=${HOLM_TEST_KILLS:-30}
	RANDOM=${SEED:-$$}
	echo "SEED=${SEED:-$$}"
	docker volume create kept >/dev/null
	docker run --rm -v kept:/v busybox:test sh -c 'echo text >/v/text'
	docker run --name ended busybox:test sh -c 'exit 7' || true
	docker run -d --name kept --restart always -v kept:/v busybox:test sh -c 'i=0; while :; do i=$((i+1)); echo $i; usleep 5000; done' >/dev/null
	for ((n = 0; n < kills; n++)); do
		what=$(victim)
		jobs=()
		for _ in 1 2 3; do
			work "$n$_" >>"$TMPDIR/work" 2>&1 3>&- &
			jobs+=($!)
		done
		"$BATS_TEST_DIRNAME/../lib/strike" "$(keeper_of box)" "$what" $((RANDOM % 150)) && hits=$((hits + 1))
		case $what in monitor | agent | keeper) ends=$((ends + 1)) ;; esac
		wait "${jobs[@]}" || true
		holds || { echo "after the kill of $what in round $n" >&2; return 1; }
	done
	[ "$hits" -gt 0 ]
	until_true 60 are_removed
	docker volume rm kept >/dev/null
	until_true 60 is_nothing_left || { cat "$TMPDIR/left" >&2; return 1; }
	docker images -q 'committed' | xargs -r docker rmi -f >/dev/null
	docker images -q 'built' | xargs -r docker rmi -f >/dev/null
	rm -f "$TMPDIR/work" "$TMPDIR/left"
}
