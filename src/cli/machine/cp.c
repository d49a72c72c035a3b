/* SPDX-License-Identifier: Apache-2.0
 * `holm machine cp SRC... DST`, by the rules of `docker cp` and `cp -a`:
 *
 *   SRC        DST                 result
 *   file       not there           the file DST; DST/ is an error
 *   file       file                DST is replaced
 *   any        directory           DST/SRC
 *   DIR/.      directory           the contents of DIR in DST
 *   directory  not there           the directory DST
 *   directory  file                an error
 *   symlink    any                 the link itself; -L, or a slash behind it: where it leads
 *   any        symlink             where it leads
 *
 * Each copy is a tar stream. The source names it by one first part: its own name. The target
 * replaces or removes that part. What comes out of a machine is not trusted: it lands beneath the
 * one name that was asked for (oci/tar_unpack.h), without devices and setuid bits. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/archive.h"
#include "cli/machine/host_files.h"
#include "cli/output.h"
#include "oci/tar_unpack.h"
#include "oci/tar_write.h"

enum { LINKS_MAX = 16 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "archive", 'a', OPTION_FLAG, NULL, "keep the numbers of owners; else the copies are yours" },
	{ "follow-link", 'L', OPTION_FLAG, NULL, "copy what a symbolic link SRC leads to" },
	{ "recursive", 'r', OPTION_FLAG, NULL, "for those used to cp: directories are copied whole anyway" },
	{ 0 },
};

const struct command_spec command_cp = {
	.name = "cp",
	.aliases = (const char *const[]){ "copy", NULL },
	.synopsis = "SRC... DST",
	.summary = "copy files between the host and machines; NAME:PATH is a place inside",
	.details =
	    "Directories are copied whole. Where DST is a directory the copy goes into it under its own name; of "
	    "DIR/. only the contents. A relative path inside counts from your home, as does ~/. - is a tar "
	    "stream: from stdin into a directory of a machine, or from a machine to stdout. Modes, times, links "
	    "and holes are kept. A stopped machine is booted.",
	.options = options,
	.min_arguments = 2,
	.max_arguments = -1,
	.complete = "machine-path",
	.run = run,
};

enum place_kind { PLACE_HOST, PLACE_MACHINE, PLACE_STREAM };

struct place {
	enum place_kind kind;
	const char *text; /* as it was typed; borrowed */
	char *machine;
	char *path;   /* inside: absolute, normalized; on the host: as given, without slashes behind */
	int slash;    /* it ended in "/": it must be a directory */
	int contents; /* it ended in "/." or is one of "." and ".." */
	int64_t uid, gid;
};

struct copy {
	struct place *from, *to;
	int many;    /* sources: the target must be a directory */
	int archive; /* keep owners */
	int follow;
};

static void place_done(struct place *p)
{
	free(p->machine);
	free(p->path);
}

static int parse_inside(struct place *p, const char *path, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	const char *below = streq(path, "~") ? "" : startswith(path, "~/");
	int r = machine_load(p->machine, &m, err);
	if (r < 0)
		return r;
	AUTOFREE char *joined = path_join(m->home, below ? below : path);
	p->path = path_normalize(joined);
	p->uid = m->uid;
	p->gid = m->gid;
	return 0;
}

/* NAME:PATH is inside; a slash before the colon makes it a file of the host ("./a:b"). */
static int parse_place(const char *text, struct place *ret, struct error **err)
{
	const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
	int inside = colon && !(slash && slash < colon);
	const char *path = inside ? colon + 1 : text, *last = path_base(path);
	*ret = (struct place){ .text = text, .slash = endswith(text, "/") };
	ret->contents = streq(last, ".") || streq(last, "..");
	if (!*text)
		return error_set(err, EINVAL, "an empty name cannot be copied");
	if (streq(text, "-")) {
		ret->kind = PLACE_STREAM;
		return 0;
	}
	if (inside) {
		ret->kind = PLACE_MACHINE;
		ret->machine = xstrndup(text, (size_t)(colon - text));
		return parse_inside(ret, path, err);
	}
	ret->path = host_file_parse(text, &ret->slash, &ret->contents);
	return 0;
}

/* ---- into a machine ---- */

/* The target and the owners as the agent wants them: the directory (owned) and the rest of the
 * query (owned). from_directory: the source is a directory, or unknown. */
static char *make_query(const struct copy *c, int from_directory, int foreign, char **ret_directory)
{
	const struct place *to = c->to;
	int into = c->many || c->from->kind == PLACE_STREAM || (to->slash && !from_directory) || streq(to->path, "/");
	AUTOFREE char *name = http_encode_query(path_base(to->path));
	AUTOFREE char *named = into ? xstrdup("") : xasprintf("&name=%s", name);
	AUTOFREE char *owner =
	    c->archive ? xstrdup("") : xasprintf("&uid=%lld&gid=%lld", (long long)to->uid, (long long)to->gid);
	*ret_directory = into ? xstrdup(to->path) : path_parent(to->path);
	AUTOFREE char *own = http_encode_query(c->from->path ? path_base(c->from->path) : "");
	AUTOFREE char *owned =
	    c->from->contents || c->from->kind == PLACE_STREAM ? xstrdup("") : xasprintf("&own=%s", own);
	return xasprintf("%s%s%s%s%s", named, owned, owner, c->from->contents ? "&merge=1" : "",
	    foreign ? "&foreign=1" : "");
}

