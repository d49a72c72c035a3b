/* SPDX-License-Identifier: Apache-2.0
 * holm-agent --native: from a process on the host to the first process of the machine's outer
 * namespaces. */
#pragma once

/* Descriptor 3 is the keeper's socket. Returns the exit status. */
int native_main(void);
/* holm-agent --native-first GO: what native_main() executes as process 1 of the namespaces; GO: the
 * keeper's message. */
int native_first_main(const char *go);
/* holm-agent --attach [FROM INSIDE]...: crun runs it in the init's namespaces before AGENT_ROOT
 * becomes their root. Clones the mounts at FROM and attaches them at INSIDE of the machine. What is
 * cloned there is locked: read-only stays read-only, a cover stays in its place. The exit
 * status. */
int native_attach_main(int argc, char **argv);
