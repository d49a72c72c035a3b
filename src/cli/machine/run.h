/* SPDX-License-Identifier: Apache-2.0
 * Shared by `machine run` and `machine ssh`: their options, and the way from words to a session. */
#pragma once

#include "base/options.h"

extern const struct option_spec run_options[], ssh_options[];
enum run_manner {
	RUN_WORDS, /* the words are the command; it has a terminal where holm has one */
	RUN_SSH,   /* the login shell runs the joined words; a terminal only with --tty */
};
/* Boots the command's target when it is stopped and runs the words (none: a login shell) in it; the
 * exit status. */
int run_in_machine(struct options *o, enum run_manner manner);
