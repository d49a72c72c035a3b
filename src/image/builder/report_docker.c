/* SPDX-License-Identifier: Apache-2.0
 * A report as the stream of POST /build. Its steps have no numbers but their order, so a stage that
 * runs beside one above it waits with its lines until that one has ended. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>

#include "base/alloc.h"
#include "docker/name.h"
#include "image/builder/report_private.h"
#include "oci/digest.h"

enum { SHORT_ID = 12 };

/* A chunk (RFC 9112, section 7.1): docker-py takes an answer without a transfer coding for one JSON
 * value. */
static void write_text(const char *text, size_t size)
{
	/* Without its client a build ends, as by a signal. */
	if (printf("%zx\r\n", size) < 0 || fwrite(text, 1, size, stdout) != size || fputs("\r\n", stdout) < 0 ||
	    fflush(stdout) != 0)
		raise(SIGTERM);
}

static void write_json(struct json_object *line)
{
	AUTO_JSON struct json_object *owned = line;
	AUTOFREE char *text = json_to_string(owned, 0), *whole = xasprintf("%s\r\n", text);
	write_text(whole, strlen(whole));
}

/* Whether all stages above this one have ended. */
static int is_first(const struct report_lane *l)
{
	for (size_t i = 0; i < l->stage; i++)
		if (!l->report->lanes[i]->is_done)
			return 0;
	return 1;
}

static void flush_queue(struct report_lane *l)
{
	static const char lost[] = "{\"stream\":\"[some output is left out here]\\n\"}\r\n";
	if (l->queue.size)
		write_text(l->queue.data, l->queue.size);
	buffer_consume(&l->queue, l->queue.size);
	if (l->lost)
		write_text(lost, strlen(lost));
	l->lost = 0;
}

static void write_stream(struct report_lane *l, const char *text)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_string(o, "stream", text);
	AUTOFREE char *line = json_to_string(o, 0), *whole = xasprintf("%s\r\n", line);
	if (l->report->is_quiet)
		return;
	if (is_first(l)) {
		flush_queue(l);
		write_text(whole, strlen(whole));
	} else {
		l->lost |= buffer_append_string(&l->queue, whole) < 0;
	}
}

static void begin(struct report_lane *l)
{
	AUTOFREE char *text = xasprintf("Step %zu/%zu : %s\n", l->index, l->report->total, l->text);
	write_stream(l, text);
}

static void output(struct report_lane *l, const void *data, size_t size)
{
	AUTOFREE char *text = xstrndup(data, size);
	write_stream(l, text);
}

/* In red, as Docker's builder has it. */
static void errors(struct report_lane *l, const void *data, size_t size)
{
	AUTOFREE char *text = xasprintf("\033[91m%.*s\033[0m", (int)MIN(size, (size_t)INT_MAX), (const char *)data);
	write_stream(l, text);
}

static void end(struct report_lane *l, int is_cached, const char *result)
{
	AUTOFREE char *id = xasprintf(" ---> %.*s\n", SHORT_ID, result ? digest_hex(result) : "");
	if (is_cached)
		write_stream(l, " ---> Using cache\n");
	if (result)
		write_stream(l, id);
}

static void lane_done(struct report_lane *l)
{
	for (size_t i = l->stage; i < l->report->lane_count && is_first(l->report->lanes[i]); i++)
		flush_queue(l->report->lanes[i]);
}

static void failure(struct report_lane *l, const char *excerpt)
{
	flush_queue(l);
	for (size_t i = 0; i < l->stage; i++)
		l->report->lanes[i]->is_done = 1; /* nothing more is wanted of them */
	write_stream(l, excerpt);
}

static void write_note(struct report *r, const char *text)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *line = xasprintf("%s\n", text);
	json_add_string(o, "stream", line);
	if (r->is_quiet)
		json_object_put(o);
	else
		write_json(o);
}

static void image(struct report *r, const char *digest, const struct strv *names)
{
	struct json_object *o = json_object_new_object(), *aux = json_object_new_object();
	AUTOFREE char *built = xasprintf("Successfully built %.*s", SHORT_ID, digest_hex(digest));
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
	write_note(r, built);
	for (size_t i = 0; i < names->count; i++) {
		AUTOFREE char *tagged = xasprintf("Successfully tagged %s", docker_familiar_name(names->items[i]));
		write_note(r, tagged);
	}
}

const struct report_face report_docker = {
	.begin = begin,
	.output = output,
	.errors = errors,
	.end = end,
	.failure = failure,
	.note = write_note,
	.image = image,
	.lane_done = lane_done,
};

/* Docker's clients exit as a command of RUN did. */
void report_docker_error(const char *text, int status)
{
	struct json_object *o = json_object_new_object(), *detail = json_object_new_object();
	if (status)
		json_add_i64(detail, "code", status);
	json_add_string(detail, "message", text);
	json_add(o, "errorDetail", detail);
	json_add_string(o, "error", text);
	write_json(o);
}

void report_docker_end(void)
{
	fputs("0\r\n\r\n", stdout);
	fflush(stdout);
}
