/* SPDX-License-Identifier: Apache-2.0
 * docker's verbs for images: `holm images` in docker's columns, `holm rmi`, and the words that mean
 * the same as behind `holm image`. Images are in the library of the host, which all machines share:
 * these work on it, without a machine. */
#include "cli/container/images.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/container/list.h"
#include "cli/image/program.h"
#include "cli/output.h"
#include "docker/name.h"
#include "docker/units.h"
#include "image/options.h"

enum { FAILED = 1 };
#define NS_PER_S 1000000000LL

static int run_images(const struct command_spec *c, struct options *o);
static int run_rmi(const struct command_spec *c, struct options *o);

static const struct option_spec images_options[] = {
	{ "all", 'a', OPTION_FLAG, NULL, "has no effect: there are no images between" },
	{ "quiet", 'q', OPTION_FLAG, NULL, "identities only" },
	{ "digests", 0, OPTION_FLAG, NULL, "show digests" },
	{ "filter", 'f', OPTION_LIST, "KEY=VALUE",
	    "only those that match: reference=PATTERN, dangling=BOOL, label=KEY[=VALUE], label!=..., before=IMAGE, "
	    "since=IMAGE, until=TIME" },
	{ "no-trunc", 0, OPTION_FLAG, NULL, "whole identities" },
	{ "tree", 0, OPTION_FLAG, NULL, "the platforms of each image below it" },
	LIST_FORMAT_OPTION,
	{ 0 },
};

const struct command_spec command_images = {
	.name = "images",
	.synopsis = "[NAME[:TAG]]",
	.summary = "list images, in docker's columns",
	.details = "Fields of a template: Repository Tag ID Digest CreatedSince CreatedAt Size. All machines share the "
		   "images of the host.",
	.options = images_options,
	.max_arguments = 1,
	.complete = "image",
	.run = run_images,
};

static const struct option_spec rmi_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL,
	    "also if containers have it, or several names; a name that is not there is fine" },
	{ "no-prune", 0, OPTION_FLAG, NULL, "has no effect: there are no images between" },
	{ 0 },
};

const struct command_spec command_rmi = {
	.name = "rmi",
	.synopsis = "NAME...",
	.summary = "remove images; machines made from them keep working",
	.details = "As holm image rm.",
	.options = rmi_options,
	.min_arguments = 1,
	.max_arguments = -1,
	.complete = "image",
	.run = run_rmi,
};

/* ---- images ---- */

static const struct list_field fields[] = { { "Repository", "REPOSITORY" }, { "Tag", "TAG" }, { "ID", "IMAGE ID" },
	{ "CreatedSince", "CREATED" }, { "Size", "SIZE" }, { "Digest", "DIGEST" }, { "CreatedAt", "CREATED AT" },
	{ 0 } };
static const char *const columns[] = { "Repository", "Tag", "ID", "CreatedSince", "Size", NULL };
static const char *const digest_columns[] = { "Repository", "Tag", "Digest", "ID", "CreatedSince", "Size", NULL };
static const char *const optional[] = { "DIGEST", "CREATED", NULL };
static const struct list plain_list = { fields, columns, optional, "ID" },
			 digest_list = { fields, digest_columns, optional, "ID" };

/* Splits NAME:TAG; a colon before a slash is a port's. */
static char *repository_of(const char *name, const char **ret_tag)
{
	const char *slash = strrchr(name, '/'), *colon = strchr(slash ? slash : name, ':');
	*ret_tag = colon ? colon + 1 : "<none>";
	return xstrndup(name, colon ? (size_t)(colon - name) : strlen(name));
}

static void add_owned(struct json_object *row, const char *key, char *value)
{
	json_add_string(row, key, value);
	free(value);
}

static struct json_object *make_row(struct json_object *image, const char *name, const struct list_view *v)
{
	struct json_object *row = json_object_new_object();
	const char *digest = "", *created = NULL, *tag = "<none>";
	uint64_t size = 0;
	int64_t ns = 0;
	AUTOFREE char *repository = name ? repository_of(name, &tag) : xstrdup("<none>");
	json_get_string(image, "digest", &digest, NULL);
	json_get_u64(image, "size", &size, NULL);
	if (json_get_string(image, "created", &created, NULL) < 0 || clock_parse_rfc3339(created, &ns) < 0)
		ns = 0;
	json_add_string(row, "Repository", repository);
	json_add_string(row, "Tag", tag);
	json_add_string(row, "Digest", digest);
	add_owned(row, "ID", list_id(digest, v->wide));
	add_owned(row, "CreatedSince", list_ago(ns / NS_PER_S));
	add_owned(row, "CreatedAt", list_time(ns / NS_PER_S));
	add_owned(row, "Size", docker_size(size));
	return row;
}

/* ---- --tree ---- */

static const struct list_field tree_fields[] = { { "Image", "IMAGE" }, { "ID", "ID" }, { "Size", "CONTENT SIZE" },
	{ 0 } };
static const char *const tree_columns[] = { "Image", "ID", "Size", NULL };
static const struct list tree_list = { tree_fields, tree_columns, (const char *const[]){ NULL }, "ID" };

