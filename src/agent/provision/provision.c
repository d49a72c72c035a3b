/* SPDX-License-Identifier: Apache-2.0
 * The steps of the contract, as a table. Nothing is run inside: the image may have no tools at all.
 * A crash between two steps is repaired by the next boot, because the marker comes last and every
 * step may run twice. */
#include "agent/provision/provision.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/rootfs.h"
#include "agent/provision/accounts.h"
#include "agent/provision/skel.h"
#include "agent/provision/subids.h"
#include "agent/provision/sudo.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

#define MARKER "/var/lib/holm/provisioned"

static char *marker_text(const struct boot_user *u)
{
	return u->name ? xasprintf("%s:%u:%u:%s\n", u->name, u->uid, u->gid, u->home) : xstrdup("nobody\n");
}

int provision_is_done(int root, const struct boot_user *u)
{
	AUTOFREE char *wanted = marker_text(u);
	AUTOFREE char *found = NULL;
	return rootfs_read(root, MARKER, &found) >= 0 && streq(found, wanted);
}

int provision_mark_done(int root, const struct boot_user *u, struct error **err)
{
	AUTOFREE char *text = marker_text(u);
	return rootfs_write(root, MARKER, 0644, text, err);
}

/* The value of KEY=value in a shell-like file, quotes taken off; owned, or NULL. */
static char *shell_variable(const char *text, const char *key)
{
	size_t n = strlen(key);
	char *found = NULL;
	for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		const char *line = at + strspn(at, " \t");
		if (strncmp(line, key, n) != 0 || line[n] != '=')
			continue;
		const char *value = line + n + 1;
		value += strspn(value, "\"'");
		free(found);
		found = xstrndup(value, strcspn(value, "\"'# \t\n"));
	}
	return found;
}

char *provision_shell(int root)
{
	static const struct {
		const char *file, *key;
	} places[] = { { "/etc/adduser.conf", "DSHELL" }, { "/etc/default/useradd", "SHELL" } };
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		AUTOFREE char *text = NULL;
		if (rootfs_read(root, places[i].file, &text) < 0)
			continue;
		AUTOFREE char *shell = shell_variable(text, places[i].key);
		/* useradd's own default is /bin/sh everywhere, also where people expect bash: then
		 * the rule below decides. */
		if (shell && *shell == '/' && !streq(shell, "/bin/sh") && rootfs_is_program(root, shell))
			return TAKE_PTR(shell);
	}
	return xstrdup(rootfs_is_program(root, "/bin/bash") ? "/bin/bash" : "/bin/sh");
}

static int optional_read(int root, const char *path, char **ret, struct error **err)
{
	int r = rootfs_read(root, path, ret);
	return r < 0 && r != -ENOENT ? error_set_errno(err, r, "cannot read %s in the machine", path) : 0;
}

/* Rootless containers need ranges where there is a newuidmap, also when the files were never
 * made. */
static void want_subids(int root, struct account_files *f)
{
	if (!rootfs_is_program(root, "/usr/bin/newuidmap"))
		return;
	f->subuid = f->subuid ? f->subuid : xstrdup("");
	f->subgid = f->subgid ? f->subgid : xstrdup("");
}

enum { ID_MAP_MAX = 65536 };

/* Inside of this process's user namespace: the machine's has the same ids. */
static int fit_subids(struct account_files *f, const struct boot_user *u, struct error **err)
{
	const struct {
		const char *map;
		char **text;
		uint32_t own;
	} files[] = { { "/proc/self/uid_map", &f->subuid, u->uid }, { "/proc/self/gid_map", &f->subgid, u->gid } };
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		AUTOFREE char *map = NULL;
		int r = *files[i].text ? path_read_file(files[i].map, ID_MAP_MAX, &map, NULL) : 0;
		if (r < 0)
			return error_set_errno(err, r, "cannot read %s", files[i].map);
		if (map)
			subids_fit(files[i].text, u->name, files[i].own, map);
	}
	return 0;
}

int provision_subids(int root, const struct boot_user *u, struct error **err)
{
	CLEANUP(account_files_done) struct account_files f = { 0 };
	int r;
	if (!u->name || u->uid == 0)
		return 0;
	if ((r = optional_read(root, "/etc/subuid", &f.subuid, err)) < 0 ||
	    (r = optional_read(root, "/etc/subgid", &f.subgid, err)) < 0 || (r = fit_subids(&f, u, err)) < 0)
		return r;
	if (f.subuid && (r = rootfs_write(root, "/etc/subuid", 0, f.subuid, err)) < 0)
		return r;
	return f.subgid ? rootfs_write(root, "/etc/subgid", 0, f.subgid, err) : 0;
}

/* Replaces a file whose text is not what it was. */
static int write_changed(int root, const char *path, const char *before, const char *text, struct error **err)
{
	if (!text || (before && streq(before, text)))
		return 0;
	return rootfs_write(root, path, 0, text, err);
}

