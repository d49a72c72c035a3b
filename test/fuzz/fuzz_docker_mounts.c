/* SPDX-License-Identifier: Apache-2.0
 * Mounts: a word of -v, options of a tmpfs, a create body, a record. What a record's list becomes
 * is written and read again to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "docker/mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(const char *text)
{
	AUTO_DOCKER_MOUNT struct docker_mount m = { 0 };
	AUTOFREE char *options = NULL, *again = NULL;
	if (docker_mount_of_bind(text, &m, NULL) == 0 && (m.destination[0] != '/' || streq(m.destination, "/")))
		abort();
	if (docker_tmpfs_options(text, &options, NULL) == 0 && strlen(options) <= DOCKER_MOUNT_TEXT_MAX / 2 &&
	    docker_tmpfs_options(options, &again, NULL) < 0)
		abort();
}

static void check_record(struct json_object *o)
{
	AUTO_DOCKER_MOUNTS struct docker_mounts list = { 0 }, again = { 0 };
	struct json_object *array = NULL;
	if (json_get_array(o, "mounts", &array, NULL) < 0 || docker_mounts_load(&list, array, NULL) < 0)
		return;
	AUTO_JSON struct json_object *stored = docker_mounts_store(&list);
	if (docker_mounts_load(&again, stored, NULL) < 0)
		abort();
	AUTO_JSON struct json_object *same = docker_mounts_store(&again);
	if (!json_object_equal(stored, same))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = xstrndup((const char *)data, size);
	AUTO_JSON struct json_object *o = NULL;
	AUTO_DOCKER_MOUNTS struct docker_mounts list = { 0 };
	check_words(text);
	if (json_parse((const char *)data, size, "input", &o, NULL) < 0 || !json_object_is_type(o, json_type_object))
		return 0;
	if (docker_mounts_of_body(&list, o, NULL) == 0)
		(void)docker_mounts_of_volumes(&list, o, NULL);
	docker_mounts_sort(&list);
	if (list.count > DOCKER_MOUNTS_MAX)
		abort();
	check_record(o);
	return 0;
}
