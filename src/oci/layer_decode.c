/* SPDX-License-Identifier: Apache-2.0
 * gzip (layer_gzip.c), zstd (RFC 8878: frames one after the other; windows up to 128 MiB, the
 * library's own limit), and no compression at all. */
#include "oci/layer_decode.h"

#include <errno.h>
#include <zstd.h>

#include "base/alloc.h"
#include "oci/layer_gzip.h"

struct layer_decoder {
	struct gzip_decoder *gzip;
	ZSTD_DStream *zstd;
	int between; /* at the end of a member or frame: the input may end */
};

static struct layer_decoder *plain_new(void)
{
	struct layer_decoder *d = xnew(struct layer_decoder);
	d->between = 1;
	return d;
}

static void plain_free(struct layer_decoder *d)
{
	free(d);
}

static ssize_t plain_decode(struct layer_decoder *d, const unsigned char **in, size_t *in_size, void *out,
    size_t out_size, struct error **err)
{
	size_t n = MIN(*in_size, out_size);
	memcpy(out, *in, n);
	*in += n;
	*in_size -= n;
	return (ssize_t)n;
}

static int decoder_complete(struct layer_decoder *d)
{
	return d->between;
}

static struct layer_decoder *gzip_new(void)
{
	struct layer_decoder *d = xnew(struct layer_decoder);
	d->gzip = gzip_decoder_new();
	return d;
}

static void gzip_free(struct layer_decoder *d)
{
	gzip_decoder_free(d->gzip);
	free(d);
}

static ssize_t gzip_step(struct layer_decoder *d, const unsigned char **in, size_t *in_size, void *out, size_t out_size,
    struct error **err)
{
	return gzip_decode(d->gzip, in, in_size, out, out_size, err);
}

static int gzip_complete(struct layer_decoder *d)
{
	return gzip_decoder_complete(d->gzip);
}

static struct layer_decoder *zstd_new(void)
{
	struct layer_decoder *d = xnew(struct layer_decoder);
	d->zstd = ZSTD_createDStream();
	if (!d->zstd)
		abort();
	return d;
}

static void zstd_free(struct layer_decoder *d)
{
	ZSTD_freeDStream(d->zstd);
	free(d);
}

static ssize_t zstd_decode(struct layer_decoder *d, const unsigned char **in, size_t *in_size, void *out,
    size_t out_size, struct error **err)
{
	ZSTD_inBuffer from = { *in, *in_size, 0 };
	ZSTD_outBuffer to = { out, out_size, 0 };
	size_t r = ZSTD_decompressStream(d->zstd, &to, &from);
	if (ZSTD_isError(r))
		return error_set(err, EBADMSG, "the zstd stream is damaged (%s)", ZSTD_getErrorName(r));
	if (from.pos > 0 || to.pos > 0)
		d->between = r == 0;
	*in += from.pos;
	*in_size -= from.pos;
	return (ssize_t)to.pos;
}

static const struct layer_codec codecs[] = {
	{ "gzip", { 0x1f, 0x8b }, 2, gzip_new, gzip_free, gzip_step, gzip_complete },
	{ "zstd", { 0x28, 0xb5, 0x2f, 0xfd }, 4, zstd_new, zstd_free, zstd_decode, decoder_complete },
	/* A zstd stream may start with a skippable frame, as estargz and zstd:chunked tools write
	 * them (0x184D2A50 to 5F, little-endian).
	 */
	{ "zstd", { 0x50, 0x2a, 0x4d, 0x18 }, 4, zstd_new, zstd_free, zstd_decode, decoder_complete },
	{ "tar", { 0 }, 0, plain_new, plain_free, plain_decode, decoder_complete },
};

const struct layer_codec *layer_codec_find(const unsigned char *start, size_t size)
{
	size_t i = 0;
	while (codecs[i].magic_size > size || memcmp(codecs[i].magic, start, codecs[i].magic_size) != 0)
		i++;
	return &codecs[i];
}
