#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The cgroups of containers: limits, pause, stats, OOM kills. What the host delegates no controller
# for earns a warning; the tests take each machine as its info says.
load ../lib/holm
load ../lib/containers

setup_file()
{
	containers_begin
}

teardown_file()
{
	holm_end
}

teardown()
{
	docker ps -aq 2>/dev/null | xargs -r timeout 60 docker rm -f >/dev/null 2>&1 || true
}

# has LIMIT: a flag of info, such as MemoryLimit.
has()
{
	[ "$(api GET /info | jq -r ".$1")" = true ]
}

# create_body HOSTCONFIG: creates a container "made"; the answer in $answer.
create_body()
{
	answer=$(api POST '/containers/create?name=made' -H 'Content-Type: application/json' -d "{\"Image\":\"busybox:test\",\"Cmd\":[\"true\"],\"HostConfig\":$1}")
}

# expect FLAG WARNING FILE VALUE: the limit is in the container's cgroup, or the create warned.
expect()
{
	if has "$1"; then
		equal "$4" "$(awk -v name="$3" '$1 == name { $1 = ""; print substr($0, 2) }' "$WORLD/found")"
		[[ "$(<"$WORLD/warnings")" != *"$2"* ]]
	else
		equal 1 "$(grep -c "$2" "$WORLD/warnings")"
	fi
}

@test "limits are in the container's cgroup, or one warning of each kind says that they are not" {
	docker create --name all -m 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --cpuset-cpus 0 --pids-limit 50 \
		--oom-kill-disable busybox:test \
		sh -c 'cd /sys/fs/cgroup 2>/dev/null && for f in memory.max memory.swap.max memory.low cpu.max cpu.weight cpuset.cpus pids.max; do [ ! -e $f ] || echo $f $(cat $f); done' \
		>/dev/null 2>"$WORLD/warnings"
	docker start -a all >"$WORLD/found"
	expect MemoryLimit 'not support memory limit' memory.max 67108864
	expect MemoryLimit 'not support memory soft limit' memory.low 33554432
	expect CpuCfsQuota 'not support CPU CFS' cpu.max '50000 100000'
	expect CPUShares 'not support CPU shares' cpu.weight 20
	expect CPUSet 'not support cpuset' cpuset.cpus 0
	expect PidsLimit 'not support PIDs limit' pids.max 50
	# cgroup 2 has no such thing anywhere.
	contains "$(<"$WORLD/warnings")" 'not support OomKillDisable'
	if has MemoryLimit; then
		! has SwapLimit || expect SwapLimit 'not support swap limit' memory.swap.max 33554432
		equal 67108864 "$(docker inspect -f '{{.HostConfig.Memory}}' all)"
	else
		equal 0 "$(docker inspect -f '{{.HostConfig.Memory}}' all)"
	fi
}

@test "the OOM score is that of the option, or a warning says that it cannot be" {
	local score
	equal 300 "$(docker run --rm --oom-score-adj 300 busybox:test cat /proc/self/oom_score_adj)"
	score=$(docker run --rm --oom-score-adj -100 busybox:test cat /proc/self/oom_score_adj 2>"$WORLD/warnings")
	[ "$score" = -100 ] || contains "$(<"$WORLD/warnings")" 'OomScoreAdj -100 discarded'
	docker run -d --name scored --oom-score-adj 400 busybox:test sleep 1000 >/dev/null
	equal 400 "$(docker exec scored cat /proc/self/oom_score_adj)"
	docker rm -f scored >/dev/null
}

# disk: a whole disk that the machine's kernel has.
disk()
{
	in_machine box sh -c 'cd /sys/class/block && for d in *; do [ -e "$d/partition" ] || echo "$d"; done' | grep -m 1 -v -e loop -e ram
}

@test "limits of a disk are in io.max, or one warning of each kind; a disk that is not there is an error" {
	local disk
	disk=$(disk) || skip "the machine's kernel has no disk"
	docker create --name slow --device-read-bps "/dev/$disk:1mb" --device-write-bps "/dev/$disk:2mb" --device-read-iops "/dev/$disk:30" \
		--device-write-iops "/dev/$disk:40" busybox:test sh -c 'cat /sys/fs/cgroup/io.max 2>/dev/null; true' >/dev/null 2>"$WORLD/warnings"
	if grep -q 'Block I/O' "$WORLD/warnings"; then
		equal 4 "$(grep -c 'Block.* limit or the cgroup is not mounted' "$WORLD/warnings")"
		return
	fi
	contains "$(docker start -a slow)" 'rbps=1048576 wbps=2097152 riops=30 wiops=40'
	exits 125 docker run --device-read-bps /dev/nothing:1mb busybox:test true
	contains "$stderr" 'stat /dev/nothing: no such disk'
}

