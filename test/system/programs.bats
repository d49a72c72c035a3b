#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The shared home under programs that people use there and under what Debian packages to try file systems: git, make and a compiler, SQLite, rsync,
# tar, dbench, stress-ng, fio (xfstests and pjdfstest are not in Debian 12). As the user and as root inside; what they leave is checked on the host.
load ../lib/holm

setup_file()
{
	holm_begin
	cp -r "$BATS_TEST_DIRNAME/../lib/programs" lib
	export PYTHONDONTWRITEBYTECODE=1
	create box programs --init holm --cpus 2 --memory 1G
	holm machine start --wait box
}

teardown_file()
{
	holm_end
}

# inside user|root COMMAND...
inside()
{
	local who=$1
	shift
	case "$who" in
	user) in_machine box "$@" ;;
	root) as_root box "$@" ;;
	esac
}

# same_tree A B: two lists of lib/manifest.
same_tree()
{
	diff "$1" "$2" >differences || { head -n 20 differences >&2; return 1; }
}

# all_files COMMAND...: on the host, where what root made may belong to a subordinate id.
all_files()
{
	if [ "$ISOLATION" = native ]; then
		inside_mapping "$@"
	else
		"$@"
	fi
}

# remove NAME...: whoever made it.
remove()
{
	as_root box sh -c 'for name; do [ ! -d "$name/locked" ] || chmod u+w "$name/locked"; rm -rf "$name"; done' sh "$@"
}

# --- git -------------------------------------------------------------------------------------------------------------------------------

# A bare repository with three commits of 120 files.
make_repository()
{
	git init -q --bare -b main "$1"
	awk 'BEGIN {
		for (c = 1; c <= 3; c++) {
			printf "commit refs/heads/main\ncommitter Host <host@example.org> %d +0000\ndata 8\ncommit %d\n", 1700000000 + c, c
			for (f = 0; f < 120; f++) {
				if (c > 1 && f % c) continue
				text = ""
				for (l = 0; l < f % 40; l++) text = text "line " l " of file " f " in commit " c "\n"
				printf "M 100644 inline folder%d/sub%d/file%d\ndata %d\n%s\n", f % 10, f % 3, f, length(text), text
			}
		}
	}' | git -C "$1" fast-import --quiet
}

