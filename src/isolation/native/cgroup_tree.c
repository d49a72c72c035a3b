/* SPDX-License-Identifier: Apache-2.0
 * A machine's cgroup is the user's, those below it belong to ids that the user has on loan:
 * systemd's user manager, too, cannot remove them when the agent was killed before it did. So
 * whoever starts or deletes the machine next does, by the path that the keeper left in
 * machines/NAME/native. */
#include "isolation/native/cgroup_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

enum { EVENTS_MAX = 4096, DEPTH_MAX = 64 };

int cgroup_write(const char *directory, const char *name, const char *text)
{
	AUTOFREE char *path = path_join(directory, name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Names come from one readdir(3) after the other; `itself`: it too, not only what is below it. */
static int remove_below(int parent, const char *name, int depth, int itself)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		int code = -errno;
		fd_close(fd);
		return code;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_type != DT_DIR || streq(e->d_name, ".") || streq(e->d_name, "..") || depth >= DEPTH_MAX)
			continue;
		int removed = remove_below(dirfd(d), e->d_name, depth + 1, 1);
		r = removed < 0 && removed != -ENOENT ? removed : r;
	}
	closedir(d);
	return !itself ? r : unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int empty_as_mapped_root(void *data, struct error **err)
{
	int r = remove_below(AT_FDCWD, data, 0, 0);
	return r < 0 ? error_set_errno(err, r, "%s", (char *)data) : 0;
}

int cgroup_is_populated(const char *path)
{
	AUTOFREE char *events = path_join(path, "cgroup.events"), *text = NULL;
	return path_read_file(events, EVENTS_MAX, &text, NULL) >= 0 && strstr(text, "populated 1");
}

int cgroup_tree_empty(const struct idmap *ids, const char *path)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *copy = xstrdup(path);
	int r = remove_below(AT_FDCWD, path, 0, 0);
	if (r < 0 && r != -ENOENT)
		r = cgroup_is_populated(path) ? -EBUSY : idmap_run(ids, empty_as_mapped_root, copy, &err);
	return r == -ENOENT ? 0 : r;
}

int cgroup_tree_remove(const struct idmap *ids, const char *path)
{
	int r = cgroup_tree_empty(ids, path);
	return r < 0 || rmdir(path) == 0 || errno == ENOENT ? r : -errno;
}

/* First as the user: what the machine's ids own in it needs their mapping, and only that does. */
static int remove_left_over(const char *path, struct error **err)
{
	struct idmap ids;
	int r = remove_below(AT_FDCWD, path, 0, 1);
	if (r == 0 || r == -ENOENT)
		return 0;
	if (cgroup_is_populated(path))
		return error_set(err, EBUSY, "processes still run in it");
	r = idmap_of_user_or_single(&ids, err);
	if (r < 0)
		return r;
	r = cgroup_tree_remove(&ids, path);
	return r < 0 ? error_set_errno(err, r, "it cannot be removed") : 0;
}

static int is_of_a_machine(const char *path)
{
	return path[0] == '/' && !strstr(path, "/../") && startswith(path_base(path), "holm-");
}

void cgroup_tree_forget(const char *state)
{
	AUTOFREE char *path = NULL;
	AUTO_ERROR struct error *err = NULL;
	if (path_read_file(state, PATH_MAX, &path, NULL) < 0)
		return;
	if (is_of_a_machine(path) && path_exists(path)) {
		cgroup_write(path, "cgroup.kill", "1");
		if (remove_left_over(path, &err) < 0) {
			log_warning("cgroup \"%s\" of an earlier run stays behind: %s", path, err->text);
			return;
		}
	}
	unlink(state);
}
