#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Machines on disk, without booting one: an image that only seems to be there (fake-image) and a keeper without a machine (fake-keeper).
load ../lib/holm

setup_file()
{
	holm_begin empty
	fake_libexec
}

teardown_file()
{
	holm_end
}

# Other commands' programs, as they would be found installed.
fake_libexec()
{
	export HOLM_LIBEXEC="$WORLD/libexec"
	mkdir -p "$HOLM_LIBEXEC"
	cp "$BATS_TEST_DIRNAME/fake-keeper" "$HOLM_LIBEXEC/holm-keeper"
	cp "$BATS_TEST_DIRNAME/fake-image" "$HOLM_LIBEXEC/holm-image"
}

@test "nothing there: a header, an empty list, and an error that says what to do" {
	equal 1 "$(holm machine ls | wc -l)"
	equal '[]' "$(holm machine ls --format json | jq -c .)"
	fails 125 holm machine inspect
	contains "$stderr" "holm machine create"
	fails 125 holm machine run -n nobody true
	contains "$stderr" '"nobody"'
}

@test "a machine's name in the wrong place gets a remedy" {
	holm machine create --no-boot near:1 --name workshop >/dev/null
	fails 125 holm machine set workshop memory=2G
	contains "$stderr" '"workshop" is a machine; did you mean "set -n workshop"?'
	fails 125 holm machine set nonsense memory=2G
	contains "$stderr" "write KEY=VALUE"
	fails 125 holm machine inspect -n workshop
	contains "$stderr" "unknown option -n; here the machine is a word: inspect NAME"
	fails 125 holm machine restart --name=workshop
	contains "$stderr" "unknown option --name; here the machine is a word: restart NAME"
	fails 125 holm machine port ls -x
	contains "$stderr" "unknown option -x;"
	holm machine rm workshop
}

@test "a create warns once of a proxy on the loopback" {
	run --separate-stderr holm machine create m --no-boot --proxy http://127.0.0.1:3128
	equal 1 "$(grep -c "out of the machine's reach" <<<"$stderr")"
	holm machine rm m
}

@test "a mistyped option or machine gets a suggestion" {
	fails 125 holm machine create x --mem 1G
	contains "$stderr" "unknown option --mem;"
	fails 125 holm machine create x --memroy 1G
	contains "$stderr" "unknown option --memroy (did you mean --memory?)"
	holm machine create --no-boot near:1 --name workshop >/dev/null
	fails 125 holm machine inspect wrokshop
	contains "$stderr" 'no machine "wrokshop" (did you mean "workshop"?)'
	fails 125 holm machine inspect elsewhere
	run ! grep -q "did you mean" <<<"$stderr"
	holm machine rm workshop
}

@test "a user without an entry in passwd hears so" {
	unshare --user --map-user=4242 --map-group=4242 true 2>/dev/null || skip "no user namespaces here"
	run --separate-stderr env -u USER unshare --user --map-user=4242 --map-group=4242 holm machine create --no-boot --isolation vm image:1 --name unknown
	equal "0 unknown" "$status $output"
	contains "$stderr" 'no entry for you (uid 4242); inside you are "user4242"'
	run --separate-stderr unshare --user --map-user=4242 --map-group=4242 holm machine create --no-boot --isolation vm image:1 --name named --user me
	equal "0 " "$status $stderr"
	holm machine rm unknown named
}

@test "create --replace and --if-missing; rm --force of nothing" {
	local id
	equal again "$(holm machine create --no-boot --if-missing --set-default image:1 --name again)"
	id=$(field again id)
	equal again "$(holm machine create --no-boot --if-missing image:1 --name again)"
	equal "$id" "$(field again id)"
	fails 125 holm machine create --no-boot image:1 --name again
	contains "$stderr" --replace
	fails 125 holm machine create --no-boot --replace --if-missing image:1 --name again
	equal again "$(holm machine create --no-boot --replace --cpus 3 image:2 --name again)"
	[ "$id" != "$(field again id)" ]
	equal "3 true" "$(holm machine inspect again | jq -r '.[0] | "\(.cpus) \(.default)"')"
	equal again "$(holm machine rm -f again nobody)"
	equal '' "$(holm machine rm -f again)"
	fails 125 holm machine rm again
}

@test "a mistyped command gets a suggestion" {
	fails 125 holm machine creat
	contains "$stderr" 'did you mean "holm machine create"'
	fails 125 holm ssh box
	contains "$stderr" 'did you mean "holm machine ssh"'
	fails 125 holm machien
	contains "$stderr" 'did you mean "holm machine"'
	fails 125 holm machine mount ad
	contains "$stderr" --help
	fails 125 holm help frobnicate
}

