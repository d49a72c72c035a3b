/* SPDX-License-Identifier: Apache-2.0
 * What the host does to a name that the guest knows, or knows to be free, and to files that
 * somebody inside has open. */
#include <time.h>

#include "fake_guest.h"
#include "fsd/files/inode_internal.h"

static int setup_with(void **state, int host_locks)
{
	struct fake *f = fake_new();
	f->host_locks = host_locks;
	fake_start(f, 0);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 0);
}

static int setup_locks(void **state)
{
	return setup_with(state, 1);
}

static int teardown(void **state)
{
	fake_free(*state);
	return 0;
}

static int create(struct fake *f, const char *name, int flags)
{
	struct fuse_create_in in = { .flags = (uint32_t)flags, .mode = S_IFREG | 0644 };
	return fuse3(f, FUSE_CREATE, 1, PART(in), TEXT(name), NONE);
}

/* Linux, sent back, looks the name up, follows a symlink, checks permissions, and opens what there
 * is. */
static void test_made_meanwhile(void **state)
{
	struct fake *f = *state;
	static const char *const names[] = { "file", "link", "pipe", "directory" };
	host_write(f, "file", "of the host");
	assert_int_equal(symlinkat("elsewhere", f->directory, "link"), 0);
	assert_int_equal(mkfifoat(f->directory, "pipe", 0644), 0);
	assert_int_equal(mkdirat(f->directory, "directory", 0755), 0);
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		assert_int_equal(create(f, names[n], O_WRONLY | O_CREAT | O_TRUNC), -ESTALE);
		assert_int_equal(create(f, names[n], O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
	}
	assert_int_equal(faccessat(f->directory, "elsewhere", F_OK, 0), -1);
	assert_int_equal(host_stat(f, "file").st_size, 11);
	assert_int_equal(create(f, "new", O_WRONLY | O_CREAT | O_TRUNC), 0);
	assert_int_equal(f->share.handles.count, 1);
}

static int set_mode(struct fake *f, uint64_t node, uint32_t mode)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = S_IFREG | mode };
	return fuse(f, FUSE_SETATTR, node, PART(in));
}

static int set_attribute(struct fake *f, uint64_t node)
{
	uint32_t in[2] = { 1, 0 };
	return fuse3(f, FUSE_SETXATTR, node, PART(in), TEXT("user.x"), (struct part){ "1", 1 });
}

/* Whether what a program does by descriptor (fchmod, futimens, fsetxattr, fgetxattr, fremovexattr)
 * is done to the file that it has open. */
