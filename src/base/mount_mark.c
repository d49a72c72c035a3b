/* SPDX-License-Identifier: Apache-2.0
 * See mount_mark.h. A guest can change what lies here: each step goes by descriptor, beneath.
 * rmdir(2) of a directory takes the mount of another machine's away that is on it, so each machine
 * has its id in the mark. */
#include "base/mount_mark.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"

#define MARK "user.holm-mount-point"

enum { ID_SIZE = 32, USERS_MAX = 32, DEPTH_MAX = 64 };

/* The ids in the mark, NUL-terminated. The number of bytes; 0: there is none. */
static size_t read_mark(int directory, char ids[static USERS_MAX * ID_SIZE + 1])
{
	ssize_t n = fgetxattr(directory, MARK, ids, USERS_MAX * ID_SIZE);
	size_t size = n > 0 && n % ID_SIZE == 0 ? (size_t)n : 0;
	ids[size] = '\0';
	return size;
}

static char *find_id(char *ids, const char *id)
{
	for (char *at = ids; *at; at += ID_SIZE)
		if (strncmp(at, id, ID_SIZE) == 0)
			return at;
	return NULL;
}

void mount_mark_add(int directory, const char *id, int is_new)
{
	char ids[USERS_MAX * ID_SIZE + 1];
	size_t size = read_mark(directory, ids);
	if ((!size && !is_new) || find_id(ids, id) || size + ID_SIZE >= sizeof ids)
		return;
	memcpy(ids + size, id, ID_SIZE);
	(void)!fsetxattr(directory, MARK, ids, size + ID_SIZE, 0);
}

/* Takes this machine out of the mark. Whether nobody else is in it. */
static int remove_user(int directory, const char *id)
{
	char ids[USERS_MAX * ID_SIZE + 1];
	size_t size = read_mark(directory, ids);
	char *at = find_id(ids, id);
	if (!at || size == ID_SIZE)
		return at != NULL;
	memmove(at, at + ID_SIZE, (size_t)(ids + size - at) - ID_SIZE);
	(void)!fsetxattr(directory, MARK, ids, size - ID_SIZE, XATTR_REPLACE);
	return 0;
}

static int open_step(int parent, const char *name)
{
	return path_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
}

/* Removes an empty file or directory. Whether it is gone. */
static int remove_empty(int parent, const char *name, int opened)
{
	struct stat st;
	if (fstat(opened, &st) < 0 || (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || st.st_size)))
		return 0;
	return unlinkat(parent, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0;
}

void mount_mark_remove(int base, const char *relative, const char *id)
{
	AUTO_STRV struct strv names = { 0 };
	int way[DEPTH_MAX + 1] = { dup(base) };
	size_t depth = 0;
	strv_split(&names, relative, "/");
	while (depth < MIN(names.count, (size_t)DEPTH_MAX) && way[depth] >= 0) {
		int last = depth + 1 == names.count;
		way[depth + 1] = last ? path_open_beneath(way[depth], names.items[depth], O_RDONLY | O_NONBLOCK, 0) :
					open_step(way[depth], names.items[depth]);
		depth++;
	}
	int goes = depth == names.count;
	for (; depth > 0; depth--) {
		int alone = way[depth] >= 0 && remove_user(way[depth], id);
		goes = goes && alone && remove_empty(way[depth - 1], names.items[depth - 1], way[depth]);
		fd_close(way[depth]);
	}
	fd_close(way[0]);
}
