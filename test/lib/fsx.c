/* SPDX-License-Identifier: Apache-2.0
 * fsx FILE SEED COUNT: does COUNT random things to one file, through descriptors and mapped memory,
 * and compares with a copy of its content in memory. The same seed does the same things. At the
 * first difference it says where, with the last things done, and ends with 1. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random.h"

enum { SIZE_MAX_OF_FILE = 400000, PIECE_MAX = 70000, PAGE = 4096, LOG_LINES = 24 };

static const char *path;
static int fd, reader; /* of the same file */
static unsigned long operation, seed;
static size_t size;
static unsigned char model[SIZE_MAX_OF_FILE], buffer[SIZE_MAX_OF_FILE];
static char lines[LOG_LINES][120];

static void doing(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void doing(const char *format, ...)
{
	char *line = lines[operation % LOG_LINES];
	int n = snprintf(line, sizeof *lines, "%lu: ", operation);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line + n, sizeof *lines - (size_t)n, format, arguments);
	va_end(arguments);
}

static void fail(const char *what)
{
	printf("fsx: seed %lu, operation %lu: %s (%s)\n", seed, operation, what, strerror(errno));
	for (unsigned long n = operation < LOG_LINES ? 0 : operation - LOG_LINES + 1; n <= operation; n++)
		printf("  %s\n", lines[n % LOG_LINES]);
	exit(1);
}

/* Most are odd, some stand on pages. */
static size_t place(size_t below)
{
	size_t at = below ? number((uint32_t)below) : 0;
	return number(4) ? at : at & ~(size_t)(PAGE - 1);
}

static void compare(const unsigned char *seen, size_t at, size_t count, const char *where)
{
	char text[120];
	for (size_t n = 0; n < count; n++)
		if (seen[n] != model[at + n]) {
			snprintf(text, sizeof text, "%s: byte %zu is %02x instead of %02x", where, at + n, seen[n],
			    model[at + n]);
			errno = 0;
			fail(text);
		}
}

static void check_size(void)
{
	struct stat st;
	char text[80];
	if (fstat(fd, &st) < 0)
		fail("fstat");
	if ((size_t)st.st_size == size)
		return;
	snprintf(text, sizeof text, "the size is %lld instead of %zu", (long long)st.st_size, size);
	errno = 0;
	fail(text);
}

static void check_all(void)
{
	ssize_t n = pread(reader, buffer, sizeof buffer, 0);
	if (n != (ssize_t)size)
		fail("reading all of it");
	compare(buffer, 0, size, "all of it");
}

static void fill(size_t count)
{
	for (size_t n = 0; n < count; n++)
		buffer[n] = (unsigned char)number(256);
}

static void grow(size_t to)
{
	if (to > size)
		size = to; /* what is behind the size is zero in the model */
}

static void do_read(void)
{
	size_t at = place(SIZE_MAX_OF_FILE), count = 1 + number(PIECE_MAX);
	size_t wanted = at >= size ? 0 : count < size - at ? count : size - at;
	int from = number(2) ? fd : reader;
	doing("read %zu at %zu%s", count, at, from == reader ? " by the reader" : "");
	if (pread(from, buffer, count, (off_t)at) != (ssize_t)wanted)
		fail("read");
	compare(buffer, at, wanted, "read");
}

static void do_write(void)
{
	size_t at = place(SIZE_MAX_OF_FILE - PIECE_MAX), count = 1 + number(PIECE_MAX);
	doing("write %zu at %zu", count, at);
	fill(count);
	if (pwrite(fd, buffer, count, (off_t)at) != (ssize_t)count)
		fail("write");
	memcpy(model + at, buffer, count);
	grow(at + count);
}

static void do_append(void)
{
	size_t count = 1 + number(5000);
	if (size + count > SIZE_MAX_OF_FILE)
		return;
	doing("append %zu", count);
	fill(count);
	if (fcntl(fd, F_SETFL, O_APPEND) < 0 || write(fd, buffer, count) != (ssize_t)count || fcntl(fd, F_SETFL, 0) < 0)
		fail("append");
	memcpy(model + size, buffer, count);
	grow(size + count);
}

