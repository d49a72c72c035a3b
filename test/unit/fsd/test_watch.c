/* SPDX-License-Identifier: Apache-2.0
 * Files that are watched themselves, in directories that nobody watches: what happens to their
 * names is heard of by way of the directory. */
#include "fake_agent.h"

static int setup(void **state)
{
	*state = world_new(fake_new(), 0);
	return 0;
}

static uint64_t watched_file(struct world *w, const char *path)
{
	host_write(w->f, path, "text");
	uint64_t node = lookup(w->f, w->d, path + strlen("d/"));
	agent_watch(w->a, node, EVERYTHING);
	return node;
}

static void guest_rename(struct world *w, uint64_t from, const char *name, uint64_t to)
{
	struct fuse_rename_in in = { .newdir = to };
	assert_int_equal(fuse3(w->f, FUSE_RENAME, from, PART(in), TEXT(name), TEXT(name)), 0);
}

/* A file that the guest has moved is watched where it is now. */
static void test_moved_inside(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	uint64_t node = watched_file(w, "d/file"), other = watched_file(w, "d/other");
	guest_rename(w, w->d, "file", w->e);
	agent_quiet(w->a);
	assert_int_equal(unlinkat(f->directory, "e/file", 0), 0);
	agent_see(w->a, SHARE_REMOVE, w->e, "file");
	assert_int_equal(w->a->shown.nodeid, node);
	/* The one that was left is still heard of, until it moves as well: then its directory is of
	 * no interest any more. */
	assert_int_equal(fchmodat(f->directory, "d/other", 0600, 0), 0);
	agent_see(w->a, SHARE_ATTRIB, w->d, "other");
	assert_non_null(inode_find(&f->share.inodes, w->d)->watch);
	guest_rename(w, w->d, "other", w->e);
	assert_null(inode_find(&f->share.inodes, w->d)->watch);
	assert_int_equal(unlinkat(f->directory, "e/other", 0), 0);
	agent_see(w->a, SHARE_REMOVE, w->e, "other");
	assert_int_equal(w->a->shown.nodeid, other);
	agent_quiet(w->a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_moved_inside, setup, world_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
