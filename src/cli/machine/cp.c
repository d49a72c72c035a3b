/* SPDX-License-Identifier: Apache-2.0
 * `holm machine cp SRC DST`, one of them NAME:PATH. As cp -R does: into DST where that is a
 * directory, else as DST. A symlink that is named itself is followed, those below are copied as
 * they are. What comes out of a machine is not trusted: it lands beneath the one name that was
 * asked for (oci/tar_unpack.h). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/archive.h"
#include "cli/output.h"
#include "oci/tar_unpack.h"
#include "oci/tar_write.h"

enum { LINKS_MAX = 16 };

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_cp = {
	.name = "cp",
	.aliases = (const char *const[]){ "copy", NULL },
	.synopsis = "SRC DST",
	.summary = "copy files between the host and a machine; NAME:PATH is a place inside",
	.details = "Directories are copied whole. Where DST is a directory the copy goes into it under its own name. A "
		   "relative path inside counts from your home. Inside, the copies belong to the machine's user. A "
		   "stopped machine is booted.",
	.min_arguments = 2,
	.max_arguments = 2,
	.complete = "file",
	.run = run,
};

struct place {
	char *machine; /* NULL: on the host */
	char *path;    /* inside: absolute, normalized; on the host: as given */
	int slash;     /* it ended in "/": it must be a directory */
};

static void place_done(struct place *p)
{
	free(p->machine);
	free(p->path);
}

/* NAME:PATH is inside; a slash before the colon makes it a file of the host ("./a:b"). */
static int parse_place(const char *text, struct place *ret, struct error **err)
{
	const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
	AUTO_MACHINE struct machine *m = NULL;
	*ret = (struct place){ .slash = endswith(text, "/") };
	if (!*text)
		return error_set(err, EINVAL, "an empty name cannot be copied");
	if (!colon || (slash && slash < colon)) {
		ret->path = xstrdup(text);
		return 0;
	}
	ret->machine = xstrndup(text, (size_t)(colon - text));
	int r = machine_load(ret->machine, &m, err);
	if (r < 0)
		return r;
	AUTOFREE char *joined = path_join(m->home, colon + 1);
	ret->path = path_normalize(joined);
	return 0;
}

/* ---- into a machine ---- */

static int send_tree(const struct place *to, const char *from, const char *query, const char *directory,
    const char *name, struct error **err)
{
	AUTO_UPLOAD struct archive_upload upload = { .fd = -1 };
	AUTO_ERROR struct error *reading = NULL;
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = root < 0 ? error_set_errno(err, errno, "/") :
			   archive_upload_begin(&upload, to->machine, directory, query, err);
	if (r < 0)
		return r;
	r = tar_write_tree(root, from, name, -1, archive_upload_write, &upload, &reading);
	/* A source that cannot be read ends the stream short, so that the other side knows; a
	 * machine that takes no more says why. */
	if (r < 0 && !upload.broken)
		return error_set(err, -r, "%s", error_text(reading, r));
	r = archive_upload_end(&upload, err);
	return r < 0 ? error_prefix(err, r, "machine \"%s\"", to->machine) : 0;
}

static int copy_in(const struct place *from, const struct place *to, struct error **err)
{
	AUTO_MACHINE struct machine *m = NULL;
	AUTOFREE char *real = realpath(from->path, NULL), *directory = path_parent(to->path);
	if (!real)
		return error_set_errno(err, errno, "\"%s\"", from->path);
	AUTOFREE char *given = path_normalize(from->path), *plain = given ? NULL : xstrdup(from->path);
	while (plain && endswith(plain, "/"))
		plain[strlen(plain) - 1] = 0;
	const char *own = path_base(given ? given : plain);
	if (streq(own, ".") || streq(own, "..") || !*own)
		own = path_base(real);
	if (!*own)
		return error_set(err, EINVAL, "the host's whole root cannot be copied");
	int r = machine_load(to->machine, &m, err);
	if (r < 0)
		return r;
	/* The agent looks whether there is a directory of that name; a place with a slash behind it
	 * has to be one. */
	int into = to->slash || streq(to->path, "/");
	AUTOFREE char *name = http_encode_query(path_base(to->path));
	AUTOFREE char *query = into ? xasprintf("&uid=%u&gid=%u", m->uid, m->gid) :
				      xasprintf("&name=%s&uid=%u&gid=%u", name, m->uid, m->gid);
	return send_tree(to, real, query, into ? to->path : directory, own, err);
}