static void do_map(int writing)
{
	if (size == 0)
		return;
	size_t at = place(size), count = 1 + number(PIECE_MAX), skip = at % PAGE;
	count = count < size - at ? count : size - at;
	doing("%s %zu at %zu by a map", writing ? "write" : "read", count, at);
	unsigned char *map = mmap(NULL, skip + count, writing ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
	    writing ? fd : reader, (off_t)(at - skip));
	if (map == MAP_FAILED)
		fail("mmap");
	compare(map + skip, at, count, "map");
	if (writing) {
		fill(count);
		memcpy(map + skip, buffer, count);
		memcpy(model + at, buffer, count);
		if (number(4) == 0 && msync(map, skip + count, MS_SYNC) < 0)
			fail("msync");
	}
	if (munmap(map, skip + count) < 0)
		fail("munmap");
}

static void do_map_read(void)
{
	do_map(0);
}

static void do_map_write(void)
{
	do_map(1);
}

static void do_truncate(void)
{
	size_t to = place(number(2) ? size + 1 : SIZE_MAX_OF_FILE);
	int by_name = number(4) == 0;
	doing("truncate to %zu%s", to, by_name ? " by name" : "");
	if ((by_name ? truncate(path, (off_t)to) : ftruncate(fd, (off_t)to)) < 0)
		fail("truncate");
	if (to < size)
		memset(model + to, 0, size - to);
	size = to;
}

static void do_allocate(void)
{
	static const struct {
		int mode;
		const char *name;
	} modes[] = { { 0, "allocate" }, { FALLOC_FL_KEEP_SIZE, "allocate, keep" },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, "punch" }, { FALLOC_FL_ZERO_RANGE, "zero" },
		{ FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, "zero, keep" } };
	size_t at = place(SIZE_MAX_OF_FILE - PIECE_MAX), count = 1 + number(PIECE_MAX),
	       which = number(sizeof modes / sizeof *modes);
	int mode = modes[which].mode;
	doing("%s %zu at %zu", modes[which].name, count, at);
	if (fallocate(fd, mode, (off_t)at, (off_t)count) < 0) {
		if (errno == EOPNOTSUPP)
			return; /* a file system without it */
		fail("fallocate");
	}
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(model + at, 0, count);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(at + count);
}

static void do_copy(void)
{
	if (size < 2)
		return;
	size_t count = 1 + number((uint32_t)(size < PIECE_MAX ? size / 2 : PIECE_MAX / 2)),
	       from = place(size - count + 1);
	size_t to = place(SIZE_MAX_OF_FILE - count);
	if (from < to + count && to < from + count)
		return; /* overlapping is an error */
	off_t in = (off_t)from, out = (off_t)to;
	doing("copy %zu from %zu to %zu", count, from, to);
	for (size_t done = 0; done < count;) {
		ssize_t n = copy_file_range(reader, &in, fd, &out, count - done, 0);
		if (n <= 0)
			fail("copy_file_range");
		done += (size_t)n;
	}
	memcpy(model + to, model + from, count);
	grow(to + count);
}

static void open_both(void)
{
	fd = open(path, O_RDWR);
	reader = open(path, O_RDONLY);
	if (fd < 0 || reader < 0)
		fail("open");
}

static void do_reopen(void)
{
	doing("close and open");
	if (close(fd) < 0 || close(reader) < 0)
		fail("close");
	open_both();
	check_all();
}

static void do_sync(void)
{
	doing("sync");
	if (fsync(fd) < 0)
		fail("fsync");
	if (number(2) && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		fail("posix_fadvise");
}

int main(int argc, char **argv)
{
	static void (*const what[])(void) = { do_read, do_read, do_write, do_write, do_append, do_map_read,
		do_map_write, do_truncate, do_allocate, do_allocate, do_copy, do_reopen, do_sync };
	if (argc != 4) {
		fprintf(stderr, "usage: fsx FILE SEED COUNT\n");
		return 2;
	}
	path = argv[1];
	seed = strtoul(argv[2], NULL, 10);
	seed_random(seed);
	unsigned long count = strtoul(argv[3], NULL, 10);
	close(open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644));
	open_both();
	for (operation = 0; operation < count; operation++) {
		doing("nothing");
		what[number(sizeof what / sizeof *what)]();
		check_size();
	}
	check_all();
	printf("fsx: seed %lu, %lu operations: as expected, %zu bytes at the end\n", seed, count, size);
	return 0;
}
