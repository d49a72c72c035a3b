/* SPDX-License-Identifier: Apache-2.0
 * Memory that outlives a worker. The supervisor maps it before it forks workers, so all of them
 * have it at the same address, and pointers into it stay valid. A writer can die between any two
 * instructions. So one store of a word (SHARED_SET) makes a change visible, after everything that
 * the word leads to has been written. */
#pragma once

#include <stddef.h>

/* Maps zeroed memory, which the host provides page by page on first use. NULL when there is not so
 * much address space. For shared_free(). */
void *shared_new(size_t size);
void shared_free(void *p, size_t size); /* NULL is fine */
/* Returns the whole pages in [from, from + size) to the host; they read as zero afterwards. */
void shared_forget(void *from, size_t size);

/* Stores a word: after all stores before it, and before all that follow. */
#define SHARED_SET(place, value)                                                                                       \
	do {                                                                                                           \
		__atomic_store_n(&(place), (value), __ATOMIC_RELEASE);                                                 \
		__atomic_signal_fence(__ATOMIC_SEQ_CST);                                                               \
	} while (0)
