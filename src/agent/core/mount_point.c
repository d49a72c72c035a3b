/* SPDX-License-Identifier: Apache-2.0
 * See mount_point.h. The guest can change what lies here: each step goes by descriptor, beneath,
 * and through no symlink. */
#include "agent/core/mount_point.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/mount_mark.h"
#include "base/path.h"

/* Whether something is mounted over the disk above the path. */
static int is_covered(const char *path)
{
	static const char *const covers[] = { "/proc", "/sys", "/dev", "/run", "/tmp" };
	for (size_t i = 0; i < ARRAY_SIZE(covers); i++)
		if (path_is_below(path, covers[i]))
			return 1;
	return 0;
}

struct mount_place mount_point_find(const struct boot_request *b, const struct boot_share *s, int root)
{
	const struct boot_share *over = NULL;
	for (size_t i = 0; i < b->share_count; i++) {
		const struct boot_share *other = &b->shares[i];
		if (!streq(other->inside, s->inside) && path_is_below(s->inside, other->inside) &&
		    (!over || strlen(other->inside) > strlen(over->inside)))
			over = other;
	}
	AUTOFREE char *path = over ? path_join(AGENT_SHARES, over->tag) : NULL;
	if (!over && is_covered(s->inside))
		return (struct mount_place){ .base = -1 };
	return (struct mount_place){
		.base = over ? open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : dup(root),
		.in_share = over != NULL,
		.relative = xstrdup(s->inside + (over ? strlen(over->inside) : 0) + 1),
	};
}

void mount_point_done(struct mount_place *p)
{
	fd_close(p->base);
	free(p->relative);
	*p = (struct mount_place){ .base = -1 };
}

static int open_step(int parent, const char *name)
{
	return path_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
}

/* Gives what was just made, and is still root's, to whom it belongs. */
static void give(const struct mount_place *p, const struct boot_user *u, int parent, int made)
{
	struct stat above, st;
	if (fstat(parent, &above) < 0 || fstat(made, &st) < 0 || st.st_uid != geteuid())
		return;
	int to_user = p->in_share && u->name;
	(void)!fchown(made, to_user ? u->uid : above.st_uid, to_user ? u->gid : above.st_gid);
}

/* Opens the next directory on the way, and makes it where it is missing. A descriptor or -errno. */
static int step(const struct mount_place *p, const struct boot_request *b, int parent, const char *name)
{
	int made = mkdirat(parent, name, 0755) == 0;
	if (!made && errno != EEXIST)
		return -errno;
	int fd = open_step(parent, name);
	if (fd == -EACCES && !made)
		return path_open_beneath(parent, name, O_PATH | O_DIRECTORY, 0);
	if (fd >= 0 && made)
		give(p, &b->user, parent, fd);
	if (fd >= 0)
		mount_mark_add(fd, b->id, made);
	return fd;
}

/* Makes the file to mount a single file on, if nothing is there. A descriptor or -errno. */
static int make_file(const struct mount_place *p, const struct boot_request *b, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	int made = fd >= 0;
	if (!made && errno != EEXIST)
		return -errno;
	if (!made && (fd = path_open_beneath(parent, name, O_RDONLY | O_NONBLOCK, 0)) < 0)
		return fd == -ELOOP ? fd : path_open_beneath(parent, name, O_PATH, 0);
	if (made)
		give(p, &b->user, parent, fd);
	mount_mark_add(fd, b->id, made);
	return fd;
}

int mount_point_make(const struct mount_place *p, const struct boot_request *b)
{
	AUTO_STRV struct strv names = { 0 };
	if (p->base < 0)
		return -EBADF;
	AUTO_FD int at = openat(p->base, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	strv_split(&names, p->relative, "/");
	for (size_t i = 0; at >= 0 && i < names.count; i++) {
		int last = i + 1 == names.count;
		int next = p->is_file && last ? make_file(p, b, at, names.items[i]) : step(p, b, at, names.items[i]);
		fd_close(at);
		at = next;
	}
	return at < 0 ? at : 0;
}

void mount_point_remove(const struct mount_place *p, const struct boot_request *b)
{
	if (p->base >= 0)
		mount_mark_remove(p->base, p->relative, b->id);
}
