#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ssh(1) to a machine, through holm-ssh as its ProxyCommand. In a VM only the cases run whose other
# end is made otherwise there; a session's bytes take the same way as in session.bats.
load ../lib/holm

setup_file()
{
	command -v ssh >/dev/null || skip "there is no ssh here"
	holm_begin
	create box busybox
	export SSH_CONFIG="$WORLD/ssh config"
	holm ssh-config | sed -n '/^Host /,$p' >"$SSH_CONFIG"
}

teardown_file()
{
	holm_end
}

to()
{
	command timeout --kill-after=5 "${HOLM_TEST_TIMEOUT:-180}" ssh -F "$SSH_CONFIG" "$@"
}

# The processes that serve connections of this world.
servers()
{
	pgrep -c -u "$UID_ME" -f "holm-ssh box.holm" || true
}

# bring PROGRAM: the host's, with its loader and libraries, as $HOME/brought/PROGRAM.sh.
bring()
{
	local file to="$HOME/brought"
	local PATH=$PATH:/usr/sbin:$HOLM_TEST_STAGE/sshd LD_LIBRARY_PATH=$HOLM_TEST_STAGE/sshd
	export LD_LIBRARY_PATH
	mkdir -p "$to"
	for file in "$(type -P "$1")" $(ldd "$(type -P "$1")" | grep -o '/[^ ]*'); do
		cp -L "$file" "$to"
	done
	printf '#!/bin/sh\nexec "%s"/ld-linux-x86-64.so.2 --library-path "%s" "%s/%s" "$@"\n' "$to" "$to" "$to" "$1" >"$to/$1.sh"
	chmod +x "$to/$1.sh"
}

# A web server on the machine's loopback interface.
serve_pages()
{
	head -c 4000000 /dev/urandom >"$HOME/page"
	in_machine box sh -c "httpd -p 127.0.0.1:8000 -h '$HOME'"
	until_true 30 sh -c "printf 'GET /page HTTP/1.0\r\n\r\n' | timeout 20 ssh -F '$SSH_CONFIG' -W localhost:8000 box.holm 2>/dev/null | grep -q ."
}

no_servers()
{
	[ "$(servers)" = 0 ]
}

@test "ssh boots a stopped machine; the user is the host's, or the one before the @" {
	holm machine stop box
	equal "$ME $HOME" "$(to box.holm 'echo $(whoami) $(pwd)' </dev/null)"
	equal "running" "$(state box)"
	equal "0 /root" "$(to root@box.holm 'echo $(id -u) $(pwd)' </dev/null)"
	equal 600 "$(stat -c %a "$XDG_DATA_HOME/holm/ssh/host_key")"
	equal "daemon" "$(to daemon@box.holm whoami </dev/null)"
	exits 125 to nobody-has-this@box.holm true </dev/null
	contains "$stderr" 'no user "nobody-has-this"'
}

@test "ssh: a machine that is not there, and a name that cannot be one" {
	requires native
	exits 255 to nosuch.holm true </dev/null
	contains "$stderr" 'holm: no machine "nosuch"'
	exits 255 to Not_A_Name.holm true </dev/null
	contains "$stderr" "holm: "
}

@test "ssh: the login shell gets the line; exit status and signal come back" {
	equal 'a b "c"' "$(to box.holm 'echo a b \"c\"' </dev/null)"
	exits 42 to box.holm 'exit 42' </dev/null
	exits 127 to box.holm nosuchprogram </dev/null
	exits 255 to box.holm 'kill -TERM $$' </dev/null
	to -v box.holm 'kill -TERM $$' </dev/null 2>&1 | grep -q 'exit-signal'
}

@test "ssh: two streams, eight bits, and an end of stdin" {
	requires native
	exits 0 to box.holm 'echo out; echo err >&2' </dev/null
	equal out "$output"
	equal err "$stderr"
	equal "$(printf 'a\0b\377\r\n' | od -c)" "$(printf 'a\0b\377\r\n' | to box.holm cat | od -c)"
	equal 0 "$(to -n box.holm 'wc -c')"
}

@test "ssh: variables of the client; TERM only with a terminal; the machine's settings" {
	requires native
	equal 'one $two|' "$(to -o SetEnv='A="one $two"' box.holm 'echo "$A|$TERM"' </dev/null)"
	equal '127.0.0.1 0 127.0.0.1 22' "$(to box.holm 'echo "$SSH_CONNECTION"' </dev/null)"
	holm machine set -n box proxy=http://p:1 2>/dev/null
	equal 'http://p:1' "$(to box.holm 'echo "$http_proxy"' </dev/null)"
	holm machine set -n box proxy=host 2>/dev/null
}

