/* SPDX-License-Identifier: Apache-2.0
 * The early boot of a VM, before anything else runs: a root other than the initial ramfs, modules,
 * the kernel's file systems. */
#pragma once

int early_prepare(void); /* 0 or -errno; what went wrong is in the log */
/* The value of "key=value" on the kernel's command line, owned, or NULL. */
char *early_option(const char *key);
