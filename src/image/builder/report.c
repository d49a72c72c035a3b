/* SPDX-License-Identifier: Apache-2.0
 * See report.h. A step's output goes to a person through printable_stream(), each line behind the
 * step's number and the seconds since it began. */
#include "image/builder/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "docker/name.h"
#include "image/builder/report_private.h"

static const struct report_face plain, quiet;

static const struct report_face *const faces[] = { [REPORT_PLAIN] = &plain,
	[REPORT_SCREEN] = &report_screen,
	[REPORT_RAWJSON] = &report_rawjson,
	[REPORT_QUIET] = &quiet,
	[REPORT_DOCKER] = &report_docker };

int report_style_parse(const char *text, enum report_style *ret)
{
	static const char *const names[] = { [REPORT_PLAIN] = "plain",
		[REPORT_SCREEN] = "tty",
		[REPORT_RAWJSON] = "rawjson",
		[REPORT_QUIET] = "quiet" };
	const char *term = getenv("TERM");
	int can_draw = isatty(STDERR_FILENO) && term && !streq(term, "dumb");
	*ret = can_draw ? REPORT_SCREEN : REPORT_PLAIN;
	if (!text || streq(text, "auto"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(text, names[i])) {
			*ret = (enum report_style)i;
			return 0;
		}
	return -EINVAL;
}

struct report *report_new(enum report_style style, int quiet_client)
{
	struct report *r = xnew(struct report);
	r->face = faces[style];
	r->is_quiet = quiet_client && style == REPORT_DOCKER;
	r->begun_ms = clock_now_ms();
	r->fd = -1;
	return r;
}

static void lane_free(struct report_lane *l)
{
	if (!l)
		return;
	free(l->label);
	free(l->text);
	buffer_done(&l->line);
	buffer_done(&l->held);
	buffer_done(&l->queue);
	free(l);
}

void report_free(struct report *r)
{
	if (!r)
		return;
	report_pause(r);
	for (size_t i = 0; i < r->lane_count; i++)
		lane_free(r->lanes[i]);
	free(r->lanes);
	free(r);
}

struct report_lane *report_lane(struct report *r, size_t stage)
{
	for (; r->lane_count <= stage; r->lane_count++) {
		struct report_lane *l = xnew(struct report_lane);
		l->report = r;
		l->stage = r->lane_count;
		l->text = xstrdup("");
		buffer_init(&l->line, LINE_MAX_BYTES);
		buffer_init(&l->held, 2 * HELD_MAX);
		buffer_init(&l->queue, QUEUE_MAX);
		r->lanes = xrealloc(r->lanes, r->lane_count + 1, sizeof(void *));
		r->lanes[r->lane_count] = l;
	}
	return r->lanes[stage];
}

void report_lane_done(struct report_lane *l)
{
	l->is_done = 1;
	l->is_running = 0;
	if (l->report->face->lane_done)
		l->report->face->lane_done(l);
}

/* ---- steps ---- */

void report_begin(struct report_lane *l, const struct report_step *s)
{
	free(l->label);
	free(l->text);
	l->label = xstrdup(s->label);
	l->text = xstrdup(s->text);
	l->index = s->number;
	l->report->total = s->total;
	l->is_running = 1;
	l->begun_ms = clock_now_ms();
	l->begun_ns = clock_realtime_ns();
	l->stream = (struct printable_stream){ 0 };
	buffer_consume(&l->held, l->held.size);
	buffer_consume(&l->line, l->line.size);
	if (s->label)
		l->number = ++l->report->number;
	l->report->face->begin(l);
}

void report_output(struct report_lane *l, int is_error, const void *data, size_t size)
{
	const struct report_face *face = l->report->face;
	if (size && is_error && face->errors)
		face->errors(l, data, size);
	else if (size && face->output)
		face->output(l, data, size);
}

void report_end(struct report_lane *l, int is_cached, const char *result)
{
	l->is_running = 0;
	l->report->ended++;
	l->report->face->end(l, is_cached, result);
}

void report_failure(struct report_lane *l, const char *excerpt)
{
	l->is_running = 0;
	l->report->face->failure(l, excerpt);
}

void report_note(struct report *r, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	AUTOFREE char *text = xvasprintf(format, arguments), *line = printable_copy(text, strlen(text), LINE_MAX_BYTES);
	va_end(arguments);
	if (r->face->note) {
		r->face->note(r, line);
		return;
	}
	report_pause(r);
	fprintf(stderr, "holm: %s\n", line);
}

void report_image(struct report *r, const char *digest, const struct strv *names)
{
	r->face->image(r, digest, names);
}

void report_pause(struct report *r)
{
	if (r->face->pause)
		r->face->pause(r);
}

int report_tick(struct report *r)
{
	return r->face->tick ? r->face->tick(r) : -1;
}

/* ---- shared by the faces ---- */

void report_hold(struct report_lane *l, const void *data, size_t size)
{
	const char *bytes = data;
	size_t n = MIN(size, (size_t)HELD_MAX);
	if (l->held.size + n > HELD_MAX)
		buffer_consume(&l->held, MIN(l->held.size, l->held.size + n - HELD_MAX));
	(void)buffer_append(&l->held, bytes + size - n, n);
}

void report_show_held(struct report_lane *l)
{
	AUTOFREE char *text = xmalloc(l->held.size + PRINTABLE_HELD);
	struct printable_stream stream = { 0 };
	size_t n = printable_stream(&stream, l->held.data, l->held.size, text);
	if (!l->held.size)
		return;
	fwrite(text, 1, n, stderr);
	fputs(printable_stream_end(&stream), stderr);
	if (n && text[n - 1] != '\n')
		fputc('\n', stderr);
}

void report_show_lines(const char *text)
{
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++)
		fprintf(stderr, "%s\n", printable(lines.items[i]));
}

