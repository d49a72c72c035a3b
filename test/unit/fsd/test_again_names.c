/* SPDX-License-Identifier: Apache-2.0
 * Deaths while names are looked up, made, moved and removed. */
#include "death.h"

static void lookup_request(struct run *run)
{
	begin(run, FUSE_LOOKUP, 1);
	put_text(run, "f");
}

static void lookup_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_true(OUT(run, struct fuse_entry_out)->nodeid > 1);
	assert_int_equal(run->f->share.inodes.count, 2);
}

static void mkdir_request(struct run *run)
{
	struct fuse_mkdir_in in = { .mode = 0750 };
	begin(run, FUSE_MKDIR, 1);
	put(run, &in, sizeof in);
	put_text(run, "d");
}

static void mkdir_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(host_stat(run->f, "d").st_mode, S_IFDIR | 0750);
	assert_int_equal(lookup(run->f, 1, "d"), OUT(run, struct fuse_entry_out)->nodeid);
}

static void symlink_request(struct run *run)
{
	begin(run, FUSE_SYMLINK, 1);
	put_text(run, "l");
	put_text(run, "target");
}

static void symlink_check(struct run *run)
{
	char target[16] = "";
	assert_int_equal(run->error, 0);
	assert_int_equal(readlinkat(run->f->directory, "l", target, sizeof target), 6);
	assert_string_equal(target, "target");
}

static void mknod_request(struct run *run)
{
	struct fuse_mknod_in in = { .mode = S_IFIFO | 0600 };
	begin(run, FUSE_MKNOD, 1);
	put(run, &in, sizeof in);
	put_text(run, "p");
}

static void mknod_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_true(S_ISFIFO(host_stat(run->f, "p").st_mode));
}

static void link_request(struct run *run)
{
	struct fuse_link_in in = { .oldnodeid = run->node };
	begin(run, FUSE_LINK, 1);
	put(run, &in, sizeof in);
	put_text(run, "hard");
}

static void link_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(host_stat(run->f, "hard").st_nlink, 2);
	assert_int_equal(OUT(run, struct fuse_entry_out)->nodeid, run->node);
}

static void unlink_request(struct run *run)
{
	begin(run, FUSE_UNLINK, 1);
	put_text(run, "f");
}

/* The file has no name and is as usable as before. */
static void check_nameless(struct run *run)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0600 };
	check_content(run, run->node, run->fh, "text");
	assert_int_equal(fuse(run->f, FUSE_SETATTR, run->node, PART(in)), 0);
	assert_int_equal(REPLY(run->f, struct fuse_attr_out)->attr.nlink, 0);
}

static void unlink_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(lookup(run->f, 1, "f"), 0);
	check_nameless(run);
}

static void rmdir_prepare(struct run *run)
{
	mkdirat(run->f->directory, "d", 0755);
	run->node = lookup(run->f, 1, "d");
}

static void rmdir_request(struct run *run)
{
	begin(run, FUSE_RMDIR, 1);
	put_text(run, "d");
}

static void rmdir_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_int_equal(lookup(run->f, 1, "d"), 0);
}

static void rename_prepare(struct run *run)
{
	prepare_file(run);
	host_write(run->f, "new", "newer");
	mkdirat(run->f->directory, "d", 0755);
	run->other = lookup(run->f, 1, "new");
}

static void rename_request(struct run *run)
{
	struct fuse_rename2_in in = { .newdir = 1 };
	begin(run, FUSE_RENAME2, 1);
	put(run, &in, sizeof in);
	put_text(run, "new");
	put_text(run, "f");
}

/* An editor's way of saving, while somebody reads the old file. */
static void rename_check(struct run *run)
{
	char text[16];
	assert_int_equal(run->error, 0);
	assert_int_equal(lookup(run->f, 1, "new"), 0);
	assert_int_equal(lookup(run->f, 1, "f"), run->other);
	host_read(run->f, "f", text, sizeof text);
	assert_string_equal(text, "newer");
	check_nameless(run);
}

