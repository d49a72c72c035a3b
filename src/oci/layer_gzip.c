/* SPDX-License-Identifier: Apache-2.0
 * gzip (RFC 1952) by ISA-L's inflate, which takes half of zlib's time. Members follow one another;
 * zeros behind a member are ignored, as gzip(1) does.
 *
 * The header of a member is read here: ISA-L 2.30 takes a right CRC16 of a header for a wrong one.
 * ISA-L checks the trailer. */
#include "oci/layer_gzip.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <limits.h>

#include "base/alloc.h"

/* RFC 1952, 2.3 and 2.3.1 */
enum { MAGIC_1 = 0x1f, MAGIC_2 = 0x8b, DEFLATE = 8, FIXED_SIZE = 10 };
enum { FHCRC = 1 << 1, FEXTRA = 1 << 2, FNAME = 1 << 3, FCOMMENT = 1 << 4, FRESERVED = 0xe0 };
enum { METHOD_AT = 2, FLAGS_AT = 3, CRC16_MASK = 0xffff };

/* The parts of a member, in their order. */
enum part { BETWEEN, FIXED, EXTRA_SIZE, EXTRA, NAME, COMMENT, HEADER_CRC, DATA };

/* Bytes of the next member that inflate had in its bit buffer. */
enum { REST_MAX = sizeof(uint64_t) };

struct gzip_decoder {
	struct inflate_state inflate;
	enum part part;
	unsigned flags;
	unsigned at;     /* bytes of this part that were read */
	unsigned number; /* a number of two bytes, little-endian: EXTRA_SIZE, HEADER_CRC */
	uint32_t crc;    /* of the header until here */
	unsigned char rest[REST_MAX];
	size_t rest_size;
};

struct gzip_decoder *gzip_decoder_new(void)
{
	return xnew(struct gzip_decoder);
}

void gzip_decoder_free(struct gzip_decoder *d)
{
	free(d);
}

int gzip_decoder_complete(const struct gzip_decoder *d)
{
	return d->part == BETWEEN && d->rest_size == 0;
}

/* ---- the header, byte by byte: 0, or -EBADMSG ---- */

/* Goes on with the next part that the flags announce. */
static void next_part(struct gzip_decoder *d)
{
	static const unsigned announced[] = { [EXTRA_SIZE] = FEXTRA,
		[EXTRA] = FEXTRA,
		[NAME] = FNAME,
		[COMMENT] = FCOMMENT,
		[HEADER_CRC] = FHCRC };
	do
		d->part++;
	while (d->part != DATA && !(d->flags & announced[d->part]));
	d->at = 0;
	if (d->part == EXTRA_SIZE || d->part == HEADER_CRC)
		d->number = 0;
	if (d->part != DATA)
		return;
	isal_inflate_init(&d->inflate);
	d->inflate.crc_flag = ISAL_GZIP_NO_HDR_VER;
}

static int fixed_byte(struct gzip_decoder *d, unsigned char c)
{
	static const unsigned char wanted[] = { MAGIC_1, MAGIC_2, DEFLATE };
	if (d->at <= METHOD_AT && c != wanted[d->at])
		return -EBADMSG;
	if (d->at == FLAGS_AT)
		d->flags = c;
	if (d->flags & FRESERVED)
		return -EBADMSG;
	if (++d->at == FIXED_SIZE)
		next_part(d);
	return 0;
}

/* A byte of a number of two; 1 with the second. */
static int number_byte(struct gzip_decoder *d, unsigned char c)
{
	d->number |= (unsigned)c << (d->at * CHAR_BIT);
	return ++d->at == sizeof(uint16_t);
}

static int header_byte(struct gzip_decoder *d, unsigned char c)
{
	if (d->part != HEADER_CRC)
		d->crc = crc32_gzip_refl(d->crc, &c, 1);
	switch (d->part) {
	case FIXED:
		return fixed_byte(d, c);
	case EXTRA_SIZE:
		if (number_byte(d, c))
			next_part(d);
		if (d->part == EXTRA && d->number == 0)
			next_part(d);
		return 0;
	case EXTRA:
		if (++d->at == d->number)
			next_part(d);
		return 0;
	case HEADER_CRC:
		if (!number_byte(d, c))
			return 0;
		next_part(d);
		return d->number == (d->crc & CRC16_MASK) ? 0 : -EBADMSG;
	default: /* a name or a comment, to its NUL */
		if (c == '\0')
			next_part(d);
		return 0;
	}
}

static void member_begin(struct gzip_decoder *d)
{
	d->part = FIXED;
	d->flags = d->at = 0;
	d->crc = 0;
}

/* Reads of the header what is there, and begins a member at a byte that is no zero. */
static int read_header(struct gzip_decoder *d, const unsigned char **in, size_t *in_size)
{
	int r = 0;
	for (; r == 0 && *in_size > 0 && d->part != DATA; ++*in, --*in_size) {
		if (d->part == BETWEEN && **in != 0)
			member_begin(d);
		if (d->part != BETWEEN)
			r = header_byte(d, **in);
	}
	return r;
}

/* ---- the data ---- */

/* Takes back the bytes in the bit buffer, which belong to the next member. */
static void member_end(struct gzip_decoder *d)
{
	struct inflate_state *z = &d->inflate;
	uint64_t bits = z->read_in >> (z->read_in_length % CHAR_BIT);
	for (int n = z->read_in_length / CHAR_BIT; n > 0 && d->rest_size < REST_MAX; n--, bits >>= CHAR_BIT)
		d->rest[d->rest_size++] = (unsigned char)bits;
	d->part = BETWEEN;
}

static ssize_t inflate_data(struct gzip_decoder *d, const unsigned char **in, size_t *in_size, void *out,
    size_t out_size)
{
	struct inflate_state *z = &d->inflate;
	z->next_in = (unsigned char *)*in;
	z->avail_in = (uint32_t)MIN(*in_size, (size_t)UINT32_MAX);
	z->next_out = out;
	z->avail_out = (uint32_t)MIN(out_size, (size_t)UINT32_MAX);
	if (isal_inflate(z) != ISAL_DECOMP_OK)
		return -EBADMSG;
	*in_size -= (size_t)(z->next_in - *in);
	*in = z->next_in;
	if (z->block_state == ISAL_BLOCK_FINISH)
		member_end(d);
	return z->next_out - (unsigned char *)out;
}

ssize_t gzip_decode(struct gzip_decoder *d, const unsigned char **in, size_t *in_size, void *out, size_t out_size,
    struct error **err)
{
	/* The rest is shorter than a header, so it is read whole. */
	const unsigned char *rest = d->rest;
	ssize_t n = read_header(d, &rest, &d->rest_size);
	if (n == 0)
		n = read_header(d, in, in_size);
	if (n == 0 && d->part == DATA)
		n = inflate_data(d, in, in_size, out, out_size);
	return n < 0 ? error_set(err, EBADMSG, "the gzip stream is damaged") : n;
}
