/* SPDX-License-Identifier: Apache-2.0
 * holm image rm, holm image tag: names come and go; what they named goes with the last of them
 * (sweep.c). */
#include <errno.h>

#include "base/alloc.h"
#include "docker/name.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/commands/users.h"
#include "image/library/image.h"

enum { SWEEP_WAIT_MS = 2000 }; /* for an "image ls" that is just ending; a pull takes longer, and sweeps itself */

/* ---- rm ---- */

struct removal {
	const char *text; /* as it was typed */
	char *name;       /* the name that this means; NULL: it was a digest */
	char *digest;
	struct strv names; /* all of the image */
	struct image_users users;
	int force;
};

static void removal_done(struct removal *m)
{
	free(m->name);
	free(m->digest);
	strv_done(&m->names);
	image_users_done(&m->users);
}

static int find(struct library *l, struct removal *m, struct error **err)
{
	AUTO_LIBRARY_INDEX struct library_index index = { 0 };
	AUTO_ERROR struct error *why = NULL;
	int r = image_find(l, m->text, NULL, &m->name, &m->digest, &why);
	if (r == -ENOENT)
		return error_set(err, ENOENT, "image \"%.200s\" is not in the library; holm image ls shows what is",
		    m->text);
	if (r < 0)
		return error_set(err, -r, "%s", error_text(why, r));
	if ((r = library_read_index(l, &index, err)) < 0)
		return r;
	for (size_t i = 0; i < index.count; i++)
		if (index.entries[i].name && streq(index.entries[i].descriptor.digest, m->digest))
			strv_add(&m->names, index.entries[i].name);
	if (!image_is_named(m->text, m->name))
		free(TAKE_PTR(m->name));
	image_users_find(l, m->digest, &m->users);
	return 0;
}

/* A container that Docker would name, as far as there is one. */
static char *user_of(const struct removal *m)
{
	const struct image_users *u = &m->users;
	const char *id = u->running ? u->running : u->stopped;
	if (!id && !u->machine)
		return NULL;
	return id ? xasprintf("container %.12s", id) : xasprintf("machine %s with its containers", u->machine);
}

/* A name: the last one of an image with containers goes by force alone. */
static int check_name(const struct removal *m, struct error **err)
{
	AUTOFREE char *user = user_of(m);
	if (!user || m->force || m->names.count > 1)
		return 0;
	return error_set(err, EEXIST,
	    "conflict: unable to remove repository reference \"%s\" (must force) - %s is using its referenced image "
	    "%.12s",
	    docker_familiar_name(m->name), user, m->digest + strlen("sha256:"));
}

/* A digest: no image of a container that runs goes; several names, or other containers, want
 * force. */
static int check_digest(const struct removal *m, struct error **err)
{
	AUTOFREE char *user = user_of(m);
	const char *hex = m->digest + strlen("sha256:");
	if (m->users.running)
		return error_set(err, EEXIST,
		    "conflict: unable to delete %.12s (cannot be forced) - image is being used by running %s", hex,
		    user);
	if (m->names.count > 1 && !m->force)
		return error_set(err, EEXIST,
		    "conflict: unable to delete %.12s (must be forced) - image is referenced in multiple repositories",
		    hex);
	if (user && !m->force)
		return error_set(err, EEXIST,
		    "conflict: unable to delete %.12s (must be forced) - image is being used by stopped %s", hex, user);
	return 0;
}

/* Removes the name, or all of them. Whether the image is gone, or -errno. An image of a container
 * that runs stays without a name. */
static int remove_names(struct library *l, const struct removal *m, struct error **err)
{
	int last = !m->name || m->names.count <= 1;
	int r = m->name ? library_remove_name(l, m->name, err) : library_remove_digest(l, m->digest, err);
	if (r == -ENOENT)
		return error_set(err, ENOENT, "image \"%s\" was removed by another process", m->text);
	if (r < 0 || !last || !m->users.running)
		return r < 0 ? r : last;
	r = image_register_nameless(l, m->digest, err);
	return r < 0 ? r : 0;
}

static void add_row(struct json_object *rows, const char *untagged, const char *deleted)
{
	struct json_object *o = json_object_new_object();
	json_add_string_or_null(o, "untagged", untagged);
	json_add_string_or_null(o, "deleted", deleted);
	json_object_array_add(rows, o);
}

/* rows NULL: prints a line. */
static int remove_one(struct library *l, const char *text, int force, struct json_object *rows, struct error **err)
{
	CLEANUP(removal_done) struct removal m = { .text = text, .force = force };
	int r = find(l, &m, err);
	if (r == -ENOENT && force) {
		error_clear(err);
		return 0;
	}
	if (r == 0)
		r = m.name ? check_name(&m, err) : check_digest(&m, err);
	if (r == 0)
		r = remove_names(l, &m, err);
	if (r < 0)
		return r;
	if (!rows)
		return command_print(m.name ? m.name : m.names.count ? m.names.items[0] : m.digest, err);
	for (size_t i = 0; i < m.names.count; i++)
		if (!m.name || streq(m.name, m.names.items[i]))
			add_row(rows, m.names.items[i], NULL);
	if (r > 0)
		add_row(rows, NULL, m.digest);
	return 0;
}

int command_rm(struct options *o, struct error **err)
{
	struct library *l = NULL;
	AUTO_FORMAT struct format format = { 0 };
	AUTO_JSON struct json_object *rows = json_object_new_array();
	const struct strv *words = options_words(o);
	int force = options_given(o, "force"), r = format_parse(options_string(o, "format"), "lines", &format, err);
	if (r < 0 || (r = library_open(&l, err)) < 0)
		return r;
	for (size_t k = 0; k < words->count && r == 0; k++)
		r = remove_one(l, words->items[k], force, format.kind == FORMAT_OWN ? NULL : rows, err);
	library_free_and_sweep(l, SWEEP_WAIT_MS);
	return r < 0 || format.kind == FORMAT_OWN ? r : command_print_rows(&format, rows, err);
}

/* ---- tag ---- */

static int tag(struct library *l, const char *from, const char *to, struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL;
	AUTO_REFERENCE struct reference *reference = NULL;
	int r = reference_parse(to, &reference, err);
	if (r == 0 && reference->digest)
		r = error_set(err, EINVAL, "\"%s\" has a digest; a new name is NAME[:TAG]", to);
	if (r == 0)
		r = image_find(l, from, NULL, &name, &digest, err);
	if (r < 0)
		return r;
	AUTOFREE char *canonical = reference_to_string(reference);
	r = image_register(l, canonical, digest, NULL, err);
	return r < 0 ? r : command_print(canonical, err);
}

int command_tag(struct options *o, struct error **err)
{
	struct library *l = NULL;
	const struct strv *words = options_words(o);
	int r = library_open(&l, err);
	if (r == 0)
		r = tag(l, words->items[0], words->items[1], err);
	library_free_and_sweep(l, 0);
	return r;
}
