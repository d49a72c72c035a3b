/* SPDX-License-Identifier: Apache-2.0
 * See tar_pass.h. The bytes of an entry's headers are held back until the reader knows its path;
 * those of its content follow as they are read. */
#include "oci/tar_pass.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/buffer.h"

enum { BLOCK = 512 };

struct passing {
	const struct tar_pass *to;
	struct tar_reader *tar;
	struct buffer held; /* bytes whose entry is not known yet */
	int is_open;        /* bytes of this entry pass */
	int r;              /* the first failure */
	struct error **err;
};

static void pass(struct passing *p, const void *bytes, size_t size)
{
	if (p->r == 0)
		p->r = p->to->sink(p->to->data, bytes, size);
}

static void tap(void *passing, const void *bytes, size_t size)
{
	struct passing *p = passing;
	if (p->is_open)
		pass(p, bytes, size);
	else if (buffer_append(&p->held, bytes, size) < 0 && p->r == 0)
		p->r = error_set(p->err, EBADMSG, "an entry of the archive has more than %zu bytes of headers",
		    p->to->headers_max);
}

/* Passes the entry on, whose headers are held behind `padding` bytes of the one before. */
static int pass_entry(struct passing *p, const struct tar_entry *e, size_t padding)
{
	const void *data;
	size_t size;
	uint64_t offset;
	int r = p->to->choose(p->to->data, e, p->err);
	if (r < 0)
		return r;
	p->is_open = r;
	if (p->is_open)
		pass(p, p->held.data + padding, p->held.size - padding);
	buffer_consume(&p->held, p->held.size);
	for (r = 1; p->r == 0 && r == 1;) {
		r = tar_reader_read(p->tar, &data, &size, &offset, p->err);
		if (!p->is_open)
			buffer_consume(&p->held, p->held.size);
	}
	return p->r < 0 ? p->r : r;
}

static int pass_all(struct passing *p)
{
	static const char zeros[BLOCK];
	for (;;) {
		const struct tar_entry *e;
		size_t padding = (BLOCK - tar_reader_position(p->tar) % BLOCK) % BLOCK;
		if (p->is_open)
			pass(p, zeros, padding);
		p->is_open = 0;
		int r = tar_reader_next(p->tar, &e, p->err);
		if (r != 1 || p->r < 0)
			return p->r < 0 ? p->r : r;
		r = pass_entry(p, e, padding);
		if (r < 0)
			return r;
	}
}

int tar_pass(tar_source *source, void *source_data, const struct tar_pass *p, struct error **err)
{
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(source, source_data, NULL);
	struct passing state = { .to = p, .tar = tar, .err = err };
	buffer_init(&state.held, p->headers_max);
	tar_reader_set_tap(tar, tap, &state);
	int r = pass_all(&state);
	buffer_done(&state.held);
	return r;
}
