/* SPDX-License-Identifier: Apache-2.0
 * What a guest cannot do: write to a read-only share, fill the host's tables, or send requests that
 * do not add up. */
#include "fake_guest.h"
#include "fsd/files/hide.h"

static int setup(void **state)
{
	*state = fake_new();
	return 0;
}

static int teardown(void **state)
{
	fake_free(*state);
	return 0;
}

static void test_read_only(void **state)
{
	struct fake *f = *state;
	host_write(f, "f", "text");
	mkdirat(f->directory, "d", 0755);
	fake_start(f, 1);
	uint64_t node = lookup(f, 1, "f"), d = lookup(f, 1, "d"), fh = 0;
	static const int flags[] = { O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND };
	for (size_t n = 0; n < ARRAY_SIZE(flags); n++)
		assert_int_equal(open_file(f, node, flags[n], &fh), -EROFS);
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
	struct fuse_read_in read_in = { .fh = fh, .size = 10 };
	assert_int_equal(fuse(f, FUSE_READ, node, PART(read_in)), 0);
	assert_int_equal(f->reply_size, 4);
	/* Every operation that changes something, with arguments that would do it. */
	struct fuse_write_in write_in = { .fh = fh, .size = 1 };
	struct fuse_create_in create = { .flags = O_RDWR, .mode = 0644 };
	struct fuse_mknod_in mknod_in = { .mode = S_IFREG | 0644 };
	struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	struct fuse_link_in link = { .oldnodeid = node };
	struct fuse_rename_in rename_in = { .newdir = 1 };
	struct fuse_rename2_in rename2 = { .newdir = 1 };
	struct fuse_fallocate_in allocate = { .fh = fh, .length = 10 };
	struct fuse_copy_file_range_in copy = { .fh_in = fh, .fh_out = fh, .nodeid_out = node, .off_out = 2, .len = 1 };
	uint32_t xattr[2] = { 1, 0 };
	assert_int_equal(fuse3(f, FUSE_WRITE, node, PART(write_in), TEXT("x"), NONE), -EROFS);
	assert_int_equal(fuse3(f, FUSE_CREATE, 1, PART(create), TEXT("new"), NONE), -EROFS);
	assert_int_equal(fuse3(f, FUSE_CREATE, 1, PART(create), TEXT("f"), NONE), -EROFS);
	assert_int_equal(fuse3(f, FUSE_TMPFILE, 1, PART(create), NONE, NONE), -EROFS);
	assert_int_equal(fuse3(f, FUSE_MKNOD, 1, PART(mknod_in), TEXT("new"), NONE), -EROFS);
	assert_int_equal(fuse3(f, FUSE_MKDIR, d, PART(mkdir_in), TEXT("new"), NONE), -EROFS);
	assert_int_equal(fuse3(f, FUSE_SYMLINK, 1, TEXT("new"), TEXT("target"), NONE), -EROFS);
	assert_int_equal(fuse3(f, FUSE_LINK, 1, PART(link), TEXT("new"), NONE), -EROFS);
	assert_int_equal(fuse3(f, FUSE_RENAME, 1, PART(rename_in), TEXT("f"), TEXT("new")), -EROFS);
	assert_int_equal(fuse3(f, FUSE_RENAME2, 1, PART(rename2), TEXT("f"), TEXT("new")), -EROFS);
	assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT("f")), -EROFS);
	assert_int_equal(fuse(f, FUSE_RMDIR, 1, TEXT("d")), -EROFS);
	assert_int_equal(fuse(f, FUSE_FALLOCATE, node, PART(allocate)), -EROFS);
	assert_int_equal(fuse(f, FUSE_COPY_FILE_RANGE, node, PART(copy)), -EROFS);
	assert_int_equal(fuse3(f, FUSE_SETXATTR, node, PART(xattr), TEXT("user.x"), TEXT("1")), -EROFS);
	assert_int_equal(fuse(f, FUSE_REMOVEXATTR, node, TEXT("user.x")), -EROFS);
	for (uint32_t valid = 0; valid < 1 << 12; valid++) {
		struct fuse_setattr_in in = { .valid = valid, .fh = fh, .mode = 0600 };
		assert_int_equal(fuse(f, FUSE_SETATTR, node, PART(in)), -EROFS);
	}
	struct fuse_access_in access_in = { .mask = W_OK };
	assert_int_equal(fuse(f, FUSE_ACCESS, node, PART(access_in)), -EROFS);
	char text[8];
	host_read(f, "f", text, sizeof text);
	assert_string_equal(text, "text");
}

