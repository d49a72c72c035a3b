/* SPDX-License-Identifier: Apache-2.0
 * holm-image commit-layer: an image of another one and a layer on top, for docker commit. The layer
 * comes from a machine's engine, as the answer to a request that the keeper has sent: stdin is that
 * connection. Descriptor 3 has {"config":{},"changes":[]}: the new image's configuration, and
 * instructions for it.
 *
 * The engine is as hostile as the machine: the layer has to be a whole tar archive, the image one
 * that a pull would take. */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/http.h"
#include "image/archive/compose.h"
#include "image/commands/change.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/common/interrupt.h"
#include "image/library/image.h"
#include "oci/reference.h"
#include "oci/tar.h"

enum { CONFIG_FD = 3, CONFIG_MAX = 4 << 20, PIECE = 256 * 1024, SILENCE_MS = 120 * 1000, BLOCK = 512 };

struct reading {
	struct http_response response;
	struct layer_writer *writer;
	char piece[PIECE];
	int r; /* of the layer, which the tap writes */
	struct error **err;
};

static ssize_t read_piece(void *data, const void **ret, struct error **err)
{
	struct reading *q = data;
	int r = interrupt_check(err);
	*ret = q->piece;
	return r < 0 ? r : http_response_read(&q->response, q->piece, sizeof q->piece, clock_deadline(SILENCE_MS), err);
}

static void tap(void *data, const void *bytes, size_t size)
{
	struct reading *q = data;
	if (q->r == 0)
		q->r = layer_writer_write(q->writer, bytes, size, q->err);
}

static int copy_archive(struct reading *q, struct error **err)
{
	CLEANUP(tar_reader_freep) struct tar_reader *tar = tar_reader_new(read_piece, q, NULL);
	const struct tar_entry *e;
	const void *data;
	size_t size;
	uint64_t offset;
	int r;
	tar_reader_set_tap(tar, tap, q);
	while (q->r == 0 && (r = tar_reader_next(tar, &e, err)) == 1) {
		while (q->r == 0 && (r = tar_reader_read(tar, &data, &size, &offset, err)) == 1)
			;
		if (r < 0)
			return r;
	}
	if (q->r < 0 || r < 0)
		return q->r < 0 ? q->r : r;
	static const char zeros[3 * BLOCK];
	size_t padding = (BLOCK - tar_reader_position(tar) % BLOCK) % BLOCK;
	return layer_writer_write(q->writer, zeros, padding + 2UL * BLOCK, err);
}

static int write_layer(struct library *l, struct composed_layer *ret, struct error **err)
{
	struct layer_writer w;
	AUTOFREE struct reading *q = xnew(struct reading);
	*q = (struct reading){ .writer = &w, .err = err, .response.fd = -1 };
	int r = http_answer(STDIN_FILENO, clock_deadline(SILENCE_MS), &q->response, err);
	if (r < 0)
		return r;
	r = layer_writer_open(l, LAYER_GZIP, &w, err);
	if (r == 0) {
		r = copy_archive(q, err);
		if (r == 0)
			r = layer_writer_finish(&w, ret, err);
		else
			layer_writer_abort(&w);
	}
	http_response_done(&q->response);
	return r;
}

static int read_config(struct json_object **ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	AUTO_JSON struct json_object *o = NULL;
	AUTO_STRV struct strv changes = { 0 };
	struct json_object *config = NULL;
	size_t size;
	int r = fd_read_all(CONFIG_FD, CONFIG_MAX, &text, &size);
	if (r < 0)
		return error_set_errno(err, r, "cannot read the new image's configuration");
	if ((r = json_parse(text, size, "the new image's configuration", &o, err)) < 0 ||
	    (r = json_get_object(o, "config", &config, err)) < 0)
		return r;
	r = json_get_strv(o, "changes", &changes, err);
	if (r == 0)
		r = change_apply_all(config, &changes, err);
	if (r == 0)
		*ret = json_object_get(config);
	return r;
}

/* The base's own document, with another "config" in it. */
static int make_document(struct library *l, const struct image *base, struct json_object *config,
    struct json_object **ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	size_t size;
	int r = library_read_blob(l, base->manifest->config.digest, &text, &size, err);
	if (r == 0)
		r = json_parse(text, size, "the image's configuration", ret, err);
	if (r < 0)
		return r;
	json_object_object_del(*ret, "config");
	json_object_object_del(*ret, "container_config");
	json_add(*ret, "config", json_object_get(config));
	return 0;
}

static int load_base(struct library *l, const char *digest, struct image **ret, struct error **err)
{
	if (image_load_whole(l, NULL, digest, ret, NULL) == 0)
		return 0;
	return error_set(err, ENOENT,
	    "the container's image %.19s is not whole in the library any more; pull or load it again", digest);
}

static int commit(struct library *l, struct options *o, const char *name, struct error **err)
{
	AUTO_JSON struct json_object *config = NULL, *document = NULL;
	AUTO_IMAGE struct image *base = NULL;
	struct composed_layer layer;
	char digest[DIGEST_TEXT_SIZE + 1];
	const struct compose_step step = { options_string(o, "message"), options_string(o, "author"),
		options_string(o, "created-by"), options_string(o, "base") };
	const char *from = step.base;
	int r = from && digest_is_valid(from) ? read_config(&config, err) : error_set(err, EINVAL, "--base is missing");
	if (r == 0)
		r = load_base(l, from, &base, err);
	if (r < 0 || (r = write_layer(l, &layer, err)) < 0 ||
	    (r = make_document(l, base, config, &document, err)) < 0 ||
	    (r = compose_on(l, document, base->manifest, &layer, &step, digest, err)) < 0)
		return r;
	r = name ? image_register(l, name, digest, NULL, err) : image_register_nameless(l, digest, err);
	return r < 0 ? r : command_print(digest, err);
}

int command_commit_layer(struct options *o, struct error **err)
{
	AUTO_REFERENCE struct reference *reference = NULL;
	AUTOFREE char *name = NULL;
	struct library *l = NULL;
	const struct strv *words = options_words(o);
	int r = words->count ? reference_parse(words->items[0], &reference, err) : 0;
	if (r == 0 && reference && reference->digest)
		r = error_set(err, EINVAL, "\"%s\" has a digest; a new name is NAME[:TAG]", words->items[0]);
	if (r == 0 && reference)
		name = reference_to_local_string(reference);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		r = commit(l, o, name, err);
	library_free_and_sweep(l, 0);
	return r;
}
