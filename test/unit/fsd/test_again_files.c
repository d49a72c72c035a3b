/* SPDX-License-Identifier: Apache-2.0
 * Deaths while files are made, opened, written and closed, and directories read. */
#include "death.h"

static void create_any_request(struct run *run)
{
	create(run, O_RDWR | O_TRUNC, 0644);
}

/* One handle and one file, which can be written to. */
static void created_check(struct run *run)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	assert_int_equal(run->error, 0);
	memcpy(&out, run->c->out + sizeof(struct fuse_out_header), sizeof out);
	struct fuse_write_in in = { .fh = out.open.fh, .size = 3 };
	assert_int_equal(fuse3(run->f, FUSE_WRITE, out.entry.nodeid, PART(in), (struct part){ "new", 3 }, NONE), 0);
	check_content(run, out.entry.nodeid, out.open.fh, "new");
	assert_int_equal(run->f->share.handles.count, 1);
	/* A lookup that was counted in the last instruction stays counted, of a file that is
	 * gone. */
	assert_in_range(run->f->share.inodes.count, 2, 3);
}

/* The host's file stays as it is. */
static void not_created_check(struct run *run)
{
	assert_int_equal(run->error, -ESTALE);
	assert_int_equal(host_stat(run->f, "f").st_size, 4);
	assert_int_equal(run->f->share.handles.count, 0);
}

static void tmpfile_request(struct run *run)
{
	struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	begin(run, FUSE_TMPFILE, 1);
	put(run, &in, sizeof in);
}

static void open_prepare(struct run *run)
{
	host_write(run->f, "f", "text");
	run->node = lookup(run->f, 1, "f");
}

static void open_request(struct run *run)
{
	struct fuse_open_in in = { .flags = O_RDWR };
	begin(run, FUSE_OPEN, run->node);
	put(run, &in, sizeof in);
}

static void open_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(run->f->share.handles.count, 1);
	check_content(run, run->node, OUT(run, struct fuse_open_out)->fh, "text");
}

static void opendir_request(struct run *run)
{
	struct fuse_open_in in = { .flags = O_RDONLY | O_DIRECTORY };
	begin(run, FUSE_OPENDIR, 1);
	put(run, &in, sizeof in);
}

static void opendir_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(run->f->share.handles.count, 1);
}

static void write_some(struct run *run, uint64_t offset, uint32_t flags)
{
	struct fuse_write_in in = { .fh = run->fh, .offset = offset, .size = 4, .flags = flags };
	begin(run, FUSE_WRITE, run->node);
	put(run, &in, sizeof in);
	put(run, "MORE", 4);
}

static void write_request(struct run *run)
{
	write_some(run, 2, O_RDWR);
}

static void write_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(OUT(run, struct fuse_write_out)->size, 4);
	check_content(run, run->node, run->fh, "teMORE");
}

static void append_request(struct run *run)
{
	write_some(run, 4, O_RDWR | O_APPEND);
}

static void append_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(OUT(run, struct fuse_write_out)->size, 4);
	check_content(run, run->node, run->fh, "textMORE");
	/* And one that does not append goes where it says. */
	struct fuse_write_in in = { .fh = run->fh, .size = 1, .flags = O_RDWR };
	assert_int_equal(fuse3(run->f, FUSE_WRITE, run->node, PART(in), (struct part){ "T", 1 }, NONE), 0);
	check_content(run, run->node, run->fh, "TextMORE");
}

static void setxattr_request(struct run *run)
{
	uint32_t in[2] = { 4, XATTR_CREATE };
	begin(run, FUSE_SETXATTR, run->node);
	put(run, in, sizeof in);
	put_text(run, "user.colour");
	put(run, "blue", 4);
}

static void setxattr_check(struct run *run)
{
	struct fuse_getxattr_in in = { .size = 16 };
	if (run->error == -EOPNOTSUPP)
		return; /* as the file system wants it */
	assert_int_equal(run->error, 0);
	assert_int_equal(fuse3(run->f, FUSE_GETXATTR, run->node, PART(in), TEXT("user.colour"), NONE), 0);
	assert_int_equal(run->f->reply_size, 4);
}

static void removexattr_prepare(struct run *run)
{
	uint32_t in[2] = { 1, 0 };
	prepare_file(run);
	run->other = fuse3(run->f, FUSE_SETXATTR, run->node, PART(in), TEXT("user.x"), (struct part){ "1", 1 }) == 0;
}

static void removexattr_request(struct run *run)
{
	begin(run, FUSE_REMOVEXATTR, run->node);
	put_text(run, "user.x");
}

static void removexattr_check(struct run *run)
{
	if (run->other)
		assert_int_equal(run->error, 0);
}

static void release_request(struct run *run)
{
	struct fuse_release_in in = { .fh = run->fh };
	begin(run, FUSE_RELEASE, run->node);
	put(run, &in, sizeof in);
}

static void release_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(run->f->share.handles.count, 0);
}

static void truncate_request(struct run *run)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_MODE, .size = 2, .mode = 0640 };
	begin(run, FUSE_SETATTR, run->node);
	put(run, &in, sizeof in);
}

static void truncate_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(OUT(run, struct fuse_attr_out)->attr.size, 2);
	assert_int_equal(host_stat(run->f, "f").st_mode & 07777, 0640);
	check_content(run, run->node, run->fh, "te");
}

static void record_prepare(struct run *run)
{
	prepare_file(run);
	run->f->share.settings.keep_records = 1;
}

static void record_request(struct run *run)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_UID | FATTR_GID | FATTR_MODE,
		.uid = 33,
		.gid = 44,
		.mode = 04555,
	};
	begin(run, FUSE_SETATTR, run->node);
	put(run, &in, sizeof in);
}

