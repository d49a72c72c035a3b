/* SPDX-License-Identifier: Apache-2.0
 * The kernel unpacks several cpio archives that follow each other, later files replacing earlier
 * ones: so the bundle's initramfs stays as it is, and a second archive with /lib/holm/modules.list
 * and the modules it names is put behind it, in a memfd that QEMU reads. The whole modules
 * directory becomes a disk as the bundle's does; that takes mke2fs about a second, once for a set
 * of modules.
 */
#include "isolation/vm/custom_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "isolation/find.h"

#define MODULES_IN_RAMFS "lib/holm/modules/"

enum { NAME_LENGTH_MAX = 128, MKE2FS_MS = 60 * 1000 };

/* As in guest/modules, and the file system of the disk, with the checksum that it asks the kernel
 * for by name only. */
static const char *const wanted[] = { "virtio_pci", "virtio_console", "virtio_blk", "crc32c_generic", "ext4",
	"virtio_net", "fuse", "virtiofs", "virtio_balloon", "virtio_rng" };

/* Whether "kernel/drivers/x/virtio-rng.ko.xz" is the module virtio_rng. */
static int is_module(const char *file, size_t size, const char *name)
{
	const char *base = memrchr(file, '/', size);
	base = base ? base + 1 : file;
	size_t n = strlen(name);
	if ((size_t)(file + size - base) < n + 3 || memcmp(base + n, ".ko", 3) != 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (base[i] != name[i] && !(base[i] == '-' && name[i] == '_'))
			return 0;
	}
	return 1;
}

static void add_once(struct strv *files, const char *file)
{
	if (!strv_contains(files, file))
		strv_add(files, file);
}

void custom_kernel_modules(const char *modules_dep, struct strv *files)
{
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		for (const char *line = modules_dep; *line; line += strcspn(line, "\n"), line += *line == '\n') {
			size_t size = strcspn(line, ":\n");
			if (line[size] != ':' || !is_module(line, size, wanted[i]))
				continue;
			AUTOFREE char *file = xstrndup(line, size);
			AUTOFREE char *needs = xstrndup(line + size + 1, strcspn(line + size + 1, "\n"));
			AUTO_STRV struct strv words = { 0 };
			strv_split(&words, needs, " ");
			for (size_t n = words.count; n-- > 0;) /* modules.dep names the first module to load last */
				add_once(files, words.items[n]);
			add_once(files, file);
			break;
		}
	}
}

static int pad(struct buffer *b)
{
	static const char zeros[4];
	return buffer_append(b, zeros, (4 - b->size % 4) % 4);
}

static int append_entry(struct buffer *b, const char *path, unsigned mode, const void *data, size_t size)
{
	int r = buffer_appendf(b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 0U, mode, 0U, 0U, 1U,
	    0U, (unsigned)size, 0U, 0U, 0U, 0U, (unsigned)strlen(path) + 1, 0U);
	if (r >= 0)
		r = buffer_append(b, path, strlen(path) + 1);
	if (r >= 0)
		r = pad(b);
	if (r >= 0)
		r = buffer_append(b, data, size);
	return r < 0 ? r : pad(b);
}

int cpio_append(struct buffer *b, const char *path, const void *data, size_t size)
{
	if (!endswith(path, "/"))
		return append_entry(b, path, S_IFREG | 0644, data, size);
	AUTOFREE char *directory = xstrndup(path, strlen(path) - 1);
	return append_entry(b, directory, S_IFDIR | 0755, "", 0);
}

int cpio_end(struct buffer *b)
{
	return append_entry(b, "TRAILER!!!", 0, "", 0);
}

static int append_module(struct buffer *b, const char *modules, const char *file, struct buffer *list,
    struct error **err)
{
	AUTOFREE char *source = path_join(modules, file);
	AUTOFREE char *target = xasprintf(MODULES_IN_RAMFS "%s", path_base(file));
	AUTOFREE char *data = NULL;
	size_t size = 0;
	int r = path_read_file(source, MODULE_FILE_MAX, &data, &size);
	if (r < 0)
		return error_set_errno(err, r, "cannot read the kernel module %s", source);
	r = cpio_append(b, target, data, size);
	if (r >= 0)
		r = buffer_appendf(list, "/%s\n", target);
	return r < 0 ? error_set_errno(err, r, "the kernel's modules are too large") : 0;
}

