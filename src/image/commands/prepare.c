/* SPDX-License-Identifier: Apache-2.0
 * holm-image prepare. */
#include "image/commands/prepare.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/path.h"
#include "image/commands/command.h"
#include "image/commands/prepare_ahead.h"
#include "image/commands/sweep.h"
#include "image/library/disk_cache.h"
#include "image/library/image.h"
#include "image/registry/pull.h"
#include "image/trees/cache.h"

enum { NOTES_MAX = 8, FACTS_MAX = 1 << 20 };

int prepare_read_machine(struct json_object *annotations, const struct strv *taken, struct json_object **ret,
    struct error **err)
{
	const char *text = NULL, *name = NULL;
	if (!annotations)
		return 0;
	int r = json_get_string(annotations, PREPARE_ANNOTATION, &text, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = json_parse(text, strlen(text), "annotation \"" PREPARE_ANNOTATION "\"", ret, err);
	if (r < 0)
		return r;
	if (*ret && !json_object_is_type(*ret, json_type_object))
		return error_set(err, EINVAL, "annotation \"" PREPARE_ANNOTATION "\" is no JSON object");
	if (taken && json_get_string(*ret, "name", &name, NULL) == 0 && strv_contains(taken, name))
		return error_set(err, EEXIST, "there is a machine \"%s\" already; choose another name with --name",
		    name);
	return 0;
}

static struct json_object *make_answer(const struct image *i, const char *disk, const struct strv *trees,
    const char *init)
{
	struct json_object *o = json_object_new_object();
	AUTO_OCI_PLATFORM struct oci_platform host = { 0 };
	oci_platform_host(&host);
	AUTOFREE char *platform =
	    oci_platform_to_string(i->config->platform.architecture ? &i->config->platform : &host);
	json_add_string(o, "reference", i->name ? i->name : i->digest);
	json_add_string(o, "digest", i->digest);
	json_object_object_add(o, "disk", disk ? json_object_new_string(disk) : NULL);
	if (trees)
		json_add_strv(o, "trees", trees);
	else
		json_object_object_add(o, "trees", NULL);
	json_add_string(o, "platform", platform);
	json_object_object_add(o, "init", init ? json_object_new_string(init) : NULL);
	json_add(o, "config", oci_config_to_machine_json(i->config));
	json_add_u64(o, "layers", i->manifest->layer_count);
	json_add_u64(o, "size", i->size);
	return o;
}

enum prepare_form prepare_form(struct options *o)
{
	static const char *const words[] = { [PREPARE_TREES] = "trees",
		[PREPARE_CONTAINERS] = "containers",
		[PREPARE_CONTAINER_DISK] = "container-disk",
		[PREPARE_OWN_IDS] = "own-ids" };
	const char *word = options_string(o, "form");
	for (size_t i = PREPARE_TREES; word && i < ARRAY_SIZE(words); i++)
		if (streq(word, words[i]))
			return (enum prepare_form)i;
	return PREPARE_DISK;
}

static int is_disk(enum prepare_form form)
{
	return form == PREPARE_DISK || form == PREPARE_CONTAINER_DISK;
}

static enum tree_ids tree_ids(enum prepare_form form)
{
	return form == PREPARE_CONTAINERS ? TREE_OF_CONTAINERS : TREE_OF_MACHINE;
}

static int check_layers(const struct image *i, struct error **err)
{
	return i->manifest->layer_count > 0 ? 0 :
					      error_set(err, ENODATA,
						  "image \"%s\" has no layers, so no file to make a machine of; "
						  "choose another image",
						  i->name ? i->name : i->digest);
}

/* Names the entries of the image's environment that nobody sets. */
static void note_odd_env(const struct image *i, struct progress *p)
{
	for (size_t k = 0; k < i->config->odd_env.count && k < NOTES_MAX; k++)
		progress_note(p, "note: image \"%s\": environment entry \"%.40s\" is not NAME=VALUE; left out",
		    i->name ? i->name : i->digest, i->config->odd_env.items[k]);
}

/* The files of a tree whose owners are not in the mapping, as the file beside it counts them. */
static uint64_t strangers_of(const char *tree)
{
	AUTOFREE char *path = xasprintf("%s.json", tree), *text = NULL;
	AUTO_JSON struct json_object *facts = NULL;
	uint64_t count = 0;
	size_t size;
	/* Names of devices are any bytes. */
	if (path_read_file(path, FACTS_MAX, &text, &size) == 0 &&
	    json_parse_bytes(text, size, "facts", &facts, NULL) == 0)
		json_get_u64(facts, "strangers", &count, NULL);
	return count;
}

static void note_strangers(const struct image *i, const struct strv *trees, struct progress *p)
{
	uint64_t count = 0;
	for (size_t k = 0; k < trees->count; k++)
		count += strangers_of(trees->items[k]);
	if (count > 0)
		progress_note(p,
		    "note: image \"%s\": files with owners above your subordinate ids: %llu; they belong to nobody "
		    "(65534) inside, also when the machine is exported; to keep them, extend /etc/subuid and "
		    "/etc/subgid, or use --isolation vm",
		    i->name ? i->name : i->digest, (unsigned long long)count);
}

int prepare_image(struct library *l, const char *name, const char *digest, const struct prepare_wish *wish,
    struct progress *p, struct json_object **ret, struct error **err)
{
	AUTO_IMAGE struct image *i = NULL;
	AUTO_STRV struct strv trees = { 0 };
	AUTO_JSON struct json_object *machine = NULL;
	AUTOFREE char *disk = NULL, *init = NULL;
	int r = image_load(l, name, digest, &i, err);
	if (r == 0)
		r = check_layers(i, err);
	if (r == 0 && wish->with_machine)
		r = prepare_read_machine(i->manifest->annotations, wish->taken, &machine, err);
	if (r == 0)
		note_odd_env(i, p);
	if (r == 0)
		r = is_disk(wish->form) ? disk_cache_prepare(l, i, p, &disk, &init, err) :
					  tree_cache_prepare(l, i, tree_ids(wish->form), p, &trees, &init, err);
	if (r < 0)
		return r;
	note_strangers(i, &trees, p);
	*ret = make_answer(i, disk, is_disk(wish->form) ? NULL : &trees, init);
	if (wish->form != PREPARE_DISK && wish->form != PREPARE_TREES)
		json_add(*ret, "config", oci_config_to_container_json(i->config));
	if (wish->with_machine)
		json_object_object_add(*ret, "machine", TAKE_PTR(machine));
	return 0;
}

struct wish {
	const char *reference, *when;
	const struct oci_platform *platform;
	int insecure;
	enum prepare_form form;
};

/* Whether the library's copy is whole: an interrupted disk or a damaged library may have lost
 * layers, which a pull brings back. */
static int is_usable(struct library *l, const char *name, const char *digest, enum prepare_form form)
{
	AUTO_IMAGE struct image *i = NULL;
	if (!is_disk(form))
		return image_load_whole(l, name, digest, &i, NULL) == 0 ||
		       (image_load(l, name, digest, &i, NULL) == 0 && tree_cache_is_whole(l, i, tree_ids(form)));
	AUTOFREE char *disk = disk_cache_path(l, digest);
	return path_exists(disk) ? image_load(l, name, digest, &i, NULL) == 0 :
				   image_load_whole(l, name, digest, &i, NULL) == 0;
}

/* No registry has an image that was made on this host. A registry's image of the same short name is
 * another's work. */
static int refuse_local(const char *name, const char *when, struct error **err)
{
	if (streq(when, "always"))
		return error_set(err, EINVAL,
		    "image \"%s\" was made on this host, so no registry has it; leave --pull always out, or write "
		    "REGISTRY/NAME",
		    name);
	return error_set(err, ENOENT, "image \"%s\" is not whole in the library and no registry has it; make it again",
	    name);
}

/* Finds the image as --pull says. */
static int obtain(struct library *l, const struct wish *w, struct progress *p, char **ret_name, char **ret_digest,
    struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	AUTO_REFERENCE struct reference *found = NULL;
	AUTOFREE char *name = NULL, *digest = NULL;
	int always = streq(w->when, "always"), never = streq(w->when, "never");
	int r = image_find(l, w->reference, w->platform, &name, &digest, &why);
	if (r == 0 && !always && (never || is_usable(l, name, digest, w->form))) {
		*ret_name = TAKE_PTR(name);
		*ret_digest = TAKE_PTR(digest);
		return 0;
	}
	if (r < 0 && !always && (r != -ENOENT || never)) {
		AUTOFREE char *file = pull_file_hint(w->reference);
		return error_set(err, -r, "%s%s", error_text(why, r), file ? file : "");
	}
	if (r == 0 && name && image_is_named(w->reference, name) && reference_parse(name, &found, NULL) == 0 &&
	    reference_is_local(found))
		return refuse_local(name, w->when, err);
	const struct prepare_wish wish = { .form = w->form };
	struct prepare_ahead ahead = { .library = l, .wish = &wish };
	struct pull_options o = {
		.platform = w->platform,
		.insecure = w->insecure,
		.progress = p,
		.start = prepare_ahead_start,
		.end = prepare_ahead_end,
		.data = &ahead,
	};
	return image_pull(l, w->reference, &o, ret_name, ret_digest, err);
}

static int prepare(struct library *l, const struct wish *w, struct options *o, struct error **err)
{
	AUTO_PROGRESS struct progress *p = command_progress(o);
	AUTOFREE char *name = NULL, *digest = NULL;
	AUTO_JSON struct json_object *answer = NULL;
	const struct prepare_wish wish = { .form = w->form };
	int r = obtain(l, w, p, &name, &digest, err);
	if (r == 0)
		r = prepare_image(l, name, digest, &wish, p, &answer, err);
	if (r < 0)
		return r;
	progress_free(TAKE_PTR(p));
	return command_print_json(answer, 0, err);
}

int command_prepare(struct options *o, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	const char *when = options_string(o, "pull");
	struct wish w = {
		.reference = options_words(o)->items[0],
		.when = when ? when : "missing",
		.form = prepare_form(o),
	};
	struct library *l = NULL;
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = command_insecure(o, &w.insecure, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0) {
		w.platform = given ? &platform : NULL;
		r = prepare(l, &w, o, err);
	}
	library_free_and_sweep(l, 0);
	return r;
}
