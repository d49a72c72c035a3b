/* SPDX-License-Identifier: Apache-2.0
 * What is in a file: reading and writing by system calls and by memory. */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* A limit counts for standard output as well, so nothing is printed meanwhile. */
static int over_limit(void *fd)
{
	struct rlimit limit = { 100, 100 };
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return 9;
	int up_to = pwrite(*(int *)fd, "0123456789", 10, 95) == 5,
	    over = pwrite(*(int *)fd, "0123456789", 10, 100) == -1 && errno == EFBIG;
	return up_to + 2 * over + 4 * (ftruncate(*(int *)fd, 101) < 0 && errno == EFBIG);
}

void data_group(void)
{
	char a[16] = "", b[16] = "", *volatile nowhere = (char *)8;
	struct iovec pieces[2] = { { a, 4 }, { b, 12 } };
	int fd = open_new("file", O_RDWR);
	see("write", write(fd, "0123456789", 10));
	see("position", lseek(fd, 0, SEEK_CUR));
	see("read-at-end", read(fd, a, 4));
	see("pread", pread(fd, a, sizeof a, 7));
	see("pread-behind", pread(fd, a, sizeof a, 100));
	see("pread-negative", pread(fd, a, 1, -1));
	see("preadv", preadv(fd, pieces, 2, 1));
	note("preadv-is", "%.4s %.5s", a, b);
	see("pwritev", pwritev(fd, pieces, 1, 20));
	see_content("gap", "file");
	see("write-nothing", write(fd, "", 0));
	see("seek-negative", lseek(fd, -1, SEEK_SET));
	see("seek-end", lseek(fd, 5, SEEK_END));
	see("seek-odd", lseek(fd, 0, 77));
	see("write-far", pwrite(fd, "x", 1, 1LL << 60));
	see("write-bad-memory", pwrite(fd, nowhere, 10, 0));
	see("read-bad-memory", pread(fd, nowhere, 10, 0));
	fill(fd, 0, 3 * MIB + 12345, 1);
	see_content("megabytes", "file");
	fill(fd, 4095, 2, 2);
	fill(fd, MIB - 1, 4098, 3);
	see_content("across-pages", "file");
	see("advise", posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	see("readahead", readahead(fd, 0, MIB));
	see_content("again", "file");
	close(fd);
	fd = must("open", open("file", O_WRONLY));
	see("read-write-only", read(fd, a, 1));
	close(fd);
	fd = must("open", open("file", O_RDONLY));
	see("write-read-only", write(fd, "x", 1));
	see("truncate-read-only", ftruncate(fd, 0));
	close(fd);
	fd = open_new("limited", O_WRONLY);
	note("limit", "%d", in_child(over_limit, &fd));
	close(fd);
	see_file("limited-is", "limited");
}

void append_group(void)
{
	int one = open_new("file", O_WRONLY | O_APPEND), two = must("open", open("file", O_WRONLY | O_APPEND));
	char line[8];
	for (int n = 0; n < 50; n++) {
		snprintf(line, sizeof line, "%03d\n", n);
		must("write", (int)write(n & 1 ? one : two, line, 4));
	}
	see_content("two-descriptors", "file");
	see("pwrite-appends", pwrite(one, "end\n", 4, 0));
	see("position", lseek(one, 0, SEEK_CUR));
	see_content("pwrite-appended", "file");
	must("fcntl", fcntl(one, F_SETFL, 0));
	see("no-longer", pwrite(one, "BEGIN", 5, 0));
	must("fcntl", fcntl(two, F_SETFL, O_APPEND));
	see("still", write(two, "END", 3));
	see_content("both", "file");
	struct iovec piece = { "by-call", 7 };
	see("flag-of-one-call", pwritev2(one, &piece, 1, 0, RWF_APPEND));
	see_content("of-one-call", "file");
	close(one);
	close(two);
	one = open_new("shared", O_RDWR);
	fflush(stdout);
	for (int n = 0; n < 4; n++)
		if (must("fork", fork()) == 0) {
			int own = open("shared", O_WRONLY | O_APPEND);
			for (int k = 0; k < 50; k++)
				if (write(own, "0123456789abcde\n", 16) != 16)
					_exit(1);
			_exit(0);
		}
	int status, good = 0;
	while (wait(&status) > 0)
		good += status == 0;
	note("four-processes", "%d", good);
	see_content("four-processes-wrote", "shared");
	close(one);
}

void truncate_group(void)
{
	int fd = open_new("file", O_RDWR);
	char buffer[16];
	fill(fd, 0, 10000, 4);
	see("shorter", ftruncate(fd, 5001));
	see_content("shorter-is", "file");
	see("longer", ftruncate(fd, 9000));
	see_content("longer-is", "file");
	see("read-behind", pread(fd, buffer, sizeof buffer, 8990));
	see("by-name", truncate("file", 123));
	see_stat("by-name-is", fd);
	see("negative", ftruncate(fd, -1));
	see("too-far", ftruncate(fd, INT64_MAX));
	see_stat("too-far-is", fd);
	see("same", ftruncate(fd, 123));
	see("to-nothing", truncate("file", 0));
	see_content("nothing", "file");
	must("mkdir", mkdir("dir", 0755));
	see("directory", truncate("dir", 0));
	see("missing", truncate("none", 0));
	fill(fd, 0, 5000, 5);
	see_and_close("at-open", open("file", O_WRONLY | O_TRUNC));
	see("write-behind-end", pwrite(fd, "x", 1, 6000));
	see_content("zeros", "file");
	close(fd);
}

void large_group(void)
{
	const off_t far = 5LL << 30;
	char buffer[8] = "";
	int fd = open_new("file", O_RDWR);
	see("write", pwrite(fd, "far", 3, far));
	see_stat("is", fd);
	see("read", pread(fd, buffer, sizeof buffer, far));
	note("content", "%.3s", buffer);
	see("seek", lseek(fd, -3, SEEK_END));
	see("hole", pread(fd, buffer, sizeof buffer, far / 2));
	see("truncate", ftruncate(fd, far * 2 + 1));
	see_stat("truncated", fd);
	see("allocate", fallocate(fd, FALLOC_FL_KEEP_SIZE, far + 4096, 4096));
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, far);
	if (see_ok("map", map != MAP_FAILED)) {
		note("map-content", "%.3s", map);
		memcpy(map, "FAR", 3);
		munmap(map, PAGE);
	}
	see("read-mapped", pread(fd, buffer, 3, far));
	note("content-mapped", "%.3s", buffer);
	close(fd);
	see("remove", unlink("file"));
}

