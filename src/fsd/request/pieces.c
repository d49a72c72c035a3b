/* SPDX-License-Identifier: Apache-2.0
 * All functions here share one walk over the pieces. */
#include "fsd/request/pieces.h"

#include <string.h>

#include "base/macros.h"

struct walk {
	const struct iovec *pieces;
	unsigned count;
	size_t skip, size; /* bytes to skip from the first piece's start; bytes wanted after them */
};

/* The next contiguous bytes. 1, or 0 at the end. */
static int next(struct walk *w, struct iovec *ret)
{
	for (; w->count > 0 && w->skip >= w->pieces->iov_len; w->count--, w->pieces++)
		w->skip -= w->pieces->iov_len;
	if (w->count == 0 || w->size == 0)
		return 0;
	*ret = (struct iovec){ (char *)w->pieces->iov_base + w->skip, MIN(w->pieces->iov_len - w->skip, w->size) };
	w->skip += ret->iov_len;
	w->size -= ret->iov_len;
	return 1;
}

size_t pieces_size(const struct iovec *pieces, unsigned count)
{
	size_t sum = 0;
	for (unsigned n = 0; n < count; n++)
		sum += pieces[n].iov_len; /* at most 1024 pieces of 32-bit length */
	return sum;
}

unsigned pieces_slice(const struct iovec *pieces, unsigned count, size_t skip, size_t size, struct iovec *ret)
{
	struct walk w = { pieces, count, skip, size };
	struct iovec part;
	unsigned made = 0;
	while (next(&w, &part)) {
		struct iovec *last = made ? &ret[made - 1] : NULL;
		if (last && (char *)last->iov_base + last->iov_len == part.iov_base)
			last->iov_len += part.iov_len;
		else
			ret[made++] = part;
	}
	return made;
}

void pieces_copy_from(const struct iovec *pieces, unsigned count, size_t skip, void *to, size_t size)
{
	struct walk w = { pieces, count, skip, size };
	struct iovec part;
	for (char *at = to; next(&w, &part); at += part.iov_len)
		memcpy(at, part.iov_base, part.iov_len);
}

void pieces_copy_to(const struct iovec *pieces, unsigned count, size_t skip, const void *from, size_t size)
{
	struct walk w = { pieces, count, skip, size };
	struct iovec part;
	for (const char *at = from; next(&w, &part); at += part.iov_len)
		memcpy(part.iov_base, at, part.iov_len);
}
