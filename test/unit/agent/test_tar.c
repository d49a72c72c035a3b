/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "oci/tar_unpack.h"
#include "oci/tar_write.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "namespaces.h"

enum { ARCHIVE_MAX = 16 * 1024 * 1024 };

static int sink(void *data, const void *bytes, size_t size)
{
	return buffer_append(data, bytes, size);
}

static ssize_t source(void *data, const void **ret, struct error **err)
{
	struct buffer *b = data;
	static char piece[700]; /* not a multiple of anything */
	size_t n = MIN(b->size, sizeof piece);
	memcpy(piece, b->data, n);
	buffer_consume(b, n);
	*ret = piece;
	return (ssize_t)n;
}

static void fill(struct tree *t)
{
	AUTOFREE char *file = path_join(t->path, "from/file");
	AUTOFREE char *hard = path_join(t->path, "from/dir/hard");
	AUTOFREE char *soft = path_join(t->path, "from/soft");
	AUTOFREE char *fifo = path_join(t->path, "from/fifo");
	AUTOFREE char *longer = xasprintf("/from/%0*d/%0*d", 150, 1, 120, 2);
	tree_put(t, "/from/file", 0640, "content\n");
	tree_put(t, "/from/dir/empty", 0600, "");
	tree_put(t, longer, 0644, "deep");
	assert_int_equal(link(file, hard), 0);
	assert_int_equal(symlink("dir/../file", soft), 0);
	assert_int_equal(mkfifo(fifo, 0644), 0);
	struct timespec times[2] = { { .tv_sec = 5 }, { .tv_sec = 1234567890, .tv_nsec = 123456789 } };
	assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
	(void)!setxattr(file, "user.test", "v\0w", 3, 0);
}

static void test_there_and_back(void **state)
{
	struct tree *t = *state;
	struct stat a, b;
	AUTO_BUFFER struct buffer archive;
	buffer_init(&archive, ARCHIVE_MAX);
	fill(t);
	assert_int_equal(tar_write_tree(t->root, "/from", "from", sink, &archive, NULL), 0);
	assert_int_equal(archive.size % 512, 0);
	AUTO_FD int to = rootfs_mkdir(t->root, "/to", 0755, NULL);
	struct tar_unpack u = { .directory = to, .name = "copy", .uid = -1, .gid = -1 };
	assert_int_equal(tar_unpack_run(&u, source, &archive, NULL, NULL), 0);
	tree_expect(t, "/to/copy/file", "content\n");
	tree_expect(t, "/to/copy/soft", "content\n");
	AUTOFREE char *longer = xasprintf("/to/copy/%0*d/%0*d", 150, 1, 120, 2);
	tree_expect(t, longer, "deep");
	AUTO_FD int file = path_open_in_root(t->root, "/to/copy/file", O_RDONLY, 0);
	AUTO_FD int hard = path_open_in_root(t->root, "/to/copy/dir/hard", O_RDONLY, 0);
	assert_int_equal(fstat(file, &a), 0);
	assert_int_equal(fstat(hard, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_mode & 07777, 0640);
	assert_int_equal(a.st_mtim.tv_sec, 1234567890);
	assert_int_equal(a.st_mtim.tv_nsec, 123456789);
	char value[8];
	AUTOFREE char *original = path_join(t->path, "from/file");
	if (getxattr(original, "user.test", value, sizeof value) == 3) {
		assert_int_equal(fgetxattr(file, "user.test", value, sizeof value), 3);
		assert_memory_equal(value, "v\0w", 3);
	}
}

/* A file of /proc has a size that stat(2) does not know. */
static void test_sizes_that_stat_does_not_know(void **state)
{
	struct tree *t = *state;
	AUTO_BUFFER struct buffer archive;
	AUTO_FD int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTOFREE char *text = NULL;
	size_t size = 0;
	buffer_init(&archive, ARCHIVE_MAX);
	assert_int_equal(path_read_file("/proc/filesystems", 1 << 20, &text, &size), 0);
	assert_true(size > 0);
	assert_int_equal(tar_write_tree(host, "/proc/filesystems", "copy", sink, &archive, NULL), 0);
	AUTO_FD int to = rootfs_mkdir(t->root, "/proc-copy", 0755, NULL);
	struct tar_unpack u = { .directory = to, .uid = -1, .gid = -1 };
	assert_int_equal(tar_unpack_run(&u, source, &archive, NULL, NULL), 0);
	tree_expect(t, "/proc-copy/copy", text);
	/* This one says 4096 and has less, and that one has neither size nor end. */
	if (access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0) {
		buffer_consume(&archive, archive.size);
		assert_int_equal(tar_write_tree(host, "/sys/kernel/mm/transparent_hugepage/enabled", "sys", sink,
				     &archive, NULL),
		    0);
		assert_int_equal(tar_unpack_run(&u, source, &archive, NULL, NULL), 0);
		AUTOFREE char *copy = path_join(t->path, "proc-copy/sys"), *whole = NULL;
		assert_int_equal(path_read_file(copy, 8192, &whole, &size), 0);
		assert_true(size > 0 && size < 4096 && strlen(whole) == size);
	}
}

/* Holes in front, between and behind come back as holes. */
static void test_holes(void **state)
{
	static const off_t sizes[] = { 1 << 20, 64 << 20, 100000 };
	struct tree *t = *state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct stat before, after;
		AUTO_BUFFER struct buffer archive;
		buffer_init(&archive, ARCHIVE_MAX);
		tree_put(t, "/holes/file", 0644, "");
		AUTO_FD int fd = path_open_in_root(t->root, "/holes/file", O_RDWR, 0);
		assert_int_equal(ftruncate(fd, sizes[i]), 0);
		if (i < 2) {
			assert_int_equal(pwrite(fd, "middle", 6, sizes[i] / 2), 6);
			assert_int_equal(pwrite(fd, "end", 3, sizes[i] - (i ? 3 : 70000)), 3);
		}
		assert_int_equal(fstat(fd, &before), 0);
		assert_int_equal(tar_write_tree(t->root, "/holes", "holes", sink, &archive, NULL), 0);
		if (before.st_blocks * 512 < before.st_size / 2)
			assert_true(archive.size < 1 << 19);
		AUTO_FD int to = rootfs_mkdir(t->root, "/dense", 0755, NULL);
		struct tar_unpack u = { .directory = to, .uid = -1, .gid = -1 };
		assert_int_equal(tar_unpack_run(&u, source, &archive, NULL, NULL), 0);
		AUTO_FD int copy = path_open_in_root(t->root, "/dense/holes/file", O_RDONLY, 0);
		assert_int_equal(fstat(copy, &after), 0);
		assert_int_equal(after.st_size, before.st_size);
		assert_true(after.st_blocks <= before.st_blocks + 16);
		char text[7] = "";
		assert_int_equal(pread(copy, text, 6, sizes[i] / 2), 6);
		assert_string_equal(text, i < 2 ? "middle" : "");
	}
}

