/* SPDX-License-Identifier: Apache-2.0
 * Streams that the agent opens to the keeper: POST with "Upgrade: holm-stream", then bytes. */
#pragma once

#include "agent/core/agent.h"

struct upcall;
/* fd: taken, -1 when the keeper refused or there is none; early: bytes that came with the answer,
 * borrowed. */
typedef void (*upcall_fn)(int fd, struct buffer *early, void *data);
/* fn is always called, once, later. target is borrowed. */
void upcall_start(struct agent *a, const char *target, upcall_fn fn, void *data, struct upcall **ret);
void upcall_cancel(struct upcall *u); /* fn is not called; NULL is fine */
