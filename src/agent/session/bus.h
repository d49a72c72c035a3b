/* SPDX-License-Identifier: Apache-2.0
 * The message bus of the user's manager, which comes up after sessions may start. */
#pragma once

#include <stdint.h>

/* Whether the image starts a bus for each user's manager, or the user has one already; `root` is
 * the machine's tree. */
int session_has_bus(int root, uint32_t uid);
/* Waits until the user's bus is there, at most until deadline_ms of the monotonic clock. For a
 * process inside the machine that has no rights outside of it. */
void session_wait_bus(uint32_t uid, uint64_t deadline_ms);
