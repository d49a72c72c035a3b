/* SPDX-License-Identifier: Apache-2.0
 * holm image ls, holm image inspect. They take no lock that anybody waits for. */
#include <errno.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/path.h"
#include "image/commands/command.h"
#include "image/commands/select.h"
#include "image/commands/table.h"
#include "image/library/disk_cache.h"
#include "image/library/image.h"
#include "image/library/summaries.h"
#include "image/trees/cache.h"
#include "oci/digest.h"

enum { COLUMNS = 5 };

static const char *const titles[COLUMNS] = { "NAME", "PLATFORM", "DIGEST", "CREATED", "SIZE" };

static char *short_digest(const char *digest)
{
	return xstrndup(digest_hex(digest), 12);
}

/* An image whose documents cannot be read is still listed: it can be removed. */
static void add_row(struct table *t, const struct library_entry *e, const struct summary *s, int whole)
{
	char **cells = table_row(t);
	cells[0] = xstrdup(e->name ? e->name : "<none>");
	cells[1] = s ? xstrdup(s->platform) : oci_platform_to_string(&e->descriptor.platform);
	cells[2] = whole ? xstrdup(e->descriptor.digest) : short_digest(e->descriptor.digest);
	cells[3] = s ? xstrndup(s->created, strcspn(s->created, "T")) : xstrdup("");
	cells[4] = s ? format_size(s->size) : xstrdup("damaged");
}

static int print_table(struct library *l, const struct library_index *index, int whole, struct error **err)
{
	AUTO_TABLE struct table table;
	AUTO_SUMMARIES struct summaries *summaries = NULL;
	table_init(&table, titles, COLUMNS);
	summaries_open(l, &summaries);
	for (size_t k = 0; k < index->count; k++)
		add_row(&table, &index->entries[k], summaries_get(summaries, &index->entries[k]), whole);
	return table_print(&table, err);
}

/* A row of what the summary has, without a look at the image. */
static struct json_object *summary_to_json(const struct library_entry *e, const struct summary *s)
{
	struct json_object *o = json_object_new_object(), *labels = NULL;
	if (*s->labels)
		(void)json_parse(s->labels, strlen(s->labels), "labels", &labels, NULL);
	json_add_string_or_null(o, "name", e->name);
	json_add_string(o, "digest", e->descriptor.digest);
	json_add_string(o, "platform", s->platform);
	json_add_string_or_null(o, "created", *s->created ? s->created : NULL);
	json_add_u64(o, "size", s->size);
	json_add_u64(o, "layers", s->layers);
	json_add_string(o, "parent", s->parent);
	json_add(o, "labels", labels);
	return o;
}

static struct json_object *entry_to_json(const struct library_entry *e, const struct image *i)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *platform = i && i->artifact ?
				      xstrdup("artifact") :
				      oci_platform_to_string(i ? &i->config->platform : &e->descriptor.platform);
	json_add_string_or_null(o, "name", e->name);
	json_add_string(o, "digest", e->descriptor.digest);
	json_add_string(o, "platform", platform);
	json_add_string_or_null(o, "created", i ? i->config->created : NULL);
	json_add(o, "size", i ? json_object_new_uint64(i->size) : NULL);
	json_add(o, "layers", i ? json_object_new_uint64(i->manifest->layer_count) : NULL);
	json_add_string(o, "parent", i ? image_parent(i) : "");
	json_add(o, "labels", i ? json_object_get(i->config->labels) : NULL);
	return o;
}

/* Notes whose layers these are: {LAYER:DIGEST}, or {LAYER:""} for several images. */
static void note_layers(struct json_object *owners, const struct image *i)
{
	for (size_t k = 0; k < i->manifest->layer_count; k++) {
		const char *layer = i->manifest->layers[k].digest;
		struct json_object *owner = json_object_object_get(owners, layer);
		if (!owner || !streq(json_object_get_string(owner), i->digest)) {
			json_object_object_del(owners, layer);
			json_add_string(owners, layer, owner ? "" : i->digest);
		}
	}
}

/* Adds the size of layers that other images have, too, and the size of all that no row before has.
 * seen: the layers and images of those rows. */
static void add_shares(struct json_object *row, const struct image *i, struct json_object *owners,
    struct json_object *seen)
{
	uint64_t shared = 0, added = i->size;
	for (size_t k = 0; k < i->manifest->layer_count; k++) {
		const struct oci_descriptor *layer = &i->manifest->layers[k];
		/* NULL: another process has repaired the image since the first pass. */
		const char *owner = json_object_get_string(json_object_object_get(owners, layer->digest));
		if (owner && !*owner)
			shared += layer->size;
		if (json_object_object_get_ex(seen, layer->digest, NULL))
			added -= layer->size;
		json_add_bool(seen, layer->digest, 1);
	}
	if (json_object_object_get_ex(seen, i->digest, NULL))
		added = 0;
	json_add_bool(seen, i->digest, 1);
	json_add_u64(row, "shared_size", shared);
	json_add_u64(row, "added_size", added);
}

static int print_summaries(struct library *l, const struct library_index *index, const struct format *format,
    struct error **err)
{
	AUTO_JSON struct json_object *array = json_object_new_array();
	AUTO_SUMMARIES struct summaries *summaries = NULL;
	summaries_open(l, &summaries);
	for (size_t k = 0; k < index->count; k++) {
		const struct library_entry *e = &index->entries[k];
		const struct summary *s = summaries_get(summaries, e);
		json_object_array_add(array, s ? summary_to_json(e, s) : entry_to_json(e, NULL));
	}
	return command_print_rows(format, array, err);
}