static void expect_usable(struct fake *f, uint64_t node, int host, int has_attributes)
{
	struct stat st;
	struct fuse_getxattr_in get = { .size = 10 };
	struct fuse_setattr_in times = { .valid = FATTR_ATIME | FATTR_MTIME, .mtime = 77 };
	assert_int_equal(set_mode(f, node, 0640), 0);
	assert_int_equal(fuse(f, FUSE_SETATTR, node, PART(times)), 0);
	assert_int_equal(fstat(host, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_mtime, 77);
	if (!has_attributes)
		return;
	assert_int_equal(set_attribute(f, node), 0);
	assert_int_equal(fuse3(f, FUSE_GETXATTR, node, PART(get), TEXT("user.x"), NONE), 0);
	assert_int_equal(fuse(f, FUSE_LISTXATTR, node, PART(get)), 0);
	assert_int_equal(fuse(f, FUSE_REMOVEXATTR, node, TEXT("user.x")), 0);
}

/* An open file is used whatever the host has made of its name; once it is closed, the name alone
 * counts. */
static void test_open_without_its_name(void **state)
{
	struct fake *f = *state;
	host_write(f, "f", "text");
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	AUTO_FD int host = openat(f->directory, "f", O_RDWR | O_CLOEXEC);
	uint64_t node = lookup(f, 1, "f"), fh = 0;
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
	int has_attributes = set_attribute(f, node) == 0;
	assert_int_equal(renameat(f->directory, "f", f->directory, "d/moved"), 0);
	expect_usable(f, node, host, has_attributes);
	host_write(f, "f", "another");
	expect_usable(f, node, host, has_attributes);
	assert_int_equal(unlinkat(f->directory, "d/moved", 0), 0);
	expect_usable(f, node, host, has_attributes);
	assert_int_equal(host_stat(f, "f").st_mode & 07777, 0644);
	struct fuse_release_in in = { .fh = fh };
	assert_int_equal(fuse(f, FUSE_RELEASE, node, PART(in)), 0);
	assert_int_equal(set_mode(f, node, 0600), -ESTALE);
}

static void drop_fd(struct fake *f, uint64_t node)
{
	inode_drop_fd(&f->share.inodes, inode_find(&f->share.inodes, node));
}

/* As a process that stands in the directory. */
static int use_directory(struct fake *f, uint64_t node)
{
	struct fuse_getattr_in in = { 0 };
	struct fuse_open_in open = { .flags = O_RDONLY | O_DIRECTORY };
	int r = fuse(f, FUSE_GETATTR, node, PART(in));
	if (r == 0)
		r = fuse(f, FUSE_OPENDIR, node, PART(open));
	return r == 0 ? fuse(f, FUSE_LOOKUP, node, TEXT("file")) : r;
}

/* A directory that the guest has looked up goes along wherever the host moves it. */
static void test_directory_moved(void **state)
{
	struct fake *f = *state;
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	assert_int_equal(mkdirat(f->directory, "other", 0755), 0);
	host_write(f, "d/file", "text");
	uint64_t node = lookup(f, 1, "d");
	assert_int_equal(renameat(f->directory, "d", f->directory, "other/e"), 0);
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	assert_int_equal(use_directory(f, node), 0);
	assert_int_not_equal(lookup(f, 1, "d"), node);
	assert_int_equal(lookup(f, lookup(f, 1, "other"), "e"), node);
}

/* The node of a directory that the guest knows from READDIRPLUS of the root alone. */
static uint64_t listed_node(struct fake *f, const char *name)
{
	const struct fuse_open_in open = { .flags = O_RDONLY };
	assert_int_equal(fuse(f, FUSE_OPENDIR, 1, PART(open)), 0);
	struct fuse_read_in read = { .fh = REPLY(f, struct fuse_open_out)->fh, .size = 4096 };
	assert_int_equal(fuse(f, FUSE_READDIRPLUS, 1, PART(read)), 0);
	for (size_t at = 0; at < f->reply_size;) {
		struct fuse_direntplus d;
		memcpy(&d, f->reply + at, FUSE_NAME_OFFSET_DIRENTPLUS);
		if (d.dirent.namelen == strlen(name) &&
		    memcmp(f->reply + at + FUSE_NAME_OFFSET_DIRENTPLUS, name, strlen(name)) == 0)
			return d.entry_out.nodeid;
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + d.dirent.namelen);
	}
	return 0;
}

/* So does one that was listed, and one that another worker held. */
static void test_directory_moved_unseen(void **state)
{
	struct fake *f = *state;
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	assert_int_equal(mkdirat(f->directory, "other", 0755), 0);
	host_write(f, "d/file", "text");
	uint64_t node = listed_node(f, "d");
	assert_int_not_equal(node, 0);
	assert_int_equal(renameat(f->directory, "d", f->directory, "other/e"), 0);
	assert_int_equal(use_directory(f, node), 0);
	handle_table_reset(&f->share.handles, &f->share.inodes);
	inode_table_rebuild(&f->share.inodes);
	inode_table_settle(&f->share.inodes);
	assert_int_equal(renameat(f->directory, "other/e", f->directory, "g"), 0);
	assert_int_equal(use_directory(f, node), 0);
	drop_fd(f, node);
	assert_int_equal(f->share.inodes.cached_fds, 1);
}