void direct_group(void)
{
	char *page, *back;
	if (posix_memalign((void **)&page, PAGE, 4 * PAGE) || posix_memalign((void **)&back, PAGE, 4 * PAGE))
		exit(1);
	memset(page, 'd', 4 * PAGE);
	int fd = see_fd("open", open("file", O_CREAT | O_RDWR | O_DIRECT, 0644));
	if (fd < 0)
		return;
	see("write", pwrite(fd, page, 4 * PAGE, 0));
	see("read", pread(fd, back, 4 * PAGE, 0));
	note("same", "%s", memcmp(page, back, 4 * PAGE) == 0 ? "yes" : "no");
	see("read-at-end", pread(fd, back, PAGE, 4 * PAGE));
	see("unaligned", pread(fd, back + 1, 100, 3));
	int other = must("open", open("file", O_RDWR));
	see("cached-write", pwrite(other, "CACHED", 6, PAGE));
	see("direct-read", pread(fd, back, PAGE, PAGE));
	note("sees-cached", "%.6s", back);
	memset(page, 'D', PAGE);
	see("direct-write", pwrite(fd, page, PAGE, 0));
	see("cached-read", pread(other, back, 6, 0));
	note("sees-direct", "%.6s", back);
	see("set-flag", fcntl(other, F_SETFL, O_DIRECT));
	note("has-flag", "%s", fcntl(other, F_GETFL) & O_DIRECT ? "yes" : "no");
	close(other);
	close(fd);
	see_content("content", "file");
	free(page);
	free(back);
}

