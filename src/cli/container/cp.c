/* SPDX-License-Identifier: Apache-2.0
 * `holm cp CONTAINER:PATH DST` and `holm cp SRC CONTAINER:PATH`, by the rules of `docker cp`: those
 * of `machine cp` (src/cli/machine/cp.c). A copy is a tar stream whose first part is the source's
 * name. A container's stream is not trusted: it lands beneath the one name that was asked for,
 * without devices and setuid bits. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/container/api.h"
#include "cli/machine/archive.h"
#include "cli/machine/host_files.h"
#include "cli/output.h"
#include "docker/base64.h"
#include "oci/tar_write.h"

enum { GO_DIRECTORY = 31, GO_LINK = 27 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	API_MACHINE_OPTION,
	{ "archive", 'a', OPTION_SWITCH, NULL, "keep the numbers of owners",
	    .default_text = "copies are yours, and inside root's" },
	{ "follow-link", 'L', OPTION_SWITCH, NULL, "copy what a symbolic link SRC leads to" },
	{ "quiet", 'q', OPTION_SWITCH, NULL, "show no progress" },
	{ 0 },
};

const struct command_spec command_container_cp = {
	.name = "cp",
	.synopsis = "SRC DST",
	.summary = "copy files between the host and a container; CONTAINER:PATH is a place inside",
	.details =
	    "Directories are copied whole. Where DST is a directory the copy goes into it under its own name; of "
	    "DIR/. only the contents. A path inside counts from /. - is a tar stream: from stdin into a directory "
	    "of a container, or from a container to stdout. The container need not run.",
	.options = options,
	.min_arguments = 2,
	.max_arguments = 2,
	.complete = "container-path",
	.run = run,
};

struct place {
	char *container; /* NULL: on the host */
	char *path;
	int slash, contents;
};

struct copy {
	const struct api *api;
	struct place from, to;
	int archive, follow;
};

static void copy_done(struct copy *c)
{
	free(c->from.container);
	free(c->from.path);
	free(c->to.container);
	free(c->to.path);
}

static struct host_file host_file(const struct place *p)
{
	return (struct host_file){ .path = p->path, .slash = p->slash, .contents = p->contents };
}

static int is_stream(const struct place *p)
{
	return !p->container && streq(p->path, "-");
}

/* CONTAINER:PATH is inside; a path that begins with "/" or "." is the host's. */
static int parse_place(const char *text, struct place *ret, struct error **err)
{
	const char *colon = text[0] == '/' || text[0] == '.' ? NULL : strchr(text, ':');
	const char *path = colon ? colon + 1 : text;
	if (!*path || colon == text)
		return error_set(err, EINVAL, "\"%s\": write a path, or CONTAINER:PATH", text);
	ret->container = colon ? xstrndup(text, (size_t)(colon - text)) : NULL;
	ret->path = host_file_parse(path, &ret->slash, &ret->contents);
	if (!colon)
		return 0;
	AUTOFREE char *absolute = xasprintf("/%s", ret->path);
	free(ret->path);
	ret->path = path_normalize(absolute);
	return 0;
}

/* ---- the container's side ---- */

static char *archive_target(const struct place *p, const char *path, const char *owner)
{
	AUTOFREE char *whole = api_path("/containers/", p->container, "/archive");
	return api_target(whole, "path", path, "holmOwner", owner, NULL);
}

struct found {
	int directory;
	char *link; /* the target of a symbolic link, or NULL; owned */
};

/* Says what is at a path of the container. 0, -ENOENT without a text, or -errno. */
static int look(const struct copy *c, const struct place *p, const char *path, struct found *ret, struct error **err)
{
	AUTO_API_STREAM struct api_stream s = API_STREAM_NONE;
	AUTO_JSON struct json_object *o = NULL;
	AUTO_ERROR struct error *why = NULL;
	AUTOFREE char *target = archive_target(p, path, NULL);
	int r = api_open(c->api, "HEAD", target, NULL, NULL, &s, &why);
	if (r == -ENOENT)
		return r;
	if (r < 0)
		return error_set(err, -r, "%s", error_text(why, r));
	const char *header = http_head_get(&s.response.head, "X-Docker-Container-Path-Stat"), *link = NULL;
	AUTOFREE char *text = header ? docker_base64_decode(header) : NULL;
	uint64_t mode = 0;
	if (!text || json_parse_bytes(text, strlen(text), "the engine's answer", &o, NULL) < 0 ||
	    json_get_u64(o, "mode", &mode, NULL) < 0)
		return error_set(err, EPROTO, "the engine does not say what \"%s\" is", path);
	ret->directory = (int)(mode >> GO_DIRECTORY & 1);
	if (mode >> GO_LINK & 1 && json_get_string(o, "linkTarget", &link, NULL) == 0)
		ret->link = xstrdup(link);
	return 0;
}

