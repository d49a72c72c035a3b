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

/* Reads the destination of what has this digest. 0 or -errno. */
static int parse_target(const char *text, const char *digest, struct reference **ret, struct error **err)
{
	AUTO_REFERENCE struct reference *to = NULL;
	int r = reference_parse(text, &to, err);
	if (r < 0)
		return r;
	if (reference_is_local(to))
		return error_set(err, EINVAL,
		    "image \"%s\" has no registry in its name; write holm image push %s REGISTRY/NAME", text, text);
	if (to->digest && !streq(to->digest, digest))
		return error_set(err, EINVAL, "\"%s\" names another digest than the image's, %s", text, digest);
	*ret = TAKE_PTR(to);
	return 0;
}

/* The thing that is pushed: an image, or all platforms of a name. */
struct pushed {
	char *name; /* NULL: a digest was typed */
	char *digest;
	struct image *image;
	struct bundle *bundle;
};

static void pushed_done(struct pushed *p)
{
	free(p->name);
	free(p->digest);
	image_free(p->image);
	bundle_free(p->bundle);
}

static int find(struct library *l, const char *text, const struct oci_platform *platform, int all, struct pushed *ret,
    struct error **err)
{
	int r = image_find(l, text, platform, &ret->name, &ret->digest, err);
	if (r < 0)
		return r;
	if (!all)
		return image_load_any_whole(l, ret->name, ret->digest, &ret->image, err);
	if (platform || !image_is_named(text, ret->name))
		return error_set(err, EINVAL, "--all-platforms wants the name of an image, without --platform");
	r = bundle_of_name(l, ret->name, &ret->bundle, err);
	if (r == 0) {
		free(ret->digest);
		ret->digest = xstrdup(ret->bundle->digest);
	}
	return r;
}

/* target NULL: the name of the image. */
static int push(struct library *l, struct options *o, const struct oci_platform *platform, struct push_options *p,
    const char *from, const char *target, struct error **err)
{
	CLEANUP(pushed_done) struct pushed what = { 0 };
	AUTO_REFERENCE struct reference *to = NULL;
	int r = find(l, from, platform, p->all, &what, err);
	if (r == 0)
		r = parse_target(!target && what.name && image_is_named(from, what.name) ? what.name :
				 target                                                  ? target :
											   from,
		    what.digest, &to, err);
	if (r < 0)
		return r;
	AUTOFREE char *canonical = reference_to_string(to),
		      *pushed = to->digest ? xstrdup(canonical) : xasprintf("%s@%s", canonical, what.digest);
	AUTO_PROGRESS struct progress *progress = command_progress(o);
	p->progress = progress;
	progress_note(progress, "pushing %s", canonical);
	r = what.bundle ? bundle_push(l, what.bundle, to, p, err) : image_push(l, what.image, to, p, err);
	if (r < 0)
		return r;
	progress_free(TAKE_PTR(progress));
	return command_print(pushed, err);
}

/* --all-tags: each name of the repository. */
static int push_tags(struct library *l, struct options *o, const struct oci_platform *platform, struct push_options *p,
    struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	AUTO_REFERENCE struct reference *wanted = NULL;
	AUTO_STRV struct strv names = { 0 };
	const char *text = options_words(o)->items[0], *slash = strrchr(text, '/');
	if (options_words(o)->count > 1 || strchr(slash ? slash : text, ':') || strchr(text, '@'))
		return error_set(err, EINVAL, "--all-tags wants one NAME without a tag, not \"%.200s\"",
		    options_words(o)->items[options_words(o)->count - 1]);
	int r = reference_parse(text, &wanted, err);
	if (r == 0)
		r = library_read_index(l, &index, err);
	for (size_t i = 0; r == 0 && i < index.count; i++) {
		AUTO_REFERENCE struct reference *ref = NULL;
		const char *name = index.entries[i].name;
		if (name && !strv_contains(&names, name) && reference_parse(name, &ref, NULL) == 0 &&
		    streq(ref->registry, wanted->registry) && streq(ref->repository, wanted->repository))
			strv_add(&names, name);
	}
	if (r == 0 && !names.count)
		return error_set(err, ENOENT, "repository \"%.200s\" has no image in the library; see holm image ls",
		    text);
	for (size_t i = 0; r == 0 && i < names.count; i++)
		r = push(l, o, platform, p, names.items[i], NULL, err);
	return r;
}

static int run(struct options *o, const char *chunk_size, int all, int all_tags, const struct credentials *login,
    struct error **err)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	struct push_options p = { .login = login, .all = all };
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = command_insecure(o, &p.insecure, err);
	if (r == 0)
		r = read_chunk_size(chunk_size, &p.chunk_size, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r < 0)
		return r;
	const struct strv *words = options_words(o);
	const struct oci_platform *wanted = given ? &platform : NULL;
	if (all_tags)
		return push_tags(l, o, wanted, &p, err);
	return push(l, o, wanted, &p, words->items[0], words->count > 1 ? words->items[1] : NULL, err);
}

int command_push(struct options *o, struct error **err)
{
	return run(o, options_string(o, "chunk-size"), options_given(o, "all-platforms"), options_given(o, "all-tags"),
	    NULL, err);
}

int command_push_as(struct options *o, struct error **err)
{
	AUTO_CREDENTIALS struct credentials login = { 0 };
	int r = command_read_login(&login, NULL, err);
	return r < 0 ? r : run(o, NULL, 0, 0, r ? &login : NULL, err);
}
