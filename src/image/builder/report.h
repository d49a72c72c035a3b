/* SPDX-License-Identifier: Apache-2.0
 * The output of a build: for a person, or for a client of the Docker API. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/strv.h"

enum report_style {
	REPORT_PLAIN,  /* lines on stderr, numbered as BuildKit has them */
	REPORT_QUIET,  /* nothing, but the output of a step that fails */
	REPORT_DOCKER, /* JSON lines on stdout: the stream of POST /build */
};

struct report;
struct report *report_new(enum report_style style, int quiet); /* quiet: of a Docker client */
void report_free(struct report *r);
DEFINE_CLEANUP(struct report, report_free)
#define AUTO_REPORT CLEANUP(report_freep)

struct report_step {
	size_t number, total;     /* of all instructions */
	const char *label, *text; /* "[stage 2/4]"; NULL: it does no work. The instruction */
};
void report_begin(struct report *r, const struct report_step *s);
/* Output of the step. */
void report_output(struct report *r, const void *data, size_t size);
/* The step has ended. result: the digest of what it made, or NULL. */
void report_end(struct report *r, int is_cached, const char *result);
void report_note(struct report *r, const char *format, ...) PRINTF_LIKE(2, 3);
/* The step has failed: shows its output, where it was not shown, and the lines around it. */
void report_failure(struct report *r, const char *excerpt);
/* The build has ended with this image and its names; or, for a Docker client, with an error. */
void report_image(struct report *r, const char *digest, const struct strv *names);
void report_docker_error(const char *text);