/* The same behind a symbolic link: *path becomes where it leads. */
static int look_behind(const struct copy *c, const struct place *p, char **path, int *ret_directory, struct error **err)
{
	struct found found = { 0 };
	int r = look(c, p, *path, &found, err);
	if (r < 0 || !found.link) {
		*ret_directory = found.directory;
		return r;
	}
	free(*path);
	*path = found.link;
	found = (struct found){ 0 };
	r = look(c, p, *path, &found, err);
	free(found.link);
	*ret_directory = found.directory;
	return r;
}

static int not_there(const struct place *p, struct error **err)
{
	return error_set(err, ENOENT, "there is no \"%s\" in container \"%s\", or no such container", p->path,
	    p->container);
}

/* ---- out ---- */

static int begin_download(const struct copy *c, const char *path, struct archive_download *d, struct error **err)
{
	AUTOFREE char *target = archive_target(&c->from, path, NULL);
	struct api_stream s = API_STREAM_NONE;
	int r = api_open(c->api, "GET", target, NULL, NULL, &s, err);
	d->fd = s.fd;
	d->response = s.response;
	return MIN(r, 0);
}

/* Looks at the source, and makes *path the path to ask for. 1: a directory, 0: something else,
 * -errno. */
static int resolve_source(const struct copy *c, char **path, struct error **err)
{
	const struct place *from = &c->from;
	struct found found = { 0 };
	int follow = c->follow || from->slash || from->contents, directory = 0;
	int r = follow ? look_behind(c, from, path, &directory, err) : look(c, from, *path, &found, err);
	if (!follow)
		directory = found.directory;
	free(found.link);
	if (r < 0)
		return r == -ENOENT ? not_there(from, err) : r;
	if (!directory && (from->slash || from->contents))
		return error_set(err, ENOTDIR, "\"%s\" is not a directory", from->path);
	return directory;
}

static int copy_out(const struct copy *c, struct error **err)
{
	AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
	AUTOFREE char *path = xstrdup(c->from.path), *place = NULL;
	const struct host_file to = host_file(&c->to);
	struct tar_unpack u = { .uid = c->archive ? -1 : (int64_t)getuid(),
		.gid = c->archive ? -1 : (int64_t)getgid(),
		.foreign = 1 };
	size_t left_out = 0;
	int r = resolve_source(c, &path, err), root = streq(c->from.path, "/");
	if (r < 0)
		return r;
	AUTO_FD int directory =
	    host_file_open_target(&to, path_base(c->from.path), c->from.contents || root, 0, r, &u, &place, err);
	if (directory < 0)
		return directory;
	u.directory = directory;
	if ((r = begin_download(c, path, &d, err)) < 0)
		return r;
	r = tar_unpack_run(&u, archive_download_read, &d, &left_out, err);
	if (r >= 0 && left_out)
		output_note("left out: %zu %s", left_out, left_out == 1 ? "device" : "devices");
	return r;
}

static int stream_out(const struct copy *c, struct error **err)
{
	AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
	AUTOFREE char *path = xstrdup(c->from.path);
	const void *data;
	ssize_t n;
	if (isatty(STDOUT_FILENO))
		return error_set(err, EINVAL, "stdout is a terminal; lead the tar stream elsewhere");
	int r = resolve_source(c, &path, err);
	if (r < 0 || (r = begin_download(c, path, &d, err)) < 0)
		return r;
	while ((n = archive_download_read(&d, &data, err)) > 0)
		if ((r = fd_write_full(STDOUT_FILENO, data, (size_t)n)) < 0)
			return error_set_errno(err, r, "stdout");
	return (int)n;
}

/* ---- in ---- */

