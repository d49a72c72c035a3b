/* SPDX-License-Identifier: Apache-2.0
 * Owners, groups and modes that the host user cannot set and a share keeps records of; and that
 * nobody but the server writes these. */
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "fake_guest.h"
#include "fsd/files/record.h"
#include "fsd/request/ownership.h"

enum { WWW = 33, MAIL = 44, SUPPLEMENTARY = 45 };

/* Root may write what its mode forbids; without this capability root's rights are an ordinary
 * user's. */
static void set_override(int on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	uint32_t bit = 1U << CAP_DAC_OVERRIDE;
	data[0].effective = on ? data[0].effective | (data[0].permitted & bit) : data[0].effective & ~bit;
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static int setup(void **state)
{
	struct fake *f = fake_new();
	set_override(0);
	*state = f;
	fake_start(f, 0);
	f->share.settings.keep_records = 1;
	f->uid = INSIDE_UID;
	f->gid = INSIDE_GID;
	return 0;
}

static int teardown(void **state)
{
	set_override(1);
	fake_free(*state);
	return 0;
}

static char *path_of(struct fake *f, const char *name)
{
	return path_join(f->path, name);
}

/* The test's file systems have these attributes nearly everywhere; where they have not, nothing can
 * be recorded. */
static void needs_attributes(struct fake *f)
{
	if (setxattr(f->path, "user.test", "1", 1, 0) < 0 && errno == EOPNOTSUPP)
		skip();
}

/* What the host has of a record: "" when there is none. */
static void expect_record(struct fake *f, const char *name, const char *text)
{
	AUTOFREE char *path = path_of(f, name);
	char found[100];
	ssize_t n = getxattr(path, RECORD_NAME, found, sizeof found - 1);
	found[n > 0 ? n : 0] = 0;
	assert_string_equal(found, text);
}

static void write_record(struct fake *f, const char *name, const char *text)
{
	AUTOFREE char *path = path_of(f, name);
	assert_int_equal(setxattr(path, RECORD_NAME, text, strlen(text), 0), 0);
}

static int change(struct fake *f, uint64_t node, uint32_t valid, uint32_t uid, uint32_t gid, uint32_t mode)
{
	struct fuse_setattr_in in = { .valid = valid, .uid = uid, .gid = gid, .mode = mode };
	return fuse(f, FUSE_SETATTR, node, PART(in));
}

static int give(struct fake *f, uint64_t node, uint32_t uid, uint32_t gid)
{
	return change(f, node, FATTR_UID | FATTR_GID, uid, gid, 0);
}

static int set_mode(struct fake *f, uint64_t node, uint32_t mode)
{
	return change(f, node, FATTR_MODE, 0, 0, S_IFREG | mode);
}

static struct fuse_attr attributes(struct fake *f, uint64_t node)
{
	struct fuse_getattr_in in = { 0 };
	assert_int_equal(fuse(f, FUSE_GETATTR, node, PART(in)), 0);
	return REPLY(f, struct fuse_attr_out)->attr;
}

static void expect(struct fake *f, uint64_t node, uint32_t uid, uint32_t gid, uint32_t mode)
{
	struct fuse_attr a = attributes(f, node);
	assert_int_equal(a.uid, uid);
	assert_int_equal(a.gid, gid);
	assert_int_equal(a.mode & 07777, mode);
}

static void expect_host(struct fake *f, const char *name, uint32_t mode)
{
	struct stat st = host_stat(f, name);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_gid, getegid());
	assert_int_equal(st.st_mode & 07777, mode);
}