@test "a command is about the machine that it names, the default one, or all" {
	fails 125 holm machine stop
	contains "$stderr" "holm machine create"
	fails 125 holm machine rm
	contains "$stderr" "rm needs NAME... or --all"
	fails 125 holm machine ssh nobody
	contains "$stderr" '"nobody"'
	holm machine create one --name one --no-boot >/dev/null
	holm machine create two --name two --no-boot >/dev/null
	equal one "$(holm machine inspect | jq -r '.[0].name')"
	equal two "$(holm machine inspect two | jq -r '.[0].name')"
	equal one "$(holm machine set cpus=1)"
	equal two "$(holm machine set -n two cpus=1)"
	equal one "$(holm machine stop)"
	equal two "$(holm machine stop two)"
	equal '' "$(holm machine stop --all)"
	for verb in stop rm; do
		fails 125 holm machine "$verb" --all two
		contains "$stderr" "--all and names exclude each other"
	done
	fails 125 holm machine export one --output -
	contains "$stderr" ./-
	run ! test -e -
	equal "one two" "$(holm machine rm --all | tr '\n' ' ' | sed 's/ $//')"
}

@test "help is the same by every way" {
	equal "$(holm machine run --help)" "$(holm help machine run)"
	equal "$(holm machine clone --help)" "$(holm help clone)"
	equal "$(holm run --help)" "$(holm help run)"
	equal "$(holm machine mount add --help)" "$(holm help machine mount add)"
	equal "$(holm machine port)" "$(holm help machine port)"
	equal "$(holm machine mount)" "$(holm help mount)"
	contains "$(holm help machine port)" "port rm"
	equal "$(holm machine --help)" "$(holm m)"
}

@test "create fails as holm-image does, and leaves nothing" {
	fails 125 holm machine create missing --no-boot
	contains "$stderr" '"missing"'
	equal '' "$(holm machine ls -q)"
	[ ! -e "$XDG_DATA_HOME/holm/default" ]
}

@test "an isolation that is not there is refused before anything is fetched" {
	HOLM_NATIVE=0 fails 125 holm machine create missing --isolation native
	contains "$stderr" "isolation=native does not work here: HOLM_NATIVE=0"
	holm machine create m --no-boot --isolation vm >/dev/null
	HOLM_NATIVE=0 fails 125 holm machine set isolation=native
	equal vm "$(field m isolation)"
	holm machine rm m
}

@test "an image for another processor is refused" {
	fails 125 holm machine create foreign --no-boot
	contains "$stderr" linux/s390x
	equal '' "$(holm machine ls -q)"
}

@test "a platform, a kernel and a user that cannot be are refused before anything is fetched" {
	local asked
	for asked in --platform=foo --platform=linux/bar --platform=linux/s390x --kernel=/etc/passwd --kernel=/dev/null \
		--kernel-modules=/etc --user=root; do
		fails 125 holm machine create never-pulled --no-boot --isolation vm "$asked"
		contains "$stderr" "${asked#*=}"
		equal '' "$(holm machine ls -q)"
	done
	printf 'MZ%0512dHdrS' 0 >"$WORLD/bzImage"
	holm machine create thing --no-boot --isolation vm --kernel "$WORLD/bzImage"
	for asked in user=root kernel=/etc/passwd; do
		fails 125 holm machine set -n thing "$asked"
		contains "$stderr" "$asked: "
	done
	contains "$(holm machine set -n thing user=root 2>&1)" "holm machine run --root"
	equal "$WORLD/bzImage" "$(holm machine inspect thing | jq -r '.[0].kernel')"
	holm machine rm thing
	rm "$WORLD/bzImage"
}

@test "create sets everything that inspect shows" {
	mkdir -p "$WORLD/data"
	run --separate-stderr holm machine create thing:3.22 --no-boot --cpus 1 --memory 256M --disk-size 200M --home-mount ro -v "$WORLD/data:/srv/data:ro" \
		-p 8080:80 -p '[::1]:5353:53/udp' -e A=1 -e 'B=x y=z' --isolation vm --user guest --host-access
	equal 0 "$status"
	equal thing-3-22 "$output"
	equal '' "$stderr"
	equal "1 268435456 209715200 ro vm guest true" \
		"$(holm machine inspect | jq -r '.[0] | [.cpus, .memory, .disk_size, .home_mount, .isolation, .user, .host_access] | map(tostring) | join(" ")')"
	equal "1 x y=z" "$(holm machine inspect thing-3-22 | jq -r '.[0].env | .A + " " + .B')"
	equal "[{\"host\":\"$WORLD/data\",\"inside\":\"/srv/data\",\"read_only\":true}]" "$(holm machine inspect | jq -c '.[0].mounts')"
	equal '[{"ip":null,"host":8080,"inside":80,"protocol":"tcp"},{"ip":"::1","host":5353,"inside":53,"protocol":"udp"}]' \
		"$(holm machine inspect | jq -c '.[0].publish')"
	equal "stopped null null" "$(holm machine inspect | jq -r '.[0] | "\(.state) \(.started) \(.keeper)"')"
	holm machine rm thing-3-22
}

