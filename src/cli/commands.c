/* SPDX-License-Identifier: Apache-2.0
 * Which commands there are. */
#include "cli/commands.h"

#include "base/alloc.h"
#include "base/suggest.h"
#include "cli/container/images.h"
#include "image/options.h"

/* The verbs of containers are in their group, too. */
static const struct command_spec *const plain_commands[] = { &command_container_run, &command_container_create,
	&command_container_start, &command_container_exec, &command_container_attach, &command_container_wait,
	&command_container_cp, &command_container_ps, &command_container_logs, &command_container_stop,
	&command_container_restart, &command_container_kill, &command_container_rm, &command_container_port,
	&command_container_top, &command_container_rename, &command_container_pause, &command_container_unpause,
	&command_container_stats, &command_container_update, &command_inspect_any, &command_container_events,
	&command_container_diff, &command_container_commit, &command_container_export, &command_images,
	&command_history, &command_rmi, &command_system_info, &command_docker_host, &command_compose,
	&command_ssh_config, &command_completion, &command_help, &command_version, NULL };

static const struct command_spec *const container_commands[] = { &command_container_run, &command_container_create,
	&command_container_start, &command_container_exec, &command_container_attach, &command_container_wait,
	&command_container_cp, &command_container_ps, &command_container_logs, &command_container_stop,
	&command_container_restart, &command_container_kill, &command_container_rm, &command_container_inspect,
	&command_container_port, &command_container_top, &command_container_rename, &command_container_pause,
	&command_container_unpause, &command_container_stats, &command_container_update, &command_container_diff,
	&command_container_commit, &command_container_export, &command_container_prune, NULL };

static const struct command_spec *const machine_commands[] = { &command_create, &command_init, &command_start,
	&command_restart, &command_wait, &command_run, &command_ssh, &command_ls, &command_inspect, &command_set,
	&command_set_default, &command_mount_ls, &command_mount_add, &command_mount_rm, &command_port_ls,
	&command_port_add, &command_port_rm, &command_url, &command_open, &command_stop, &command_stats, &command_rm,
	&command_logs, &command_cp, &command_rename, &command_clone, &command_export, &command_import, &command_commit,
	&command_diff, &command_fix_owner, NULL };

static const struct command_spec *const system_commands[] = { &command_system_info, &command_system_df,
	&command_system_prune, &command_system_docker_socket, &command_container_events, NULL };

static const struct command_spec *const builder_commands[] = { &command_builder_prune, NULL };

static const struct command_spec *const volume_commands[] = { &command_volume_create, &command_volume_ls,
	&command_volume_inspect, &command_volume_rm, &command_volume_prune, NULL };

static const struct command_spec *const network_commands[] = { &command_network_create, &command_network_ls,
	&command_network_inspect, &command_network_rm, &command_network_connect, &command_network_disconnect,
	&command_network_prune, NULL };

const struct command_group command_groups[] = {
	{ "machine", "m", "machines: persistent Linux environments made from images", .commands = machine_commands },
	{ "container", NULL, "containers in a machine; \"container\" may be left out", .commands = container_commands },
	{ "network", NULL, "networks of containers", .commands = network_commands },
	{ "volume", NULL, "volumes of containers", .commands = volume_commands },
	{ "image", NULL, "images; pull, tag and others stand behind holm, too", .flat = image_commands,
	    .program = "holm-image" },
	{ "builder", NULL, "the cache of builds", .commands = builder_commands },
	{ "system", NULL, "this host and this installation", .commands = system_commands },
	{ "", NULL, "everything else", .commands = plain_commands },
	{ 0 },
};

/* Behind the plain commands come those that are holm-image's. */
const struct command_spec *command_at(const struct command_group *g, size_t i)
{
	const size_t plain = ARRAY_SIZE(plain_commands) - 1;
	if (g->commands == plain_commands && i >= plain)
		return images_at(i - plain);
	if (g->commands)
		return g->commands[i];
	return g->flat[i].name ? &g->flat[i] : NULL;
}

int command_is_shown(const struct command_group *g, const struct command_spec *c)
{
	const struct command_spec *other;
	for (const struct command_group *at = command_groups; !*g->name && at != g; at++)
		for (size_t i = 0; (other = command_at(at, i)); i++)
			if (other == c)
				return 0;
	return 1;
}

const struct command_group *command_group_find(const char *name)
{
	for (const struct command_group *g = command_groups; g->name; g++)
		if (*g->name && (streq(g->name, name) || streq(g->alias, name)))
			return g;
	return NULL;
}

const struct command_group *command_group_plain(void)
{
	const struct command_group *g = command_groups;
	while (*g->name)
		g++;
	return g;
}

/* Directly behind `holm` an alias of another group's command means nothing: `holm ls`. */
static int is_called(const struct command_group *g, const struct command_spec *c, const char *word)
{
	if (streq(c->name, word))
		return 1;
	if (!command_is_shown(g, c))
		return 0;
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
			if (is_called(g, command_at(g, i), name)) {
				*ret_words = words;
				return command_at(g, i);
			}
		}
	}
	return NULL;
}

int command_is_stem(const struct command_group *g, const char *word)
{
	AUTOFREE char *stem = xasprintf("%s ", word);
	for (size_t i = 0; command_at(g, i); i++)
		if (startswith(command_at(g, i)->name, stem))
			return 1;
	return 0;
}

char *command_prefix(const struct command_group *g)
{
	return *g->name ? xasprintf("holm %s", g->name) : xstrdup("holm");
}

/* ---- suggestions ---- */

const char *command_suggest(const struct command_group *g, const char *word)
{
	struct suggestion s = SUGGESTION(word);
	const struct command_spec *c;
	for (size_t i = 0; (c = command_at(g, i)); i++) {
		suggestion_offer(&s, c->name);
		for (const char *const *a = c->aliases; a && *a; a++)
			suggestion_offer(&s, *a);
	}
	for (const struct command_group *other = command_groups; !*g->name && other->name; other++)
		suggestion_offer(&s, other->name);
	return s.near;
}