/* Finds the directory that the copy goes to, and its name there (both owned). 0 or -errno. */
static int resolve_target(const struct copy *c, int from_directory, char **ret_directory, char **ret_name,
    struct error **err)
{
	const struct place *to = &c->to;
	AUTOFREE char *path = xstrdup(to->path);
	int directory = 0, r = look_behind(c, to, &path, &directory, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && directory) {
		*ret_directory = TAKE_PTR(path);
		*ret_name = xstrdup(c->from.contents ? "" : path_base(c->from.path));
		return 0;
	}
	if (r == 0 && from_directory)
		return error_set(err, ENOTDIR, "\"%s\" in container \"%s\" is not a directory", to->path,
		    to->container);
	if ((to->slash || to->contents) && !from_directory)
		return r == -ENOENT ? not_there(to, err) :
				      error_set(err, ENOTDIR, "\"%s\" is not a directory", to->path);
	*ret_directory = path_parent(path);
	*ret_name = xstrdup(path_base(path));
	return 0;
}

static int begin_upload(const struct copy *c, const char *directory, struct archive_upload *u, struct error **err)
{
	AUTOFREE char *target = archive_target(&c->to, directory, c->archive ? "stream" : "root");
	int fd = api_connect(c->api, err);
	return fd < 0 ? fd : archive_upload_begin_on(u, fd, target, err);
}

static int end_upload(struct archive_upload *u, struct error **err)
{
	size_t left_out = 0;
	return archive_upload_end(u, &left_out, err);
}

static int copy_in(const struct copy *c, struct error **err)
{
	AUTO_UPLOAD struct archive_upload upload = { .fd = -1 };
	AUTO_ERROR struct error *reading = NULL;
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct host_file from = host_file(&c->from);
	AUTOFREE char *real = host_file_real(&from, c->follow), *directory = NULL, *name = NULL;
	if (!real)
		return error_set_errno(err, errno, "\"%s\"", c->from.path);
	int r = root < 0 ? error_set_errno(err, errno, "/") : host_file_check(&from, real, err);
	if (r < 0 || (r = resolve_target(c, r, &directory, &name, err)) < 0 ||
	    (r = begin_upload(c, directory, &upload, err)) < 0)
		return r;
	r = tar_write_tree(root, real, name, archive_upload_write, &upload, &reading);
	/* A source that cannot be read ends the stream short, so that the other side knows. */
	if (r < 0 && !upload.broken)
		return error_set(err, -r, "%s", error_text(reading, r));
	return end_upload(&upload, err);
}

static int stream_in(const struct copy *c, struct error **err)
{
	AUTO_UPLOAD struct archive_upload upload = { .fd = -1 };
	if (isatty(STDIN_FILENO))
		return error_set(err, EINVAL, "stdin is a terminal; give cp - a tar stream");
	int r = begin_upload(c, c->to.path, &upload, err);
	if (r == 0)
		r = archive_upload_stdin(&upload, err);
	return r < 0 ? r : end_upload(&upload, err);
}

/* ---- the command ---- */

static int copy(const struct copy *c, struct error **err)
{
	if (!c->from.container == !c->to.container)
		return error_set(err, EINVAL,
		    "write CONTAINER:PATH for one of the two, and a path of the host for the other");
	if (c->from.container)
		return is_stream(&c->to) ? stream_out(c, err) : copy_out(c, err);
	return is_stream(&c->from) ? stream_in(c, err) : copy_in(c, err);
}

static int run(const struct command_spec *spec, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	CLEANUP(copy_done)
	struct copy c = { .api = &a,
		.archive = options_switch(o, "archive", 0),
		.follow = options_switch(o, "follow-link", 0) };
	const struct strv *words = options_words(o);
	int r = parse_place(words->items[0], &c.from, &err);
	if (r == 0)
		r = parse_place(words->items[1], &c.to, &err);
	if (r == 0)
		r = api_init(&a, spec, o, &err);
	if (r < 0)
		return output_failure(r, err);
	signal(SIGPIPE, SIG_IGN);
	if (!options_switch(o, "quiet", 0))
		output_progress("copying ...");
	r = copy(&c, &err);
	output_progress_clear();
	const char *name = c.from.container ? c.from.container : c.to.container;
	return r < 0 ? api_failure(&a, name ? "container" : NULL, name, r, &err) : 0;
}
