/* SPDX-License-Identifier: Apache-2.0
 * holm image load: prints the names of what was in the archive. */
#include "image/archive/load.h"

#include <errno.h>
#include <unistd.h>

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

/* The archive that the word names, or -i; borrowed. */
static int find_archive(const struct options *o, const char **ret, struct error **err)
{
	const struct strv *words = options_words(o);
	const char *input = options_string(o, "input");
	if (words->count && input)
		return error_set(err, EINVAL, "two archives: %s and --input %s; name one", words->items[0], input);
	*ret = words->count ? words->items[0] : input ? input : "-";
	if (!words->count && !input && isatty(STDIN_FILENO))
		return error_set(err, EINVAL, "no archive: name a file, or - for standard input");
	return 0;
}

int command_load(struct options *o, struct error **err)
{
	const char *archive = NULL;
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	AUTO_PROGRESS struct progress *progress = command_progress(o);
	struct library *l = NULL;
	int given = 0, r = find_archive(o, &archive, err);
	if (r == 0)
		r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = library_open(&l, err);
	struct load_options options = { .tag = options_string(o, "tag"),
		.platform = given ? &platform : NULL,
		.nameless = streq(archive ? archive : "", "-") };
	if (r == 0) {
		options.progress = TAKE_PTR(progress);
		r = load_and_print(l, archive, &options, err);
	}
	library_free_and_sweep(l, 0);
	return r;
}
