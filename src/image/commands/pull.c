/* SPDX-License-Identifier: Apache-2.0
 * holm image pull: prints the canonical name. */
#include <errno.h>

#include "base/alloc.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/library/image.h"
#include "image/registry/pull.h"

/* Says that machines go on to be made of this host's own image of the same short name. */
static void note_local(struct library *l, const char *text, const char *name, struct progress *p)
{
	AUTOFREE char *found = NULL, *digest = NULL;
	if (image_find(l, text, NULL, &found, &digest, NULL) == 0 && found && !streq(found, name) &&
	    image_is_named(text, found))
		progress_note(p, "note: \"%s\" goes on to mean %s here; write %s for this one", text, found, name);
}

static int pull(struct library *l, struct options *o, const struct oci_platform *platform, int all,
    const struct credentials *login, struct error **err)
{
	AUTO_PROGRESS struct progress *progress = command_progress(o);
	AUTOFREE char *name = NULL, *digest = NULL;
	struct pull_options p = {
		.platform = platform,
		.progress = progress,
		.login = login,
		.all = all,
		.artifacts = !reference_uses_hub_names(), /* Docker has none */
	};
	if (all && platform)
		return error_set(err, EINVAL, "--all-platforms and --platform exclude each other");
	int r = command_insecure(o, &p.insecure, err);
	if (r == 0)
		r = image_pull(l, options_words(o)->items[0], &p, &name, &digest, err);
	if (r < 0)
		return r;
	note_local(l, options_words(o)->items[0], name, progress);
	progress_free(TAKE_PTR(progress));
	return command_print(reference_uses_hub_names() ? digest : name, err);
}

static int run(struct options *o, int all, const struct credentials *login, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	struct library *l = NULL;
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		r = pull(l, o, given ? &platform : NULL, all, login, err);
	library_free_and_sweep(l, 0);
	return r;
}

int command_pull(struct options *o, struct error **err)
{
	return run(o, options_given(o, "all-platforms"), NULL, err);
}

int command_pull_as(struct options *o, struct error **err)
{
	AUTO_CREDENTIALS struct credentials login = { 0 };
	int r = command_read_login(&login, NULL, err);
	return r < 0 ? r : run(o, 0, r ? &login : NULL, err);
}
