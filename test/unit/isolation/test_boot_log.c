/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "isolation/boot_log.h"

/* Leaves bytes on the stack that are no pointer. */
static __attribute__((noinline)) void soil_stack(void)
{
	char soil[32 * 1024];
	memset(soil, 0x41, sizeof soil);
	__asm__ volatile("" : : "r"(soil) : "memory");
}

static void say(struct boot_log *log, const char *text)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fd_write_full(ends[1], text, strlen(text)), 0);
	fd_close(ends[1]);
	log->fds[0] = ends[0];
	soil_stack();
	boot_log_drain(log);
	fd_close(log->fds[0]);
	log->fds[0] = -1;
}

/* A guest can write for ever: the file ends, the last line is kept. */
static void test_full(void **state)
{
	struct boot_log log = BOOT_LOG_NONE;
	struct stat st;
	AUTO_FD int file = memfd_create("boot.log", MFD_CLOEXEC);
	log.file = file;
	log.written = BOOT_LOG_MAX - 4;
	say(&log, "the first line\n");
	assert_int_equal(fstat(file, &st), 0);
	off_t size = st.st_size;
	assert_int_equal(log.written, BOOT_LOG_MAX);
	say(&log, "the last line\n");
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, size);
	AUTOFREE char *reason = boot_log_reason(&log);
	assert_string_equal(reason, "the last line");
}

static void test_no_file(void **state)
{
	struct boot_log log = BOOT_LOG_NONE;
	say(&log, "a line\n");
	AUTOFREE char *reason = boot_log_reason(&log);
	assert_string_equal(reason, "a line");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_full), cmocka_unit_test(test_no_file) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
