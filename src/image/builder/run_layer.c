/* SPDX-License-Identifier: Apache-2.0
 * See run_layer.h. The engine is as hostile as root in the machine, so the reader checks the stream
 * while it passes. */
#include "image/builder/run_layer.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/path.h"
#include "image/archive/compose.h"
#include "image/builder/emit.h"
#include "oci/tar_pass.h"
#include "oci/tar_write.h"

enum { HEADERS_MAX = 8 << 20, DIRECTORIES_MAX = 1 << 16 };

struct passing {
	struct layer_writer writer;
	const struct strv *without;
	uint64_t others;             /* entries that are more than directories, or too many */
	struct contents directories; /* as long as there are no others */
	struct content_pool pool;
	struct error **err;
};

static int sink(void *passing, const void *bytes, size_t size)
{
	struct passing *p = passing;
	return layer_writer_write(&p->writer, bytes, size, p->err);
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

static int choose(void *passing, const struct tar_entry *e, struct error **err)
{
	struct passing *p = passing;
	if (!is_wanted(p, e->path))
		return 0;
	/* The layer would name a file that it does not have. */
	if (e->type == TAR_LINK && !is_wanted(p, e->target))
		return error_set(err, EOPNOTSUPP,
		    "\"/%.200s\" is a hard link to \"/%.200s\", which is of a mount; copy it", e->path, e->target);
	note_entry(p, e);
	return 1;
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
	int r = layer_writer_open(l, LAYER_GZIP, &p.writer, err);
	if (r == 0)
		r = tar_pass(build_stream_read, from,
		    &(struct tar_pass){ .choose = choose, .sink = sink, .data = &p, .headers_max = HEADERS_MAX }, err);
	if (r == 0)
		r = tar_write_end(sink, &p);
	if (r < 0 || is_nothing(&p, l, below))
		return r;
	r = layer_writer_finish(&p.writer, &made, err);
	if (r == 0)
		emit_take_layer(&made, ret);
	return r;
}