static int begin_upload(const struct copy *c, int from_directory, int foreign, struct archive_upload *upload,
    struct error **err)
{
	AUTOFREE char *directory = NULL, *query = make_query(c, from_directory, foreign, &directory);
	return archive_upload_begin(upload, c->to->machine, directory, query, err);
}

static void note_left_out(size_t count)
{
	if (count)
		output_note("left out: %zu %s", count, count == 1 ? "device" : "devices");
}

static int end_upload(const struct copy *c, struct archive_upload *upload, struct error **err)
{
	size_t left_out = 0;
	int r = archive_upload_end(upload, &left_out, err);
	if (r < 0)
		return error_prefix(err, r, "machine \"%s\"", c->to->machine);
	note_left_out(left_out);
	return 0;
}

static struct host_file host_file(const struct place *p)
{
	return (struct host_file){ .path = p->path, .slash = p->slash, .contents = p->contents };
}

static int copy_in(const struct copy *c, struct error **err)
{
	AUTO_UPLOAD struct archive_upload upload = { .fd = -1 };
	AUTO_ERROR struct error *reading = NULL;
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct host_file from = host_file(c->from);
	AUTOFREE char *real = host_file_real(&from, c->follow);
	if (!real)
		return error_set_errno(err, errno, "\"%s\"", c->from->path);
	int r = root < 0 ? error_set_errno(err, errno, "/") : host_file_check(&from, real, err);
	if (r < 0 || (r = begin_upload(c, r, 0, &upload, err)) < 0)
		return r;
	/* A link that is followed keeps its name. */
	const char *own = c->from->contents ? path_base(real) : path_base(c->from->path);
	r = tar_write_tree(root, real, own, archive_upload_write, &upload, &reading);
	/* A source that cannot be read ends the stream short, so that the other side knows; a
	 * machine that takes no more says why. */
	if (r < 0 && !upload.broken)
		return error_set(err, -r, "%s", error_text(reading, r));
	return end_upload(c, &upload, err);
}

/* stdin holds a tar stream. */
static int stream_in(const struct copy *c, struct error **err)
{
	AUTO_UPLOAD struct archive_upload upload = { .fd = -1 };
	if (isatty(STDIN_FILENO))
		return error_set(err, EINVAL,
		    "standard input is a terminal; give it a tar stream: holm machine cp - NAME:PATH < FILE");
	int r = begin_upload(c, 1, !c->archive, &upload, err);
	if (r == 0)
		r = archive_upload_stdin(&upload, err);
	return r < 0 ? r : end_upload(c, &upload, err);
}

/* ---- out of a machine ---- */

static int look(const struct place *from, const char *path, enum tar_type *type, char **target, struct error **err)
{
	AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
	CLEANUP(tar_reader_freep) struct tar_reader *reader = NULL;
	const struct tar_entry *e;
	int r = archive_download_begin(&d, from->machine, path, "", err);
	if (r < 0)
		return r;
	reader = tar_reader_new(archive_download_read, &d, NULL);
	r = tar_reader_next(reader, &e, err);
	if (r <= 0)
		return r < 0 ? r : error_set(err, EPROTO, "\"%s\": the archive is empty", path);
	*type = e->type;
	*target = e->target ? xstrdup(e->target) : NULL;
	return 0;
}

/* Finds out what the source is, and follows a symbolic link where it is to be followed: *path
 * becomes where it leads. 1: a directory, 0: something else, -errno. */
static int resolve_source(const struct copy *c, char **path, struct error **err)
{
	const struct place *from = c->from;
	enum tar_type type = TAR_SYMLINK;
	for (int i = 0; i < LINKS_MAX; i++) {
		AUTOFREE char *target = NULL;
		int r = look(from, *path, &type, &target, err);
		if (r < 0)
			return r;
		if (type == TAR_CHAR || type == TAR_BLOCK)
			return error_set(err, EINVAL,
			    "\"%s\" in machine \"%s\" is a device; cp copies files and "
			    "directories",
			    from->path, from->machine);
		if (type == TAR_DIRECTORY)
			return 1;
		int followed = c->follow || from->slash || from->contents;
		if (type != TAR_SYMLINK && (from->slash || from->contents))
			return error_set(err, ENOTDIR, "\"%s\" is not a directory", from->path);
		if (type != TAR_SYMLINK || !followed)
			return 0;
		AUTOFREE char *parent = path_parent(*path), *joined = path_join(parent, target);
		free(*path);
		*path = path_normalize(joined);
	}
	return error_set(err, ELOOP, "\"%s\": too many symbolic links", *path);
}

