/* SPDX-License-Identifier: Apache-2.0
 * What the modes of the host user's files forbid, and to whom. Run by root, it is nobody that
 * serves. */
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fake_guest.h"
#include "fsd/process/confine.h"

enum { NOBODY = 65534, SKIPPED = 77 };

static unsigned ignoring, times_ignored;

static int ignore_modes(int on)
{
	ignoring = (unsigned)on;
	times_ignored += on != 0;
	return 0;
}

static int setup(void **state)
{
	struct fake *f = fake_new();
	if (geteuid() == 0 && (chown(f->path, NOBODY, NOBODY) < 0 || setegid(NOBODY) < 0 || seteuid(NOBODY) < 0))
		return -1;
	fake_start(f, 0);
	times_ignored = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	if (getuid() == 0 && (seteuid(0) < 0 || setegid(0) < 0))
		return -1;
	fake_free(*state);
	return 0;
}

/* A directory that can be read and not searched, which "." cannot be opened in. */
static void test_directory_without_x(void **state)
{
	struct fake *f = *state;
	struct fuse_open_in in = { .flags = O_RDONLY };
	assert_int_equal(mkdirat(f->directory, "d", 0700), 0);
	host_write(f, "d/file", "");
	assert_int_equal(fchmodat(f->directory, "d", 0400, 0), 0);
	uint64_t node = lookup(f, 1, "d");
	assert_int_equal(fuse(f, FUSE_OPENDIR, node, PART(in)), 0);
	struct fuse_read_in read = { .fh = REPLY(f, struct fuse_open_out)->fh, .size = 4096 };
	assert_int_equal(fuse(f, FUSE_READDIRPLUS, node, PART(read)), 0);
	unsigned count = 0;
	for (size_t at = 0; at < f->reply_size; count++) {
		const struct fuse_direntplus *d = (const void *)(f->reply + at);
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + d->dirent.namelen);
	}
	assert_int_equal(count, 3);
	assert_int_equal(fchmodat(f->directory, "d", 0700, 0), 0);
}

static int open_as(struct fake *f, uint32_t uid, uint64_t node, uint32_t flags)
{
	struct fuse_open_in in = { .flags = flags };
	f->uid = uid;
	int r = fuse(f, FUSE_OPEN, node, PART(in));
	f->uid = 0;
	return r;
}

/* What was opened before its directory was shut, and what has another name elsewhere. */
static void test_directory_shut_later(void **state)
{
	struct fake *f = *state;
	struct fuse_getattr_in get = { 0 };
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = S_IFREG | 0600 };
	assert_int_equal(mkdirat(f->directory, "d", 0700), 0);
	host_write(f, "d/opened", "text");
	host_write(f, "f", "text");
	assert_int_equal(linkat(f->directory, "f", f->directory, "d/linked", 0), 0);
	uint64_t d = lookup(f, 1, "d"), opened = lookup(f, d, "opened"), linked = lookup(f, 1, "f");
	assert_int_equal(lookup(f, d, "linked"), linked);
	assert_int_equal(open_as(f, 1, opened, O_RDWR), 0);
	assert_int_equal(fchmodat(f->directory, "d", 0, 0), 0);
	assert_int_equal(fuse(f, FUSE_SETATTR, opened, PART(set)), 0);
	assert_int_equal(open_as(f, 1, opened, O_RDWR), 0);
	/* Linux looks again, by the name that it came by. */
	struct fuse_link_in link = { .oldnodeid = linked };
	assert_int_equal(fuse(f, FUSE_GETATTR, linked, PART(get)), -ESTALE);
	assert_int_equal(fuse(f, FUSE_SETATTR, linked, PART(set)), -ESTALE);
	assert_int_equal(open_as(f, 1, linked, O_RDWR), -ESTALE);
	assert_int_equal(fuse3(f, FUSE_LINK, 1, PART(link), TEXT("third"), NONE), -ESTALE);
	assert_int_equal(lookup(f, 1, "f"), linked);
	assert_int_equal(fuse(f, FUSE_SETATTR, linked, PART(set)), 0);
	assert_int_equal(open_as(f, 1, linked, O_RDWR), 0);
	assert_int_equal(fchmodat(f->directory, "d", 0700, 0), 0);
}

static void test_only_root_and_only_then(void **state)
{
	struct fake *f = *state;
	host_write(f, "readable", "text");
	host_write(f, "closed", "text");
	assert_int_equal(fchmodat(f->directory, "readable", 0444, 0), 0);
	assert_int_equal(fchmodat(f->directory, "closed", 0, 0), 0);
	uint64_t readable = lookup(f, 1, "readable"), closed = lookup(f, 1, "closed");
	assert_int_equal(open_as(f, 0, readable, O_WRONLY), -EACCES); /* a host on which it cannot be done */
	f->share.settings.ignore_modes = ignore_modes;
	assert_int_equal(open_as(f, 1000, readable, O_WRONLY), -EACCES);
	assert_int_equal(open_as(f, 1000, closed, O_RDONLY), -EACCES);
	assert_int_equal(open_as(f, 0, readable, O_RDONLY), 0);
	assert_int_equal(times_ignored, 0);
	/* ours does nothing, so the second attempt fails as well */
	assert_int_equal(open_as(f, 0, readable, O_WRONLY), -EACCES);
	assert_int_equal(times_ignored, 1);
	assert_int_equal(open_as(f, 0, closed, O_RDONLY), -EACCES);
	assert_int_equal(times_ignored, 2);
	assert_int_equal(ignoring, 0);
	assert_int_equal(open_as(f, 0, closed + 77, O_RDONLY), -ESTALE);
	assert_int_equal(times_ignored, 2);
}

