/* SPDX-License-Identifier: Apache-2.0
 * A temporary tree that plays a machine's root, for tests. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "agent/core/rootfs.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"

struct tree {
	char *path;
	int root;
};

static inline int tree_setup(void **state)
{
	struct tree *t = xnew(struct tree);
	t->path = folder_new();
	t->root = open(t->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->root >= 0);
	*state = t;
	return 0;
}

static inline int tree_teardown(void **state)
{
	struct tree *t = *state;
	fd_close(t->root);
	folder_remove(t->path);
	free(t);
	return 0;
}

static inline void tree_put(struct tree *t, const char *path, mode_t mode, const char *text)
{
	assert_int_equal(rootfs_write(t->root, path, mode, text, NULL), 0);
}

static inline void tree_expect(struct tree *t, const char *path, const char *text)
{
	AUTOFREE char *found = NULL;
	assert_int_equal(rootfs_read(t->root, path, &found), 0);
	assert_string_equal(found, text);
}

#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)
