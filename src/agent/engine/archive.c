/* SPDX-License-Identifier: Apache-2.0
 * HEAD, GET and PUT /containers/ * /archive: what `docker cp` asks for. GET /export: the whole root
 * file system. GET /layer: what the container has changed in it. PUT /layer: the same of one that
 * has never run, for containers that will stand on it (stack.h).
 *
 * Problem. The paths are the client's, but symlinks, mounts and names on the way are the
 * container's. The engine may do more than the container.
 *
 * Idea. A worker becomes root of the container first, then resolves the first path. Nothing of the
 * engine is left in it but the client's connection, on which it answers by itself.
 *
 * Steps. The worker of a running container enters its user and mount namespaces. For one that does
 * not run, it makes a mount namespace of its own and mounts the root file system and the volumes
 * there. It enters a new user namespace with the container's mapping before it makes that its root.
 * The mounts go with the worker.
 *
 * A layer is read from the overlay's upper directory. No path in it is resolved, and nothing of the
 * image is needed: the worker opens it, then enters a new user namespace as above. So does one that
 * writes files for a start (files.h). */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/http_body.h"
#include "agent/core/worker.h"
#include "agent/engine/events.h"
#include "agent/engine/files.h"
#include "agent/engine/mounts.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/stack.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "docker/base64.h"
#include "docker/route.h"
#include "oci/tar_unpack.h"
#include "oci/tar_write.h"

#define PLACE "/run/archive" /* in the worker's own mount namespace */

enum { ARCHIVES_MAX = 64, PATH_LENGTH_MAX = 4095, LINKS_MAX = 16 };

enum archive_kind { ARCHIVE_PATH, ARCHIVE_EXPORT, ARCHIVE_LAYER, ARCHIVE_FILES };

struct archive {
	struct archive *next;
	struct engine *engine;
	struct container *container; /* NULL: it is gone */
	struct worker *worker;
	int stream, process; /* process: pidfd of a running container, or -1 */
	int files;           /* the folder of files for a start, or -1 */
	struct container_namespaces namespaces;
	struct buffer raw; /* the request's head, and what came with it */
	char *path, *name;
	enum archive_kind kind;
	int is_head, is_put;
	int is_roots; /* PUT: everything is root's, whatever the stream says */
	int tidies;   /* a layer: its container gets ready for another one on it */
};

static void archive_free(struct archive *a)
{
	for (struct archive **at = &a->engine->archives; *at; at = &(*at)->next)
		if (*at == a) {
			*at = a->next;
			break;
		}
	worker_cancel(a->worker);
	fd_close(a->stream);
	fd_close(a->process);
	fd_close(a->files);
	container_namespaces_done(&a->namespaces);
	buffer_done(&a->raw);
	free(a->path);
	free(a->name);
	free(a);
}

void archive_forget(struct container *c)
{
	for (struct archive *a = c->engine->archives; a; a = a->next)
		if (a->container == c)
			a->container = NULL;
}

/* ---- answers ---- */

static const struct {
	int code, status;
	const char *reason;
} statuses[] = { { ENOENT, 404, "Not Found" }, { EROFS, 403, "Forbidden" }, { EINVAL, 400, "Bad Request" },
	{ ENOTDIR, 400, "Bad Request" }, { EISDIR, 400, "Bad Request" }, { EBADMSG, 400, "Bad Request" },
	{ EPIPE, 400, "Bad Request" }, /* it ended early */
	{ EBUSY, 409, "Conflict" }, { 0, 500, "Internal Server Error" } };

static void send_error(const struct archive *a, int code, const struct error *err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	size_t i = 0;
	json_add_string(o, "message", error_text(err, code));
	AUTOFREE char *text = json_to_string(o, 0);
	while (statuses[i].code && statuses[i].code != -code)
		i++;
	AUTOFREE char *answer =
	    xasprintf("HTTP/1.1 %d %s\r\n" DOCKER_HEADERS "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		      "Connection: close\r\n\r\n%s",
		statuses[i].status, statuses[i].reason, strlen(text), a->is_head ? "" : text);
	(void)fd_write_full(a->stream, answer, strlen(answer));
}

