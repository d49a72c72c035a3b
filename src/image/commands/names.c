/* SPDX-License-Identifier: Apache-2.0
 * holm image rm, holm image tag: names come and go; what they named goes with the last of them
 * (sweep.c). */
#include <errno.h>

#include "base/alloc.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/library/image.h"

enum { SWEEP_WAIT_MS = 2000 }; /* for an "image ls" that is just ending; a pull takes longer, and sweeps itself */

static int remove_one(struct library *l, const char *text, struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL;
	AUTO_ERROR struct error *why = NULL;
	int r = image_find(l, text, NULL, &name, &digest, &why);
	if (r == -ENOENT)
		return error_set(err, ENOENT, "image \"%.200s\" is not in the library; holm image ls shows what is",
		    text);
	if (r < 0)
		return error_set(err, -r, "%s", error_text(why, r));
	/* A name takes that name away; a digest all names of the image. */
	if (image_is_named(text, name))
		r = library_remove_name(l, name, err);
	else
		r = library_remove_digest(l, digest, err);
	if (r == -ENOENT)
		return error_set(err, ENOENT, "image \"%s\" was removed by another process", text);
	return r < 0 ? r : command_print(name ? name : digest, err);
}

int command_rm(struct options *o, struct error **err)
{
	struct library *l = NULL;
	const struct strv *words = options_words(o);
	int r = library_open(&l, err);
	for (size_t k = 0; k < words->count && r == 0; k++)
		r = remove_one(l, words->items[k], err);
	library_free_and_sweep(l, SWEEP_WAIT_MS);
	return r;
}

static int tag(struct library *l, const char *from, const char *to, struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL;
	AUTO_REFERENCE struct reference *reference = NULL;
	int r = reference_parse(to, &reference, err);
	if (r == 0 && reference->digest)
		r = error_set(err, EINVAL, "\"%s\" has a digest; a new name is NAME[:TAG]", to);
	if (r == 0)
		r = image_find(l, from, NULL, &name, &digest, err);
	if (r < 0)
		return r;
	AUTOFREE char *canonical = reference_to_string(reference);
	r = image_register(l, canonical, digest, NULL, err);
	return r < 0 ? r : command_print(canonical, err);
}

int command_tag(struct options *o, struct error **err)
{
	struct library *l = NULL;
	const struct strv *words = options_words(o);
	int r = library_open(&l, err);
	if (r == 0)
		r = tag(l, words->items[0], words->items[1], err);
	library_free_and_sweep(l, 0);
	return r;
}
