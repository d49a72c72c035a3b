/* SPDX-License-Identifier: Apache-2.0
 * images.json beside machine.json names the images of a machine's containers; it may name one for
 * some seconds after its last container has gone. So a machine that runs is asked, by `holm ps`. A
 * stopped one has no container that runs. */
#include "image/commands/users.h"

#include <dirent.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/path.h"
#include "base/spawn.h"

enum { IMAGES_JSON_MAX = 4 << 20, LIST_MAX = 1 << 20, ANSWER_MS = 10 * 1000 };

void image_users_done(struct image_users *u)
{
	free(u->running);
	free(u->stopped);
	free(u->machine);
}

static int has_image(const char *directory, const char *digest)
{
	AUTOFREE char *path = path_join(directory, "images.json");
	AUTO_JSON struct json_object *o = NULL;
	return json_parse_file(path, IMAGES_JSON_MAX, &o, NULL) == 0 && json_object_is_type(o, json_type_object) &&
	       json_object_object_get_ex(o, digest, NULL);
}

static void keep(char **place, const char *text)
{
	if (!*place)
		*place = xstrdup(text);
}

/* Reads lines "ID STATE". */
static void read_list(struct image_users *u, const char *text)
{
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		char *state = strchr(lines.items[i], ' ');
		if (!state)
			continue;
		*state++ = '\0';
		int runs = streq(state, "running") || streq(state, "paused") || streq(state, "restarting");
		keep(runs ? &u->running : &u->stopped, lines.items[i]);
	}
}

static void ask(struct image_users *u, const char *machine, const char *digest)
{
	AUTOFREE char *program = path_program("holm"), *output = NULL;
	AUTO_STRV struct strv argv = { 0 };
	strv_add(&argv, program);
	strv_split(&argv, "ps --all --no-boot --no-trunc", " ");
	strv_add(&argv, "--format={{.ID}} {{.State}}");
	strv_addf(&argv, "--machine=%s", machine);
	strv_addf(&argv, "--filter=ancestor=%s", digest);
	if (spawn_capture(strv_argv(&argv), LIST_MAX, clock_deadline(ANSWER_MS), &output, NULL) == 0)
		read_list(u, output);
	else
		keep(&u->machine, machine);
}

static void look_at(struct image_users *u, const char *machines, const char *name, const char *digest)
{
	AUTOFREE char *directory = path_join(machines, name), *lock = path_join(directory, "lock");
	if (!has_image(directory, digest))
		return;
	if (lock_is_held(lock) == 1)
		ask(u, name, digest);
	else
		keep(&u->machine, name);
}

void image_users_find(struct library *l, const char *digest, struct image_users *ret)
{
	AUTOFREE char *data = path_parent(l->path), *machines = path_join(data, "machines");
	DIR *d = opendir(machines);
	*ret = (struct image_users){ 0 };
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.')
			look_at(ret, machines, e->d_name, digest);
	if (d)
		closedir(d);
}