@test "ssh -t: a terminal of the client's size, which follows it; Ctrl-C" {
	requires native
	contains "$(TERM=xterm on_terminal 'stty rows 33 cols 111; ssh -F "$SSH_CONFIG" -t box.holm "stty size; tty; echo \$TERM"' 2>/dev/null)" $'33 111\r\n/dev/pts/'
	python3 - "$SSH_CONFIG" <<-'E'
	import fcntl, os, pty, struct, sys, termios
	pid, terminal = pty.fork()
	if pid == 0:
	    os.execvp("ssh", ["ssh", "-F", sys.argv[1], "-tt", "box.holm", "trap 'stty size' WINCH; trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 1; done"])
	seen = b""
	def until(text):
	    global seen
	    while text not in seen:
	        seen += os.read(terminal, 4096)
	until(b"ready")
	fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
	until(b"44 122")
	os.write(terminal, b"\x03")
	until(b"caught")
	sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 7)
	E
}

@test "ssh: bytes both ways are right, through exchanges of keys and many at once" {
	requires native
	local i
	head -c 8000000 /dev/urandom >"$WORLD/random"
	local sum
	sum=$(sha256sum <"$WORLD/random")
	equal "$sum" "$(to -o RekeyLimit=1M box.holm cat <"$WORLD/random" | sha256sum)"
	local pids=()
	for i in 1 2; do
		to -o RekeyLimit="${i}M" box.holm 'cat' <"$WORLD/random" 2>/dev/null | sha256sum >"$WORLD/sum.$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	for i in 1 2; do
		equal "$sum" "$(cat "$WORLD/sum.$i")"
	done
	rm "$WORLD/random"
	# A reader that is slower than the client gets no more than it has room for.
	equal 24000000 "$(head -c 24000000 /dev/zero | to box.holm 'dd bs=2k 2>/dev/null | wc -c')"
}

@test "ssh: forty sessions over one connection; a slow one holds no other up" {
	requires native
	local i pids=()
	to -M -S "$WORLD/master" -o ControlPersist=yes -N -f box.holm 3>&-
	# Nobody reads its output.
	to -S "$WORLD/master" box.holm 'cat /dev/zero' 2>/dev/null 3>&- | { read -r -t 120 <>"$WORLD/hold.$$" || true; } &
	for i in {1..40}; do
		to -S "$WORLD/master" box.holm "echo $i; cat" </dev/null >"$WORLD/out.$i" 2>&1 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	for i in {1..40}; do
		equal "$i" "$(cat "$WORLD/out.$i")"
	done
	to -S "$WORLD/master" -O exit box.holm 2>/dev/null
	until_true 30 no_servers
}

@test "ssh: a client that is killed leaves nothing" {
	requires native
	local left
	background ssh -F "$SSH_CONFIG" box.holm 'echo $$ >left; exec sleep 1000'
	until_true 60 test -s left
	left=$(cat left)
	kill -KILL "$pid"
	until_true 30 no_servers
	until_true 30 in_machine box sh -c "! kill -0 $left" 2>/dev/null
	rm left
}

@test "sftp, scp and rsync as the session's user, in an image without a C library" {
	local file="$HOME/a file"
	head -c 3000000 /dev/urandom >"$file"
	sftp_to()
	{
		command timeout 60 sftp -q -F "$SSH_CONFIG" -b - "$@"
	}
	printf 'get "%s" "%s"\nput "%s" /tmp/from-host\nls -l /tmp\n' "$file" "$WORLD/got" "$file" | sftp_to box.holm >"$WORLD/said"
	cmp "$file" "$WORLD/got"
	contains "$(cat "$WORLD/said")" from-host
	equal "$UID_ME $(sha256sum <"$file")" "$(to -n box.holm 'echo $(stat -c %u /tmp/from-host) "$(sha256sum </tmp/from-host)"')"
	echo 'put /etc/hostname /root/from-host' | sftp_to root@box.holm >/dev/null
	equal 0 "$(as_root box stat -c %u /root/from-host)"
	command timeout 60 scp -q -F "$SSH_CONFIG" "$file" box.holm:copied
	cmp "$file" "$HOME/copied"
	rm -f "$file" "$HOME/copied" "$WORLD/got" "$WORLD/said"
}

@test "rsync over ssh, both ways" {
	requires native
	requires rsync
	bring rsync
	mkdir tree
	cp -r /etc/init.d /etc/passwd tree
	rsync -a -e "ssh -F '$SSH_CONFIG'" --rsync-path="'$HOME/brought/rsync.sh'" tree/ box.holm:/tmp/tree
	rsync -a -e "ssh -F '$SSH_CONFIG'" --rsync-path="'$HOME/brought/rsync.sh'" box.holm:/tmp/tree/ back
	diff -r tree back
	rm -rf brought tree back
}

