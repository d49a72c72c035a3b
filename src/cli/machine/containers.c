/* SPDX-License-Identifier: Apache-2.0
 * See containers.h. An export names images by digest and does not hold them. */
#include "cli/machine/containers.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/path.h"
#include "machine/machine.h"
#include "oci/digest.h"

#define IMAGES "images.json"
#define PORTS "ports.json"
#define MEMBER "container_images"

enum { FILE_MAX = 4 << 20, IMAGES_MAX = 1024, PORTS_SHOWN = 8 };

static int copy_file(const char *machine, const char *directory, const char *name, struct error **err)
{
	AUTOFREE char *source = machine_file(machine, name), *target = path_join(directory, name), *text = NULL;
	size_t size = 0;
	int r = path_read_file(source, FILE_MAX, &text, &size);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? error_set_errno(err, r, "cannot read %s", source) :
		       atomic_file_write(target, 0600, text, size, err);
}

int containers_copy(const char *machine, const char *directory, struct error **err)
{
	static const char *const names[] = { IMAGES, PORTS, "docker-socket", MACHINE_SCRIPT };
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = copy_file(machine, directory, names[i], err);
	return r;
}

/* ports.json has them as [IP:]HOST:1[/udp]. */
char *containers_ports(const char *machine)
{
	AUTOFREE char *file = machine_file(machine, PORTS);
	AUTO_JSON struct json_object *o = NULL;
	AUTO_STRV struct strv allowed = { 0 }, shown = { 0 };
	if (json_parse_file(file, FILE_MAX, &o, NULL) < 0 || json_get_strv(o, "allowed", &allowed, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < MIN(allowed.count, (size_t)PORTS_SHOWN); i++) {
		const char *text = allowed.items[i], *end = strrchr(text, ':');
		const char *protocol = end ? strchr(end, '/') : NULL;
		strv_addf(&shown, "%.*s%s", (int)(end ? end - text : (ptrdiff_t)strlen(text)), text,
		    protocol ? protocol : "");
	}
	if (allowed.count > PORTS_SHOWN)
		strv_addf(&shown, "%zu more", allowed.count - PORTS_SHOWN);
	return shown.count ? strv_join(&shown, ", ") : NULL;
}

void containers_describe(const char *machine, struct json_object *settings)
{
	AUTOFREE char *file = machine_file(machine, IMAGES);
	AUTO_JSON struct json_object *all = NULL;
	AUTO_STRV struct strv digests = { 0 };
	if (json_parse_file(file, FILE_MAX, &all, NULL) < 0 || !json_object_is_type(all, json_type_object))
		return;
	json_object_object_foreach(all, digest, image)
	{
		(void)image;
		strv_add(&digests, digest);
	}
	if (digests.count)
		json_add_strv(settings, MEMBER, &digests);
}

int containers_check(struct json_object *settings, struct error **err)
{
	AUTO_STRV struct strv digests = { 0 };
	if (json_get_strv(settings, MEMBER, &digests, NULL) < 0)
		return 0;
	if (digests.count > IMAGES_MAX)
		return error_set(err, E2BIG, "the archive names more than %d images of containers", IMAGES_MAX);
	int r = 0;
	for (size_t i = 0; r == 0 && i < digests.count; i++)
		r = digest_check(digests.items[i], "the image of a container", err);
	return r;
}

int containers_adopt(const char *machine, struct json_object *settings, struct error **err)
{
	AUTO_STRV struct strv digests = { 0 };
	AUTO_JSON struct json_object *all = json_object_new_object();
	if (json_get_strv(settings, MEMBER, &digests, NULL) < 0 || !digests.count)
		return 0;
	for (size_t i = 0; i < digests.count; i++) {
		json_object_object_del(all, digests.items[i]);
		json_add(all, digests.items[i], json_object_new_object());
	}
	AUTOFREE char *file = machine_file(machine, IMAGES), *text = json_to_string(all, 1);
	return atomic_file_write(file, 0600, text, strlen(text), err);
}
