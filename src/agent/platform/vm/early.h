/* SPDX-License-Identifier: Apache-2.0
 * What the VM needs before anything else runs: a root that is not the initial ramfs's, modules, the
 * kernel's file systems. */
#pragma once

int early_prepare(void); /* 0 or -errno; what went wrong is in the log */
/* The value of "key=value" on the kernel's command line, owned, or NULL. */
char *early_option(const char *key);
