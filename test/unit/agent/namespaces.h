/* SPDX-License-Identifier: Apache-2.0
 * User and mount namespaces of a process of a test. */
#pragma once

#include <sched.h>

#include "tree.h"

enum { CANNOT = 77 }; /* exit status of a process that this host gives no namespaces */

/* Writes `text` over all of /proc/self/NAME. */
static inline void write_self(const char *name, const char *text)
{
	AUTOFREE char *path = path_join("/proc/self", name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fd_write_full(fd, text, strlen(text)) == 0);
}

/* The process is root there; exits with CANNOT where that cannot be had. */
static inline void enter_namespaces(void)
{
	AUTOFREE char *uids = xasprintf("0 %u 1", (unsigned)getuid()), *gids = xasprintf("0 %u 1", (unsigned)getgid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		_exit(CANNOT);
	write_self("setgroups", "deny");
	write_self("uid_map", uids);
	write_self("gid_map", gids);
}
