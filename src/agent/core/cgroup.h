/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Removes the cgroups of the machine and of its containers with all groups below them, once nothing
 * runs in them any more; waits a moment for what is dying. None: fine. */
void cgroup_remove(void);
void cgroup_remove_containers(void);       /* that of the containers alone */
void cgroup_remove_tree(const char *path); /* at once */
/* Kills what is left in a group, waits a moment for it, and removes the group with all below. */
void cgroup_end(const char *path);
/* Kills what is left in them. */
void cgroup_kill(void);
/* Enables every controller that there is for everything below the root of our cgroup namespace. */
void cgroup_enable_controllers(void);
