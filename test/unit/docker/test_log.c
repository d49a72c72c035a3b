/* SPDX-License-Identifier: Apache-2.0
 * The log of a container: lines, files, rotation, tails. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "docker/log.h"

#include "../folder.h"

struct place {
	char *path;
	int directory;
};

static int set_up(void **state)
{
	struct place *p = xnew(struct place);
	p->path = folder_new();
	p->directory = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	fd_close(p->directory);
	folder_remove(p->path);
	free(p);
	return 0;
}

/* All entries from the tail on, joined, each with the first letter of its stream. */
static char *read_all(const struct place *p, uint64_t tail)
{
	struct docker_log_reader r;
	struct docker_log_entry e;
	AUTO_BUFFER struct buffer all;
	int more;
	buffer_init(&all, 1 << 20);
	assert_int_equal(docker_log_read_open(&r, p->directory, tail), 0);
	while ((more = docker_log_read(&r, &e)) == 1) {
		assert_int_equal(buffer_append_string(&all, e.stream == DOCKER_STDERR ? "E" : "O"), 0);
		assert_int_equal(buffer_append(&all, e.text, e.size), 0);
	}
	assert_int_equal(more, 0);
	docker_log_read_done(&r);
	return buffer_take_string(&all);
}

static void write_text(struct docker_log_writer *w, enum docker_stream stream, const char *text)
{
	assert_int_equal(docker_log_write(w, stream, text, strlen(text), 1700000000000000007), 0);
}

static void test_lines(void **state)
{
	char bytes[256], text[DOCKER_LOG_TEXT_MAX];
	AUTO_BUFFER struct buffer b;
	struct docker_log_entry e = { .stream = DOCKER_STDERR,
		.time_ns = 1700000000000000007,
		.text = bytes,
		.size = 256 };
	struct docker_log_entry back;
	for (int i = 0; i < 256; i++)
		bytes[i] = (char)i;
	buffer_init(&b, DOCKER_LOG_LINE_MAX);
	assert_int_equal(docker_log_format(&b, &e), 0);
	assert_int_equal(b.data[b.size - 1], '\n');
	assert_null(memchr(b.data, '\n', b.size - 1));
	assert_int_equal(docker_log_parse(b.data, b.size - 1, text, &back), 0);
	assert_int_equal(back.stream, DOCKER_STDERR);
	assert_int_equal(back.time_ns, e.time_ns);
	assert_int_equal(back.size, 256);
	assert_memory_equal(back.text, bytes, 256);
	for (size_t n = 0; n < b.size - 1; n++)
		assert_int_equal(docker_log_parse(b.data, n, text, &back), -EBADMSG);
}

static void test_form_is_dockers(void **state)
{
	AUTO_BUFFER struct buffer b;
	struct docker_log_entry e = { .stream = DOCKER_STDOUT,
		.time_ns = 1700000000000000007,
		.text = "a\"\n",
		.size = 3 };
	buffer_init(&b, DOCKER_LOG_LINE_MAX);
	assert_int_equal(docker_log_format(&b, &e), 0);
	assert_string_equal(buffer_string(&b),
	    "{\"log\":\"a\\\"\\n\",\"stream\":\"stdout\",\"time\":\"2023-11-14T22:13:20.000000007Z\"}\n");
}

static void test_write_and_read(void **state)
{
	struct docker_log_writer w;
	assert_int_equal(docker_log_open(&w, ((struct place *)*state)->directory, 0, 1), 0);
	write_text(&w, DOCKER_STDOUT, "one\ntw");
	write_text(&w, DOCKER_STDERR, "err\n");
	write_text(&w, DOCKER_STDOUT, "o\nlast");
	AUTOFREE char *before = read_all(*state, UINT64_MAX);
	assert_string_equal(before, "Oone\nEerr\nOtwo\n");
	assert_int_equal(docker_log_finish(&w, 1), 0);
	docker_log_done(&w);
	AUTOFREE char *all = read_all(*state, UINT64_MAX), *two = read_all(*state, 2), *none = read_all(*state, 0),
		      *many = read_all(*state, 99);
	assert_string_equal(all, "Oone\nEerr\nOtwo\nOlast");
	assert_string_equal(two, "Otwo\nOlast");
	assert_string_equal(none, "");
	assert_string_equal(many, all);
}

static void test_long_line(void **state)
{
	struct docker_log_writer w;
	size_t size = 3 * (size_t)DOCKER_LOG_TEXT_MAX + 100;
	AUTOFREE char *text = xmalloc(size + 1);
	memset(text, '\1', size); /* six bytes each in the file */
	text[size - 1] = '\n';
	text[size] = '\0';
	assert_int_equal(docker_log_open(&w, ((struct place *)*state)->directory, 0, 1), 0);
	write_text(&w, DOCKER_STDOUT, text);
	docker_log_done(&w);
	AUTOFREE char *all = read_all(*state, UINT64_MAX);
	size_t entries = 0, bytes = 0;
	for (const char *c = all; *c; c++) {
		entries += *c == 'O';
		bytes += *c == '\1';
	}
	assert_int_equal(entries, 4);
	assert_int_equal(bytes, size - 1);
}

