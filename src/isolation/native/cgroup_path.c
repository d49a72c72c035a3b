/* SPDX-License-Identifier: Apache-2.0 */
#include "isolation/native/cgroup_path.h"

#include <limits.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/path.h"
#include "base/strv.h"

enum { FIELD_ROOT = 3, FIELD_MOUNT_POINT = 4, FIELDS_MIN = 10 };

/* mountinfo writes blanks and the like as \040. */
static char *unescape(const char *field)
{
	char *s = xstrdup(field), *to = s;
	for (const char *from = s; *from;) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
		    from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return s;
}

/* The path below the hierarchy's root, owned; NULL: not in a version 2 cgroup that can be named. */
static char *own_path(const char *cgroup)
{
	for (const char *line = cgroup; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *path = startswith(line, "0::");
		if (!path)
			continue;
		size_t size = strcspn(path, "\n");
		/* Outside of the cgroup namespace's root it begins with "/..". */
		if (size == 0 || size >= PATH_MAX || path[0] != '/' || startswith(path, "/.."))
			return NULL;
		return xstrndup(path, size);
	}
	return NULL;
}

static int is_cgroup2(const struct strv *fields)
{
	for (size_t i = FIELD_MOUNT_POINT + 2; i + 1 < fields->count; i++)
		if (streq(fields->items[i], "-"))
			return streq(fields->items[i + 1], "cgroup2");
	return 0;
}

static char *below_mount(const char *line, const char *own)
{
	AUTO_STRV struct strv fields = { 0 };
	strv_split(&fields, line, " ");
	if (fields.count < FIELDS_MIN - 1 || !is_cgroup2(&fields))
		return NULL;
	AUTOFREE char *root = unescape(fields.items[FIELD_ROOT]), *point = unescape(fields.items[FIELD_MOUNT_POINT]);
	if (root[0] != '/' || startswith(root, "/..") || !path_is_below(own, root))
		return NULL;
	const char *rest = streq(root, "/") ? own : own + strlen(root);
	rest += *rest == '/';
	return *rest ? xasprintf("%s%s%s", point, endswith(point, "/") ? "" : "/", rest) : xstrdup(point);
}

char *cgroup_path_of(const char *mountinfo, const char *cgroup)
{
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *own = own_path(cgroup);
	if (!own)
		return NULL;
	strv_split(&lines, mountinfo, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		char *path = below_mount(lines.items[i], own);
		if (path)
			return path;
	}
	return NULL;
}
