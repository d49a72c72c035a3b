/* SPDX-License-Identifier: Apache-2.0
 * The last rule that matches decides (sudoers(5), doas.conf(5)). sudo reads the files of
 * /etc/sudoers.d in the order of their names where /etc/sudoers includes the folder. If that
 * include is missing or is not the last line there, the rules stand at the end of /etc/sudoers too,
 * each with MARK_LINE. */
#include "agent/provision/sudo.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/path.h"

#define FOLDER "/etc/sudoers.d"
#define RULES FOLDER "/zz-holm"
#define OLD_NAME "holm" /* another rule of the user's group could come behind it */
#define MARK_LINE " # holm"
/* Variables of a session that root's programs need too. */
#define KEPT                                                                                                           \
	"http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY "     \
	"NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE SSL_CERT_FILE TERMINFO"

static int read_optional(int root, const char *path, char **ret, struct error **err)
{
	int r = rootfs_read(root, path, ret);
	return r < 0 && r != -ENOENT ? error_set_errno(err, r, "cannot read %s in the machine", path) : 0;
}

/* By number: a name may have characters that mean something to sudoers(5). `end` closes each
 * line. Owned. */
static char *rules_text(const struct boot_user *u, const char *sudoers, const char *end)
{
	/* Not every sudo knows the word. */
	AUTOFREE char *no_terminal = sudoers && strstr(sudoers, "requiretty") ?
					 xasprintf("Defaults:#%u !requiretty%s\n", u->uid, end) :
					 xstrdup("");
	return xasprintf("%sDefaults:#%u env_keep += \"" KEPT "\"%s\n#%u ALL=(ALL:ALL) NOPASSWD: ALL%s\n", no_terminal,
	    u->uid, end, u->uid, end);
}

static int is_include(const char *line, size_t size)
{
	static const char *const words[] = { "@includedir", "#includedir" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i]);
		if (size <= n || memcmp(line, words[i], n) != 0)
			continue;
		const char *at = line + n + strspn(line + n, " \t"), *end = line + size;
		while (end > at && strchr(" \t\r/", end[-1]))
			end--;
		return (size_t)(end - at) == strlen(FOLDER) && memcmp(at, FOLDER, strlen(FOLDER)) == 0;
	}
	return 0;
}

static int is_marked(const char *line, size_t size)
{
	size_t n = strlen(MARK_LINE);
	return size >= n && memcmp(line + size - n, MARK_LINE, n) == 0;
}

/* "#1000" is a user, and "#include" a directive. */
static int is_comment(const char *line)
{
	return line[0] == '#' && !startswith(line, "#include") && !(line[1] >= '0' && line[1] <= '9');
}

/* Appends the lines of /etc/sudoers that are not holm's. 1 if the last rule among them includes
 * the folder. */
static int copy_others(struct buffer *b, const char *text)
{
	int last = 0;
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n"), blank = strspn(line, " \t\r");
		if (!is_marked(line, n)) {
			buffer_append(b, line, n);
			buffer_append(b, "\n", 1);
			if (blank < n && !is_comment(line + blank))
				last = is_include(line + blank, n - blank);
		}
		line += n + (line[n] == '\n');
	}
	return last;
}

static int write_main(int root, const struct boot_user *u, const char *sudoers, struct error **err)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 2 * ROOTFS_FILE_MAX);
	if (!copy_others(&b, sudoers)) {
		AUTOFREE char *rules = rules_text(u, sudoers, MARK_LINE);
		buffer_append_string(&b, rules);
	}
	return rootfs_write(root, "/etc/sudoers", 0, buffer_string(&b), err);
}

int sudo_allow(int root, const struct boot_user *u, struct error **err)
{
	AUTOFREE char *sudoers = NULL;
	int r = read_optional(root, "/etc/sudoers", &sudoers, err);
	if (r < 0)
		return r;
	AUTOFREE char *rules = rules_text(u, sudoers, "");
	AUTOFREE char *text = xasprintf("# The host's user may do everything here; written by holm.\n%s", rules);
	AUTO_FD int folder = rootfs_exists(root, FOLDER) ? path_open_in_root(root, FOLDER, O_PATH | O_DIRECTORY, 0) :
							   rootfs_mkdir(root, FOLDER, 0750, err);
	if (folder < 0)
		return err && *err ? folder : error_set_errno(err, folder, "cannot open " FOLDER " in the machine");
	if ((r = rootfs_write(root, RULES, 0440, text, err)) < 0)
		return r;
	unlinkat(folder, OLD_NAME, 0);
	return sudoers ? write_main(root, u, sudoers, err) : 0;
}

int sudo_renew(int root, const struct boot_user *u, struct error **err)
{
	return rootfs_exists(root, RULES) || rootfs_exists(root, FOLDER "/" OLD_NAME) ? sudo_allow(root, u, err) : 0;
}

/* By number too: doas.conf(5) takes one for an identity. */
int doas_allow(int root, const struct boot_user *u, struct error **err)
{
	AUTOFREE char *line = xasprintf("permit nopass setenv { " KEPT " } %u\n", u->uid);
	if (rootfs_exists(root, "/etc/doas.d"))
		return rootfs_write(root, "/etc/doas.d/holm.conf", 0600, line, err);
	if (!rootfs_is_program(root, "/usr/bin/doas") && !rootfs_exists(root, "/etc/doas.conf"))
		return 0;
	AUTOFREE char *old = NULL;
	int r = read_optional(root, "/etc/doas.conf", &old, err);
	if (r < 0 || (old && strstr(old, line)))
		return r;
	AUTOFREE char *text =
	    xasprintf("%s%s%s", old ? old : "", old && *old && !endswith(old, "\n") ? "\n" : "", line);
	return rootfs_write(root, "/etc/doas.conf", old ? 0 : 0600, text, err);
}
