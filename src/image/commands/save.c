/* SPDX-License-Identifier: Apache-2.0
 * holm image save: images as an archive or an OCI layout, to a file, a directory or standard
 * output. A file or a directory appears whole or not at all. */
#include "image/archive/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/commands/command.h"

enum { DIRECTORY_MODE = 0777, FILE_MODE = 0666 };

static int add_one(struct library *l, const char *text, const struct oci_platform *platform, int all,
    struct save_list *list, struct error **err)
{
	AUTOFREE char *name = NULL, *digest = NULL;
	struct image *i = NULL;
	int r = image_find(l, text, platform, &name, &digest, err);
	if (r == 0 && all)
		return image_is_named(text, name) ?
			   save_list_add_all(list, l, name, err) :
			   error_set(err, EINVAL, "--all-platforms wants the name of an image, not \"%s\"", text);
	if (r == 0)
		r = image_load_any_whole(l, name, digest, &i, err);
	/* One that its digest names is saved without a name: it may have several. */
	return r < 0 ? r : save_list_add(list, l, i, image_is_named(text, name) ? name : NULL, err);
}

/* Docker's form has images alone. */
static int check_artifacts(const struct save_list *list, int docker, struct error **err)
{
	for (size_t k = 0; docker && k < list->count; k++)
		if (list->items[k].image->artifact)
			return error_set(err, ENOTSUP,
			    "\"%s\" is an artifact, which a docker archive cannot hold; use --format oci-archive or "
			    "oci-dir",
			    list->items[k].image->name ? list->items[k].image->name : list->items[k].image->digest);
	return 0;
}

static int save_to_directory(struct library *l, const struct save_list *list, const char *output, struct progress *p,
    struct error **err)
{
	uint64_t random = 0;
	ssize_t n UNUSED = getrandom(&random, sizeof random, 0);
	AUTOFREE char *parent = path_parent(output),
		      *name = xasprintf(".holm-save-%016llx", (unsigned long long)random);
	AUTO_FD int above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0 || mkdirat(above, name, DIRECTORY_MODE) < 0)
		return error_set_errno(err, errno, "cannot create a directory in %s", parent);
	AUTO_FD int directory = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = directory < 0 ? error_set_errno(err, errno, "cannot open a directory in %s", parent) :
				save_directory(l, list, directory, p, err);
	if (r == 0 && renameat(above, name, above, path_base(output)) < 0)
		r = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR ?
			error_set(err, EEXIST, "%s exists; remove it, or name another directory", output) :
			error_set_errno(err, errno, "cannot create %s", output);
	if (r < 0)
		path_remove_tree(above, name);
	return r;
}

static int save_to_file(struct library *l, const struct save_list *list, int docker, const char *output,
    struct progress *p, struct error **err)
{
	AUTO_ATOMIC_FILE struct atomic_file f = ATOMIC_FILE_NONE;
	AUTOFREE char *real = realpath(output, NULL), *parent = path_parent(real ? real : output);
	struct stat st;
	if (real && stat(real, &st) == 0 && !S_ISREG(st.st_mode)) { /* a pipe, /dev/stdout */
		AUTO_FD int fd = open(real, O_WRONLY | O_CLOEXEC);
		return fd < 0 ? error_set_errno(err, errno, "cannot open %s", output) :
				save_archive(l, list, docker, fd, p, err);
	}
	AUTO_FD int directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_set_errno(err, errno, "cannot open %s", parent);
	int r = atomic_file_open(&f, directory, 0600, err);
	if (r == 0 && fchmod(f.fd, FILE_MODE & ~command_umask) < 0)
		r = error_set_errno(err, errno, "cannot write %s", output);
	if (r == 0)
		r = save_archive(l, list, docker, f.fd, p, err);
	return r == 0 ? atomic_file_commit(&f, path_base(real ? real : output), err) : r;
}

static int save(struct library *l, struct options *o, const struct oci_platform *platform, struct error **err)
{
	AUTO_SAVE_LIST struct save_list list = { 0 };
	AUTO_PROGRESS struct progress *p = command_progress(o);
	const char *output = options_string(o, "output"), *format = options_string(o, "format");
	const struct strv *words = options_words(o);
	int r = 0, docker = !format || streq(format, "docker-archive");
	for (size_t k = 0; r == 0 && k < words->count; k++)
		r = add_one(l, words->items[k], platform, options_given(o, "all-platforms"), &list, err);
	if (r == 0)
		r = check_artifacts(&list, docker, err);
	if (r < 0)
		return r;
	umask(command_umask);
	if (streq(format, "oci-dir"))
		return save_to_directory(l, &list, output, p, err);
	return output && !streq(output, "-") ? save_to_file(l, &list, docker, output, p, err) :
					       save_archive(l, &list, docker, STDOUT_FILENO, p, err);
}

/* Refuses an output that cannot be, before the library is opened. */
static int check_output(struct options *o, struct error **err)
{
	const char *output = options_string(o, "output"), *format = options_string(o, "format");
	if (output && !*output)
		return error_set(err, EINVAL, "--output is empty; write the name of a file");
	if (options_given(o, "all-platforms") && (!format || streq(format, "docker-archive")))
		return error_set(err, EINVAL, "--all-platforms wants --format oci-archive or oci-dir");
	if (options_given(o, "all-platforms") && options_given(o, "platform"))
		return error_set(err, EINVAL, "--all-platforms and --platform exclude each other");
	if (output && !streq(output, "-"))
		return 0;
	if (streq(format, "oci-dir"))
		return error_set(err, EINVAL, "--format oci-dir makes a directory; name it with -o DIRECTORY");
	if (isatty(STDOUT_FILENO))
		return error_set(err, EINVAL, "standard output is a terminal; write -o FILE or > FILE, or pipe it on");
	return 0;
}

int command_save(struct options *o, struct error **err)
{
	AUTO_LIBRARY struct library *l = NULL;
	AUTO_OCI_PLATFORM struct oci_platform platform = { 0 };
	int given, r = command_platform(o, &platform, &given, err);
	if (r == 0)
		r = check_output(o, err);
	if (r == 0)
		r = library_open(&l, err);
	return r == 0 ? save(l, o, given ? &platform : NULL, err) : r;
}
