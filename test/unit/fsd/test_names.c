/* SPDX-License-Identifier: Apache-2.0
 * Names, attributes and owners through FUSE requests: what works, and what must not. */
#include <sys/sysmacros.h>

#include "fake_guest.h"

static int setup(void **state)
{
	struct fake *f = fake_new();
	fake_start(f, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fake_free(*state);
	return 0;
}

static int make_directory(struct fake *f, uint64_t parent, const char *name, uint32_t mode)
{
	struct fuse_mkdir_in in = { .mode = mode };
	return fuse3(f, FUSE_MKDIR, parent, PART(in), TEXT(name), NONE);
}

static int make_node(struct fake *f, uint64_t parent, const char *name, uint32_t mode)
{
	struct fuse_mknod_in in = { .mode = mode, .rdev = (uint32_t)makedev(1, 3) };
	return fuse3(f, FUSE_MKNOD, parent, PART(in), TEXT(name), NONE);
}

static int rename_name(struct fake *f, uint64_t from, const char *name, uint64_t to, const char *new, uint32_t flags)
{
	struct fuse_rename2_in in = { .newdir = to, .flags = flags };
	return fuse3(f, FUSE_RENAME2, from, PART(in), TEXT(name), TEXT(new));
}

static int change(struct fake *f, uint64_t node, struct fuse_setattr_in in)
{
	return fuse(f, FUSE_SETATTR, node, PART(in));
}

static struct fuse_attr attributes(struct fake *f, uint64_t node)
{
	struct fuse_getattr_in in = { 0 };
	assert_int_equal(fuse(f, FUSE_GETATTR, node, PART(in)), 0);
	return REPLY(f, struct fuse_attr_out)->attr;
}

static void test_lookup(void **state)
{
	struct fake *f = *state;
	host_write(f, "a", "text");
	uint64_t a = lookup(f, 1, "a");
	assert_true(a > 1);
	assert_int_equal(lookup(f, 1, "a"), a);
	struct fuse_attr attr = attributes(f, a);
	assert_int_equal(attr.size, 4);
	assert_int_equal(attr.uid, INSIDE_UID);
	assert_int_equal(attr.gid, INSIDE_GID);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	assert_int_equal(lookup(f, 1, "none"), 0);
	/* Forgotten as often as it was looked up: the id is of no use any more. */
	struct fuse_forget_in forget = { .nlookup = 2 };
	assert_int_equal(fuse(f, FUSE_FORGET, a, PART(forget)), -1000);
	struct fuse_getattr_in in = { 0 };
	assert_int_equal(fuse(f, FUSE_GETATTR, a, PART(in)), -ESTALE);
	assert_true(lookup(f, 1, "a") != a);
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one items[2];
	} batch = { { .count = 2 }, { { lookup(f, 1, "a"), 1000 }, { 99, 1 } } };
	assert_int_equal(fuse(f, FUSE_BATCH_FORGET, 0, PART(batch)), -1000);
	assert_int_equal(f->share.inodes.count, 1);
}

static void test_names_that_are_none(void **state)
{
	struct fake *f = *state;
	static const char *const names[] = { "", ".", "..", "a/b", "/", "/etc/passwd", "../x", "a/", "./a" };
	host_write(f, "a", "");
	uint64_t a = lookup(f, 1, "a");
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct fuse_create_in create = { .flags = O_RDWR, .mode = 0644 };
		struct fuse_link_in link = { .oldnodeid = a };
		int relative = streq(names[n], ".") || streq(names[n], "..");
		assert_int_equal(fuse(f, FUSE_LOOKUP, 1, TEXT(names[n])), relative ? 0 : -EINVAL);
		assert_int_equal(make_directory(f, 1, names[n], 0755), -EINVAL);
		assert_int_equal(make_node(f, 1, names[n], S_IFREG | 0644), -EINVAL);
		assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT(names[n])), -EINVAL);
		assert_int_equal(fuse(f, FUSE_RMDIR, 1, TEXT(names[n])), -EINVAL);
		assert_int_equal(fuse3(f, FUSE_SYMLINK, 1, TEXT(names[n]), TEXT("target"), NONE), -EINVAL);
		assert_int_equal(fuse3(f, FUSE_CREATE, 1, PART(create), TEXT(names[n]), NONE), -EINVAL);
		assert_int_equal(fuse3(f, FUSE_LINK, 1, PART(link), TEXT(names[n]), NONE), -EINVAL);
		assert_int_equal(rename_name(f, 1, names[n], 1, "b", 0), -EINVAL);
		assert_int_equal(rename_name(f, 1, "a", 1, names[n], 0), -EINVAL);
	}
	char longest[257];
	memset(longest, 'x', 256);
	longest[256] = 0;
	assert_int_equal(fuse(f, FUSE_LOOKUP, 1, TEXT(longest)), -ENAMETOOLONG);
	longest[255] = 0;
	assert_int_equal(make_directory(f, 1, longest, 0755), 0);
	/* No end of the name inside the request. */
	assert_int_equal(fuse(f, FUSE_LOOKUP, 1, (struct part){ "abc", 3 }), -EINVAL);
	assert_int_equal(fuse3(f, FUSE_SYMLINK, 1, TEXT("s"), (struct part){ "abc", 3 }, NONE), -EINVAL);
}

