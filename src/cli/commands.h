/* SPDX-License-Identifier: Apache-2.0
 * The table of all commands, and how one is found. A command is a constant at the top of its own
 * file; a name of two words ("mount add") is a command below a command. */
#pragma once

#include "base/options.h"

struct command_group {
	const char *name;  /* "machine"; "" for commands that stand directly behind `holm` */
	const char *alias; /* "m", or NULL */
	const char *summary;
	const struct command_spec *const *commands; /* NULL-terminated; or NULL and: */
	const struct command_spec *flat;            /* ends with a NULL name */
	const char *program; /* libexec program that runs this group's commands, or NULL: they run here */
};

/* The group's i-th command, or NULL past the last. */
const struct command_spec *command_at(const struct command_group *g, size_t i);
/* Whether the group's help has the command: those of another group that also stand directly behind
 * `holm` are in that group's. */
int command_is_shown(const struct command_group *g, const struct command_spec *c);

extern const struct command_group command_groups[]; /* ends with a NULL name */

extern const struct command_spec command_clone, command_commit, command_cp, command_create, command_diff,
    command_export, command_fix_owner, command_import, command_init, command_inspect, command_logs, command_ls,
    command_mount_add, command_mount_ls, command_open, command_mount_rm, command_port_add, command_port_ls,
    command_port_rm, command_rename, command_restart, command_rm, command_run, command_set, command_set_default,
    command_ssh, command_start, command_stats, command_stop, command_url, command_wait;
extern const struct command_spec command_completion, command_compose, command_docker_host, command_ssh_config;
extern const struct command_spec command_container_diff, command_container_commit, command_container_export,
    command_container_prune, command_builder_prune, command_system_prune;
extern const struct command_spec command_container_attach, command_container_cp, command_container_create,
    command_container_exec, command_container_pause, command_container_run, command_container_start,
    command_container_stats, command_container_unpause, command_container_update, command_container_wait;
extern const struct command_spec command_container_inspect, command_container_kill, command_container_logs,
    command_container_port, command_container_ps, command_container_rename, command_container_restart,
    command_container_rm, command_container_stop, command_container_top, command_container_events, command_images,
    command_history, command_inspect_any, command_rmi;
extern const struct command_spec command_network_connect, command_network_create, command_network_disconnect,
    command_network_inspect, command_network_ls, command_network_prune, command_network_rm;
extern const struct command_spec command_volume_create, command_volume_inspect, command_volume_ls, command_volume_prune,
    command_volume_rm;
extern const struct command_spec command_help, command_system_df, command_system_docker_socket, command_system_info,
    command_version;

/* Finds the command that argv[0] (and argv[1], for names of two words) names in the group:
 * *ret_words says how many words its name took. */
const struct command_spec *command_find(const struct command_group *g, int argc, char *const *argv, int *ret_words);
const struct command_group *command_group_find(const char *name); /* by name or alias; never the "" group */
const struct command_group *command_group_plain(void);            /* the "" group */
/* Whether the word is the first of commands of two words: `holm machine mount`. */
int command_is_stem(const struct command_group *g, const char *word);
/* The known word nearest to a mistyped one, or NULL when none is near. */
const char *command_suggest(const struct command_group *g, const char *word);
/* "holm machine": what stands before a command's own name. Owned. */
char *command_prefix(const struct command_group *g);

/* Runs what argv (behind "holm") says; the exit status. */
int command_main(int argc, char *const *argv);
/* Help of everything, of a group, or of one command. */
void help_print_all(FILE *out);
void help_print_command(FILE *out, const struct command_group *g, const struct command_spec *c);
void help_print_group(FILE *out, const struct command_group *g, const char *under);

/* The option row of commands that work on one named machine or the default one. */
#define NAME_OPTION                                                                                                    \
	{                                                                                                              \
		"name", 'n', OPTION_STRING, "NAME", "the machine", .default_text = "the default machine",              \
								   .complete = "machine"                               \
	}