void report_show_image(struct report *r, const char *digest, const struct strv *names)
{
	for (size_t i = 0; names && i < names->count; i++) {
		const char *name = docker_typed_name(names->items[i]);
		AUTOFREE char *line = printable_copy(name, strlen(name), LINE_MAX_BYTES);
		fprintf(stderr, "tagged %s\n", line);
	}
	printf("%s\n", digest);
}

/* ---- plain lines ---- */

static void write_line(const struct report_lane *l, const char *text)
{
	AUTOFREE char *line = printable_copy(text, strlen(text), LINE_MAX_BYTES);
	fprintf(stderr, "#%zu %s\n", l->number, line);
}

static void plain_begin(struct report_lane *l)
{
	AUTOFREE char *text = xasprintf("%s %s", l->label ? l->label : "", l->text);
	if (l->label)
		write_line(l, text);
}

/* Writes the line that has ended. */
static void end_line(struct report_lane *l)
{
	unsigned long long ms = clock_now_ms() - l->begun_ms;
	buffer_append(&l->line, "\0", 1);
	fprintf(stderr, "#%zu %llu.%03llu %s%s\n", l->number, ms / 1000, ms % 1000, l->line.data,
	    printable_stream_end(&l->stream));
	buffer_consume(&l->line, l->line.size);
}

static void plain_output(struct report_lane *l, const void *data, size_t size)
{
	AUTOFREE char *text = xmalloc(size + PRINTABLE_HELD);
	size_t n = printable_stream(&l->stream, data, size, text);
	for (size_t i = 0; i < n; i++)
		if (text[i] == '\n' || l->line.size + 2 > LINE_MAX_BYTES)
			end_line(l);
		else if (text[i] != '\r')
			(void)buffer_append(&l->line, &text[i], 1);
}

static void plain_end(struct report_lane *l, int is_cached, const char *result)
{
	unsigned long long ms = clock_now_ms() - l->begun_ms;
	AUTOFREE char *took = xasprintf("DONE %llu.%llus", ms / 1000, ms % 1000 / 100);
	if (l->line.size)
		end_line(l);
	if (l->label)
		write_line(l, is_cached ? "CACHED" : took);
}

