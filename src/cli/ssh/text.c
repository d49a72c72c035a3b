/* SPDX-License-Identifier: Apache-2.0
 * See text.h. Each value has its own rules. ssh(1) gives the rest of a ProxyCommand's line to the
 * user's shell, after it has replaced %n and the like. It splits other lines into words, where
 * quotes and backslashes mean something; the word of an Include is a pattern (glob(7)), that of a
 * file may have %d and the like. */
#include "cli/ssh/text.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "cli/ssh/place.h"

enum { VALUE_MAX = 64 * 1024 };

#define OWN_PATH "/holm/ssh/config"

/* Each of the characters gets the prefix. Owned. */
static char *escape(const char *text, const char *characters, const char *prefix)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, VALUE_MAX);
	for (; *text; text++) {
		if (strchr(characters, *text))
			buffer_append_string(&b, prefix);
		buffer_append(&b, text, 1);
	}
	return buffer_take_string(&b);
}

/* A word for the user's shell, behind ssh's own %. */
static char *shell_word(const char *text)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, VALUE_MAX);
	buffer_append_string(&b, "'");
	for (; *text; text++) {
		const char *as = *text == '\'' ? "'\\''" : *text == '%' ? "%%" : NULL;
		if (as)
			buffer_append_string(&b, as);
		else
			buffer_append(&b, text, 1);
	}
	buffer_append_string(&b, "'");
	return buffer_take_string(&b);
}

static char *file_word(const char *path)
{
	AUTOFREE char *quoted = escape(path, "\"\\", "\\"), *word = escape(quoted, "%", "%");
	return xasprintf("\"%s\"", word);
}

int ssh_text_check_path(const char *path, struct error **err)
{
	int bad = strlen(path) > VALUE_MAX / 8 || strstr(path, "${") != NULL;
	for (const char *c = path; *c; c++)
		bad |= iscntrl((unsigned char)*c) != 0;
	return bad ? error_set(err, EINVAL, "%s: ssh's configuration cannot name this path", path) : 0;
}

/* The ProxyCommand without the host's name. */
static char *proxy_command(const struct ssh_text *t)
{
	AUTOFREE char *program = shell_word(t->program), *folder = t->data ? shell_word(t->data) : NULL;
	return folder ? xasprintf("env XDG_DATA_HOME=%s %s", folder, program) : TAKE_PTR(program);
}

/* The names of the machines with an sshd, for Host. */
static char *sshd_hosts(const struct ssh_text *t)
{
	AUTO_STRV struct strv hosts = { 0 };
	for (size_t i = 0; i < t->machines->count; i++)
		strv_addf(&hosts, "%s" SSH_SUFFIX, t->machines->items[i]);
	if (!hosts.count)
		strv_add(&hosts, "*" SSH_SUFFIX);
	return strv_join(&hosts, " ");
}

/* ssh takes the first value that it finds, so this stands in front of the part for all machines. */
static char *sshd_part(const struct ssh_text *t, const char *command)
{
	if (!t->sshd)
		return xstrdup("");
	AUTOFREE char *hosts = sshd_hosts(t), *known = file_word(t->sshd_known_hosts), *key = file_word(t->client_key);
	return xasprintf("Host %s\n"
			 "    ProxyCommand %s --server sshd '%%n'\n"
			 "    HostKeyAlias " SSH_SSHD_ALIAS "\n"
			 "    UserKnownHostsFile %s\n"
			 "    IdentityFile %s\n"
			 "    IdentitiesOnly yes\n"
			 "    PreferredAuthentications publickey\n",
	    hosts, command, known, key);
}

char *ssh_text_config(const struct ssh_text *t)
{
	AUTOFREE char *command = proxy_command(t), *sshd = sshd_part(t, command), *hosts = file_word(t->known_hosts);
	return xasprintf("# Written by holm ssh-config --install; holm ssh-config --remove deletes it.\n"
			 "%s"
			 "Host *" SSH_SUFFIX "\n"
			 "    ProxyCommand %s '%%n'\n"
			 "    ProxyUseFdpass no\n"
			 "    HostKeyAlias " SSH_HOST_ALIAS "\n"
			 "    UserKnownHostsFile %s\n"
			 "    GlobalKnownHostsFile none\n"
			 "    HostKeyAlgorithms ssh-ed25519\n"
			 "    StrictHostKeyChecking yes\n"
			 "    UpdateHostKeys no\n"
			 "    CheckHostIP no\n"
			 "    VerifyHostKeyDNS no\n"
			 "    CanonicalizeHostname no\n"
			 "    KexAlgorithms curve25519-sha256\n"
			 "    Ciphers aes128-gcm@openssh.com\n"
			 "    Compression no\n",
	    sshd, command, hosts);
}

char *ssh_text_include(const char *path)
{
	AUTOFREE char *pattern = escape(path, "*?[]{}\\", "\\");
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, VALUE_MAX);
	/* A backslash before something else than a quote or a backslash stays in the word. */
	for (const char *c = pattern; *c; c++) {
		if (*c == '"' || (*c == '\\' && (c[1] == '\\' || c[1] == '"')))
			buffer_append_string(&b, "\\");
		buffer_append(&b, c, 1);
	}
	return xasprintf("Include \"%s\"", buffer_string(&b));
}

/* ---- the user's file ---- */

static int is_ours(const char *line, size_t size)
{
	AUTOFREE char *text = xstrndup(line, size);
	return startswith(text, "Include ") && (endswith(text, OWN_PATH "\"") || endswith(text, OWN_PATH));
}

char *ssh_text_remove(const char *text)
{
	char *out = xmalloc(strlen(text) + 1), *to = out;
	while (*text) {
		size_t size = strcspn(text, "\n"), whole = size + (text[size] == '\n');
		if (!is_ours(text, size)) {
			memcpy(to, text, whole);
			to += whole;
		}
		text += whole;
	}
	*to = '\0';
	return out;
}

char *ssh_text_add(const char *text, const char *line)
{
	AUTOFREE char *rest = ssh_text_remove(text);
	return xasprintf("%s\n%s", line, rest);
}