@test "limits that make no sense are errors in Docker's words" {
	local case
	requires native # the same code in a VM, where all is slow
	for case in '{"Memory":1048576}|Minimum memory limit allowed is 6MB' \
		'{"Memory":67108864,"MemorySwap":33554432}|Minimum memoryswap limit should be larger' \
		'{"MemorySwap":33554432}|always set the Memory limit' \
		'{"NanoCpus":900000000000}|range of CPUs is from 0.01 to' \
		'{"NanoCpus":1000000000,"CpuPeriod":100000}|Nano CPUs and CPU Period cannot both be set' \
		'{"CpuPeriod":10}|CPU cfs period' \
		'{"CpusetCpus":"3-1"}|Invalid value 3-1 for cpuset cpus' \
		'{"BlkioWeight":5}|Range of blkio weight' \
		'{"OomScoreAdj":2000}|range for oom score adj' \
		'{"MemorySwappiness":101}|swappiness range' \
		'{"CgroupParent":"../up"}|--cgroup-parent' \
		'{"CgroupParent":"/engine"}|--cgroup-parent' \
		'{"CgroupnsMode":"other"}|cgroup namespace'; do
		create_body "${case%%|*}"
		contains "$(jq -r .message <<<"$answer")" "${case#*|}"
	done
	equal '' "$(docker ps -aq)"
}

@test "each container has a cgroup of its own, which nothing of it outlives" {
	requires native
	[ "$(api GET /info | jq -r .CgroupDriver)" = cgroupfs ] || skip "containers have no cgroups here"
	equal 0::/ "$(docker run --rm busybox:test sed -n '/^0:/p' /proc/self/cgroup)"
	exits 1 docker run --rm busybox:test mkdir /sys/fs/cgroup/own
	docker run --rm --privileged busybox:test mkdir /sys/fs/cgroup/own
	docker run -d --name other --cgroup-parent /some.slice/deep busybox:test sleep 1000 >/dev/null
	equal $'engine\nsome.slice' "$(docker run --rm --cgroupns host busybox:test sh -c 'cd /sys/fs/cgroup; ls -d */' | tr -d / | grep -Ev '^[0-9a-f]{64}$')"
	equal 1 "$(docker run --rm --cgroupns host busybox:test cat /proc/self/cgroup | grep -cE '^0::/[0-9a-f]{64}$')"
	docker rm -f other >/dev/null
	equal 2 "$(docker run --rm --cgroupns host busybox:test sh -c 'ls -d /sys/fs/cgroup/*/' | wc -l)"
}

@test "pause stops the processes, and unpause lets them go on; what a paused container refuses" {
	local before id
	id=$(docker run -d --name busy busybox:test sh -c 'i=0; while :; do i=$((i+1)); echo $i >/count; done')
	if [ "$(api GET /info | jq -r .CgroupDriver)" = none ]; then
		exits 1 docker pause busy
		contains "$stderr" 'delegates no cgroup'
		return
	fi
	equal busy "$(docker pause busy)"
	equal 'paused true true' "$(docker inspect -f '{{.State.Status}} {{.State.Paused}} {{.State.Running}}' busy)"
	contains "$(docker ps --filter status=paused --format '{{.Status}}')" '(Paused)'
	equal 1 "$(docker info --format '{{.ContainersPaused}}')"
	before=$(api GET '/containers/busy/stats?stream=0&one-shot=1' | jq .cpu_stats.cpu_usage.total_usage)
	equal "$before" "$(api GET '/containers/busy/stats?stream=0&one-shot=1' | jq .cpu_stats.cpu_usage.total_usage)"
	exits 1 docker pause busy
	contains "$stderr" "Container $id is already paused"
	exits 1 docker exec busy true
	contains "$stderr" 'is paused, unpause the container before exec'
	exits 1 docker attach busy
	exits 1 docker rm busy
	contains "$stderr" 'must be unpaused first'
	exits 1 docker start busy
	contains "$stderr" 'cannot start a paused container'
	equal busy "$(docker unpause busy)"
	docker exec busy true
	exits 1 docker unpause busy
	contains "$stderr" 'is not paused'
	docker pause busy >/dev/null
	docker stop -t 0 busy >/dev/null
	equal 'exited false' "$(docker inspect -f '{{.State.Status}} {{.State.Paused}}' busy)"
	exits 1 docker pause busy
	contains "$stderr" 'is not running'
	[ "$ISOLATION" = native ] || return 0
	docker start busy >/dev/null
	docker pause busy >/dev/null
	docker kill busy >/dev/null
	docker start busy >/dev/null
	docker pause busy >/dev/null
	docker rm -f busy >/dev/null
	contains "$(actions_until "$id" destroy)" 'pause unpause '
}