@test "home-private: paths below the home, with a default, or none" {
	holm machine create thing --no-boot --home-private '.app,~/.b//c' >/dev/null
	equal '.app .b/c' "$(holm machine inspect --format '{{join .home_private " "}}')"
	holm machine set "home-private=$HOME/d"
	equal d "$(holm machine inspect | jq -r '.[0].home_private | join(" ")')"
	local wrong
	for wrong in /etc .. a/../b '~' a,a/b "$HOME"; do
		fails 125 holm machine set "home-private=$wrong"
		contains "$stderr" home-private
	done
	equal d "$(holm machine inspect | jq -r '.[0].home_private | join(" ")')"
	holm machine set home-private=none
	equal 0 "$(holm machine inspect | jq '.[0].home_private | length')"
	holm machine set home-private=
	contains "$(holm machine inspect | jq -r '.[0].home_private | join(" ")')" .local/share/containers
	holm machine rm thing
}

@test "auto-ports: on with the home alone, and each machine has an address of its own" {
	holm machine create rw --no-boot >/dev/null
	holm machine create none --no-boot --home-mount none >/dev/null
	holm machine create off --no-boot --auto-ports off >/dev/null
	holm machine create on --no-boot --auto-ports on --home-mount ro >/dev/null
	equal 'on off off on' "$(holm machine inspect rw none off on | jq -r '[.[].auto_ports] | join(" ")')"
	holm machine set -n rw home-mount=ro >/dev/null
	holm machine set -n off auto-ports=on home-mount=none >/dev/null
	equal 'off on' "$(holm machine inspect rw off | jq -r '[.[].auto_ports] | join(" ")')"
	holm machine clone on twin --keep-identity >/dev/null
	equal 5 "$(holm machine inspect --all | jq -r '.[].address' | grep -cxE '127\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.[0-9]+\.[0-9]+')"
	equal 5 "$(holm machine inspect --all | jq -r '.[].address' | sort -u | wc -l)"
	local address
	address=$(field on address)
	holm machine rename on other >/dev/null
	equal "$address" "$(field other address)"
	equal "$address" "$(holm machine ls --format json | jq -r '.[] | select(.name == "other").address')"
	fails 125 holm machine set -n rw auto-ports=true
	contains "$stderr" "off, on"
	fails 125 holm machine create bad --no-boot --auto-ports yes
	contains "$stderr" "off, on"
	fails 125 holm machine url rw
	contains "$stderr" "holm machine start rw"
	holm machine rm -f rw none off other twin >/dev/null
}

@test "autostart: which machines start at login, and how to let them" {
	local wants=$XDG_CONFIG_HOME/systemd/user/default.target.wants
	run --separate-stderr holm machine create one --no-boot --autostart on
	equal 0 "$status"
	contains "$stderr" "systemctl --user enable holm-autostart.service"
	holm machine create two --no-boot >/dev/null
	equal 'on off' "$(holm machine inspect one two | jq -r '[.[].autostart] | join(" ")')"
	equal one "$(holm machine start --autostart)"
	run --separate-stderr holm machine set -n one autostart=on cpus=
	contains "$stderr" "takes effect at its next start"
	run --separate-stderr holm machine set -n one autostart=
	equal '' "$stderr"
	equal '' "$(holm machine start --autostart)"
	mkdir -p "$wants"
	touch "$wants/holm-autostart.service"
	run --separate-stderr holm machine set -n one autostart=on
	equal ' one' "$stderr $output"
	holm machine create broken --no-boot >/dev/null
	echo '{' >"$XDG_DATA_HOME/holm/machines/broken/machine.json"
	equal one "$(holm machine stop --autostart)"
	equal stopped "$(state one)"
	equal '' "$(holm machine stop --autostart)"
	fails 125 holm machine set autostart=yes
	contains "$stderr" "off, on"
	fails 125 holm machine start --autostart two
	fails 125 holm machine start --autostart --all
	rm -r "$XDG_CONFIG_HOME/systemd"
	holm machine rm -f one two broken >/dev/null
}

