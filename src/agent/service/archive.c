/* SPDX-License-Identifier: Apache-2.0
 * GET and PUT /v1/archive. The whole exchange is handed to a worker, which speaks the rest of HTTP
 * on the stream itself, blocking: the tree is read and written in the machine's mount namespace
 * (root=machine) or on its disk alone (root=rootfs). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/service/service.h"
#include "agent/core/platform.h"
#include "agent/core/own_folders.h"
#include "agent/core/http_body.h"
#include "agent/core/worker.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "idmap/storage.h"
#include "oci/tar_unpack.h"
#include "oci/tar_write.h"

#define NOT_A_FILE "%s in the machine is neither a file nor a directory"

enum { LINKS_MAX = 16 };

static const char tar_head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n"
			       "Connection: close\r\n\r\n";

struct archive {
	const struct platform *platform;
	const struct boot_user *user;
	int stream, machine; /* machine: pidfd, -1 none */
	struct buffer raw;   /* request head and what came with it */
	char *path, *name;
	char *own; /* the name in an existing directory; NULL: as in the stream */
	int rootfs;
	int merge;   /* an existing path/name gets the contents of the stream's first name */
	int foreign; /* the stream comes from another machine, or from anywhere */
	int64_t uid, gid;
};

/* ---- the worker's side of HTTP ---- */

static int send_text(int stream, char *text)
{
	AUTOFREE char *owned = text;
	return fd_write_full(stream, owned, strlen(owned));
}

static int respond(int stream, int status, struct json_object *body)
{
	AUTO_JSON struct json_object *owned = body;
	AUTOFREE char *text = json_to_string(owned, 0);
	return send_text(stream, xasprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: "
					   "%zu\r\nConnection: close\r\n\r\n%s",
				     status, status == 200 ? "OK" : "Error", strlen(text), text));
}

static void respond_error(int stream, int code, const struct error *err)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "error", error_text(err, code));
	respond(stream, error_http_status(code), o);
}

/* ---- the work ---- */

