/* SPDX-License-Identifier: Apache-2.0
 * A stopped machine's disk: the folder native/, from which the agent makes an overlay over the
 * trees of the image's layers.
 *
 *   native/upper, native/work   what the machine wrote, overlayfs's own; made by the agent at the
 *                               first start, owned by subordinate ids
 *   native/bases                what lies between upper and the image: absolute directories,
 *                               topmost first, one a line; missing: nothing
 *   native/private              the machine's own folders over places in the shared home; made by
 *                               the agent, for the user
 *   native/usage                bytes that upper and private take, decimal; the keeper writes it
 *                               after each start, when somebody looks at the machine, and before
 *                               each end
 *
 * clone: what the source has written so far becomes a base that nobody writes any more,
 * machines/.bases/ID/upper, and both machines get an empty folder over it. An empty folder that
 * names the base is made as .bases/ID and then exchanged with the source's, in one step
 * (renameat2(2)): a crash leaves the source with the one or the other, and at most a base that
 * nobody names. A source that has written nothing since it was last cloned keeps its bases, so a
 * template can be cloned any number of times without the list growing. native/private returns to
 * the source, and the clone gets a copy of it: no overlay, see docs/native.md. The folder of
 * containers is copied, too. remove: bases that no machine names any more are deleted. Both hold
 * machines/.bases/lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "isolation/bases.h"
#include "isolation/isolation.h"
#include "isolation/native/cgroup_tree.h"
#include "isolation/native/own_folders.h"
#include "isolation/native/tree.h"

#define NATIVE "native"
#define CONTAINERS "containers" /* of the machine's engine: uppers, logs, volumes */

enum { LAYERS_MAX = 64, BASES_MAX = LAYERS_MAX * 4200, USAGE_MAX = 64, ID_LENGTH = 16 };

/* An empty folder over these bases. */
static int make_folder(const char *path, const struct strv *bases, struct error **err)
{
	if (mkdir(path, 0700) < 0)
		return error_set_errno(err, errno, "%s", path);
	int r = 0;
	if (bases->count) {
		AUTOFREE char *lines = strv_join(bases, "\n"), *text = xasprintf("%s\n", lines),
			      *file = path_join(path, "bases");
		r = atomic_file_write(file, 0644, text, strlen(text), err);
	}
	if (r >= 0)
		r = native_tree_hand_over(path, err);
	if (r < 0)
		native_tree_remove(path, NULL);
	return r;
}

