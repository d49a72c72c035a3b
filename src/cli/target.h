/* SPDX-License-Identifier: Apache-2.0
 * Which machines a command is about. */
#pragma once

#include "base/options.h"

/* The machine that is meant where none is named: $HOLM_MACHINE of the host, else the default one.
 * *ret is owned. 0 or -errno. */
int target_default(char **ret, struct error **err);
/* The given machine, or for NULL the one that is meant; it exists. *ret is owned. 0 or -errno. */
int target_machine(const char *given, char **ret, struct error **err);
/* Resolves the command's target: options_target() and options_targets() give the names afterwards,
 * options_words() what is left. 0 or -errno: the machine does not exist, there is no default one,
 * or words and options contradict each other. */
int target_resolve(const struct command_spec *c, struct options *o, struct error **err);
