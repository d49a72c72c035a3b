/* SPDX-License-Identifier: Apache-2.0
 * The prunes. In a terminal they ask first, unless --force says yes. */
#pragma once

#include "base/options.h"

/* clang-format off */
#define PRUNE_OPTIONS \
	{ "force", 'f', OPTION_FLAG, NULL, "do not ask first" }, \
	{ "filter", 0, OPTION_LIST, "KEY=VALUE", "only those that match: label, until" }
/* clang-format on */

struct prune {
	const char *target;   /* "/volumes/prune" */
	const char *deleted;  /* the answer's member with the names */
	const char *title;    /* "Deleted Volumes:" */
	const char *question; /* one sentence */
	const char *filter;   /* one more filter, or NULL */
};
/* Runs one; its exit status. */
int prune_run(const struct prune *what, const struct command_spec *c, const struct options *o);
