/* SPDX-License-Identifier: Apache-2.0
 * See timestamps.h. The cache has the new layer under the digest of the old one. */
#include "image/builder/timestamps.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/archive/compose.h"
#include "image/builder/cache.h"
#include "image/builder/emit.h"
#include "image/common/interrupt.h"
#include "oci/digest.h"
#include "oci/layer.h"
#include "oci/tar_write.h"

struct clamping {
	struct layer_writer writer;
	int64_t epoch;
	struct error **err;
};

static int sink(void *clamping, const void *bytes, size_t size)
{
	struct clamping *c = clamping;
	int r = interrupt_check(c->err);
	if (r < 0)
		return r;
	return layer_writer_write(&c->writer, bytes, size, c->err);
}

static int put_zeros(struct clamping *c, uint64_t size)
{
	static const char zeros[65536];
	int r = 0;
	for (; r == 0 && size; size -= MIN(size, sizeof zeros))
		r = sink(c, zeros, MIN(size, sizeof zeros));
	return r;
}

static int put_content(struct clamping *c, struct tar_reader *tar, uint64_t size)
{
	const void *data;
	size_t n;
	uint64_t offset, at = 0;
	int r = 0, more = 1;
	while (r == 0 && (more = tar_reader_read(tar, &data, &n, &offset, c->err)) == 1) {
		r = put_zeros(c, offset - at);
		if (r == 0)
			r = sink(c, data, n);
		at = offset + n;
	}
	if (r == 0 && more == 0)
		r = put_zeros(c, size - at);
	return r < 0 ? r : more < 0 ? more : tar_write_padding(size, sink, c);
}

static int put_entry(struct clamping *c, struct tar_reader *tar, const struct tar_entry *from)
{
	struct tar_entry entry = *from;
	if (entry.mtime >= c->epoch) {
		entry.mtime = c->epoch;
		entry.mtime_ns = 0;
	}
	entry.atime = entry.ctime = entry.mtime;
	entry.atime_ns = entry.ctime_ns = entry.mtime_ns;
	int r = tar_write_entry(&entry, sink, c);
	return r == 0 && entry.type == TAR_FILE ? put_content(c, tar, entry.size) : r;
}

static int put_layer(struct clamping *c, int blob)
{
	CLEANUP(layer_reader_freep) struct layer_reader *reader = NULL;
	const struct tar_entry *entry;
	int r = layer_reader_open(blob, NULL, NULL, &reader, c->err);
	if (r < 0)
		return r;
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(layer_reader_read, reader, NULL);
	while ((r = tar_reader_next(tar, &entry, c->err)) == 1) {
		r = put_entry(c, tar, entry);
		if (r < 0)
			return r;
	}
	return r == 0 ? tar_write_end(sink, c) : r;
}

static int clamp(struct library *l, int64_t epoch, const struct build_layer *from, struct build_layer *ret,
    struct error **err)
{
	struct clamping c = { .epoch = epoch, .err = err };
	struct composed_layer made;
	AUTO_FD int blob = library_open_blob(l, from->digest, NULL, err);
	int r = blob < 0 ? blob : layer_writer_open(l, LAYER_GZIP_FIXED, &c.writer, err);
	if (r < 0)
		return r;
	r = put_layer(&c, blob);
	if (r == 0)
		r = layer_writer_finish(&c.writer, &made, err);
	if (r < 0) {
		layer_writer_abort(&c.writer);
		return r;
	}
	emit_take_layer(&made, ret);
	return 0;
}

int build_layer_clamp(struct library *l, int64_t epoch, struct build_layer *layer, struct error **err)
{
	AUTOFREE char *text = xasprintf("clamp 2 %s %lld", layer->diff_id, (long long)epoch);
	char key[DIGEST_TEXT_SIZE + 1];
	struct build_layer made = { 0 };
	hash_memory(text, strlen(text), key);
	if (!build_cache_find(l, key, &made)) {
		int r = clamp(l, epoch, layer, &made, err);
		if (r < 0)
			return error_prefix(err, r, "SOURCE_DATE_EPOCH");
		build_cache_store(l, key, &made);
	}
	free(layer->media_type);
	*layer = made;
	return 0;
}