static void plain_failure(struct report_lane *l, const char *excerpt)
{
	if (l->line.size)
		end_line(l);
	report_show_lines(excerpt);
}

static const struct report_face plain = {
	.begin = plain_begin,
	.output = plain_output,
	.end = plain_end,
	.failure = plain_failure,
	.image = report_show_image,
};

/* ---- quiet ---- */

static void quiet_begin(struct report_lane *l)
{
}

static void quiet_end(struct report_lane *l, int is_cached, const char *result)
{
}

static void quiet_failure(struct report_lane *l, const char *excerpt)
{
	report_show_held(l);
	report_show_lines(excerpt);
}

static void quiet_image(struct report *r, const char *digest, const struct strv *names)
{
	report_show_image(r, digest, NULL);
}

static const struct report_face quiet = {
	.begin = quiet_begin,
	.output = report_hold,
	.end = quiet_end,
	.failure = quiet_failure,
	.image = quiet_image,
};

/* ---- the process of a stage ---- */

static void send_begin(struct report_lane *l)
{
	AUTOFREE char *text = xasprintf("%zu %zu %d\n%s\n%s", l->index, l->report->total, l->label != NULL,
	    l->label ? l->label : "", l->text);
	message_send(l->report->fd, MESSAGE_BEGIN, text, strlen(text));
}

static void send_output(struct report_lane *l, const void *data, size_t size)
{
	message_send(l->report->fd, MESSAGE_OUTPUT, data, size);
}

static void send_errors(struct report_lane *l, const void *data, size_t size)
{
	message_send(l->report->fd, MESSAGE_ERRORS, data, size);
}

static void send_end(struct report_lane *l, int is_cached, const char *result)
{
	AUTOFREE char *text = xasprintf("%c%s", is_cached ? 'c' : '-', result ? result : "");
	message_send(l->report->fd, MESSAGE_END, text, strlen(text));
}

static void send_failure(struct report_lane *l, const char *excerpt)
{
	message_send(l->report->fd, MESSAGE_FAILURE, excerpt, strlen(excerpt));
}

static void send_note(struct report *r, const char *text)
{
	message_send(r->fd, MESSAGE_NOTE, text, strlen(text));
}

const struct report_face report_sender = {
	.begin = send_begin,
	.output = send_output,
	.errors = send_errors,
	.end = send_end,
	.failure = send_failure,
	.note = send_note,
};

void report_send_to(struct report *r, int fd)
{
	r->face = &report_sender;
	r->fd = fd;
}

static void receive_begin(struct report_lane *l, char *text)
{
	size_t number = 0, total = 0;
	int has_label = 0;
	char *label = strchr(text, '\n'), *rest = label ? strchr(label + 1, '\n') : NULL;
	if (!rest || sscanf(text, "%zu %zu %d", &number, &total, &has_label) != 3)
		return;
	*rest++ = '\0';
	const struct report_step s = { number, total, has_label ? label + 1 : NULL, rest };
	report_begin(l, &s);
}

int report_receive(struct report_lane *l, const struct message *m)
{
	AUTOFREE char *text =
	    m->kind == MESSAGE_OUTPUT || m->kind == MESSAGE_ERRORS ? NULL : xstrndup(m->data, m->size);
	switch (m->kind) {
	case MESSAGE_BEGIN:
		receive_begin(l, text);
		return 1;
	case MESSAGE_OUTPUT:
	case MESSAGE_ERRORS:
		report_output(l, m->kind == MESSAGE_ERRORS, m->data, m->size);
		return 1;
	case MESSAGE_END:
		report_end(l, *text == 'c', *text && text[1] ? text + 1 : NULL);
		return 1;
	case MESSAGE_NOTE:
		report_note(l->report, "%s", text);
		return 1;
	case MESSAGE_FAILURE:
		report_failure(l, text);
		return 1;
	default:
		return 0;
	}
}
