/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Removes the machine's cgroup with all groups below it, once nothing runs in it any more; waits a
 * moment for what is dying. None: fine. */
void cgroup_remove(void);
/* Enables every controller that there is for everything below the root of our cgroup namespace. */
void cgroup_enable_controllers(void);