static void test_change_of_owner(void **state)
{
	struct fake *f = *state;
	needs_attributes(f);
	host_write(f, "f", "text");
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	uint64_t file = lookup(f, 1, "f"), directory = lookup(f, 1, "d");
	assert_int_equal(give(f, file, WWW, MAIL), 0);
	assert_int_equal(REPLY(f, struct fuse_attr_out)->attr.uid, WWW);
	expect(f, file, WWW, MAIL, 0644);
	expect_host(f, "f", 0644);
	expect_record(f, "f", "33:44:-:-");
	assert_int_equal(change(f, file, FATTR_UID, 0, 0, 0), 0);
	expect(f, file, 0, MAIL, 0644);
	assert_int_equal(change(f, file, FATTR_GID, 0, INSIDE_GID, 0), 0);
	expect(f, file, 0, INSIDE_GID, 0644);
	expect_record(f, "f", "0:-:-:-");
	assert_int_equal(give(f, directory, WWW, MAIL), 0);
	expect(f, directory, WWW, MAIL, 0755);
	/* Back to the machine's user: nothing is left of it. */
	assert_int_equal(give(f, file, INSIDE_UID, INSIDE_GID), 0);
	expect(f, file, INSIDE_UID, INSIDE_GID, 0644);
	expect_record(f, "f", "");
	/* Other machines see the same. */
	share_done(&f->share);
	fake_start(f, 0);
	f->share.settings.keep_records = 1;
	expect(f, lookup(f, 1, "d"), WWW, MAIL, 0755);
	f->share.settings.keep_records = 0;
	host_write(f, "d/later", "");
	expect(f, lookup(f, 1, "f"), INSIDE_UID, INSIDE_GID, 0644);
}

static void test_modes(void **state)
{
	struct fake *f = *state;
	needs_attributes(f);
	host_write(f, "f", "text");
	uint64_t file = lookup(f, 1, "f"), fh = 0;
	/* Without a record, a mode is the host's. */
	assert_int_equal(set_mode(f, file, 0444), 0);
	expect_host(f, "f", 0444);
	expect_record(f, "f", "");
	/* With one, the host user can still read and write the file, so root inside can. */
	assert_int_equal(give(f, file, 0, 0), 0);
	expect(f, file, 0, 0, 0444);
	expect_host(f, "f", 0644);
	expect_record(f, "f", "0:0:444:644");
	assert_int_equal(set_mode(f, file, 0), 0);
	expect(f, file, 0, 0, 0);
	expect_host(f, "f", 0600);
	assert_int_equal(open_file(f, file, O_RDWR, &fh), 0);
	assert_int_equal(set_mode(f, file, 0640), 0);
	expect(f, file, 0, 0, 0640);
	expect_record(f, "f", "0:0:-:-");
	/* Who changes the mode on the host means it. */
	assert_int_equal(set_mode(f, file, 0444), 0);
	assert_int_equal(fchmodat(f->directory, "f", 0600, 0), 0);
	expect(f, file, 0, 0, 0600);
	assert_int_equal(fchmodat(f->directory, "f", 0644, 0), 0);
	/* And back. */
	assert_int_equal(set_mode(f, file, 0440), 0);
	assert_int_equal(give(f, file, INSIDE_UID, INSIDE_GID), 0);
	expect(f, file, INSIDE_UID, INSIDE_GID, 0440);
	expect_host(f, "f", 0440);
	expect_record(f, "f", "");
	/* A directory. */
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	uint64_t d = lookup(f, 1, "d");
	assert_int_equal(give(f, d, WWW, MAIL), 0);
	assert_int_equal(set_mode(f, d, 03050), 0);
	expect(f, d, WWW, MAIL, 03050);
	expect_host(f, "d", 03750);
}

static void write_to(struct fake *f, uint64_t node)
{
	uint64_t fh = 0;
	assert_int_equal(open_file(f, node, O_WRONLY, &fh), 0);
	struct fuse_write_in in = { .fh = fh, .size = 1 };
	assert_int_equal(fuse3(f, FUSE_WRITE, node, PART(in), (struct part){ "x", 1 }, NONE), 0);
}

static void truncate_it(struct fake *f, uint64_t node)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = 2 };
	assert_int_equal(fuse(f, FUSE_SETATTR, node, PART(in)), 0);
}

static void open_truncating(struct fake *f, uint64_t node)
{
	uint64_t fh = 0;
	assert_int_equal(open_file(f, node, O_WRONLY | O_TRUNC, &fh), 0);
}

