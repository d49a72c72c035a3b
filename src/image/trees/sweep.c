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
#include "base/path.h"
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

/* Whether an image or a machine uses a tree. */
static int is_used(const char *tree, const struct tree_sweep *t)
{
	size_t n = strlen(tree);
	AUTOFREE char *name = xstrndup(tree, n > TREE_NAME_TAIL ? n - TREE_NAME_TAIL : n);
	return strv_contains(t->names, name) || strv_contains(t->whole_names, tree);
}

/* Whether the file beside a tree was handed out just now. */
static int is_new(int trees, const char *tree)
{
	AUTOFREE char *json = xasprintf("%s.json", tree);
	return is_young(trees, json);
}

static void sweep_file(int trees, const char *name, const struct tree_sweep *t)
{
	size_t n = strlen(name);
	const char *image = startswith(name, IMAGE_PREFIX);
	if (image) {
		AUTOFREE char *digest = xstrndup(image, strlen("sha256-") + DIGEST_HEX_SIZE);
		if (!strv_contains(t->images, digest) && !is_young(trees, name))
			unlinkat(trees, name, 0);
	} else if (startswith(name, "sha256-") && endswith(name, ".json")) {
		AUTOFREE char *tree = xstrndup(name, n - strlen(".json"));
		struct stat st;
		if ((!is_used(tree, t) && !is_new(trees, tree)) ||
		    (fstatat(trees, tree, &st, AT_SYMLINK_NOFOLLOW) < 0 && !is_young(trees, name)))
			unlinkat(trees, name, 0);
	}
}

/* Lists the trees to delete, and deletes small files on the way. */
static void sweep_entries(int trees, struct tree_sweep *t, struct strv *doomed)
{
	DIR *dir = path_list(trees);
	if (!dir)
		return;
	for (struct dirent *e; (e = readdir(dir));) {
		struct stat st;
		if (fstatat(trees, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode) && !t->dry_run)
			sweep_file(trees, e->d_name, t);
		if (!S_ISDIR(st.st_mode))
			continue;
		int left = startswith(e->d_name, TREE_TEMPORARY) != NULL;
		int unused = startswith(e->d_name, "sha256-") && !is_used(e->d_name, t);
		if (unused && is_new(trees, e->d_name))
			t->young++;
		else if (left || unused)
			strv_add(doomed, e->d_name);
	}
	closedir(dir);
}

/* Gives a tree its temporary name. Owned; NULL if that fails. */
static char *rename_away(int trees, const char *name)
{
	if (startswith(name, TREE_TEMPORARY))
		return xstrdup(name);
	AUTOFREE char *temporary = xasprintf(TREE_TEMPORARY "%s", name);
	return renameat(trees, name, trees, temporary) < 0 ? NULL : TAKE_PTR(temporary);
}

struct batch {
	char *names[AT_ONCE];
	int fds[AT_ONCE];
	size_t count;
};

static void batch_add(struct batch *b, int trees, const char *name, int dry_run)
{
	AUTOFREE char *now = dry_run ? xstrdup(name) : rename_away(trees, name);
	int fd = now ? openat(trees, now, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	b->fds[b->count] = fd;
	b->names[b->count++] = TAKE_PTR(now);
}

static void batch_run(struct batch *b, int trees, struct tree_sweep *t)
{
	struct idmap ids;
	uint64_t bytes = 0;
	if (b->count > 0 && idmap_of_user_or_single(&ids, NULL) == 0) {
		if (t->measure && tree_jobs_measure(&ids, b->fds, b->count, &bytes, NULL) == 0)
			t->bytes += bytes;
		if (!t->dry_run)
			(void)tree_jobs_empty(&ids, b->fds, b->count, NULL);
	}
	t->count += b->count;
	for (size_t k = 0; k < b->count; k++) {
		fd_close(b->fds[k]);
		if (!t->dry_run)
			unlinkat(trees, b->names[k], AT_REMOVEDIR);
		free(b->names[k]);
	}
	b->count = 0;
}

void tree_cache_sweep(struct library *l, struct tree_sweep *t)
{
	AUTO_STRV struct strv doomed = { 0 };
	struct batch b = { .count = 0 };
	sweep_entries(l->trees, t, &doomed);
	for (size_t k = 0; k < doomed.count; k++) {
		batch_add(&b, l->trees, doomed.items[k], t->dry_run);
		if (b.count == AT_ONCE || k + 1 == doomed.count)
			batch_run(&b, l->trees, t);
	}
	if (!t->dry_run)
		atomic_file_sweep(l->trees);
}
