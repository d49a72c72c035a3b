/* SPDX-License-Identifier: Apache-2.0
 * A table on stdout: titles, and columns as wide as their longest cell. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

struct table {
	const char *const *titles; /* borrowed */
	int columns;
	char ***rows;
	size_t count;
};

void table_init(struct table *t, const char *const *titles, int columns);
void table_done(struct table *t);
#define AUTO_TABLE CLEANUP(table_done)
/* The cells of one more row, all NULL; the caller fills them with owned strings. */
char **table_row(struct table *t);
/* 0 or -errno. */
int table_print(const struct table *t, struct error **err);