/* The host may have made another directory of that name, which the guest finds when it looks from
 * the start. Who is in the directory finds it empty. */
static void test_replaced_directory(void **state)
{
	struct fake *f = *state;
	struct fuse_open_in open = { .flags = O_RDONLY | O_DIRECTORY };
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	host_write(f, "d/old", "");
	uint64_t d = lookup(f, 1, "d");
	assert_true(lookup(f, d, "old"));
	f->pid = 5;
	assert_int_equal(lookup(f, d, "new"), 0);
	assert_int_equal(unlinkat(f->directory, "d/old", 0), 0);
	assert_int_equal(unlinkat(f->directory, "d", AT_REMOVEDIR), 0);
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	host_write(f, "d/new", "");
	assert_int_equal(fuse(f, FUSE_LOOKUP, d, TEXT("new")), -ESTALE);
	assert_int_equal(lookup(f, d, "new"), 0);
	assert_int_equal(fuse(f, FUSE_OPENDIR, d, PART(open)), 0);
	f->pid = 6;
	assert_int_equal(fuse(f, FUSE_OPENDIR, d, PART(open)), -ESTALE);
	assert_int_equal(fuse(f, FUSE_OPENDIR, d, PART(open)), 0);
	assert_int_equal(lookup(f, d, "new"), 0);
	uint64_t again = lookup(f, 1, "d");
	assert_true(again != d);
	assert_true(lookup(f, again, "new"));
	/* After a while the process is one like any other. */
	f->share.inodes.pins.told[0].until_ms = f->share.inodes.pins.told[1].until_ms = 0;
	assert_int_equal(fuse(f, FUSE_LOOKUP, d, TEXT("new")), -ESTALE);
	f->pid = 0;
}

/* What open_by_handle_at(2) inside asks for when the machine's kernel has a file and no name of
 * it. */
static void test_relative_names(void **state)
{
	struct fake *f = *state;
	assert_int_equal(make_directory(f, 1, "d", 0755), 0);
	uint64_t d = REPLY(f, struct fuse_entry_out)->nodeid;
	assert_int_equal(make_directory(f, d, "e", 0755), 0);
	uint64_t e = REPLY(f, struct fuse_entry_out)->nodeid;
	struct fuse_forget_in once = { .nlookup = 1 };
	assert_int_equal(lookup(f, e, "."), e);
	assert_int_equal(lookup(f, e, ".."), d);
	assert_int_equal(lookup(f, d, ".."), 1);
	assert_int_equal(lookup(f, 1, ".."), 1); /* nothing is above the root */
	assert_int_equal(lookup(f, 1, "."), 1);
	assert_int_equal(fuse(f, FUSE_RMDIR, d, TEXT("e")), 0);
	assert_int_equal(fuse(f, FUSE_LOOKUP, e, TEXT("..")), -ESTALE);
	/* Each counted as a lookup: e is known until all are forgotten. */
	fuse(f, FUSE_FORGET, e, PART(once));
	assert_non_null(inode_find(&f->share.inodes, e));
	fuse(f, FUSE_FORGET, e, PART(once));
	assert_null(inode_find(&f->share.inodes, e));
}