static int append_modules(struct buffer *b, const char *modules, struct error **err)
{
	AUTO_STRV struct strv files = { 0 };
	AUTO_BUFFER struct buffer list;
	buffer_init(&list, MODULES_DEP_MAX);
	if (modules) {
		AUTOFREE char *dep_path = path_join(modules, "modules.dep");
		AUTOFREE char *dep = NULL;
		int r = path_read_file(dep_path, MODULES_DEP_MAX, &dep, NULL);
		if (r < 0)
			return error_set_errno(err, r, "kernel-modules: cannot read %s (depmod makes it)", dep_path);
		custom_kernel_modules(dep, &files);
	}
	for (size_t i = 0; i < files.count; i++) {
		int r = append_module(b, modules, files.items[i], &list, err);
		if (r < 0)
			return r;
	}
	int r = cpio_append(b, "lib/holm/modules.list", list.data, list.size);
	if (r >= 0)
		r = cpio_end(b);
	return r < 0 ? error_set_errno(err, r, "the kernel's modules are too large") : 0;
}

int custom_initramfs(const char *initramfs, const char *modules, struct error **err)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, OVERRIDE_MAX);
	AUTO_FD int from = open(initramfs, O_RDONLY | O_CLOEXEC);
	AUTO_FD int to = memfd_create("holm-initramfs", MFD_CLOEXEC);
	if (from < 0 || to < 0)
		return error_set_errno(err, errno, "cannot read %s", initramfs);
	int r = append_modules(&b, modules, err);
	if (r < 0)
		return r;
	int64_t copied = fd_copy(from, to, UINT64_MAX);
	if (copied >= 0)
		r = fd_write_full(to, b.data, b.size);
	if (copied < 0 || r < 0)
		return error_set_errno(err, copied < 0 ? (int)copied : r, "cannot make the initramfs");
	return TAKE_FD(to);
}

/* Bytes that the directory's files take, and how many there are, as `du` and `find` would say. */
static int measure(const char *modules, uint64_t *ret_blocks, struct error **err)
{
	AUTOFREE char *output = NULL;
	unsigned long long kib = 0;
	const char *argv[] = { "du", "--summarize", "--block-size=1024", modules, NULL };
	int r = spawn_capture((char *const *)argv, 4096, clock_deadline(MKE2FS_MS), &output, err);
	if (r != 0 || sscanf(output, "%llu", &kib) != 1)
		return r < 0 ? r : error_set(err, EIO, "cannot measure %s", modules);
	*ret_blocks = kib / 4 + kib / 40 + 4096;
	return 0;
}

static int make_disk(const char *modules, const char *path, struct error **err)
{
	AUTOFREE char *temporary = xasprintf("%s.new", path);
	AUTOFREE char *output = NULL;
	AUTOFREE char *found = isolation_find_program("mke2fs");
	uint64_t blocks = 0;
	int r = measure(modules, &blocks, err);
	if (r < 0)
		return r;
	AUTOFREE char *size = xasprintf("%llu", (unsigned long long)blocks);
	unlink(temporary);
	const char *argv[] = { found ? found : "/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-O",
		"^has_journal", "-E", "root_owner=0:0", "-d", modules, temporary, size, NULL };
	r = spawn_capture((char *const *)argv, 64 * 1024, clock_deadline(MKE2FS_MS), &output, err);
	if (r == 0 && rename(temporary, path) < 0)
		r = error_set_errno(err, errno, "cannot make %s", path);
	else if (r > 0)
		r = error_set(err, EIO, "mke2fs could not make a disk of %s", modules);
	if (r < 0)
		unlink(temporary);
	return r;
}

int custom_modules_disk(const char *modules, const char *path, struct error **err)
{
	AUTOFREE char *dep = path_join(modules, "modules.dep");
	struct stat source, made;
	if (stat(dep, &source) < 0)
		return error_set_errno(err, errno, "kernel-modules: cannot read %s (depmod makes it)", dep);
	if (stat(path, &made) == 0 && made.st_mtim.tv_sec > source.st_mtim.tv_sec)
		return 0;
	return make_disk(modules, path, err);
}
