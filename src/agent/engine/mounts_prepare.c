/* SPDX-License-Identifier: Apache-2.0
 * See mounts.h: the mounts of a start.
 *
 * Steps:
 * 1. Each volume is cloned to its place, and the agent is asked for each host path.
 * 2. When all have come, a child fills the volumes that are empty: an image may have much there.
 * 3. ready().
 *
 * Failures. The first one ends it, and what is mounted goes with the container's clean-up. An
 * answer of the agent that comes later finds no number that waits for it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/channel.h"
#include "agent/core/rootfs.h"
#include "agent/engine/files.h"
#include "agent/engine/lent_sockets.h"
#include "agent/engine/mounts.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/volumes.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

#define CLONE (OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE)

struct mounting {
	struct container *container;
	image_ready_fn ready;
	uint64_t first; /* number of the request for mount 0; mount i has first + i */
	size_t waiting; /* answers of the agent that are not here yet */
	struct source *child;
};

static char *place_of(const struct container *c, size_t i)
{
	return xasprintf(ENGINE_RUN "/%s/mounts/%zu", c->record.id, i);
}

void mounts_stop(struct container *c)
{
	if (!c->mounting)
		return;
	source_free(c->mounting->child);
	free(TAKE_PTR(c->mounting));
}

static void settle(struct mounting *m, int code, const char *text)
{
	struct container *c = m->container;
	image_ready_fn ready = m->ready;
	mounts_stop(c);
	ready(code, text, c);
}

static void fail(struct mounting *m, int code, const struct docker_mount *at)
{
	AUTOFREE char *text = xasprintf("cannot mount %s at %s: %s", at->source, at->destination, strerror(-code));
	settle(m, code, text);
}

/* ---- filling ---- */

static int is_empty(int directory)
{
	int count = 0;
	DIR *d = path_list(directory);
	for (struct dirent *entry; d && (entry = readdir(d));)
		count += !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
	if (d)
		closedir(d);
	return d && !count;
}

/* The image's directory at the mount's place, if the volume begins with it; else -1. */
static int open_pattern(const struct container *c, const struct docker_mount *m, int root)
{
	AUTO_FD int data = m->type == DOCKER_MOUNT_VOLUME && !m->no_copy && !m->subpath ?
			       volume_open(c->engine, m->source, NULL, O_RDONLY | O_DIRECTORY) :
			       -1;
	return data >= 0 && is_empty(data) ? path_open_in_root(root, m->destination, O_RDONLY | O_DIRECTORY, 0) : -1;
}

static _Noreturn void fill_all(const struct container *c, int root)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < c->record.mounts.count; i++) {
		const struct docker_mount *m = &c->record.mounts.items[i];
		int from = open_pattern(c, m, root);
		int to = from < 0 ? -1 : volume_open(c->engine, m->source, NULL, O_RDONLY | O_DIRECTORY);
		int r = to < 0 ? 0 : copy_tree(from, to);
		if (r < 0)
			_exit(-r < 256 ? -r : EIO);
		fd_close(from);
		fd_close(to);
	}
	_exit(0);
}

static void on_filled(struct source *s, pid_t pid, int status, void *data)
{
	struct mounting *m = data;
	source_free(TAKE_PTR(m->child));
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
	AUTOFREE char *text = xasprintf("cannot copy the image's files to a volume: %s", strerror(code));
	settle(m, -code, code ? text : NULL);
}

static void fill(struct mounting *m)
{
	const struct container *c = m->container;
	AUTOFREE char *path = xasprintf(ENGINE_RUN "/%s/root", c->record.id);
	AUTO_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int wanted = 0;
	for (size_t i = 0; root >= 0 && !wanted && i < c->record.mounts.count; i++) {
		AUTO_FD int from = open_pattern(c, &c->record.mounts.items[i], root);
		wanted = from >= 0;
	}
	if (!wanted) {
		settle(m, 0, NULL);
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		fill_all(c, root);
	int r = pid < 0 ? -errno : loop_add_child(c->engine->loop, pid, on_filled, m, &m->child);
	if (r < 0)
		settle(m, r, "cannot copy the image's files to a volume");
}

/* ---- mounting ---- */

/* Puts a detached mount of a directory or a file in its place. */
static int put(const struct container *c, size_t i, int tree)
{
	AUTOFREE char *place = place_of(c, i);
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	struct stat st;
	if (fstat(tree, &st) < 0)
		return -errno;
	if ((S_ISDIR(st.st_mode) ? mkdir(place, 0711) : mknod(place, S_IFREG | 0600, 0)) < 0 && errno != EEXIST)
		return -errno;
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	if (!c->record.mounts.items[i].read_only)
		return 0;
	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only, sizeof read_only) < 0 ?
		   -errno :
		   0;
}

static int put_volume(const struct container *c, size_t i, struct error **err)
{
	const struct docker_mount *m = &c->record.mounts.items[i];
	int r = volume_make(c->engine, m->source, NULL, err);
	if (r == 0)
		volume_touch(c->engine, m->source);
	AUTO_FD int data = r < 0 ? r : volume_open(c->engine, m->source, m->subpath, O_PATH);
	AUTO_FD int tree = data < 0 ? -1 : (int)syscall(SYS_open_tree, data, "", CLONE);
	return data < 0 ? data : tree < 0 ? -errno : put(c, i, tree);
}

/* ---- of a container that does not run ---- */

