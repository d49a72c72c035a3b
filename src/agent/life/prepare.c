/* SPDX-License-Identifier: Apache-2.0
 * A table of steps, done in a worker: what they mount stays, because a worker shares the agent's
 * mount namespace. Each step may find that an earlier attempt has done it. */
#include "agent/life/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/channel.h"
#include "agent/core/machine_run.h"
#include "agent/core/mount_point.h"
#include "agent/core/mounts.h"
#include "agent/core/platform.h"
#include "agent/core/own_folders.h"
#include "agent/core/rootfs.h"
#include "agent/provision/authorities.h"
#include "agent/provision/createuser.h"
#include "agent/provision/etcfiles.h"
#include "agent/provision/identity.h"
#include "agent/provision/inside.h"
#include "agent/provision/provision.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

struct prepare {
	const struct platform *platform;
	const struct boot_request *request;
	int channel;
	int root; /* the machine's tree */
};

static int step_clock(struct prepare *p, struct error **err)
{
	uint64_t ns = p->request->realtime_ns;
	return ns ? p->platform->set_clock(ns, err) : 0;
}

static int step_disk(struct prepare *p, struct error **err)
{
	int r = p->platform->mount_root(p->request, err);
	if (r < 0)
		return r;
	p->root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return p->root < 0 ? error_set_errno(err, errno, "cannot open the machine's disk") : 0;
}

static int step_modules(struct prepare *p, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	if (!p->request->rescue && p->platform->mount_modules(p->request, &why) < 0)
		channel_send_string(p->channel, "note", why->text);
	return 0;
}

static int step_network(struct prepare *p, struct error **err)
{
	return p->request->rescue ? 0 : p->platform->network(&p->request->network, err);
}

static int step_shares(struct prepare *p, struct error **err)
{
	return p->request->rescue ? 0 : mounts_shares(p->platform, p->request, err);
}

/* A machine without them works, so a failure is a note. In a rescue boot they are exported. */
static int step_private(struct prepare *p, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	if (own_folders_mount(p->platform, p->root, p->request, &why) < 0)
		channel_send_string(p->channel, "note", why->text);
	return 0;
}

/* The same of containers. */
static int step_containers(struct prepare *p, struct error **err)
{
	if (!p->platform->mount_containers)
		return 0;
	AUTO_ERROR struct error *why = NULL;
	int r = p->platform->mount_containers(p->request, p->root, &why);
	/* An export without them must not look like a whole one. */
	if (r < 0 && p->request->rescue)
		return error_set(err, -r, "%s", why->text);
	if (r < 0)
		channel_send_string(p->channel, "note", why->text);
	return 0;
}

int prepare_machine_run(const struct platform *p, const struct boot_request *b, struct error **err)
{
	AUTOFREE char *resolved = etc_resolved_text(&b->resolv);
	AUTOFREE char *services = etc_services_text(&b->services_env);
	const struct machine_run_texts texts = { .resolved = resolved, .services = services };
	return machine_run_make(p, &texts, err);
}

static int step_run(struct prepare *p, struct error **err)
{
	return p->request->rescue ? 0 : prepare_machine_run(p->platform, p->request, err);
}

static const struct mount_point {
	const char *path;
	mode_t mode;
} points[] = { { "/proc", 0555 }, { "/sys", 0555 }, { "/dev", 0755 }, { "/run", 0755 }, { "/tmp", 01777 } };

/* Whether something is mounted above the path anyway. */
static int is_covered(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		if (path_is_below(path, points[i].path))
			return 1;
	return 0;
}

/* Makes the host's other spellings of a share's place lead to it, where the machine has nothing. */
static void link_aliases(const struct prepare *p, const struct boot_share *s)
{
	for (size_t i = 0; i < s->aliases.count; i++) {
		AUTO_ERROR struct error *err = NULL;
		const char *alias = s->aliases.items[i];
		if (!is_covered(alias) && !rootfs_exists(p->root, alias) &&
		    rootfs_symlink(p->root, alias, s->inside, &err) < 0)
			log_warning("%s does not lead to %s: %s", alias, s->inside, error_text(err, EIO));
	}
}

