/* SPDX-License-Identifier: Apache-2.0
 * holm image pull: prints the canonical name. */
#include "base/alloc.h"
#include "image/commands/command.h"
#include "image/commands/sweep.h"
#include "image/registry/pull.h"

static int pull(struct library *l, struct options *o, const struct oci_platform *platform, struct error **err)
{
	AUTO_PROGRESS struct progress *progress = command_progress(o);
	AUTOFREE char *name = NULL, *digest = NULL;
	struct pull_options p = { .platform = platform, .progress = progress };
	int r = command_insecure(o, &p.insecure, err);
	if (r == 0)
		r = image_pull(l, options_words(o)->items[0], &p, &name, &digest, err);
	if (r < 0)
		return r;
	progress_free(TAKE_PTR(progress));
	return command_print(name, err);
}

int command_pull(struct options *o, struct error **err)
{
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	struct library *l = NULL;
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = library_open(&l, err);
	if (r == 0)
		r = pull(l, o, given ? &platform : NULL, err);
	library_free_and_sweep(l, 0);
	return r;
}
