/* SPDX-License-Identifier: Apache-2.0
 * A few threads for work that blocks in the kernel (fsync, copies), so that the loop never does. */
#pragma once

#include <pthread.h>

#include "base/error.h"

enum { WORKER_THREADS = 3 };

struct work {
	void (*run)(struct work *w); /* on a thread: touches nothing that others use */
	struct work *next;
};

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t wanted, finished;
	struct work *first, **last; /* to do */
	struct work *done;
	unsigned pending; /* submitted and not taken back */
	int stopping;
	int event; /* readable when something is done */
	unsigned thread_count;
	pthread_t threads[WORKER_THREADS];
};

/* Starts the threads: they inherit the caller's confinement, so start them after landlock and the
 * loss of capabilities. */
int worker_init(struct worker *w, struct error **err);
void worker_done(struct worker *w); /* waits for what runs */
void worker_submit(struct worker *w, struct work *item);
/* One finished item, or NULL. */
struct work *worker_take(struct worker *w);
/* Waits until an item is finished; NULL when none is pending. As long as the kernel takes: what it
 * does cannot be taken back. */
struct work *worker_wait(struct worker *w);
