/* SPDX-License-Identifier: Apache-2.0
 * COPY and ADD: the keys in the cache. */
#include "base/alloc.h"
#include "image/builder/copying.h"
#include "image/common/hash.h"

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
	if (c->wish.mode_words)
		add_text(h, c->wish.mode_words);
}

/* Names in the source do not count, times neither. */
void copying_key_of_plan(const struct copying *c, const struct copy_plan *plan, char *ret)
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

/* The key of what is wished of a source. */
static void key_of_wish(const struct copying *c, const char *kind, const char *source, char *ret)
{
	AUTO_HASH struct hash h = { 0 };
	begin_key(c, kind, &h);
	add_text(&h, source);
	for (size_t i = 0; i < c->wish.patterns.count; i++)
		add_text(&h, c->wish.patterns.items[i]);
	add_text(&h, NULL);
	for (size_t i = 0; i < c->wish.excludes.count; i++)
		add_text(&h, c->wish.excludes.items[i]);
	hash_text(&h, ret);
}

void copying_key_of_stage(const struct copying *c, char *ret)
{
	key_of_wish(c, "copy-from 1", c->from->chain, ret);
}

void copying_key_of_commit(const struct copying *c, const char *facts, char *ret)
{
	key_of_wish(c, "add-git 1", facts, ret);
}