static void allocate(struct fake *f, uint64_t node)
{
	uint64_t fh = 0;
	assert_int_equal(open_file(f, node, O_WRONLY, &fh), 0);
	struct fuse_fallocate_in in = { .fh = fh, .length = 10 };
	fuse(f, FUSE_FALLOCATE, node, PART(in)); /* whether or not the file system can */
}

static void copy_into(struct fake *f, uint64_t node)
{
	uint64_t fh = 0, from_fh = 0, from = lookup(f, 1, "other");
	assert_int_equal(open_file(f, node, O_WRONLY, &fh), 0);
	assert_int_equal(open_file(f, from, O_RDONLY, &from_fh), 0);
	struct fuse_copy_file_range_in in = { .fh_in = from_fh, .fh_out = fh, .nodeid_out = node, .len = 2 };
	fuse(f, FUSE_COPY_FILE_RANGE, from, PART(in));
}

static void change_hands(struct fake *f, uint64_t node)
{
	assert_int_equal(change(f, node, FATTR_GID, 0, MAIL, 0), 0);
}

/* setuid is shown where root inside set it, never set on the host, and gone with whatever could
 * make the file another program. */
static void test_setuid(void **state)
{
	static void (*const ends[])(struct fake * f, uint64_t node) = { write_to, truncate_it, open_truncating,
		allocate, copy_into, change_hands };
	struct fake *f = *state;
	needs_attributes(f);
	host_write(f, "other", "other");
	host_write(f, "f", "text");
	uint64_t file = lookup(f, 1, "f");
	for (size_t n = 0; n < ARRAY_SIZE(ends); n++) {
		assert_int_equal(give(f, file, 0, 0), 0);
		assert_int_equal(set_mode(f, file, 06755), 0);
		expect(f, file, 0, 0, 06755);
		expect_host(f, "f", 0755);
		ends[n](f, file);
		assert_int_equal(attributes(f, file).mode & 07777, 0755);
		expect_host(f, "f", 0755);
	}
	/* Both at once, as some unpack: the mode counts. */
	assert_int_equal(change(f, file, FATTR_UID | FATTR_GID | FATTR_MODE, 0, 0, S_IFREG | 04711), 0);
	expect(f, file, 0, 0, 04711);
	expect_record(f, "f", "0:0:4711:711");
	/* The user's own. */
	host_write(f, "own", "");
	uint64_t own = lookup(f, 1, "own");
	assert_int_equal(set_mode(f, own, 04755), 0);
	expect(f, own, INSIDE_UID, INSIDE_GID, 04755);
	expect_host(f, "own", 0755);
	assert_int_equal(set_mode(f, own, 0755), 0);
	expect_record(f, "own", "");
	/* A share without records. */
	f->share.settings.keep_records = 0;
	assert_int_equal(set_mode(f, own, 04755), 0);
	expect(f, own, INSIDE_UID, INSIDE_GID, 0755);
}

static uint64_t make_directory(struct fake *f, uint64_t parent, const char *name, uint32_t mode)
{
	struct fuse_mkdir_in in = { .mode = mode };
	assert_int_equal(fuse3(f, FUSE_MKDIR, parent, PART(in), TEXT(name), NONE), 0);
	return REPLY(f, struct fuse_entry_out)->nodeid;
}

static uint64_t create(struct fake *f, uint64_t parent, const char *name, uint32_t flags, uint32_t mode)
{
	struct fuse_create_in in = { .flags = flags, .mode = S_IFREG | mode };
	assert_int_equal(fuse3(f, FUSE_CREATE, parent, PART(in), TEXT(name), NONE), 0);
	struct fuse_entry_out e;
	memcpy(&e, f->reply, sizeof e);
	return e.nodeid;
}

