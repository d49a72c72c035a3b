/* SPDX-License-Identifier: Apache-2.0
 * COPY and ADD, and the directory that WORKDIR makes.
 *
 * A step first finds out what it would copy: entries of the context, with the digests of files, or
 * of a stage's or image's layers. These, the command and the layers below are its key in the cache.
 * Without a layer of that key it reads the listing of the layers below, makes a plan, and writes
 * the layer. --from a stage has a second, shorter key, made of the digest of that stage's layers:
 * while it is the same one the layers need not be listed. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/builder/copying.h"
#include "image/builder/emit.h"
#include "image/builder/named.h"
#include "image/builder/owner.h"
#include "oci/digest.h"

static void copying_done(struct copying *c)
{
	copy_wish_done(&c->wish);
	copying_remotes_done(c);
	build_context_free(c->clone_context);
	if (c->clone.library)
		build_upload_done(&c->clone);
	free(c->repository);
	free(c->owner);
	strv_done(&c->bases);
	contents_done(&c->own);
	content_pool_done(&c->pool);
}

/* ---- the source ---- */

/* Adds a pattern, and lists what it may mean. */
static int look_in_context(struct copying *c, const char *pattern, struct error **err)
{
	const char *rest;
	AUTOFREE char *base = copy_pattern_base(pattern, &rest);
	struct contents found = { 0 };
	int r = build_context_list(c->context, base, &c->pool, &found, err);
	if (r == 0 && c->wish.parents)
		r = build_context_list_parents(c->context, base, &c->pool, &found, err);
	/* The first entry is the base itself, under its real path. */
	strv_add(&c->bases, base[1] && found.count && !c->wish.parents ? found.items[0]->path : base);
	for (size_t i = 0; r == 0 && i < found.count; i++)
		contents_append(&c->own, found.items[i]);
	contents_done(&found);
	return r;
}

static int look_in_layers(struct copying *c, const char *pattern, struct error **err)
{
	const char *rest;
	AUTOFREE char *base = copy_pattern_base(pattern, &rest);
	char *real = contents_resolve(&c->listing->contents, base, *rest != '\0');
	if (!real)
		return error_set(err, ELOOP, "%s \"%s\": too many symlinks", copying_word(c), pattern + 1);
	strv_take(&c->bases, real);
	return 0;
}

static int look(struct copying *c, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < c->wish.patterns.count; i++) {
		const char *pattern = c->wish.patterns.items[i];
		if (startswith(pattern, COPYING_TEXT) || startswith(pattern, COPYING_REMOTE))
			strv_add(&c->bases, pattern);
		else
			r = c->context ? look_in_context(c, pattern, err) : look_in_layers(c, pattern, err);
	}
	contents_sort(&c->own);
	c->files = c->listing ? &c->listing->contents : &c->own;
	return r;
}

static int open_file(void *data, const struct content *file, struct error **err)
{
	const struct copying *c = data;
	return copying_is_remote(c, file) ? copying_open_remote(c, file, err) :
					    build_context_read(c->context, file, err);
}

static int is_archive(void *data, const struct content *file, struct error **err)
{
	const struct copying *c = data;
	if (file->text || (copying_is_remote(c, file) ? !c->unpacks : c->packed))
		return 0;
	AUTO_FD int fd = open_file(data, file, err);
	return fd < 0 ? fd : emit_is_archive(fd);
}

static int open_layer(void *data, size_t layer, size_t *ret_first, struct error **err)
{
	const struct copying *c = data;
	*ret_first = c->listing->first[layer];
	return library_open_blob(c->step->builder->library, c->from->layers[layer].digest, NULL, err);
}

/* ---- the plan ---- */

static int explain_missing(struct copying *c, const char *pattern, struct error **err)
{
	const char *place = c->context ? "the context" : "that stage or image";
	if (c->context && build_context_leaves_out(c->context, pattern + 1))
		return error_set(err, ENOENT, "%s: \"%s\" is left out by .dockerignore", copying_word(c), pattern + 1);
	return error_set(err, ENOENT, "%s: \"%s\" is not in %s", copying_word(c), pattern + 1, place);
}

/* As Docker has it, wildcards that nothing fits are no error. */
static int has_wildcards(const struct copying *c)
{
	const char *rest = "";
	for (size_t i = 0; i < c->wish.patterns.count && !*rest; i++)
		free(copy_pattern_base(c->wish.patterns.items[i], &rest));
	return *rest != '\0';
}

