/* SPDX-License-Identifier: Apache-2.0
 * The OOM score (proc_pid_oom_score_adj(5)). In a VM the kernel kills the agent and the engine as
 * the last of all when memory is short; programs of the machine and of containers have the score
 * of any other program. Natively only rights over the host lower a score, so nothing is spared. */
#pragma once

#include <stdint.h>

enum { OOM_SCORE_AGENT = -900, OOM_SCORE_ENGINE = -500 };

/* Sets this process's own, which its children have, too: 0 or -errno. Async-signal-safe, as is the
 * other one. */
int oom_score_set(int64_t score);
/* Raises a score below 0 to 0, before this process runs a program of somebody else. */
void oom_score_give_up(void);