/* ---- in the worker: becoming the container ---- */

static int enter_running(const struct archive *a, struct error **err)
{
	/* The user namespace is the first: it takes the engine's rights away. */
	if (setns(a->process, CLONE_NEWUSER) < 0 || setns(a->process, CLONE_NEWNS) < 0)
		return error_set_errno(err, errno, "cannot enter the container");
	return 0;
}

static int enter_stopped(const struct archive *a, struct error **err)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set_errno(err, errno, "cannot make a mount namespace");
	/* A clone of a mount has to be of this namespace. */
	fd_close(a->engine->folders);
	a->engine->folders = open(ENGINE_CONTAINERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = image_mount_root_at(a->container, PLACE, err);
	if (r < 0)
		return r;
	AUTO_FD int root = open(PLACE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0 && a->kind == ARCHIVE_PATH && (r = mounts_put_volumes(a->container, root, err)) < 0)
		return r;
	fd_close(a->engine->folders);
	if (root < 0 || setns(a->namespaces.user, CLONE_NEWUSER) < 0 || fchdir(root) < 0 || chroot(".") < 0)
		return error_set_errno(err, errno, "cannot enter the container");
	return 0;
}

/* A descriptor of the upper directory. */
static int enter_upper(const struct archive *a, struct error **err)
{
	AUTOFREE char *path = image_upper(a->container);
	AUTO_FD int upper = path_open_beneath(a->engine->folders, path, O_RDONLY | O_DIRECTORY, 0);
	fd_close(a->engine->folders);
	if (upper == -ENOENT)
		return error_set(err, ENOENT, "container %s has never run", a->name);
	if (upper < 0 || setns(a->namespaces.user, CLONE_NEWUSER) < 0)
		return error_set_errno(err, upper < 0 ? upper : errno, "cannot enter the container");
	int r = idmap_become_root(&a->engine->ids);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return r < 0 ? error_set_errno(err, r, "cannot become root of the container") : TAKE_FD(upper);
}

static int enter_files(const struct archive *a, struct error **err)
{
	if (setns(a->namespaces.user, CLONE_NEWUSER) < 0)
		return error_set_errno(err, errno, "cannot enter the container");
	int r = idmap_become_root(&a->engine->ids);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return r < 0 ? error_set_errno(err, r, "cannot become root of the container") :
		       fcntl(a->files, F_DUPFD_CLOEXEC, 0);
}

/* A descriptor of the container's root directory. */
static int become_container(const struct archive *a, struct error **err)
{
	if (a->kind == ARCHIVE_LAYER)
		return enter_upper(a, err);
	if (a->kind == ARCHIVE_FILES)
		return enter_files(a, err);
	int r = a->process >= 0 ? enter_running(a, err) : enter_stopped(a, err);
	if (r < 0)
		return r;
	if ((r = idmap_become_root(&a->engine->ids)) < 0)
		return error_set_errno(err, r, "cannot become root of the container");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? error_set_errno(err, errno, "cannot open the container's root") : root;
}

/* ---- in the worker: what the path is ---- */

/* Docker takes a path as from "/". A slash or a dot at the end stays: it means the directory behind
 * a symlink. */
struct place {
	char *directory; /* before the last part; symlinks in it are followed */
	char *base;      /* the last part; "." is the directory itself */
	char *name;      /* for people and for the archive */
};

static void place_done(struct place *p)
{
	free(p->directory);
	free(p->base);
	free(p->name);
}

static struct place split_path(const char *path)
{
	AUTOFREE char *absolute = xasprintf("/%s", path), *clean = path_normalize(absolute);
	int is_inside = endswith(absolute, "/") || endswith(absolute, "/.");
	if (is_inside)
		return (struct place){ xstrdup(clean), xstrdup("."),
			xstrdup(endswith(absolute, "/.") || streq(clean, "/") ? "." : path_base(clean)) };
	return (struct place){ path_parent(clean), xstrdup(path_base(clean)), xstrdup(path_base(clean)) };
}