static void test_every_byte_in_names(void **state)
{
	struct fake *f = *state;
	for (int c = 1; c < 256; c++) {
		char name[] = { 'n', (char)c, 0 };
		if (c == '/')
			continue;
		assert_int_equal(make_node(f, 1, name, S_IFREG | 0600), 0);
		assert_true(lookup(f, 1, name) > 1);
		assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT(name)), 0);
	}
}

/* A symlink on the host that points outside is only ever a symlink. */
static void test_symlinks_are_not_followed(void **state)
{
	struct fake *f = *state;
	assert_int_equal(symlinkat("/", f->directory, "root"), 0);
	assert_int_equal(symlinkat("/etc/passwd", f->directory, "passwd"), 0);
	uint64_t root = lookup(f, 1, "root"), passwd = lookup(f, 1, "passwd");
	assert_int_equal(attributes(f, root).mode & S_IFMT, S_IFLNK);
	assert_int_equal(fuse(f, FUSE_LOOKUP, root, TEXT("etc")), -ENOTDIR);
	assert_int_equal(make_directory(f, root, "x", 0755), -ENOTDIR);
	uint64_t fh;
	assert_int_equal(open_file(f, passwd, O_RDONLY, &fh), -ELOOP);
	assert_int_equal(fuse(f, FUSE_READLINK, passwd, NONE), 0);
	assert_int_equal(f->reply_size, strlen("/etc/passwd"));
	struct stat before, after;
	stat("/etc/passwd", &before);
	(void)change(f, passwd, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0600 });
	(void)change(f, passwd, (struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtime = 1 });
	stat("/etc/passwd", &after);
	assert_int_equal(before.st_mode, after.st_mode);
	assert_int_equal(before.st_mtime, after.st_mtime);
	assert_int_equal(host_stat(f, "passwd").st_mtime, 1);
	/* A directory that the guest knows becomes a symlink on the host: stale, not followed. */
	assert_int_equal(make_directory(f, 1, "d", 0755), 0);
	uint64_t d = REPLY(f, struct fuse_entry_out)->nodeid;
	inode_table_trim(&f->share.inodes);
	unlinkat(f->directory, "d", AT_REMOVEDIR);
	assert_int_equal(symlinkat("/etc", f->directory, "d"), 0);
	assert_int_equal(fuse(f, FUSE_LOOKUP, d, TEXT("passwd")), -ESTALE);
}

