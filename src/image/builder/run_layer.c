/* SPDX-License-Identifier: Apache-2.0
 * See run_layer.h. Entries pass as they are: the bytes of their headers are held back until the
 * reader knows the path. The engine is as hostile as root in the machine, so the reader checks the
 * stream while it passes. */
#include "image/builder/run_layer.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/path.h"
#include "image/archive/compose.h"
#include "image/builder/emit.h"
#include "oci/tar.h"
#include "oci/tar_write.h"

enum { BLOCK = 512, HEADERS_MAX = 8 << 20, DIRECTORIES_MAX = 1 << 16 };

struct passing {
	struct layer_writer writer;
	const struct strv *without;
	struct buffer held;          /* bytes whose entry is not known yet */
	int is_open;                 /* bytes of this entry pass */
	uint64_t others;             /* entries that are more than directories, or too many */
	struct contents directories; /* as long as there are no others */
	struct content_pool pool;
	int r; /* the first failure */
	struct error **err;
};

static int sink(void *passing, const void *bytes, size_t size)
{
	struct passing *p = passing;
	if (p->r == 0)
		p->r = layer_writer_write(&p->writer, bytes, size, p->err);
	return p->r;
}

static void tap(void *passing, const void *bytes, size_t size)
{
	struct passing *p = passing;
	if (p->is_open)
		sink(p, bytes, size);
	else if (buffer_append(&p->held, bytes, size) < 0 && p->r == 0)
		p->r =
		    error_set(p->err, EBADMSG, "an entry of the layer has more than %d bytes of headers", HEADERS_MAX);
}

static int is_wanted(const struct passing *p, const char *path)
{
	AUTOFREE char *absolute = xasprintf("/%s", path), *clean = path_normalize(absolute);
	if (streq(clean, "/"))
		return 0;
	for (size_t i = 0; p->without && i < p->without->count; i++)
		if (path_is_below(clean, p->without->items[i]))
			return 0;
	return 1;
}

static void note_entry(struct passing *p, const struct tar_entry *e)
{
	AUTOFREE char *absolute = xasprintf("/%s", e->path);
	p->others += e->type != TAR_DIRECTORY || e->xattr_count || p->directories.count == DIRECTORIES_MAX;
	if (p->others)
		return;
	struct content *c = content_pool_new(&p->pool);
	*c = (struct content){ .path = path_normalize(absolute), .mode = e->mode, .uid = e->uid, .gid = e->gid };
	contents_append(&p->directories, c);
}

/* Passes the entry on, whose headers are held behind `padding` bytes of the one before. */
static int pass_entry(struct passing *p, struct tar_reader *tar, const struct tar_entry *e, size_t padding)
{
	const void *data;
	size_t size;
	uint64_t offset;
	int r = 1, wanted = is_wanted(p, e->path);
	/* The layer would name a file that it does not have. */
	if (wanted && e->type == TAR_LINK && !is_wanted(p, e->target))
		return error_set(p->err, EOPNOTSUPP,
		    "\"/%.200s\" is a hard link to \"/%.200s\", which is of a mount; copy it", e->path, e->target);
	if (wanted)
		sink(p, p->held.data + padding, p->held.size - padding);
	buffer_consume(&p->held, p->held.size);
	p->is_open = wanted;
	if (wanted)
		note_entry(p, e);
	while (p->r == 0 && r == 1) {
		r = tar_reader_read(tar, &data, &size, &offset, p->err);
		if (!p->is_open)
			buffer_consume(&p->held, p->held.size);
	}
	return p->r < 0 ? p->r : r;
}

static int pass_all(struct passing *p, struct build_stream *from)
{
	static const char zeros[BLOCK];
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(build_stream_read, from, NULL);
	const struct tar_entry *e;
	int r;
	tar_reader_set_tap(tar, tap, p);
	for (;;) {
		size_t padding = (BLOCK - tar_reader_position(tar) % BLOCK) % BLOCK;
		if (p->is_open)
			sink(p, zeros, padding);
		p->is_open = 0;
		r = tar_reader_next(tar, &e, p->err);
		if (r != 1 || p->r < 0)
			break;
		r = pass_entry(p, tar, e, padding);
		if (r < 0)
			return r;
	}
	return p->r < 0 ? p->r : r;
}

/* Whether all that came are directories as they were: places of mounts leave their parents. */
static int is_nothing(struct passing *p, struct library *l, struct build_state *below)
{
	const struct build_listing *files = NULL;
	if (p->others || build_state_list(l, below, 0, &files, NULL) < 0)
		return 0;
	for (size_t i = 0; i < p->directories.count; i++) {
		const struct content *c = p->directories.items[i];
		struct content **at = contents_find(&files->contents, c->path);
		if (!at || (*at)->type != TAR_DIRECTORY || (*at)->mode != c->mode || (*at)->uid != c->uid ||
		    (*at)->gid != c->gid)
			return 0;
	}
	return 1;
}

static void passing_done(struct passing *p)
{
	buffer_done(&p->held);
	contents_done(&p->directories);
	content_pool_done(&p->pool);
	layer_writer_abort(&p->writer);
}

int run_layer_write(struct library *l, struct build_stream *from, const struct strv *without, struct build_state *below,
    struct build_layer *ret, struct error **err)
{
	CLEANUP(passing_done) struct passing p = { .without = without, .err = err };
	struct composed_layer made;
	*ret = (struct build_layer){ 0 };
	buffer_init(&p.held, HEADERS_MAX);
	int r = layer_writer_open(l, LAYER_GZIP, &p.writer, err);
	if (r == 0)
		r = pass_all(&p, from);
	if (r == 0)
		r = tar_write_end(sink, &p);
	if (r < 0 || is_nothing(&p, l, below))
		return r;
	r = layer_writer_finish(&p.writer, &made, err);
	if (r == 0)
		emit_take_layer(&made, ret);
	return r;
}
