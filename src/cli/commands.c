/* SPDX-License-Identifier: Apache-2.0
 * Which commands there are. */
#include "cli/commands.h"

#include "base/alloc.h"
#include "image/options.h"

static const struct command_spec *const plain_commands[] = { &command_help, &command_version, NULL };

static const struct command_spec *const machine_commands[] = { &command_create, &command_init, &command_start,
	&command_run, &command_ssh, &command_ls, &command_inspect, &command_set, &command_set_default,
	&command_mount_ls, &command_mount_add, &command_mount_rm, &command_port_ls, &command_port_add, &command_port_rm,
	&command_stop, &command_rm, &command_logs, &command_cp, &command_rename, &command_clone, &command_export,
	&command_import, &command_fix_owner, NULL };

static const struct command_spec *const system_commands[] = { &command_system_info, NULL };

const struct command_group command_groups[] = {
	{ "machine", "m", "machines: persistent Linux environments made from images", .commands = machine_commands },
	{ "image", NULL, "images that machines are made from", .flat = image_commands, .program = "holm-image" },
	{ "system", NULL, "this host and this installation", .commands = system_commands },
	{ "", NULL, "about holm", .commands = plain_commands },
	{ 0 },
};

const struct command_spec *command_at(const struct command_group *g, size_t i)
{
	if (g->commands)
		return g->commands[i];
	return g->flat[i].name ? &g->flat[i] : NULL;
}

const struct command_group *command_group_find(const char *name)
{
	for (const struct command_group *g = command_groups; g->name; g++)
		if (*g->name && (streq(g->name, name) || streq(g->alias, name)))
			return g;
	return NULL;
}

static int is_called(const struct command_spec *c, const char *word)
{
	if (streq(c->name, word))
		return 1;
	for (const char *const *a = c->aliases; a && *a; a++)
		if (streq(*a, word))
			return 1;
	return 0;
}

const struct command_spec *command_find(const struct command_group *g, int argc, char *const *argv, int *ret_words)
{
	for (int words = argc > 1 ? 2 : 1; words > 0 && argc > 0; words--) {
		AUTOFREE char *name = words == 2 ? xasprintf("%s %s", argv[0], argv[1]) : xstrdup(argv[0]);
		for (size_t i = 0; command_at(g, i); i++) {
			if (is_called(command_at(g, i), name)) {
				*ret_words = words;
				return command_at(g, i);
			}
		}
	}
	return NULL;
}

char *command_prefix(const struct command_group *g)
{
	return *g->name ? xasprintf("holm %s", g->name) : xstrdup("holm");
}

/* ---- suggestions ---- */

enum { WORD_MAX = 24, NEAR = 2 };

/* How many letters must be put in, left out, changed or swapped with their neighbour to make b of a
 * (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);
	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			unsigned changed = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			d[i][j] = MIN(changed, MIN(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n][m];
}

static void consider(const char *word, const char *candidate, unsigned *best, const char **ret)
{
	unsigned n = distance(word, candidate);
	/* Of a short word nearly everything is near. */
	if (n < *best && n < strlen(word)) {
		*best = n;
		*ret = candidate;
	}
}

const char *command_suggest(const struct command_group *g, const char *word)
{
	unsigned best = NEAR + 1;
	const char *found = NULL;
	const struct command_spec *c;
	for (size_t i = 0; (c = command_at(g, i)); i++) {
		consider(word, c->name, &best, &found);
		for (const char *const *a = c->aliases; a && *a; a++)
			consider(word, *a, &best, &found);
	}
	for (const struct command_group *other = command_groups; !*g->name && other->name; other++)
		consider(word, other->name, &best, &found);
	return found;
}
