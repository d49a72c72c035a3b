/* SPDX-License-Identifier: Apache-2.0
 * See reserve.h. The reserve is a 32nd of the file system, half a GiB at most: enough for the host
 * to go on, and for the person to delete something. */
#include "base/reserve.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "base/alloc.h"
#include "base/parse.h"

enum { PART = 32, FILES_MAX = 16384 };
#define BYTES_MAX (UINT64_C(512) << 20)
#define LOOK_EVERY (UINT64_C(16) << 20)

static int refuse(uint64_t keep, struct error **err)
{
	AUTOFREE char *text = format_size(keep);
	return error_set(err, ENOSPC,
	    "No space left on device but the %s that holm leaves to the host; delete files, or images with \"holm "
	    "image "
	    "rm\"",
	    text);
}

int reserve_take(struct reserve *r, int fd, uint64_t size, struct error **err)
{
	struct statvfs v;
	if (size <= r->left) {
		r->left -= size;
		return 0;
	}
	/* A file system that does not say how large it is says ENOSPC itself. */
	if (fstatvfs(fd, &v) < 0 || v.f_blocks == 0)
		return 0;
	uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	uint64_t keep = MIN((uint64_t)v.f_blocks * v.f_frsize / PART, BYTES_MAX);
	if (free_bytes < keep + size)
		return refuse(keep, err);
	if (v.f_files > 0 && v.f_favail < MIN((uint64_t)v.f_files / PART, (uint64_t)FILES_MAX))
		return error_set(err, ENOSPC,
		    "No space left on device for more files than holm leaves to the host; delete files, or images with "
		    "\"holm image rm\"");
	r->left = MIN(free_bytes - keep, MAX(size, LOOK_EVERY)) - size;
	return 0;
}