/* Without a descriptor it is found among its neighbours, and so are directories above it. */
static void test_directory_renamed(void **state)
{
	struct fake *f = *state;
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	assert_int_equal(mkdirat(f->directory, "d/sub", 0755), 0);
	host_write(f, "d/sub/file", "text");
	uint64_t node = lookup(f, 1, "d"), sub = lookup(f, node, "sub");
	assert_int_equal(renameat(f->directory, "d/sub", f->directory, "d/sub2"), 0);
	assert_int_equal(renameat(f->directory, "d", f->directory, "e"), 0);
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	drop_fd(f, sub);
	drop_fd(f, node);
	assert_int_equal(use_directory(f, sub), 0);
	drop_fd(f, sub);
	assert_int_equal(renameat(f->directory, "e/sub2", f->directory, "elsewhere"), 0);
	assert_int_equal(use_directory(f, sub), -ESTALE);
	assert_int_equal(lookup(f, 1, "elsewhere"), sub);
	assert_int_equal(use_directory(f, sub), 0);
}

/* Some file systems (ext4) do not even seek in a directory that has been removed. */
static void test_directory_removed_while_read(void **state)
{
	struct fake *f = *state;
	struct fuse_open_in open = { .flags = O_RDONLY | O_DIRECTORY };
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	host_write(f, "d/one", "");
	host_write(f, "d/two", "");
	uint64_t node = lookup(f, 1, "d");
	assert_int_equal(fuse(f, FUSE_OPENDIR, node, PART(open)), 0);
	struct fuse_read_in in = { .fh = REPLY(f, struct fuse_open_out)->fh, .size = 4096 };
	assert_int_equal(fuse(f, FUSE_READDIR, node, PART(in)), 0);
	in.offset = ((const struct fuse_dirent *)(const void *)f->reply)->off;
	assert_int_equal(unlinkat(f->directory, "d/one", 0), 0);
	assert_int_equal(unlinkat(f->directory, "d/two", 0), 0);
	assert_int_equal(unlinkat(f->directory, "d", AT_REMOVEDIR), 0);
	assert_int_equal(fuse(f, FUSE_READDIR, node, PART(in)), -ENOENT);
	in.offset = UINT64_MAX - 1;
	assert_int_equal(fuse(f, FUSE_OPENDIR, 1, PART(open)), 0);
	in.fh = REPLY(f, struct fuse_open_out)->fh;
	assert_int_equal(fuse(f, FUSE_READDIR, 1, PART(in)), -EINVAL);
}

/* The latest time that ext4 knows has more nanoseconds than 64 bits hold. */
static void test_times_far_away(void **state)
{
	static const time_t seconds[] = { 15032385535, INT64_MAX, -1, INT64_MIN };
	struct fake *f = *state;
	uint64_t fh = 0;
	host_write(f, "f", "text");
	for (size_t n = 0; n < ARRAY_SIZE(seconds); n++) {
		const struct timespec times[2] = { { .tv_sec = seconds[n], .tv_nsec = 999999999 },
			{ .tv_sec = seconds[n], .tv_nsec = 999999999 } };
		assert_int_equal(utimensat(f->directory, "f", times, 0), 0);
		uint64_t node = lookup(f, 1, "f");
		inode_find(&f->share.inodes, node)->locked = 1;
		assert_int_equal((time_t)REPLY(f, struct fuse_entry_out)->attr.mtime, host_stat(f, "f").st_mtime);
		assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
	}
}

/* What the guest holds back is data of which the host has nothing yet: it had better not ask where
 * data is. */
static void test_data_held_back(void **state)
{
	struct fake *f = *state;
	uint64_t fh = 0;
	host_write(f, "f", "text");
	uint64_t node = lookup(f, 1, "f");
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
	struct fuse_lseek_in in = { .fh = fh, .offset = 2, .whence = SEEK_DATA };
	assert_int_equal(fuse(f, FUSE_LSEEK, node, PART(in)), 0);
	f->share.settings.cache = SHARE_CACHE_WRITEBACK;
	assert_int_equal(fuse(f, FUSE_LSEEK, node, PART(in)), -ENOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_made_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_without_its_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times_far_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_data_held_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times_far_away, setup_locks, teardown),
		cmocka_unit_test_setup_teardown(test_directory_removed_while_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_moved_unseen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_renamed, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