@test "amounts that the host does not have are said, and kept" {
	run --separate-stderr holm machine create thing --no-boot --isolation vm --cpus 400 --memory 10T --disk-size 60T
	equal 0 "$status"
	contains "$stderr" "cpus=400, but this host has $(getconf _NPROCESSORS_ONLN)"
	contains "$stderr" "memory=10T, but this host has"
	contains "$stderr" "disk-size=60T, but $XDG_DATA_HOME/holm/machines has"
	equal "400 10995116277760" "$(holm machine inspect --format '{{.cpus}} {{.memory}}')"
	run --separate-stderr holm machine set cpus=1 host-access=true
	equal '' "$stderr"
	run --separate-stderr holm machine set memory=64M
	contains "$stderr" "memory=64M is too little for vm isolation"
	run --separate-stderr holm machine set memory=96M
	equal '' "$stderr"
	run --separate-stderr holm machine set cpus=401
	contains "$stderr" cpus=401
	equal 1 "$(wc -l <<<"$stderr")"
	holm machine rm thing
}

@test "JSON has the same keys in all states, in snake case, and machine.json of before is read" {
	holm machine create thing --no-boot >/dev/null
	equal '' "$(holm machine inspect | jq -r '[paths | map(select(type == "string")) | .[]] | unique[] | select(test("[A-Z-]"))' | grep -v '^PATH$\|^[A-Z]' || true)"
	equal "null []" "$(holm machine inspect | jq -c '.[0] | "\(.running) \(.restart_needed)"' -r)"
	jq '.publish = ["8080:80", "[::1]:53:53/udp"]' "$XDG_DATA_HOME/holm/machines/thing/machine.json" >"$WORLD/old.json"
	cp "$WORLD/old.json" "$XDG_DATA_HOME/holm/machines/thing/machine.json"
	equal "8080 ::1" "$(holm machine inspect | jq -r '.[0].publish | "\(.[0].host) \(.[1].ip)"')"
	holm machine set disk_size=101G home_mount=ro
	equal "108447924224 ro" "$(holm machine inspect --format '{{.disk_size}} {{.HomeMount}}')"
	equal "object" "$(jq -r '.publish[0] | type' "$XDG_DATA_HOME/holm/machines/thing/machine.json")"
	holm machine rm thing
}

@test "--format: templates for every list and for inspect, as docker has them" {
	holm machine create thing --no-boot --cpus 1 -p 8080:80 -p 5353:53/udp >/dev/null
	holm machine create quiet --no-boot --cpus 1 -v "$WORLD" >/dev/null
	equal "quiet:1
thing:1" "$(holm machine ls --format '{{.name}}:{{.Cpus}}')"
	equal "NAME   STATE    DISK SIZE
quiet  stopped  100G
thing  stopped  100G" "$(holm machine ls --format 'table {{.Name}}\t{{.State}}\t{{size .DiskSize}}')"
	equal '"thing" THING stopped' "$(holm machine inspect thing --format '{{json .name}} {{upper .name}} {{if eq .state "stopped"}}{{.state}}{{end}}')"
	equal "8080->80/tcp, 5353->53/udp" \
		"$(holm machine inspect thing --format '{{range $i, $p := .publish}}{{if $i}}, {{end}}{{$p.host}}->{{$p.inside}}/{{$p.protocol}}{{end}}')"
	equal "8080 80
5353 53" "$(holm machine port ls -n thing --format '{{.host}} {{.inside}}')"
	contains "$(holm machine mount ls -n quiet --format '{{.inside}}')" "$WORLD"
	equal "$(holm system info --format json | jq -r .version)" "$(holm system info --format '{{.version}}')"
	fails 125 holm machine ls --format jsn
	contains "$stderr" "table, json, or a template"
	fails 125 holm machine ls --format '{{.nam}}'
	contains "$stderr" 'no field "nam"; there are: name image'
	fails 125 holm machine inspect thing --format '{{name}}'
	contains "$stderr" "a field is .name"
	holm machine rm --all
}

