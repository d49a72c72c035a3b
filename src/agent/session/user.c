/* SPDX-License-Identifier: Apache-2.0
 * See user.h. Later settings win: the account, the image, the machine's settings, the caller. */
#include "agent/session/user.h"

#include <errno.h>
#include <fcntl.h>

#include "agent/core/environment.h"
#include "agent/core/rootfs.h"
#include "agent/provision/accounts.h"
#include "agent/session/bus.h"
#include "base/alloc.h"
#include "base/path.h"

void session_user_done(struct session_user *u)
{
	free(u->name);
	free(u->home);
	free(u->shell);
	*u = (struct session_user){ 0 };
}

/* An account of that name or number, or one made up for a number that nobody has. */
static int find_account(const char *passwd, const char *name, uint32_t uid, struct passwd_entry *ret,
    struct error **err)
{
	if (passwd_find(passwd, name, uid, ret) == 0)
		return 0;
	if (streq(name, "root")) /* number 0 needs no entry */
		uid = 0;
	else if (name)
		return error_set(err, ENOENT, "the machine has no user \"%s\"", name);
	*ret = (struct passwd_entry){
		.name = xasprintf("%u", uid),
		.home = xstrdup(uid ? "/" : "/root"),
		.shell = xstrdup("/bin/sh"),
		.uid = uid,
		.gid = uid,
	};
	return 0;
}

static int default_account(const char *passwd, const struct boot_user *m, struct passwd_entry *ret)
{
	if (!m->name || m->uid == 0)
		return find_account(passwd, NULL, 0, ret, NULL);
	if (passwd_find(passwd, m->name, 0, ret) == 0)
		return 0;
	/* create-user.sh, or somebody inside, made no such entry. */
	*ret = (struct passwd_entry){
		.name = xstrdup(m->name),
		.home = xstrdup(m->home),
		.shell = xstrdup("/bin/sh"),
		.uid = m->uid,
		.gid = m->gid,
	};
	return 0;
}

int session_user_resolve(int root, const struct session_request *q, const struct boot_user *machine_user,
    struct session_user *ret, struct error **err)
{
	AUTOFREE char *passwd = NULL;
	AUTOFREE char *group = NULL;
	CLEANUP(passwd_entry_done) struct passwd_entry p = { 0 };
	int r;
	if (rootfs_read(root, "/etc/passwd", &passwd) < 0)
		passwd = xstrdup("");
	if (rootfs_read(root, "/etc/group", &group) < 0)
		group = xstrdup("");
	if (q->user || q->uid >= 0)
		r = find_account(passwd, q->user, (uint32_t)q->uid, &p, err);
	else
		r = default_account(passwd, machine_user, &p);
	if (r < 0)
		return r;
	struct session_user u = { .uid = p.uid, .gid = q->gid >= 0 ? (uint32_t)q->gid : p.gid };
	/* Account number 0 without an entry at all (an image of one program). */
	u.name = streq(p.name, "0") ? xstrdup("root") : xstrdup(p.name);
	u.home = xstrdup(p.home[0] == '/' ? p.home : p.uid == 0 ? "/root" : "/");
	u.shell = xstrdup(p.shell[0] == '/' && rootfs_is_program(root, p.shell) ? p.shell : "/bin/sh");
	u.group_count = group_list(group, p.name, u.gid, u.groups, SESSION_GROUPS_MAX);
	AUTOFREE char *linger = account_linger_path(u.name);
	u.lingers = u.uid != 0 && account_name_is_valid(u.name) && rootfs_exists(root, linger);
	u.has_bus = u.lingers && session_has_bus(root, u.uid);
	*ret = u;
	return 0;
}

static void set_all(struct strv *env, const struct strv *from, int keep_account)
{
	static const char *const of_account[] = { "HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR",
		"DBUS_SESSION_BUS_ADDRESS" };
	for (size_t i = 0; i < from->count; i++) {
		const char *equals = strchr(from->items[i], '=');
		if (!equals || equals == from->items[i])
			continue;
		AUTOFREE char *key = xstrndup(from->items[i], (size_t)(equals - from->items[i]));
		int skip = 0;
		for (size_t j = 0; keep_account && j < ARRAY_SIZE(of_account); j++)
			skip |= streq(key, of_account[j]);
		if (!skip)
			strv_setenv(env, key, equals + 1);
	}
}

void session_environment(const struct session_request *q, const struct boot_request *b, const struct session_user *u,
    const char *ssh_auth_sock, struct strv *ret)
{
	strv_setenv(ret, "HOME", u->home);
	strv_setenv(ret, "USER", u->name);
	strv_setenv(ret, "LOGNAME", u->name);
	strv_setenv(ret, "SHELL", u->shell);
	strv_setenv(ret, "PATH", ENVIRONMENT_PATH);
	if (u->lingers) {
		AUTOFREE char *directory = xasprintf("/run/user/%u", u->uid);
		AUTOFREE char *bus = xasprintf("unix:path=%s/bus", directory);
		strv_setenv(ret, "XDG_RUNTIME_DIR", directory);
		if (u->has_bus)
			strv_setenv(ret, "DBUS_SESSION_BUS_ADDRESS", bus);
	}
	/* An image's HOME is of the user that it was made for. */
	set_all(ret, &b->image_env, 1);
	environment_complete_path(ret);
	set_all(ret, &b->env, 0);
	strv_setenv(ret, "container", "holm");
	strv_setenv(ret, "HOLM_MACHINE", b->name);
	if (q->tty)
		strv_setenv(ret, "TERM", "xterm");
	if (ssh_auth_sock)
		strv_setenv(ret, "SSH_AUTH_SOCK", ssh_auth_sock);
	set_all(ret, &q->env, 0);
}

/* The same path by the place of the share that it lies in, owned, or NULL. */
static char *below_alias(const struct boot_share *s, const char *path)
{
	for (size_t i = 0; i < s->aliases.count; i++)
		if (path_is_below(path, s->aliases.items[i]))
			return xasprintf("%s%s", s->inside, path + strlen(s->aliases.items[i]));
	return NULL;
}

char *session_shared_path(const struct boot_request *b, const char *path)
{
	AUTOFREE char *clean = path ? path_normalize(path) : NULL;
	for (size_t i = 0; clean && i < b->share_count; i++)
		if (path_is_below(clean, b->shares[i].inside))
			return TAKE_PTR(clean);
	for (size_t i = 0; clean && i < b->share_count; i++) {
		char *found = below_alias(&b->shares[i], clean);
		if (found)
			return found;
	}
	return NULL;
}
