/* SPDX-License-Identifier: Apache-2.0
 * See sshd.h. A session of the machine's root runs a script, which runs `sshd -i`.
 *
 * Problem. sshd opens its host key by name and closes each descriptor above 2. The machine's own
 * keys and configuration are its user's, and no file of ours shall stay in the machine.
 *
 * Idea. The host key comes first on the session's stdin. The script writes it to a file below /run
 * that has lost its name before, and gives sshd that file as its stderr: HostKey is
 * /proc/self/fd/2. sshd -i writes nothing to its stderr. The client's public key is a word of
 * AuthorizedKeysCommand, so it needs no file.
 *
 * Failures. If sshd ends with an error, the script has it check its configuration (-t), this time
 * with a stderr that people see. */
#include "ssh/sshd.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "cli/machine/session.h"
#include "cli/machine/session_start.h"
#include "ssh/host_key.h"

enum { UMASK = 022, ROWS = 24, COLUMNS = 80 };

/* $1: the machine's name, $2: the client's public key. An empty line ends the host key. */
static const char script[] =
    "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin\n"
    "machine=$1 key=$2 package=openssh-server how=\n"
    "for tool in 'apt-get install' 'dnf install' 'zypper install' 'apk add' 'pacman -S'; do\n"
    "	if [ -z \"$how\" ] && command -v \"${tool%% *}\" >/dev/null; then how=$tool; fi\n"
    "done\n"
    "case $how in pacman*) package=openssh ;; esac\n"
    "sshd=$(command -v sshd) || {\n"
    "	printf 'holm: machine \"%s\": it has no sshd; install the package %s inside%s\\n' \"$machine\" $package \\\n"
    "		\"${how:+, for example: holm machine run -n $machine --root $how $package}\" >&2\n"
    "	exit 127\n"
    "}\n"
    "set -C\n"
    "umask 077\n"
    "file=/run/.holm-ssh.$$\n"
    "rm -f $file\n"
    "exec 4>$file 3<$file || exit 125\n"
    "rm -f $file\n"
    "set +C\n"
    "while IFS= read -r line && [ -n \"$line\" ]; do printf '%s\\n' \"$line\"; done >&4\n"
    "exec 4>&-\n"
    "umask 022\n"
    "[ -d /run/sshd ] || mkdir /run/sshd\n"
    "pam=no\n"
    "for file in /etc/pam.d/sshd /usr/lib/pam.d/sshd /etc/pam.conf; do [ ! -e $file ] || pam=yes; done\n"
    "set -- -f none -o UsePAM=$pam -o StrictModes=no \\\n"
    "	-o AuthorizedKeysFile=none -o \"AuthorizedKeysCommand=/bin/sh -c 'echo $key'\" -o "
    "AuthorizedKeysCommandUser=root \\\n"
    "	-o PubkeyAuthentication=yes -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no \\\n"
    "	-o AuthenticationMethods=publickey -o PermitRootLogin=yes -o MaxSessions=256 -o AcceptEnv='*' \\\n"
    "	-o AllowTcpForwarding=yes -o AllowStreamLocalForwarding=yes -o AllowAgentForwarding=yes \\\n"
    "	-o StreamLocalBindUnlink=yes -o X11Forwarding=yes -o PrintMotd=no -o PrintLastLog=no -o UseDNS=no \\\n"
    "	-o 'Subsystem=sftp internal-sftp'\n"
    "\"$sshd\" -i -o HostKey=/proc/self/fd/2 \"$@\" 2<&3 3<&- && exit 0\n"
    "status=$?\n"
    "why=$(\"$sshd\" -t -o HostKey=/proc/self/fd/0 \"$@\" 2>&1 <&3) || {\n"
    "	printf 'holm: machine \"%s\": its sshd does not start: %s\\n' \"$machine\" \"$why\" >&2\n"
    "	exit 125\n"
    "}\n"
    "exit $status\n";

static struct json_object *make_request(const char *machine, const char *client_key)
{
	struct json_object *o = json_object_new_object(), *user = json_object_new_object();
	AUTO_STRV struct strv argv = { 0 };
	json_add_string(user, "name", "root");
	strv_add(&argv, "/bin/sh");
	strv_add(&argv, "-c");
	strv_add(&argv, script);
	strv_add(&argv, "holm-ssh");
	strv_add(&argv, machine);
	strv_addf(&argv, "ssh-ed25519 %s", client_key);
	json_add(o, "user", user);
	json_add_strv(o, "argv", &argv);
	json_add_bool(o, "shell", 0);
	json_add_bool(o, "tty", 0);
	json_add_u64(o, "rows", ROWS);
	json_add_u64(o, "columns", COLUMNS);
	json_add_u64(o, "umask", UMASK);
	json_add_bool(o, "stdin", 1);
	json_add_bool(o, "detach", 0);
	json_add_string(o, "workdir", "/");
	return o;
}

static int run(const char *machine, ssh_key host, ssh_key client, struct error **err)
{
	char *host_text = NULL, *client_text = NULL;
	int r = -ENOMEM;
	if (ssh_pki_export_privkey_base64(host, NULL, NULL, NULL, &host_text) == SSH_OK &&
	    ssh_pki_export_pubkey_base64(client, &client_text) == SSH_OK) {
		AUTO_JSON struct json_object *request = make_request(machine, client_text);
		AUTOFREE char *first = xasprintf("%s\n", host_text);
		r = session_run(machine, request, first, err);
		explicit_bzero(first, strlen(first));
	} else {
		error_set(err, ENOMEM, "cannot read holm's keys for ssh");
	}
	if (host_text)
		explicit_bzero(host_text, strlen(host_text));
	ssh_string_free_char(host_text);
	ssh_string_free_char(client_text);
	return r;
}

int sshd_run(const char *machine, const struct machine *settings, struct error **err)
{
	ssh_key host = NULL, client = NULL;
	int r = host_key_load(OWN_SSHD_HOST_KEY, &host, err);
	if (r == 0)
		r = host_key_load(OWN_CLIENT_KEY, &client, err);
	if (r == 0)
		r = run(machine, host, client, err);
	ssh_key_free(host);
	ssh_key_free(client);
	return r;
}