static int fail_missing(const struct archive *a, int code, struct error **err)
{
	if (code == -ENOENT || code == -ENOTDIR)
		return error_set(err, ENOENT, "Could not find the file %.4000s in container %s", a->path, a->name);
	return error_set_errno(err, code, "cannot open %.4000s in container %s", a->path, a->name);
}

/* Go's os.FileMode. */
static uint32_t go_mode(mode_t mode)
{
	static const struct {
		mode_t mask, value;
		unsigned bit;
	} bits[] = { { S_IFMT, S_IFDIR, 31 }, { S_IFMT, S_IFLNK, 27 }, { S_IFMT, S_IFBLK, 26 }, { S_IFMT, S_IFCHR, 26 },
		{ S_IFMT, S_IFIFO, 25 }, { S_IFMT, S_IFSOCK, 24 }, { S_ISUID, S_ISUID, 23 }, { S_ISGID, S_ISGID, 22 },
		{ S_IFMT, S_IFCHR, 21 }, { S_ISVTX, S_ISVTX, 20 } };
	uint32_t go = mode & 0777;
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if ((mode & bits[i].mask) == bits[i].value)
			go |= 1U << bits[i].bit;
	return go;
}

/* Returns the path that a symlink leads to, also if nothing is there. This process is not in the
 * /proc that it sees, so the links are read one by one. */
static char *link_target(int root, const struct place *p)
{
	char *path = path_join(p->directory, p->base);
	for (int i = 0; i < LINKS_MAX; i++) {
		char text[PATH_LENGTH_MAX + 1];
		AUTOFREE char *parent = path_parent(path);
		AUTO_FD int directory = path_open_in_root(root, parent, O_PATH | O_DIRECTORY, 0);
		ssize_t n = directory < 0 ? -1 : readlinkat(directory, path_base(path), text, sizeof text - 1);
		if (n < 0)
			break;
		text[n] = '\0';
		AUTOFREE char *joined = path_join(parent, text);
		free(path);
		path = path_normalize(joined);
	}
	return path;
}

/* The header line that clients want; owned. */
static char *make_stat(int root, const struct place *p, const struct stat *st)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	AUTOFREE char *time = clock_format_rfc3339((int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec),
		      *target = S_ISLNK(st->st_mode) ? link_target(root, p) : xstrdup("");
	json_add_string(o, "name", p->name);
	json_add_i64(o, "size", st->st_size);
	json_add_u64(o, "mode", go_mode(st->st_mode));
	json_add_string(o, "mtime", time);
	json_add_string(o, "linkTarget", target);
	AUTOFREE char *text = json_to_string(o, 0), *encoded = docker_base64(text, strlen(text));
	return xasprintf("X-Docker-Container-Path-Stat: %s\r\n", encoded);
}

/* directory: of the place. Its contents are written as from a root of their own. */
static int send_tree(const struct archive *a, int root, int directory, const struct place *p, const char *head,
    struct error **err)
{
	AUTOFREE char *path = path_join(p->directory, p->base);
	int inside = streq(p->base, ".");
	struct body_out out;
	body_out_init(&out, a->stream, head);
	int r = tar_write_tree(inside ? directory : root, inside ? "/" : path, p->name, body_out_add, &out, err);
	if (r >= 0)
		r = body_out_end(&out);
	if (r < 0 && out.begun) /* the client misses the last chunk */
		shutdown(a->stream, SHUT_RDWR);
	body_out_done(&out);
	return r;
}

/* The files that a start mounts something on. With Docker they are there from the creation on, in
 * any image; a container that never ran gets those that it lacks when somebody reads them. */
