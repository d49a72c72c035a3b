/* SPDX-License-Identifier: Apache-2.0
 * See outline.h. */
#include "image/builder/outline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <zstd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "oci/digest.h"
#include "oci/layer.h"
#include "oci/tar_write.h"

enum { SMALL = 1 << 20, OUTLINE_MAX = 128 << 20, TEXT_MAX = 1 << 20, ZSTD_LEVEL = 1 };

static int sink(void *buffer, const void *bytes, size_t size)
{
	return buffer_append(buffer, bytes, size);
}

/* Whether the pool wants the bytes of this file, as of /etc/passwd. */
static int is_kept(const struct content_pool *pool, const struct tar_entry *e)
{
	AUTOFREE char *absolute = xasprintf("/%s", e->path), *path = path_normalize(absolute);
	for (const char *const *kept = pool->kept; kept && *kept; kept++)
		if (streq(*kept, path))
			return e->type == TAR_FILE && e->size <= TEXT_MAX;
	return 0;
}

static int put_text(struct tar_reader *tar, const struct tar_entry *e, struct buffer *to)
{
	AUTOFREE char *text = xcalloc(1, e->size + 1);
	const void *data;
	uint64_t offset;
	size_t n;
	int r = tar_write_entry(e, sink, to), more = 1;
	while (r == 0 && (more = tar_reader_read(tar, &data, &n, &offset, NULL)) == 1)
		if (offset <= e->size && n <= e->size - offset)
			memcpy(text + offset, data, n);
	if (r < 0 || more < 0)
		return -EBADMSG;
	r = buffer_append(to, text, e->size);
	return r < 0 ? r : tar_write_padding(e->size, sink, to);
}

static int put_entry(struct tar_reader *tar, const struct content_pool *pool, const struct tar_entry *e,
    struct buffer *to)
{
	struct tar_entry bare = *e;
	bare.xattrs = NULL;
	bare.xattr_count = 0;
	if (is_kept(pool, e))
		return put_text(tar, &bare, to);
	bare.size = 0;
	return tar_write_entry(&bare, sink, to);
}

static int make(struct library *l, const struct build_layer *layer, const struct content_pool *pool, struct buffer *to)
{
	CLEANUP(layer_reader_freep) struct layer_reader *reader = NULL;
	const struct tar_entry *entry;
	AUTO_FD int fd = library_open_blob(l, layer->digest, NULL, NULL);
	int r = fd < 0 ? fd : layer_reader_open(fd, NULL, NULL, &reader, NULL);
	if (r < 0)
		return r;
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(layer_reader_read, reader, NULL);
	while ((r = tar_reader_next(tar, &entry, NULL)) == 1)
		if ((r = put_entry(tar, pool, entry, to)) < 0)
			return r;
	return r < 0 ? r : tar_write_end(sink, to);
}

/* Without an outline the layer itself is read, so what fails here matters to nobody. */
static void write_outline(struct library *l, const struct build_layer *layer, const struct content_pool *pool,
    const char *path)
{
	AUTO_BUFFER struct buffer tar;
	AUTOFREE char *folder = path_parent(path);
	buffer_init(&tar, OUTLINE_MAX);
	if (make(l, layer, pool, &tar) < 0 || path_mkdir_all(folder, 0700, NULL) < 0)
		return;
	size_t room = ZSTD_compressBound(tar.size);
	AUTOFREE char *packed = xmalloc(room);
	size_t size = ZSTD_compress(packed, room, tar.data, tar.size, ZSTD_LEVEL);
	if (!ZSTD_isError(size))
		(void)atomic_file_write(path, 0600, packed, size, NULL);
}

static int read_outline(int fd, struct content_pool *pool, struct contents *c, struct error **err)
{
	CLEANUP(layer_reader_freep) struct layer_reader *reader = NULL;
	int r = layer_reader_open(fd, NULL, NULL, &reader, err);
	if (r < 0)
		return r;
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(layer_reader_read, reader, NULL);
	return contents_add_tar(tar, pool, c, err);
}

static char *path_of(const struct library *l, const char *kind, const struct build_layer *layer)
{
	return xasprintf("%s/build/%s-%s", l->path, kind, digest_hex(layer->digest));
}

int outline_add(struct library *l, const struct build_layer *layer, struct content_pool *pool, struct contents *c,
    struct error **err)
{
	AUTOFREE char *path = path_of(l, "outline", layer);
	AUTO_FD int fd = layer->size < SMALL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read_outline(fd, pool, c, NULL) == 0)
		return 0;
	int r = contents_add_blob(l, layer->digest, layer->diff_id, pool, c, err);
	if (r == 0 && layer->size >= SMALL)
		write_outline(l, layer, pool, path);
	return r;
}

/* ---- digests ---- */

/* "SIZE DIGEST XATTRS" of each entry from `first` on, "-" for none. */
static void write_digests(const char *path, const struct content_pool *pool, size_t first)
{
	AUTO_BUFFER struct buffer text;
	int r = 0;
	buffer_init(&text, OUTLINE_MAX);
	for (size_t i = first; r == 0 && i < pool->count; i++) {
		const struct content *at = pool->items[i];
		r = buffer_appendf(&text, "%llu %s %s\n", (unsigned long long)at->size, *at->digest ? at->digest : "-",
		    *at->xattrs ? at->xattrs : "-");
	}
	if (r == 0)
		(void)atomic_file_write_cache(path, 0600, text.data ? text.data : "", text.size, NULL);
}

static int is_digest(const char *text)
{
	return streq(text, "-") || digest_is_valid(text);
}

static int read_line(char *line, struct content *to)
{
	char *digest = strchr(line, ' '), *xattrs = digest ? strchr(digest + 1, ' ') : NULL;
	if (!xattrs)
		return -EBADMSG;
	*digest++ = *xattrs++ = '\0';
	if (parse_u64(line, &to->size) < 0 || !is_digest(digest) || !is_digest(xattrs))
		return -EBADMSG;
	snprintf(to->digest, sizeof to->digest, "%s", *digest == '-' ? "" : digest);
	snprintf(to->xattrs, sizeof to->xattrs, "%s", *xattrs == '-' ? "" : xattrs);
	return 0;
}

static int read_digests(char *text, const struct content_pool *pool, size_t first)
{
	char *line = text, *end;
	int r = 0;
	for (size_t i = first; r == 0 && i < pool->count; i++, line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			return -EBADMSG;
		*end = '\0';
		r = read_line(line, pool->items[i]);
	}
	return r == 0 && *line ? -EBADMSG : r;
}

int outline_add_hashed(struct library *l, const struct build_layer *layer, struct content_pool *pool,
    struct contents *c, struct error **err)
{
	AUTOFREE char *outline = path_of(l, "outline", layer), *path = path_of(l, "digests", layer), *text = NULL;
	size_t first = pool->count, size;
	AUTO_FD int fd = layer->size < SMALL ? -1 : open(outline, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && path_read_file(path, OUTLINE_MAX, &text, &size) == 0) {
		int r = read_outline(fd, pool, c, NULL);
		if (r == 0)
			r = read_digests(text, pool, first);
		if (r < 0) {
			unlink(path);
			unlink(outline);
			error_set(err, -r, "\"%s\" did not fit the layer, and is removed; try again", path);
		}
		return r;
	}
	int r = contents_add_blob(l, layer->digest, layer->diff_id, pool, c, err);
	if (r < 0 || layer->size < SMALL)
		return r;
	if (fd < 0)
		write_outline(l, layer, pool, outline);
	write_digests(path, pool, first);
	return 0;
}
