#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Any part of the engine's machine is killed at any moment, HOLM_TEST_KILLS times, while containers
# are made, run, committed, built and removed: the state afterwards is right, and nothing is left.
# SEED of an earlier run chooses the same parts. In a VM that takes too long for an ordinary run.
load ../lib/holm
load ../lib/containers

runs_here()
{
	[ "$ISOLATION" = native ] || [ -n "${HOLM_TEST_KILLS-}" ]
}

# bats 1.8 takes a skip in here for a failure.
setup_file()
{
	runs_here || return 0
	containers_begin
	requires python3
	holm machine set-default box
}

setup()
{
	runs_here || skip "in a VM only with HOLM_TEST_KILLS"
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

# Sets $what, the part that a round kills: those that end all containers now and then. A subshell
# would have random numbers of its own.
victim()
{
	local all=(engine engine engine engine engine crun crun crun image image monitor agent keeper)
	[ "$ISOLATION" = native ] || all=(engine engine engine engine image monitor agent agent keeper)
	what=${all[RANDOM % ${#all[@]}]}
}

# hit WHAT MS: kills it, after a time.
hit()
{
	if [ "$ISOLATION" = native ] || [ "$1" = image ] || [ "$1" = keeper ]; then
		"$BATS_TEST_DIRNAME/../lib/strike" "$(keeper_of box)" "$@"
	else
		command sleep "$(printf '0.%03d' "$2")"
		crash "$1"
	fi
}

# Whether the kill may end all containers. A VM whose agent dies five times a minute powers off.
may_end_all()
{
	[ "$1" = monitor ] || [ "$1" = keeper ] || [ "$1" = agent ]
}

answers()
{
	docker version >/dev/null 2>&1 || { holm machine start box && docker version; } >/dev/null 2>&1
}

# A machine whose keeper or agent was killed a moment ago may still have answered.
runs_kept()
{
	answers && is_status kept running 2>/dev/null
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
	until_true 180 runs_kept &&
		equal 'exited 7' "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' ended)" &&
		equal text "$(docker exec kept cat /v/text)" && counts
}

# tell_state TEXT: what a person wants to see of a failure.
tell_state()
{
	echo "$1"
	timeout 30 docker ps -a
	timeout 30 docker inspect -f '{{json .State}}' kept
	timeout 30 holm machine logs --boot box | tail -n 60
}

are_removed()
{
	docker ps -aq | xargs -r timeout 60 docker rm -f >/dev/null
	[ -z "$(docker ps -aq)" ]
}

@test "parts of the machine are killed at any moment: containers are right afterwards, and nothing is left" {
	local n what job jobs hits=0 ends=0 kills=${HOLM_TEST_KILLS:-30}
	RANDOM=${SEED:-$$}
	echo "SEED=${SEED:-$$}"
	docker volume create kept >/dev/null
	docker run --rm -v kept:/v busybox:test sh -c 'echo text >/v/text'
	docker run --name ended busybox:test sh -c 'exit 7' || true
	docker run -d --name kept --restart always -v kept:/v busybox:test sh -c 'i=0; while :; do i=$((i+1)); echo $i; usleep 5000; done' >/dev/null
	for ((n = 0; n < kills; n++)); do
		victim
		jobs=()
		for job in 1 2 3; do
			work "$n$job" >>"$TMPDIR/work" 2>&1 3>&- &
			jobs+=($!)
		done
		hit "$what" $((RANDOM % 150)) && hits=$((hits + 1))
		! may_end_all "$what" || ends=$((ends + 1))
		wait "${jobs[@]}" || true
		holds || { tell_state "after the kill of $what in round $n" >&2; return 1; }
	done
	[ "$hits" -gt 0 ]
	until_true 60 are_removed
	docker volume rm kept >/dev/null
	nothing_stays_of_containers
	docker images -q 'committed' | xargs -r docker rmi -f >/dev/null
	docker images -q 'built' | xargs -r docker rmi -f >/dev/null
	holm image prune >/dev/null
	equal '' "$(find "$XDG_DATA_HOME/holm/images" \( -path '*/partial/*' -o -name '.tmp*' -o -name 'unpacked-*' \) -print)"
	rm -f "$TMPDIR/work"
}
