/* SPDX-License-Identifier: Apache-2.0
 * GET /containers/ * /changes (docker diff): what a container has changed in its image's files.
 *
 * It walks the container's upper directory, in which the container may make any file. A worker
 * opens it and the image's layers, then becomes root of a user namespace with the container's
 * mapping. From then on it goes from descriptor to descriptor, without symlinks.
 *
 * A change is what differs from the image, not what was copied up: a whiteout deletes, a directory
 * that is opaque deletes what it hides, a directory that has changes inside is changed itself. The
 * files that a start makes for its own mounts are left out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/core/http_body.h"
#include "agent/core/worker.h"
#include "agent/engine/namespaces.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "docker/route.h"

#define PLACE "/run/changes" /* in the worker's own mount namespace */
#define HEAD                                                                                                           \
	"HTTP/1.1 200 OK\r\n" DOCKER_HEADERS "Connection: close\r\nTransfer-Encoding: chunked\r\n"                     \
	"Content-Type: application/"

enum { LOOKING_MAX = 32, CHANGES_MAX = 1 << 20, PATHS_MAX = 256 << 20, DEPTH_MAX = 512 };

enum kind { CHANGED, ADDED, DELETED }; /* Docker's numbers */

struct looking {
	struct engine *engine;
	char *id;
	struct worker *worker;
	int stream, upper;
	struct container_namespaces namespaces;
	struct buffer raw;
};

static size_t looking_count;

static void looking_free(struct looking *l)
{
	looking_count--;
	worker_cancel(l->worker);
	fd_close(l->stream);
	fd_close(l->upper);
	container_namespaces_done(&l->namespaces);
	buffer_done(&l->raw);
	free(l->id);
	free(l);
}

/* ---- in the worker: comparing ---- */

struct change {
	char *path;
	enum kind kind;
};

struct list {
	struct change *items;
	size_t count, room, bytes; /* bytes: of the paths */
};

static void list_done(struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].path);
	free(l->items);
}

static int add(struct list *l, const char *path, enum kind kind)
{
	l->bytes += strlen(path) + 1;
	if (l->count >= CHANGES_MAX || l->bytes > PATHS_MAX)
		return -E2BIG;
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 256;
		l->items = xrealloc(l->items, l->room, sizeof *l->items);
	}
	l->items[l->count++] = (struct change){ xstrdup(path), kind };
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct change *)a)->path, ((const struct change *)b)->path);
}

