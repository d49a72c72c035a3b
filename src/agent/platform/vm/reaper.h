/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The first process of the VM: makes a root that containers can be started from, loads the modules
 * of the bundle, then starts the agent and starts it again when it dies, while it reaps what is
 * orphaned. Returns only when nothing can be done any more. */
int reaper_run(void);
