/* SPDX-License-Identifier: Apache-2.0
 * images.json beside machine.json names the images of a machine's containers; it may name one for
 * some seconds after its last container has gone. So a machine that runs is asked, by `holm ps`. A
 * stopped one has no container that runs. */
#include "image/commands/users.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/path.h"
#include "base/spawn.h"
#include "image/builder/engine.h"
#include "image/library/holders.h"

enum { LIST_MAX = 1 << 20, HOST_MAX = 4096, ANSWER_MS = 10 * 1000 };

void image_users_done(struct image_users *u)
{
	free(u->running);
	free(u->stopped);
	free(u->machine);
}

/* ---- the users of an image ---- */

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

struct search {
	const char *digest;
	struct image_users *users;
};

static void look_at(const char *machines, const char *name, void *data)
{
	const struct search *s = data;
	AUTOFREE char *directory = path_join(machines, name), *lock = path_join(directory, "lock");
	if (!holder_has_image(directory, s->digest))
		return;
	if (lock_is_held(lock) == 1)
		ask(s->users, name, s->digest);
	else
		keep(&s->users->machine, name);
}

void image_users_find(struct library *l, const char *digest, struct image_users *ret)
{
	struct search s = { digest, ret };
	*ret = (struct image_users){ 0 };
	library_each_machine(l, look_at, &s);
}

/* ---- images.json ---- */

/* The path of its docker.sock, by `holm docker-host`, which boots nothing; owned, or NULL. */
static char *socket_of(const char *machine)
{
	AUTOFREE char *program = path_program("holm"), *output = NULL;
	AUTO_STRV struct strv argv = { 0 };
	strv_add(&argv, program);
	strv_add(&argv, "docker-host");
	strv_addf(&argv, "--machine=%s", machine);
	if (spawn_capture(strv_argv(&argv), HOST_MAX, clock_deadline(ANSWER_MS), &output, NULL) != 0)
		return NULL;
	const char *path = startswith(output, "unix://");
	return path ? xstrndup(path, strcspn(path, "\n")) : NULL;
}

static void refresh(const char *machines, const char *name, void *data)
{
	AUTOFREE char *directory = path_join(machines, name), *lock = path_join(directory, "lock"),
		      *file = path_join(directory, "images.json");
	(void)data;
	AUTOFREE char *socket = path_exists(file) && lock_is_held(lock) == 1 ? socket_of(name) : NULL;
	if (!socket)
		return;
	AUTO_BUILD_ENGINE struct build_engine *engine = build_engine_new(name, socket);
	build_engine_delete(engine, "/holm/images");
}

void image_users_refresh(struct library *l)
{
	library_each_machine(l, refresh, NULL);
}