@test "ssh -W, -L and -D: a port inside, by address and by a name that the machine knows" {
	requires curl
	local port socks
	serve_pages
	printf 'GET /page HTTP/1.0\r\n\r\n' | to -W 127.0.0.1:8000 box.holm | tail -c 4000000 | cmp - "$HOME/page"
	as_root box sh -c 'echo "127.0.0.1 inside.test" >>/etc/hosts'
	port=$(free_port) socks=$(free_port)
	to -M -S "$WORLD/master" -N -f -L "127.0.0.1:$port:localhost:8000" -D "127.0.0.1:$socks" box.holm 3>&-
	curl -s --max-time 60 "http://127.0.0.1:$port/page" | cmp - "$HOME/page"
	curl -s --max-time 60 --socks5-hostname "127.0.0.1:$socks" http://inside.test:8000/page | cmp - "$HOME/page"
	# Nobody listens; no such name.
	exits 97 curl -s --max-time 60 --socks5-hostname "127.0.0.1:$socks" http://inside.test:8001/page
	exits 97 curl -s --max-time 60 --socks5-hostname "127.0.0.1:$socks" http://nosuch.invalid:8000/page
	to -S "$WORLD/master" -O exit box.holm 2>/dev/null
	as_root box sh -c 'sed -i /inside.test/d /etc/hosts; killall httpd'
	rm "$HOME/page"
	until_true 30 no_servers
}

@test "ssh -A: the client's agent, for as long as the session" {
	requires native
	requires ssh-agent
	local agent
	eval "$(ssh-agent -a "$WORLD/agent" 3>&-)" >/dev/null
	agent=$SSH_AGENT_PID
	ssh-keygen -q -t ed25519 -N '' -f "$TMPDIR/key" -C a-key-of-the-client
	ssh-add -q "$TMPDIR/key"
	bring ssh-add
	contains "$(to -A box.holm "'$HOME/brought/ssh-add.sh' -l" </dev/null)" a-key-of-the-client
	equal '<>' "$(to box.holm 'echo "<$SSH_AUTH_SOCK>"' </dev/null)"
	kill "$agent"
	unset SSH_AUTH_SOCK
	rm -rf "$TMPDIR"/key* brought
	equal '' "$(find "$XDG_RUNTIME_DIR" -name 'ssh-agent*')"
}

@test "ssh -R: a port inside leads to the client, until the connection ends" {
	local port pid
	port=$(free_port)
	listen "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" SYSTEM:'cat; echo the client'
	until_true 30 is_open "$port"
	to -M -S "$WORLD/master" -N -f -o ExitOnForwardFailure=yes -R "8100:127.0.0.1:$port" box.holm 3>&-
	equal $'asked\nthe client' "$(in_machine box sh -c 'echo asked | timeout 20 nc 127.0.0.1 8100')"
	# A second one on the same port, and one that is root's.
	exits 255 to -N -o ExitOnForwardFailure=yes -R "8100:127.0.0.1:$port" box.holm
	if [ "$UID_ME" != 0 ]; then
		exits 255 to -N -o ExitOnForwardFailure=yes -R "100:127.0.0.1:$port" box.holm
	fi
	# Nobody listens on that port of the client: the connection ends, and no other channel does.
	equal alive "$(to -n -R "8101:127.0.0.1:1" box.holm 'timeout 20 nc 127.0.0.1 8101 </dev/null; echo alive' 2>/dev/null)"
	[[ "$(to -S "$WORLD/master" -O forward -R "0:127.0.0.1:$port" box.holm)" =~ ^[0-9]+$ ]]
	to -S "$WORLD/master" -O cancel -R "8100:127.0.0.1:$port" box.holm
	run ! in_machine box timeout 20 nc 127.0.0.1 8100 </dev/null
	to -S "$WORLD/master" -O exit box.holm 2>/dev/null
	kill "$pid"
	until_true 30 no_servers
}