/* The lines of a folder's list of bases; none where there is no list. */
static int read_bases(const char *folder, struct strv *ret, struct error **err)
{
	AUTOFREE char *file = path_join(folder, "bases"), *text = NULL;
	int r = path_read_file(file, BASES_MAX, &text, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_set_errno(err, r, "%s", file);
	strv_split(ret, text, "\n");
	return 0;
}

static int native_create(const struct machine *m, const char *directory, struct error **err)
{
	static const struct strv none = { 0 };
	AUTOFREE char *path = path_join(directory, NATIVE);
	struct stat st;
	if (m->image_trees.count == 0)
		return error_set(err, EINVAL, "image \"%s\" has no layers to make a machine of", m->image);
	for (size_t i = 0; i < m->image_trees.count; i++)
		if (stat(m->image_trees.items[i], &st) < 0)
			return error_set_errno(err, errno, "cannot read the image's layer %s", m->image_trees.items[i]);
	return make_folder(path, &none, err);
}

/* Nothing was written: there is no upper directory, or an empty one. One that cannot be read was
 * made by a machine that ran. */
static int is_unwritten(const char *folder)
{
	AUTOFREE char *upper = path_join(folder, "upper");
	DIR *d = opendir(upper);
	if (!d)
		return errno == ENOENT;
	int empty = 1;
	for (struct dirent *e; empty && (e = readdir(d));)
		empty = streq(e->d_name, ".") || streq(e->d_name, "..");
	closedir(d);
	return empty;
}

/* Puts the source's folder aside as a base, which goes to the top of `list`, and gives the source
 * an empty one over it. */
static int freeze(const char *source, const char *bases, struct strv *list, struct error **err)
{
	AUTOFREE char *id = bases_new_id(err);
	if (!id)
		return -EIO;
	AUTOFREE char *base = path_join(bases, id);
	AUTO_STRV struct strv now = { 0 };
	strv_take(&now, path_join(base, "upper"));
	strv_add_all(&now, list);
	int r = make_folder(base, &now, err);
	if (r < 0)
		return r;
	if (renameat2(AT_FDCWD, source, AT_FDCWD, base, RENAME_EXCHANGE) < 0) {
		r = error_set_errno(err, errno, "cannot keep %s as %s", source, base);
		native_tree_remove(base, NULL);
		return r;
	}
	strv_done(list);
	*list = now;
	now = (struct strv){ 0 };
	return native_own_folders_take(source, base, err);
}

static int native_clone(const struct machine *from, const struct machine *to, const char *directory, struct error **err)
{
	AUTOFREE char *bases = bases_folder();
	AUTOFREE char *source = machine_file(from->name, NATIVE);
	AUTOFREE char *target = path_join(directory, NATIVE);
	AUTO_STRV struct strv list = { 0 };
	if (strchr(bases, '\n'))
		return error_set(err, EINVAL, "%s: the path has a line break in it; machines there cannot be cloned",
		    bases);
	AUTO_FD int lock = bases_lock(bases, err);
	if (lock < 0)
		return lock;
	int r = read_bases(source, &list, err);
	if (r >= 0 && !is_unwritten(source)) {
		if (list.count >= LAYERS_MAX)
			return error_set(err, EMLINK,
			    "machine \"%s\" is a clone of too many clones; export it and import it again", from->name);
		r = freeze(source, bases, &list, err);
	}
	if (r < 0 || (r = make_folder(target, &list, err)) < 0)
		return r;
	AUTOFREE char *above = path_parent(source), *containers = path_join(directory, CONTAINERS);
	r = native_own_folders_copy(source, target, err);
	if (r >= 0)
		r = native_folder_copy(above, directory, CONTAINERS, err);
	if (r < 0) {
		native_tree_remove(target, NULL);
		native_tree_remove(containers, NULL);
	}
	return r;
}

static int collect_listed(const char *directory, struct strv *used)
{
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *folder = path_join(directory, NATIVE);
	int r = read_bases(folder, &lines, NULL);
	for (size_t i = 0; i < lines.count; i++) {
		AUTOFREE char *base = path_parent(lines.items[i]);
		strv_add(used, path_base(base));
	}
	return r;
}

static int is_base(const char *name)
{
	return strlen(name) == ID_LENGTH && strspn(name, "0123456789abcdef") == ID_LENGTH;
}

static int native_remove(const struct machine *m, struct error **err)
{
	static const struct bases_kind folders = {
		.is_base = is_base,
		.collect = collect_listed,
		.erase = native_tree_remove,
	};
	return bases_sweep(&folders, err);
}

static int native_disk_usage(const struct machine *m, uint64_t *ret_bytes, int64_t *ret_when_ns)
{
	struct stat st;
	AUTOFREE char *path = machine_file(m->name, NATIVE "/usage"), *text = NULL;
	int r = path_read_file(path, USAGE_MAX, &text, NULL);
	*ret_when_ns = 0;
	if (r == -ENOENT) {
		AUTOFREE char *upper = machine_file(m->name, NATIVE "/upper");
		*ret_bytes = 0;
		return path_exists(upper) ? -ENODATA : 0; /* just started, and not measured yet */
	}
	if (r < 0)
		return r;
	if (stat(path, &st) == 0)
		*ret_when_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, ret_bytes);
}

static int native_erase(const char *directory, struct error **err)
{
	AUTOFREE char *path = path_join(directory, NATIVE), *state = path_join(path, NATIVE_CGROUP_STATE);
	AUTOFREE char *containers = path_join(directory, CONTAINERS);
	cgroup_tree_forget(state); /* of a keeper that was killed */
	int r = native_tree_remove(containers, err);
	return r < 0 ? r : native_tree_remove(path, err);
}

const struct isolation_disk_ops isolation_native_disk = {
	.name = "native",
	.image_form = "trees",
	.container_form = "containers",
	.own_ids_form = "own-ids",
	.create = native_create,
	.remove = native_remove,
	.clone = native_clone,
	.disk_usage = native_disk_usage,
	.erase = native_erase,
};
