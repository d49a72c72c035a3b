/* SPDX-License-Identifier: Apache-2.0
 * See kerberos.h. libkrb5 gives up where the keyring that krb5.conf(5) names cannot be used,
 * whatever error keyctl(2) has: it never goes on to a file. The file here is the one that libkrb5
 * takes where krb5.conf names nothing. */
#include "agent/session/kerberos.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/fd.h"

#define FOLDER "/etc/krb5.conf.d"

enum { FILES_MAX = 64 };

/* The place of tickets, in the order in which one overrides another. */
enum place { PLACE_NONE, PLACE_KEYRING, PLACE_OTHER };

static enum place place_of_line(const char *line)
{
	static const char key[] = "default_ccache_name", keyring[] = "KEYRING:";
	line += strspn(line, " \t");
	if (!startswith(line, key))
		return PLACE_NONE;
	line += strlen(key);
	line += strspn(line, " \t");
	if (*line != '=')
		return PLACE_NONE;
	line++;
	line += strspn(line, " \t");
	return startswith(line, keyring) ? PLACE_KEYRING : PLACE_OTHER;
}

static enum place place_of_file(int root, const char *path)
{
	AUTOFREE char *text = NULL;
	enum place found = PLACE_NONE;
	if (rootfs_read(root, path, &text) < 0)
		return PLACE_NONE;
	for (const char *line = text; line && !found; line = strchr(line, '\n')) {
		line += *line == '\n';
		found = place_of_line(line);
	}
	return found;
}

/* Files beside krb5.conf come before it: distributions include them in its first line. */
static enum place place_of_folder(int root)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	enum place found = PLACE_NONE;
	int fd = (int)syscall(SYS_openat2, root, FOLDER, &how, sizeof how);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		fd_close(fd);
		return PLACE_NONE;
	}
	const struct dirent *e;
	for (int i = 0; i < FILES_MAX && (e = readdir(folder)); i++) {
		AUTOFREE char *path = xasprintf(FOLDER "/%s", e->d_name);
		enum place one = e->d_name[0] == '.' ? PLACE_NONE : place_of_file(root, path);
		found = one > found ? one : found;
	}
	closedir(folder);
	return found;
}

int session_has_keys(void)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0) >= 0 || errno != ENOSYS;
}

void session_fit_kerberos(int root, uint32_t uid, struct strv *env)
{
	if (strv_getenv(env, "KRB5CCNAME") || !rootfs_exists(root, "/etc/krb5.conf"))
		return;
	enum place found = place_of_folder(root);
	if (found == PLACE_NONE)
		found = place_of_file(root, "/etc/krb5.conf");
	if (found != PLACE_KEYRING)
		return;
	AUTOFREE char *name = xasprintf("FILE:/tmp/krb5cc_%u", uid);
	strv_setenv(env, "KRB5CCNAME", name);
}