# In a virtual machine git says of root's own clone that it belongs to somebody else (holm-machine(1)), but for safe.directory.
check_git()
{
	local who=$1
	make_repository "repository.$who"
	inside "$who" sh -euc '
		export HOME=$(mktemp -d)
		git config --global user.name Inside
		git config --global user.email inside@example.org
		git config --global safe.directory "*"
		git clone -q "$1" clone
		cd clone
		test "$(git ls-files | wc -l)" = 120
		for file in folder3/*/*; do echo changed >>"$file"; done
		git mv folder4 moved
		git rm -qr folder5
		mkdir new
		for n in $(seq 1 20); do echo $n >new/$n; done
		git add new
		git commit -qam "from inside"
		test -z "$(git status --porcelain)"
		git gc -q --prune=now
		git fsck --full --strict
		git checkout -q HEAD~2
		git checkout -q main
		test -z "$(git status --porcelain)"
		git push -q
		rm -r "$HOME"' sh "repository.$who"
	equal "" "$(git -c safe.directory='*' --no-optional-locks -C clone status --porcelain)"
	git -c safe.directory='*' -C clone fsck --full --strict
	equal 128 "$(git -c safe.directory='*' -C clone ls-files | wc -l)"
	equal "from inside" "$(git -C "repository.$who" log -1 --format=%s main)"
	git -C "repository.$who" fsck --full --strict
	if [ "$who-$ISOLATION" = root-vm ]; then
		run ! as_root box git -C clone status
	fi
	remove clone "repository.$who"
}

@test "git clones, commits, packs and checks, as the user" {
	check_git user
}

@test "git clones, commits, packs and checks, as root" {
	check_git root
}

# A change outside is seen within the second for which names, sizes and times are believed; a file that is opened is new at once.
changes_seen()
{
	[ "$(in_machine box git -C clone status --porcelain | wc -l)" = "$1" ]
}

@test "git on the host and inside share one working tree" {
	make_repository repository
	git clone -q repository clone
	git -C clone config user.name Both
	git -C clone config user.email both@example.org
	local n
	for n in 1 2; do
		changes_seen 0
		echo "host $n" >>clone/folder1/sub1/file1
		rm clone/folder2/sub2/file$((n * 30 + 2))
		until_true 60 changes_seen 2
		git -C clone commit -qam "host $n"
		equal "host $n" "$(in_machine box git -C clone log -1 --format=%s)"
		changes_seen 0
		in_machine box sh -c 'cd clone; echo "inside '$n'" >>folder1/sub1/file1; git mv folder6 again; git mv again folder6; git commit -qam "inside '$n'"'
		equal "inside $n" "$(git -C clone log -1 --format=%s)"
		equal "" "$(git -C clone status --porcelain)"
	done
	remove clone repository
}

# --- make and a compiler ------------------------------------------------------------------------------------------------------------------

not_up_to_date()
{
	! inside "$1" make -q -C project
}

# check_build WHO COUNT: of so many files.
check_build()
{
	local who=$1 count=$2
	local sum=$((count * (count + 1) / 2))
	lib/make-project project "$count"
	inside "$who" make -s -j2 -C project
	equal $sum "$(project/out/program)"
	equal $sum "$(inside "$who" project/out/program)"
	make -q -C project
	inside "$who" make -q -C project
	# A change outside: one file is compiled again, not all.
	sed -i 's/+ 7;/+ 1007;/' project/src/part_7.c
	until_true 60 not_up_to_date "$who"
	equal 1 "$(inside "$who" make -j2 -C project | grep -c -e ' -c ')"
	equal $((sum + 1000)) "$(project/out/program)"
	remove project
}

@test "a C project is built with make -j2, as the user" {
	check_build user 30
}

@test "a C project is built with make -j2, as root" {
	check_build root 10
}

# --- SQLite ---------------------------------------------------------------------------------------------------------------------------

# rows FROM COUNT: one transaction each.
rows()
{
	printf '.log stderr\n.bail on\n.timeout 120000\n'
	seq "$1" $(($1 + $2 - 1)) | sed 's/.*/INSERT INTO t VALUES(&, randomblob(& % 3000));/'
}

# check_sqlite JOURNAL WHO WHO: two at once, while a third looks whether all is well.
check_sqlite()
{
	local count=150 first second state='PRAGMA integrity_check; SELECT count(*) FROM t WHERE length(data) = id % 3000'
	sqlite3 db "PRAGMA journal_mode=$1; CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB);" >mode
	equal "$1" "$(cat mode)"
	rows 1 $count >one.sql
	rows 100001 $count >two.sql
	inside "$2" sh -c 'sqlite3 db <one.sql' 3>&- &
	first=$!
	inside "$3" sh -c 'sqlite3 db <two.sql' 3>&- &
	second=$!
	equal ok "$(inside "$2" sqlite3 -cmd '.timeout 120000' db 'PRAGMA integrity_check')"
	wait $first
	wait $second
	equal "ok $((2 * count))" "$(inside "$2" sqlite3 db "$state" | paste -sd' ')"
	equal "ok $((2 * count))" "$(sqlite3 db "$state" | paste -sd' ')"
	sqlite3 db "DELETE FROM t WHERE id > 100000"
	equal $count "$(inside "$3" sqlite3 db 'SELECT count(*) FROM t')"
	remove db db-wal db-shm db-journal mode one.sql two.sql
}

@test "SQLite with two writers, with a rollback journal" {
	check_sqlite delete user user
}

@test "SQLite with two writers, with a write-ahead log in shared memory" {
	check_sqlite wal user user
}

@test "SQLite with the user and root as writers" {
	check_sqlite delete user root
	check_sqlite wal root user
}