static int make_plan(struct copying *c, struct copy_plan *plan, struct error **err)
{
	int is_add = c->step->instruction->kind->id == DOCKERFILE_ADD;
	int unpacks = is_add && !c->repository && (c->context || c->remote_count), r = 0;
	for (size_t i = 0; r >= 0 && i < c->wish.patterns.count; i++) {
		AUTO_ERROR struct error *why = NULL;
		r = copy_plan_add(plan, &c->wish, c->wish.patterns.items[i], c->bases.items[i], c->files,
		    unpacks ? is_archive : NULL, c, &why);
		if (r == -ENOENT)
			return explain_missing(c, c->wish.patterns.items[i], err);
		if (r < 0)
			return error_set(err, -r, "%s", error_text(why, r));
	}
	return copy_plan_finish(plan, &c->wish, err);
}

static int hash_plan(struct copying *c, const struct copy_plan *plan, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && c->context && i < plan->count; i++) {
		struct content *file = (struct content *)plan->items[i].from;
		if (file->type == TAR_FILE && !*file->digest)
			r = build_context_hash(c->context, file, err);
	}
	return r;
}

/* ---- the layer ---- */

static int is_directory(const struct contents *base, const char *path)
{
	AUTOFREE char *clean = path_normalize(path), *real = contents_resolve(base, clean, 1);
	struct content **at = real ? contents_find(base, real) : NULL;
	return real && (!real[1] || (at && (*at)->type == TAR_DIRECTORY));
}

static int make_layer(struct copying *c, struct build_layer *ret, struct error **err)
{
	static const struct build_listing nothing = { 0 };
	struct builder *b = c->step->builder;
	const struct build_listing *below = &nothing;
	const struct emit_bytes bytes = { .open_file = c->context || c->remote_count ? open_file : NULL,
		.open_layer = c->from ? open_layer : NULL,
		.data = c };
	AUTO_COPY_PLAN struct copy_plan plan = { 0 };
	int r = c->links && !c->owner ? 0 : build_state_list(b->library, c->step->state, 0, &below, err);
	if (r == 0 && c->owner)
		r = build_find_owner(&below->contents, c->owner, &c->wish.uid, &c->wish.gid, err);
	if (r < 0)
		return r;
	c->wish.has_owner = c->owner != NULL;
	if (c->links)
		below = &nothing;
	c->wish.to_is_directory = is_directory(&below->contents, c->wish.to);
	r = make_plan(c, &plan, err);
	return r < 0 ? r : emit_layer(b->library, &plan, &c->wish, &below->contents, &bytes, ret, err);
}

void copying_take(struct copying *c, const char *key, const char *short_key, struct build_layer *layer)
{
	if (key && !c->step->is_cached)
		build_step_store(c->step, key, NULL, layer);
	if (short_key)
		build_step_store(c->step, short_key, key, layer);
	layer->is_copied = 1;
	build_step_add(c->step, layer);
}

int copying_find(struct copying *c, const char *key)
{
	struct build_layer layer = { 0 };
	if (!build_step_find(c->step, key, &layer))
		return 0;
	c->step->is_cached = 1;
	copying_take(c, NULL, NULL, &layer);
	return 1;
}

int copying_run(struct copying *c, const char *short_key, struct error **err)
{
	AUTO_COPY_PLAN struct copy_plan plan = { 0 };
	char key[DIGEST_TEXT_SIZE + 1];
	struct build_layer layer = { 0 };
	int r = look(c, err);
	if (r == 0)
		r = make_plan(c, &plan, err);
	if (r == 0 && !plan.count && has_wildcards(c))
		report_note(c->step->builder->report, "warning: %s: no file fits \"%s\"", copying_word(c),
		    c->wish.patterns.items[0] + 1);
	if (r == 0)
		r = hash_plan(c, &plan, err);
	if (r < 0)
		return r;
	copying_key_of_plan(c, &plan, key);
	c->step->is_cached = build_step_find(c->step, key, &layer);
	if (!c->step->is_cached)
		r = build_step_work(c->step, err);
	if (r == 0 && !c->step->is_cached)
		r = copying_fetch(c, 1, err);
	if (r == 0 && !c->step->is_cached)
		r = make_layer(c, &layer, err);
	if (r == 0)
		copying_take(c, key, short_key, &layer);
	return r;
}

