/* SPDX-License-Identifier: Apache-2.0
 * See owner.h. */
#include "image/builder/owner.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/strv.h"

/* The field of the line of this name in a file like /etc/passwd. 0, -ENOENT or -EINVAL. */
static int find_id(const struct contents *base, const char *file, const char *name, int field, uint32_t *ret)
{
	struct content **at = contents_find(base, file);
	AUTO_STRV struct strv lines = { 0 };
	if (!at || !(*at)->text)
		return -ENOENT;
	strv_split(&lines, (*at)->text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		size_t n = strlen(name);
		const char *rest = lines.items[i] + n;
		if (strncmp(lines.items[i], name, n) != 0 || *rest != ':')
			continue;
		for (int k = 0; rest && k < field; k++)
			rest = strchr(rest, ':') ? strchr(rest, ':') + 1 : NULL;
		AUTOFREE char *number = rest ? xstrndup(rest, strcspn(rest, ":")) : NULL;
		return number && parse_u32(number, ret) == 0 ? 0 : -EINVAL;
	}
	return -ENOENT;
}

int build_find_owner(const struct contents *base, const char *owner, uint32_t *ret_uid, uint32_t *ret_gid,
    struct error **err)
{
	AUTOFREE char *user = xstrndup(owner, strcspn(owner, ":"));
	const char *group = strchr(owner, ':') ? strchr(owner, ':') + 1 : NULL;
	int r = 0;
	if (parse_u32(user, ret_uid) == 0)
		*ret_gid = *ret_uid;
	else if ((r = find_id(base, "/etc/passwd", user, 2, ret_uid)) == 0)
		r = find_id(base, "/etc/passwd", user, 3, ret_gid);
	if (r < 0)
		return error_set(err, EINVAL, "the image has no user \"%.60s\"", user);
	if (group && *group && parse_u32(group, ret_gid) < 0 && find_id(base, "/etc/group", group, 2, ret_gid) < 0)
		return error_set(err, EINVAL, "the image has no group \"%.60s\"", group);
	return 0;
}