void sync_group(void)
{
	int fd = open_new("file", O_RDWR);
	fill(fd, 0, 100000, 6);
	see("fsync", fsync(fd));
	see("fdatasync", fdatasync(fd));
	see("range", sync_file_range(fd, 0, 0,
			 SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	see("whole", syncfs(fd));
	close(fd);
	fd = must("open", open("file", O_RDONLY));
	see("read-only", fsync(fd));
	close(fd);
	fd = must("open", open(".", O_RDONLY | O_DIRECTORY));
	see("directory", fsync(fd));
	see("directory-data", fdatasync(fd));
	close(fd);
	fd = must("open", open("file", O_WRONLY | O_SYNC));
	see("o-sync", write(fd, "sync", 4));
	close(fd);
	fd = must("open", open("file", O_WRONLY | O_DSYNC));
	see("o-dsync", write(fd, "dsync", 5));
	close(fd);
	see_content("content", "file");
}

static sigjmp_buf fault;
static void on_fault(int signal)
{
	siglongjmp(fault, signal);
}

/* Reads or writes one byte: what came of it. */
static const char *touch(volatile char *at, int write)
{
	int signal = sigsetjmp(fault, 1);
	if (signal)
		return signal == SIGBUS ? "SIGBUS" : "SIGSEGV";
	if (write)
		*at = 'w';
	else
		(void)*at;
	return "ok";
}

static int write_through_map(void *map)
{
	memcpy(map, "child", 5);
	return 0;
}

static void private_maps(int fd)
{
	char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), back[8] = "";
	if (!see_ok("private", map != MAP_FAILED))
		return;
	memcpy(map, "private", 7);
	see("private-read", pread(fd, back, 7, 0));
	note("private-stays", "%.7s", memcmp(back, "private", 7) ? "yes" : "no");
	see("private-other-page", pwrite(fd, "visible", 7, PAGE));
	note("private-sees", "%.7s", map + PAGE);
	munmap(map, 2 * PAGE);
	int reader = must("open", open("file", O_RDONLY));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0);
	see_ok("shared-writable-of-reader", map != MAP_FAILED);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0);
	see_ok("private-writable-of-reader", map != MAP_FAILED);
	munmap(map, PAGE);
	map = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, reader, 0);
	see_ok("executable", map != MAP_FAILED);
	munmap(map, PAGE);
	close(reader);
	int writer = must("open", open("file", O_WRONLY));
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, writer, 0);
	see_ok("of-writer", map != MAP_FAILED);
	close(writer);
}

void mmap_group(void)
{
	char back[8] = "";
	int fd = open_new("file", O_RDWR);
	fill(fd, 0, 3 * PAGE + 100, 7);
	private_maps(fd);
	char *map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!see_ok("shared", map != MAP_FAILED))
		return;
	memcpy(map + PAGE - 3, "mapped", 6);
	see("read", pread(fd, back, 6, PAGE - 3));
	note("read-sees", "%.6s", back);
	see("write", pwrite(fd, "written", 7, 2 * PAGE));
	note("map-sees", "%.7s", map + 2 * PAGE);
	see("msync", msync(map, 4 * PAGE, MS_SYNC));
	see("msync-later", msync(map, 4 * PAGE, MS_ASYNC));
	see_content("content", "file");
	note("child", "%d", in_child(write_through_map, map));
	note("child-wrote", "%.5s", map);
	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	note("last-page-behind-end", "%s", touch(map + 3 * PAGE + 200, 1));
	see_stat("size-stays", fd);
	note("behind", "%s", touch(map + 5 * PAGE, 0));
	see("longer", ftruncate(fd, 6 * PAGE));
	note("within-now", "%s", touch(map + 5 * PAGE, 1));
	note("zero-behind-old-end", "%d", map[3 * PAGE + 200]);
	see_content("longer-is", "file");
	see("shorter", ftruncate(fd, PAGE));
	note("cut-off", "%s", touch(map + 2 * PAGE, 0));
	note("kept", "%s", touch(map, 0));
	see("unlink", unlink("file"));
	memcpy(map, "no name", 7);
	see("read-unlinked", pread(fd, back, 7, 0));
	note("unlinked-sees", "%.7s", back);
	close(fd);
	note("closed", "%.7s", map);
	munmap(map, 8 * PAGE);
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
}

static int run_program(void *path)
{
	close(STDERR_FILENO);
	execl(path, path, (char *)NULL);
	return errno;
}

void exec_group(void)
{
	static char buffer[MIB];
	ssize_t n;
	make("script", "#!/bin/sh\nexit 42\n");
	note("no-x", "%s", strerrorname_np(in_child(run_program, "script")));
	must("chmod", chmod("script", 0755));
	note("script", "%d", in_child(run_program, "./script"));
	int from = must("open", open("/proc/self/exe", O_RDONLY)), to = open_new("program", O_WRONLY);
	while ((n = read(from, buffer, sizeof buffer)) > 0)
		must("write", (int)write(to, buffer, (size_t)n));
	must("chmod", fchmod(to, 0755));
	note("open-for-writing", "%s", strerrorname_np(in_child(run_program, "./program")));
	close(to);
	note("program", "%d", in_child(run_program, "./program"));
	close(from);
	make("empty", "");
	must("chmod", chmod("empty", 0755));
	note("no-program", "%s", strerrorname_np(in_child(run_program, "./empty")));
}
