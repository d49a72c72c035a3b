/* SPDX-License-Identifier: Apache-2.0
 * Memory that outlives a worker: mapped before workers are forked, so all of them have it at the
 * same address and pointers into it stay valid. Whoever writes to it can die between any two
 * instructions: what must make sense afterwards is changed by one store of a word (SHARED_SET),
 * after everything that it leads to. */
#pragma once

#include <stddef.h>

/* Zeroed; takes memory only where it is used. NULL when the host does not give so much address
 * space. */
void *shared_new(size_t size);
void shared_free(void *p, size_t size); /* NULL is fine */
/* Gives the memory of whole pages in [from, from + size) back; it reads as zero afterwards. */
void shared_forget(void *from, size_t size);

/* A store that is made when all stores before it are, and before those that follow. */
#define SHARED_SET(place, value)                                                                                       \
	do {                                                                                                           \
		__atomic_store_n(&(place), (value), __ATOMIC_RELEASE);                                                 \
		__atomic_signal_fence(__ATOMIC_SEQ_CST);                                                               \
	} while (0)