@test "stats: figures of one that runs, at once, after a second and each second; zeros of one that does not" {
	local out
	docker run -d --name used busybox:test sh -c 'echo up; i=0; while :; do i=$((i+1)); done' >/dev/null
	out=$(api GET '/containers/used/stats?stream=0&one-shot=1')
	equal '/used true 0' "$(jq -r '"\(.name) \(.memory_stats.usage > 0 and .memory_stats.limit >= .memory_stats.usage) \(.precpu_stats.cpu_usage.total_usage)"' <<<"$out")"
	equal true "$(jq '.pids_stats.current >= 1 and .cpu_stats.system_cpu_usage > 0 and .cpu_stats.online_cpus >= 1' <<<"$out")"
	equal eth0 "$(jq -r '.networks | keys[]' <<<"$out")"
	out=$(api GET '/containers/used/stats?stream=0')
	equal true "$(jq '.cpu_stats.cpu_usage.total_usage > .precpu_stats.cpu_usage.total_usage and .precpu_stats.system_cpu_usage > 0' <<<"$out")"
	out=$({ command timeout 60 curl -sSN --unix-socket "$SOCKET" http://docker/containers/used/stats || true; } | head -n 2)
	equal 2 "$(jq -c 'select(.precpu_stats.cpu_usage.total_usage > 0) | .id' <<<"$out" | wc -l)"
	contains "$(docker stats --no-stream --format '{{.Name}} {{.CPUPerc}}' used)" 'used '
	[[ "$(command timeout 60 holm stats --format '{{.Name}} {{.CPUPerc}}' used | head -n 2 | sed 's/[1-9]/N/' | xargs)" =~ ^used\ .*N.*\ used\ .*N ]]
	docker rm -f used >/dev/null
	docker create --name idle busybox:test true >/dev/null
	out=$(api GET '/containers/idle/stats?stream=0')
	equal '{} 0' "$(jq -c '"\(.memory_stats) \(.cpu_stats.cpu_usage.total_usage)"' -r <<<"$out")"
	equal 404 "$(api GET /containers/nothing/stats -o /dev/null -w '%{http_code}')"
}

@test "update changes limits, now and for the next start" {
	docker run -d --name live -m 64m --pids-limit 40 busybox:test sleep 1000 >/dev/null 2>&1
	docker update -m 80m --memory-swap 160m --pids-limit 30 live >/dev/null 2>"$WORLD/warnings"
	if has PidsLimit; then
		equal 30 "$(docker exec live cat /sys/fs/cgroup/pids.max)"
		equal 30 "$(docker inspect -f '{{.HostConfig.PidsLimit}}' live)"
		docker restart -t 0 live >/dev/null
		equal 30 "$(docker exec live cat /sys/fs/cgroup/pids.max)"
	else
		contains "$(api POST /containers/live/update -H 'Content-Type: application/json' -d '{"PidsLimit":5}')" 'not support PIDs limit'
	fi
	if has MemoryLimit; then
		equal 83886080 "$(docker exec live cat /sys/fs/cgroup/memory.max)"
		exits 1 docker update -m 900m live
		contains "$stderr" 'already set memoryswap limit'
	fi
	contains "$(api POST /containers/live/update -H 'Content-Type: application/json' -d '{"Memory":1000}' | jq -r .message)" 'allowed is 6MB'
	contains "$(api POST /containers/live/update -H 'Content-Type: application/json' -d '[]' | jq -r .message)" 'not a JSON object'
}

@test "a container that eats memory is killed alone, and says so" {
	has MemoryLimit || skip "the memory controller is not delegated here"
	exits 137 docker run --name eater -m 16m busybox:test sh -c 'x=aaaaaaaa; while :; do x=$x$x; done'
	equal 'true 137 exited' "$(docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}' eater)"
	contains "$(actions_until eater die)" 'oom die'
	docker run --rm busybox:test true
}

@test "a container without a limit that eats all memory is killed, and nothing of the machine" {
	requires vm # natively it is the host's memory
	local before
	docker run -d --name stays busybox:test sleep 1000 >/dev/null
	before=$(docker inspect -f '{{.State.StartedAt}}' stays)
	equal '0 0 0' "$(docker exec stays cat /proc/1/oom_score_adj) $(docker exec stays cat /proc/self/oom_score_adj) $(in_machine box cat /proc/self/oom_score_adj)"
	equal 0 "$(as_root box cat /proc/1/oom_score_adj)"
	exits 137 docker run --name eater busybox:test awk 'BEGIN { for (;;) eaten[n++] = sprintf("%100000d", n) }'
	equal 'true 137' "$(docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' eater)"
	equal "running $before" "$(docker inspect -f '{{.State.Status}} {{.State.StartedAt}}' stays)"
	as_root box dmesg >"$BATS_TEST_TMPDIR/kernel"
	equal awk "$(sed -n 's/.*Killed process [0-9]* (\([^)]*\)).*/\1/p' "$BATS_TEST_TMPDIR/kernel" | tail -n 1)"
	run ! grep -q 'the agent was killed' "$BATS_TEST_TMPDIR/kernel"
}

@test "a container that forks without end is contained" {
	has PidsLimit || skip "the pids controller is not delegated here"
	docker run -d --name bomb --pids-limit 30 busybox:test sh -c 'f() { f | f & }; f; while :; do sleep 1; done' >/dev/null
	equal true "$(api GET '/containers/bomb/stats?stream=0&one-shot=1' | jq '.pids_stats.current <= 30 and .pids_stats.limit == 30')"
	equal fine "$(docker run --rm busybox:test echo fine)"
	docker rm -f bomb >/dev/null
}
