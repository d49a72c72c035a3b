/* SPDX-License-Identifier: Apache-2.0
 * holm image diff: the paths in which two images differ. Layers that both have at the bottom are
 * read once. */
#include <errno.h>

#include "base/alloc.h"
#include "base/path.h"
#include "image/commands/command.h"
#include "image/commands/changes.h"

struct diff {
	struct library *library;
	struct content_pool pool;
	struct image *images[2];
	struct contents contents[2];
};

static void diff_done(struct diff *d)
{
	for (int k = 0; k < 2; k++) {
		image_free(d->images[k]);
		contents_done(&d->contents[k]);
	}
	content_pool_done(&d->pool);
}

static size_t count_common(const struct diff *d)
{
	size_t k = 0;
	const struct strv *a = &d->images[0]->config->diff_ids, *b = &d->images[1]->config->diff_ids;
	while (k < a->count && k < b->count && streq(a->items[k], b->items[k]))
		k++;
	return k;
}

static int read_layers(struct diff *d, int which, size_t from, size_t to, struct error **err)
{
	const struct image *i = d->images[which];
	int r = 0;
	for (size_t k = from; r == 0 && k < to; k++)
		r = contents_add_layer(d->library, i, k, &d->pool, &d->contents[which], err);
	return r < 0 ? error_prefix(err, r, "image \"%s\"", i->name ? i->name : i->digest) : 0;
}

static int read_both(struct diff *d, struct error **err)
{
	size_t common = count_common(d);
	struct contents *a = &d->contents[0], *b = &d->contents[1];
	int r = read_layers(d, 0, 0, common, err);
	if (r < 0)
		return r;
	*b = (struct contents){ .items = xcalloc(a->count + 1, sizeof(struct content *)) };
	for (; b->count < a->count; b->count++)
		b->items[b->count] = a->items[b->count];
	r = read_layers(d, 0, common, d->images[0]->manifest->layer_count, err);
	return r < 0 ? r : read_layers(d, 1, common, d->images[1]->manifest->layer_count, err);
}

static int print_changes(const struct diff *d, const struct format *format, struct error **err)
{
	AUTO_CHANGES struct changes all = { 0 };
	changes_find(&d->contents[0], &d->contents[1], &all);
	return changes_print(&all, format, err);
}

static int load(struct diff *d, int which, const char *text, const struct oci_platform *platform, struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL;
	int r = image_find(d->library, text, platform, &name, &digest, err);
	return r < 0 ? r : image_load_whole(d->library, name, digest, &d->images[which], err);
}

int command_diff(struct options *o, struct error **err)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	AUTO_FORMAT struct format format = { 0 };
	const struct strv *words = options_words(o);
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = format_parse(options_string(o, "format"), "lines", &format, err);
	if (r == 0)
		r = library_open(&l, err);
	struct diff d = { .library = l };
	for (int k = 0; r == 0 && k < 2; k++)
		r = load(&d, k, words->items[k], given ? &platform : NULL, err);
	if (r == 0)
		r = read_both(&d, err);
	if (r == 0)
		r = print_changes(&d, &format, err);
	diff_done(&d);
	return r;
}