static int copy_from(struct copying *c, const char *from, struct error **err)
{
	char key[DIGEST_TEXT_SIZE + 1];
	AUTOFREE char *name = NULL;
	int r = copying_expand(c, from, &name, err);
	if (r == 0)
		r = build_named_directory(c->step->builder, name, &c->context, err);
	if (r != 0)
		return r < 0 ? r : copying_run(c, NULL, err);
	r = build_find_source(c->step, name, &c->from, err);
	if (r < 0)
		return r;
	c->wish.keeps_owners = 1;
	copying_key_of_stage(c, key);
	if (copying_find(c, key))
		return 0;
	r = build_step_work(c->step, err);
	if (r == 0)
		r = build_state_list(c->step->builder->library, c->from, 1, &c->listing, err);
	return r < 0 ? r : copying_run(c, key, err);
}

/* ---- the instruction ---- */

int build_copy(struct build_step *s, struct error **err)
{
	CLEANUP(copying_done) struct copying c = { .step = s };
	const char *from = dockerfile_flag(s->instruction, "from");
	int r = copying_read(&c, err);
	if (r < 0)
		return r;
	if (from && c.text_count)
		return error_set(err, EINVAL, "COPY takes here-documents or --from, not both; write two of them");
	if (from)
		return copy_from(&c, from, err);
	if (c.repository)
		return copying_add_git(&c, err);
	if (c.wish.patterns.count > c.remote_count + c.text_count)
		r = build_find_context(s->builder, &c.context, err);
	if (r == 0 && c.remote_count)
		r = copying_fetch(&c, 0, err);
	return r < 0 ? r : copying_run(&c, NULL, err);
}

int build_bind(struct build_step *s, const char *from, const char *source, const char *target, char *key,
    struct build_layer *ret, struct error **err)
{
	char now[DIGEST_TEXT_SIZE + 1];
	CLEANUP(copying_done) struct copying c = { .step = s, .wish = { .word = "RUN --mount" } };
	AUTO_COPY_PLAN struct copy_plan plan = { 0 };
	int r = from ? build_named_directory(s->builder, from, &c.context, err) :
		       build_find_context(s->builder, &c.context, err);
	if (r == 1) /* a directory is as the context */
		from = NULL;
	r = r == 0 && from ? build_find_source(s, from, &c.from, err) : MIN(r, 0);
	c.wish.keeps_owners = from != NULL;
	c.wish.to = xstrdup(target);
	strv_take(&c.wish.patterns, xasprintf("/%s", source ? source : ""));
	if (r == 0 && from && !ret) {
		copying_key_of_stage(&c, key);
		return 0;
	}
	if (r == 0 && from)
		r = build_state_list(s->builder->library, c.from, 1, &c.listing, err);
	if (r == 0)
		r = look(&c, err);
	if (r == 0 && from)
		return make_layer(&c, ret, err);
	if (r == 0)
		r = make_plan(&c, &plan, err);
	if (r == 0)
		r = hash_plan(&c, &plan, err);
	if (r < 0)
		return r;
	copying_key_of_plan(&c, &plan, now);
	if (ret && !streq(now, key))
		return error_set(err, ESTALE, "the files of RUN --mount=target=%s changed during the build; try again",
		    target);
	memcpy(key, now, sizeof now);
	return ret ? make_layer(&c, ret, err) : 0;
}

int build_make_directory(struct build_step *s, const char *path, struct error **err)
{
	const char *user = build_state_text(s->state, "User", NULL);
	AUTOFREE char *text =
	    xasprintf("directory 1 %s %s%s%s", s->state->chain, path, user ? "\n" : "", user ? user : "");
	char key[DIGEST_TEXT_SIZE + 1];
	struct build_layer layer = { 0 };
	const struct build_listing *below = NULL;
	hash_memory(text, strlen(text), key);
	s->is_cached = build_step_find(s, key, &layer);
	int r = s->is_cached ? 0 : build_step_work(s, err);
	if (r == 0 && !s->is_cached)
		r = build_state_list(s->builder->library, s->state, 0, &below, err);
	if (r == 0 && !s->is_cached)
		r = emit_directory(s->builder->library, path, user, &below->contents, &layer, err);
	if (r < 0)
		return r;
	if (!s->is_cached)
		build_step_store(s, key, NULL, &layer);
	layer.is_copied = 1;
	build_step_add(s, &layer);
	return 0;
}