int provision_groups(int root, const struct boot_user *u, struct error **err)
{
	CLEANUP(account_files_done) struct account_files f = { 0 };
	int r;
	if (!u->name || u->uid == 0)
		return 0;
	if ((r = optional_read(root, "/etc/group", &f.group, err)) < 0 ||
	    (r = optional_read(root, "/etc/gshadow", &f.gshadow, err)) < 0)
		return r;
	AUTOFREE char *group = f.group ? xstrdup(f.group) : NULL;
	AUTOFREE char *gshadow = f.gshadow ? xstrdup(f.gshadow) : NULL;
	accounts_join_groups(&f, u);
	r = write_changed(root, "/etc/group", group, f.group, err);
	return r < 0 ? r : write_changed(root, "/etc/gshadow", gshadow, f.gshadow, err);
}

static int step_accounts(int root, const struct boot_user *u, struct error **err)
{
	CLEANUP(account_files_done) struct account_files f = { 0 };
	const struct {
		const char *path;
		char **text;
	} files[] = { { "/etc/group", &f.group }, { "/etc/gshadow", &f.gshadow }, { "/etc/shadow", &f.shadow },
		{ "/etc/subuid", &f.subuid }, { "/etc/subgid", &f.subgid }, { "/etc/passwd", &f.passwd } };
	int r;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if ((r = optional_read(root, files[i].path, files[i].text, err)) < 0)
			return r;
	want_subids(root, &f);
	AUTOFREE char *shell = provision_shell(root);
	accounts_apply(&f, u, shell);
	if ((r = fit_subids(&f, u, err)) < 0)
		return r;
	/* passwd is last: when it names the user, all the others do. */
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (*files[i].text && (r = rootfs_write(root, files[i].path, 0, *files[i].text, err)) < 0)
			return r;
	return 0;
}

static int is_empty(int directory)
{
	DIR *d = path_list(directory);
	int empty = d != NULL;
	for (struct dirent *e; d && empty && (e = readdir(d));)
		empty = streq(e->d_name, ".") || streq(e->d_name, "..");
	if (d)
		closedir(d);
	return empty;
}

/* A home of the machine's own is made and filled once; a shared one is never touched. An empty
 * directory of root's is what a home that was shared until now was mounted on. */
static int step_home(int root, const struct boot_user *u, struct error **err)
{
	struct stat st;
	if (u->home_shared || streq(u->home, "/"))
		return 0;
	AUTO_FD int there =
	    rootfs_exists(root, u->home) ? path_open_in_root(root, u->home, O_PATH | O_DIRECTORY, 0) : -ENOENT;
	if (there != -ENOENT && (there < 0 || fstat(there, &st) < 0 || st.st_uid != geteuid() || !is_empty(there)))
		return 0;
	AUTO_FD int home = rootfs_mkdir(root, u->home, 0755, err);
	if (home < 0)
		return home;
	AUTO_FD int own = openat(home, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own < 0 || fchown(own, u->uid, u->gid) < 0 || fchmod(own, 0750) < 0)
		return error_set_errno(err, errno, "cannot give %s in the machine to %s", u->home, u->name);
	return skel_copy(root, "/etc/skel", home, u->uid, u->gid, err);
}

int provision_home(int root, const struct boot_user *u, struct error **err)
{
	return u->name && u->uid != 0 ? step_home(root, u, err) : 0;
}

/* Enables lingering if there is a logind: the user's manager then runs from boot on, and sessions
 * find their XDG_RUNTIME_DIR. 0 or -errno. */
static int step_linger(int root, const struct boot_user *u, struct error **err)
{
	if (!rootfs_exists(root, "/usr/lib/systemd/systemd-logind") &&
	    !rootfs_exists(root, "/lib/systemd/systemd-logind"))
		return 0;
	AUTOFREE char *path = account_linger_path(u->name);
	return rootfs_write(root, path, 0644, "", err);
}

int provision_linger(int root, const struct boot_user *u, struct error **err)
{
	return u->name && u->uid != 0 ? step_linger(root, u, err) : 0;
}

int provision_sudo(int root, const struct boot_user *u, struct error **err)
{
	return u->name && u->uid != 0 ? sudo_renew(root, u, err) : 0;
}

int provision_apply(int root, const struct boot_user *u, struct error **err)
{
	static int (*const steps[])(int root, const struct boot_user *u, struct error **err) = { step_accounts,
		sudo_allow, doas_allow, step_home, step_linger };
	/* root is in every image, with its own home. */
	for (size_t i = 0; u->name && u->uid != 0 && i < ARRAY_SIZE(steps); i++) {
		int r = steps[i](root, u, err);
		if (r < 0)
			return error_prefix(err, r, "making the user %s", u->name);
	}
	return 0;
}
