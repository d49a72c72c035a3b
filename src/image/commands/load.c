/* SPDX-License-Identifier: Apache-2.0
 * holm image load: prints the names of what was in the archive. */
#include "image/archive/load.h"

#include "image/commands/command.h"
#include "image/commands/sweep.h"

/* Takes the progress of the options, which must be off the screen before the names are printed. */
static int load_and_print(struct library *l, const char *path, const struct load_options *o, struct error **err)
{
	AUTO_STRV struct strv names = { 0 }, digests = { 0 };
	int r = load_images(l, path, o, &names, &digests, err);
	progress_free(o->progress);
	for (size_t k = 0; r == 0 && k < names.count; k++)
		r = command_print(names.items[k], err);
	return r;
}

int command_load(struct options *o, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	AUTO_PROGRESS struct progress *progress = command_progress(o);
	struct library *l = NULL;
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = library_open(&l, err);
	struct load_options options = { .tag = options_string(o, "tag"), .platform = given ? &platform : NULL };
	if (r == 0) {
		options.progress = TAKE_PTR(progress);
		r = load_and_print(l, options_words(o)->items[0], &options, err);
	}
	library_free_and_sweep(l, 0);
	return r;
}
