/* SPDX-License-Identifier: Apache-2.0
 * COPY and ADD: the words, flags and here-documents of the instruction. */
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"
#include "image/build/expand.h"
#include "image/build/ignore.h"
#include "image/builder/chmod.h"
#include "image/builder/copying.h"
#include "image/builder/git.h"

/* ---- the words ---- */

const char *copying_word(const struct copying *c)
{
	return c->step->instruction->kind->name;
}

int copying_expand(struct copying *c, const char *text, char **ret, struct error **err)
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
									 copying_expand(c, raw.items[k], &word, err);
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
	int r = copying_expand(c, flag, &text, err);
	if (r < 0)
		return r;
	c->wish.has_mode = 1;
	if (parse_octal(text, &c->wish.mode) == 0 && c->wish.mode <= 07777)
		return 0;
	c->wish.mode = 0;
	c->wish.mode_words = TAKE_PTR(text);
	uint32_t any = 0;
	return chmod_apply(c->wish.mode_words, 0, &any) == 0 ?
		   0 :
		   error_set(err, EINVAL, "%s --chmod=%.40s: write a mode such as 755 or u=rwX,go=rX", copying_word(c),
		       c->wish.mode_words);
}

int copying_flag(const struct copying *c, const char *name, int *ret, struct error **err)
{
	const char *text = dockerfile_flag(c->step->instruction, name);
	*ret = text != NULL;
	if (text && *text && parse_bool(text, ret) < 0)
		return error_set(err, EINVAL, "%s --%s=%.40s: write true or false", copying_word(c), name, text);
	return 0;
}

/* Takes the pattern. */
static int add_exclude(struct copying *c, char *pattern, struct error **err)
{
	AUTO_IGNORE_PATTERN struct ignore_pattern *p = ignore_compile(pattern);
	strv_take(&c->wish.excludes, pattern);
	return p ? 0 : error_set(err, EINVAL, "%s --exclude=%.80s is no pattern", copying_word(c), pattern);
}

static int read_flags(struct copying *c, struct error **err)
{
	const struct dockerfile_instruction *i = c->step->instruction;
	const char *owner = dockerfile_flag(i, "chown");
	int unpack = 1, r = dockerfile_flag(i, "unpack") ? copying_flag(c, "unpack", &unpack, err) : 0;
	c->packed = !unpack;
	c->unpacks = unpack && dockerfile_flag(i, "unpack");
	if (r == 0)
		r = read_mode(c, err);
	if (r == 0 && owner)
		r = copying_expand(c, owner, &c->owner, err);
	if (r == 0)
		r = copying_flag(c, "link", &c->links, err);
	if (r == 0)
		r = copying_flag(c, "parents", &c->wish.parents, err);
	for (size_t k = 0; r == 0 && k < i->flags.count; k++) {
		const char *pattern = startswith(i->flags.items[k], "--exclude=");
		char *word = NULL;
		if (pattern && (r = copying_expand(c, pattern, &word, err)) == 0)
			r = add_exclude(c, word, err);
	}
	return r;
}

/* ---- here-documents ---- */

static int add_heredoc(struct copying *c, const struct dockerfile_heredoc *h, struct error **err)
{
	struct content *file = content_pool_new(&c->pool);
	char *text = NULL;
	struct expand_scope scope;
	build_step_scope(c->step, &scope);
	scope.plain_quotes = 1;
	scope.escape = '\\'; /* also with "# escape=" */
	int r = h->literal ? ((text = xstrdup(h->content)), 0) : expand_word(&scope, h->content, &text, err);
	if (r < 0)
		return r;
	*file = (struct content){ .path = xasprintf(COPYING_TEXT "%zu/%s", c->text_count++, h->name),
		.type = TAR_FILE,
		.mode = 0644 };
	content_set_text(file, text);
	contents_append(&c->own, file);
	strv_add(&c->wish.patterns, file->path);
	return 0;
}

/* ---- the instruction ---- */

static int is_repository(const char *word)
{
	AUTO_GIT_PLACE struct git_place place = { 0 };
	return git_place_parse(word, &place);
}

static int add_remote(struct copying *c, const char *word, struct error **err)
{
	if (c->step->instruction->kind->id != DOCKERFILE_ADD)
		return error_set(err, EINVAL, "COPY \"%.200s\": COPY takes no URL; write ADD", word);
	if (!is_repository(word))
		return copying_add_url(c, word, err);
	if (c->repository)
		return error_set(err, EINVAL, "ADD takes one git repository; write an ADD for each");
	c->repository = xstrdup(word);
	return 0;
}

static int add_source(struct copying *c, const char *word, size_t *heredoc, struct error **err)
{
	const struct dockerfile_instruction *i = c->step->instruction;
	if (i->heredoc_count && startswith(word, "<<"))
		return *heredoc < i->heredoc_count ? add_heredoc(c, &i->heredocs[(*heredoc)++], err) : 0;
	if (is_repository(word) || url_is_one(word))
		return add_remote(c, word, err);
	while (startswith(word, "./") && word[2]) /* no division of --parents */
		word += 2;
	strv_take(&c->wish.patterns, xasprintf("/%s", word));
	return 0;
}

/* A flag for URLs and repositories has one; a repository stands alone. */
static int check_remote(const struct copying *c, size_t sources, struct error **err)
{
	const struct dockerfile_instruction *i = c->step->instruction;
	if (c->repository && sources > 1)
		return error_set(err, EINVAL, "ADD takes a git repository, or other sources; write an ADD for each");
	if (dockerfile_flag(i, "checksum") && !c->repository && !c->remote_count)
		return error_set(err, EINVAL, "%s --checksum is for URLs; leave it out", copying_word(c));
	if (dockerfile_flag(i, "keep-git-dir") && !c->repository)
		return error_set(err, EINVAL, "%s --keep-git-dir is for git repositories; leave it out",
		    copying_word(c));
	return 0;
}

int copying_read(struct copying *c, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	size_t heredoc = 0;
	c->wish.word = copying_word(c);
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
		    copying_word(c), c->wish.to, words.items[words.count - 1]);
	return r < 0 ? r : check_remote(c, words.count - 1, err);
}
