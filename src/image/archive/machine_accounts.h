/* SPDX-License-Identifier: Apache-2.0
 * The files of accounts in a machine, without the account that holm makes for the machine's
 * user. */
#pragma once

#include <stdint.h>

#include "base/strv.h"

struct machine_owner {
	const char *user; /* borrowed */
	uint32_t gid;
	struct strv groups; /* names of groups that were left out so far */
};

/* The files, in the order in which they have to be read; NULL-terminated. */
extern const char *const machine_account_files[];

/* The text of one of these files without the lines, and the memberships, that the image's version
 * (`base`, or NULL) has not and that are the owner's. Owned. */
char *machine_accounts_filter(const char *path, struct machine_owner *o, const char *base, const char *text);
