/* SPDX-License-Identifier: Apache-2.0
 * See own_folders.h. */
#include "isolation/native/own_folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/tree_copy.h"
#include "idmap/idmap.h"
#include "isolation/native/tree.h"

#define PRIVATE "private"

struct copy {
	int from, to;
	const char *name;
};

int native_own_folders_take(const char *to, const char *from, struct error **err)
{
	AUTOFREE char *old = path_join(from, PRIVATE), *fresh = path_join(to, PRIVATE);
	return rename(old, fresh) < 0 && errno != ENOENT ?
		   error_set_errno(err, errno, "cannot move %s to %s", old, fresh) :
		   0;
}

/* Runs as root of the machine's ids. */
static int copy_tree(void *data, struct error **err)
{
	const struct copy *c = data;
	AUTO_FD int from = openat(c->from, c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int to = openat(c->to, c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return from < 0 || to < 0 ? error_set_errno(err, errno, "%s", c->name) : tree_copy(from, to, err);
}

int native_own_folders_copy(const char *from, const char *to, struct error **err)
{
	return native_folder_copy(from, to, PRIVATE, err);
}

int native_folder_copy(const char *from, const char *to, const char *name, struct error **err)
{
	struct idmap map;
	AUTOFREE char *source = path_join(from, name), *target = path_join(to, name);
	if (!path_exists(source))
		return 0;
	/* The copy's directory belongs to the user, as the agent makes it. */
	if (mkdir(target, 0700) < 0)
		return error_set_errno(err, errno, "cannot make %s", target);
	int r = native_tree_hand_over(target, err);
	AUTO_FD int from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0 || from_fd < 0 || to_fd < 0)
		return r < 0 ? r : error_set_errno(err, errno, "cannot copy %s", source);
	struct copy copy = { from_fd, to_fd, name };
	r = idmap_of_user_or_single(&map, err);
	if (r >= 0)
		r = idmap_run(&map, copy_tree, &copy, err);
	return r < 0 ? error_prefix(err, r, "cannot copy %s", source) : 0;
}