static void test_make_and_remove(void **state)
{
	struct fake *f = *state;
	assert_int_equal(make_directory(f, 1, "d", 0750), 0);
	uint64_t d = REPLY(f, struct fuse_entry_out)->nodeid;
	assert_int_equal(make_directory(f, 1, "d", 0750), -EEXIST);
	assert_int_equal(make_node(f, d, "f", S_IFREG | 0640), 0);
	assert_int_equal(make_node(f, d, "fifo", S_IFIFO | 0640), 0);
	assert_int_equal(make_node(f, d, "sock", S_IFSOCK | 0640), 0);
	assert_int_equal(make_node(f, d, "chr", S_IFCHR | 0640), -EPERM);
	assert_int_equal(make_node(f, d, "blk", S_IFBLK | 0640), -EPERM);
	struct fuse_mknod_in whiteout = { .mode = S_IFCHR };
	assert_int_equal(fuse3(f, FUSE_MKNOD, d, PART(whiteout), TEXT("whiteout"), NONE), -EPERM);
	f->share.settings.keep_records = 1;
	assert_int_equal(fuse3(f, FUSE_MKNOD, d, PART(whiteout), TEXT("whiteout"), NONE), 0);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->attr.mode, S_IFCHR);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->attr.rdev, 0);
	assert_true(S_ISCHR(host_stat(f, "d/whiteout").st_mode));
	assert_int_equal(fuse(f, FUSE_UNLINK, d, TEXT("whiteout")), 0);
	whiteout.mode = S_IFBLK;
	assert_int_equal(fuse3(f, FUSE_MKNOD, d, PART(whiteout), TEXT("blk"), NONE), -EPERM);
	assert_true(S_ISFIFO(host_stat(f, "d/fifo").st_mode));
	uint64_t fh, fifo = lookup(f, d, "fifo");
	assert_int_equal(open_file(f, fifo, O_RDONLY, &fh), -ENXIO); /* and does not wait for a writer */
	assert_int_equal(fuse(f, FUSE_RMDIR, 1, TEXT("d")), -ENOTEMPTY);
	assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT("d")), -EISDIR);
	struct fuse_link_in link = { .oldnodeid = lookup(f, d, "f") };
	assert_int_equal(fuse3(f, FUSE_LINK, 1, PART(link), TEXT("hard"), NONE), 0);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->nodeid, link.oldnodeid);
	assert_int_equal(REPLY(f, struct fuse_entry_out)->attr.nlink, 2);
	link.oldnodeid = d;
	assert_int_equal(fuse3(f, FUSE_LINK, 1, PART(link), TEXT("hard2"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_SYMLINK, d, TEXT("sym"), TEXT("../anything at all"), NONE), 0);
	assert_int_equal(fuse(f, FUSE_READLINK, REPLY(f, struct fuse_entry_out)->nodeid, NONE), 0);
	assert_memory_equal(f->reply, "../anything at all", 18);
	static const char *const all[] = { "f", "fifo", "sock", "sym" };
	for (size_t n = 0; n < ARRAY_SIZE(all); n++)
		assert_int_equal(fuse(f, FUSE_UNLINK, d, TEXT(all[n])), 0);
	assert_int_equal(fuse(f, FUSE_RMDIR, 1, TEXT("d")), 0);
	assert_int_equal(fuse(f, FUSE_RMDIR, 1, TEXT("d")), -ENOENT);
	/* A process whose working directory was removed can still ask for its attributes. */
	assert_int_equal(attributes(f, d).nlink, 0);
	assert_int_equal(make_directory(f, d, "inside", 0755), -ENOENT);
}

static void test_rename(void **state)
{
	struct fake *f = *state;
	make_directory(f, 1, "a", 0755);
	uint64_t a = REPLY(f, struct fuse_entry_out)->nodeid;
	make_directory(f, 1, "b", 0755);
	uint64_t b = REPLY(f, struct fuse_entry_out)->nodeid;
	make_node(f, a, "x", S_IFREG | 0644);
	uint64_t x = REPLY(f, struct fuse_entry_out)->nodeid;
	host_write(f, "b/y", "yyyy");
	uint64_t y = lookup(f, b, "y");
	assert_int_equal(rename_name(f, a, "x", b, "y", 1), -EEXIST); /* RENAME_NOREPLACE */
	assert_int_equal(rename_name(f, a, "x", b, "y", 2), 0);       /* RENAME_EXCHANGE */
	assert_int_equal(lookup(f, a, "x"), y);
	assert_int_equal(lookup(f, b, "y"), x);
	assert_int_equal(attributes(f, y).size, 4);
	assert_int_equal(rename_name(f, a, "x", b, "y", 0), 0);
	assert_int_equal(attributes(f, y).size, 4);  /* by its new name */
	assert_int_equal(attributes(f, x).nlink, 0); /* replaced, still there for whoever has it open */
	assert_int_equal(lookup(f, b, "y"), y);
	assert_int_equal(rename_name(f, 1, "b", a, "b2", 0), 0); /* a directory with what is in it */
	assert_int_equal(attributes(f, y).size, 4);
	assert_int_equal(lookup(f, lookup(f, a, "b2"), "y"), y);
	assert_int_equal(rename_name(f, 1, "a", b, "loop", 0), -EINVAL);
	/* with RENAME_EXCHANGE there is nothing to mark */
	assert_int_equal(rename_name(f, 1, "a", 1, "w", 6), -EINVAL);
	assert_int_equal(rename_name(f, 1, "a", 1, "w", 8), -EINVAL);
	host_write(f, "z", "zzz");
	uint64_t z = lookup(f, 1, "z");
	assert_int_equal(rename_name(f, 1, "z", 1, "z2", 4), -EINVAL); /* RENAME_WHITEOUT */
	f->share.settings.keep_records = 1;
	assert_int_equal(rename_name(f, 1, "z", 1, "z2", 4), 0);
	assert_int_equal(lookup(f, 1, "z2"), z);
	assert_int_equal(attributes(f, lookup(f, 1, "z")).mode & S_IFMT, S_IFCHR);
	assert_true(lookup(f, 1, "z") != z);
	assert_int_equal(rename_name(f, 1, "none", 1, "w", 0), -ENOENT);
	struct fuse_rename_in in = { .newdir = 12345 };
	assert_int_equal(fuse3(f, FUSE_RENAME, 1, PART(in), TEXT("a"), TEXT("c")), -ESTALE);
	in.newdir = 1;
	assert_int_equal(fuse3(f, FUSE_RENAME, 1, PART(in), TEXT("a"), TEXT("c")), 0);
	assert_int_equal(lookup(f, 1, "c"), a);
}

