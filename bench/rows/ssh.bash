# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ssh to a native machine through holm-ssh, and to the host's sshd on the loopback interface: the
# same client, exchange of keys, cipher and host key type. sshd wants a key of the user; the client
# has it in a file.

ssh_mib=512

# ssh_sshd: an sshd of the user's own. Its client's configuration is $world/sshd/client; says why
# there is none.
ssh_sshd()
{
	local folder=$world/sshd sshd port
	sshd=$(PATH=$PATH:/usr/sbin type -P sshd) || { echo "no sshd here"; return 1; }
	port=$(ports_free)
	as_user mkdir -p "$folder"
	as_user ssh-keygen -q -t ed25519 -N '' -f "$folder/host" </dev/null
	as_user ssh-keygen -q -t ed25519 -N '' -f "$folder/key" </dev/null
	as_user cp "$folder/key.pub" "$folder/authorized"
	as_user tee "$folder/server" >/dev/null <<-END
		ListenAddress 127.0.0.1:$port
		HostKey $folder/host
		AuthorizedKeysFile $folder/authorized
		PidFile none
		StrictModes no
		UsePAM no
		Subsystem sftp internal-sftp
	END
	as_user tee "$folder/client" >/dev/null <<-END
		Host bench
		HostName 127.0.0.1
		Port $port
		IdentityFile $folder/key
		IdentitiesOnly yes
		UserKnownHostsFile /dev/null
		StrictHostKeyChecking no
		LogLevel ERROR
		KexAlgorithms curve25519-sha256
		Ciphers aes128-gcm@openssh.com
		Compression no
	END
	ports_background "$sshd" -D -e -f "$folder/server"
	wait_for 10 as_user ssh -F "$folder/client" bench true || { echo "the user's own sshd does not answer"; return 1; }
}

# ssh_bytes SIDE CONFIG HOST: samples of SIDE.cat and SIDE.sftp, microseconds.
ssh_bytes()
{
	sample "$1.cat" "${user_words[@]}" sh -c "ssh -F '$2' '$3' cat '\"$HOME/ssh-file\"' >/dev/null"
	sample "$1.sftp" "${user_words[@]}" sh -c "echo 'get \"$HOME/ssh-file\" /dev/null' | sftp -q -F '$2' -b - '$3' >/dev/null"
}

# ssh_rate SIDE: MiB a second.
ssh_rate()
{
	awk -v us="$(of "$1" p50)" -v mib="$ssh_mib" 'BEGIN { printf "%.0f", mib * 1000000 / us }'
}

bench_ssh()
{
	local what="ssh NAME.holm true" why kind ours theirs ratio
	sides_begin
	native_machine ssh busybox
	as_user mkdir -p "$world/ssh"
	as_user holm ssh-config | sed -n '/^Host /,$p' | as_user tee "$world/ssh/config" >/dev/null
	as_user fallocate -l "${ssh_mib}M" "$HOME/ssh-file" 2>/dev/null || as_user truncate -s "${ssh_mib}M" "$HOME/ssh-file"
	side "$what" holm "${user_words[@]}" ssh -F "$world/ssh/config" ssh.holm true
	if ! why=$(ssh_sshd); then
		skipped "$what" "sshd" "$why"
		measure_sides 50
		row "$what" "$(ms "$(of holm p50)")" "" "" ""
		return
	fi
	side "$what" sshd "${user_words[@]}" ssh -F "$world/sshd/client" bench true
	measure_sides 50
	beside "$what" sshd "ssh to the host's sshd, true" p50 "$(at_most_ratio 1.0 "$(of holm p50)" "$(of sshd p50)")"
	for _ in $(seq "$rounds"); do
		ssh_bytes holm "$world/ssh/config" ssh.holm
		ssh_bytes sshd "$world/sshd/client" bench
	done
	for kind in cat sftp; do
		ours=$(ssh_rate "holm.$kind") theirs=$(ssh_rate "sshd.$kind") ratio=$(ratio "$(ssh_rate "holm.$kind")" "$(ssh_rate "sshd.$kind")")
		row "ssh: $kind of $ssh_mib MiB" "$ours MiB/s" "the host's sshd" "$theirs MiB/s" "$ratio" "$(at_least 1.0 "$ratio")"
	done
	as_user holm machine rm --force ssh >/dev/null 2>&1
}
