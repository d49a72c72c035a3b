/* SPDX-License-Identifier: Apache-2.0
 * Measuring a directory, and emptying one whose depth a stranger chose, with few descriptors: what
 * lies too deep is moved up to the top, and the top is gone through until nothing is left in
 * it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/trees/write.h"

enum { DEPTH_MAX = 24, MEASURE_DEPTH = 200, NAME_SIZE = 40 };

struct emptying {
	int top;
	unsigned long long moved;
};

static DIR *open_listing(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* One that is ours may still keep us out, where we are not root. */
	if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		fd_close(fd);
	else
		(void)!fchmod(fd, 0700);
	return d;
}

/* No layer can have a name like this. */
static int move_up(struct emptying *e, int at, const char *name)
{
	char to[NAME_SIZE];
	for (;;) {
		snprintf(to, sizeof to, ".wh..wh.gone-%llu", e->moved++);
		if (renameat2(at, name, e->top, to, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno == EACCES && fchmodat(at, name, 0700, AT_SYMLINK_NOFOLLOW) == 0 &&
		    renameat2(at, name, e->top, to, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
}

static int empty(struct emptying *e, int at, const char *name, int depth, size_t *ret_count);

static int remove_one(struct emptying *e, int at, const char *name, int depth)
{
	struct stat st;
	size_t count;
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(at, name, 0) < 0 ? -errno : 0;
	if (depth >= DEPTH_MAX)
		return move_up(e, at, name);
	int r = empty(e, at, name, depth, &count);
	return r < 0 ? r : unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int empty(struct emptying *e, int at, const char *name, int depth, size_t *ret_count)
{
	DIR *d = open_listing(at, name);
	int r = 0;
	if (!d)
		return -errno;
	*ret_count = 0;
	for (struct dirent *entry; r == 0 && (entry = readdir(d));) {
		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		(*ret_count)++;
		r = remove_one(e, dirfd(d), entry->d_name, depth + 1);
	}
	closedir(d);
	return r;
}

int tree_empty(int directory)
{
	struct emptying e = { .top = directory };
	size_t count = 1;
	int r = 0;
	while (r == 0 && count > 0)
		r = empty(&e, directory, ".", 0, &count);
	return r;
}

/* Adds up a directory. Folders deeper than MEASURE_DEPTH count as empty: their size is not worth
 * the descriptors. 0 or -errno. */
static int measure(int at, const char *name, int depth, uint64_t *total)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		fd_close(fd);
		return r == -EACCES ? 0 : r; /* of an owner outside of the mapping */
	}
	for (struct dirent *entry; r == 0 && (entry = readdir(d));) {
		struct stat st;
		if (streq(entry->d_name, ".") || streq(entry->d_name, "..") ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*total += (uint64_t)st.st_blocks * 512 / (S_ISDIR(st.st_mode) ? 1 : MAX(st.st_nlink, 1U));
		if (S_ISDIR(st.st_mode) && depth < MEASURE_DEPTH)
			r = measure(fd, entry->d_name, depth + 1, total);
	}
	closedir(d);
	return r;
}

int tree_measure(int directory, uint64_t *total)
{
	return measure(directory, ".", 0, total);
}