static void test_modes(void **state)
{
	struct fake *f = *state;
	make_node(f, 1, "f", S_IFREG | 06755);
	uint64_t node = REPLY(f, struct fuse_entry_out)->nodeid;
	assert_int_equal(host_stat(f, "f").st_mode & 07777, 0755);
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = S_IFREG | 07711 }), 0);
	assert_int_equal(host_stat(f, "f").st_mode & 07777, 01711);
	struct fuse_create_in create = { .flags = O_RDWR | O_EXCL, .mode = S_IFREG | 06700 };
	assert_int_equal(fuse3(f, FUSE_CREATE, 1, PART(create), TEXT("g"), NONE), 0);
	assert_int_equal(host_stat(f, "g").st_mode & 07777, 0700);
	make_directory(f, 1, "d", 07777);
	assert_int_equal(host_stat(f, "d").st_mode & 07777, 01777); /* as mkdir(2) has it */
	assert_int_equal(change(f, lookup(f, 1, "d"), (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 07777 }),
	    0);
	/* a directory's setgid bit only says which group files in it get */
	assert_int_equal(host_stat(f, "d").st_mode & 07777, 03777);
	/* A file of mode 0 can be given a mode again. */
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0 }), 0);
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0644 }), 0);
	assert_int_equal(attributes(f, node).mode & 07777, 0644);
	/* The host's own setuid file loses the bit when it changes hands inside. */
	assert_int_equal(fchmodat(f->directory, "f", 04755, 0), 0);
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_UID, .uid = 0 }), 0);
	assert_int_equal(host_stat(f, "f").st_mode & 07777, 0755);
}

static void test_owners(void **state)
{
	struct fake *f = *state;
	make_node(f, 1, "f", S_IFREG | 0600);
	uint64_t node = REPLY(f, struct fuse_entry_out)->nodeid;
	static const struct {
		uint32_t valid, uid, gid;
		int result;
	} cases[] = {
		{ FATTR_UID, INSIDE_UID, 0, 0 },
		{ FATTR_UID, 0, 0, 0 },
		{ FATTR_GID, 0, INSIDE_GID, 0 },
		{ FATTR_GID, 0, 0, 0 },
		{ FATTR_UID | FATTR_GID, INSIDE_UID, INSIDE_GID, 0 },
		{ FATTR_UID | FATTR_GID, 0, 0, 0 },
		{ FATTR_UID, 33, 0, -EPERM },
		{ FATTR_GID, 0, 54321, -EPERM },
		{ FATTR_UID | FATTR_GID, INSIDE_UID, 54321, -EPERM },
		{ FATTR_UID, UINT32_MAX, 0, -EPERM },
		{ FATTR_GID, 0, UINT32_MAX, -EPERM },
	};
	struct stat before = host_stat(f, "f");
	for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
		struct fuse_setattr_in in = { .valid = cases[n].valid, .uid = cases[n].uid, .gid = cases[n].gid };
		assert_int_equal(change(f, node, in), cases[n].result);
	}
	struct stat after = host_stat(f, "f");
	assert_int_equal(before.st_uid, after.st_uid);
	assert_int_equal(before.st_gid, after.st_gid);
	/* Somebody else's file is never the machine user's. */
	assert_int_equal(share_uid_inside(&f->share, f->share.settings.host_uid), INSIDE_UID);
	assert_int_equal(share_uid_inside(&f->share, INSIDE_UID), 65534);
	assert_int_equal(share_uid_inside(&f->share, 7), 7);
	assert_int_equal(share_gid_inside(&f->share, INSIDE_GID), 65534);
}