/* Serves one request from raw bytes; the number of bytes that were written. */
static size_t raw(struct fake *f, const void *in, size_t in_size, size_t out_size, int *ret_error)
{
	char *out = xmalloc(out_size + 1);
	struct iovec ins = { (void *)(uintptr_t)in, in_size }, outs = { out, out_size };
	struct request q = {
		.share = &f->share,
		.in = &ins,
		.in_count = 1,
		.out = &outs,
		.out_count = out_size ? 1 : 0,
	};
	assert_int_equal(request_serve(&q), 0);
	struct fuse_out_header h = { 0 };
	if (q.written)
		memcpy(&h, out, sizeof h);
	*ret_error = h.error;
	free(out);
	return q.written;
}

static void test_sizes(void **state)
{
	struct fake *f = *state;
	int error;
	fake_start(f, 0);
	struct {
		struct fuse_in_header h;
		char name[8];
	} in = { { .len = sizeof(struct fuse_in_header) + 8, .opcode = FUSE_LOOKUP, .nodeid = 1 }, "f" };
	host_write(f, "f", "");
	assert_int_equal(raw(f, &in, sizeof in, 4096, &error),
	    sizeof(struct fuse_out_header) + sizeof(struct fuse_entry_out));
	assert_int_equal(error, 0);
	in.h.len = sizeof in + 1; /* longer than the buffers */
	assert_int_equal(raw(f, &in, sizeof in, 4096, &error), 16);
	assert_int_equal(error, -EINVAL);
	in.h.len = sizeof in.h - 1;
	raw(f, &in, sizeof in, 4096, &error);
	assert_int_equal(error, -EINVAL);
	in.h.len = UINT32_MAX;
	raw(f, &in, sizeof in, 4096, &error);
	assert_int_equal(error, -EINVAL);
	in.h.len = sizeof in;
	for (size_t size = 0; size < sizeof in.h; size++) { /* not even a header */
		char *part = xmemdup(&in, size + 1);
		raw(f, part, size, 4096, &error);
		assert_int_equal(error, -EINVAL);
		free(part);
	}
	/* No room for the answer: an error if that fits, else nothing, and the lookup is taken
	 * back. */
	struct fuse_forget_in forget = { .nlookup = 1 };
	uint64_t node = lookup(f, 1, "f");
	fuse(f, FUSE_FORGET, node, PART(forget));
	size_t before = f->share.inodes.count;
	assert_int_equal(raw(f, &in, sizeof in, 20, &error), 16);
	assert_int_equal(error, -EIO);
	assert_int_equal(raw(f, &in, sizeof in, 15, &error), 0);
	assert_int_equal(raw(f, &in, sizeof in, 0, &error), 0);
	assert_int_equal(f->share.inodes.count, before);
	/* Every operation with too little behind the header. */
	for (uint32_t opcode = 0; opcode < 64; opcode++) {
		if (opcode == FUSE_INIT || opcode == FUSE_DESTROY)
			continue;
		struct fuse_in_header h = { .len = sizeof h, .opcode = opcode, .nodeid = 1 };
		raw(f, &h, sizeof h, 4096, &error);
		assert_true(error <= 0 && error > -512);
	}
}

