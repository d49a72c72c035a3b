# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Containers in a VM, beside a native machine of the same host: the figures of the engine-* rows as
# ratios. Both machines belong to the ordinary user.

vm_machines=(native vm)

vm_machine()
{
	native_image busybox
	if ! as_user holm machine create busybox:test --name "$1" --isolation "$1" --cpus 2 --memory 1G --no-boot >/dev/null 2>"$work/try.err" </dev/null ||
		! as_user holm run --machine "$1" --rm busybox:test "true" >/dev/null 2>"$work/try.err" </dev/null; then
		cat "$work/try.err" >&2
		exit 1
	fi
}

# vm_sides KEY WORD...: the verb in both machines; @ is the machine.
vm_sides()
{
	local key=$1 machine
	shift
	for machine in "${vm_machines[@]}"; do
		side "engine in a VM: $key" "$machine-$key" "${user_words[@]}" holm "${@//@/$machine}"
	done
}

vm_ports()
{
	local machine port
	until_answer
	for _ in $(seq "$rounds"); do
		for machine in "${vm_machines[@]}"; do
			port=$(free_port)
			HOLM_MACHINE=$machine sample "$machine-port" "${user_words[@]}" "$world/until-answer" holm "$port"
			as_user holm rm --machine "$machine" -f port >/dev/null 2>&1 </dev/null
		done
	done
}

vm_connections()
{
	local machine port
	for machine in "${vm_machines[@]}"; do
		port=$(ports_free)
		as_user holm run --machine "$machine" -d -p "127.0.0.1:$port:7000" -v "$HOME/port-load:/port-load" --name load busybox:test /port-load serve 7000 \
			>"$work/try.err" 2>&1 </dev/null || { cat "$work/try.err" >&2; exit 1; }
		wait_for 60 ports_answers "$port" || exit 1
		for _ in $(seq "$rounds"); do
			as_user "$HOME/port-load" connections 127.0.0.1 "$port" 1000 16 >>"$work/samples/$machine-connections"
			as_user "$HOME/port-load" down 127.0.0.1 "$port" 1000 >>"$work/samples/$machine-down"
		done
		as_user holm rm --machine "$machine" -f load >/dev/null 2>&1 </dev/null
	done
}

# vm_row TEXT KEY
vm_row()
{
	local vm native
	vm=$(of "vm-$2" p50) native=$(of "native-$2" p50)
	row "engine in a VM: $1, p50 of $(of "vm-$2" count)" "$(ms "$vm")" "natively" "$(ms "$native")" "$(ratio "$vm" "$native")"
}

# vm_rate TEXT KEY UNIT
vm_rate()
{
	local vm native
	vm=$(percentile 50 <"$work/samples/vm-$2") native=$(percentile 50 <"$work/samples/native-$2")
	row "engine in a VM: $1" "$vm $3" "natively" "$native $3" "$(ratio "$vm" "$native")"
}

bench_engine_vm()
{
	local machine
	sides_begin
	cc -O2 -static -std=gnu17 -D_GNU_SOURCE -o "$work/port-load" "$root/bench/port-load.c" || exit 1
	as_user cp "$work/port-load" "$HOME/" || exit 1
	for machine in "${vm_machines[@]}"; do
		vm_machine "$machine"
		seq 10 | as_user xargs -I{} holm run --machine "$machine" -d --name 'n{}' busybox:test sleep 10000 >/dev/null 2>"$work/try.err" || { cat "$work/try.err" >&2; exit 1; }
	done
	vm_sides run run --machine @ --rm busybox:test "true"
	vm_sides exec exec --machine @ n1 "true"
	vm_sides ps ps --machine @
	measure_sides $((rounds * 2))
	vm_ports
	vm_connections
	for machine in "${vm_machines[@]}"; do
		HOLM_MACHINE=$machine churn 40 holm run --rm busybox:test "true" >>"$work/samples/$machine-churn" || exit 1
	done
	vm_row "run --rm true" run
	vm_row "exec true" exec
	vm_row "ps of 10" ps
	vm_row "run -d -p until the port answers" port
	vm_rate "run --rm true, 40 times, 8 at once" churn /s
	vm_rate "port of a container: new connections a second" connections /s
	vm_rate "port of a container: from it" down MiB/s
	as_user holm machine rm --force "${vm_machines[@]}" >/dev/null 2>&1
}
