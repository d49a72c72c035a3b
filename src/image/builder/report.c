/* SPDX-License-Identifier: Apache-2.0
 * See report.h. A step's output goes to a person through printable_stream(), each line behind the
 * step's number and the seconds since it began. */
#include "image/builder/report.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/printable.h"
#include "oci/digest.h"

enum { HELD_MAX = 64 << 10, LINE_MAX_BYTES = 16 << 10, SHORT_ID = 12 };

struct report {
	enum report_style style;
	int is_quiet;  /* a Docker client wants the digest alone */
	size_t number; /* of steps that do work */
	int has_step;
	uint64_t begun_ms;
	struct printable_stream stream;
	struct buffer line; /* output whose line has not ended */
	struct buffer held; /* the last output of a step, where it is not shown */
};

struct report *report_new(enum report_style style, int quiet)
{
	struct report *r = xnew(struct report);
	r->style = style;
	r->is_quiet = quiet && style == REPORT_DOCKER;
	buffer_init(&r->line, LINE_MAX_BYTES);
	buffer_init(&r->held, 2 * HELD_MAX);
	return r;
}

void report_free(struct report *r)
{
	if (!r)
		return;
	buffer_done(&r->line);
	buffer_done(&r->held);
	free(r);
}

/* ---- the three ways to write ---- */

static void write_json(struct json_object *line)
{
	AUTO_JSON struct json_object *owned = line;
	AUTOFREE char *text = json_to_string(owned, 0);
	/* Without its client a build ends, as by a signal. */
	if (printf("%s\r\n", text) < 0 || fflush(stdout) != 0)
		raise(SIGTERM);
}

static void write_stream(const struct report *r, const char *text)
{
	if (r->is_quiet)
		return;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "stream", text);
	write_json(o);
}

static void write_line(const struct report *r, const char *text)
{
	AUTOFREE char *line = printable_copy(text, strlen(text), LINE_MAX_BYTES);
	if (r->style == REPORT_PLAIN)
		fprintf(stderr, "#%zu %s\n", r->number, line);
}

/* ---- steps ---- */

void report_begin(struct report *r, const struct report_step *s)
{
	AUTOFREE char *text = xasprintf("%s %s", s->label ? s->label : "", s->text),
		      *docker = xasprintf("Step %zu/%zu : %s\n", s->number, s->total, s->text);
	r->has_step = s->label != NULL;
	r->begun_ms = clock_now_ms();
	r->stream = (struct printable_stream){ 0 };
	buffer_consume(&r->held, r->held.size);
	buffer_consume(&r->line, r->line.size);
	if (r->style == REPORT_DOCKER)
		write_stream(r, docker);
	if (!s->label)
		return;
	r->number++;
	write_line(r, text);
}

static void hold(struct report *r, const void *data, size_t size)
{
	const char *bytes = data;
	size_t n = MIN(size, (size_t)HELD_MAX);
	if (r->held.size + n > HELD_MAX)
		buffer_consume(&r->held, MIN(r->held.size, r->held.size + n - HELD_MAX));
	(void)buffer_append(&r->held, bytes + size - n, n);
}

/* Writes the line that has ended. */
static void end_line(struct report *r)
{
	unsigned long long ms = clock_now_ms() - r->begun_ms;
	buffer_append(&r->line, "\0", 1);
	fprintf(stderr, "#%zu %llu.%03llu %s%s\n", r->number, ms / 1000, ms % 1000, r->line.data,
	    printable_stream_end(&r->stream));
	buffer_consume(&r->line, r->line.size);
}

static void show(struct report *r, const void *data, size_t size)
{
	AUTOFREE char *text = xmalloc(size + PRINTABLE_HELD);
	size_t n = printable_stream(&r->stream, data, size, text);
	for (size_t i = 0; i < n; i++)
		if (text[i] == '\n' || r->line.size + 2 > LINE_MAX_BYTES)
			end_line(r);
		else if (text[i] != '\r')
			(void)buffer_append(&r->line, &text[i], 1);
}