/* A file belongs to who makes it. */
static void test_creation(void **state)
{
	struct fake *f = *state;
	needs_attributes(f);
	uint64_t own = create(f, 1, "own", O_RDWR, 0640);
	expect(f, own, INSIDE_UID, INSIDE_GID, 0640);
	expect_record(f, "own", "");
	f->uid = WWW;
	f->gid = MAIL;
	expect(f, create(f, 1, "f", O_RDWR | O_EXCL, 0400), WWW, MAIL, 0400);
	expect_host(f, "f", 0600);
	expect_record(f, "f", "33:44:400:600");
	uint64_t d = make_directory(f, 1, "d", 0750);
	expect(f, d, WWW, MAIL, 0750);
	struct fuse_mknod_in node = { .mode = S_IFREG | 04755 };
	assert_int_equal(fuse3(f, FUSE_MKNOD, 1, PART(node), TEXT("setuid"), NONE), 0);
	expect(f, REPLY(f, struct fuse_entry_out)->nodeid, WWW, MAIL, 04755);
	expect_host(f, "setuid", 0755);
	node.mode = S_IFIFO | 0600; /* nothing can be recorded of it */
	assert_int_equal(fuse3(f, FUSE_MKNOD, 1, PART(node), TEXT("fifo"), NONE), 0);
	expect(f, REPLY(f, struct fuse_entry_out)->nodeid, INSIDE_UID, INSIDE_GID, 0600);
	/* In a directory with setgid: its group. */
	assert_int_equal(change(f, d, FATTR_GID | FATTR_MODE, 0, SUPPLEMENTARY, S_IFDIR | 02770), 0);
	f->uid = f->gid = 0;
	expect(f, create(f, d, "in", O_RDWR, 0644), 0, SUPPLEMENTARY, 0644);
	expect(f, make_directory(f, d, "sub", 0755), 0, SUPPLEMENTARY, 02755);
	/* A file that the host made a moment before stays its own. */
	struct fuse_create_in there = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	host_write(f, "there", "text");
	assert_int_equal(fuse3(f, FUSE_CREATE, 1, PART(there), TEXT("there"), NONE), -ESTALE);
	expect(f, lookup(f, 1, "there"), INSIDE_UID, INSIDE_GID, 0644);
	struct fuse_create_in tmpfile = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	if (fuse(f, FUSE_TMPFILE, 1, PART(tmpfile)) != 0)
		return; /* not every file system has these */
	struct fuse_entry_out e;
	memcpy(&e, f->reply, sizeof e);
	expect(f, e.nodeid, 0, 0, 0600);
}

/* The record's attribute is not the guest's, whether records are kept or not. */
static void test_attribute_is_hidden(void **state)
{
	struct fake *f = *state;
	struct {
		uint32_t size, flags;
	} set = { 3, 0 };
	needs_attributes(f);
	host_write(f, "f", "text");
	uint64_t node = lookup(f, 1, "f");
	for (int keep = 1; keep >= 0; keep--) {
		struct fuse_getxattr_in get = { .size = 100 };
		f->share.settings.keep_records = keep;
		write_record(f, "f", "33:44:-:-");
		assert_int_equal(fuse3(f, FUSE_GETXATTR, node, PART(get), TEXT(RECORD_NAME), NONE), -ENODATA);
		assert_int_equal(fuse(f, FUSE_LISTXATTR, node, PART(get)), 0);
		assert_int_equal(f->reply_size, 0);
		assert_int_equal(fuse3(f, FUSE_SETXATTR, node, PART(set), TEXT(RECORD_NAME), (struct part){ "0:0", 3 }),
		    -EPERM);
		assert_int_equal(fuse3(f, FUSE_SETXATTR, node, PART(set), TEXT("user.holm.x"),
				     (struct part){ "0:0", 3 }),
		    -EPERM);
		/* Some file systems (CIFS, ntfs3) take both for one. */
		assert_int_equal(fuse3(f, FUSE_SETXATTR, node, PART(set), TEXT("user.Holm.OWNER"),
				     (struct part){ "0:0", 3 }),
		    -EPERM);
		assert_int_equal(fuse3(f, FUSE_GETXATTR, node, PART(get), TEXT("user.hoLm.owner"), NONE), -ENODATA);
		assert_int_equal(fuse(f, FUSE_REMOVEXATTR, node, TEXT("user.HOLM.owner")), -ENODATA);
		assert_int_equal(fuse(f, FUSE_REMOVEXATTR, node, TEXT(RECORD_NAME)), -ENODATA);
		expect_record(f, "f", "33:44:-:-");
		expect(f, node, keep ? WWW : INSIDE_UID, keep ? MAIL : INSIDE_GID, 0644);
	}
}

