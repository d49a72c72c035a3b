/* SPDX-License-Identifier: Apache-2.0
 * See tar_overlay.h. */
#include "oci/tar_overlay.h"

#include <errno.h>
#include <sys/xattr.h>

#include "base/alloc.h"
#include "base/macros.h"

#define OPAQUE "opaque"
#define YES "y"
#define WHITEOUTS "x" /* of an opaque mark: the directory has whiteouts that are files */

const char *overlay_mark(const char *name)
{
	const char *users = startswith(name, OVERLAY_USERS);
	return users ? users : startswith(name, OVERLAY_ROOTS);
}

int overlay_is_whiteout(const struct tar_entry *e)
{
	return e->type == TAR_CHAR && e->major == 0 && e->minor == 0;
}

static int has(int fd, const char *prefix, const char *mark)
{
	AUTOFREE char *name = xasprintf("%s%s", prefix, mark);
	return fgetxattr(fd, name, NULL, 0) >= 0;
}

int overlay_is_kept(int fd, const char *mark)
{
	return has(fd, OVERLAY_KEPT OVERLAY_USERS, mark) || has(fd, OVERLAY_KEPT OVERLAY_ROOTS, mark);
}

/* Whether the mark was made by overlay_set_folder(). */
static int is_of_folder(int fd, const char *mark)
{
	char value[2] = "";
	return streq(mark, OPAQUE) && fgetxattr(fd, OVERLAY_USERS OPAQUE, value, sizeof value) == 1 &&
	       value[0] == WHITEOUTS[0] && has(fd, OVERLAY_KEPT_FOLDER, "");
}

char *overlay_restore(int fd, const char *name)
{
	const char *kept = startswith(name, OVERLAY_KEPT), *mark = startswith(name, OVERLAY_USERS);
	if (kept)
		return overlay_mark(kept) ? xstrdup(kept) : NULL;
	return mark && (overlay_is_kept(fd, mark) || is_of_folder(fd, mark)) ? NULL : xstrdup(name);
}

int overlay_stands_for_whiteout(int fd)
{
	return has(fd, OVERLAY_KEPT_DEVICE, "");
}

static int set(int fd, const char *prefix, const char *name, const void *value, size_t size)
{
	AUTOFREE char *whole = xasprintf("%s%s", prefix, name);
	return fsetxattr(fd, whole, value, size, 0) < 0 ? -errno : 0;
}

int overlay_set_mark(int fd, const char *name, const void *value, size_t size)
{
	int r = set(fd, OVERLAY_ESCAPED, overlay_mark(name), value, size);
	return r < 0 ? r : set(fd, OVERLAY_KEPT, name, value, size);
}

int overlay_set_whiteout(int fd)
{
	int r = set(fd, OVERLAY_ESCAPED, "whiteout", YES, 1);
	return r < 0 ? r : set(fd, OVERLAY_KEPT_DEVICE, "", YES, 1);
}

int overlay_set_folder(int fd)
{
	int r = has(fd, OVERLAY_ESCAPED, OPAQUE) ? 0 : set(fd, OVERLAY_ESCAPED, OPAQUE, WHITEOUTS, 1);
	return r < 0 ? r : set(fd, OVERLAY_KEPT_FOLDER, "", YES, 1);
}