void report_output(struct report *r, const void *data, size_t size)
{
	if (r->style == REPORT_PLAIN)
		show(r, data, size);
	else if (r->style == REPORT_QUIET)
		hold(r, data, size);
	else if (size) {
		AUTOFREE char *text = xstrndup(data, size);
		write_stream(r, text);
	}
}

void report_end(struct report *r, int is_cached, const char *result)
{
	unsigned long long ms = clock_now_ms() - r->begun_ms;
	AUTOFREE char *took = xasprintf("DONE %llu.%llus", ms / 1000, ms % 1000 / 100),
		      *id = xasprintf(" ---> %.*s\n", SHORT_ID, result ? digest_hex(result) : "");
	if (r->line.size)
		end_line(r);
	if (r->has_step)
		write_line(r, is_cached ? "CACHED" : took);
	if (r->style == REPORT_DOCKER && is_cached)
		write_stream(r, " ---> Using cache\n");
	if (r->style == REPORT_DOCKER && result)
		write_stream(r, id);
}

void report_note(struct report *r, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	AUTOFREE char *text = xvasprintf(format, arguments), *line = printable_copy(text, strlen(text), LINE_MAX_BYTES),
		      *stream = xasprintf("%s\n", line);
	va_end(arguments);
	if (r->style == REPORT_DOCKER)
		write_stream(r, stream);
	else
		fprintf(stderr, "holm: %s\n", line);
}

/* ---- the end ---- */

void report_failure(struct report *r, const char *excerpt)
{
	if (r->style == REPORT_PLAIN && r->line.size)
		end_line(r);
	if (r->style == REPORT_QUIET && r->held.size) {
		AUTOFREE char *text = xmalloc(r->held.size + PRINTABLE_HELD);
		size_t n = printable_stream(&r->stream, r->held.data, r->held.size, text);
		fwrite(text, 1, n, stderr);
		fputs(printable_stream_end(&r->stream), stderr);
		if (n && text[n - 1] != '\n')
			fputc('\n', stderr);
	}
	if (r->style == REPORT_DOCKER)
		write_stream(r, excerpt);
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, r->style == REPORT_DOCKER ? "" : excerpt, "\n");
	for (size_t i = 0; i < lines.count; i++)
		fprintf(stderr, "%s\n", printable(lines.items[i]));
}

/* The name without the parts that Docker adds itself. */
static const char *familiar(const char *name)
{
	const char *rest = startswith(name, "docker.io/library/");
	rest = rest ? rest : startswith(name, "docker.io/");
	return rest ? rest : name;
}

static void write_docker_image(struct report *r, const char *digest, const struct strv *names)
{
	struct json_object *o = json_object_new_object(), *aux = json_object_new_object();
	AUTOFREE char *built = xasprintf("Successfully built %.*s\n", SHORT_ID, digest_hex(digest));
	if (r->is_quiet) {
		AUTOFREE char *line = xasprintf("%s\n", digest);
		json_object_put(aux);
		json_add_string(o, "stream", line);
		write_json(o);
		return;
	}
	json_add_string(aux, "ID", digest);
	json_add(o, "aux", aux);
	write_json(o);
	write_stream(r, built);
	for (size_t i = 0; i < names->count; i++) {
		AUTOFREE char *tagged = xasprintf("Successfully tagged %s\n", familiar(names->items[i]));
		write_stream(r, tagged);
	}
}

void report_image(struct report *r, const char *digest, const struct strv *names)
{
	if (r->style == REPORT_DOCKER) {
		write_docker_image(r, digest, names);
		return;
	}
	for (size_t i = 0; r->style == REPORT_PLAIN && i < names->count; i++) {
		AUTOFREE char *line = printable_copy(names->items[i], strlen(names->items[i]), LINE_MAX_BYTES);
		fprintf(stderr, "tagged %s\n", line);
	}
	printf("%s\n", digest);
}

void report_docker_error(const char *text)
{
	struct json_object *o = json_object_new_object(), *detail = json_object_new_object();
	json_add_string(detail, "message", text);
	json_add(o, "errorDetail", detail);
	json_add_string(o, "error", text);
	write_json(o);
}
