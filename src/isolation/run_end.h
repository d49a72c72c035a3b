/* SPDX-License-Identifier: Apache-2.0
 * The end of a run, of whichever isolation: the first reason counts, and the keeper hears of it
 * once, when nothing of the run is left. */
#pragma once

#include "isolation/isolation.h"

struct run_end {
	struct loop *loop;
	const struct isolation_events *events; /* borrowed */
	void *data;
	int begun, told;
	int code;
	char *why;                                 /* NULL with code 0 */
	void (*before)(struct isolation_run *run); /* called just before the keeper hears of the end; or NULL */
	struct isolation_run *run;
	struct source *source;
};

/* Begins the end. Takes why. 1; 0 when it has begun before. */
int run_end_begin(struct run_end *e, int code, char *why);
/* Nothing of the run is left: `ended` follows from the loop. */
void run_end_tell(struct run_end *e);
/* The keeper knows by itself. */
void run_end_silence(struct run_end *e);
void run_end_done(struct run_end *e);

/* A row of the statistics' processes; none for pid 0. */
void run_describe_process(struct json_object *processes, const char *what, pid_t pid);
