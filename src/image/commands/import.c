/* SPDX-License-Identifier: Apache-2.0
 * holm image import: an image of one layer from a root file system's archive. */
#include "image/archive/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/archive/load.h"
#include "image/commands/change.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/library/image.h"

/* The image's name: localhost's where it is short, else as written; "": none, for Docker's clients.
 * Owned; NULL with an error. */
static char *make_name(const struct strv *words, struct error **err)
{
	AUTO_REFERENCE struct reference *reference = NULL;
	const char *path = words->items[0];
	if (words->count == 1 && streq(path, "-") && reference_uses_hub_names())
		return xstrdup("");
	if (words->count == 1 && streq(path, "-")) {
		error_set(err, EINVAL, "an image from standard input needs a name: holm image import - NAME");
		return NULL;
	}
	AUTOFREE char *text = words->count > 1 ? xstrdup(words->items[1]) : load_base_name(path);
	int r = reference_parse(text, &reference, err);
	if (r == 0 && reference->digest)
		r = error_set(err, EINVAL, "\"%s\" has a digest; a new name is NAME[:TAG]", text);
	if (r < 0 && words->count == 1)
		error_prefix(err, r, "the file's name makes no name for the image; write one behind it");
	return r < 0 ? NULL : reference_to_local_string(reference);
}

static int open_input(const char *path, int *ret, struct error **err)
{
	int from_stdin = streq(path, "-");
	*ret = from_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
	if (*ret < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (from_stdin && isatty(*ret))
		return error_set(err, EINVAL,
		    "standard input is a terminal; give it an archive: holm image import - NAME < FILE");
	return 0;
}

static int import(struct library *l, struct options *o, const char *name, const struct compose_facts *facts,
    struct error **err)
{
	AUTO_PROGRESS struct progress *p = command_progress(o);
	const char *path = options_words(o)->items[0];
	struct composed_layer layer;
	char digest[DIGEST_TEXT_SIZE + 1];
	AUTO_FD int fd = -1;
	int r;
	if ((r = open_input(path, &fd, err)) < 0 ||
	    (r = rootfs_import(l, fd, streq(path, "-") ? "standard input" : path, p, &layer, err)) < 0 ||
	    (r = compose_image(l, &layer, facts, digest, err)) < 0 ||
	    (r = *name ? image_register(l, name, digest, NULL, err) : image_register_nameless(l, digest, err)) < 0)
		return r;
	progress_free(TAKE_PTR(p));
	return command_print(reference_uses_hub_names() ? digest : name, err);
}

int command_import(struct options *o, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	AUTO_JSON struct json_object *config = json_object_new_object();
	const char *path = options_words(o)->items[0], *message = options_string(o, "message");
	AUTOFREE char *name = make_name(options_words(o), err), *comment = xasprintf("Imported from %s", path);
	struct library *l = NULL;
	if (!name)
		return -EINVAL;
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = change_apply_all(config, options_list(o, "change"), err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0) {
		const struct compose_facts facts = {
			.config = config,
			.platform = given ? &platform : NULL,
			.comment = message ? message : comment,
		};
		r = import(l, o, name, &facts, err);
	}
	library_free_and_sweep(l, 0);
	return r;
}
