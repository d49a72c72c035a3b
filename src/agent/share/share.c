/* SPDX-License-Identifier: Apache-2.0
 * Shares that come and go while the machine runs. The work is done by a worker that joins the
 * machine's mount namespace: the share is mounted in the agent's, and a copy of that mount is moved
 * to its place inside by descriptor. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/core/channel.h"
#include "agent/core/mount_point.h"
#include "agent/core/mount_units.h"
#include "agent/core/mounts.h"
#include "agent/core/platform.h"
#include "agent/core/worker.h"
#include "agent/share/events.h"
#include "agent/share/share.h"
#include "agent/share/sockets.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"

enum { HOLDERS_MAX = 5, MOUNTINFO_MAX = 4 * 1024 * 1024 };

struct share_change {
	struct agent *agent;
	struct http_exchange *exchange; /* NULL when the asker is gone */
	struct boot_share share;        /* tag empty: remove */
	struct json_object *body;       /* the request of a new share; NULL: remove */
	int machine;                    /* pidfd of the init */
};

static void change_free(struct share_change *c)
{
	boot_share_done(&c->share);
	json_object_put(c->body);
	free(c);
}

static void on_closed(void *data)
{
	((struct share_change *)data)->exchange = NULL;
}

/* The place of the share's mount point, as long as this worker is outside of the machine. */
static struct mount_place find_point(const struct share_change *c)
{
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return mount_point_find(c->agent->boot, &c->share, root);
}

static int work_add(int channel, void *data, struct error **err)
{
	const struct share_change *c = data;
	AUTOFREE char *own = path_join(AGENT_SHARES, c->share.tag);
	CLEANUP(mount_point_done) struct mount_place place = find_point(c);
	/* A mount of the agent's own first, as at boot: an init that is started again gets its
	 * share from there. */
	int r = mounts_share_at_home(c->agent->platform, &c->share, err);
	if (r < 0)
		return r;
	if (c->agent->init_kind == INIT_SYSTEMD)
		mount_units_leave_share(&c->share);
	AUTO_FD int mount = c->agent->platform->take_share(c->machine, own, err);
	if (mount < 0)
		return mount;
	place.is_file = mounts_is_file(c->share.tag);
	mount_point_make(&place, c->agent->boot); /* mounts_attach() makes the rest */
	if ((r = c->agent->platform->enter(c->machine)) < 0)
		return error_set_errno(err, r, "cannot enter the machine");
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int there = root < 0 ? -1 : path_open_in_root(root, c->share.inside, O_PATH, 0);
	if (there >= 0)
		channel_send_string(channel, "there", c->share.inside);
	return root < 0 ? error_set_errno(err, errno, "cannot enter the machine") :
			  mounts_attach(mount, root, c->share.inside, err);
}

/* The mount that a path is on (statx(2)); a share may be of the same file system as what it is
 * mounted on. 0: unknown. */
static uint64_t mount_of(int directory, const char *path, int flags)
{
	struct statx st;
	return statx(directory, path, flags, STATX_MNT_ID, &st) == 0 && st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id : 0;
}

/* Whether process `pid` (a folder of /proc) has anything open on this mount. */
static int holds(int process, uint64_t mount)
{
	static const char *const links[] = { "cwd", "root", "exe" };
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (mount_of(process, links[i], 0) == mount)
			return 1;
	int fds = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fds < 0 ? NULL : fdopendir(fds);
	int found = 0;
	for (struct dirent *e; d && !found && (e = readdir(d));)
		found = e->d_name[0] != '.' && mount_of(fds, e->d_name, 0) == mount;
	if (d)
		closedir(d);
	else
		fd_close(fds);
	return found;
}

/* "bash (12), vim (40)": who keeps the mount busy, by the machine's own numbers. Owned; NULL:
 * nobody. */
