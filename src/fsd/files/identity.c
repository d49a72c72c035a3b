/* SPDX-License-Identifier: Apache-2.0
 * Every look at the host goes by a directory's descriptor and one name in it. */
#include "fsd/files/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

struct file_id file_id_of(const struct statx *st)
{
	struct file_id id = { .dev = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor, .ino = st->stx_ino };
	if (st->stx_mask & STATX_BTIME)
		id.birth_ns = statx_ns(&st->stx_btime);
	return id;
}

int file_id_same(const struct file_id *a, const struct file_id *b)
{
	return a->ino == b->ino && a->dev == b->dev && (a->birth_ns == b->birth_ns || !a->birth_ns || !b->birth_ns);
}

int inode_statx(int directory, const char *name, struct statx *st)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
	return statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, st) < 0 ? -errno : 0;
}

int inode_open_name(int directory, const char *name, uint64_t flags, uint32_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	for (int tries = 0;; tries++) {
		long fd = syscall(SYS_openat2, directory, name, &how, sizeof how);
		if (fd >= 0)
			return (int)fd;
		/* EAGAIN: a rename somewhere raced with RESOLVE_BENEATH */
		if (errno != EINTR && !(errno == EAGAIN && tries < 64))
			return -errno;
	}
}
