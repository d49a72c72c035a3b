/* SPDX-License-Identifier: Apache-2.0
 * holm image push: prints the name with the digest under which the registry has it. */
#include "image/registry/push.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "image/commands/command.h"
#include "image/registry/upload.h"

static int read_chunk_size(const char *text, uint64_t *ret, struct error **err)
{
	if (!text)
		return 0;
	if (parse_size(text, 1 << 20, ret) < 0 || *ret < UPLOAD_CHUNK_MIN || *ret > OCI_LAYER_SIZE_MAX)
		return error_set(err, EINVAL, "--chunk-size cannot be \"%.40s\"; write 1M or more", text);
	return 0;
}

/* Reads the destination. 0 or -errno. */
static int parse_target(const char *text, const struct image *i, struct reference **ret, struct error **err)
{
	AUTO_REFERENCE struct reference *to = NULL;
	int r = reference_parse(text, &to, err);
	if (r < 0)
		return r;
	if (reference_is_local(to))
		return error_set(err, EINVAL,
		    "image \"%s\" has no registry in its name; write holm image push %s REGISTRY/NAME", text, text);
	if (to->digest && !streq(to->digest, i->digest))
		return error_set(err, EINVAL, "\"%s\" names another digest than the image's, %s", text, i->digest);
	*ret = TAKE_PTR(to);
	return 0;
}

static int push(struct library *l, struct options *o, const struct oci_platform *platform, struct push_options *p,
    struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL;
	AUTO_IMAGE struct image *i = NULL;
	AUTO_REFERENCE struct reference *to = NULL;
	const struct strv *words = options_words(o);
	const char *from = words->items[0], *target = words->items[words->count - 1];
	int r = image_find(l, from, platform, &name, &digest, err);
	if (r == 0)
		r = image_load_whole(l, name, digest, &i, err);
	if (r == 0)
		r = parse_target(words->count == 1 && name && image_is_named(from, name) ? name : target, i, &to, err);
	if (r < 0)
		return r;
	AUTOFREE char *canonical = reference_to_string(to),
		      *pushed = to->digest ? xstrdup(canonical) : xasprintf("%s@%s", canonical, digest);
	AUTO_PROGRESS struct progress *progress = command_progress(o);
	p->progress = progress;
	progress_note(progress, "pushing %s", canonical);
	r = image_push(l, i, to, p, err);
	if (r < 0)
		return r;
	progress_free(TAKE_PTR(progress));
	return command_print(pushed, err);
}

static int run(struct options *o, const char *chunk_size, const struct credentials *login, struct error **err)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	struct push_options p = { .login = login };
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = command_insecure(o, &p.insecure, err);
	if (r == 0)
		r = read_chunk_size(chunk_size, &p.chunk_size, err);
	if (r == 0)
		r = library_open(&l, err);
	return r == 0 ? push(l, o, given ? &platform : NULL, &p, err) : r;
}

int command_push(struct options *o, struct error **err)
{
	return run(o, options_string(o, "chunk-size"), NULL, err);
}

int command_push_as(struct options *o, struct error **err)
{
	AUTO_CREDENTIALS struct credentials login = { 0 };
	int r = command_read_login(&login, NULL, err);
	return r < 0 ? r : run(o, NULL, r ? &login : NULL, err);
}
