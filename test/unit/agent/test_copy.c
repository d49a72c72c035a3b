/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "agent/engine/mounts.h"
#include "tree.h"

enum { FIFOS = 4000 };

struct racer {
	int to;
	const char *target;
	atomic_int over;
};

static void name_of(unsigned i, char name[16])
{
	snprintf(name, 16, "fifo%u", i);
}

/* Puts a symlink in the place of each fifo as soon as it is there. */
static void *race(void *data)
{
	struct racer *r = data;
	char name[16];
	for (unsigned i = 0; !atomic_load(&r->over); i = (i + 1) % FIFOS) {
		struct stat st;
		name_of(i, name);
		if (fstatat(r->to, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISFIFO(st.st_mode))
			continue;
		assert_int_equal(symlinkat(r->target, r->to, ".link"), 0);
		assert_int_equal(renameat(r->to, ".link", r->to, name), 0);
	}
	return NULL;
}

static int make_directory(const struct tree *t, const char *name)
{
	AUTO_FD int made = rootfs_mkdir(t->root, name, 0755, NULL);
	assert_true(made >= 0);
	return openat(made, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A container that has the volume already may change it while its first contents are written. */
static void test_symlinks_in_the_place_of_fifos(void **state)
{
	struct tree *t = *state;
	struct stat st;
	pthread_t thread;
	char name[16];
	AUTO_FD int from = make_directory(t, "/from");
	AUTO_FD int to = make_directory(t, "/to");
	AUTOFREE char *target = path_join(t->path, "secret");
	tree_put(t, "/secret", 0600, "");
	for (unsigned i = 0; i < FIFOS; i++) {
		name_of(i, name);
		assert_int_equal(mkfifoat(from, name, 0644), 0);
	}
	struct racer racer = { .to = to, .target = target };
	assert_int_equal(pthread_create(&thread, NULL, race, &racer), 0);
	int r = copy_tree(from, to);
	atomic_store(&racer.over, 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r, 0);
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_fifos_keep_their_modes(void **state)
{
	struct tree *t = *state;
	struct stat st;
	AUTO_FD int from = make_directory(t, "/from");
	AUTO_FD int to = make_directory(t, "/to");
	mode_t mask = umask(0);
	assert_int_equal(mkfifoat(from, "fifo", 0666), 0);
	umask(077);
	assert_int_equal(copy_tree(from, to), 0);
	assert_int_equal(umask(mask), 077);
	assert_int_equal(fstatat(to, "fifo", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, S_IFIFO | 0666);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_symlinks_in_the_place_of_fifos, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_fifos_keep_their_modes, tree_setup, tree_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
