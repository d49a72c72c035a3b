/* SPDX-License-Identifier: Apache-2.0
 * holm image history: the steps that made an image, the newest first, each with the layer that it
 * made. Layers that no step claims come first, without a text. */
#include "oci/history.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/parse.h"
#include "image/commands/command.h"
#include "image/commands/table.h"
#include "image/library/image.h"
#include "oci/digest.h"

enum { COLUMNS = 5, TEXT_MAX = 60 };

static const char *const titles[COLUMNS] = { "LAYER", "CREATED", "SIZE", "CREATED BY", "COMMENT" };

struct line {
	const struct oci_step *step;        /* NULL: a layer that no step claims */
	const struct oci_descriptor *layer; /* NULL: the step made none */
};

/* All lines, the oldest first; *ret_count of them. Owned. */
static struct line *make_lines(const struct image *i, const struct oci_history *h, size_t *ret_count)
{
	const struct oci_manifest *m = i->manifest;
	struct line *lines = xcalloc(h->count + m->layer_count + 1, sizeof *lines);
	size_t count = 0, layer = 0;
	for (size_t k = 0; k < h->count; k++) {
		const struct oci_step *s = &h->steps[k];
		lines[count].step = s;
		if (!s->empty_layer && layer < m->layer_count)
			lines[count].layer = &m->layers[layer++];
		count++;
	}
	while (layer < m->layer_count)
		lines[count++].layer = &m->layers[layer++];
	*ret_count = count;
	return lines;
}

static char *shorten(const char *text, int whole)
{
	if (!text)
		return xstrdup("");
	return whole || strlen(text) <= TEXT_MAX ? xstrdup(text) : xasprintf("%.*s...", TEXT_MAX - 3, text);
}

static int print_lines(const struct line *lines, size_t count, int whole, struct error **err)
{
	AUTO_TABLE struct table t;
	table_init(&t, titles, COLUMNS);
	for (size_t k = count; k-- > 0;) {
		const struct oci_step *s = lines[k].step;
		const struct oci_descriptor *d = lines[k].layer;
		const char *created = s && s->created ? s->created : "";
		char **cells = table_row(&t);
		cells[0] = d ? xstrndup(digest_hex(d->digest), 12) : xstrdup("");
		cells[1] = xstrndup(created, strcspn(created, "T"));
		cells[2] = format_size(d ? d->size : 0);
		cells[3] = shorten(s ? s->created_by : NULL, whole);
		cells[4] = shorten(s ? s->comment : NULL, whole);
	}
	return table_print(&t, err);
}

/* digest: of the image, which the newest step has made. */
static int print_rows(const struct line *lines, size_t count, const char *digest, const struct format *format,
    struct error **err)
{
	AUTO_JSON struct json_object *array = json_object_new_array();
	for (size_t k = count; k-- > 0;) {
		const struct oci_step *s = lines[k].step;
		struct json_object *o = json_object_new_object();
		json_add_string_or_null(o, "image", k + 1 == count ? digest : NULL);
		json_add_string_or_null(o, "layer", lines[k].layer ? lines[k].layer->digest : NULL);
		json_add_u64(o, "size", lines[k].layer ? lines[k].layer->size : 0);
		json_add_string_or_null(o, "created", s ? s->created : NULL);
		json_add_string_or_null(o, "created_by", s ? s->created_by : NULL);
		json_add_string_or_null(o, "author", s ? s->author : NULL);
		json_add_string_or_null(o, "comment", s ? s->comment : NULL);
		json_object_array_add(array, o);
	}
	return command_print_rows(format, array, err);
}

static int print_digests(const struct line *lines, size_t count, const char *digest, int whole, struct error **err)
{
	int r = 0;
	for (size_t k = count; r == 0 && k-- > 0;) {
		const char *text = k + 1 == count ? digest : lines[k].layer ? lines[k].layer->digest : NULL;
		AUTOFREE char *shown = !text ? xstrdup("<missing>") :
				       whole ? xstrdup(text) :
					       xstrndup(digest_hex(text), 12);
		r = command_print(shown, err);
	}
	return r;
}

static int show(struct library *l, struct options *o, const struct oci_platform *platform, struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL, *data = NULL;
	AUTO_IMAGE struct image *i = NULL;
	AUTO_OCI_HISTORY struct oci_history h = { 0 };
	AUTO_FORMAT struct format format = { 0 };
	size_t size, count;
	const char *text = options_words(o)->items[0];
	int r;
	if ((r = format_parse(options_string(o, "format"), "table", &format, err)) < 0 ||
	    (r = image_find(l, text, platform, &name, &digest, err)) < 0 ||
	    (r = image_load(l, name, digest, &i, err)) < 0 ||
	    (r = library_read_blob(l, i->manifest->config.digest, &data, &size, err)) < 0 ||
	    (r = oci_history_parse(data, size, name ? name : digest, &h, err)) < 0)
		return r;
	AUTOFREE struct line *lines = make_lines(i, &h, &count);
	if (options_given(o, "quiet"))
		return print_digests(lines, count, digest, options_given(o, "no-trunc"), err);
	if (format.kind != FORMAT_OWN)
		return print_rows(lines, count, digest, &format, err);
	return print_lines(lines, count, options_given(o, "no-trunc"), err);
}

int command_history(struct options *o, struct error **err)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = library_open(&l, err);
	return r == 0 ? show(l, o, given ? &platform : NULL, err) : r;
}
