/* SPDX-License-Identifier: Apache-2.0
 * The files that QEMU can open, should somebody take it over: a child with its rules plays it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/fd.h"
#include "disk/qcow2.h"
#include "isolation/vm/landlock.h"
#include "isolation/vm/qemu_rules.h"

enum { CANNOT = 77, DISK_SIZE = 1 << 20 };

struct world {
	char *folder, *disk, *middle, *base, *kernel, *secret;
	struct qemu_plan plan;
};

static char *put(const char *folder, const char *name, size_t size)
{
	char *path = path_join(folder, name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return path;
}

static int setup(void **state)
{
	struct world *w = xnew(struct world);
	w->folder = folder_new();
	w->base = put(w->folder, "base", DISK_SIZE);
	w->kernel = put(w->folder, "kernel", 10);
	w->secret = put(w->folder, "secret", 10);
	w->middle = path_join(w->folder, "middle.qcow2");
	w->disk = path_join(w->folder, "disk.qcow2");
	assert_int_equal(qcow2_create(w->middle, w->base, "raw", DISK_SIZE, NULL), 0);
	assert_int_equal(qcow2_create(w->disk, "middle.qcow2", "qcow2", DISK_SIZE, NULL), 0);
	w->plan = (struct qemu_plan){
		.program = "sh", /* it is where QEMU is */
		.kernel = w->kernel,
		.initramfs = "/proc/self/fd/1000",
		.disk = w->disk,
		.network = VM_NETWORK_PASST,
	};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	folder_remove(w->folder);
	free(w->disk);
	free(w->middle);
	free(w->base);
	free(w->kernel);
	free(w->secret);
	free(w);
	return 0;
}

static int try(const char *path, int flags)
{
	AUTO_FD int fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : 0;
}

static int try_connect(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9) };
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : 0;
}

/* The number of the first check that failed, 0 none. */
static int look_around(const struct world *w, int tcp)
{
	AUTOFREE char *new = path_join(w->folder, "new");
	const struct {
		int got, wanted;
	} checks[] = {
		{ try(w->disk, O_RDWR), 0 },
		{ try(w->middle, O_RDONLY), 0 },
		{ try(w->middle, O_RDWR), -EACCES },
		{ try(w->base, O_RDONLY), 0 },
		{ try(w->base, O_RDWR), -EACCES },
		{ try(w->kernel, O_RDONLY), 0 },
		{ try(w->kernel, O_RDWR), -EACCES },
		{ try(w->secret, O_RDONLY), -EACCES },
		{ try(w->folder, O_RDONLY | O_DIRECTORY), -EACCES },
		{ open(new, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ? -errno : 0, -EACCES },
		{ unlink(w->secret) < 0 ? -errno : 0, -EACCES },
		{ try("/etc/passwd", O_RDONLY), 0 },
		{ try("/dev/null", O_RDWR), 0 },
		{ try("/tmp", O_RDONLY | O_DIRECTORY), -EACCES },
		{ try_connect() == -EACCES, landlock_version() >= 4 && !tcp },
	};
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (checks[i].got != checks[i].wanted)
			return (int)i + 1;
	return 0;
}

/* In a child that has the rules. */
static int in_qemu(const struct world *w, int tcp)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		int rules = qemu_rules(&w->plan, NULL);
		if (rules == -EOPNOTSUPP)
			_exit(CANNOT);
		if (rules < 0 || landlock_restrict(rules) < 0)
			_exit(100);
		int bad = look_around(w, tcp);
		if (bad == 0)
			execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
		_exit(bad ? bad : 101);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void opens_its_own_alone(void **state)
{
	struct world *w = *state;
	int status = in_qemu(w, 0);
	if (status == CANNOT)
		skip();
	assert_int_equal(status, 0);
	w->plan.network = VM_NETWORK_USER;
	assert_int_equal(in_qemu(w, 1), 0);
}

/* A QEMU of one's own, with its firmware who knows where, starts as ever. */
static void elsewhere_is_not_restricted(void **state)
{
	struct world *w = *state;
	AUTOFREE char *own = put(w->folder, "own-qemu", 10);
	assert_int_equal(chmod(own, 0700), 0);
	w->plan.program = own;
	assert_int_equal(qemu_rules(&w->plan, NULL), -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(opens_its_own_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(elsewhere_is_not_restricted, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
