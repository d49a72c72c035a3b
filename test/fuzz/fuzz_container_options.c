/* SPDX-License-Identifier: Apache-2.0
 * Texts of -v, --mount, --tmpfs, --ulimit and the like: what is taken becomes valid JSON. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cli/container/mounts.h"
#include "cli/container/values.h"
#include "docker/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_mount(const char *text)
{
	AUTO_JSON struct json_object *mount = NULL;
	const char *target = NULL, *type = NULL;
	if (mounts_parse(text, &mount, NULL) < 0)
		return;
	if (json_get_string(mount, "Target", &target, NULL) < 0 || target[0] != '/' ||
	    json_get_string(mount, "Type", &type, NULL) < 0 || !*type)
		abort();
}

static void check_volume(const char *text)
{
	AUTO_JSON struct json_object *binds = json_object_new_array(), *volumes = json_object_new_object();
	int r = mounts_add_volume(text, binds, volumes, NULL);
	size_t count = json_object_array_length(binds) + (size_t)json_object_object_length(volumes);
	if (count != (r == 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = xstrndup((const char *)data, size);
	AUTO_JSON struct json_object *tmpfs = json_object_new_object(), *pairs = json_object_new_object(),
				     *limit = NULL, *device = NULL, *restart = NULL;
	unsigned char keys[DOCKER_KEYS_MAX];
	size_t count = 0;
	int64_t number = 0;
	check_mount(text);
	check_volume(text);
	(void)mounts_add_tmpfs(text, tmpfs, NULL);
	(void)value_pair("label", text, pairs, NULL);
	(void)value_ulimit(text, &limit, NULL);
	(void)value_device(text, &device, NULL);
	(void)value_restart(text, &restart, NULL);
	if (value_cpus(text, &number, NULL) == 0 && number < 0)
		abort();
	(void)value_number("n", text, &number, NULL);
	if (value_size("size", text, &number, NULL) == 0 && number < -1)
		abort();
	if (docker_keys_parse(text, keys, &count, NULL) == 0 && count > DOCKER_KEYS_MAX)
		abort();
	return 0;
}