@test "the configuration file has defaults for new machines, and options come first" {
	mkdir -p "$XDG_CONFIG_HOME/holm"
	printf '[machine]\ncpus = 2 ; two\nmemory = 640M\nimage = ordinary\n[registry "x"]\nmirror = y\n' >"$XDG_CONFIG_HOME/holm/config"
	holm machine create ordinary --no-boot --memory 1G -n conf >/dev/null
	equal "2 1073741824" "$(holm machine inspect conf | jq -r '.[0] | "\(.cpus) \(.memory)"')"
	contains "$(holm machine init pod)" "holm machine start pod"
	equal 671088640 "$(field pod memory)"
	printf '[machine]\ncpu = 2\n' >"$XDG_CONFIG_HOME/holm/config"
	fails 125 holm machine create ordinary --no-boot -n other
	contains "$stderr" 'config:2: unknown key "cpu"'
	printf '[machine]\ncpus = many\n' >"$XDG_CONFIG_HOME/holm/config"
	fails 125 holm machine create ordinary --no-boot -n other
	contains "$stderr" many
	printf '[machine]\nwarn-limits = perhaps\n' >"$XDG_CONFIG_HOME/holm/config"
	fails 125 holm machine create ordinary --no-boot -n other
	contains "$stderr" warn-limits
	rm "$XDG_CONFIG_HOME/holm/config"
	holm machine rm conf pod
}

@test "an image without init is noted, and insisting on one is an error" {
	run --separate-stderr holm machine create noinit --no-boot
	equal 0 "$status"
	contains "$stderr" "no init"
	equal 1 "$(wc -l <<<"$stderr")"
	run --separate-stderr holm machine create noinit --no-boot --init holm -n quiet
	equal '' "$stderr"
	fails 125 holm machine create noinit --no-boot --init image -n strict
	contains "$stderr" noinit
	equal "noinit
quiet" "$(holm machine ls -q)"
	holm machine rm --all
}

@test "a disk smaller than the image is refused, and it only grows" {
	fails 125 holm machine create big --no-boot --isolation vm --disk-size 63M
	holm machine create big --no-boot --isolation vm --disk-size 10G
	holm machine set disk-size=20G
	fails 125 holm machine set disk-size=15G
	contains "$stderr" larger
	fails 125 holm machine set disk-size=10Q
	equal 21474836480 "$(field big disk_size)"
	holm machine rm big
}

@test "mounts: listed with the home, added once, checked, removed" {
	mkdir -p "$WORLD/extra"
	holm machine create m --no-boot >/dev/null
	equal "$WORLD/extra" "$(cd "$WORLD" && holm machine mount add extra)"
	equal "/x" "$(holm machine mount add "$WORLD/extra:/x:ro")"
	fails 125 holm machine mount add "$WORLD/extra:/x"
	mkdir "$WORLD/a:b"
	equal "/ab" "$(holm machine mount add "type=bind,source=$WORLD/a:b,target=/ab,readonly")"
	contains "$(holm machine mount ls | sed 's/  */ /g')" "$WORLD/a:b /ab ro"
	holm machine mount rm /ab
	fails 125 holm machine mount add "type=bind,source=$WORLD/a:b,target=/a:b,readonly"
	contains "$stderr" "cannot have a colon"
	fails 125 holm machine mount add "type=tmpfs,target=/x"
	contains "$stderr" "type=bind,source=HOST"
	fails 125 holm machine mount add "$WORLD/nothing"
	contains "$stderr" "make it first"
	fails 125 holm machine mount add "$WORLD/extra:/proc"
	fails 125 holm machine mount add "$WORLD/extra:$HOME"
	equal "true false true" "$(holm machine mount ls --format json | jq -r '[.[] | .read_only] | "\(.[2]) \(.[0]) \(.[2])"')"
	equal 4 "$(holm machine mount ls | wc -l)"
	equal /x "$(holm machine mount rm /x)"
	fails 125 holm machine mount rm /x
	fails 125 holm machine mount rm "$HOME"
	contains "$stderr" home-mount
	holm machine rm m
}

# The ports of a machine, as its settings have them.
ports_of()
{
	holm machine port ls -n "$1" --format json | jq -r '[.[] | "\(.ip // ""):\(.host):\(.inside)/\(.protocol)"] | join(" ")'
}

@test "ports: added, listed, replaced, and removed by the host's port" {
	holm machine create m --no-boot >/dev/null
	equal 1 "$(holm machine port ls | wc -l)"
	equal "8080:80
[::1]:5353:53/udp" "$(holm machine port add 8080:80 '[::1]:5353:53/udp')"
	equal ":8080:80/tcp ::1:5353:53/udp" "$(ports_of m)"
	equal "localhost 8080 80 tcp no no" "$(holm machine port ls | sed -n 's/  */ /g; 2p')"
	fails 125 holm machine port add 9090:90 8080:81
	contains "$stderr" 8080
	fails 125 holm machine port add 8081
	fails 125 holm machine port add 0:80
	equal ":8080:80/tcp ::1:5353:53/udp" "$(ports_of m)"
	holm machine set publish=127.0.0.1:7070:70,8080:80,8080:80/udp
	equal "127.0.0.1:7070:70/tcp :8080:80/tcp :8080:80/udp" "$(ports_of m)"
	fails 125 holm machine set publish=7070:70,7070:71
	fails 125 holm machine set publish=7070
	fails 125 holm machine port rm 8080
	contains "$stderr" "8080:80, 8080:80/udp"
	fails 125 holm machine port rm 1234
	contains "$stderr" '"1234"'
	fails 125 holm machine port rm 7070:71
	fails 125 holm machine port rm 8080x
	equal 8080:80/udp "$(holm machine port rm 8080/udp)"
	equal "127.0.0.1:7070:70
8080:80" "$(holm machine port rm 8080 127.0.0.1:7070)"
	equal '' "$(ports_of m)"
	holm machine set publish=8080:80 cpus=1
	holm machine set publish=
	equal '[]' "$(holm machine inspect m | jq -c '.[0].publish')"
	holm machine rm m
}