static int opens(int root, const char *name, int flags)
{
	AUTO_FD int fd = openat(root, name, flags | O_CLOEXEC);
	return fd >= 0;
}

static int open_path(int root, const char *name)
{
	return openat(root, name, O_PATH | O_CLOEXEC);
}

static int become_nobody(void)
{
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return -errno;
	/* As after an execve(2): else /proc/self stays root's. */
	return prctl(PR_SET_DUMPABLE, 1);
}

/* As holm-fsd does it: 0, a line's number, or SKIPPED. */
static int confined(const char *path)
{
	struct confinement c = { .proc = -1 };
	char path_of[32];
	if (become_nobody() < 0)
		return __LINE__;
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || confine_to_directory(&root, 0, &c, NULL) < 0 || confine_privileges(root, 0, &c, NULL) < 0)
		return __LINE__;
	if (!c.namespaced)
		return SKIPPED;
	if (opens(root, "readable", O_WRONLY) || opens(root, "closed", O_RDONLY) || opens(root, "d/file", O_RDONLY))
		return __LINE__;
	if (confine_ignore_modes(1) < 0)
		return __LINE__;
	if (!opens(root, "readable", O_WRONLY) || !opens(root, "closed", O_RDWR) || !opens(root, "d/file", O_RDONLY))
		return __LINE__;
	if (confine_ignore_modes(0) < 0 || opens(root, "readable", O_WRONLY) || opens(root, "closed", O_RDONLY))
		return __LINE__;
	/* Another process with the same descriptors opens them by number, and needs no capability
	 * for that. */
	int status, fd = open_path(root, "d");
	snprintf(path_of, sizeof path_of, "%d", fd);
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(confine_own_descriptors(&c) < 0 || chmod(path_of, 0700) < 0 ||
		      !opens(AT_FDCWD, path_of, O_RDONLY | O_DIRECTORY));
	return fd >= 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : __LINE__;
}

static int same_text(int root, const char *name, const char *text)
{
	char found[16];
	AUTO_FD int fd = openat(root, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, found, sizeof found);
	return n == (ssize_t)strlen(text) && memcmp(found, text, (size_t)n) == 0;
}

/* Another file takes the name of a single file that is shared, as an editor does it. */
static int confined_to_file(const char *path, int read_only)
{
	struct confinement c = { .proc = -1 };
	int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), root = open_path(directory, "single");
	if (become_nobody() < 0 || directory < 0 || root < 0)
		return __LINE__;
	int r = confine_to_file(directory, "single", read_only, &root, &c, NULL);
	if (r < 0)
		return r == -EPERM || r == -ENOSPC || r == -EACCES ? SKIPPED : __LINE__;
	if (confine_privileges(root, read_only, &c, NULL) < 0 || !c.namespaced)
		return __LINE__;
	if (!same_text(root, CONFINE_FILE, "one") || opens(root, "single", O_RDONLY) || opens(root, "other", O_RDONLY))
		return __LINE__;
	if (opens(root, "../other", O_RDONLY) || opens(root, "/other", O_RDONLY) || opens(root, "/etc", O_RDONLY))
		return __LINE__;
	/* The directory is nobody's to change, the file the user's. */
	if (mknodat(root, "new", S_IFREG | 0600, 0) == 0 || mkdirat(root, "new", 0700) == 0 ||
	    unlinkat(root, CONFINE_FILE, 0) == 0 || renameat(root, CONFINE_FILE, root, "new") == 0)
		return __LINE__;
	if (opens(root, CONFINE_FILE, O_WRONLY) == read_only)
		return __LINE__;
	if (raise(SIGSTOP) != 0 || !same_text(root, CONFINE_FILE, "one"))
		return __LINE__;
	return 0;
}

static void check_single_file(struct fake *f, int read_only)
{
	int status;
	host_write(f, "single", "one");
	host_write(f, "other", "two");
	if (getuid() == 0) {
		assert_int_equal(fchownat(f->directory, "single", NOBODY, NOBODY, 0), 0);
		assert_int_equal(fchmod(f->directory, 0755), 0);
	}
	pid_t pid = fork();
	if (pid == 0) {
		int line = confined_to_file(f->path, read_only);
		_exit(line == SKIPPED ? SKIPPED : line ? 1 + line % 70 : 0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip(); /* no user namespaces here */
	assert_true(WIFSTOPPED(status));
	assert_int_equal(renameat(f->directory, "other", f->directory, "single"), 0);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_single_file(void **state)
{
	check_single_file(*state, 0);
	check_single_file(*state, 1);
}

static void test_confined(void **state)
{
	struct fake *f = *state;
	int status;
	host_write(f, "readable", "text");
	host_write(f, "closed", "text");
	assert_int_equal(mkdirat(f->directory, "d", 0700), 0);
	host_write(f, "d/file", "");
	static const struct {
		const char *name;
		mode_t mode;
	} modes[] = { { "readable", 0444 }, { "closed", 0 }, { "d", 0 } };
	for (size_t n = 0; n < ARRAY_SIZE(modes); n++)
		assert_int_equal(fchmodat(f->directory, modes[n].name, modes[n].mode, 0), 0);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int line = confined(f->path);
		_exit(line == SKIPPED ? SKIPPED : line ? 1 + line % 70 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(fchmodat(f->directory, "d", 0700, 0), 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip(); /* no user namespaces here */
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_directory_without_x, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_shut_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_root_and_only_then, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_single_file, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