static int copy_out(const struct copy *c, struct error **err)
{
	AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
	AUTOFREE char *path = xstrdup(c->from->path), *place = NULL;
	struct tar_unpack u = { .uid = c->archive ? -1 : (int64_t)getuid(),
		.gid = c->archive ? -1 : (int64_t)getgid(),
		.foreign = 1 };
	size_t left_out = 0;
	int r = resolve_source(c, &path, err);
	if (r < 0)
		return r;
	const struct host_file to = host_file(c->to);
	AUTO_FD int directory =
	    host_file_open_target(&to, path_base(c->from->path), c->from->contents, c->many, r, &u, &place, err);
	if (directory < 0)
		return directory;
	u.directory = directory;
	if ((r = archive_download_begin(&d, c->from->machine, path, "", err)) < 0)
		return r;
	r = tar_unpack_run(&u, archive_download_read, &d, &left_out, err);
	if (r >= 0)
		note_left_out(left_out);
	return r;
}

static int stream_out(const struct copy *c, struct error **err)
{
	AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
	AUTOFREE char *path = xstrdup(c->from->path);
	const void *data;
	ssize_t n;
	if (isatty(STDOUT_FILENO))
		return error_set(err, EINVAL, "standard output is a terminal; write > FILE, or pipe it on");
	int r = resolve_source(c, &path, err);
	if (r < 0 || (r = archive_download_begin(&d, c->from->machine, path, "", err)) < 0)
		return r;
	while ((n = archive_download_read(&d, &data, err)) > 0)
		if ((r = fd_write_full(STDOUT_FILENO, data, (size_t)n)) < 0)
			return error_set_errno(err, r, "stdout");
	return (int)n;
}

/* ---- from a machine to a machine ---- */

static int copy_across(const struct copy *c, struct error **err)
{
	AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
	AUTO_UPLOAD struct archive_upload upload = { .fd = -1 };
	AUTOFREE char *path = xstrdup(c->from->path);
	const void *data;
	ssize_t n = 0;
	int r = resolve_source(c, &path, err);
	if (r < 0 || (r = begin_upload(c, r, 1, &upload, err)) < 0 ||
	    (r = archive_download_begin(&d, c->from->machine, path, "", err)) < 0)
		return r;
	while (!upload.broken && (n = archive_download_read(&d, &data, err)) > 0)
		(void)archive_upload_write(&upload, data, (size_t)n);
	/* A stream that was cut short must not look like a whole one. */
	return n < 0 ? (int)n : end_upload(c, &upload, err);
}

static int (*const ways[3][3])(const struct copy *c, struct error **err) = {
	[PLACE_HOST] = { [PLACE_MACHINE] = copy_in },
	[PLACE_MACHINE] = { [PLACE_HOST] = copy_out, [PLACE_MACHINE] = copy_across, [PLACE_STREAM] = stream_out },
	[PLACE_STREAM] = { [PLACE_MACHINE] = stream_in },
};

static int check(const struct copy *c, struct error **err)
{
	const struct place *from = c->from, *to = c->to;
	if (!ways[from->kind][to->kind])
		return error_set(err, EINVAL,
		    "neither \"%s\" nor \"%s\" is in a machine; write NAME:PATH for one of them", from->text, to->text);
	if (c->many && (to->kind == PLACE_STREAM || from->kind == PLACE_STREAM))
		return error_set(err, EINVAL, "- is one tar stream; copy one source at a time");
	if (from->kind == PLACE_MACHINE && streq(from->path, "/") && to->kind != PLACE_STREAM)
		return error_set(err, EINVAL,
		    "a machine's whole root cannot be copied; holm machine export writes it to a file");
	return from->kind == PLACE_HOST && faccessat(AT_FDCWD, from->path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ?
		   error_set_errno(err, errno, "\"%s\"", from->path) :
		   0;
}

static int start(const struct place *p, struct error **err)
{
	return p->machine ? client_start(p->machine, CLIENT_SESSION, 0, NULL, err) : 0;
}

static int copy(const struct copy *c, struct error **err)
{
	int r;
	if ((r = check(c, err)) < 0 || (r = start(c->from, err)) < 0 || (r = start(c->to, err)) < 0)
		return r;
	output_progress("%s: copying ...", c->from->machine ? c->from->machine : c->to->machine);
	r = ways[c->from->kind][c->to->kind](c, err);
	output_progress_clear();
	return r;
}

static int run(const struct command_spec *spec, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	const struct strv *words = options_words(o);
	struct place to = { 0 };
	signal(SIGPIPE, SIG_IGN);
	int r = parse_place(words->items[words->count - 1], &to, &err);
	for (size_t i = 0; r == 0 && i + 1 < words->count; i++) {
		struct place from = { 0 };
		struct copy c = { &from, &to, words->count > 2, options_given(o, "archive"),
			options_given(o, "follow-link") };
		r = parse_place(words->items[i], &from, &err);
		if (r == 0)
			r = copy(&c, &err);
		place_done(&from);
	}
	place_done(&to);
	return r < 0 ? client_start_failure(r, err) : 0;
}