@test "the places of mounts are tried before anything is made, and restart tries their sources before it stops" {
	mkdir -p "$WORLD/dir" "$WORLD/over"
	touch "$WORLD/file" "$WORLD/over/taken" "$HOME/taken"
	fails 125 holm machine create m --no-boot -v "$WORLD/dir:$HOME/taken"
	contains "$stderr" "\"$HOME/taken\" inside is a file, which a directory cannot cover"
	fails 125 holm machine create m --no-boot -v "$WORLD/dir:$HOME/taken/deep"
	contains "$stderr" "\"$HOME/taken\" inside is a file"
	fails 125 holm machine create m --no-boot -v "$WORLD/over:/srv" -v "$WORLD/dir:/srv/taken"
	contains "$stderr" '"/srv/taken" inside is a file'
	equal '' "$(holm machine ls -q)"
	rm "$HOME/taken"
	holm machine create m --no-boot -v "$WORLD/dir:/srv/dir" -v "$WORLD/over:$HOME/new/place" >/dev/null
	rmdir "$WORLD/dir"
	fails 125 holm machine restart m
	contains "$stderr" "mount \"$WORLD/dir\": No such file or directory"
	contains "$stderr" "holm machine mount rm -n m /srv/dir"
	holm machine rm m
}

@test "a port is tried before anything is made" {
	local port listener
	port=$(free_port)
	listen "TCP4-LISTEN:$port,bind=127.0.0.1,fork" /dev/null
	listener=$pid
	until_true 60 is_open "$port"
	fails 125 holm machine create m -p "$port:80"
	contains "$stderr" "TCP port $port on 127.0.0.1 is in use by another program"
	equal '' "$(holm machine ls -q)"
	run --separate-stderr holm machine create m --no-boot -p "$port:80"
	equal 0 "$status"
	contains "$stderr" "in use by another program"
	kill "$listener"
	fails 125 holm machine create low -p 203.0.113.1:8080:80
	contains "$stderr" "TCP port 8080 on 203.0.113.1"
	contains "$stderr" "publish another port"
	if [ "$(id -u)" != 0 ] && [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 80 ]; then
		fails 125 holm machine create low -p 80:80
		contains "$stderr" privileges
		equal m "$(holm machine ls -q)"
		run --separate-stderr holm machine port add -n m 80:80
		equal 80:80 "$output"
		contains "$stderr" privileges
	fi
	holm machine rm m
}

@test "help fits in 80 columns, and ls in those of the terminal" {
	local words
	for words in "" "machine" "machine create" "machine set" "machine clone" "image" "image pull" "system info"; do
		# shellcheck disable=SC2086
		equal '' "$(holm $words --help | awk 'length($0) > 80 || / $/')"
	done
	holm machine create thing:latest --name a-name-that-needs-some-room --no-boot >/dev/null
	contains "$(holm machine ls | tail -n 1)" "a-name-that-needs-some-room  thing "
	contains "$(holm machine ls)" CREATED
	script -qec "stty cols 64 -onlcr; holm machine ls; holm machine run --help" /dev/null >"$WORLD/narrow" </dev/null
	equal '' "$(awk 'length($0) > 64' "$WORLD/narrow")"
	contains "$(cat "$WORLD/narrow")" STATE
	run ! grep CREATED "$WORLD/narrow"
	rm "$WORLD/narrow"
	holm machine rm a-name-that-needs-some-room
}

@test "processors by default: half the host's for a VM, all for a native machine" {
	local form
	for form in vm native; do
		holm machine create "$form" --no-boot --isolation "$form" >/dev/null
	done
	equal "$(nproc --all)" "$(field native cpus)"
	[ "$(field vm cpus)" = $(($(nproc --all) / 2)) ] || [ "$(nproc --all)" = 1 ]
	holm machine rm vm native
}

