/* SPDX-License-Identifier: Apache-2.0
 * The event loop: one per process, epoll, no threads. Sources are owned by whoever made them and
 * are freed by source_free(), which is allowed at any time, also inside the source's own callback
 * and others' callbacks. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"

struct loop;
struct source;

int loop_new(struct loop **ret); /* 0 or -errno */
void loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop, loop_free)
/* Runs until loop_exit(); returns the code given to it. */
int loop_run(struct loop *l);
/* Handles what is ready, waiting at most until the deadline; 1 something ran, 0 nothing, -errno. */
int loop_step(struct loop *l, uint64_t deadline_ms);
void loop_exit(struct loop *l, int code);

/* A callback's data is what was given at creation. */
typedef void (*loop_io_fn)(struct source *s, int fd, uint32_t events, void *data); /* events: EPOLL* */
typedef void (*loop_fn)(struct source *s, void *data);
typedef void (*loop_signal_fn)(struct source *s, int signal_number, void *data);
typedef void (*loop_child_fn)(struct source *s, pid_t pid, int wait_status, void *data); /* as waitpid(2) gives it */

/* The descriptor stays the caller's and must outlive the source. All: 0 or -errno. */
int loop_add_io(struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *data, struct source **ret);
int source_set_events(struct source *s, uint32_t events); /* 0 pauses it */
/* Watches nothing until then. */
void source_pause(struct source *s, uint64_t until_ms);
/* One-shot at a monotonic time; source_set_timer() arms it again (UINT64_MAX disarms). */
int loop_add_timer(struct loop *l, uint64_t at_ms, loop_fn fn, void *data, struct source **ret);
int source_set_timer(struct source *s, uint64_t at_ms);
/* Blocks the signal in this process and delivers it here (signalfd). One source per signal.
 * Children that base/spawn starts get an empty mask back. */
int loop_add_signal(struct loop *l, int signal_number, loop_signal_fn fn, void *data, struct source **ret);
/* Waits for this child (pidfd, waitpid); the callback runs once; the child is reaped. */
int loop_add_child(struct loop *l, pid_t pid, loop_child_fn fn, void *data, struct source **ret);
int loop_watches_child(const struct loop *l, pid_t pid); /* whether some source waits for it */
/* Runs once, after the callbacks of this turn. */
int loop_add_deferred(struct loop *l, loop_fn fn, void *data, struct source **ret);
void source_free(struct source *s); /* NULL is fine; a child that still runs is left running and unreaped */
DEFINE_CLEANUP(struct source, source_free)