@test "as an editor comes in: a shell fed on stdin, a server that stays, a dynamic forward to its port" {
	requires native
	requires curl
	local socks shell
	socks=$(free_port)
	head -c 1000000 /dev/urandom >"$HOME/page"
	mkfifo "$WORLD/script"
	to -T -D "127.0.0.1:$socks" box.holm sh <"$WORLD/script" >"$WORLD/said" 2>&1 3>&- &
	shell=$!
	exec 4>"$WORLD/script"
	printf 'echo "begin $(uname -s) $(uname -m) $HOME"\nmkdir -p .server && cd .server && mv ../page . || exit 1\n' >&4
	until_true 60 grep -q "^begin Linux x86_64 $HOME\$" "$WORLD/said"
	printf '%s\n' 'httpd -f -p 127.0.0.1:8200 </dev/null >log 2>&1 & echo $! >pid' 'echo "listening==8200== exit==$?=="' >&4
	until_true 60 grep -q '^listening==8200== exit==0==' "$WORLD/said"
	until_true 30 curl -sf --max-time 20 --socks5-hostname "127.0.0.1:$socks" -o "$WORLD/got" http://127.0.0.1:8200/page
	cmp "$WORLD/got" "$HOME/.server/page"
	exec 4>&-
	wait "$shell"
	# The next window finds the server there.
	printf 'GET /page HTTP/1.0\r\n\r\n' | to -W 127.0.0.1:8200 box.holm | tail -c 1000000 | cmp - "$WORLD/got"
	to -n box.holm 'kill $(cat .server/pid)'
	rm -rf "$HOME/.server" "$WORLD/got" "$WORLD/said" "$WORLD/script"
}

# With its user, and with an account that an sshd without PAM lets in.
give_sshd()
{
	bring sshd
	# shellcheck disable=SC2016
	as_root box sh -c 'ln -s "$1/brought/sshd.sh" /usr/sbin/sshd && echo "sshd:x:74:74::/run/sshd:/sbin/nologin" >>/etc/passwd &&
		sed -i "s/^$2:!/$2:*/" /etc/shadow' sh "$HOME" "$ME"
}

@test "ssh-config --server sshd: the image's own sshd, with what holm's server does not have" {
	requires native
	requires socat
	PATH=$PATH:/usr/sbin:$HOLM_TEST_STAGE/sshd requires sshd
	local holms=$SSH_CONFIG SSH_CONFIG="$WORLD/sshd config"
	holm ssh-config --server sshd box | sed -n '/^Host /,$p' >"$SSH_CONFIG"
	exits 255 to box.holm true </dev/null
	contains "$stderr" 'holm: machine "box": it has no sshd; install the package openssh-server inside'
	give_sshd
	equal "$ME one" "$(to -o SetEnv=A=one box.holm 'echo $(whoami) $A' </dev/null)"
	equal 0 "$(to root@box.holm 'id -u' </dev/null)"
	equal y "$(to -n box.holm yes | head -n 1)"
	# A socket of the host, seen inside, seen on the host again.
	listen "UNIX-LISTEN:$WORLD/far,fork" SYSTEM:'cat; echo the client'
	to -M -S "$WORLD/master" -N -f -o ExitOnForwardFailure=yes -R "/tmp/near:$WORLD/far" -L "$WORLD/back:/tmp/near" box.holm 3>&-
	equal $'asked\nthe client' "$(echo asked | timeout 20 socat -t 20 - "UNIX-CONNECT:$WORLD/back")"
	to -S "$WORLD/master" -O exit box.holm 2>/dev/null
	kill "$pid"
	equal '' "$(as_root box sh -c 'ls -A /run | grep holm-ssh; ls -A /etc/ssh /root/.ssh 2>/dev/null')"
	printf '#!/bin/sh\necho "it is broken: $0" >&2; exit 1\n' >broken
	chmod +x broken
	as_root box ln -sf "$HOME/broken" /usr/sbin/sshd
	exits 255 to box.holm true </dev/null
	contains "$stderr" 'holm: machine "box": its sshd does not start: it is broken: /usr/sbin/sshd'
	as_root box rm /usr/sbin/sshd
	rm -rf brought broken "$WORLD/far" "$WORLD/back"
	SSH_CONFIG=$holms
	until_true 30 no_servers
}

@test "git over ssh: push and clone" {
	requires native
	requires git
	bring git
	mv brought/git brought/git.real
	# shellcheck disable=SC2016
	printf '#!/bin/sh\nPATH="%s:$PATH"\nexec "%s"/ld-linux-x86-64.so.2 --library-path "%s" "%s/git.real" "$@"\n' "$HOME/brought" "$HOME/brought" "$HOME/brought" "$HOME/brought" >brought/git
	chmod +x brought/git
	export GIT_SSH_COMMAND="ssh -F '$SSH_CONFIG'" GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
	git init -q -b main repository
	head -c 300000 /dev/urandom >repository/file
	git -C repository add file
	git -C repository commit -q -m 'add a file'
	to -n box.holm "'$HOME/brought/git' init -q --bare /tmp/repository.git"
	git -C repository push -q --receive-pack="'$HOME/brought/git' receive-pack" box.holm:/tmp/repository.git main
	git clone -q -b main -u "'$HOME/brought/git' upload-pack" box.holm:/tmp/repository.git clone
	cmp repository/file clone/file
	rm -rf brought repository clone
}
