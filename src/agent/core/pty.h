/* SPDX-License-Identifier: Apache-2.0
 * A terminal for a child that is inside already. */
#pragma once

#include <sys/types.h>

/* Makes a terminal in the devpts at /dev/pts, or with `or_device` by /dev/ptmx. It has this size
 * and owner before anybody can look at it. It becomes the controlling terminal of the calling
 * process, which leads a session, and its standard streams. The master or -errno. */
int pty_open(unsigned rows, unsigned columns, uid_t owner, int or_device);
