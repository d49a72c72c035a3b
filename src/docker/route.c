/* SPDX-License-Identifier: Apache-2.0
 * See route.h. */
#include "docker/route.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "http/http.h"

enum { MAJOR = 1, MINOR_MIN = 24, MINOR_MAX = 51 };

/* "1.41" at s: the minor version, with *ret_end behind it; -EINVAL. */
static int parse_version(const char *s, size_t size, uint32_t *ret_major, uint32_t *ret_minor)
{
	AUTOFREE char *text = xstrndup(s, size);
	char *dot = strchr(text, '.');
	if (!dot)
		return -EINVAL;
	*dot = '\0';
	int r = parse_u32(text, ret_major);
	return r < 0 ? r : parse_u32(dot + 1, ret_minor);
}

const char *docker_strip_version(const char *path, struct error **err)
{
	uint32_t major, minor;
	if (path[0] != '/' || path[1] != 'v' || path[2] < '0' || path[2] > '9')
		return path;
	size_t size = strcspn(path + 2, "/");
	const char *rest = path + 2 + size;
	if (parse_version(path + 2, size, &major, &minor) < 0)
		return path;
	if (major > MAJOR || (major == MAJOR && minor > MINOR_MAX)) {
		error_set(err, EINVAL,
		    "client version %u.%u is too new. Maximum supported API version is " DOCKER_API_VERSION, major,
		    minor);
		return NULL;
	}
	if (major < MAJOR || minor < MINOR_MIN) {
		error_set(err, EINVAL,
		    "client version %u.%u is too old. Minimum supported API version is " DOCKER_API_MINIMUM
		    ", please upgrade your client to a newer version",
		    major, minor);
		return NULL;
	}
	return *rest ? rest : "/";
}

char *docker_query(const char *target, const char *key)
{
	AUTOFREE char *copy = xstrdup(target);
	char *query = strchr(copy, '?');
	for (char *c = query; c && (c = strchr(c, '+'));)
		*c = ' ';
	return http_target_query(copy, key);
}

/* Decodes the text of the star as a query is decoded; NULL where it cannot be a name. */
static char *decode_name(const char *s, size_t size)
{
	AUTOFREE char *target = xasprintf("?n=%.*s", (int)size, s);
	char *name = http_target_query(target, "n");
	if (name && *name)
		return name;
	free(name);
	return NULL;
}

int docker_match(const char *path, const char *pattern, char **ret_name)
{
	const char *star = strchr(pattern, '*');
	*ret_name = NULL;
	if (!star)
		return streq(path, pattern);
	int many = star[1] == '*';
	const char *tail = star + 1 + many;
	size_t head = (size_t)(star - pattern), size = strlen(path), end = strlen(tail);
	if (size <= head + end || strncmp(path, pattern, head) != 0 || !endswith(path, tail))
		return 0;
	size_t length = size - head - end;
	if (!many && memchr(path + head, '/', length))
		return 0;
	*ret_name = decode_name(path + head, length);
	return *ret_name != NULL;
}
