/* SPDX-License-Identifier: Apache-2.0
 * The prunes. In a terminal they ask first, unless --force says yes. */
#pragma once

#include "base/options.h"
#include "cli/container/api.h"

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
extern const struct prune prune_of_containers;

enum { PRUNE_MS = 10 * 60 * 1000 };

/* Asks on the terminal unless --force is given: 1 yes, 0 no. -ENOTTY without one. */
int prune_ask(const struct options *o, const char *question, struct error **err);
/* Runs one without asking, and shows what went; adds to *bytes. 1, 0 if it has no size, or
 * -errno. */
int prune_call(const struct api *a, const struct prune *what, const struct strv *given, uint64_t *bytes,
    struct error **err);
void prune_show_total(uint64_t bytes);
/* Runs one; its exit status. */
int prune_run(const struct prune *what, const struct command_spec *c, const struct options *o);
