/* SPDX-License-Identifier: Apache-2.0
 * A session's view of its machine: whether it stands still because of the host. A session asks when
 * it has lasted a moment, so that short commands pay nothing. */
#pragma once

#include <stdint.h>

#include "http/http.h"

struct pause_watch {
	const char *machine;
	uint64_t begin_ms;             /* when to ask; UINT64_MAX: has been done */
	int fd;                        /* readable: pause_watch_read(); -1: none */
	struct http_response response; /* JSON lines, each a change */
	char *why;                     /* NULL: the machine runs */
};

void pause_watch_init(struct pause_watch *w, const char *machine);
void pause_watch_done(struct pause_watch *w);
/* Begins to ask if it is time. Whether it began just now: the first change may have come with the
 * answer, and the descriptor does not show that. */
int pause_watch_step(struct pause_watch *w);
/* Takes the changes that have come. Whether there were any. */
int pause_watch_read(struct pause_watch *w);
