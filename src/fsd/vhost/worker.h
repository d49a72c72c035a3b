/* SPDX-License-Identifier: Apache-2.0
 * Worker threads, for work that blocks in the kernel (fsync, copies), so that the loop never
 * blocks. */
#pragma once

#include <pthread.h>

#include "base/error.h"

enum { WORKER_THREADS = 3 };

struct work {
	void (*run)(struct work *w); /* on a worker thread; touches no data of other threads */
	struct work *next;
};

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t wanted, finished;
	struct work *first, **last; /* queued */
	struct work *done;
	unsigned pending; /* submitted and not taken by worker_take() */
	int stopping;
	int event; /* eventfd; readable when an item is finished */
	unsigned thread_count;
	pthread_t threads[WORKER_THREADS];
};

/* Starts the threads. They inherit the caller's confinement, so confine the process before. 0 or
 * -errno. */
int worker_init(struct worker *w, struct error **err);
/* Ends the threads, after their present items. */
void worker_done(struct worker *w);
/* Queues an item (borrowed until it is taken). */
void worker_submit(struct worker *w, struct work *item);
/* Takes a finished item, or NULL. */
struct work *worker_take(struct worker *w);
/* Waits for a finished item and takes it; NULL when none is pending. Without a deadline, because a
 * system call cannot be cancelled. */
struct work *worker_wait(struct worker *w);
