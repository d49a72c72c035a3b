/* SPDX-License-Identifier: Apache-2.0
 * The hook of the init's container. */
#pragma once

/* holm-agent --attach [--boot-id] [--systemd] [FROM INSIDE]...: crun runs it in the init's
 * namespaces before AGENT_ROOT becomes their root. Puts the boot id in place, clones the mounts at
 * FROM and attaches them at INSIDE of the machine. The kernel has locked what it finds there, so
 * systemd is told to leave it alone. The exit status. */
int attach_main(int argc, char **argv);
