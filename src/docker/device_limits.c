/* SPDX-License-Identifier: Apache-2.0
 * See device_limits.h. */
#include "docker/device_limits.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"

enum { PATH_BYTES_MAX = 4096 };

static const struct {
	const char *key, *word;
} kinds[] = { { "BlkioDeviceReadBps", "rbps" }, { "BlkioDeviceWriteBps", "wbps" }, { "BlkioDeviceReadIOps", "riops" },
	{ "BlkioDeviceWriteIOps", "wiops" } };

static int read_one(struct json_object *o, const char *key, struct docker_device_limit *ret, struct error **err)
{
	const char *path = "";
	uint64_t rate = 0;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "%s must be an array of objects", key);
	int r = json_get_string(o, "Path", &path, err);
	if (r == 0)
		r = json_get_u64(o, "Rate", &rate, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "%s has no Path or no Rate", key) : r;
	if (!*path || strlen(path) > PATH_BYTES_MAX)
		return error_set(err, EINVAL, "%s: Path is no path of a disk", key);
	ret->path = path;
	ret->rate = rate;
	return 0;
}

int docker_device_limits_parse(struct json_object *host, struct docker_device_limit ret[DOCKER_DEVICE_LIMITS_MAX],
    size_t *ret_count, struct error **err)
{
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct json_object *list = NULL;
		int r = json_get_array(host, kinds[i].key, &list, err);
		if (r < 0 && r != -ENOENT)
			return r;
		for (size_t k = 0; r == 0 && k < json_object_array_length(list); k++) {
			if (n == DOCKER_DEVICE_LIMITS_MAX)
				return error_set(err, EINVAL, "a container has at most %d limits of disks",
				    DOCKER_DEVICE_LIMITS_MAX);
			ret[n].word = kinds[i].word;
			r = read_one(json_object_array_get_idx(list, k), kinds[i].key, &ret[n], err);
			if (r < 0)
				return r;
			n++;
		}
	}
	*ret_count = n;
	return 0;
}
