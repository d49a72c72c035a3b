/* SPDX-License-Identifier: Apache-2.0
 * holm's directories, after the XDG Base Directory Specification, and the places of its own
 * programs. A file of its own, because the password database cannot be linked statically and the
 * agent must not link this. */
#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "base/strv.h"

char *path_home_dir(void)
{
	const char *home = getenv("HOME");
	if (home && *home == '/')
		return path_normalize(home);
	char *account = path_account_home();
	return account ? account : xstrdup("/");
}

char *path_account_home(void)
{
	struct passwd *p = getpwuid(getuid());
	return p && p->pw_dir && *p->pw_dir == '/' ? path_normalize(p->pw_dir) : NULL;
}

static char *xdg_dir(const char *variable, const char *below_home)
{
	const char *value = getenv(variable);
	if (value && *value == '/')
		return path_join(value, "holm");
	AUTOFREE char *home = path_home_dir();
	AUTOFREE char *base = path_join(home, below_home);
	return path_join(base, "holm");
}

char *path_data_dir(void)
{
	return xdg_dir("XDG_DATA_HOME", ".local/share");
}

void path_data_dirs(struct strv *to)
{
	char *homes[] = { path_home_dir(), path_account_home() };
	strv_take(to, path_data_dir());
	for (size_t i = 0; i < ARRAY_SIZE(homes); i++) {
		AUTOFREE char *home = homes[i], *usual = home ? path_join(home, ".local/share/holm") : NULL;
		if (usual && !strv_contains(to, usual))
			strv_take(to, TAKE_PTR(usual));
	}
}

char *path_config_dir(void)
{
	return xdg_dir("XDG_CONFIG_HOME", ".config");
}

char *path_cache_dir(void)
{
	return xdg_dir("XDG_CACHE_HOME", ".cache");
}

static int is_own_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid();
}

/* Makes the directory private. 0 or -errno; -EPERM if it belongs to somebody else. */
static int make_private(const char *path, struct error **err)
{
	struct stat st;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set_errno(err, errno, "cannot make the runtime directory %s", path);
	if (lstat(path, &st) < 0)
		return error_set_errno(err, errno, "cannot look at the runtime directory %s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != getuid())
		return error_set(err, EPERM, "%s does not belong to you; remove it or set XDG_RUNTIME_DIR", path);
	if ((st.st_mode & 0077) && chmod(path, 0700) < 0)
		return error_set_errno(err, errno, "cannot make %s private", path);
	return 0;
}

/* Lists the runtime directories that commands of this user may have, the caller's own first. A
 * cron job, su and env -i have no XDG_RUNTIME_DIR, or that of another user. */
static void list_runtime_dirs(struct strv *to)
{
	const char *value = getenv("XDG_RUNTIME_DIR");
	AUTOFREE char *logins = xasprintf("/run/user/%u", (unsigned)getuid());
	if (value && *value == '/' && is_own_directory(value))
		strv_take(to, path_join(value, "holm"));
	if (is_own_directory(logins))
		strv_take(to, path_join(logins, "holm"));
	strv_addf(to, "/tmp/holm-%u", (unsigned)getuid());
}

int path_runtime_dir(char **ret, struct error **err)
{
	AUTO_STRV struct strv all = { 0 };
	list_runtime_dirs(&all);
	int r = make_private(all.items[0], err);
	if (r == 0)
		*ret = xstrdup(all.items[0]);
	return r;
}

void path_runtime_dirs(struct strv *to)
{
	AUTO_STRV struct strv all = { 0 };
	list_runtime_dirs(&all);
	for (size_t i = 0; i < all.count; i++)
		if (!strv_contains(to, all.items[i]) && make_private(all.items[i], NULL) == 0)
			strv_add(to, all.items[i]);
}

static char *own_directory(void)
{
	char buffer[4096];
	ssize_t n = readlink("/proc/self/exe", buffer, sizeof buffer - 1);
	if (n <= 0)
		return xstrdup("/usr/bin");
	buffer[n] = '\0';
	return path_parent(buffer);
}

static char *find_own(const char *override, const char *const *places, size_t count, const char *name)
{
	const char *forced = getenv(override);
	if (forced && *forced == '/')
		return path_join(forced, name);
	AUTOFREE char *self = own_directory();
	for (size_t i = 0; i < count; i++) {
		AUTOFREE char *directory = path_join(self, places[i]);
		AUTOFREE char *path = path_join(directory, name);
		if (path_exists(path))
			return path_normalize(path);
	}
	/* Nowhere: name the place where an installation has it, for the error that follows. */
	AUTOFREE char *directory = path_join(self, places[0]);
	AUTOFREE char *path = path_join(directory, name);
	return path_normalize(path);
}

char *path_libexec(const char *program)
{
	static const char *const places[] = { "../libexec/holm", "." };
	return find_own("HOLM_LIBEXEC", places, ARRAY_SIZE(places), program);
}

char *path_program(const char *name)
{
	static const char *const places[] = { "../../bin", "../bin", "." };
	return find_own("HOLM_BIN", places, ARRAY_SIZE(places), name);
}

char *path_share(const char *name)
{
	static const char *const places[] = { "../share/holm", "../../share/holm", "." };
	return find_own("HOLM_SHARE", places, ARRAY_SIZE(places), name);
}