static void test_times_and_size(void **state)
{
	struct fake *f = *state;
	host_write(f, "f", "0123456789");
	uint64_t node = lookup(f, 1, "f");
	struct fuse_setattr_in in = {
		.valid = FATTR_ATIME | FATTR_MTIME | FATTR_SIZE,
		.size = 4,
		.atime = 5,
		.atimensec = 6,
		.mtime = 7,
		.mtimensec = 8,
	};
	assert_int_equal(change(f, node, in), 0);
	struct stat st = host_stat(f, "f");
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_int_equal(st.st_atim.tv_nsec, 6);
	assert_int_equal(st.st_mtim.tv_sec, 7);
	assert_int_equal(st.st_mtim.tv_nsec, 8);
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_MTIME | FATTR_MTIME_NOW }), 0);
	assert_true(host_stat(f, "f").st_mtim.tv_sec > 1000000);
	assert_int_equal(host_stat(f, "f").st_atim.tv_sec, 5);
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = UINT64_MAX }), -EFBIG);
	assert_int_equal(change(f, 1, (struct fuse_setattr_in){ .valid = FATTR_SIZE }), -EISDIR);
}

/* As if more than two seconds had passed. */
static void forget_pins(struct fake *f)
{
	struct pins *p = &f->share.inodes.pins;
	p->wanted_until_ms = 0;
	for (int n = 0; n < PINS_MAX; n++)
		p->items[n].until_ms = 0;
	assert_int_equal(pins_trim(p), 0);
}

/* The host replaces a file behind the guest's back: the guest is told to look again, and never gets
 * the wrong one. */
static void test_host_changes(void **state)
{
	struct fake *f = *state;
	host_write(f, "f", "old");
	uint64_t node = lookup(f, 1, "f"), fh;
	host_write(f, "new", "newer");
	renameat(f->directory, "new", f->directory, "f");
	struct fuse_getattr_in in = { 0 };
	assert_int_equal(fuse(f, FUSE_GETATTR, node, PART(in)), -ESTALE);
	assert_int_equal(open_file(f, node, O_RDWR | O_TRUNC, &fh), -ESTALE);
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_SIZE }), -ESTALE);
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_MODE }), -ESTALE);
	assert_int_equal(host_stat(f, "f").st_size, 5);
	uint64_t again = lookup(f, 1, "f");
	assert_true(again && again != node);
	forget_pins(f);
	/* Moved: found at its new place after a lookup there, under the same id. */
	mkdirat(f->directory, "d", 0755);
	renameat(f->directory, "f", f->directory, "d/g");
	assert_int_equal(fuse(f, FUSE_GETATTR, again, PART(in)), -ESTALE);
	assert_int_equal(lookup(f, lookup(f, 1, "d"), "g"), again);
	assert_int_equal(attributes(f, again).size, 5);
}

static void host_replace(struct fake *f, const char *name, const char *text)
{
	host_write(f, "new", text);
	assert_int_equal(renameat(f->directory, "new", f->directory, name), 0);
}

/* The host gives a name to another file between any two requests: the guest is sent back once, then
 * it can use what it looked up. */
