/* SPDX-License-Identifier: Apache-2.0
 * See changes.h. */
#include "image/commands/changes.h"

#include "base/alloc.h"
#include "base/path.h"
#include "image/commands/command.h"

void changes_done(struct changes *c)
{
	free(c->items);
	*c = (struct changes){ 0 };
}

void changes_add(struct changes *c, const struct contents_change *change)
{
	if (c->count == c->room) {
		c->room = c->room ? c->room * 2 : 256;
		c->items = xrealloc(c->items, c->room, sizeof *c->items);
	}
	c->items[c->count++] = *change;
}

void changes_find(const struct contents *before, const struct contents *now, struct changes *ret)
{
	struct contents_change c;
	const char *gone = NULL;
	size_t i = 0, j = 0;
	while (contents_next_change(before, now, &i, &j, &c)) {
		const struct content *old = c.before;
		if (c.letter == 'D' && gone && path_is_below(old->path, gone))
			continue;
		if (old && (!c.now || (old->type == TAR_DIRECTORY && c.now->type != TAR_DIRECTORY)))
			gone = old->path;
		changes_add(ret, &c);
	}
}

static void add_row(struct json_object *rows, const struct contents_change *c)
{
	const struct content *content = c->now ? c->now : c->before;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "change", c->letter == 'A' ? "added" : c->letter == 'C' ? "changed" : "deleted");
	json_add_string(o, "path", content->path);
	json_add_u64(o, "size", content->size);
	json_object_array_add(rows, o);
}

int changes_print(const struct changes *all, const struct format *format, struct error **err)
{
	AUTO_JSON struct json_object *rows = json_object_new_array();
	int r = 0;
	for (size_t i = 0; r == 0 && i < all->count; i++) {
		const struct contents_change *c = &all->items[i];
		AUTOFREE char *line = xasprintf("%c %s", c->letter, c->now ? c->now->path : c->before->path);
		if (format->kind != FORMAT_OWN)
			add_row(rows, c);
		else
			r = command_print(line, err);
	}
	return r == 0 && format->kind != FORMAT_OWN ? command_print_rows(format, rows, err) : r;
}