static int is_same_image(struct json_object *images, size_t i, size_t k)
{
	const char *a = NULL, *b = NULL;
	if (k >= json_object_array_length(images))
		return 0;
	json_get_string(json_object_array_get_idx(images, i), "name", &a, NULL);
	json_get_string(json_object_array_get_idx(images, k), "name", &b, NULL);
	return a && b && streq(a, b);
}

static void add_line(struct json_object *rows, char *image, const char *digest, uint64_t size)
{
	struct json_object *row = json_object_new_object();
	add_owned(row, "Image", image);
	add_owned(row, "ID", list_id(digest, 0));
	add_owned(row, "Size", docker_size(size));
	json_object_array_add(rows, row);
}

/* Rows of one name are platforms. Returns the number of them. */
static size_t add_tree(struct json_object *rows, struct json_object *images, size_t first)
{
	const char *name = NULL, *digest = "";
	uint64_t total = 0;
	size_t end = first;
	do {
		uint64_t size = 0;
		json_get_u64(json_object_array_get_idx(images, end), "size", &size, NULL);
		total += size;
	} while (is_same_image(images, first, ++end));
	struct json_object *image = json_object_array_get_idx(images, first);
	json_get_string(image, "name", &name, NULL);
	json_get_string(image, "digest", &digest, NULL);
	add_line(rows, xstrdup(name ? docker_typed_name(name) : "<untagged>"), digest, total);
	for (size_t i = first; i < end; i++) {
		const char *platform = "";
		uint64_t size = 0;
		image = json_object_array_get_idx(images, i);
		json_get_string(image, "platform", &platform, NULL);
		json_get_string(image, "digest", &digest, NULL);
		json_get_u64(image, "size", &size, NULL);
		add_line(rows, xasprintf("%s %s", i + 1 < end ? "├─" : "└─", platform), digest, size);
	}
	return end - first;
}

/* ---- the list ---- */

static int newest_first(const void *a, const void *b)
{
	const char *left = "", *right = "";
	int64_t x = 0, y = 0;
	json_get_string(*(struct json_object *const *)a, "created", &left, NULL);
	json_get_string(*(struct json_object *const *)b, "created", &right, NULL);
	(void)clock_parse_rfc3339(left, &x);
	(void)clock_parse_rfc3339(right, &y);
	return x < y ? 1 : x > y ? -1 : 0;
}

static int collect(const struct options *o, const struct list_view *v, struct json_object *rows, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	AUTO_JSON struct json_object *images = NULL;
	const struct strv *filters = options_list(o, "filter");
	strv_split(&words, "ls --format json", " ");
	for (size_t i = 0; i < filters->count; i++)
		strv_addf(&words, "--filter=%s", filters->items[i]);
	if (options_words(o)->count) {
		strv_add(&words, "--");
		strv_add(&words, options_words(o)->items[0]);
	}
	int r = image_program_run(&words, -1, -1, &images, err);
	if (r != 0)
		return r;
	if (!json_object_is_type(images, json_type_array))
		return 0;
	size_t count = json_object_array_length(images);
	for (size_t i = 0; options_given(o, "tree") && i < count;) /* names are together, as the library has them */
		i += add_tree(rows, images, i);
	if (options_given(o, "tree"))
		return 0;
	json_object_array_sort(images, newest_first);
	for (size_t i = 0; i < count; i++) {
		struct json_object *image = json_object_array_get_idx(images, i);
		const char *name = NULL;
		json_get_string(image, "name", &name, NULL);
		json_object_array_add(rows, make_row(image, name ? docker_typed_name(name) : NULL, v));
	}
	return 0;
}

static int run_images(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_LIST_VIEW struct list_view view = { 0 };
	AUTO_JSON struct json_object *rows = json_object_new_array();
	int tree = options_given(o, "tree");
	int r = list_view_init(&view,
	    tree                        ? &tree_list :
	    options_given(o, "digests") ? &digest_list :
					  &plain_list,
	    o, &err);
	if (r == 0 && tree &&
	    (view.quiet || view.wide || view.format.kind != FORMAT_OWN || options_given(o, "digests")))
		r = error_set(&err, EINVAL,
		    "--tree shows a table of its own; leave --quiet, --no-trunc, --digests and --format out");
	if (r == 0)
		r = collect(o, &view, rows, &err);
	if (r < 0)
		return output_failure(r, err);
	return r > 0 ? FAILED : list_show(&view, rows); /* holm-image has said why */
}

/* ---- rmi ---- */

static int run_rmi(const struct command_spec *c, struct options *o)
{
	const struct strv *names = options_words(o);
	int status = 0;
	for (size_t i = 0; i < names->count; i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_STRV struct strv words = { 0 };
		strv_add(&words, "rm");
		if (options_given(o, "force"))
			strv_add(&words, "--force");
		strv_add(&words, "--");
		strv_add(&words, names->items[i]);
		int r = image_program_wait(&words, &err);
		if (r < 0)
			return output_failure(r, err);
		if (r > 0)
			status = FAILED;
	}
	return status;
}

/* ---- the others ---- */

static const char *const same_words[] = { "build", "pull", "push", "tag", "save", "load", "import", "search", "login",
	"logout", NULL };

const struct command_spec *images_at(size_t i)
{
	const char *word = i < ARRAY_SIZE(same_words) ? same_words[i] : NULL;
	for (const struct command_spec *c = image_commands; word && c->name; c++)
		if (streq(c->name, word))
			return c;
	return NULL;
}