static void enter(struct tree *t)
{
	enter_namespaces();
	t->root = open(t->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* A file `name` in the tree: on a file system of its own, with a second link there. Returns its
 * number. */
static ino_t put_linked(struct tree *t, const char *name)
{
	struct stat st;
	AUTOFREE char *place = xasprintf("%s/%s.fs", t->path, name), *file = path_join(place, "file"),
		      *second = path_join(place, "second"), *shown = xasprintf("%s/from/%s", t->path, name),
		      *inside = xasprintf("/from/%s", name);
	tree_put(t, inside, 0600, "");
	assert_int_equal(mkdir(place, 0700), 0);
	if (mount("none", place, "tmpfs", 0, NULL) < 0)
		_exit(CANNOT);
	AUTO_FD int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_full(fd, name, strlen(name)), 0);
	assert_int_equal(link(file, second), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(mount(file, shown, NULL, MS_BIND, NULL), 0);
	return st.st_ino;
}

/* Two files of two file systems with one inode number are no links of each other, as in an overlay
 * of several layers. */
static void test_numbers_of_two_devices(void **state)
{
	struct tree *t = *state;
	int status;
	pid_t child = fork();
	if (child == 0) {
		AUTO_BUFFER struct buffer archive;
		buffer_init(&archive, ARCHIVE_MAX);
		enter(t);
		if (put_linked(t, "one") != put_linked(t, "two"))
			_exit(CANNOT); /* a kernel that numbers the files of all of them in a row */
		assert_int_equal(tar_write_tree(t->root, "/from", "from", sink, &archive, NULL), 0);
		AUTO_FD int to = rootfs_mkdir(t->root, "/to", 0755, NULL);
		struct tar_unpack u = { .directory = to, .name = "copy", .uid = -1, .gid = -1 };
		assert_int_equal(tar_unpack_run(&u, source, &archive, NULL, NULL), 0);
		tree_expect(t, "/to/copy/one", "one");
		tree_expect(t, "/to/copy/two", "two");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void mark(const struct tree *t, const char *file, const char *name, const char *value)
{
	AUTOFREE char *path = path_join(t->path, file);
	assert_int_equal(setxattr(path, name, value, strlen(value), 0), 0);
}

static int has(const struct buffer *b, const char *text)
{
	return memmem(b->data, b->size, text, strlen(text)) != NULL;
}

/* A tree of a native machine as Linux shows it (tar_overlay.h). */
static void test_marks_of_overlays_are_restored(void **state)
{
	struct tree *t = *state;
	struct stat st;
	AUTO_BUFFER struct buffer archive, plain;
	buffer_init(&archive, ARCHIVE_MAX);
	buffer_init(&plain, ARCHIVE_MAX);
	tree_put(t, "/from/d/gone", 0600, "");
	tree_put(t, "/from/roots/file", 0600, "x");
	mark(t, "from/d/gone", "user.overlay.whiteout", "y");
	mark(t, "from/d/gone", "user.holm.kept.device", "y");
	mark(t, "from/d", "user.overlay.opaque", "x");
	mark(t, "from/d", "user.holm.kept.folder", "y");
	mark(t, "from/roots", "user.overlay.opaque", "y");
	mark(t, "from/roots", "user.holm.kept.trusted.overlay.opaque", "y");
	mark(t, "from/roots", "user.overlay.redirect", "made-here");
	mark(t, "from/roots/file", "user.holm.kept.user.overlay.origin", "hidden");
	const struct tar_tree tree = {
		.root = t->root,
		.path = "/from",
		.name = "from",
		.also = { -1, -1 },
		.restore = 1,
	};
	assert_int_equal(tar_write(&tree, sink, &archive, NULL), 0);
	assert_true(has(&archive, "xattr.trusted.overlay.opaque=y\n"));
	assert_true(has(&archive, "xattr.user.overlay.redirect=made-here\n"));
	assert_true(has(&archive, "xattr.user.overlay.origin=hidden\n"));
	assert_false(has(&archive, "xattr.user.overlay.opaque"));
	assert_false(has(&archive, "user.holm"));
	assert_int_equal(tar_write_tree(t->root, "/from", "from", sink, &plain, NULL), 0);
	assert_true(has(&plain, "user.holm"));
	AUTO_FD int to = rootfs_mkdir(t->root, "/to", 0755, NULL);
	struct tar_unpack u = { .directory = to, .uid = -1, .gid = -1 };
	assert_int_equal(tar_unpack_run(&u, source, &archive, NULL, NULL), 0);
	assert_int_equal(fstatat(to, "from/d/gone", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(st.st_rdev, 0);
}

static void test_one_file(void **state)
{
	struct tree *t = *state;
	AUTO_BUFFER struct buffer archive;
	buffer_init(&archive, ARCHIVE_MAX);
	tree_put(t, "/a/b", 0600, "x");
	assert_int_equal(tar_write_tree(t->root, "/a/b", "b", sink, &archive, NULL), 0);
	AUTO_FD int to = rootfs_mkdir(t->root, "/to", 0755, NULL);
	struct tar_unpack u = { .directory = to, .name = "other name", .uid = getuid(), .gid = getgid() };
	assert_int_equal(tar_unpack_run(&u, source, &archive, NULL, NULL), 0);
	tree_expect(t, "/to/other name", "x");
	assert_true(tar_write_tree(t->root, "/missing", "m", sink, &archive, NULL) < 0);
}

/* A header by hand, for names that the writer would never write. */
static void add_entry(struct buffer *b, const char *name, char type, const char *link)
{
	char h[512] = { 0 };
	unsigned sum = 0;
	snprintf(h, 100, "%s", name);
	memcpy(h + 100, "0000644", 7);
	memcpy(h + 108, "0000000", 7);
	memcpy(h + 116, "0000000", 7);
	memcpy(h + 124, "00000000000", 11);
	memcpy(h + 136, "00000000000", 11);
	h[156] = type;
	snprintf(h + 157, 100, "%s", link);
	memcpy(h + 257, "ustar\00000", 8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < sizeof h; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	buffer_append(b, h, sizeof h);
}

static void test_nothing_leads_out(void **state)
{
	struct tree *t = *state;
	static const struct {
		const char *first, *target, *second;
	} cases[] = {
		{ NULL, NULL, "../escaped" },
		{ NULL, NULL, "a/../../escaped" },
		{ "link", "/tmp", "link/escaped" },
		{ "link", "..", "link/escaped" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_BUFFER struct buffer archive;
		buffer_init(&archive, ARCHIVE_MAX);
		AUTOFREE char *place = xasprintf("/in%zu/to", i);
		AUTO_FD int to = rootfs_mkdir(t->root, place, 0755, NULL);
		struct tar_unpack u = { .directory = to, .uid = -1, .gid = -1 };
		char end[1024] = { 0 };
		if (cases[i].first)
			add_entry(&archive, cases[i].first, '2', cases[i].target);
		add_entry(&archive, cases[i].second, '0', "");
		buffer_append(&archive, end, sizeof end);
		assert_true(tar_unpack_run(&u, source, &archive, NULL, NULL) < 0);
		AUTOFREE char *escaped = xasprintf("/in%zu/escaped", i);
		assert_false(rootfs_exists(t->root, escaped));
	}
	assert_false(path_exists("/tmp/escaped"));
}

/* Unpacks entries as a layer, in this order; the files are root's. */
static int unpack_layer(int to, const struct tar_entry *entries, size_t count)
{
	AUTO_BUFFER struct buffer archive;
	const struct tar_unpack u = { .directory = to, .uid = -1, .gid = -1, .layer = 1 };
	buffer_init(&archive, ARCHIVE_MAX);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(tar_write_entry(&entries[i], sink, &archive), 0);
	assert_int_equal(tar_write_end(sink, &archive), 0);
	return tar_unpack_run(&u, source, &archive, NULL, NULL);
}

static void test_a_layer(void **state)
{
	const struct tree *t = *state;
	const uint32_t uid = getuid(), gid = getgid();
	static struct tar_xattr opaque = { .name = (char *)"user.overlay.opaque",
		.value = (unsigned char *)"y",
		.size = 1 };
	const struct tar_entry first[] = {
		{ .type = TAR_DIRECTORY, .path = "d/", .mode = 0700, .uid = uid, .gid = gid, .mtime = 5 },
		{ .type = TAR_FILE, .path = "d/f", .mode = 0600, .uid = uid, .gid = gid },
		{ .type = TAR_SYMLINK, .path = "d/l", .target = "f", .mode = 0777, .uid = uid, .gid = gid, .mtime = 7 },
		{ .type = TAR_DIRECTORY, .path = "d/", .mode = 0711, .uid = uid, .gid = gid, .mtime = 6 },
	};
	const struct tar_entry second[] = {
		{ .type = TAR_DIRECTORY, .path = "d/", .mode = 0750, .uid = uid, .gid = gid, .mtime = 8 }
	};
	const struct tar_entry bad[] = {
		{ .type = TAR_FILE, .path = "d/.wh.f", .uid = uid, .gid = gid },
		{ .type = TAR_FILE, .path = ".wh..wh..opq", .uid = uid, .gid = gid },
		{ .type = TAR_CHAR, .path = "d/f", .uid = uid, .gid = gid },
		{ .type = TAR_DIRECTORY, .path = "./", .mode = 0700, .uid = uid, .gid = gid },
		{ .type = TAR_DIRECTORY, .path = "e/", .uid = uid, .gid = gid, .xattrs = &opaque, .xattr_count = 1 },
	};
	struct stat st;
	AUTO_FD int to = rootfs_mkdir(t->root, "/layer", 0755, NULL);
	assert_int_equal(unpack_layer(to, first, ARRAY_SIZE(first)), 0);
	assert_int_equal(fstatat(to, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_mtim.tv_sec, 6);
	assert_int_equal(fstatat(to, "d/l", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mtim.tv_sec, 7);
	assert_int_equal(unpack_layer(to, second, ARRAY_SIZE(second)), 0);
	assert_int_equal(fstatat(to, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(unpack_layer(to, &bad[i], 1), -EOPNOTSUPP);
	assert_int_equal(fstatat(to, "d/f", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void test_hard_link_out(void **state)
{
	struct tree *t = *state;
	AUTO_BUFFER struct buffer archive;
	char end[1024] = { 0 };
	buffer_init(&archive, ARCHIVE_MAX);
	tree_put(t, "/secret", 0600, "secret");
	AUTO_FD int to = rootfs_mkdir(t->root, "/to", 0755, NULL);
	struct tar_unpack u = { .directory = to, .uid = -1, .gid = -1 };
	add_entry(&archive, "stolen", '1', "../secret");
	buffer_append(&archive, end, sizeof end);
	assert_true(tar_unpack_run(&u, source, &archive, NULL, NULL) < 0);
	assert_false(rootfs_exists(t->root, "/to/stolen"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { TREE_TEST(test_there_and_back), TREE_TEST(test_one_file),
		TREE_TEST(test_marks_of_overlays_are_restored), TREE_TEST(test_nothing_leads_out),
		TREE_TEST(test_a_layer), TREE_TEST(test_hard_link_out), TREE_TEST(test_numbers_of_two_devices),
		TREE_TEST(test_sizes_that_stat_does_not_know), TREE_TEST(test_holes) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