# KEY, its default, another word, by create and by set.
chooses()
{
	holm machine create m --no-boot >/dev/null
	equal "$2" "$(field m "${1//-/_}")"
	holm machine set "$1=$3"
	equal "$3" "$(field m "${1//-/_}")"
	fails 125 holm machine set "$1=nonsense"
	contains "$stderr" "$2, "
	contains "$stderr" "$3"
	equal "$3" "$(field m "${1//-/_}")"
	holm machine set "$1="
	equal "$2" "$(field m "${1//-/_}")"
	holm machine create other --no-boot "--$1" "$3" >/dev/null
	equal "$3" "$(field other "${1//-/_}")"
	fails 125 holm machine create third --no-boot "--$1" nonsense
	holm machine rm m other
}

@test "what shares are like is chosen by create and by set" {
	chooses share-cache auto writeback
	chooses share-events on off
	chooses owner-map user record
	chooses share-locks guest host
	chooses ca host none
}

@test "damaged and half-made machines: named, listed, removable" {
	holm machine create hurt --no-boot >/dev/null
	truncate -s 50 "$XDG_DATA_HOME/holm/machines/hurt/machine.json"
	fails 125 holm machine inspect hurt
	contains "$stderr" damaged
	contains "$(holm machine ls)" hurt
	equal true "$(holm machine ls --format json | jq '.[0].error != null')"
	equal hurt "$(holm machine rm hurt)"
	mkdir -p "$XDG_DATA_HOME/holm/machines/.new-0123"
	touch "$XDG_DATA_HOME/holm/machines/.new-0123/config.lock"
	equal '' "$(holm machine ls -q)"
	holm machine create whole --no-boot >/dev/null
	[ ! -e "$XDG_DATA_HOME/holm/machines/.new-0123" ]
	holm machine rm whole
}

@test "what machine.json cannot hold is refused, and the machine stays" {
	holm machine create m --no-boot >/dev/null
	fails 125 holm machine set "env.A=$(printf 'x\377')"
	contains "$stderr" UTF-8
	mkdir -p "$WORLD/tab	here"
	fails 125 holm machine mount add "$WORLD/tab	here"
	holm machine set env.A="$(printf 'two\nlines')"
	equal '"two\nlines"' "$(holm machine inspect m | jq '.[0].env.A')"
	holm machine rm m
}

@test "a keeper that is not installed is an error that says so" {
	holm machine create m --no-boot >/dev/null
	mkdir -p "$WORLD/nothing installed"
	HOLM_LIBEXEC="$WORLD/nothing installed" fails 125 holm machine start m
	contains "$stderr" "installed completely"
	holm machine rm m
}

@test "logs: the last lines, none of them, all" {
	holm machine create m --no-boot >/dev/null
	printf 'one\ntwo\nthree\n' >"$XDG_DATA_HOME/holm/machines/m/console.log"
	equal "$(printf 'two\nthree')" "$(holm machine logs -n 2 m)"
	equal '' "$(holm machine logs -n 0 m)"
	equal 3 "$(holm machine logs --tail 10 m | wc -l)"
	holm machine rm m
}

@test "logs: a line ends without carriage returns, but with --raw" {
	local log="$XDG_DATA_HOME/holm/machines/m/console.log"
	holm machine create m --no-boot >/dev/null
	printf '2025-11-30T03:00:00.000000Z a longer line\r\r\n2025-11-30T03:00:01.000000Z b\r\nc\r\r\n\r\n10%%\r20%%\r\r\nopen\r' >"$log"
	equal $'a longer line\nb\nc\n\n10%\r20%\nopen' "$(holm machine logs m)"
	equal $'2025-11-30T03:00:01.000000Z b\nc' "$(holm machine logs -t m | sed -n 2,3p)"
	cmp "$log" <(holm machine logs -t --raw m)
	holm machine rm m
}

@test "logs: times are kept, shown with -t, and choose lines" {
	local log="$XDG_DATA_HOME/holm/machines/m/console.log"
	holm machine create m --no-boot >/dev/null
	printf '2025-11-30T03:00:%02d.000000Z line %d\n' 0 0 1 1 2 2 3 3 4 4 >"$log"
	printf 'line without\n2025-11-30T03:00:06.000000Z 2020-01-01T00:00:00.000000Z forged\n' >>"$log"
	equal "line 0
line 1
line 2
line 3
line 4
line without
2020-01-01T00:00:00.000000Z forged" "$(holm machine logs m)"
	equal "2025-11-30T03:00:00.000000Z line 0" "$(holm machine logs -t m | head -n 1)"
	equal "line 1
line 2" "$(holm machine logs m --since 2025-11-30T03:00:01Z --until 2025-11-30T04:00:03+01:00)"
	equal "line 2" "$(holm machine logs m --since 2025-11-30T03:00:01Z --until 2025-11-30T03:00:03Z -n 1)"
	equal "line 4
line without
2020-01-01T00:00:00.000000Z forged" "$(holm machine logs m --since 2025-11-30T03:00:04Z)"
	equal 7 "$(holm machine logs m --since 2025-11-30T03:00:00Z | wc -l)"
	equal '' "$(holm machine logs m --until 1h --since 2h)"
	equal "line without
2020-01-01T00:00:00.000000Z forged" "$(holm machine logs m -n 2)"
	fails 125 holm machine logs m --since yesterday
	contains "$stderr" "--since yesterday: give a time"
	fails 125 holm machine logs m -f --until 1m
	holm machine rm m
}

@test "logs: a terminal gets text and colours alone, a file and --raw all" {
	requires script python3
	holm machine create m --no-boot >/dev/null
	local file shown=$'\033[1;31mred\033[0m bl\303\245 ab?2J?c'
	for file in console.log boot.log; do
		printf '\033[1;31mred\033[0m bl\303\245 a\033]52;c;aGVsbG8=\007b\302\2332J\342\200\256c\033]0;title\033\\\033[2J\n\033]0;never ended\nlast\n' >"$XDG_DATA_HOME/holm/machines/m/$file"
	done
	for file in '' --boot; do
		equal "$shown"$'\n\nlast' "$(on_terminal "holm machine logs $file m")"
		equal "$(cat "$XDG_DATA_HOME/holm/machines/m/console.log")" "$(holm machine logs $file m)"
		equal "$(cat "$XDG_DATA_HOME/holm/machines/m/console.log")" "$(on_terminal "holm machine logs --raw $file m")"
		equal last "$(on_terminal "holm machine logs -n 1 $file m")"
	done
	holm machine rm m
}

@test "logs -f: what is added is clean on a terminal, however it is cut" {
	requires script python3
	holm machine create m --no-boot >/dev/null
	local log="$XDG_DATA_HOME/holm/machines/m/console.log"
	printf 'one\033]52;c' >"$log"
	background script -qefc "stty -onlcr; exec holm machine logs -f m" /dev/null >"$WORLD/seen" </dev/null
	until_true 60 grep -q one "$WORLD/seen"
	printf ';aGk=\007two\303' >>"$log"
	until_true 60 grep -q two "$WORLD/seen"
	printf '\245\033[3' >>"$log"
	until_true 60 grep -q $'two\303\245' "$WORLD/seen"
	printf '2mgreen\n' >>"$log"
	until_true 60 grep -q green "$WORLD/seen"
	# The next boot's log: half a sequence of the last one is none of it.
	printf '\033]0;half' >>"$log"
	printf 'next\n' >"$log.new"
	mv "$log.new" "$log"
	until_true 60 grep -q next "$WORLD/seen"
	equal $'onetwo\303\245\033[32mgreen\n\033[mnext' "$(cat "$WORLD/seen")"
	holm machine rm m
	wait "$pid"
}

@test "two creations of one name: one wins, one names it" {
	holm machine create a --no-boot -n same >"$WORLD/one" 2>&1 &
	local first=$!
	holm machine create b --no-boot -n same >"$WORLD/two" 2>&1 || true
	wait $first || true
	equal same "$(cat "$WORLD/one" "$WORLD/two" | grep -v already)"
	equal 1 "$(cat "$WORLD/one" "$WORLD/two" | grep -c already)"
	holm machine rm same
}

@test "clone copies the settings and not the identity" {
	holm machine create a --no-boot --memory 300M -e A=1 -n one >/dev/null
	: >"$XDG_DATA_HOME/holm/machines/one/touched"
	if holm machine clone one two >/dev/null 2>&1; then
		equal "$(field one env.A) $(field one memory)" "$(field two env.A) $(field two memory)"
		[ "$(field one id)" != "$(field two id)" ]
		holm machine rm two
	fi
	fails 125 holm machine clone one one
	fails 125 holm machine clone one Bad_Name
	holm machine rm one
}

@test "creating without a boot takes no time" {
	requires python3
	# On a busy host the first may not.
	local n=0
	is_quick()
	{
		local begin
		begin=$(date +%s%N)
		n=$((n + 1))
		holm machine create a --no-boot -n "quick$n" >/dev/null
		[ $((($(date +%s%N) - begin) / 1000000)) -lt 1000 ]
	}
	until_true 60 is_quick
	holm machine rm --force --all
}
