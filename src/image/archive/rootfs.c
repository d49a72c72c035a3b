/* SPDX-License-Identifier: Apache-2.0
 * A root file system's archive as a layer.
 *
 * libarchive takes the compression off and nothing more. The tar stream passes unchanged into the
 * layer, and through the reader that will read the layer later: what that one refuses is no
 * layer. */
#include "image/archive/rootfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>

#include "base/alloc.h"
#include "image/common/interrupt.h"
#include "oci/tar.h"

enum { PIECE = 1 << 18 };

struct import {
	struct archive *archive;
	struct layer_writer writer;
	struct progress *progress;
	int bar;
	const char *what;
};

/* The next piece of the tar stream, on its way into the layer (a tar_source). */
static ssize_t read_piece(void *data, const void **ret, struct error **err)
{
	struct import *i = data;
	size_t size = 0;
	la_int64_t offset;
	int r = archive_read_data_block(i->archive, ret, &size, &offset);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return error_set(err, EINVAL, "%s: %s", i->what, archive_error_string(i->archive));
	r = interrupt_check(err);
	if (r == 0)
		r = layer_writer_write(&i->writer, *ret, size, err);
	progress_update(i->progress, i->bar, i->writer.size);
	return r < 0 ? r : (ssize_t)size;
}

/* Whether the path is one that root file systems have and archives of images have not. */
static int is_of_root(const char *path)
{
	static const char *const names[] = { "bin", "sbin", "usr", "etc", "lib", "dev" };
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		const char *rest = startswith(path, names[k]);
		if (rest && (*rest == '\0' || *rest == '/'))
			return 1;
	}
	return 0;
}

static int read_entries(struct import *i, struct error **err)
{
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(read_piece, i, NULL);
	const struct tar_entry *e;
	size_t files = 0;
	int r, marked = 0, root = 0;
	while ((r = tar_reader_next(tar, &e, err)) == 1) {
		const char *path = startswith(e->path, "./") ? e->path + 2 : e->path;
		path += *path == '/';
		marked |= streq(path, "oci-layout") || streq(path, "manifest.json");
		root |= is_of_root(path);
		files += e->type != TAR_DIRECTORY;
	}
	if (r == -EBADMSG)
		return error_prefix(err, r, "%s is not the archive of a root file system", i->what);
	if (r < 0)
		return r;
	if (marked && !root)
		return error_set(err, EINVAL,
		    "%s is the archive of an image, not of a root file system; use \"holm image load\"", i->what);
	return files > 0 ? 0 : error_set(err, EINVAL, "%s holds no files", i->what);
}

static int open_archive(struct import *i, int fd, struct error **err)
{
	struct archive_entry *e;
	archive_read_support_filter_all(i->archive);
	archive_read_support_format_raw(i->archive);
	archive_read_support_format_empty(i->archive);
	if (archive_read_open_fd(i->archive, fd, PIECE) != ARCHIVE_OK)
		return error_set(err, EINVAL, "cannot read %s: %s", i->what, archive_error_string(i->archive));
	int r = archive_read_next_header(i->archive, &e);
	if (r == ARCHIVE_EOF)
		return error_set(err, EINVAL, "%s is empty", i->what);
	return r == ARCHIVE_OK ? 0 : error_set(err, EINVAL, "%s: %s", i->what, archive_error_string(i->archive));
}

int rootfs_import(struct library *l, int fd, const char *what, struct progress *p, struct composed_layer *ret,
    struct error **err)
{
	struct import i = { .archive = archive_read_new(), .progress = p, .what = what };
	int r = layer_writer_open(l, LAYER_ZSTD, &i.writer, err);
	if (r == 0) {
		i.bar = progress_add(p, "importing", 0);
		r = open_archive(&i, fd, err);
		if (r == 0)
			r = read_entries(&i, err);
		if (r == 0)
			r = layer_writer_finish(&i.writer, ret, err);
		else
			layer_writer_abort(&i.writer);
	}
	archive_read_free(i.archive);
	if (r == 0)
		progress_finish(p, i.bar, "imported");
	return r;
}
