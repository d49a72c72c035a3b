/* SPDX-License-Identifier: Apache-2.0
 * Tells who adds inotify watches, anywhere in this kernel, when it happens. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

struct watch_probe;
struct watch_probe_events {
	/* Once, first: whether the kernel can do it (0, or -errno and nothing will ever be
	 * told). */
	void (*ready)(int code, void *data);
	/* Something was added; watch_probe_take() says by whom. Not called again before
	 * watch_probe_resume(). */
	void (*happened)(void *data);
};

/* Takes a while in a worker; ready is told from the loop. 0 or -errno. */
int watch_probe_new(struct loop *l, const struct watch_probe_events *events, void *data, struct watch_probe **ret);
void watch_probe_free(struct watch_probe *p); /* NULL is fine; not from within `ready` */
/* Calls fn for each process (pids of the agent's namespace; one may come several times) since the
 * last call. 1 when some were lost: it may be anybody. */
int watch_probe_take(struct watch_probe *p, void (*fn)(pid_t pid, void *data), void *data);
void watch_probe_resume(struct watch_probe *p);

/* The records between two positions of a ring of perf_event_open(2), whose size is a power of two;
 * `tail` and `head` only grow. 1 when records were lost or make no sense. */
int watch_ring_read(const void *ring, size_t size, uint64_t tail, uint64_t head, void (*fn)(pid_t pid, void *data),
    void *data);
