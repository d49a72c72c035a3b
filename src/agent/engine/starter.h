/* SPDX-License-Identifier: Apache-2.0
 * holm-agent --start BUNDLE PID-FILE LOG: starts a container as `crun run --detach` does, in a
 * third of the time. */
#pragma once

/* Returns the exit status: 0 once the program runs, whose number is in the file then; else 1, and
 * the reason is the log's last line. It lacks terminals, limits of processes (rlimits), and new
 * user namespaces. */
int starter_main(const char *bundle, const char *pid_file, const char *log);
