/* SPDX-License-Identifier: Apache-2.0
 * The path of a process's cgroup (version 2) in the file system. Pure. */
#pragma once

/* mountinfo: the text of /proc/self/mountinfo; cgroup: of /proc/PID/cgroup (cgroups(7); on hybrid
 * hosts its line "0::" counts). The directory, owned; NULL when no cgroup2 mount shows it. */
char *cgroup_path_of(const char *mountinfo, const char *cgroup);
