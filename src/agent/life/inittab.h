/* SPDX-License-Identifier: Apache-2.0
 * /etc/inittab for busybox's init, made fit for a machine without the terminals and programs that
 * it names. */
#pragma once

/* Whether `program` (an absolute path) can be run in the machine. */
typedef int (*inittab_exists_fn)(const char *program, void *data);

/* The text without the lines that can only fail: those whose program is missing, and terminals that
 * nobody sits at (ttyN). Owned; NULL when nothing had to be changed. */
char *inittab_filter(const char *text, inittab_exists_fn exists, void *data);
