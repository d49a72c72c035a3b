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
#include "base/parse.h"
#include "base/path.h"
#include "image/build/expand.h"
#include "image/builder/cache.h"
#include "image/builder/copy.h"
#include "image/builder/emit.h"
#include "image/builder/step.h"
#include "oci/digest.h"

/* A COPY or ADD under way. */
struct copying {
	struct build_step *step;
	struct copy_wish wish;
	char *owner;              /* of --chown; NULL: none */
	int links;                /* --link: nothing below counts */
	int packed;               /* --unpack=false: archives stay as they are */
	int has_texts;            /* here-documents, and nothing else */
	struct strv bases;        /* of the patterns, real */
	struct content_pool pool; /* of the context's files and of here-documents */
	struct contents own;
	const struct contents *files;  /* the entries that patterns look at: own, or a listing's */
	struct build_context *context; /* NULL: --from */
	struct build_state *from;
	const struct build_listing *listing; /* of `from` */
};

static void copying_done(struct copying *c)
{
	copy_wish_done(&c->wish);
	free(c->owner);
	strv_done(&c->bases);
	contents_done(&c->own);
	content_pool_done(&c->pool);
}

/* ---- the words ---- */

static const char *word_of(const struct copying *c)
{
	return c->step->instruction->kind->name;
}

static int expand_text(struct copying *c, const char *text, char **ret, struct error **err)
{
	struct expand_scope scope;
	build_step_scope(c->step, &scope);
	return expand_word(&scope, text, ret, err);
}

/* Variables, in the words as they stand; here-documents are no words of their own. */
static int read_words(struct copying *c, struct strv *to, struct error **err)
{
	const struct dockerfile_instruction *i = c->step->instruction;
	AUTO_STRV struct strv raw = { 0 };
	int r = 0;
	if (i->is_json)
		strv_add_all(&raw, &i->json);
	else
		dockerfile_words(i->rest, c->step->builder->file->escape, &raw);
	for (size_t k = 0; r == 0 && k < raw.count; k++) {
		char *word = NULL;
		r = i->heredoc_count && startswith(raw.items[k], "<<") ? ((word = xstrdup(raw.items[k])), 0) :
									 expand_text(c, raw.items[k], &word, err);
		if (r == 0)
			strv_take(to, word);
	}
	return r;
}

/* The last word, from the working directory; a slash stays at the end of a directory's. */
static void set_destination(struct copying *c, const char *word)
{
	AUTOFREE char *joined = path_join(build_state_text(c->step->state, "WorkingDir", "/"), word),
		      *clean = path_normalize(joined);
	int is_directory = endswith(word, "/") || streq(word, ".") || endswith(word, "/.");
	c->wish.to = is_directory && clean[1] ? xasprintf("%s/", clean) : xstrdup(clean);
}

static int read_mode(struct copying *c, struct error **err)
{
	AUTOFREE char *text = NULL;
	const char *flag = dockerfile_flag(c->step->instruction, "chmod");
	if (!flag)
		return 0;
	int r = expand_text(c, flag, &text, err);
	if (r < 0)
		return r;
	if (parse_octal(text, &c->wish.mode) < 0 || c->wish.mode > 07777)
		return error_set(err, EINVAL, "%s --chmod=%.40s: write an octal mode such as 755", word_of(c), text);
	c->wish.has_mode = 1;
	return 0;
}

static int read_flag(const struct copying *c, const char *name, int *ret, struct error **err)
{
	const char *text = dockerfile_flag(c->step->instruction, name);
	*ret = text != NULL;
	if (text && *text && parse_bool(text, ret) < 0)
		return error_set(err, EINVAL, "%s --%s=%.40s: write true or false", word_of(c), name, text);
	return 0;
}

static int read_flags(struct copying *c, struct error **err)
{
	static const char *const of_urls[] = { "checksum", "keep-git-dir" };
	const struct dockerfile_instruction *i = c->step->instruction;
	const char *owner = dockerfile_flag(i, "chown");
	int unpack = 1, r = dockerfile_flag(i, "unpack") ? read_flag(c, "unpack", &unpack, err) : 0;
	c->packed = !unpack;
	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(of_urls); k++)
		if (dockerfile_flag(i, of_urls[k]))
			r = error_set(err, EOPNOTSUPP, "%s --%s is for URLs, which cannot be added yet; leave it out",
			    word_of(c), of_urls[k]);
	if (r == 0)
		r = read_mode(c, err);
	if (r == 0 && owner)
		r = expand_text(c, owner, &c->owner, err);
	if (r == 0)
		r = read_flag(c, "link", &c->links, err);
	if (r == 0)
		r = read_flag(c, "parents", &c->wish.parents, err);
	for (size_t k = 0; r == 0 && k < i->flags.count; k++) {
		const char *pattern = startswith(i->flags.items[k], "--exclude=");
		char *word = NULL;
		if (pattern && (r = expand_text(c, pattern, &word, err)) == 0)
			strv_take(&c->wish.excludes, word);
	}
	return r;
}

