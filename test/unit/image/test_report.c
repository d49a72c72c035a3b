/* SPDX-License-Identifier: Apache-2.0
 * src/image/builder/report.h: what is written where, and messages between processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "image/builder/report.h"

/* A descriptor that goes to a file meanwhile. */
struct caught {
	int fd, saved;
	FILE *file;
};

static struct caught catch_fd(int fd)
{
	struct caught c = { .fd = fd, .saved = dup(fd), .file = tmpfile() };
	assert_non_null(c.file);
	fflush(NULL);
	dup2(fileno(c.file), fd);
	return c;
}

/* All that went there; owned. */
static char *release(struct caught *c)
{
	char *text = NULL;
	size_t size;
	fflush(NULL);
	dup2(c->saved, c->fd);
	close(c->saved);
	rewind(c->file);
	assert_int_equal(0, fd_read_all(fileno(c->file), 1 << 20, &text, &size));
	fclose(c->file);
	return text;
}

static const struct report_step first = { 1, 4, "[a 1/2]", "RUN a" }, second = { 3, 4, "[b 1/2]", "RUN b" };

static void output(struct report_lane *l, const char *text)
{
	report_output(l, 0, text, strlen(text));
}

/* The screen has the last lines of what runs, without colours and controls, within its width. */
static void test_screen(void **state)
{
	struct caught c = catch_fd(STDERR_FILENO);
	AUTO_REPORT struct report *r = report_new(REPORT_SCREEN, 0);
	report_begin(report_lane(r, 0), &first);
	for (int i = 0; i < 9; i++) {
		char line[32];
		snprintf(line, sizeof line, "line %d\n", i);
		output(report_lane(r, 0), line);
	}
	output(report_lane(r, 0), "10%\r50%\r\n\033[31mred\033[0m \033[2Jand \xe4\xbd\xa0\xe5\xa5\xbd");
	char *wide = xcalloc(1, 400);
	memset(wide, 'w', 300);
	output(report_lane(r, 0), wide);
	free(wide);
	poll(NULL, 0, report_tick(r) + 20);
	assert_int_equal(100, report_tick(r));
	report_end(report_lane(r, 0), 0, NULL);
	assert_int_equal(-1, report_tick(r));
	AUTOFREE char *text = release(&c);
	assert_non_null(strstr(text, "[+] Building (0/4)"));
	assert_non_null(strstr(text, "\n => => # line 5\033[K\n"));
	assert_null(strstr(text, "# line 4\033"));
	assert_non_null(strstr(text, " => => # 50%\033[K"));
	assert_non_null(strstr(text, " => => # red and \xe4\xbd\xa0\xe5\xa5\xbdww"));
	assert_null(strstr(text, "\033[31m"));
	assert_null(strstr(text, "\033[2J"));
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		assert_true(strcspn(line, "\n") < 110);
}

/* The content of a chunked answer that is whole (RFC 9112, section 7.1). */
static char *unchunk(const char *text)
{
	AUTO_BUFFER struct buffer content;
	buffer_init(&content, 64 * 1024);
	for (size_t size = 1; size;) {
		char *end;
		size = strtoul(text, &end, 16);
		assert_true(end > text && strlen(end) >= size + 4);
		assert_memory_equal(end, "\r\n", 2);
		buffer_append(&content, end + 2, size);
		assert_memory_equal(end + 2 + size, "\r\n", 2);
		text = end + size + 4;
	}
	assert_string_equal(text, "");
	return buffer_take_string(&content);
}

/* A Docker client sees the stages in their order, whichever comes first. */
static void test_docker_order(void **state)
{
	struct caught c = catch_fd(STDOUT_FILENO);
	AUTO_REPORT struct report *r = report_new(REPORT_DOCKER, 0);
	report_begin(report_lane(r, 1), &second);
	output(report_lane(r, 1), "of b");
	report_begin(report_lane(r, 0), &first);
	output(report_lane(r, 0), "of a");
	report_end(report_lane(r, 1), 1, NULL);
	report_lane_done(report_lane(r, 1));
	report_end(report_lane(r, 0), 0, NULL);
	report_lane_done(report_lane(r, 0));
	report_docker_end();
	AUTOFREE char *chunks = release(&c);
	AUTOFREE char *text = unchunk(chunks);
	assert_string_equal("{\"stream\":\"Step 1/4 : RUN a\\n\"}\r\n{\"stream\":\"of a\"}\r\n"
			    "{\"stream\":\"Step 3/4 : RUN b\\n\"}\r\n{\"stream\":\"of b\"}\r\n"
			    "{\"stream\":\" ---> Using cache\\n\"}\r\n",
	    text);
}

/* Takes all messages that are in the buffer, as a report's. Returns how many. */
static int receive(struct buffer *b, struct report_lane *l)
{
	struct message m;
	int count = 0;
	for (; message_peek(b, &m) == 1; message_drop(b, &m))
		count += report_receive(l, &m);
	return count;
}

/* The report of a stage's process comes out of the other one, byte for byte. */
static void test_messages(void **state)
{
	int ends[2];
	struct buffer b;
	struct message m;
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	buffer_init(&b, 1 << 20);
	AUTO_REPORT struct report *from = report_new(REPORT_PLAIN, 0), *to = report_new(REPORT_PLAIN, 0);
	report_send_to(from, ends[1]);
	report_begin(report_lane(from, 1), &second);
	report_output(report_lane(from, 1), 0, "with\0nul\nline\n", 14);
	report_output(report_lane(from, 1), 1, "error\n", 6);
	report_note(from, "note %d", 1);
	report_end(report_lane(from, 1), 1, "sha256:x");
	report_failure(report_lane(from, 1), "excerpt");
	close(ends[1]);
	while (buffer_read(&b, ends[0], 1) > 0 && b.size < 9)
		assert_int_equal(0, message_peek(&b, &m));
	while (buffer_read(&b, ends[0], 4096) > 0)
		;
	struct caught c = catch_fd(STDERR_FILENO);
	assert_int_equal(6, receive(&b, report_lane(to, 0)));
	AUTOFREE char *text = release(&c);
	assert_non_null(strstr(text, "#1 [b 1/2] RUN b\n"));
	assert_non_null(strstr(text, " line\n"));
	assert_non_null(strstr(text, " error\n"));
	assert_non_null(strstr(text, "holm: note 1\n#1 CACHED\nexcerpt\n"));
	buffer_append(&b, "\377\377\377\377\0\0\0\0", 8);
	assert_int_equal(-EPROTO, message_peek(&b, &m));
	buffer_done(&b);
	close(ends[0]);
}

static void test_styles(void **state)
{
	enum report_style style;
	assert_int_equal(0, report_style_parse("rawjson", &style));
	assert_int_equal(REPORT_RAWJSON, style);
	assert_int_equal(0, report_style_parse("tty", &style));
	assert_int_equal(REPORT_SCREEN, style);
	assert_int_equal(-EINVAL, report_style_parse("fancy", &style));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_screen),
		cmocka_unit_test(test_docker_order),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_styles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
