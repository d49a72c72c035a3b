/* SPDX-License-Identifier: Apache-2.0
 * What the native probe says, and the probe itself on whatever this host has: it must come to an
 * end in time and leave nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "isolation/isolation.h"
#include "isolation/native/inotify.h"
#include "isolation/native/probe.h"

static char *folder;

static int set_up(void **state)
{
	folder = folder_new();
	setenv("XDG_DATA_HOME", folder, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	return 0;
}

static int tear_down(void **state)
{
	folder_remove(folder);
	return 0;
}

static void explains(enum native_fact f, int code, const char *detail_part, const char *fix_part)
{
	struct native_facts facts = { .text = "told by the kernel" };
	AUTOFREE char *detail = NULL, *fix = NULL;
	facts.codes[f] = code;
	native_explain(&facts, f, &detail, &fix);
	assert_non_null(strstr(detail, detail_part));
	if (fix_part)
		assert_non_null(strstr(fix, fix_part));
	else
		assert_null(fix);
}

static void test_texts(void **state)
{
	for (int i = 0; i < NATIVE_FACT_COUNT; i++) {
		assert_non_null(native_fact_names[i]);
		explains((enum native_fact)i, 0, "", NULL);
		explains((enum native_fact)i, ECANCELED, "not tried", NULL);
	}
	explains(NATIVE_USERNS, EPERM, "told by the kernel", "");
	explains(NATIVE_OVERLAY, EXDEV, folder, "XDG_DATA_HOME");
	explains(NATIVE_OVERLAY, EOPNOTSUPP, "user.*", "ext4");
	explains(NATIVE_PROC, EPERM, "Operation not permitted", "unmask");
}

static void test_ends_in_time_and_leaves_nothing(void **state)
{
	struct idmap map;
	struct native_facts facts;
	uint64_t start = clock_now_ms();
	if (idmap_of_user_or_single(&map, NULL) < 0)
		skip();
	native_try(&map, &facts);
	assert_true(clock_now_ms() - start < 4 * NATIVE_PROBE_DEADLINE_MS);
	for (int i = 0; i < NATIVE_FACT_COUNT; i++)
		print_message("this machine: %s %s\n", native_fact_names[i], strerror(facts.codes[i]));
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void test_switched_off(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	setenv("HOLM_NATIVE", "0", 1);
	assert_int_equal(isolation_check(MACHINE_ISOLATION_NATIVE, NULL, &err), -EOPNOTSUPP);
	unsetenv("HOLM_NATIVE");
}

/* The form decides what auto means; a setting that contradicts it, and a mapping that is no longer
 * that of the trees, are errors. */
static void test_resolve_form(void **state)
{
	AUTO_ERROR struct error *contradicts = NULL, *other_ids = NULL;
	char *tree = (char *)"/images/trees/sha256-00-ffffffff-v1";
	enum machine_isolation resolved;
	struct machine m = { .name = (char *)"m", .form = MACHINE_ISOLATION_NATIVE, .isolation = MACHINE_ISOLATION_VM };
	assert_int_equal(isolation_resolve(&m, &resolved, NULL, &contradicts), -EINVAL);
	assert_non_null(strstr(contradicts->text, "isolation=native"));
	m.isolation = MACHINE_ISOLATION_AUTO;
	if (isolation_resolve(&m, &resolved, NULL, NULL) < 0)
		skip(); /* no namespaces here */
	assert_int_equal(resolved, MACHINE_ISOLATION_NATIVE);
	m.image_trees = (struct strv){ &tree, 1 };
	assert_int_equal(isolation_resolve(&m, &resolved, NULL, &other_ids), -EPERM);
	assert_non_null(strstr(other_ids->text, "/etc/subuid"));
}

/* In a user namespace with a limit of its own. */
static void test_inotify(void **state)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		AUTO_FD int limit = unshare(CLONE_NEWUSER) < 0 ?
					-1 :
					open("/proc/sys/user/max_inotify_instances", O_WRONLY | O_CLOEXEC);
		if (limit < 0 || write(limit, "3", 1) != 1)
			_exit(77);
		AUTOFREE char *text = native_inotify_shortage();
		_exit(native_inotify_room(2) == 2 && native_inotify_room(100) == 3 && text &&
			      strstr(text, "3 inotify instances are left") && strstr(text, native_inotify_fix) ?
			  0 :
			  1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_ends_in_time_and_leaves_nothing),
		cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_resolve_form),
		cmocka_unit_test(test_inotify),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