/* Whatever stands in the attribute; and files of others, who may write what they like there. */
static void test_records_that_do_not_count(void **state)
{
	static const char *const bad[] = { "", "0", "0:0", "0:0:-", "0:0:-:-:-", "0:0:4755:-", "0:0:-:755", "x:0:-:-",
		"-1:0:-:-", "0:0:10000:10000", ":::", "0:0:8:8", " 0:0:-:-", "4294967296:0:-:-",
		"0:0:0000000000000000000000000000000000000000000000000000000000000000:0" };
	struct fake *f = *state;
	needs_attributes(f);
	host_write(f, "f", "text");
	uint64_t node = lookup(f, 1, "f");
	for (size_t n = 0; n < ARRAY_SIZE(bad); n++) {
		write_record(f, "f", bad[n]);
		expect(f, node, INSIDE_UID, INSIDE_GID, 0644);
	}
	write_record(f, "f", "0:0:4755:644");
	expect(f, node, 0, 0, 04755);
	if (geteuid() != 0)
		return; /* files of others can be made by root alone */
	assert_int_equal(fchownat(f->directory, "f", 777, 888, 0), 0);
	expect(f, node, 777, 888, 0644);
	assert_int_equal(give(f, node, 0, 0), -EPERM);
	assert_int_equal(give(f, node, 777, 888), 0);
	expect_record(f, "f", "0:0:4755:644");
}

/* What cannot be recorded is as without records. */
static void test_no_attributes(void **state)
{
	struct fake *f = *state;
	assert_int_equal(symlinkat("target", f->directory, "link"), 0);
	uint64_t link = lookup(f, 1, "link");
	assert_int_equal(give(f, link, WWW, MAIL), -EPERM);
	assert_int_equal(give(f, link, 0, 0), 0);
	expect(f, link, INSIDE_UID, INSIDE_GID, 0777);
}

/* Groups that the host user is in are changed on the host, with and without records. */
static void test_own_groups(void **state)
{
	struct fake *f = *state;
	gid_t group = SUPPLEMENTARY;
	if (geteuid() != 0)
		skip(); /* root can give a file to any group */
	free(f->share.groups);
	f->share.settings.groups = f->share.groups = xcalloc(1, sizeof group);
	f->share.groups[0] = group;
	f->share.settings.group_count = 1;
	for (int keep = 1; keep >= 0; keep--) {
		f->share.settings.keep_records = keep;
		host_write(f, "f", "text");
		uint64_t node = lookup(f, 1, "f");
		assert_int_equal(change(f, node, FATTR_GID, 0, SUPPLEMENTARY, 0), 0);
		assert_int_equal(host_stat(f, "f").st_gid, SUPPLEMENTARY);
		expect(f, node, INSIDE_UID, SUPPLEMENTARY, 0644);
		expect_record(f, "f", "");
		assert_int_equal(change(f, node, FATTR_GID, 0, INSIDE_GID, 0), 0);
		assert_int_equal(host_stat(f, "f").st_gid, getegid());
		assert_int_equal(change(f, node, FATTR_GID, 0, MAIL, 0), keep ? 0 : -EPERM);
		/* As newgrp(1) has it. */
		f->gid = SUPPLEMENTARY;
		create(f, 1, keep ? "a" : "b", O_RDWR, 0600);
		assert_int_equal(host_stat(f, keep ? "a" : "b").st_gid, SUPPLEMENTARY);
		f->gid = INSIDE_GID;
		assert_int_equal(unlinkat(f->directory, "f", 0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_change_of_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_setuid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_creation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attribute_is_hidden, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records_that_do_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_attributes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_groups, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
