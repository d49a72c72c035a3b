/* SPDX-License-Identifier: Apache-2.0
 * The step of a worker into a pid namespace. */
#pragma once

/* Forks; the caller stays behind, waits for the child and whatever else ends here, and ends as the
 * child did. Returns in the child, which is not dumpable (session/child.c) and ends with the
 * caller. 0 or -errno. */
int below_fork(void);
