/* SPDX-License-Identifier: Apache-2.0
 * A file of 64 KiB or less is read before its header is written, so its size is certain. A longer
 * one is read in pieces by the size that stat(2) said, which the header promises; one that has
 * another size then is an error. */
#include "oci/tar_content.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/macros.h"

enum { BLOCK = 512, PIECE = 64 * 1024, EXTENTS_MAX = 64 * 1024, MAP_MAX = 4 * 1024 * 1024 };
#define WHOLE_MAX (64U << 20)

/* Reads at an offset until size bytes are there or the file ends. Bytes or -errno. */
static ssize_t read_at(int fd, char *to, size_t size, uint64_t offset)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = pread(fd, to + done, size - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int read_whole(struct tar_content *c)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	for (;;) {
		ssize_t n = read_at(c->fd, piece, PIECE, c->whole.size);
		if (n < 0)
			return (int)n;
		if (n > 0 && buffer_append(&c->whole, piece, (size_t)n) < 0)
			return -EFBIG;
		if (n < PIECE)
			break;
	}
	c->size = c->whole.size;
	return 0;
}

static void add_extent(struct tar_content *c, uint64_t offset, uint64_t end)
{
	if ((c->extent_count & (c->extent_count - 1)) == 0)
		c->extents = xrealloc(c->extents, MAX(c->extent_count * 2, (size_t)1), sizeof *c->extents);
	c->extents[c->extent_count++] = (struct tar_extent){ offset, end - offset };
}

/* Lists the file's data. If the file system does not tell, and from the EXTENTS_MAX-th extent on,
 * the rest counts as data. */
static void find_extents(struct tar_content *c)
{
	uint64_t at = 0;
	while (at < c->size) {
		off_t data = lseek(c->fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break; /* a hole up to the end */
		off_t hole = data < 0 || c->extent_count + 1 >= EXTENTS_MAX ? -1 : lseek(c->fd, data, SEEK_HOLE);
		uint64_t begin = data < 0 ? at : (uint64_t)data;
		uint64_t end = hole <= data ? c->size : MIN((uint64_t)hole, c->size);
		if (begin >= end)
			break;
		add_extent(c, begin, end);
		at = end;
	}
}

static int make_map(struct tar_content *c)
{
	static const char zeros[BLOCK];
	int r = buffer_appendf(&c->map, "%zu\n", c->extent_count);
	for (size_t i = 0; r >= 0 && i < c->extent_count; i++)
		r = buffer_appendf(&c->map, "%llu\n%llu\n", (unsigned long long)c->extents[i].offset,
		    (unsigned long long)c->extents[i].size);
	return r < 0 ? r : buffer_append(&c->map, zeros, (BLOCK - c->map.size % BLOCK) % BLOCK);
}

int tar_content_open(struct tar_content *c, int fd, uint64_t said)
{
	*c = (struct tar_content){ .fd = fd, .size = said };
	buffer_init(&c->whole, WHOLE_MAX);
	buffer_init(&c->map, MAP_MAX);
	if (said <= PIECE)
		return read_whole(c);
	find_extents(c);
	int dense = c->extent_count == 1 && c->extents[0].offset == 0 && c->extents[0].size == c->size;
	return dense ? 0 : make_map(c);
}

void tar_content_done(struct tar_content *c)
{
	buffer_done(&c->whole);
	buffer_done(&c->map);
	free(c->extents);
}

uint64_t tar_content_stored(const struct tar_content *c)
{
	uint64_t stored = c->map.size;
	if (!c->map.size)
		return c->size;
	for (size_t i = 0; i < c->extent_count; i++)
		stored += c->extents[i].size;
	return stored;
}

int tar_content_write(struct tar_content *c, int (*write)(void *data, const void *bytes, size_t size), void *data)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	int r = 0;
	if (c->size <= PIECE || c->whole.size)
		return c->whole.size ? write(data, c->whole.data, c->whole.size) : 0;
	if (c->map.size)
		r = write(data, c->map.data, c->map.size);
	for (size_t i = 0; r >= 0 && i < c->extent_count; i++)
		for (uint64_t done = 0; r >= 0 && done < c->extents[i].size;) {
			size_t want = (size_t)MIN(c->extents[i].size - done, (uint64_t)PIECE);
			ssize_t n = read_at(c->fd, piece, want, c->extents[i].offset + done);
			if (n < (ssize_t)want)
				return n < 0 ? (int)n : -ESTALE;
			r = write(data, piece, want);
			done += want;
		}
	return r;
}
