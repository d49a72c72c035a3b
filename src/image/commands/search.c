/* SPDX-License-Identifier: Apache-2.0
 * holm image search: in docker's columns. */
#include "image/registry/search.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "image/commands/command.h"
#include "image/commands/table.h"
#include "oci/reference.h"

enum { COLUMNS = 4, DESCRIPTION_MAX = 45, LIMIT = 25, LIMIT_MAX = 100 };

static const char *const titles[COLUMNS] = { "NAME", "DESCRIPTION", "STARS", "OFFICIAL" };

struct wish {
	char *registry, *term;
	uint32_t limit, stars;
	int official; /* -1: either */
};

static void wish_done(struct wish *w)
{
	free(w->registry);
	free(w->term);
}

static int read_filters(const struct strv *filters, struct wish *w, struct error **err)
{
	for (size_t i = 0; i < filters->count; i++) {
		const char *stars = startswith(filters->items[i], "stars="),
			   *official = startswith(filters->items[i], "is-official=");
		if ((!stars || parse_u32(stars, &w->stars) < 0) &&
		    (!official || parse_bool(official, &w->official) < 0))
			return error_set(err, EINVAL,
			    "--filter \"%.80s\": a search has stars=NUMBER and is-official=BOOL", filters->items[i]);
	}
	return 0;
}

/* "HOST/word": what is in front looks like a host, as in an image's name. */
static int read_wish(const struct options *o, struct wish *w, struct error **err)
{
	AUTO_REFERENCE struct reference *ref = NULL;
	const char *text = options_words(o)->items[0], *limit = options_string(o, "limit");
	*w = (struct wish){ .limit = LIMIT, .official = -1 };
	if (limit && (parse_u32(limit, &w->limit) < 0 || !w->limit || w->limit > LIMIT_MAX))
		return error_set(err, EINVAL, "--limit cannot be \"%.40s\"; write 1 to %d", limit, LIMIT_MAX);
	int has_host = strchr(text, '/') && reference_parse(text, &ref, NULL) == 0 && !ref->short_name;
	w->registry = xstrdup(has_host ? ref->registry : "docker.io");
	w->term = xstrdup(has_host ? strchr(text, '/') + 1 : text);
	return read_filters(options_list(o, "filter"), w, err);
}

static struct json_object *make_row(struct json_object *from)
{
	struct json_object *o = json_object_new_object();
	const char *name = "", *description = "";
	int64_t stars = 0;
	int official = 0;
	json_get_string(from, "name", &name, NULL);
	json_get_string(from, "description", &description, NULL);
	json_get_i64(from, "star_count", &stars, NULL);
	json_get_bool(from, "is_official", &official, NULL);
	json_add_string(o, "Name", name);
	json_add_string(o, "Description", description);
	json_add_i64(o, "StarCount", stars);
	json_add_string(o, "IsOfficial", official ? "true" : "false");
	return o;
}

static void collect(const struct wish *w, struct json_object *results, struct json_object *rows)
{
	size_t count = json_object_array_length(results);
	for (size_t i = 0; i < count && json_object_array_length(rows) < w->limit; i++) {
		struct json_object *from = json_object_array_get_idx(results, i);
		int64_t stars = 0;
		int official = 0;
		if (!json_object_is_type(from, json_type_object))
			continue;
		json_get_i64(from, "star_count", &stars, NULL);
		json_get_bool(from, "is_official", &official, NULL);
		if (stars >= (int64_t)w->stars && (w->official < 0 || official == w->official))
			json_object_array_add(rows, make_row(from));
	}
}

static char *shorten(const char *text, int whole)
{
	return whole || strlen(text) <= DESCRIPTION_MAX ? xstrdup(text) :
							  xasprintf("%.*s...", DESCRIPTION_MAX - 3, text);
}

static int print_table(struct json_object *rows, int whole, struct error **err)
{
	AUTO_TABLE struct table t;
	table_init(&t, titles, COLUMNS);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *name = "", *description = "", *official = "";
		int64_t stars = 0;
		char **cells = table_row(&t);
		json_get_string(row, "Name", &name, NULL);
		json_get_string(row, "Description", &description, NULL);
		json_get_string(row, "IsOfficial", &official, NULL);
		json_get_i64(row, "StarCount", &stars, NULL);
		cells[0] = xstrdup(name);
		cells[1] = shorten(description, whole);
		cells[2] = xasprintf("%lld", (long long)stars);
		cells[3] = xstrdup(streq(official, "true") ? "[OK]" : "");
	}
	return table_print(&t, err);
}

int command_search(struct options *o, struct error **err)
{
	AUTO_FORMAT struct format format = { 0 };
	AUTO_PROGRESS struct progress *p = progress_new(PROGRESS_NONE);
	AUTO_JSON struct json_object *results = NULL, *rows = json_object_new_array();
	CLEANUP(wish_done) struct wish w = { 0 };
	int insecure, r = format_parse(options_string(o, "format"), "table", &format, err);
	if (r == 0)
		r = read_wish(o, &w, err);
	if (r == 0)
		r = command_insecure(o, &insecure, err);
	if (r == 0)
		r = registry_search(w.registry, w.term, w.limit, insecure, p, &results, err);
	if (r < 0)
		return r;
	collect(&w, results, rows);
	return format.kind != FORMAT_OWN ? command_print_rows(&format, rows, err) :
					   print_table(rows, options_given(o, "no-trunc"), err);
}