/* ---- out of a machine ---- */

/* Follows what is a symlink itself: *path becomes what it points to. */
static int follow_link(const char *machine, char **path, struct error **err)
{
	for (int i = 0; i < LINKS_MAX; i++) {
		AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
		CLEANUP(tar_reader_freep) struct tar_reader *reader = NULL;
		const struct tar_entry *e;
		int r = archive_download_begin(&d, machine, *path, "", err);
		if (r < 0)
			return r;
		reader = tar_reader_new(archive_download_read, &d, NULL);
		r = tar_reader_next(reader, &e, err);
		if (r <= 0)
			return r < 0 ? r : error_set(err, EPROTO, "\"%s\": the archive is empty", *path);
		if (e->type != TAR_SYMLINK)
			return 0;
		AUTOFREE char *parent = path_parent(*path), *joined = path_join(parent, e->target);
		free(*path);
		*path = path_normalize(joined);
	}
	return error_set(err, ELOOP, "\"%s\": too many symbolic links", *path);
}

static int open_target(const struct place *to, const char *own_name, const char **ret_name, struct error **err)
{
	struct stat st;
	*ret_name = own_name;
	if (stat(to->path, &st) == 0 && S_ISDIR(st.st_mode)) {
		int fd = open(to->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? error_set_errno(err, errno, "\"%s\"", to->path) : fd;
	}
	if (to->slash)
		return error_set(err, ENOTDIR, "\"%s\" is not a directory", to->path);
	AUTOFREE char *parent = path_parent(to->path);
	*ret_name = path_base(to->path);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_set_errno(err, errno, "\"%s\"", parent) : fd;
}

static int copy_out(const struct place *from, const struct place *to, struct error **err)
{
	AUTO_DOWNLOAD struct archive_download d = ARCHIVE_DOWNLOAD_NONE;
	AUTOFREE char *path = xstrdup(from->path);
	const char *name;
	int r = follow_link(from->machine, &path, err);
	if (r < 0)
		return r;
	AUTO_FD int directory = open_target(to, path_base(from->path), &name, err);
	if (directory < 0)
		return directory;
	r = archive_download_begin(&d, from->machine, path, "", err);
	if (r < 0)
		return r;
	const struct tar_unpack u = {
		.directory = directory,
		.name = name,
		.uid = getuid(),
		.gid = getgid(),
		.foreign = 1,
	};
	return tar_unpack_run(&u, archive_download_read, &d, err);
}

static int copy(const struct place *from, const struct place *to, struct error **err)
{
	const char *machine = from->machine ? from->machine : to->machine;
	if (!machine)
		return error_set(err, EINVAL,
		    "neither \"%s\" nor \"%s\" is in a machine; write NAME:PATH for one of them", from->path, to->path);
	if (from->machine && to->machine)
		return error_set(err, EINVAL,
		    "holm copies between the host and one machine; copy to the host first, then into the other "
		    "machine");
	if (from->machine && streq(from->path, "/"))
		return error_set(err, EINVAL,
		    "a machine's whole root cannot be copied; holm machine export writes it to a file");
	if (!from->machine && access(from->path, F_OK) < 0)
		return error_set_errno(err, errno, "\"%s\"", from->path);
	int r = client_start(machine, CLIENT_SESSION, 0, NULL, err);
	if (r < 0)
		return r;
	output_progress("%s: copying ...", machine);
	r = from->machine ? copy_out(from, to, err) : copy_in(from, to, err);
	output_progress_clear();
	return r;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	char **words = options_words(o)->items;
	struct place from = { 0 }, to = { 0 };
	signal(SIGPIPE, SIG_IGN);
	int r = parse_place(words[0], &from, &err);
	if (r == 0)
		r = parse_place(words[1], &to, &err);
	if (r == 0)
		r = copy(&from, &to, &err);
	place_done(&from);
	place_done(&to);
	return r < 0 ? client_start_failure(r, err) : 0;
}
