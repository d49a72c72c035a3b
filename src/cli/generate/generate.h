/* SPDX-License-Identifier: Apache-2.0
 * Manual pages and completion come from the tables that parse the command line, so they cannot
 * disagree. A program of the build writes both; `holm completion` prints completion. */
#pragma once

#include <stdio.h>

#include "cli/commands.h"

/* Copies a manual page's text; a line "@COMMANDS machine@" becomes the descriptions of that group's
 * commands ("@COMMANDS @" the plain ones). */
int generate_man(const char *template);
void generate_bash(FILE *out);
void generate_zsh(FILE *out);
void generate_fish(FILE *out);

/* The completions of an option's value or a command's words: "choices a b" or a kind ("machine");
 * "" for none. Owned. */
char *generate_value_of(const struct option_spec *s);
/* Calls fn for every command with its full name behind "holm": "machine mount add", "version". */
void generate_each(void (*fn)(FILE *out, const char *full_name, const struct command_group *g,
		       const struct command_spec *c),
    FILE *out);