static char *find_holders(uint64_t mount)
{
	AUTO_STRV struct strv names = { 0 };
	DIR *d = opendir("/proc");
	for (struct dirent *e; d && names.count < HOLDERS_MAX && (e = readdir(d));) {
		uint32_t pid;
		if (parse_u32(e->d_name, &pid) < 0)
			continue;
		AUTO_FD int process = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		AUTO_FD int comm = process < 0 ? -1 : openat(process, "comm", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		AUTOFREE char *name = NULL;
		if (process < 0 || !holds(process, mount))
			continue;
		if (comm < 0 || fd_read_all(comm, 64, &name, NULL) < 0)
			name = xstrdup("?");
		name[strcspn(name, "\n")] = '\0';
		strv_addf(&names, "%s (%u)", name, pid);
	}
	if (d)
		closedir(d);
	return names.count ? strv_join(&names, ", ") : NULL;
}

/* Whether other mounts are below this one, so that it looks busy without anybody in it: what the
 * share hides, what the host has mounted there. The machine's /proc does not know this worker, so
 * the init is asked. */
static int has_mounts_below(const char *path)
{
	AUTOFREE char *text = NULL;
	AUTOFREE char *part = xasprintf(" %s/", path);
	return path_read_file("/proc/1/mountinfo", MOUNTINFO_MAX, &text, NULL) >= 0 && strstr(text, part);
}

/* In the machine: unmounts the share. 0 or -errno. */
static int unmount(const struct share_change *c, struct error **err)
{
	AUTOFREE char *parent = path_parent(c->share.inside);
	uint64_t here = mount_of(AT_FDCWD, c->share.inside, AT_SYMLINK_NOFOLLOW), above = mount_of(AT_FDCWD, parent, 0);
	if (here == 0 || here == above)
		return error_set(err, ENOENT, "nothing is shared at %s in the machine", c->share.inside);
	if (umount2(c->share.inside, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EBUSY)
		return error_set_errno(err, errno, "cannot unmount %s in the machine", c->share.inside);
	AUTOFREE char *holders = find_holders(here);
	if (!holders && has_mounts_below(c->share.inside) &&
	    umount2(c->share.inside, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
		return 0;
	return error_set(err, EBUSY, "%s is in use by %s in the machine", c->share.inside,
	    holders ? holders : "something");
}

/* In the machine: removes the empty file or directory that a share below /run or /tmp was mounted
 * on, where file systems keep no marks. */
static void remove_unmarked(const struct share_change *c)
{
	struct stat st;
	AUTOFREE char *above = path_parent(c->share.inside);
	const char *name = path_base(c->share.inside);
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int parent = root < 0 ? -1 : path_open_in_root(root, above, O_PATH | O_DIRECTORY, 0);
	if (c->share.was_there || parent < 0 || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISDIR(st.st_mode))
		unlinkat(parent, name, AT_REMOVEDIR);
	else if (S_ISREG(st.st_mode) && st.st_size == 0)
		unlinkat(parent, name, 0);
}

static int work_remove(int channel, void *data, struct error **err)
{
	const struct share_change *c = data;
	CLEANUP(mount_point_done) struct mount_place place = find_point(c);
	int r = c->agent->platform->enter(c->machine);
	if (r < 0)
		return error_set_errno(err, r, "cannot enter the machine");
	if ((r = unmount(c, err)) < 0)
		return r;
	if (place.base < 0)
		remove_unmarked(c);
	else
		mount_point_remove(&place, c->agent->boot);
	return 0;
}

/* The agent's own mount of a share would keep its device busy. */
static void drop_own_mount(const char *tag)
{
	AUTOFREE char *own = path_join(AGENT_SHARES, tag);
	umount2(own, MNT_DETACH | UMOUNT_NOFOLLOW);
	if (rmdir(own) < 0 && errno == ENOTDIR)
		unlink(own);
}

/* Keeps the list of shares in the boot request, which a respawned agent reads, as it is now.
 * inside: of a share that is gone; body: a new one (taken). */
static void note(struct agent *a, const char *inside, struct json_object *body)
{
	struct json_object *before = NULL, *now = json_object_new_array();
	const char *place;
	json_get_array(a->boot->source, "shares", &before, NULL);
	for (size_t i = 0; before && i < json_object_array_length(before); i++) {
		struct json_object *o = json_object_array_get_idx(before, i);
		if (!inside || json_get_string(o, "inside", &place, NULL) < 0 || !streq(place, inside))
			json_object_array_add(now, json_object_get(o));
	}
	if (body)
		json_object_array_add(now, body);
	json_add(a->boot->source, "shares", now);
	state_save(a);
}

/* Sessions judge by the list of shares whether a directory is the host's. */
static void remember(struct agent *a, struct share_change *c)
{
	struct boot_request *b = a->boot;
	if (*c->share.tag) {
		b->shares = xrealloc(b->shares, b->share_count + 1, sizeof *b->shares);
		b->shares[b->share_count++] = c->share;
		c->share = (struct boot_share){ 0 };
		note(a, NULL, TAKE_PTR(c->body));
		share_events_add(a, &b->shares[b->share_count - 1]);
		return;
	}
	for (size_t i = 0; i < b->share_count; i++) {
		if (!streq(b->shares[i].inside, c->share.inside))
			continue;
		share_events_remove(a, b->shares[i].tag);
		share_socket_close(a, b->shares[i].tag);
		drop_own_mount(b->shares[i].tag);
		note(a, c->share.inside, NULL);
		boot_share_done(&b->shares[i]);
		b->shares[i] = b->shares[--b->share_count];
		return;
	}
}

static int has_tag(const struct agent *a, const char *tag)
{
	for (size_t i = 0; a->boot && i < a->boot->share_count; i++)
		if (streq(a->boot->shares[i].tag, tag))
			return 1;
	return 0;
}

static void on_done(int code, const char *text, void *data)
{
	struct share_change *c = data;
	AUTO_ERROR struct error *err = NULL;
	if (code == 0)
		remember(c->agent, c);
	else if (*c->share.tag && !has_tag(c->agent, c->share.tag)) {
		share_socket_close(c->agent, c->share.tag);
		drop_own_mount(c->share.tag);
	}
	if (c->exchange && code == 0) {
		http_respond_json(c->exchange, 200, NULL);
	} else if (c->exchange) {
		error_set(&err, -code, "%s", text);
		http_respond_error(c->exchange, code, err);
	}
	change_free(c);
}

static void on_message(struct json_object *o, int fd, void *data)
{
	struct share_change *c = data;
	const char *there;
	c->share.was_there |= json_get_string(o, "there", &there, NULL) == 0;
	fd_close(fd);
}

static void start(struct agent *a, struct http_exchange *x, struct boot_share *share, struct json_object *body,
    worker_fn fn)
{
	static const struct worker_events events = { .message = on_message, .done = on_done };
	struct share_change *c = xnew(struct share_change);
	*c = (struct share_change){
		.agent = a,
		.exchange = x,
		.share = *share,
		.body = json_object_get(body),
		.machine = a->init_pidfd,
	};
	http_exchange_on_closed(x, on_closed, c);
	int running = a->phase == PHASE_RUNNING && a->init_pidfd >= 0;
	AUTO_ERROR struct error *err = NULL;
	int r = running ? share_socket_open(a, &c->share, &err) : -EAGAIN;
	if (r == 0 && (r = worker_start(a->loop, fn, c, &a->init_pidfd, 1, &events, c, NULL)) < 0)
		error_set(&err, -r, "cannot start a process");
	if (r < 0)
		on_done(r, running ? error_text(err, r) : "the machine is not running", c);
}

void share_add_handle(struct http_exchange *x, void *agent)
{
	AUTO_ERROR struct error *err = NULL;
	struct agent *a = agent;
	struct boot_share share = { 0 };
	struct json_object *body = http_exchange_json(x, &err);
	int r = body ? boot_share_parse(body, &share, &err) : -EINVAL;
	if (r >= 0 && a->boot && a->boot->share_count >= BOOT_SHARES_MAX) {
		boot_share_done(&share);
		r = error_set(&err, EBUSY, "the machine has %d shares, which is the most", BOOT_SHARES_MAX);
	}
	if (r < 0)
		http_respond_error(x, r, err);
	else
		start(a, x, &share, body, work_add);
}

void share_remove_handle(struct http_exchange *x, void *agent)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *inside = http_target_query(http_exchange_head(x)->target, "inside");
	AUTOFREE char *clean = inside ? path_normalize(inside) : NULL;
	if (!clean || streq(clean, "/")) {
		error_set(&err, EINVAL, "\"inside\" must be an absolute path");
		http_respond_error(x, EINVAL, err);
		return;
	}
	const struct agent *a = agent;
	struct boot_share share = { .tag = xstrdup(""), .inside = TAKE_PTR(clean) };
	for (size_t i = 0; a->boot && i < a->boot->share_count; i++)
		if (streq(a->boot->shares[i].inside, share.inside))
			share.was_there = a->boot->shares[i].was_there;
	start(agent, x, &share, NULL, work_remove);
}