static void record_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	struct fuse_attr a = OUT(run, struct fuse_attr_out)->attr;
	assert_int_equal(a.uid, 33);
	assert_int_equal(a.gid, 44);
	assert_int_equal(a.mode & 07777, 04555);
	assert_int_equal(host_stat(run->f, "f").st_mode & 07777, 0755);
}

static void create_recorded_prepare(struct run *run)
{
	run->f->share.settings.keep_records = 1;
}

static void create_recorded_check(struct run *run)
{
	struct fuse_entry_out e;
	assert_int_equal(run->error, 0);
	memcpy(&e, run->c->out + sizeof(struct fuse_out_header), sizeof e);
	assert_int_equal(e.attr.uid, 0);
	assert_int_equal(e.attr.gid, 0);
	assert_int_equal(e.attr.mode & 07777, 0400);
	assert_int_equal(host_stat(run->f, "f").st_mode & 07777, 0600);
}

static void fsync_request(struct run *run)
{
	struct fuse_fsync_in in = { .fh = run->fh };
	begin(run, FUSE_FSYNC, run->node);
	put(run, &in, sizeof in);
}

static void fsync_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	check_content(run, run->node, run->fh, "text");
}

static void copy_request(struct run *run)
{
	struct fuse_copy_file_range_in in = {
		.fh_in = run->fh,
		.fh_out = run->fh,
		.nodeid_out = run->node,
		.off_out = 4,
		.len = 4,
	};
	begin(run, FUSE_COPY_FILE_RANGE, run->node);
	put(run, &in, sizeof in);
}

static void copy_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(OUT(run, struct fuse_write_out)->size, 4);
	check_content(run, run->node, run->fh, "texttext");
}

static void readdir_prepare(struct run *run)
{
	char name[16];
	for (int n = 0; n < 20; n++) {
		snprintf(name, sizeof name, "file%d", n);
		host_write(run->f, name, "");
	}
	struct fuse_open_in open = { .flags = O_RDONLY | O_DIRECTORY };
	assert_int_equal(fuse(run->f, FUSE_OPENDIR, 1, PART(open)), 0);
	run->fh = REPLY(run->f, struct fuse_open_out)->fh;
	/* The first half was read by a worker that is dead. */
	struct fuse_read_in in = { .fh = run->fh, .size = 400 };
	assert_int_equal(fuse(run->f, FUSE_READDIR, 1, PART(in)), 0);
	for (size_t at = 0; at < run->f->reply_size;) {
		const struct fuse_dirent *d = (const void *)(run->f->reply + at);
		run->node = d->off;
		run->other += memcmp(d->name, "file", 4) == 0;
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d->namelen);
	}
}

static void readdir_request(struct run *run)
{
	struct fuse_read_in in = { .fh = run->fh, .size = 32768, .offset = run->node };
	begin(run, FUSE_READDIRPLUS, 1);
	put(run, &in, sizeof in);
}

static void readdir_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	size_t head = offsetof(struct fuse_direntplus, dirent);
	for (size_t at = sizeof(struct fuse_out_header); at < run->reply_size;) {
		const struct fuse_dirent *d = (const void *)(run->c->out + at + head);
		run->other += memcmp(d->name, "file", 4) == 0;
		at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d->namelen);
	}
	assert_int_equal(run->other, 20);
}

static const struct scenario scenarios[] = {
	{ "create", NULL, create_request, created_check },
	{ "create, or open", NULL, create_any_request, created_check },
	{ "create over a file", open_prepare, create_any_request, not_created_check },
	{ "tmpfile", NULL, tmpfile_request, created_check },
	{ "open", open_prepare, open_request, open_check },
	{ "opendir", NULL, opendir_request, opendir_check },
	{ "write", prepare_file, write_request, write_check },
	{ "append", prepare_file, append_request, append_check },
	{ "setxattr", prepare_file, setxattr_request, setxattr_check },
	{ "removexattr", removexattr_prepare, removexattr_request, removexattr_check },
	{ "release", prepare_file, release_request, release_check },
	{ "truncate and chmod", prepare_file, truncate_request, truncate_check },
	{ "owner and mode recorded", record_prepare, record_request, record_check },
	{ "create, recorded", create_recorded_prepare, create_request, create_recorded_check },
	{ "fsync", prepare_file, fsync_request, fsync_check },
	{ "copy_file_range", prepare_file, copy_request, copy_check },
	{ "readdirplus", readdir_prepare, readdir_request, readdir_check },
};

static void test_deaths(void **state)
{
	run_scenarios(scenarios, ARRAY_SIZE(scenarios));
}

/* Everything that the guest has is there for the next worker, however often, and nothing of the
 * dead one's own stays open. */
static void test_descriptors(void **state)
{
	struct run run = { 0 };
	start(&run);
	prepare_file(&run);
	unlinkat(run.f->directory, "f", 0);
	int stray = memfd_create("stray", MFD_CLOEXEC), second = fcntl(stray, F_DUPFD_CLOEXEC, 300);
	for (int n = 0; n < 3; n++) {
		take_over(&run);
		assert_int_equal(fcntl(stray, F_GETFD), -1);
		assert_int_equal(fcntl(second, F_GETFD), -1);
		assert_true(fcntl(run.f->directory, F_GETFD) >= 0);
		check_content(&run, run.node, run.fh, "text");
	}
	/* Memory that makes no sense is not followed. */
	run.f->share.inodes.records->items[1].place =
	    (struct place *)(void *)((char *)run.f->share.inodes.places.memory + 24);
	take_over(&run);
	check_content(&run, run.node, run.fh, "text");
	end(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
