/* SPDX-License-Identifier: Apache-2.0
 * The row of `holm system df` for what builds have kept in the library. holm-image counts it. */
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"
#include "cli/image/program.h"
#include "cli/output.h"
#include "cli/system/df.h"

void df_cache_done(struct df_cache *c)
{
	json_object_put(TAKE_PTR(c->entries));
}

/* The room that the removal of an entry gives back: none where an image has it, too. */
static uint64_t size_of(struct json_object *entry)
{
	uint64_t size = 0;
	int shared = 0;
	json_get_u64(entry, "Size", &size, NULL);
	json_get_bool(entry, "Shared", &shared, NULL);
	return shared ? 0 : size;
}

static int is_layer(struct json_object *entry)
{
	const char *type = NULL;
	return json_get_string(entry, "Type", &type, NULL) == 0 && streq(type, "regular");
}

int df_cache_read(const char *images, struct df_cache *ret, struct error **err)
{
	AUTOFREE char *build = path_join(images, "build");
	AUTO_STRV struct strv words = { 0 };
	*ret = (struct df_cache){ 0 };
	if (!path_exists(build))
		return 0;
	strv_add(&words, "build-du");
	int r = image_program_run(&words, -1, -1, &ret->entries, err);
	if (r != 0)
		return r < 0 ? r : error_set(err, EIO, "the cache of builds cannot be counted");
	for (size_t i = 0; i < json_object_array_length(ret->entries); i++) {
		struct json_object *entry = json_object_array_get_idx(ret->entries, i);
		ret->bytes += size_of(entry);
		ret->layers += is_layer(entry) ? size_of(entry) : 0;
	}
	return 0;
}

static const char *text_of(struct json_object *entry, const char *key)
{
	const char *text = "";
	json_get_string(entry, key, &text, NULL);
	return text;
}

/* The member of the row that has it; borrowed, or NULL. */
static struct json_object *find_entries(struct json_object *rows)
{
	struct json_object *entries = NULL;
	for (size_t i = 0; !entries && i < json_object_array_length(rows); i++)
		json_get_array(json_object_array_get_idx(rows, i), "entries", &entries, NULL);
	return entries;
}

void df_cache_print(struct json_object *rows)
{
	static const char *const headers[] = { "ID", "TYPE", "SIZE", "CREATED", "LAST USED", "SHARED", NULL };
	enum { SHORT = 12 };
	struct json_object *entries = find_entries(rows);
	AUTO_TABLE struct output_table t = { .headers = headers };
	for (size_t i = 0; entries && i < json_object_array_length(entries); i++) {
		struct json_object *entry = json_object_array_get_idx(entries, i);
		uint64_t size = 0;
		int shared = 0;
		json_get_u64(entry, "Size", &size, NULL);
		json_get_bool(entry, "Shared", &shared, NULL);
		strv_take(&t.cells, xasprintf("%.*s", SHORT, text_of(entry, "ID")));
		strv_add(&t.cells, text_of(entry, "Type"));
		strv_take(&t.cells, format_size(size));
		strv_take(&t.cells, output_age(text_of(entry, "CreatedAt")));
		strv_take(&t.cells, output_age(text_of(entry, "LastUsedAt")));
		strv_add(&t.cells, shared ? "yes" : "no");
	}
	output_line("%s", "");
	output_line("%s", "Build cache:");
	output_table_print(&t);
}
