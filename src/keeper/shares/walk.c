/* SPDX-License-Identifier: Apache-2.0
 * One component after the other: `at` is the directory that has been reached, `rest` what is still
 * to come; a symlink's text goes in front of the rest. Directories are descriptors, so that nobody
 * can put another one in place of a directory that was looked at. */
#include "keeper/shares/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

enum { SYMLINKS_MAX = 40 }; /* as Linux */

struct walk {
	const struct strv *writable;
	int at;
	char *rest;
	int symlinks;
	char *refused; /* the path of a symlink that was not followed */
};

static void walk_done(struct walk *w)
{
	fd_close(w->at);
	free(w->rest);
	free(w->refused);
}

char *walk_path_of(int fd)
{
	char link[32], path[PATH_MAX];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path);
	return n < 0 || (size_t)n == sizeof path ? NULL : xstrndup(path, (size_t)n);
}

/* Whether the machine may change what is in this directory; a directory without a path counts. */
static int is_writable(const struct walk *w, const char *directory)
{
	for (size_t i = 0; directory && i < w->writable->count; i++)
		if (path_is_below(directory, w->writable->items[i]))
			return 1;
	return !directory;
}

static int enter(struct walk *w, int directory)
{
	fd_close(w->at);
	w->at = directory;
	return directory < 0 ? -errno : 0;
}

/* Puts the text of a symlink (O_PATH), which is `name` in the present directory, in front of the
 * rest of the way. */
static int follow(struct walk *w, int symlink, const char *name)
{
	char target[PATH_MAX];
	AUTOFREE char *directory = walk_path_of(w->at);
	if (is_writable(w, directory)) {
		w->refused = path_join(directory ? directory : "", name);
		return -EPERM;
	}
	if (++w->symlinks > SYMLINKS_MAX)
		return -ELOOP;
	ssize_t n = readlinkat(symlink, "", target, sizeof target);
	if (n <= 0 || (size_t)n == sizeof target || (size_t)n + strlen(w->rest) >= PATH_MAX)
		return n < 0 ? -errno : -ENAMETOOLONG;
	char *longer = xasprintf("%.*s/%s", (int)n, target, w->rest);
	free(w->rest);
	w->rest = longer;
	return target[0] == '/' ? enter(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) : 0;
}

/* Takes the next component off the rest, owned; NULL at the end. */
static char *next_name(struct walk *w)
{
	const char *begin = w->rest + strspn(w->rest, "/");
	size_t size = strcspn(begin, "/");
	char *name = size ? xstrndup(begin, size) : NULL;
	memmove(w->rest, begin + size, strlen(begin + size) + 1);
	return name;
}

static int step(struct walk *w, const char *name)
{
	struct stat st;
	AUTO_FD int next = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 || fstat(next, &st) < 0)
		return -errno;
	return S_ISLNK(st.st_mode) ? follow(w, next, name) : enter(w, TAKE_FD(next));
}

int walk_path(const char *path, const struct strv *writable, char **ret_link)
{
	CLEANUP(walk_done) struct walk w = { .writable = writable, .at = -1, .rest = xstrdup(path) };
	AUTOFREE char *name = NULL;
	int r = enter(&w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	for (; r == 0 && (name = next_name(&w)); free(TAKE_PTR(name)))
		r = step(&w, name);
	if (r == -EPERM && w.refused)
		*ret_link = TAKE_PTR(w.refused);
	return r < 0 ? r : TAKE_FD(w.at);
}
