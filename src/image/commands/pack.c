/* SPDX-License-Identifier: Apache-2.0
 * holm-image pack, holm-image unpack: a machine as an OCI archive and back (docs/images.md).
 *
 * The layer passes through the library, because an archive's entry starts with its size; nothing
 * names it there, so it goes with the sweep. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/archive/compose.h"
#include "image/archive/load.h"
#include "image/archive/save.h"
#include "image/commands/command.h"
#include "image/commands/prepare.h"
#include "image/commands/sweep.h"
#include "image/common/interrupt.h"
#include "image/library/image.h"

enum { PIECE = 1 << 18, SETTINGS_MAX = 4 << 20 };

struct settings {
	struct json_object *root, *config;
	struct json_object *annotations; /* owned */
	char *reference;                 /* owned; canonical, or NULL */
};

static int read_settings(const char *path, struct settings *ret, struct error **err)
{
	struct json_object *machine = NULL;
	const char *reference = NULL;
	AUTO_REFERENCE struct reference *parsed = NULL;
	int r = json_parse_file(path, SETTINGS_MAX, &ret->root, err);
	if (r == 0)
		r = json_get_object(ret->root, "config", &ret->config, err);
	if (r == 0 || r == -ENOENT)
		r = json_get_object(ret->root, "machine", &machine, err);
	if (r < 0 && r != -ENOENT)
		return r;
	ret->annotations = json_object_new_object();
	if (machine) {
		AUTOFREE char *text = json_to_string(machine, 0);
		json_add_string(ret->annotations, PREPARE_ANNOTATION, text);
	}
	if (json_get_string(ret->root, "reference", &reference, NULL) == 0 &&
	    reference_parse(reference, &parsed, NULL) == 0)
		ret->reference = reference_to_string(parsed);
	return 0;
}

static void settings_done(struct settings *s)
{
	json_object_put(s->root);
	json_object_put(s->annotations);
	free(s->reference);
}

static int read_layer(struct library *l, struct composed_layer *ret, struct error **err)
{
	AUTOFREE char *piece = xmalloc(PIECE);
	struct layer_writer w;
	int r = layer_writer_open(l, LAYER_GZIP, &w, err);
	while (r == 0) {
		ssize_t n = fd_read_full(STDIN_FILENO, piece, PIECE);
		r = n < 0 ? error_set_errno(err, (int)n, "cannot read the machine's files") : interrupt_check(err);
		if (r == 0 && n > 0)
			r = layer_writer_write(&w, piece, n, err);
		if (r < 0 || n == 0)
			break;
	}
	if (r == 0 && w.size == 0)
		r = error_set(err, EINVAL, "there is no tar stream on standard input");
	if (r == 0)
		return layer_writer_finish(&w, ret, err);
	layer_writer_abort(&w);
	return r;
}

static int pack(struct library *l, const struct settings *s, const char *output, struct error **err)
{
	AUTO_SAVE_LIST struct save_list list = { 0 };
	struct image *i = NULL;
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	AUTO_JSON struct json_object *empty = json_object_new_object();
	AUTOFREE char *parent = path_parent(output);
	struct composed_layer layer;
	char digest[DIGEST_TEXT_SIZE + 1];
	const struct compose_facts facts = {
		.config = s->config ? s->config : empty,
		.annotations = s->annotations,
	};
	AUTO_FD int directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_set_errno(err, errno, "cannot open %s", parent);
	int r;
	if ((r = read_layer(l, &layer, err)) < 0 || (r = compose_image(l, &layer, &facts, digest, err)) < 0 ||
	    (r = image_load(l, s->reference, digest, &i, err)) < 0 ||
	    (r = save_list_add(&list, l, i, s->reference, err)) < 0 ||
	    (r = atomic_file_open(&f, directory, 0600, err)) < 0)
		return r;
	r = save_archive(l, &list, 0, f.fd, NULL, err);
	return r < 0 ? r : atomic_file_commit(&f, path_base(output), err);
}

int command_pack(struct options *o, struct error **err)
{
	const char *config = options_string(o, "config"), *output = options_string(o, "output");
	struct settings s = { 0 };
	struct library *l = NULL;
	if (!config || !output)
		return error_set(err, EINVAL, "pack needs --config FILE and --output FILE");
	int r = read_settings(config, &s, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		r = pack(l, &s, output, err);
	settings_done(&s);
	library_free_and_sweep(l, 0);
	return r;
}

/* The name of the machine is known to be free before the machine's files are unpacked. */
static int look(struct json_object *annotations, void *taken, struct error **err)
{
	AUTO_JSON struct json_object *machine = NULL;
	return prepare_read_machine(annotations, taken, &machine, err);
}

static int unpack(struct library *l, const char *path, const struct prepare_wish *wish, struct progress *p,
    struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv names = { 0 }, digests = { 0 };
	/* The name inside is the one that the machine was made from: it must not go over to what
	 * became of it. */
	struct load_options options = {
		.progress = p,
		.unnamed = 1,
		.look = look,
		.look_data = (void *)wish->taken,
	};
	int r = load_images(l, path, &options, &names, &digests, err);
	if (r == 0 && names.count != 1)
		r = error_set(err, EINVAL, "%s holds %zu images; a machine is made from one", path, names.count);
	return r == 0 ? prepare_image(l, names.items[0], digests.items[0], wish, p, ret, err) : r;
}

int command_unpack(struct options *o, struct error **err)
{
	AUTO_PROGRESS struct progress *p = command_progress(o);
	AUTO_JSON struct json_object *answer = NULL;
	const struct prepare_wish wish = {
		.form = prepare_form(o),
		.with_machine = 1,
		.taken = options_list(o, "taken"),
	};
	struct library *l = NULL;
	int r = library_open(&l, err);
	if (r == 0)
		r = unpack(l, options_words(o)->items[0], &wish, p, &answer, err);
	if (r == 0) {
		progress_free(TAKE_PTR(p));
		r = command_print_json(answer, 0, err);
	}
	library_free_and_sweep(l, 0);
	return r;
}
