/* SPDX-License-Identifier: Apache-2.0
 * Landlock (landlock(7)): the files that a process may open, also one that was taken over. */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum landlock_use {
	LANDLOCK_PROGRAMS, /* read and execute, with all that is beneath */
	LANDLOCK_READ,     /* read, with all that is beneath */
	LANDLOCK_WRITE,    /* read and write a file, a device's too */
};

/* The version that this kernel has; 0: none, or not switched on. */
int landlock_version(void);
/* Rules that allow nothing yet: no file, and without `tcp` no TCP port; of other processes neither
 * abstract sockets nor signals, as far as the kernel's version goes. Descriptor or -EOPNOTSUPP. */
int landlock_new(int tcp, struct error **err);
/* Adds a path to the rules. What is not there, or cannot be opened, is left out. 0 or -errno. */
int landlock_allow(int rules, const char *path, enum landlock_use use, struct error **err);
/* Restricts the calling process, for good, and what it executes; it gains no privileges any more.
 * Async-signal-safe. 0 or -errno. */
int landlock_restrict(int rules);