static void test_inodes_are_bounded(void **state)
{
	struct fake *f = *state;
	char name[16];
	for (int n = 0; n < 1100; n++) {
		snprintf(name, sizeof name, "f%d", n);
		host_write(f, name, "");
	}
	fake_start(f, 0);
	int refused = 0;
	for (int n = 0; n < 1100; n++) {
		snprintf(name, sizeof name, "f%d", n);
		int r = fuse(f, FUSE_LOOKUP, 1, TEXT(name));
		refused += r == -ENFILE;
	}
	assert_int_equal(refused, 101); /* of 1000 the root is one */
	assert_int_equal(f->share.inodes.count, 1000);
}

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_descriptors_are_bounded(void **state)
{
	struct fake *f = *state;
	fake_start(f, 0);
	int before = open_descriptors();
	uint64_t node = 1, nodes[300], fh;
	for (int n = 0; n < 300; n++) { /* a deep tree, and back up */
		struct fuse_mkdir_in in = { .mode = 0755 };
		assert_int_equal(fuse3(f, FUSE_MKDIR, node, PART(in), TEXT("d"), NONE), 0);
		nodes[n] = node = REPLY(f, struct fuse_entry_out)->nodeid;
	}
	assert_true(open_descriptors() - before <= 32);
	for (int n = 299; n >= 0; n -= 37) {
		struct fuse_mkdir_in in = { .mode = 0755 };
		assert_int_equal(fuse3(f, FUSE_MKDIR, nodes[n], PART(in), TEXT("e"), NONE), 0);
		assert_true(open_descriptors() - before <= 32);
	}
	/* Files without a name. */
	char name[16];
	for (int n = 0; n < 100; n++) {
		snprintf(name, sizeof name, "f%d", n);
		host_write(f, name, "");
		assert_true(lookup(f, 1, name) > 1);
		assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT(name)), 0);
	}
	assert_true(open_descriptors() - before <= 64);
	/* Handles. */
	host_write(f, "f", "");
	node = lookup(f, 1, "f");
	int opened = 0;
	while (open_file(f, node, O_RDONLY, &fh) == 0)
		opened++;
	assert_int_equal(opened, 32);
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), -ENFILE);
	share_reset(&f->share);
	assert_int_equal(open_descriptors(), before);
}

static void test_forget_more_than_known(void **state)
{
	struct fake *f = *state;
	fake_start(f, 0);
	struct fuse_forget_in forget = { .nlookup = UINT64_MAX };
	assert_int_equal(fuse(f, FUSE_FORGET, 1, PART(forget)), -1000); /* the root stays */
	host_write(f, "f", "x");
	uint64_t fh = 0, node = lookup(f, 1, "f");
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
	fuse(f, FUSE_FORGET, node, PART(forget)); /* an open file stays too */
	struct fuse_read_in in = { .fh = fh, .size = 1 };
	assert_int_equal(fuse(f, FUSE_READ, node, PART(in)), 0);
	struct fuse_release_in release = { .fh = fh };
	assert_int_equal(fuse(f, FUSE_RELEASE, node, PART(release)), 0);
	assert_int_equal(f->share.inodes.count, 1);
}

static void test_hide_list(void **state)
{
	struct fake *f = *state;
	CLEANUP(hide_list_done) struct hide_list l = { 0 };
	AUTO_STRV struct strv paths = { 0 };
	mkdirat(f->directory, "home", 0755);
	mkdirat(f->directory, "home/real", 0755);
	assert_int_equal(0, symlinkat("real", f->directory, "home/link"));
	strv_addf(&paths, "%s/home/link/holm", f->path);
	strv_addf(&paths, "%s/elsewhere", f->path);
	strv_addf(&paths, "%s/home/a//./b", f->path);
	AUTOFREE char *root = path_join(f->path, "home");
	assert_int_equal(hide_list_resolve(&l, root, &paths, NULL), 0);
	assert_int_equal(l.count, 3);
	AUTOFREE char *first = strv_join(&l.paths[0], "/"), *second = strv_join(&l.paths[1], "/"),
		      *third = strv_join(&l.paths[2], "/");
	assert_string_equal(first, "real/holm");
	assert_string_equal(second, "link/holm");
	assert_string_equal(third, "a/b");
	/* The share lies inside what is to be hidden. */
	CLEANUP(hide_list_done) struct hide_list above = { 0 };
	AUTO_STRV struct strv parent = { 0 };
	strv_add(&parent, f->path);
	assert_int_equal(hide_list_resolve(&above, root, &parent, NULL), 0);
	assert_int_equal(above.count, 1);
	assert_int_equal(above.paths[0].count, 0);
	AUTO_STRV struct strv relative = { 0 };
	strv_add(&relative, "not/absolute");
	assert_int_equal(hide_list_resolve(&above, root, &relative, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inodes_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget_more_than_known, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hide_list, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