/* With the sizes that images share, which takes their manifests. */
static int print_shares(struct library *l, const struct library_index *index, const struct format *format,
    struct error **err)
{
	AUTO_JSON struct json_object *array = json_object_new_array(), *owners = json_object_new_object(),
				     *seen = json_object_new_object();
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t k = 0; k < index->count; k++) {
			AUTO_IMAGE struct image *i = NULL;
			const struct library_entry *e = &index->entries[k];
			(void)image_load_any(l, e->name, e->descriptor.digest, &i, NULL);
			if (pass == 0 && i)
				note_layers(owners, i);
			struct json_object *row = pass ? entry_to_json(e, i) : NULL;
			if (row && i)
				add_shares(row, i, owners, seen);
			if (row)
				json_object_array_add(array, row);
		}
	}
	return command_print_rows(format, array, err);
}

static int print_names(const struct library_index *index, struct error **err)
{
	const char *last = NULL;
	int r = 0;
	for (size_t k = 0; k < index->count && r == 0; k++) {
		const char *name =
		    index->entries[k].name ? index->entries[k].name : index->entries[k].descriptor.digest;
		if (!streq(last, name)) /* one name for several platforms */
			r = command_print(name, err);
		last = name;
	}
	return r;
}

static void keep_selected(struct library *l, const struct selection *s, struct library_index *index)
{
	struct library_index others = { .entries = xcalloc(index->count + 1, sizeof *index->entries) };
	size_t kept = 0;
	for (size_t k = 0; k < index->count; k++) {
		if (selection_passes(s, l, &index->entries[k]))
			index->entries[kept++] = index->entries[k];
		else
			others.entries[others.count++] = index->entries[k];
	}
	index->count = kept;
	library_index_done(&others);
}

int command_ls(struct options *o, struct error **err)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	AUTO_FORMAT struct format format = { 0 };
	AUTO_SELECTION struct selection selection = { 0 };
	int r = format_parse(options_string(o, "format"), "table", &format, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		r = library_read_index(l, &index, err);
	if (r == 0)
		r = selection_read(l, o, &selection, err);
	if (r < 0)
		return r;
	keep_selected(l, &selection, &index);
	if (options_given(o, "quiet"))
		return print_names(&index, err);
	if (format.kind == FORMAT_OWN)
		return print_table(l, &index, options_given(o, "no-trunc") || options_given(o, "digests"), err);
	return options_given(o, "shared") ? print_shares(l, &index, &format, err) :
					    print_summaries(l, &index, &format, err);
}

static int blob_to_json(struct library *l, const char *digest, struct json_object *o, const char *key,
    struct error **err)
{
	AUTOFREE char *data = NULL;
	size_t size;
	struct json_object *value = NULL;
	int r = library_read_blob(l, digest, &data, &size, err);
	if (r == 0)
		r = json_parse(data, size, key, &value, err);
	if (r == 0)
		json_add(o, key, value);
	return r;
}

/* An artifact's may be bytes of any kind. */
static int config_to_json(struct library *l, const struct image *i, struct json_object *o, struct error **err)
{
	int r = blob_to_json(l, i->manifest->config.digest, o, "config", i->artifact ? NULL : err);
	if (r == 0 || !i->artifact)
		return r;
	json_add(o, "config", NULL);
	return 0;
}

static void add_names(struct library *l, const char *digest, struct json_object *o)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	AUTO_STRV struct strv names = { 0 };
	if (library_read_index(l, &index, NULL) == 0)
		for (size_t k = 0; k < index.count; k++)
			if (index.entries[k].name && streq(index.entries[k].descriptor.digest, digest))
				strv_add(&names, index.entries[k].name);
	json_add_strv(o, "names", &names);
}

static int inspect_one(struct library *l, const char *text, const struct oci_platform *platform,
    struct json_object *array, struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL;
	AUTO_IMAGE struct image *i = NULL;
	AUTO_STRV struct strv trees = { 0 };
	int r = image_find(l, text, platform, &name, &digest, err);
	if (r == 0)
		r = image_load_any(l, name, digest, &i, err);
	if (r < 0)
		return r;
	struct library_entry e = { .name = name, .descriptor.digest = digest };
	struct json_object *o = entry_to_json(&e, i);
	json_object_array_add(array, o);
	add_names(l, digest, o);
	AUTOFREE char *disk = disk_cache_path(l, digest);
	json_add_string_or_null(o, "disk", path_exists(disk) ? disk : NULL);
	json_add_string_or_null(o, "artifact_type", i->artifact);
	if (!i->artifact)
		tree_cache_list(l, i, &trees);
	json_add_strv(o, "trees", &trees);
	r = config_to_json(l, i, o, err);
	return r == 0 ? blob_to_json(l, digest, o, "manifest", err) : r;
}

int command_inspect(struct options *o, struct error **err)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	AUTO_JSON struct json_object *array = json_object_new_array();
	AUTO_FORMAT struct format format = { 0 };
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = format_parse(options_string(o, "format"), NULL, &format, err);
	if (r == 0)
		r = library_open(&l, err);
	const struct strv *words = options_words(o);
	for (size_t k = 0; k < words->count && r == 0; k++)
		r = inspect_one(l, words->items[k], given ? &platform : NULL, array, err);
	return r < 0 ? r : command_print_rows(&format, array, err);
}
