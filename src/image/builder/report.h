/* SPDX-License-Identifier: Apache-2.0
 * The output of a build: for a person, for a program, or for a client of the Docker API.
 *
 * Stages run side by side, so each has a lane, which has one step at a time. The process of a stage
 * sends what it would show to the build's own process, which shows it. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/strv.h"
#include "image/builder/message.h"

enum report_style {
	REPORT_PLAIN,   /* lines on stderr, numbered as BuildKit has them */
	REPORT_SCREEN,  /* the steps that run are the last lines of the terminal */
	REPORT_RAWJSON, /* BuildKit's SolveStatus, a line each, on stderr */
	REPORT_QUIET,   /* nothing, but the output of a step that fails */
	REPORT_DOCKER,  /* JSON lines on stdout: the stream of POST /build */
};

struct report;
struct report *report_new(enum report_style style, int quiet); /* quiet: of a Docker client */
void report_free(struct report *r);
DEFINE_CLEANUP(struct report, report_free)
#define AUTO_REPORT CLEANUP(report_freep)
/* --progress: NULL is auto, which is plain unless stderr is a terminal. 0 or -EINVAL. */
int report_style_parse(const char *text, enum report_style *ret);

/* The lane of a stage, made when it is asked for first. Borrowed. */
struct report_lane;
struct report_lane *report_lane(struct report *r, size_t stage);
/* The stage of the lane has ended, or is not needed. */
void report_lane_done(struct report_lane *l);

struct report_step {
	size_t number, total;     /* of all instructions */
	const char *label, *text; /* "[stage 2/4]"; NULL: it does no work. The instruction */
};
void report_begin(struct report_lane *l, const struct report_step *s);
/* Output of the step; is_error: of its stderr. */
void report_output(struct report_lane *l, int is_error, const void *data, size_t size);
/* The step has ended. result: the digest of what it made, or NULL. */
void report_end(struct report_lane *l, int is_cached, const char *result);
/* The step has failed: shows its output, where it was not shown, and the lines around it. */
void report_failure(struct report_lane *l, const char *excerpt);
void report_note(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);
/* The build has ended with this image and its names. */
void report_image(struct report *r, const char *digest, const struct strv *names);
/* It has failed, for a Docker client; status: that of a command of RUN, or 0. */
void report_docker_error(const char *text, int status);
/* The last chunk of its stream. */
void report_docker_end(void);

/* Something else writes to the terminal: clears the lines of the steps that run. */
void report_pause(struct report *r);
/* Draws the steps that run once more, and says after how many milliseconds this is wanted again;
 * -1: never. */
int report_tick(struct report *r);

/* From here on, in the process of a stage, all goes to fd (borrowed). */
void report_send_to(struct report *r, int fd);
/* Shows what such a process has sent. 1; 0: the message is no report's. */
int report_receive(struct report_lane *l, const struct message *m);
