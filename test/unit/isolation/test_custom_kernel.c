/* SPDX-License-Identifier: Apache-2.0
 * Which modules of another kernel go into the initramfs, in which order; and the archive they go
 * in, with cpio(1) as the judge. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "../folder.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "isolation/vm/custom_kernel.h"

static const char modules_dep[] = "kernel/fs/fuse/fuse.ko:\n"
				  "kernel/fs/fuse/virtiofs.ko: kernel/drivers/virtio/virtio.ko "
				  "kernel/drivers/virtio/virtio_ring.ko kernel/fs/fuse/fuse.ko\n"
				  "kernel/drivers/char/hw_random/virtio-rng.ko.xz: kernel/drivers/virtio/virtio.ko "
				  "kernel/drivers/virtio/virtio_ring.ko\n"
				  "kernel/net/my_virtio_net.ko:\n"
				  "a line without a colon\n"
				  "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko\n"
				  "kernel/crypto/crc32c_generic.ko:";

static void test_order(void **state)
{
	AUTO_STRV struct strv files = { 0 };
	custom_kernel_modules(modules_dep, &files);
	AUTOFREE char *joined = strv_join(&files, " ");
	assert_string_equal(joined,
	    "kernel/crypto/crc32c_generic.ko kernel/lib/crc16.ko kernel/fs/ext4/ext4.ko kernel/fs/fuse/fuse.ko "
	    "kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko kernel/fs/fuse/virtiofs.ko "
	    "kernel/drivers/char/hw_random/virtio-rng.ko.xz");
	AUTO_STRV struct strv none = { 0 };
	custom_kernel_modules("", &none);
	assert_int_equal(none.count, 0);
}

static char *folder;

static char *list_archive(int fd)
{
	AUTOFREE char *path = xasprintf("/proc/self/fd/%d", fd);
	AUTOFREE char *copy = path_join(folder, "archive");
	AUTO_FD int from = open(path, O_RDONLY | O_CLOEXEC),
		    to = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd_copy(from, to, UINT64_MAX) > 0);
	const char *argv[] = { "cpio", "--list", "--quiet", "--file", copy, NULL };
	char *output = NULL;
	int r = spawn_capture((char *const *)argv, 1 << 16, clock_deadline(60000), &output, NULL);
	if (r == -ENOENT) {
		fd_close(fd);
		skip();
	}
	assert_int_equal(r, 0);
	return output;
}

static void test_archive(void **state)
{
	AUTOFREE char *initramfs = path_join(folder, "initramfs");
	AUTO_FD UNUSED int empty = open(initramfs, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	AUTO_FD int nothing = custom_initramfs(initramfs, NULL, NULL);
	assert_true(nothing >= 0);
	AUTOFREE char *listed = list_archive(nothing);
	assert_string_equal(listed, "lib/holm/modules.list\n");
	assert_true(custom_initramfs(initramfs, folder, NULL) == -ENOENT); /* no modules.dep there */
}

static int set_up(void **state)
{
	folder = folder_new();
	return 0;
}

static int tear_down(void **state)
{
	folder_remove(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_archive),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