static void make_etc_file(int root, const struct place *p)
{
	static const char *const names[] = { "hosts", "hostname", "resolv.conf" };
	size_t i = 0;
	while (i < ARRAY_SIZE(names) && !streq(p->base, names[i]))
		i++;
	if (!streq(p->directory, "/etc") || i == ARRAY_SIZE(names))
		return;
	(void)mkdirat(root, "etc", 0755);
	AUTO_FD int directory = path_open_in_root(root, "/etc", O_PATH | O_DIRECTORY, 0);
	AUTO_FD int file =
	    directory < 0 ? -1 : openat(directory, p->base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	(void)file; /* if it cannot be made, the client learns that it is not there */
}

/* HEAD and GET. */
static int read_out(const struct archive *a, int root, struct error **err)
{
	CLEANUP(place_done) struct place p = split_path(a->path);
	struct stat st;
	if (a->process < 0)
		make_etc_file(root, &p);
	AUTO_FD int directory = path_open_in_root(root, p.directory, O_PATH | O_DIRECTORY, 0);
	if (directory < 0 || fstatat(directory, p.base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_missing(a, directory < 0 ? directory : -errno, err);
	AUTOFREE char *found = make_stat(root, &p, &st);
	AUTOFREE char *head = xasprintf("HTTP/1.1 200 OK\r\n" DOCKER_HEADERS "%sContent-Type: application/x-tar\r\n"
					"Connection: close\r\n%s\r\n",
	    found, a->is_head ? "" : "Transfer-Encoding: chunked\r\n");
	if (a->is_head)
		return fd_write_full(a->stream, head, strlen(head));
	return send_tree(a, root, directory, &p, head, err);
}

static const char tar_head[] = "HTTP/1.1 200 OK\r\n" DOCKER_HEADERS "Content-Type: application/x-tar\r\n"
			       "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

/* GET /containers/ * /export: the whole root file system, without what is mounted in it. */
static int export_root(const struct archive *a, int root, struct error **err)
{
	const struct place everything = { .directory = (char *)"/", .base = (char *)".", .name = (char *)"" };
	return send_tree(a, root, root, &everything, tar_head, err);
}

static void tidy_one(int upper, const char *path)
{
	struct stat st;
	AUTOFREE char *parent = path_parent(path);
	AUTO_FD int directory = streq(parent, "/") ? fcntl(upper, F_DUPFD_CLOEXEC, 0) :
						     path_open_beneath(upper, parent + 1, O_RDONLY | O_DIRECTORY, 0);
	if (directory < 0 || fstatat(directory, path_base(path), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISDIR(st.st_mode))
		unlinkat(directory, path_base(path), AT_REMOVEDIR);
	else if (S_ISREG(st.st_mode) && st.st_size == 0)
		unlinkat(directory, path_base(path), 0);
}

/* Removes empty files and directories where something was mounted, which the layer has not: another
 * container will stand on this one (stack.h). */
static void tidy(int upper, const struct strv *mounted)
{
	for (size_t i = 0; i < mounted->count; i++) {
		const char *path = mounted->items[i];
		tidy_one(upper, path);
		if (startswith(path, "/run/secrets/") || startswith(path, "/run/buildkit/"))
			tidy_one(upper, startswith(path, "/run/s") ? "/run/secrets" : "/run/buildkit");
	}
}

/* GET /containers/ * /layer: a layer of an image with what the container has changed. */
static int send_layer(const struct archive *a, int upper, struct error **err)
{
	static const char *const places[] = { "/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname",
		"/etc/resolv.conf" };
	const struct docker_mounts *mounts = &a->container->record.mounts;
	AUTO_STRV struct strv mounted = { 0 };
	struct body_out out;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		strv_add(&mounted, places[i]);
	for (size_t i = 0; i < mounts->count; i++)
		strv_add(&mounted, mounts->items[i].destination);
	body_out_init(&out, a->stream, tar_head);
	int r = tar_write_layer(upper, &mounted, body_out_add, &out, err);
	if (r >= 0 && a->tidies) /* before the client sees the end */
		tidy(upper, &mounted);
	if (r >= 0)
		r = body_out_end(&out);
	if (r < 0 && out.begun)
		shutdown(a->stream, SHUT_RDWR);
	body_out_done(&out);
	return r;
}

/* A tar_source with an end. */
struct capped {
	struct body_in *body;
	size_t left;
};

static ssize_t read_capped(void *data, const void **ret, struct error **err)
{
	struct capped *c = data;
	ssize_t n = body_in_read(c->body, ret, err);
	if (n > 0 && (size_t)n > c->left)
		return error_set(err, EFBIG, "the files for a start are larger than %d MiB", FILES_TOTAL_MAX >> 20);
	c->left -= n > 0 ? (size_t)n : 0;
	return n;
}

static const char put_done[] = "HTTP/1.1 200 OK\r\n" DOCKER_HEADERS "Content-Length: 0\r\nConnection: close\r\n\r\n";

/* PUT with holmFiles: everything beneath the folder, no symlink followed. */
static int write_files(const struct archive *a, int folder, struct body_in *body, struct error **err)
{
	struct capped capped = { body, FILES_TOTAL_MAX };
	const struct tar_unpack u = { .directory = folder, .uid = -1, .gid = -1, .foreign = 1 };
	int r = tar_unpack_run(&u, read_capped, &capped, NULL, err);
	return r < 0 ? r : fd_write_full(a->stream, put_done, strlen(put_done));
}

/* PUT /layer: into the upper directory itself, no symlink followed. */
static int write_layer(const struct archive *a, int upper, struct body_in *body, struct error **err)
{
	const struct tar_unpack u = { .directory = upper, .uid = -1, .gid = -1, .layer = 1 };
	int r = tar_unpack_run(&u, body_in_read, body, NULL, err);
	return r < 0 ? r : fd_write_full(a->stream, put_done, strlen(put_done));
}

/* PUT: the path is a directory, symlinks followed. */
static int write_in(const struct archive *a, int root, struct body_in *body, struct error **err)
{
	AUTOFREE char *path = xasprintf("/%s", a->path);
	struct stat st;
	AUTO_FD int found = path_open_in_root(root, path, O_PATH, 0);
	if (found < 0)
		return fail_missing(a, found, err);
	if (fstat(found, &st) == 0 && !S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "extraction point is not a directory");
	if (a->process < 0 && a->container->record.body.read_only)
		return error_set(err, EROFS, "container rootfs is marked read-only");
	AUTO_FD int directory = path_open_in_root(root, path, O_RDONLY | O_DIRECTORY, 0);
	if (directory < 0)
		return fail_missing(a, directory, err);
	const struct tar_unpack u = { .directory = directory,
		.uid = a->is_roots ? 0 : -1,
		.gid = a->is_roots ? 0 : -1,
		.follow = 1 };
	int r = tar_unpack_run(&u, body_in_read, body, NULL, err);
	return r < 0 ? r : fd_write_full(a->stream, put_done, strlen(put_done));
}

static int work(int channel, void *data, struct error **err)
{
	const struct archive *a = data;
	struct body_in body = { 0 };
	int r = body_in_begin(&body, a->stream, &a->raw, err);
	AUTO_FD int root = r < 0 ? r : become_container(a, err);
	if (root < 0)
		r = root;
	if (r >= 0)
		r = a->kind == ARCHIVE_FILES              ? write_files(a, root, &body, err) :
		    a->kind == ARCHIVE_LAYER && a->is_put ? write_layer(a, root, &body, err) :
		    a->is_put                             ? write_in(a, root, &body, err) :
		    a->kind == ARCHIVE_LAYER              ? send_layer(a, root, err) :
		    a->kind == ARCHIVE_EXPORT             ? export_root(a, root, err) :
							    read_out(a, root, err);
	if (r < 0)
		send_error(a, r, err ? *err : NULL);
	shutdown(a->stream, SHUT_WR);
	if (r < 0 && a->is_put)
		body_in_drain(&body, a->stream);
	body_in_done(&body);
	return r;
}

/* ---- in the engine ---- */

static void on_done(int code, const char *text, void *data)
{
	struct archive *a = data;
	a->worker = NULL;
	if (code < 0)
		log_debug("archive: %s", text);
	archive_free(a);
}

static int start(struct archive *a, struct error **err)
{
	static const struct worker_events events = { .done = on_done };
	struct container *c = a->container;
	int r = 0, inside = c->pid && a->kind != ARCHIVE_LAYER && a->kind != ARCHIVE_FILES;
	if (inside)
		a->process = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (inside && a->process < 0)
		return error_set_errno(err, errno, "cannot open the container's process");
	if (!inside)
		r = container_namespaces_make(container_ids(c), NULL, 0, &a->namespaces, NULL, err);
	if (r < 0)
		return r;
	const int keep[] = { a->stream, a->process, a->namespaces.user, a->engine->folders, a->files };
	return worker_start(a->engine->loop, work, a, keep, inside ? 2 : ARRAY_SIZE(keep), &events, a, &a->worker);
}

static void on_image(int code, const char *text, void *data)
{
	struct archive *a = data;
	AUTO_ERROR struct error *err = NULL;
	int r = code < 0      ? error_set(&err, -code, "%s", text) :
		!a->container ? error_set(&err, ENOENT, "No such container: %s", a->name) :
				0;
	/* One that never ran has changed nothing. */
	if (r == 0 && a->kind == ARCHIVE_LAYER && !a->container->pid)
		r = image_make_upper(a->container, &err);
	if (r == 0 && a->kind == ARCHIVE_FILES)
		r = a->files = files_folder(a->container, &err);
	if (r >= 0)
		r = start(a, &err);
	if (r < 0) {
		send_error(a, r, err);
		archive_free(a);
	}
}

static int check(const struct engine *e, const char *path, struct error **err)
{
	int count = 0;
	if (!path || !*path)
		return error_set(err, EINVAL, "bad parameter: 'path' cannot be empty");
	if (strlen(path) > PATH_LENGTH_MAX)
		return error_set(err, EINVAL, "the path is too long");
	for (const struct archive *a = e->archives; a; a = a->next)
		count++;
	return count < ARCHIVES_MAX ? 0 : error_set(err, EBUSY, "too many archives at a time; try again");
}

/* path: owned. */
static void begin(struct container *c, struct http_exchange *x, const char *name, char *path, enum archive_kind kind)
{
	struct engine *e = c->engine;
	AUTOFREE char *owner = engine_query(x, "holmOwner");
	struct archive *a = xnew(struct archive);
	*a = (struct archive){ .next = e->archives,
		.engine = e,
		.container = c,
		.stream = -1,
		.process = -1,
		.files = -1,
		.namespaces = { -1, -1 },
		.kind = kind,
		.path = path,
		.name = xstrdup(name),
		.is_head = streq(http_exchange_head(x)->method, "HEAD"),
		.is_put = streq(http_exchange_head(x)->method, "PUT"),
		.is_roots = streq(owner, "root"),
		.tidies = kind == ARCHIVE_LAYER && engine_flag(x, "holmTidy", 0) };
	e->archives = a;
	if (http_exchange_take(x, &a->stream, &a->raw) < 0)
		archive_free(a);
	else if (c->pid || kind == ARCHIVE_FILES)
		on_image(0, NULL, a);
	else
		image_want(c, on_image, a);
}

void engine_archive(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	AUTOFREE char *path = engine_query(x, "path");
	int files = streq(http_exchange_head(x)->method, "PUT") && engine_flag(x, "holmFiles", 0);
	if (!c)
		return;
	int r = check(e, path, &err);
	if (r < 0)
		engine_error(x, r, err);
	else
		begin(c, x, name, TAKE_PTR(path), files ? ARCHIVE_FILES : ARCHIVE_PATH);
}

static void whole(struct engine *e, struct http_exchange *x, const char *name, enum archive_kind kind)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	int r = check(e, "/", &err);
	/* Nothing changes below a mount. */
	if (r == 0 && streq(http_exchange_head(x)->method, "PUT") && !stack_is_at_rest(c))
		r = error_set(&err, EBUSY, "container %s runs, or one that stands on it", name);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	if (kind == ARCHIVE_EXPORT)
		event_container(c, "export", NULL, NULL);
	begin(c, x, name, xstrdup("/"), kind);
}

void engine_export(struct engine *e, struct http_exchange *x, const char *name)
{
	whole(e, x, name, ARCHIVE_EXPORT);
}

void engine_layer(struct engine *e, struct http_exchange *x, const char *name)
{
	whole(e, x, name, ARCHIVE_LAYER);
}
