/* SPDX-License-Identifier: Apache-2.0
 * The reserve of a file system, and holes in files. The file system is a small one in a mount
 * namespace of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/reserve.h"

enum { CANNOT = 77, PIECE = 100 * 1000, SIZE = 64 << 20, PART = 32, FILES = 1024 };

static void write_self(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0)
		_exit(CANNOT);
}

static void mount_small(const char *path)
{
	AUTOFREE char *uids = xasprintf("0 %u 1", (unsigned)getuid()), *gids = xasprintf("0 %u 1", (unsigned)getgid());
	AUTOFREE char *data = xasprintf("size=%d,nr_inodes=%d", SIZE, FILES);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		_exit(CANNOT);
	write_self("/proc/self/setgroups", "deny");
	write_self("/proc/self/uid_map", uids);
	write_self("/proc/self/gid_map", gids);
	if (mount("none", path, "tmpfs", 0, data) < 0 || chdir(path) < 0)
		_exit(CANNOT);
}

/* Writes until the reserve says no. Returns which check failed, or 0. */
static int fill_bytes(void)
{
	static char piece[PIECE];
	struct reserve r = { 0 };
	struct statvfs v;
	AUTO_ERROR struct error *err = NULL;
	AUTO_FD int fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int result = 0, pieces = 0;
	for (; result == 0 && pieces < SIZE / PIECE * 2; pieces += result == 0) {
		result = reserve_take(&r, fd, sizeof piece, &err);
		if (result == 0 && fd_write_full(fd, piece, sizeof piece) < 0)
			return 1;
	}
	if (result != -ENOSPC || !strstr(error_text(err, result), "2M that holm leaves") || fstatvfs(fd, &v) < 0)
		return 2;
	uint64_t left = (uint64_t)v.f_bavail * v.f_frsize;
	return left >= SIZE / PART && left < SIZE / PART + 4 * PIECE ? 0 : 3;
}

static int fill_files(void)
{
	struct reserve r = { 0 };
	AUTO_FD int top = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < FILES; i++) {
		AUTOFREE char *name = xasprintf("%d", i);
		r.left = 0; /* as if it had not looked for a while */
		int result = reserve_take(&r, top, 4096, NULL);
		if (result == -ENOSPC)
			return i > FILES / 2 && i <= FILES - FILES / PART ? 0 : 2;
		AUTO_FD int fd = result < 0 ? result : open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return 3;
	}
	return 4;
}

static void in_small(int (*check)(void))
{
	char *path = folder_new();
	int status;
	pid_t child = fork();
	if (child == 0) {
		mount_small(path);
		_exit(check());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	folder_remove(path);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void bytes(void **state)
{
	in_small(fill_bytes);
}

static void files(void **state)
{
	in_small(fill_files);
}

/* Every split of the data gives the same file, and large runs of zeros take no room. */
static void holes(void **state)
{
	enum { ALL = 3 << 20, DATA_AT = 1 << 20, DATA = 70 * 1000 };
	static const size_t steps[] = { 4096, 511, 65536, 100001, ALL };
	char *folder = folder_new();
	AUTOFREE char *data = xcalloc(1, ALL), *back = xcalloc(1, ALL), *path = path_join(folder, "file");
	memset(data + DATA_AT + 5, 'x', DATA);
	data[0] = 'a';
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct stat st;
		AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		for (size_t at = 0; at < ALL; at += steps[i])
			assert_int_equal(fd_write_sparse(fd, data + at, MIN(steps[i], ALL - at), at), 0);
		assert_int_equal(ftruncate(fd, ALL), 0);
		assert_int_equal(pread(fd, back, ALL, 0), ALL);
		assert_memory_equal(data, back, ALL);
		assert_int_equal(fsync(fd), 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_true((uint64_t)st.st_blocks * 512 < ALL / 4);
	}
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bytes), cmocka_unit_test(files), cmocka_unit_test(holes) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
