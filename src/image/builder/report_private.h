/* SPDX-License-Identifier: Apache-2.0
 * Parts that the faces of a report share. Private to report*.c. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/printable.h"
#include "image/builder/report.h"

enum { HELD_MAX = 64 << 10, LINE_MAX_BYTES = 16 << 10, QUEUE_MAX = 8 << 20 };

struct report_lane {
	struct report *report;
	size_t stage;
	int is_done, is_running;
	/* The step. */
	char *label, *text; /* label NULL: it does no work */
	size_t index;       /* of the instruction, from 1 */
	size_t number;      /* among the steps that do work */
	uint64_t begun_ms;
	int64_t begun_ns;
	struct printable_stream stream;
	struct buffer line;  /* output whose line has not ended */
	struct buffer held;  /* the last output, where it is not shown as it comes */
	struct buffer queue; /* of a Docker client: what stages above this one are waited for with */
	int lost;            /* the queue was full */
};

/* A way to show things. All but `begin` and `end` may be NULL: then it is not shown. */
struct report_face {
	void (*begin)(struct report_lane *l);
	void (*output)(struct report_lane *l, const void *data, size_t size);
	void (*errors)(struct report_lane *l, const void *data, size_t size); /* NULL: as output */
	void (*end)(struct report_lane *l, int is_cached, const char *result);
	void (*failure)(struct report_lane *l, const char *excerpt);
	void (*note)(struct report *r, const char *text);
	void (*image)(struct report *r, const char *digest, const struct strv *names);
	void (*lane_done)(struct report_lane *l);
	void (*pause)(struct report *r);
	int (*tick)(struct report *r);
};
extern const struct report_face report_screen, report_rawjson, report_docker, report_sender;

struct report {
	const struct report_face *face;
	int is_quiet; /* a Docker client wants the digest alone */
	struct report_lane **lanes;
	size_t lane_count;
	size_t number;       /* of steps that do work */
	size_t ended, total; /* instructions */
	int fd;              /* of the sender */
	unsigned lines;      /* of the screen, drawn last time */
	uint64_t begun_ms, drawn_ms;
};

/* Keeps the last output of the step, and writes it to stderr, lines as a person may see them. */
void report_hold(struct report_lane *l, const void *data, size_t size);
void report_show_held(struct report_lane *l);
/* Writes lines to stderr, each made fit for a terminal. */
void report_show_lines(const char *text);
/* "tagged NAME" for each; then the digest on stdout. */
void report_show_image(struct report *r, const char *digest, const struct strv *names);