/* ---- owners ---- */

/* The third field, or the fourth, of the line of this name in a file like /etc/passwd. */
static int find_id(const struct contents *base, const char *file, const char *name, int field, uint32_t *ret)
{
	struct content **at = contents_find(base, file);
	AUTO_STRV struct strv lines = { 0 };
	if (!at || !(*at)->text)
		return -ENOENT;
	strv_split(&lines, (*at)->text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		size_t n = strlen(name);
		const char *rest = lines.items[i] + n;
		if (strncmp(lines.items[i], name, n) != 0 || *rest != ':')
			continue;
		for (int k = 0; rest && k < field; k++)
			rest = strchr(rest, ':') ? strchr(rest, ':') + 1 : NULL;
		AUTOFREE char *number = rest ? xstrndup(rest, strcspn(rest, ":")) : NULL;
		return number && parse_u32(number, ret) == 0 ? 0 : -EINVAL;
	}
	return -ENOENT;
}

/* "USER[:GROUP]", numbers or names of the image; without a group it is the user's, or for a number
 * the same one. */
static int find_owner(struct copying *c, const struct contents *base, struct error **err)
{
	if (!c->owner)
		return 0;
	AUTOFREE char *user = xstrndup(c->owner, strcspn(c->owner, ":"));
	const char *group = strchr(c->owner, ':') ? strchr(c->owner, ':') + 1 : NULL;
	int r = 0;
	c->wish.has_owner = 1;
	if (parse_u32(user, &c->wish.uid) == 0)
		c->wish.gid = c->wish.uid;
	else if ((r = find_id(base, "/etc/passwd", user, 2, &c->wish.uid)) == 0)
		r = find_id(base, "/etc/passwd", user, 3, &c->wish.gid);
	if (r < 0)
		return error_set(err, EINVAL, "--chown: the image has no user \"%.60s\"", user);
	if (group && *group && parse_u32(group, &c->wish.gid) < 0 &&
	    find_id(base, "/etc/group", group, 2, &c->wish.gid) < 0)
		return error_set(err, EINVAL, "--chown: the image has no group \"%.60s\"", group);
	return 0;
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
		return error_set(err, ELOOP, "%s \"%s\": too many symlinks", word_of(c), pattern + 1);
	strv_take(&c->bases, real);
	return 0;
}

static int look(struct copying *c, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < c->wish.patterns.count; i++) {
		const char *pattern = c->wish.patterns.items[i];
		if (c->has_texts)
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
	return build_context_read(c->context, file, err);
}

static int is_archive(void *data, const struct content *file, struct error **err)
{
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
		return error_set(err, ENOENT, "%s: \"%s\" is left out by .dockerignore", word_of(c), pattern + 1);
	return error_set(err, ENOENT, "%s: \"%s\" is not in %s", word_of(c), pattern + 1, place);
}

