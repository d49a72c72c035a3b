/* SPDX-License-Identifier: Apache-2.0
 * Deleting trees. One is first given a temporary name, so that no half of it is ever taken for a
 * whole; then it is emptied inside the mapping, all at once, and the empty directory goes. What
 * could not be deleted keeps its temporary name, for the next sweep. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "idmap/idmap.h"
#include "image/trees/cache.h"
#include "image/trees/jobs.h"
#include "oci/digest.h"

enum { GRACE_S = 60, AT_ONCE = 256 };
#define IMAGE_PREFIX "image-"

static int is_young(int trees, const char *name)
{
	struct stat st;
	return fstatat(trees, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime > time(NULL) - GRACE_S;
}

/* Whether a tree, or the file beside it, is still of use. */
static int is_wanted(int trees, const char *tree, const struct strv *names, const struct strv *whole_names)
{
	size_t n = strlen(tree);
	AUTOFREE char *name = xstrndup(tree, n > TREE_NAME_TAIL ? n - TREE_NAME_TAIL : n),
		      *json = xasprintf("%s.json", tree);
	return strv_contains(names, name) || strv_contains(whole_names, tree) || is_young(trees, json);
}

static void sweep_file(int trees, const char *name, const struct strv *names, const struct strv *whole_names,
    const struct strv *images)
{
	size_t n = strlen(name);
	const char *image = startswith(name, IMAGE_PREFIX);
	if (image) {
		AUTOFREE char *digest = xstrndup(image, strlen("sha256-") + DIGEST_HEX_SIZE);
		if (!strv_contains(images, digest) && !is_young(trees, name))
			unlinkat(trees, name, 0);
	} else if (startswith(name, "sha256-") && endswith(name, ".json")) {
		AUTOFREE char *tree = xstrndup(name, n - strlen(".json"));
		struct stat st;
		if (!is_wanted(trees, tree, names, whole_names) ||
		    (fstatat(trees, tree, &st, AT_SYMLINK_NOFOLLOW) < 0 && !is_young(trees, name)))
			unlinkat(trees, name, 0);
	}
}

struct doomed {
	struct strv names;
	int fds[AT_ONCE];
	size_t count;
};

static void doom(int trees, const char *name, struct doomed *d)
{
	AUTOFREE char *temporary =
	    startswith(name, TREE_TEMPORARY) ? xstrdup(name) : xasprintf(TREE_TEMPORARY "%s", name);
	if (d->count == AT_ONCE || (!streq(name, temporary) && renameat(trees, name, trees, temporary) < 0))
		return;
	int fd = openat(trees, temporary, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	d->fds[d->count++] = fd;
	strv_add(&d->names, temporary);
}

static void sweep_entries(int trees, struct doomed *d, const struct strv *names, const struct strv *whole_names,
    const struct strv *images)
{
	int copy = openat(trees, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		fd_close(copy);
		return;
	}
	for (struct dirent *e; (e = readdir(dir));) {
		struct stat st;
		if (fstatat(trees, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			sweep_file(trees, e->d_name, names, whole_names, images);
		else if (S_ISDIR(st.st_mode) &&
			 (startswith(e->d_name, TREE_TEMPORARY) ||
			     (startswith(e->d_name, "sha256-") && !is_wanted(trees, e->d_name, names, whole_names))))
			doom(trees, e->d_name, d);
	}
	closedir(dir);
}

static void empty(struct doomed *d)
{
	struct idmap ids;
	if (idmap_of_user_or_single(&ids, NULL) == 0)
		(void)tree_jobs_empty(&ids, d->fds, d->count, NULL);
}

void tree_cache_sweep(struct library *l, const struct strv *names, const struct strv *whole_names,
    const struct strv *images)
{
	struct doomed d = { 0 };
	sweep_entries(l->trees, &d, names, whole_names, images);
	if (d.count > 0)
		empty(&d);
	for (size_t k = 0; k < d.count; k++) {
		fd_close(d.fds[k]);
		unlinkat(l->trees, d.names.items[k], AT_REMOVEDIR);
	}
	strv_done(&d.names);
	atomic_file_sweep(l->trees);
}
