/* SPDX-License-Identifier: Apache-2.0
 * The calling user's mapping. A file of its own, because it asks for the user's name, which nothing
 * static can. */
#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "idmap/idmap.h"

enum { FILE_MAX_BYTES = 1 << 20 };

int idmap_of_user(struct idmap *ret, struct error **err)
{
	AUTOFREE char *subuid = NULL;
	AUTOFREE char *subgid = NULL;
	uid_t uid = geteuid();
	struct passwd *p = getpwuid(uid);
	AUTOFREE char *name = p ? xstrdup(p->pw_name) : xasprintf("%u", uid);
	if (path_read_file("/etc/subuid", FILE_MAX_BYTES, &subuid, NULL) < 0)
		subuid = xstrdup("");
	if (path_read_file("/etc/subgid", FILE_MAX_BYTES, &subgid, NULL) < 0)
		subgid = xstrdup("");
	return idmap_make(subuid, subgid, name, uid, getegid(), ret, err);
}

int idmap_of_user_or_single(struct idmap *ret, struct error **err)
{
	int r = idmap_of_user(ret, err);
	if (r != -ENOENT || geteuid() == 0)
		return r;
	error_clear(err);
	*ret = (struct idmap){ .uid = geteuid(), .gid = getegid(), .single = 1, .uid_count = 1, .gid_count = 1 };
	ret->uids[0] = (struct idmap_extent){ 0, ret->uid, 1 };
	ret->gids[0] = (struct idmap_extent){ 0, ret->gid, 1 };
	return 0;
}