static void test_rotation(void **state)
{
	struct place *p = *state;
	struct docker_log_writer w;
	struct stat st;
	AUTOFREE char *tail = NULL;
	assert_int_equal(docker_log_open(&w, p->directory, 1000, 3), 0);
	for (int i = 0; i < 200; i++) {
		AUTOFREE char *line = xasprintf("line %03d\n", i);
		write_text(&w, DOCKER_STDOUT, line);
	}
	docker_log_done(&w);
	assert_int_equal(fstatat(p->directory, "json.log", &st, 0), 0);
	assert_in_range(st.st_size, 1, 1000);
	assert_int_equal(fstatat(p->directory, "json.log.2", &st, 0), 0);
	assert_int_equal(fstatat(p->directory, "json.log.3", &st, 0), -1);
	tail = read_all(p, 15); /* of two files */
	assert_memory_equal(tail, "Oline 185\n", 10);
	assert_int_equal(strlen(tail), 150);
	AUTOFREE char *all = read_all(p, UINT64_MAX);
	assert_true(endswith(all, "Oline 199\n"));
}

/* A follower sees each line once, also over a rotation. */
static void test_follow(void **state)
{
	struct place *p = *state;
	struct docker_log_writer w;
	struct docker_log_reader r;
	struct docker_log_entry e;
	assert_int_equal(docker_log_open(&w, p->directory, 300, 5), 0);
	assert_int_equal(docker_log_read_open(&r, p->directory, 0), 0);
	for (int i = 0; i < 50; i++) {
		AUTOFREE char *line = xasprintf("%d\n", i);
		write_text(&w, DOCKER_STDOUT, line);
		assert_int_equal(docker_log_read(&r, &e), 1);
		assert_int_equal(e.size, strlen(line));
		assert_memory_equal(e.text, line, e.size);
		assert_int_equal(docker_log_read(&r, &e), 0);
	}
	docker_log_read_done(&r);
	docker_log_done(&w);
}

static void put_file(const struct place *p, const char *name, const char *text)
{
	AUTO_FD int fd = openat(p->directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
}

/* The line of a writer that was killed goes; what it had finished stays. */
static void test_torn_line(void **state)
{
	struct place *p = *state;
	struct docker_log_writer w;
	assert_int_equal(docker_log_open(&w, p->directory, 0, 1), 0);
	write_text(&w, DOCKER_STDOUT, "whole\n");
	docker_log_done(&w);
	AUTO_FD int fd = openat(p->directory, "json.log", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(fd_write_full(fd, "{\"log\":\"to", 10), 0);
	assert_int_equal(docker_log_open(&w, p->directory, 0, 1), 0);
	write_text(&w, DOCKER_STDOUT, "next\n");
	docker_log_done(&w);
	AUTOFREE char *all = read_all(p, UINT64_MAX);
	assert_string_equal(all, "Owhole\nOnext\n");
}

/* Lines of another form are skipped, and only regular files are read. */
static void test_hostile(void **state)
{
	struct place *p = *state;
	struct docker_log_reader r;
	struct docker_log_entry e;
	struct docker_log_writer w;
	AUTOFREE char *huge = xmalloc(300 * 1024);
	put_file(p, "json.log",
	    "{}\n{\"log\":\"x\"}\n\n{\"log\":\"good\\n\",\"stream\":\"stderr\",\"time\":\"2023-11-14T22:13:20Z\"}\n"
	    "{\"log\":\"\\u0041\",\"stream\":\"stdout\",\"time\":\"2023-11-14T22:13:20Z\"}\n");
	AUTOFREE char *good = read_all(p, UINT64_MAX);
	assert_string_equal(good, "Egood\n");
	memset(huge, 'x', 300 * 1024 - 1);
	huge[300 * 1024 - 1] = '\0';
	put_file(p, "json.log", huge);
	AUTOFREE char *none = read_all(p, UINT64_MAX);
	assert_string_equal(none, "");
	assert_int_equal(unlinkat(p->directory, "json.log", 0), 0);
	assert_int_equal(mkfifoat(p->directory, "json.log", 0600), 0);
	assert_int_equal(docker_log_read_open(&r, p->directory, UINT64_MAX), 0);
	assert_int_equal(docker_log_read(&r, &e), 0);
	docker_log_read_done(&r);
	assert_true(docker_log_open(&w, p->directory, 0, 1) < 0);
	docker_log_done(&w);
}

/* Lines from after the noted file and size are cut, also when the files were renamed. */
static void test_resume(void **state)
{
	const struct place *p = *state;
	for (unsigned files = 1; files <= 3; files++) {
		struct docker_log_writer w;
		unlinkat(p->directory, "json.log", 0);
		assert_int_equal(docker_log_open(&w, p->directory, 100, files), 0);
		assert_int_equal(docker_log_write(&w, DOCKER_STDOUT, "kept\n", 5, 1), 0);
		uint64_t inode = w.inode, size = w.size;
		assert_int_equal(docker_log_resume(&w, inode, size), 0);
		assert_int_equal(w.size, size);
		assert_int_equal(docker_log_write(&w, DOCKER_STDOUT, "not kept\n", 9, 1), 0);
		assert_true(w.inode != inode); /* it was rotated */
		docker_log_done(&w);
		assert_int_equal(docker_log_open(&w, p->directory, 0, files), 0);
		assert_int_equal(docker_log_resume(&w, inode, size), 0);
		assert_int_equal(w.size, 0);
		assert_int_equal(docker_log_write(&w, DOCKER_STDOUT, "1\n2\n", 4, 1), 0);
		assert_int_equal(docker_log_resume(&w, w.inode, w.size / 2), 0);
		docker_log_done(&w);
		AUTOFREE char *all = read_all(p, 1);
		assert_string_equal(all, "O1\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_form_is_dockers),
		cmocka_unit_test_setup_teardown(test_write_and_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rotation, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_follow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_torn_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_resume, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