/* The directory at a mount's place; it is made where the image has none. A descriptor or -errno. */
static int open_place(const struct container *c, int root, const char *path, struct error **err)
{
	const struct idmap *ids = container_ids(c);
	int found = path_open_in_root(root, path, O_PATH | O_DIRECTORY, 0);
	if (found != -ENOENT)
		return found < 0 ? error_set_errno(err, found, "cannot open %s", path) : found;
	AUTO_FD int made = rootfs_mkdir(root, path, 0755, err);
	if (made >= 0 && fchownat(made, "", ids->uids[0].outside, ids->gids[0].outside, AT_EMPTY_PATH) < 0)
		return error_set_errno(err, errno, "cannot make %s", path);
	return TAKE_FD(made);
}

static int put_below(const struct container *c, const struct docker_mount *m, int root, struct error **err)
{
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	AUTO_FD int data = volume_open(c->engine, m->source, m->subpath, O_RDONLY | O_DIRECTORY);
	/* A start copies what is in the place of an empty volume to it. */
	int filled_later = data < 0 || (!m->no_copy && !m->subpath && is_empty(data));
	AUTO_FD int place = open_place(c, root, m->destination, err);
	if (place < 0 || filled_later)
		return MIN(place, 0);
	AUTO_FD int tree = (int)syscall(SYS_open_tree, data, "", CLONE);
	if (tree < 0 ||
	    (m->read_only && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &read_only, sizeof read_only) < 0) ||
	    syscall(SYS_move_mount, tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set_errno(err, errno, "cannot mount the volume at %s", m->destination);
	return 0;
}

int mounts_put_volumes(struct container *c, int root, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < c->record.mounts.count; i++)
		if (c->record.mounts.items[i].type == DOCKER_MOUNT_VOLUME)
			r = put_below(c, &c->record.mounts.items[i], root, err);
	return r;
}

/* ---- of one that starts ---- */

static int put_socket(const struct container *c, size_t i, struct error **err)
{
	AUTO_FD int tree = docker_socket_tree(c->engine, err);
	return tree < 0 ? tree : put(c, i, tree);
}

static int put_file(const struct container *c, size_t i)
{
	AUTO_FD int tree = files_tree(c, c->record.mounts.items[i].source);
	return tree < 0 ? tree : put(c, i, tree);
}

static int put_lent(struct container *c, size_t i, struct error **err)
{
	AUTO_FD int tree = lent_socket_make(c, &c->record.mounts.items[i], err);
	return tree < 0 ? tree : put(c, i, tree);
}

static int ask(const struct mounting *m, size_t i)
{
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "bind", m->first + i);
	json_add_string(o, "path", m->container->record.mounts.items[i].path);
	return channel_send(ENGINE_CHANNEL, o, -1);
}

static int begin(struct mounting *m, size_t i, struct error **err)
{
	const struct docker_mount *mount = &m->container->record.mounts.items[i];
	switch (mount->type) {
	case DOCKER_MOUNT_BIND:
		if (streq(mount->path, DOCKER_MOUNT_SOCKET))
			return put_socket(m->container, i, err);
		m->waiting++;
		return ask(m, i);
	case DOCKER_MOUNT_VOLUME:
		return put_volume(m->container, i, err);
	case DOCKER_MOUNT_FILE:
		return put_file(m->container, i);
	case DOCKER_MOUNT_LENT:
		return put_lent(m->container, i, err);
	case DOCKER_MOUNT_TMPFS:
		return 0;
	}
	return 0;
}

static void begin_all(struct mounting *m)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = m->container;
	int r = 0;
	m->first = c->engine->mount_number;
	c->engine->mount_number += c->record.mounts.count;
	for (size_t i = 0; i < c->record.mounts.count; i++)
		if ((r = begin(m, i, &err)) < 0) {
			fail(m, r, &c->record.mounts.items[i]);
			return;
		}
	if (!m->waiting)
		fill(m);
}

void mounts_prepare(struct container *c, image_ready_fn ready)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *folder = xasprintf(ENGINE_RUN "/%s/mounts", c->record.id);
	const struct docker_mounts *list = &c->record.mounts;
	struct mounting *m = xnew(struct mounting);
	*m = (struct mounting){ .container = c, .ready = ready };
	c->mounting = m;
	int r = list->count ? path_mkdir_all(folder, 0711, &err) : 0;
	if (r < 0)
		settle(m, r, error_text(err, r));
	else
		begin_all(m);
}

void mounts_ask_again(struct engine *e)
{
	for (struct container *c = e->containers, *next; c; c = next) {
		next = c->next;
		if (!c->mounting || !c->mounting->waiting)
			continue;
		mounts_undo(c);
		c->mounting->waiting = 0;
		begin_all(c->mounting);
	}
}

static struct mounting *find(const struct engine *e, uint64_t number)
{
	for (const struct container *c = e->containers; c; c = c->next)
		if (c->mounting && number >= c->mounting->first && number < c->mounting->first + c->record.mounts.count)
			return c->mounting;
	return NULL;
}

void mounts_message(struct engine *e, struct json_object *o, int fd)
{
	AUTO_FD int tree = fd;
	const char *text = NULL;
	uint64_t number = 0;
	struct mounting *m = json_get_u64(o, "bind", &number, NULL) == 0 ? find(e, number) : NULL;
	if (!m || !m->waiting)
		return;
	if (json_get_string(o, "error", &text, NULL) == 0) {
		settle(m, -EINVAL, text);
		return;
	}
	size_t i = (size_t)(number - m->first);
	int r = tree < 0 ? -EPROTO : put(m->container, i, tree);
	if (r < 0)
		fail(m, r, &m->container->record.mounts.items[i]);
	else if (--m->waiting == 0)
		fill(m);
}

void mounts_undo(const struct container *c)
{
	for (size_t i = 0; i < c->record.mounts.count; i++) {
		AUTOFREE char *place = place_of(c, i);
		while (umount2(place, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
			continue;
	}
}
