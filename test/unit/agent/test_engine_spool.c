/* SPDX-License-Identifier: Apache-2.0
 * The spool of a container's output, and engines that are killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/engine/spool.h"
#include "base/fd.h"

enum { FLOOD = 4 * 1024 * 1024 };

/* A second engine's copies. */
static struct spool *adopt(const struct spool *s)
{
	int fds[HELD_COUNT];
	memset(fds, 0xff, sizeof fds);
	spool_descriptors(s, fds);
	for (size_t i = 0; i < HELD_COUNT; i++)
		fds[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
	return spool_adopt(fds);
}

static void pipe_with(int ends[2], const char *text)
{
	assert_int_equal(fd_pipe(ends), 0);
	assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
}

static void what_is_not_committed_is_read_again(void **state)
{
	char bytes[SPOOL_STEP];
	int out[2], err[2];
	struct spool *s = spool_new(0);
	assert_non_null(s);
	pipe_with(out, "one\ntwo");
	pipe_with(err, "three\n");
	assert_int_equal(spool_read(s, 0, out[0], bytes), 7);
	assert_memory_equal(bytes, "one\ntwo", 7);
	spool_commit(s, (const size_t[2]){ 3, 0 }, 17, 99); /* "two" has no line break */
	assert_int_equal(spool_read(s, 1, err[0], bytes), 6);
	assert_int_equal(spool_read(s, 0, out[0], bytes), -EAGAIN);
	struct spool *next = adopt(s);
	assert_non_null(next);
	assert_int_equal(spool_committed(next).inode, 17);
	assert_int_equal(spool_committed(next).size, 99);
	assert_int_equal(spool_read_rest(next, 0, bytes), 3);
	assert_memory_equal(bytes, "two", 3);
	assert_int_equal(spool_read_rest(next, 0, bytes), 0);
	assert_int_equal(spool_read_rest(next, 1, bytes), 6);
	assert_memory_equal(bytes, "three\n", 6);
	close(out[1]);
	assert_int_equal(spool_read(next, 0, out[0], bytes), 0);
	spool_free(s);
	spool_free(next);
	close(out[0]);
	close(err[0]);
	close(err[1]);
}

static void a_flood_takes_no_more_memory_than_is_kept(void **state)
{
	char bytes[SPOOL_STEP];
	int ends[2], fds[HELD_COUNT];
	struct stat st;
	size_t total = 0;
	struct spool *s = spool_new(0);
	memset(fds, 0xff, sizeof fds);
	assert_non_null(s);
	assert_int_equal(fd_pipe(ends), 0);
	memset(bytes, 'x', sizeof bytes);
	spool_descriptors(s, fds);
	while (total < FLOOD) {
		assert_int_equal(write(ends[1], bytes, sizeof bytes), sizeof bytes);
		ssize_t n = spool_read(s, 0, ends[0], bytes);
		assert_true(n > 0);
		total += (size_t)n;
		spool_commit(s, (const size_t[2]){ 0, 0 }, 0, 0);
		while ((n = spool_read(s, 0, ends[0], bytes)) > 0)
			total += (size_t)n;
		assert_int_equal(fstat(fds[HELD_SPOOL_OUT], &st), 0);
		assert_true(st.st_blocks * 512 <= SPOOL_KEPT + 4 * SPOOL_STEP);
	}
	spool_free(s);
	close(ends[0]);
	close(ends[1]);
}

/* Copies the pipe's bytes into a file, as an engine does, until it is killed. */
static _Noreturn void move_until_killed(struct spool *s, int from, int log)
{
	char bytes[SPOOL_STEP];
	uint64_t size = spool_committed(s).size;
	for (;;) {
		ssize_t n = spool_read_rest(s, 0, bytes);
		if (n == 0 && (n = spool_read(s, 0, from, bytes)) == -EAGAIN)
			continue;
		if (n <= 0)
			_exit(n < 0);
		if (pwrite(log, bytes, (size_t)n, (off_t)size) != n)
			_exit(1);
		size += (uint64_t)n;
		spool_commit(s, (const size_t[2]){ 0, 0 }, 1, size);
	}
}

static _Noreturn void count_up(int to, unsigned limit)
{
	for (uint32_t i = 0; i < limit; i++)
		if (fd_write_full(to, &i, sizeof i) < 0)
			_exit(1);
	_exit(0);
}

static void engines_that_are_killed_lose_nothing_and_double_nothing(void **state)
{
	enum { NUMBERS = 100000, SPARED_NS = 300000 };
	int ends[2], status = -1, log = memfd_create("log", MFD_CLOEXEC);
	unsigned kills = 0;
	struct spool *s = spool_new(0);
	assert_true(log >= 0 && s);
	assert_int_equal(fd_pipe(ends), 0);
	pid_t writer = fork();
	if (writer == 0)
		count_up(ends[1], NUMBERS);
	close(ends[1]);
	for (int ended = 0; !ended;) {
		pid_t engine = fork();
		if (engine == 0)
			move_until_killed(adopt(s), ends[0], log);
		nanosleep(&(struct timespec){ .tv_nsec = SPARED_NS + kills % 7 * 100000 }, NULL);
		kill(engine, SIGKILL);
		assert_int_equal(waitpid(engine, &status, 0), engine);
		ended = WIFEXITED(status);
		kills++;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	struct spool *last = adopt(s);
	assert_int_equal(spool_committed(last).size, NUMBERS * sizeof(uint32_t));
	for (uint32_t i = 0, found; i < NUMBERS; i++) {
		assert_int_equal(pread(log, &found, sizeof found, (off_t)i * (off_t)sizeof found), sizeof found);
		assert_int_equal(found, i);
	}
	spool_free(last);
	spool_free(s);
	close(ends[0]);
	close(log);
}

static void descriptors_that_are_no_spool_are_refused(void **state)
{
	int fds[HELD_COUNT];
	memset(fds, 0xff, sizeof fds);
	assert_null(spool_adopt(fds));
	fds[HELD_SPOOL_OUT] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_null(spool_adopt(fds));
	assert_int_equal(fds[HELD_SPOOL_OUT], -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_committed_is_read_again),
		cmocka_unit_test(a_flood_takes_no_more_memory_than_is_kept),
		cmocka_unit_test(engines_that_are_killed_lose_nothing_and_double_nothing),
		cmocka_unit_test(descriptors_that_are_no_spool_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
