/* SPDX-License-Identifier: Apache-2.0
 * holm-agent --native: from a process on the host to the first process of the machine's outer
 * namespaces. */
#pragma once

/* Descriptor 3 is the keeper's socket. Returns the exit status. */
int native_main(void);
/* holm-agent --native-first GO: what native_main() executes as process 1 of the namespaces; GO: the
 * keeper's message. */
int native_first_main(const char *go);
