/* SPDX-License-Identifier: Apache-2.0
 * A stopped machine's disk: disk.qcow2, an overlay over the image's read-only disk.
 *
 * clone: what the source has written so far becomes a base that nobody writes any more,
 * machines/.bases/ID.qcow2, and both machines get an empty overlay over it. The order makes a crash
 * harmless: the base is a second name (hard link) of the source's disk until the source's new
 * overlay is renamed into place. A source that has written nothing since it was last cloned keeps
 * its base, so a template can be cloned any number of times without the chain growing. remove:
 * bases that no chain names any more are deleted. Both hold machines/.bases/lock.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "disk/qcow2.h"
#include "isolation/bases.h"
#include "isolation/isolation.h"

#define DISK "disk.qcow2"

enum { CHAIN_MAX = QCOW2_CHAIN_MAX - 2 };

static int disk_create(const struct machine *m, const char *directory, struct error **err)
{
	struct stat st;
	uint64_t size = machine_disk_size(m);
	if (stat(m->image_disk, &st) < 0)
		return error_set_errno(err, errno, "cannot read the image's disk %s", m->image_disk);
	if (size < (uint64_t)st.st_size)
		return error_set(err, EINVAL, "disk-size is too small: the image alone needs %llu MiB",
		    (unsigned long long)(st.st_size >> 20) + 1);
	AUTOFREE char *path = path_join(directory, DISK);
	return qcow2_create(path, m->image_disk, "raw", size, err);
}

static int count_link(const char *backing, const char *format, void *data)
{
	++*(int *)data;
	return 0;
}

/* The overlay at `path` has nothing of its own: it is as long as `fresh`, a new one of the same
 * size over the same base. */
static int is_unwritten(const char *path, const char *fresh)
{
	struct stat a, b;
	return stat(path, &a) == 0 && stat(fresh, &b) == 0 && a.st_size == b.st_size;
}

/* Puts the source's disk aside as a base and gives the source an empty overlay over it; *ret: the
 * base's name as overlays store it. */
static int freeze(const char *source, const char *bases, uint64_t size, char **ret, struct error **err)
{
	AUTOFREE char *id = bases_new_id(err);
	if (!id)
		return -EIO;
	AUTOFREE char *name = xasprintf("%s.qcow2", id);
	AUTOFREE char *base = path_join(bases, name);
	AUTOFREE char *stored = xasprintf("../" BASES_FOLDER "/%s", name);
	AUTOFREE char *overlay = xasprintf("%s.new", source);
	unlink(overlay);
	if (link(source, base) < 0)
		return error_set_errno(err, errno, "cannot keep %s as %s", source, base);
	int r = qcow2_create(overlay, stored, "qcow2", size, err);
	if (r >= 0 && rename(overlay, source) < 0)
		r = error_set_errno(err, errno, "cannot replace %s", source);
	if (r < 0) {
		unlink(overlay);
		unlink(base);
		return r;
	}
	*ret = TAKE_PTR(stored);
	return 0;
}

/* The source's base can serve the clone too when the source has written nothing since: 1 done, 0
 * not so, -errno. */
static int share_base(const char *source, const char *target, const struct qcow2_info *info, struct error **err)
{
	if (!info->backing || !startswith(info->backing, "../" BASES_FOLDER "/"))
		return 0;
	int r = qcow2_create(target, info->backing, "qcow2", info->virtual_size, err);
	if (r < 0)
		return r;
	if (is_unwritten(source, target))
		return 1;
	unlink(target);
	return 0;
}

static int disk_clone(const struct machine *from, const struct machine *to, const char *directory, struct error **err)
{
	AUTOFREE char *bases = bases_folder();
	AUTOFREE char *source = machine_file(from->name, DISK);
	AUTOFREE char *target = path_join(directory, DISK);
	AUTOFREE char *base = NULL;
	AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
	int links = 0;
	AUTO_FD int lock = bases_lock(bases, err);
	if (lock < 0)
		return lock;
	int r = qcow2_read(source, &info, err);
	if (r >= 0)
		r = qcow2_walk_chain(source, count_link, &links, err);
	if (r < 0)
		return r;
	r = share_base(source, target, &info, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (links >= CHAIN_MAX)
		return error_set(err, EMLINK,
		    "machine \"%s\" is a clone of too many clones; export it and import it again", from->name);
	r = freeze(source, bases, info.virtual_size, &base, err);
	if (r < 0)
		return r;
	return qcow2_create(target, base, "qcow2", MAX(info.virtual_size, machine_disk_size(to)), err);
}

static int add_base(const char *backing, const char *format, void *data)
{
	if (strstr(backing, "/" BASES_FOLDER "/"))
		strv_add(data, path_base(backing));
	return 0;
}

static int collect_chain(const char *directory, struct strv *used)
{
	AUTOFREE char *disk = path_join(directory, DISK);
	int r = path_exists(disk) ? qcow2_walk_chain(disk, add_base, used, NULL) : 0;
	return r < 0 && !path_exists(disk) ? 0 : r; /* one that is gone meanwhile needs nothing any more */
}

static int is_base(const char *name)
{
	return endswith(name, ".qcow2");
}

static int erase_base(const char *path, struct error **err)
{
	return unlink(path) < 0 ? error_set_errno(err, errno, "cannot delete %s", path) : 0;
}

static int disk_remove(const struct machine *m, struct error **err)
{
	static const struct bases_kind disks = { .is_base = is_base, .collect = collect_chain, .erase = erase_base };
	return bases_sweep(&disks, err);
}

static int disk_usage(const struct machine *m, uint64_t *ret_bytes, int64_t *ret_when_ns)
{
	AUTOFREE char *path = machine_file(m->name, DISK);
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.st_blocks * 512;
	*ret_when_ns = 0;
	return 0;
}

static int disk_erase(const char *directory, struct error **err)
{
	AUTOFREE char *path = path_join(directory, DISK);
	return unlink(path) < 0 && errno != ENOENT ? error_set_errno(err, errno, "cannot delete %s", path) : 0;
}

const struct isolation_disk_ops isolation_vm_disk = {
	.name = "vm",
	.image_form = "disk",
	.container_form = "container-disk",
	.is_sized = 1,
	.least_memory = UINT64_C(96) << 20,
	.create = disk_create,
	.remove = disk_remove,
	.clone = disk_clone,
	.disk_usage = disk_usage,
	.erase = disk_erase,
};