static void exchange_request(struct run *run)
{
	struct fuse_rename2_in in = { .newdir = 1, .flags = RENAME_EXCHANGE };
	begin(run, FUSE_RENAME2, 1);
	put(run, &in, sizeof in);
	put_text(run, "new");
	put_text(run, "f");
}

static void exchange_check(struct run *run)
{
	char text[16];
	assert_int_equal(run->error, 0);
	host_read(run->f, "f", text, sizeof text);
	assert_string_equal(text, "newer");
	assert_int_equal(lookup(run->f, 1, "new"), run->node);
	assert_int_equal(lookup(run->f, 1, "f"), run->other);
	check_content(run, run->node, run->fh, "text");
}

static void whiteout_prepare(struct run *run)
{
	run->f->share.settings.keep_records = 1;
	rename_prepare(run);
}

static void whiteout_request(struct run *run)
{
	struct fuse_rename2_in in = { .newdir = 1, .flags = RENAME_WHITEOUT };
	begin(run, FUSE_RENAME2, 1);
	put(run, &in, sizeof in);
	put_text(run, "new");
	put_text(run, "f");
}

static void whiteout_check(struct run *run)
{
	assert_int_equal(run->error, 0);
	assert_true(S_ISCHR(host_stat(run->f, "new").st_mode));
	assert_int_equal(lookup(run->f, 1, "f"), run->other);
	check_nameless(run);
}

static const struct scenario scenarios[] = {
	{ "lookup", prepare_closed_file, lookup_request, lookup_check },
	{ "mkdir", NULL, mkdir_request, mkdir_check },
	{ "symlink", NULL, symlink_request, symlink_check },
	{ "mknod", NULL, mknod_request, mknod_check },
	{ "link", prepare_file, link_request, link_check },
	{ "unlink of an open file", prepare_file, unlink_request, unlink_check },
	{ "rmdir", rmdir_prepare, rmdir_request, rmdir_check },
	{ "rename over an open file", rename_prepare, rename_request, rename_check },
	{ "exchange", rename_prepare, exchange_request, exchange_check },
	{ "rename leaving a whiteout", whiteout_prepare, whiteout_request, whiteout_check },
};

static void test_deaths(void **state)
{
	run_scenarios(scenarios, ARRAY_SIZE(scenarios));
}

/* What was there before the request is not taken for what the request made. */
static void test_older_names_are_kept(void **state)
{
	struct run run = { 0 };
	start(&run);
	mkdirat(run.f->directory, "d", 0755);
	host_write(run.f, "f", "");
	struct timespec past = { .tv_nsec = 120000000 };
	while (nanosleep(&past, &past) < 0)
		;
	for (unsigned calls = 1; calls < KILL_POINTS_MAX; calls++) {
		int ended = 0;
		for (int n = 0; n < 2; n++) {
			struct fuse_out_header h;
			run.c->flight = (struct flight){ 0 };
			(n ? create_request : mkdir_request)(&run);
			int died = serve_and_die(&run, calls, 0);
			if (died < 0) {
				end(&run);
				skip();
				return;
			}
			ended += !died;
			if (!died)
				continue;
			take_over(&run);
			serve(&run);
			memcpy(&h, run.c->out, sizeof h);
			assert_int_equal(h.error, -EEXIST);
		}
		if (ended == 2) {
			end(&run);
			return;
		}
	}
	fail();
}

/* A request at which workers die is not tried for ever. */
static void test_poison(void **state)
{
	struct run run = { 0 };
	struct fuse_out_header h;
	start(&run);
	mkdir_request(&run);
	for (int n = 0; n < REQUEST_ATTEMPTS; n++) {
		if (serve_and_die(&run, 1, 0) < 0) {
			end(&run);
			skip();
			return;
		}
		take_over(&run);
	}
	assert_int_equal(serve(&run), sizeof h);
	memcpy(&h, run.c->out, sizeof h);
	assert_int_equal(h.error, -EIO);
	assert_int_equal(h.unique, 5);
	assert_int_equal(faccessat(run.f->directory, "d", F_OK, 0), -1);
	end(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_older_names_are_kept),
		cmocka_unit_test(test_poison),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