static void test_host_changes_all_the_time(void **state)
{
	struct fake *f = *state;
	struct fuse_getattr_in in = { 0 };
	uint64_t fh = 0;
	host_write(f, "f", "1");
	uint64_t node = lookup(f, 1, "f");
	host_replace(f, "f", "22");
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), -ESTALE);
	node = lookup(f, 1, "f");
	assert_true(REPLY(f, struct fuse_entry_out)->entry_valid == 0 &&
		    REPLY(f, struct fuse_entry_out)->entry_valid_nsec == 0);
	host_replace(f, "f", "333");
	assert_int_equal(attributes(f, node).size, 2);
	assert_int_equal(open_file(f, node, O_RDONLY, &fh), 0);
	struct fuse_read_in read = { .fh = fh, .size = 100 };
	assert_int_equal(fuse(f, FUSE_READ, node, PART(read)), 0);
	assert_int_equal(f->reply_size, 2);
	assert_memory_equal(f->reply, "22", 2);
	/* Not what it is now either: that is another file. */
	assert_int_equal(change(f, node, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0600 }), 0);
	assert_int_equal(host_stat(f, "f").st_mode & 0777, 0644);
	/* A symlink, a file that became a directory, a directory that was replaced. */
	assert_int_equal(symlinkat("target", f->directory, "f.link"), 0);
	uint64_t link = lookup(f, 1, "f.link");
	unlinkat(f->directory, "f.link", 0);
	assert_int_equal(fuse(f, FUSE_READLINK, link, NONE), 0);
	node = lookup(f, 1, "f");
	unlinkat(f->directory, "f", 0);
	mkdirat(f->directory, "f", 0755);
	assert_int_equal(open_file(f, node, O_RDWR, &fh), 0);
	uint64_t directory = lookup(f, 1, "f");
	unlinkat(f->directory, "f", AT_REMOVEDIR);
	mkdirat(f->directory, "f", 0755);
	assert_int_equal(make_directory(f, directory, "x", 0755), -ENOENT);
	/* Only for a moment, and no more than so many. */
	host_write(f, "f2", "1");
	node = lookup(f, 1, "f2");
	unlinkat(f->directory, "f2", 0);
	assert_int_equal(fuse(f, FUSE_GETATTR, node, PART(in)), 0);
	for (int n = 0; n < PINS_MAX; n++) {
		host_write(f, "other", "");
		assert_true(lookup(f, 1, "other") > 1);
		unlinkat(f->directory, "other", 0);
	}
	assert_int_equal(fuse(f, FUSE_GETATTR, node, PART(in)), -ESTALE);
	assert_int_equal(f->share.inodes.pins.count, PINS_MAX);
	forget_pins(f);
	assert_int_equal(f->share.inodes.pins.count, 0);
}

static struct strv components(const char *path)
{
	struct strv v = { 0 };
	strv_split(&v, path, "/");
	return v;
}

static void hide(struct fake *f, const char *path)
{
	AUTO_STRV struct strv v = components(path);
	assert_int_equal(share_hide(&f->share, &v, NULL), 0);
}

static int listed(struct fake *f, uint64_t directory, const char *name, uint32_t opcode)
{
	struct fuse_open_in open = { .flags = O_RDONLY | O_DIRECTORY };
	assert_int_equal(fuse(f, FUSE_OPENDIR, directory, PART(open)), 0);
	struct fuse_read_in in = { .fh = REPLY(f, struct fuse_open_out)->fh, .size = 4096 };
	int found = 0;
	for (;;) {
		assert_int_equal(fuse(f, opcode, directory, PART(in)), 0);
		size_t head = opcode == FUSE_READDIR ? 0 : offsetof(struct fuse_direntplus, dirent), at = 0;
		if (f->reply_size == 0)
			break;
		for (struct fuse_dirent *d; at < f->reply_size;
		     at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d->namelen)) {
			d = (struct fuse_dirent *)(void *)(f->reply + at + head);
			found += d->namelen == strlen(name) && memcmp(d->name, name, d->namelen) == 0;
			in.offset = d->off;
		}
	}
	struct fuse_release_in release = { .fh = in.fh };
	assert_int_equal(fuse(f, FUSE_RELEASEDIR, directory, PART(release)), 0);
	return found;
}