/* Whether what is in the place is of the mount's kind. A place behind a symlink is left to the
 * mount. 0 or -ENOTDIR. */
static int check_kind(const struct mount_place *place)
{
	struct stat st;
	AUTO_FD int fd = place->base < 0 ? -1 : path_open_beneath(place->base, place->relative, O_PATH, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fd == -ENOTDIR ? -ENOTDIR : 0;
	return !S_ISDIR(st.st_mode) == !!place->is_file ? 0 : -ENOTDIR;
}

/* Makes the directory that a share is mounted on. In a share that cannot be written to it may be
 * there all the same: the mount tells. */
static int make_share_point(const struct prepare *p, const struct boot_share *s, struct error **err)
{
	if (is_covered(s->inside))
		return 0;
	CLEANUP(mount_point_done) struct mount_place place = mount_point_find(p->request, s, p->root);
	place.is_file = mounts_is_file(s->tag);
	int made = streq(s->tag, "home") ? -ENOENT : mount_point_make(&place, p->request);
	if (!streq(s->tag, "home") && check_kind(&place) < 0)
		return mounts_refuse(p->request, s, -ENOTDIR,
		    place.is_file ? "it is a file, and there is a directory in the machine" :
				    "it is a directory, and there is a file in the machine",
		    err);
	if (!streq(s->tag, "home") && (made >= 0 || place.in_share || place.is_file))
		return 0;
	AUTO_ERROR struct error *why = NULL;
	AUTO_FD int fd = rootfs_mkdir(p->root, s->inside, 0755, &why);
	return fd < 0 ? mounts_refuse(p->request, s, fd, error_text(why, fd), err) : 0;
}

/* Empty directories to mount on, with the modes that they have elsewhere: what the runtime makes
 * itself is oddly sticky. */
static int step_mount_points(struct prepare *p, struct error **err)
{
	for (size_t i = 0; !p->request->rescue && i < ARRAY_SIZE(points); i++) {
		AUTO_FD int fd = rootfs_exists(p->root, points[i].path) ?
				     -1 :
				     rootfs_mkdir(p->root, points[i].path, points[i].mode, err);
		if (fd >= 0 && points[i].mode == 01777)
			(void)!fchmodat(fd, ".", 01777, 0);
	}
	for (size_t i = 0; !p->request->rescue && i < p->request->share_count; i++) {
		int r = make_share_point(p, &p->request->shares[i], err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; !p->request->rescue && i < p->request->share_count; i++)
		link_aliases(p, &p->request->shares[i]);
	return 0;
}

/* Runs a program of the machine's that makes host keys. Without them the machine runs all the
 * same. */
static void make_keys(struct prepare *p, const char *log_name, char **argv)
{
	enum { KEYGEN_MS = 120 * 1000 };
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv lines = { 0 };
	char *environment[] = { (char *)INSIDE_PATH, NULL };
	const struct inside_program keygen = {
		.argv = argv,
		.environment = environment,
		.log_name = log_name,
		.deadline_ms = KEYGEN_MS,
	};
	int r = inside_run(p->platform, p->request, &keygen, &lines, &err);
	AUTOFREE char *why = r < 0 ? xstrdup(error_text(err, r)) : xasprintf("it ended with status %d", r);
	AUTOFREE char *note =
	    xasprintf("a host key is missing: %s %s %s: %s", argv[0], argv[1], argv[2] ? argv[2] : "", why);
	if (r != 0)
		channel_send_string(p->channel, "note", note);
}

/* The machine's own ssh-keygen makes host keys of all kinds that its sshd knows; dropbearkey makes
 * one key. */
static void make_host_keys(struct prepare *p, int keys)
{
	char *all[] = { (char *)IDENTITY_KEYGEN, (char *)"-A", NULL };
	channel_send_string(p->channel, "stage", "making the host keys of sshd");
	if (keys & IDENTITY_SSHD)
		make_keys(p, "ssh-keygen", all);
	for (const char *const *type = identity_dropbear_types; keys & IDENTITY_DROPBEAR && *type; type++) {
		AUTOFREE char *file = xasprintf(IDENTITY_DROPBEAR_KEY, *type);
		char *one[] = { (char *)IDENTITY_DROPBEARKEY, (char *)"-t", (char *)*type, (char *)"-f", file, NULL };
		if (!rootfs_exists(p->root, file))
			make_keys(p, "dropbearkey", one);
	}
}

static int step_identity(struct prepare *p, struct error **err)
{
	const char *id = p->request->id;
	if (p->request->rescue)
		return 0;
	int own = identity_is_own(p->root, id), r = own ? 0 : identity_renew(p->root, id, err);
	if (!own)
		etc_forget(p->root);
	if (r > 0)
		make_host_keys(p, r);
	return r < 0 ? r : identity_mark(p->root, id, err);
}

/* An export is to have none of the host's authorities. */
static int step_authorities(struct prepare *p, struct error **err)
{
	return p->request->rescue ? authorities_leave_out(p->platform, p->request, p->root, err) : 0;
}

static int step_files(struct prepare *p, struct error **err)
{
	if (p->request->rescue)
		return 0;
	return etc_apply(p->root, p->request, !rootfs_exists(p->root, "/var/lib/holm/provisioned"), err);
}

static int run_script(struct prepare *p, struct error **err)
{
	AUTO_STRV struct strv lines = { 0 };
	channel_send_string(p->channel, "stage", "running " CREATE_USER_SCRIPT);
	int r = createuser_run(p->platform, p->root, p->request, &lines, err);
	if (r < 0) {
		struct json_object *o = json_object_new_object();
		json_add_strv(o, "log", &lines);
		channel_send(p->channel, o, -1);
	}
	/* The script had the machine's /run: nothing of what it made there stays. */
	return r < 0 ? r : prepare_machine_run(p->platform, p->request, err);
}

static int step_user(struct prepare *p, struct error **err)
{
	const struct boot_user *u = &p->request->user;
	int scripted = rootfs_is_program(p->root, CREATE_USER_SCRIPT);
	if (p->request->rescue)
		return 0;
	int r;
	if (provision_is_done(p->root, u)) {
		if (scripted || (r = provision_subids(p->root, u, err)) < 0 ||
		    (r = provision_groups(p->root, u, err)) < 0 || (r = provision_linger(p->root, u, err)) < 0 ||
		    (r = provision_sudo(p->root, u, err)) < 0)
			return scripted ? 0 : r;
		return provision_home(p->root, u, err); /* it may have been shared until now */
	}
	r = scripted ? run_script(p, err) : provision_apply(p->root, u, err);
	return r < 0 ? r : provision_mark_done(p->root, u, err);
}

static const struct {
	const char *stage; /* shown to people; NULL: too quick to tell */
	int (*run)(struct prepare *p, struct error **err);
} steps[] = {
	{ NULL, step_clock },
	{ "mounting the disk", step_disk },
	{ NULL, step_modules },
	{ NULL, step_network },
	{ "mounting the shares", step_shares },
	{ NULL, step_private },
	{ NULL, step_containers },
	{ NULL, step_run },
	{ NULL, step_mount_points },
	{ NULL, step_identity },
	{ NULL, step_authorities },
	{ NULL, step_files },
	{ "setting up the user", step_user },
};

int prepare_run(int channel, void *agent, struct error **err)
{
	const struct agent *a = agent;
	struct prepare p = { .platform = a->platform, .request = a->boot, .channel = channel, .root = -1 };
	int r = 0;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(steps); i++) {
		if (steps[i].stage)
			channel_send_string(channel, "stage", steps[i].stage);
		r = steps[i].run(&p, err);
	}
	fd_close(p.root);
	return r;
}