# --- rsync and tar ----------------------------------------------------------------------------------------------------------------------

@test "a tree made inside is the same outside, and the other way round" {
	local who
	lib/make-tree tree
	lib/manifest tree >outside.list
	for who in user root; do
		inside "$who" lib/manifest tree >inside.list
		same_tree outside.list inside.list
		inside "$who" lib/make-tree made
		inside "$who" lib/manifest made >inside.list
		all_files lib/manifest made >made.outside
		same_tree inside.list made.outside
		same_tree outside.list inside.list
		remove made
	done
	remove tree
}

check_rsync()
{
	local who=$1
	lib/make-tree tree
	# From the share to the machine's own disk and back: the second time there is nothing to do.
	inside "$who" rsync -aHX --checksum tree/ /var/tmp/copy/
	equal "" "$(inside "$who" rsync -aHX --checksum -i tree/ /var/tmp/copy/)"
	inside "$who" rsync -aHXS --checksum /var/tmp/copy/ back/
	equal "" "$(inside "$who" rsync -aHX --checksum -i /var/tmp/copy/ back/)"
	lib/manifest tree >outside.list
	lib/manifest back >inside.list
	same_tree outside.list inside.list
	echo more >>tree/d1/e1/f1
	equal ">fc" "$(inside "$who" rsync -aHX --checksum -i tree/ back/ | cut -c1-3)"
	equal "$(sha256sum <tree/d1/e1/f1)" "$(sha256sum <back/d1/e1/f1)"
	remove tree back /var/tmp/copy
}

@test "rsync -aHX --checksum both ways, as the user" {
	check_rsync user
}

@test "rsync -aHX --checksum both ways, as root" {
	check_rsync root
}

check_tar()
{
	local who=$1
	lib/make-tree tree
	mkdir out
	lib/manifest tree >outside.list
	inside "$who" tar --format=pax --xattrs -C tree -S -cf inside.tar .
	tar --xattrs -C out -xpf inside.tar
	lib/manifest out >out.outside
	same_tree outside.list out.outside
	[ "$(stat -c %b out/sparse)" -lt 2000 ]
	remove out
	tar --format=pax --xattrs -C tree -S -cf outside.tar .
	inside "$who" sh -c 'mkdir out && tar --xattrs -C out -xpf outside.tar'
	lib/manifest out >out.outside
	same_tree outside.list out.outside
	inside "$who" lib/manifest out >out.inside
	same_tree outside.list out.inside
	[ "$(stat -c %b out/sparse)" -lt 2000 ]
	remove tree out inside.tar outside.tar
}

@test "tar packs inside and unpacks outside, and the other way round, as the user" {
	check_tar user
}

@test "tar packs inside and unpacks outside, and the other way round, as root" {
	check_tar root
}

# --- what tries file systems --------------------------------------------------------------------------------------------------------------

check_fio()
{
	local who=$1
	inside "$who" sh -euc '
		mkdir fio
		cd fio
		try()
		{
			name=$1
			shift
			fio --name="$name" --size=4m --verify=crc32c --verify_fatal=1 --do_verify=1 --rw=randwrite "$@" >log 2>&1 || { cat log; exit 1; }
		}
		try direct --bs=4k --direct=1 --ioengine=psync
		try queued --bs=4k --direct=1 --ioengine=libaio --iodepth=16
		try mapped --bs=4k --ioengine=mmap
		try buffered --bsrange=512-16k --bs_unaligned --ioengine=sync --fsync=64
		sha256sum direct.0.0 queued.0.0 mapped.0.0 buffered.0.0' >sums
	(cd fio && sha256sum --quiet -c ../sums)
	remove fio
}

@test "fio writes at random, directly, in a queue, mapped and in odd pieces, and reads the same, as the user" {
	check_fio user
}

@test "fio writes at random, directly, in a queue, mapped and in odd pieces, and reads the same, as root" {
	check_fio root
}