static void test_hidden(void **state)
{
	struct fake *f = *state;
	mkdirat(f->directory, "a", 0755);
	mkdirat(f->directory, "a/b", 0755);
	mkdirat(f->directory, "a/b/secret", 0755);
	host_write(f, "a/b/secret/key", "k");
	hide(f, "a/b/secret");
	uint64_t a = lookup(f, 1, "a"), b = lookup(f, a, "b");
	assert_int_equal(lookup(f, b, "secret"), 0);
	assert_int_equal(listed(f, b, "secret", FUSE_READDIR), 0);
	assert_int_equal(listed(f, b, "secret", FUSE_READDIRPLUS), 0);
	assert_int_equal(listed(f, b, ".", FUSE_READDIR), 1);
	assert_int_equal(listed(f, a, "b", FUSE_READDIRPLUS), 1);
	assert_int_equal(make_directory(f, b, "secret", 0755), -EACCES);
	assert_int_equal(make_node(f, b, "secret", S_IFREG | 0644), -EACCES);
	assert_int_equal(fuse3(f, FUSE_SYMLINK, b, TEXT("secret"), TEXT("x"), NONE), -EACCES);
	assert_int_equal(fuse(f, FUSE_RMDIR, b, TEXT("secret")), -ENOENT);
	assert_int_equal(rename_name(f, b, "secret", 1, "mine", 0), -ENOENT);
	make_directory(f, 1, "x", 0755);
	assert_int_equal(rename_name(f, 1, "x", b, "secret", 0), -EACCES);
	assert_int_equal(rename_name(f, 1, "x", b, "secret", 2), -EACCES);
	/* The way to it stays what it is: else the host would be led to something else under that
	 * path. */
	assert_int_equal(rename_name(f, a, "b", 1, "c", 0), -EBUSY);
	assert_int_equal(rename_name(f, 1, "a", 1, "c", 0), -EBUSY);
	assert_int_equal(rename_name(f, 1, "x", a, "b", 2), -EACCES);
	assert_int_equal(fuse(f, FUSE_RMDIR, a, TEXT("b")), -EBUSY);
	/* Moved by the host, it stays hidden. */
	renameat(f->directory, "a/b/secret", f->directory, "moved");
	assert_int_equal(lookup(f, 1, "moved"), 0);
	assert_int_equal(listed(f, 1, "moved", FUSE_READDIRPLUS), 0);
	assert_int_equal(rename_name(f, 1, "moved", 1, "mine", 0), -ENOENT);
	assert_int_equal(fuse(f, FUSE_RMDIR, 1, TEXT("moved")), -ENOENT);
}

/* Another machine may rename the way to a hidden folder while the server starts. */
static void test_hidden_moved_before(void **state)
{
	struct fake *f = *state;
	mkdirat(f->directory, "a", 0755);
	mkdirat(f->directory, "a/secret", 0755);
	AUTOFREE char *id = path_identity(f->directory, "a/secret");
	renameat(f->directory, "a", f->directory, "b");
	hide(f, "a/secret");
	assert_int_equal(share_hides(&f->share, id, NULL), -ESTALE);
	mkdirat(f->directory, "a", 0755);
	mkdirat(f->directory, "a/secret", 0755);
	hide(f, "a/secret");
	assert_int_equal(share_hides(&f->share, id, NULL), -ESTALE);
	hide(f, "b/secret");
	assert_int_equal(share_hides(&f->share, id, NULL), 0);
}

static void test_hidden_not_there_yet(void **state)
{
	struct fake *f = *state;
	hide(f, "p/q/secret");
	assert_int_equal(fuse3(f, FUSE_SYMLINK, 1, TEXT("p"), TEXT("elsewhere"), NONE), -EACCES);
	assert_int_equal(make_node(f, 1, "p", S_IFREG | 0644), -EACCES);
	make_directory(f, 1, "x", 0755);
	uint64_t x = REPLY(f, struct fuse_entry_out)->nodeid;
	assert_int_equal(make_directory(f, x, "secret", 0755), 0); /* elsewhere the name is nothing special */
	assert_int_equal(rename_name(f, 1, "x", 1, "p", 0), -EACCES);
	assert_int_equal(make_directory(f, 1, "p", 0755), 0);
	uint64_t p = REPLY(f, struct fuse_entry_out)->nodeid;
	assert_int_equal(rename_name(f, 1, "x", p, "q", 0), -EACCES);
	assert_int_equal(make_directory(f, p, "q", 0755), 0);
	uint64_t q = REPLY(f, struct fuse_entry_out)->nodeid;
	assert_int_equal(make_directory(f, q, "secret", 0755), -EACCES);
	assert_int_equal(make_directory(f, q, "other", 0755), 0);
	mkdirat(f->directory, "p/q/secret", 0755); /* the host makes it */
	assert_int_equal(lookup(f, q, "secret"), 0);
	AUTO_STRV struct strv none = { 0 };
	assert_int_equal(share_hide(&f->share, &none, NULL), -EINVAL); /* all of the share would be hidden */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_lookup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_byte_in_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_symlinks_are_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_make_and_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times_and_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_changes_all_the_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden_moved_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden_not_there_yet, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