static int is_same(const struct stat *a, const struct stat *b)
{
	int same = a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid;
	if (!same || S_ISDIR(a->st_mode))
		return same;
	return a->st_rdev == b->st_rdev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int open_below(int directory, const char *name)
{
	return openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int walk(struct list *l, int upper, int lower, const char *path, int depth);

/* Adds the image's entries that an opaque directory hides and does not have itself. */
static int add_hidden(struct list *l, int upper, int lower, const char *path)
{
	struct stat st;
	int r = 0;
	DIR *d = path_list(lower);
	for (struct dirent *e; r == 0 && d && (e = readdir(d));) {
		if (streq(e->d_name, ".") || streq(e->d_name, "..") ||
		    fstatat(upper, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		AUTOFREE char *hidden = xasprintf("%s/%s", path, e->d_name);
		r = add(l, hidden, DELETED);
	}
	if (d)
		closedir(d);
	return r;
}

static int is_opaque(int directory)
{
	char value[2];
	return fgetxattr(directory, "user.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

/* A directory of the upper one. lower: the image's entry of that name, if it has one. */
static int add_directory(struct list *l, int upper, int lower, const char *name, const char *path,
    const struct stat *now, const struct stat *before, int depth)
{
	AUTO_FD int fd = open_below(upper, name);
	AUTO_FD int below = before && S_ISDIR(before->st_mode) ? open_below(lower, name) : -1;
	size_t count = l->count;
	int r = fd < 0 ? -errno : depth >= DEPTH_MAX ? 0 : walk(l, fd, below, path, depth + 1);
	if (r == 0 && below >= 0 && is_opaque(fd))
		r = add_hidden(l, fd, below, path);
	if (r == 0 && !before)
		r = add(l, path, ADDED);
	else if (r == 0 && (l->count > count || !is_same(now, before)))
		r = add(l, path, CHANGED);
	return r;
}

/* Whether a start made it for the container's own mounts: directories and empty files. */
static int is_mount_point(const char *path, const struct stat *st)
{
	static const char *const files[] = { "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/sbin/docker-init" };
	static const char *const trees[] = { "/dev", "/proc", "/sys" };
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		if (path_is_below(path, trees[i]))
			return 1;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (streq(path, files[i]))
			return S_ISREG(st->st_mode) && st->st_size == 0;
	return 0;
}

static int add_entry(struct list *l, int upper, int lower, const char *name, const char *path, int depth)
{
	struct stat now, before;
	if (fstatat(upper, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (is_mount_point(path, &now))
		return 0;
	int is_old = lower >= 0 && fstatat(lower, name, &before, AT_SYMLINK_NOFOLLOW) == 0;
	if (S_ISCHR(now.st_mode) && now.st_rdev == 0)
		return is_old ? add(l, path, DELETED) : 0;
	if (S_ISDIR(now.st_mode))
		return add_directory(l, upper, lower, name, path, &now, is_old ? &before : NULL, depth);
	if (!is_old)
		return add(l, path, ADDED);
	return is_same(&now, &before) ? 0 : add(l, path, CHANGED);
}

static int walk(struct list *l, int upper, int lower, const char *path, int depth)
{
	int r = 0;
	DIR *d = path_list(upper);
	if (!d)
		return -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d));) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		AUTOFREE char *child = xasprintf("%s/%s", path, e->d_name);
		r = add_entry(l, upper, lower, e->d_name, child, depth);
	}
	closedir(d);
	return r;
}

static int send_changes(const struct looking *l, int lower, struct error **err)
{
	CLEANUP(list_done) struct list list = { 0 };
	struct body_out out;
	int r = walk(&list, l->upper, lower, "", 0);
	if (r < 0)
		return error_set_errno(err, r, "cannot compare the container with its image");
	if (list.count)
		qsort(list.items, list.count, sizeof *list.items, compare);
	body_out_init(&out, l->stream, HEAD "json\r\n\r\n");
	r = body_out_add(&out, "[", 1);
	for (size_t i = 0; r >= 0 && i < list.count; i++) {
		AUTO_JSON struct json_object *o = json_object_new_object();
		json_add_string(o, "Path", list.items[i].path);
		json_add_i64(o, "Kind", list.items[i].kind);
		AUTOFREE char *text = json_to_string(o, 0), *piece = xasprintf("%s%s", i ? "," : "", text);
		r = body_out_add(&out, piece, strlen(piece));
	}
	if (r >= 0)
		r = body_out_add(&out, "]", 1);
	if (r >= 0)
		r = body_out_end(&out);
	body_out_done(&out);
	return r;
}

/* ---- the worker ---- */

static void send_error(const struct looking *l, int code, const struct error *err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_string(o, "message", error_text(err, code));
	AUTOFREE char *text = json_to_string(o, 0);
	AUTOFREE char *answer = xasprintf("HTTP/1.1 500 Internal Server Error\r\n" DOCKER_HEADERS
					  "Content-Type: application/json\r\nContent-Length: %zu\r\n"
					  "Connection: close\r\n\r\n%s",
	    strlen(text), text);
	(void)fd_write_full(l->stream, answer, strlen(answer));
}

static int become_container(const struct looking *l, struct error **err)
{
	if (setns(l->namespaces.user, CLONE_NEWUSER) < 0)
		return error_set_errno(err, errno, "cannot enter the container's user namespace");
	int r = idmap_become_root(&l->engine->ids);
	return r < 0 ? error_set_errno(err, r, "cannot become root of the container") : 0;
}

static int look(const struct looking *l, struct error **err)
{
	const struct container *c = container_find(l->engine, l->id, err);
	if (!c)
		return -ENOENT;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set_errno(err, errno, "cannot make a mount namespace");
	AUTO_FD int lower = image_open_files(c, PLACE, err);
	if (lower < 0)
		return lower;
	int r = become_container(l, err);
	return r < 0 ? r : send_changes(l, lower, err);
}

static int work(int channel, void *data, struct error **err)
{
	const struct looking *l = data;
	int r = fd_set_nonblocking(l->stream, 0);
	if (r >= 0)
		r = look(l, err);
	if (r < 0)
		send_error(l, r, err ? *err : NULL);
	shutdown(l->stream, SHUT_WR);
	return r;
}

/* ---- in the engine ---- */

static void on_done(int code, const char *text, void *data)
{
	struct looking *l = data;
	l->worker = NULL;
	if (code < 0)
		log_debug("changes: %s", text);
	looking_free(l);
}

static int start(struct looking *l, const struct container *c, struct error **err)
{
	static const struct worker_events events = { .done = on_done };
	const struct engine *e = l->engine;
	AUTOFREE char *path = image_upper(c);
	l->upper = openat(e->folders, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l->upper < 0)
		return error_set_errno(err, errno, "cannot open the container's files");
	int r = container_namespaces_make(container_ids(c), NULL, 0, &l->namespaces, NULL, err);
	const int keep[] = { l->stream, l->upper, l->namespaces.user };
	return r < 0 ? r : worker_start(e->loop, work, l, keep, ARRAY_SIZE(keep), &events, l, &l->worker);
}

static void on_image(int code, const char *text, void *data)
{
	struct looking *l = data;
	AUTO_ERROR struct error *err = NULL;
	struct container *c = container_find(l->engine, l->id, &err);
	int r = !c ? -ENOENT : code < 0 ? error_set(&err, -code, "%s", text) : image_make_upper(c, &err);
	if (r == 0)
		r = start(l, c, &err);
	if (r < 0) {
		send_error(l, r, err);
		looking_free(l);
	}
}

void engine_changes(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	if (looking_count >= LOOKING_MAX) {
		error_set(&err, EBUSY, "too many containers are compared with their images at a time; try again");
		engine_error(x, -EBUSY, err);
		return;
	}
	looking_count++;
	struct looking *l = xnew(struct looking);
	*l = (struct looking){ .engine = e,
		.id = xstrdup(c->record.id),
		.stream = -1,
		.upper = -1,
		.namespaces = { -1, -1 } };
	if (http_exchange_take(x, &l->stream, &l->raw) < 0)
		looking_free(l);
	else
		image_want(c, on_image, l);
}