/* The tree that the request is about. */
static int open_root(const struct archive *a, struct error **err)
{
	int r = a->rootfs ? 0 : a->platform->enter(a->machine);
	if (r < 0)
		return error_set_errno(err, r, "cannot enter the machine");
	int fd = open(a->rootfs ? AGENT_ROOT : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_set_errno(err, errno, "cannot open the machine's root directory") : fd;
}

static int work_get(int channel, void *data, struct error **err)
{
	const struct archive *a = data;
	struct body_out out;
	body_out_init(&out, a->stream, tar_head);
	AUTO_FD int root = open_root(a, err);
	/* On the disk alone, these are part of it, wherever they lie. */
	AUTO_FD int also = a->rootfs && root >= 0 ? own_folders_open(root) : -1;
	AUTO_FD int storage =
	    a->rootfs && root >= 0 ? path_open_beneath(root, STORAGE_FOLDER, O_RDONLY | O_DIRECTORY, 0) : -1;
	struct idmap ids = { 0 };
	if (a->rootfs && a->platform->container_ids)
		a->platform->container_ids(a->user, &ids);
	const struct tar_tree tree = {
		.root = root,
		.path = a->path,
		.name = streq(a->path, "/") ? "" : path_base(a->path),
		.also = { also, storage },
		.restore = a->rootfs,
		.own = a->rootfs && a->platform->container_ids ? storage_ids_to_archive : NULL,
		.own_data = &ids,
	};
	int r = root < 0 ? root : tar_write(&tree, body_out_add, &out, err);
	if (r >= 0)
		r = body_out_end(&out);
	else if (!out.begun)
		respond_error(a->stream, r, err ? *err : NULL);
	/* A stream that broke in the middle ends without its last chunk: the reader knows. */
	body_out_done(&out);
	return r;
}

/* Finds the file that a symlink leads to, as cp(1) writes there. The machine's /proc does not know
 * this process, so the links are read one by one. 0 and the path (owned) or -errno. */
static int follow(int root, const char *link, char **ret, struct error **err)
{
	AUTOFREE char *path = xstrdup(link);
	for (int i = 0; i < LINKS_MAX; i++) {
		struct stat st;
		char target[4096];
		AUTOFREE char *parent = path_parent(path);
		AUTO_FD int directory = path_open_in_root(root, parent, O_RDONLY | O_DIRECTORY, 0);
		int r = directory < 0                                                     ? directory :
			fstatat(directory, path_base(path), &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno :
											    0;
		if (r < 0)
			return error_set_errno(err, r, "the symbolic link %s in the machine", link);
		if (!S_ISLNK(st.st_mode)) {
			*ret = TAKE_PTR(path);
			return S_ISREG(st.st_mode) ? 0 : error_set(err, EEXIST, NOT_A_FILE, link);
		}
		ssize_t n = readlinkat(directory, path_base(path), target, sizeof target - 1);
		target[MAX(n, 0)] = '\0';
		AUTOFREE char *joined = path_join(parent, target);
		free(path);
		path = path_normalize(joined);
	}
	return error_set_errno(err, ELOOP, "the symbolic link %s in the machine", link);
}

/* Opens the parent of the place `full` and sets *ret_name to the place's name in it, borrowed from
 * *place. A descriptor or -errno. */
static int open_beside(int root, const struct archive *a, const char *full, char **place, const char **ret_name,
    struct error **err)
{
	struct stat st;
	AUTO_FD int given = path_open_in_root(root, a->path, O_RDONLY | O_DIRECTORY, 0);
	if (given < 0)
		return error_set_errno(err, given, "cannot open the directory %s in the machine", a->path);
	if (!a->name)
		return TAKE_FD(given);
	*ret_name = a->name;
	if (fstatat(given, a->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode))
		return TAKE_FD(given);
	if (!S_ISLNK(st.st_mode))
		return error_set(err, EEXIST, NOT_A_FILE, full);
	int r = follow(root, full, place, err);
	if (r < 0)
		return r;
	AUTOFREE char *parent = path_parent(*place);
	*ret_name = path_base(*place);
	int fd = path_open_in_root(root, parent, O_RDONLY | O_DIRECTORY, 0);
	return fd < 0 ? error_set_errno(err, fd, "cannot open the directory %s in the machine", parent) : fd;
}

/* Opens the directory that the stream goes to, and says in *u which names it gets: like cp(1), into
 * path/name if that is a directory, else as path/name. A descriptor or -errno. */
static int open_target(int root, const struct archive *a, struct tar_unpack *u, char **place, struct error **err)
{
	AUTOFREE char *full = a->name ? path_join(a->path, a->name) : xstrdup(a->path);
	int inner = a->name ? path_open_in_root(root, full, O_RDONLY | O_DIRECTORY, 0) : -ENOENT;
	if (inner >= 0 || !a->name) {
		u->strip = a->merge;
		u->name = a->own;
	}
	return inner >= 0 ? inner : open_beside(root, a, full, place, &u->name, err);
}

static int receive(const struct archive *a, struct body_in *body, size_t *left_out, struct error **err)
{
	int r = body_in_begin(body, a->stream, &a->raw, err);
	if (r < 0)
		return r;
	AUTO_FD int root = open_root(a, err);
	if (root < 0)
		return root;
	AUTOFREE char *place = NULL;
	struct tar_unpack u = { .uid = a->uid, .gid = a->gid, .foreign = a->foreign };
	AUTO_FD int directory = open_target(root, a, &u, &place, err);
	if (directory < 0)
		return directory;
	u.directory = directory;
	return tar_unpack_run(&u, body_in_read, body, left_out, err);
}

static int work_put(int channel, void *data, struct error **err)
{
	const struct archive *a = data;
	struct body_in body = { 0 };
	size_t left_out = 0;
	int r = receive(a, &body, &left_out, err);
	struct json_object *answer = json_object_new_object();
	json_add_u64(answer, "left_out", left_out);
	if (r >= 0)
		r = respond(a->stream, 200, json_object_get(answer));
	else
		respond_error(a->stream, r, err ? *err : NULL);
	json_object_put(answer);
	shutdown(a->stream, SHUT_WR);
	if (r < 0)
		body_in_drain(&body, a->stream);
	body_in_done(&body);
	return r;
}

static void archive_free(struct archive *a)
{
	fd_close(a->stream);
	buffer_done(&a->raw);
	free(a->path);
	free(a->name);
	free(a->own);
	free(a);
}

static void on_done(int code, const char *text, void *data)
{
	if (code < 0)
		log_info("archive: %s", text);
}

static int64_t query_id(const char *target, const char *key)
{
	AUTOFREE char *text = http_target_query(target, key);
	uint32_t id;
	return text && parse_u32(text, &id) >= 0 && id != UINT32_MAX ? (int64_t)id : -1;
}

static int parse(struct agent *agent, const char *target, struct archive *a, struct error **err)
{
	AUTOFREE char *root = http_target_query(target, "root");
	AUTOFREE char *path = http_target_query(target, "path"), *merge = http_target_query(target, "merge"),
		      *foreign = http_target_query(target, "foreign");
	a->name = http_target_query(target, "name");
	a->own = http_target_query(target, "own");
	a->uid = query_id(target, "uid");
	a->gid = query_id(target, "gid");
	a->path = path ? path_normalize(path) : NULL;
	a->merge = merge && streq(merge, "1");
	a->foreign = foreign && streq(foreign, "1");
	a->rootfs = streq(root, "rootfs") || agent->init_pidfd < 0;
	a->machine = agent->init_pidfd;
	if (!a->path)
		return error_set(err, EINVAL, "\"path\" must be an absolute path in the machine");
	const char *const names[] = { a->name, a->own };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i] && (!*names[i] || strchr(names[i], '/') || streq(names[i], ".") || streq(names[i], "..")))
			return error_set(err, EINVAL, "\"%.100s\" is not a file name", names[i]);
	if (agent->phase != PHASE_RUNNING)
		return error_set(err, EAGAIN, "the machine is not running");
	return 0;
}

static void start(struct http_exchange *x, struct agent *agent, worker_fn fn)
{
	static const struct worker_events events = { .done = on_done };
	AUTO_ERROR struct error *err = NULL;
	struct archive *a = xnew(struct archive);
	a->stream = -1;
	a->platform = agent->platform;
	a->user = agent->boot ? &agent->boot->user : NULL;
	int r = parse(agent, http_exchange_head(x)->target, a, &err);
	if (r < 0)
		http_respond_error(x, r, err);
	else if (http_exchange_take(x, &a->stream, &a->raw) >= 0) {
		int keep[] = { a->stream, a->machine };
		if (worker_start(agent->loop, fn, a, keep, ARRAY_SIZE(keep), &events, NULL, NULL) < 0)
			log_error("cannot start a process for an archive");
	}
	archive_free(a);
}

void archive_get_handle(struct http_exchange *x, void *agent)
{
	start(x, agent, work_get);
}

void archive_put_handle(struct http_exchange *x, void *agent)
{
	start(x, agent, work_put);
}
