/* SPDX-License-Identifier: Apache-2.0
 * See holders.h. */
#include "image/library/holders.h"

#include <dirent.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/path.h"

enum { IMAGES_JSON_MAX = 4 << 20 };

void library_each_machine(struct library *l, void (*look)(const char *machines, const char *name, void *data),
    void *data)
{
	AUTOFREE char *folder = path_parent(l->path), *machines = path_join(folder, "machines");
	DIR *d = opendir(machines);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.')
			look(machines, e->d_name, data);
	if (d)
		closedir(d);
}

int holder_has_image(const char *directory, const char *digest)
{
	AUTOFREE char *path = path_join(directory, "images.json");
	AUTO_JSON struct json_object *o = NULL;
	return json_parse_file(path, IMAGES_JSON_MAX, &o, NULL) == 0 && json_object_is_type(o, json_type_object) &&
	       json_object_object_get_ex(o, digest, NULL);
}

struct search {
	const char *digest;
	int found;
};

static void look_at(const char *machines, const char *name, void *data)
{
	struct search *s = data;
	AUTOFREE char *directory = path_join(machines, name);
	s->found = s->found || holder_has_image(directory, s->digest);
}

int library_is_held(struct library *l, const char *digest)
{
	struct search s = { .digest = digest };
	library_each_machine(l, look_at, &s);
	return s.found;
}