# check_stress WHO NAME=COUNT...: these stressors of stress-ng at once, each until it has done so many rounds.
check_stress()
{
	local who=$1 word options=()
	shift
	for word in "$@"; do
		options+=("--${word%=*}" 1 "--${word%=*}-ops" "${word#*=}")
	done
	mkdir stress
	inside "$who" stress-ng --temp-path stress --verify --timeout 60 --hdd-bytes 2M --iomix-bytes 2M --fallocate-bytes 2M --seek-size 2M \
		--revio-bytes 2M --readahead-bytes 2M --sync-file-bytes 2M --msync-bytes 1M --sendfile-size 256K --mmap-bytes 1M --mmap-file \
		"${options[@]}" >log 2>&1 || { cat log >&2; return 1; }
	if grep -i fail log >&2; then
		return 1
	fi
	equal "" "$(ls -A stress)"
	remove stress log
}

names=(access=10 chmod=10 chown=20 dentry=50 dir=50 dirdeep=30 dirmany=50 filename=10 getdent=10 mknod=20 open=100 rename=50 touch=50 utime=50)
data=(fallocate=3 fault=30 fsize=3 hdd=100 io=10 iomix=30 mmap=1 msync=20 readahead=30 revio=20 seek=20 sendfile=30 splice=20 sync-file=5)
locks=(chattr=1 close=30 dnotify=5 fcntl=30 file-ioctl=20 flock=100 fstat=10 inotify=1 lease=20 locka=100 lockf=100 lockofd=100 xattr=10)

@test "stress-ng makes, renames and removes, as the user and as root" {
	check_stress user "${names[@]}"
	check_stress root "${names[@]}"
}

@test "stress-ng writes, maps, allocates and sends, as the user and as root" {
	check_stress user "${data[@]}"
	check_stress root "${data[@]}"
}

@test "stress-ng locks, leases, watches and sets attributes, as the user and as root" {
	check_stress user "${locks[@]}"
	check_stress root "${locks[@]}"
}

@test "dbench with two clients" {
	mkdir dbench
	in_machine box dbench -D dbench -t 5 2 >log || { cat log >&2; return 1; }
	grep Throughput log
	remove dbench log
}

# --- both sides at once ---------------------------------------------------------------------------------------------------------------

listings_equal()
{
	all_files lib/manifest churn >outside.list
	as_root box lib/manifest churn >inside.list
	same_tree outside.list inside.list
}

@test "the host, the user and root inside change one directory at the same time" {
	local user root
	mkdir -m 777 churn
	in_machine box lib/churn churn user 10 >user.log 3>&- &
	user=$!
	as_root box lib/churn churn root 10 >root.log 3>&- &
	root=$!
	lib/churn churn host 12 || { cat user.log root.log; return 1; }
	wait $user || { cat user.log; return 1; }
	wait $root || { cat root.log; return 1; }
	until_true 60 listings_equal
	remove churn
}

# Last, because a virtual machine has to start again for it.
@test "SQLite with one writer inside and one on the host" {
	local count=100 writer
	if [ "$ISOLATION" = vm ]; then
		holm machine stop box
		holm machine set -n box share-locks=host
	fi
	sqlite3 db 'CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)'
	# Who has read lately is who could believe what is no longer true.
	rows 1 $count | sed '/^INSERT/s/$/\nSELECT count(*) FROM t;/' >one.sql
	rows 100001 $count | sed '/^INSERT/s/$/\n.shell sleep 0.05/' >two.sql
	in_machine box sh -c 'touch started; sqlite3 db <one.sql >counts' 3>&- &
	writer=$!
	until_true 60 test -e started
	sqlite3 db <two.sql
	wait $writer
	equal "ok $((2 * count))" "$(sqlite3 db 'PRAGMA integrity_check; SELECT count(*) FROM t' | paste -sd' ')"
	equal "ok $((2 * count))" "$(in_machine box sqlite3 db 'PRAGMA integrity_check; SELECT count(*) FROM t' | paste -sd' ')"
	remove db one.sql two.sql started counts
}
