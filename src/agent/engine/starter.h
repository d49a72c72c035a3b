/* SPDX-License-Identifier: Apache-2.0
 * holm-agent --start BUNDLE PID-FILE LOG [SOCKET]: starts a container as `crun run --detach` does,
 * in a third of the time. */
#pragma once

/* Returns the exit status: 0 once the program runs; else 1, and the reason is the log's last line.
 * The file has the number of the container's process as soon as there is one, so also of one that
 * does not come to run its program. A terminal's master goes to the socket. It makes no new user
 * namespace. */
int starter_main(const char *bundle, const char *pid_file, const char *log, const char *console);