static int make_plan(struct copying *c, struct copy_plan *plan, struct error **err)
{
	int is_add = c->step->instruction->kind->id == DOCKERFILE_ADD;
	int unpacks = is_add && c->context && !c->packed, found = 0, r = 0;
	for (size_t i = 0; r >= 0 && i < c->wish.patterns.count; i++) {
		AUTO_ERROR struct error *why = NULL;
		r = copy_plan_add(plan, &c->wish, c->wish.patterns.items[i], c->bases.items[i], c->files,
		    unpacks ? is_archive : NULL, c, &why);
		if (r == -ENOENT)
			return explain_missing(c, c->wish.patterns.items[i], err);
		if (r < 0)
			return error_set(err, -r, "%s", error_text(why, r));
		found += r;
	}
	if (!found)
		return explain_missing(c, c->wish.patterns.items[0], err);
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

/* ---- the key ---- */

static void add_text(struct hash *h, const char *text)
{
	hash_update(h, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* Whether an owner is no number: the files below say then what it means. */
static int has_name(const char *owner)
{
	return owner && owner[strspn(owner, "0123456789:")];
}

static void begin_key(const struct copying *c, const char *kind, struct hash *h)
{
	AUTOFREE char *text =
	    xasprintf("%s mode=%o,%d parents=%d", kind, c->wish.mode, c->wish.has_mode, c->wish.parents);
	hash_init(h);
	add_text(h, text);
	add_text(h, c->links && !has_name(c->owner) ? "link" : c->step->state->chain);
	add_text(h, c->wish.to);
	add_text(h, c->owner);
}

/* Names in the source do not count, times neither. */
static void key_of_plan(const struct copying *c, const struct copy_plan *plan, char *ret)
{
	AUTO_HASH struct hash h = { 0 };
	begin_key(c, "copy 1", &h);
	for (size_t i = 0; i < plan->count; i++) {
		const struct content *from = plan->items[i].from;
		uint32_t uid, gid;
		copy_owner(&c->wish, from, &uid, &gid);
		AUTOFREE char *numbers = xasprintf("%d %o %u %u %u %u %d", from->type, from->mode, uid, gid,
		    from->major, from->minor, plan->items[i].unpack);
		add_text(&h, plan->items[i].to);
		add_text(&h, numbers);
		add_text(&h, from->digest);
		add_text(&h, from->target);
		add_text(&h, from->xattrs);
	}
	hash_text(&h, ret);
}

static void key_of_stage(const struct copying *c, char *ret)
{
	AUTO_HASH struct hash h = { 0 };
	begin_key(c, "copy-from 1", &h);
	add_text(&h, c->from->chain);
	for (size_t i = 0; i < c->wish.patterns.count; i++)
		add_text(&h, c->wish.patterns.items[i]);
	add_text(&h, NULL);
	for (size_t i = 0; i < c->wish.excludes.count; i++)
		add_text(&h, c->wish.excludes.items[i]);
	hash_text(&h, ret);
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
	const struct emit_bytes bytes = { .open_file = c->context ? open_file : NULL,
		.open_layer = c->from ? open_layer : NULL,
		.data = c };
	AUTO_COPY_PLAN struct copy_plan plan = { 0 };
	int r = c->links && !c->owner ? 0 : build_state_list(b->library, c->step->state, 0, &below, err);
	if (r == 0)
		r = find_owner(c, &below->contents, err);
	if (r < 0)
		return r;
	if (c->links)
		below = &nothing;
	c->wish.to_is_directory = is_directory(&below->contents, c->wish.to);
	r = make_plan(c, &plan, err);
	return r < 0 ? r : emit_layer(b->library, &plan, &c->wish, &below->contents, &bytes, ret, err);
}

static void take(struct copying *c, const char *key, const char *short_key, struct build_layer *layer)
{
	struct library *l = c->step->builder->library;
	if (key)
		build_cache_store(l, key, layer);
	if (short_key)
		build_cache_store(l, short_key, layer);
	build_step_add(c->step, layer);
}

static int copy_planned(struct copying *c, const char *short_key, struct error **err)
{
	AUTO_COPY_PLAN struct copy_plan plan = { 0 };
	char key[DIGEST_TEXT_SIZE + 1];
	struct build_layer layer = { 0 };
	int r = look(c, err);
	if (r == 0)
		r = make_plan(c, &plan, err);
	if (r == 0)
		r = hash_plan(c, &plan, err);
	if (r < 0)
		return r;
	key_of_plan(c, &plan, key);
	c->step->is_cached = build_step_find(c->step, key, &layer);
	if (!c->step->is_cached)
		r = make_layer(c, &layer, err);
	if (r == 0)
		take(c, c->step->is_cached ? NULL : key, short_key, &layer);
	return r;
}

static int copy_from(struct copying *c, const char *from, struct error **err)
{
	char key[DIGEST_TEXT_SIZE + 1];
	struct build_layer layer = { 0 };
	AUTOFREE char *name = NULL;
	int r = expand_text(c, from, &name, err);
	if (r == 0)
		r = build_find_source(c->step, name, &c->from, err);
	if (r < 0)
		return r;
	c->wish.keeps_owners = 1;
	key_of_stage(c, key);
	if (build_step_find(c->step, key, &layer)) {
		c->step->is_cached = 1;
		take(c, NULL, NULL, &layer);
		return 0;
	}
	r = build_state_list(c->step->builder->library, c->from, 1, &c->listing, err);
	return r < 0 ? r : copy_planned(c, key, err);
}

/* ---- here-documents ---- */

static int add_heredoc(struct copying *c, const struct dockerfile_heredoc *h, struct error **err)
{
	struct content *file = content_pool_new(&c->pool);
	char *text = NULL;
	struct expand_scope scope;
	build_step_scope(c->step, &scope);
	scope.keep_quotes = 1;
	int r = h->literal ? ((text = xstrdup(h->content)), 0) : expand_word(&scope, h->content, &text, err);
	if (r < 0)
		return r;
	*file = (struct content){ .path = xasprintf("/%s", h->name), .type = TAR_FILE, .mode = 0644 };
	content_set_text(file, text);
	contents_append(&c->own, file);
	return 0;
}

/* ---- the instruction ---- */

static int is_remote(const char *word)
{
	return startswith(word, "http://") || startswith(word, "https://") || startswith(word, "git@") ||
	       startswith(word, "ssh://") || startswith(word, "git://");
}

static int add_source(struct copying *c, const char *word, size_t *heredoc, struct error **err)
{
	const struct dockerfile_instruction *i = c->step->instruction;
	if (i->heredoc_count && startswith(word, "<<"))
		return *heredoc < i->heredoc_count ? add_heredoc(c, &i->heredocs[(*heredoc)++], err) : 0;
	if (is_remote(word))
		return error_set(err, EOPNOTSUPP, "%s \"%.200s\": a URL cannot be added yet; use RUN with curl or git",
		    word_of(c), word);
	strv_take(&c->wish.patterns, xasprintf("/%s", word));
	return 0;
}

static int read_instruction(struct copying *c, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	size_t heredoc = 0;
	c->wish.word = word_of(c);
	int r = read_words(c, &words, err);
	if (r == 0)
		r = read_flags(c, err);
	if (r < 0)
		return r;
	set_destination(c, words.items[words.count - 1]);
	for (size_t k = 0; r == 0 && k + 1 < words.count; k++)
		r = add_source(c, words.items[k], &heredoc, err);
	if (r == 0 && words.count > 2 && !endswith(c->wish.to, "/") && !streq(c->wish.to, "/"))
		return error_set(err, EINVAL, "%s has several sources, so that \"%s\" is a directory; write %s/",
		    word_of(c), c->wish.to, words.items[words.count - 1]);
	return r;
}

/* Here-documents beside files would have two places where bytes are. */
static int copy_heredocs(struct copying *c, struct error **err)
{
	if (c->wish.patterns.count)
		return error_set(err, EOPNOTSUPP, "%s takes here-documents or files, not both; write two of them",
		    word_of(c));
	c->has_texts = 1;
	for (size_t i = 0; i < c->own.count; i++)
		strv_add(&c->wish.patterns, c->own.items[i]->path);
	return copy_planned(c, NULL, err);
}

int build_copy(struct build_step *s, struct error **err)
{
	CLEANUP(copying_done) struct copying c = { .step = s };
	const char *from = dockerfile_flag(s->instruction, "from");
	int r = read_instruction(&c, err);
	if (r < 0)
		return r;
	if (s->instruction->heredoc_count)
		return copy_heredocs(&c, err);
	if (from)
		return copy_from(&c, from, err);
	r = build_find_context(s->builder, &c.context, err);
	return r < 0 ? r : copy_planned(&c, NULL, err);
}

int build_bind(struct build_step *s, const char *from, const char *source, const char *target, char *key,
    struct build_layer *ret, struct error **err)
{
	char now[DIGEST_TEXT_SIZE + 1];
	CLEANUP(copying_done) struct copying c = { .step = s, .wish = { .word = "RUN --mount" } };
	AUTO_COPY_PLAN struct copy_plan plan = { 0 };
	int r = from ? build_find_source(s, from, &c.from, err) : build_find_context(s->builder, &c.context, err);
	c.wish.keeps_owners = from != NULL;
	c.wish.to = xstrdup(target);
	strv_take(&c.wish.patterns, xasprintf("/%s", source ? source : ""));
	if (r == 0 && from && !ret) {
		key_of_stage(&c, key);
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
	key_of_plan(&c, &plan, now);
	if (ret && !streq(now, key))
		return error_set(err, ESTALE, "the files of RUN --mount=target=%s changed during the build; try again",
		    target);
	memcpy(key, now, sizeof now);
	return ret ? make_layer(&c, ret, err) : 0;
}

int build_make_directory(struct build_step *s, const char *path, struct error **err)
{
	AUTOFREE char *text = xasprintf("directory 1 %s %s", s->state->chain, path);
	char key[DIGEST_TEXT_SIZE + 1];
	struct build_layer layer = { 0 };
	const struct build_listing *below = NULL;
	hash_memory(text, strlen(text), key);
	s->is_cached = build_step_find(s, key, &layer);
	int r = s->is_cached ? 0 : build_state_list(s->builder->library, s->state, 0, &below, err);
	if (r == 0 && !s->is_cached)
		r = emit_directory(s->builder->library, path, &below->contents, &layer, err);
	if (r < 0)
		return r;
	if (!s->is_cached)
		build_cache_store(s->builder->library, key, &layer);
	build_step_add(s, &layer);
	return 0;
}
