/* SPDX-License-Identifier: Apache-2.0
 * What must not happen while the host's changes are replayed: that the guest hears of what it did
 * itself, that the replayer changes anything on the host, that the guest makes the host keep more
 * than it may. */
#include <dirent.h>

#include "fake_agent.h"
#include "fsd/process/takeover.h"

static int setup_with(void **state, int read_only)
{
	struct fake *f = fake_new();
	f->max_fds = 400;
	host_write(f, "outside", "text");
	struct world *w = world_new(f, read_only);
	agent_watch(w->a, w->d, EVERYTHING);
	*state = w;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 0);
}

static int setup_read_only(void **state)
{
	return setup_with(state, 1);
}

/* Owners and modes that the host cannot have are written to attributes. */
static int setup_records(void **state)
{
	setup_with(state, 0);
	struct world *w = *state;
	w->f->share.settings.keep_records = 1;
	w->f->uid = 1234;
	return 0;
}

static uint64_t create(struct fake *f, uint64_t directory, const char *name, uint32_t flags, uint64_t *ret_fh)
{
	struct fuse_create_in in = { .flags = O_RDWR | flags, .mode = S_IFREG | 0644 };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	assert_int_equal(fuse3(f, FUSE_CREATE, directory, PART(in), TEXT(name), NONE), 0);
	memcpy(&out, f->reply, sizeof out);
	*ret_fh = out.open.fh;
	return out.entry.nodeid;
}

static void write_text(struct fake *f, uint64_t node, uint64_t fh, const char *text)
{
	struct fuse_write_in in = { .fh = fh, .size = (uint32_t)strlen(text) };
	assert_int_equal(fuse3(f, FUSE_WRITE, node, PART(in), (struct part){ text, strlen(text) }, NONE), 0);
}

static void release(struct fake *f, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = { .fh = fh };
	assert_int_equal(fuse(f, FUSE_RELEASE, node, PART(in)), 0);
}

static void set_size(struct fake *f, uint64_t node, uint64_t size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };
	assert_int_equal(fuse(f, FUSE_SETATTR, node, PART(in)), 0);
}

/* --- the guest's own changes --- */

static void test_own_names(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	struct fuse_mknod_in mknod_in = { .mode = S_IFREG | 0644 };
	struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	struct fuse_rename_in rename_in = { .newdir = w->d };
	struct fuse_rename2_in exchange = { .newdir = w->d, .flags = 2 /* RENAME_EXCHANGE */ };
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(mknod_in), TEXT("node"), NONE), 0);
	uint64_t node = REPLY(f, struct fuse_entry_out)->nodeid;
	agent_watch(w->a, node, EVERYTHING);
	assert_int_equal(fuse3(f, FUSE_MKDIR, w->d, PART(mkdir_in), TEXT("sub"), NONE), 0);
	agent_watch(w->a, REPLY(f, struct fuse_entry_out)->nodeid, EVERYTHING);
	assert_int_equal(fuse3(f, FUSE_SYMLINK, w->d, TEXT("link"), TEXT("target"), NONE), 0);
	struct fuse_link_in link_in = { .oldnodeid = node };
	assert_int_equal(fuse3(f, FUSE_LINK, w->d, PART(link_in), TEXT("second"), NONE), 0);
	assert_int_equal(fuse3(f, FUSE_RENAME, w->d, PART(rename_in), TEXT("node"), TEXT("renamed")), 0);
	assert_int_equal(fuse3(f, FUSE_RENAME2, w->d, PART(exchange), TEXT("renamed"), TEXT("sub")), 0);
	assert_int_equal(fuse3(f, FUSE_RENAME, w->d, PART(rename_in), TEXT("link"), TEXT("sub")), 0);
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("second")), 0);
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("sub")), 0);
	assert_int_equal(fuse(f, FUSE_RMDIR, w->d, TEXT("renamed")), 0);
	agent_quiet(w->a);
	/* What the host did just before is not taken for it. */
	host_write(f, "d/hosts", "");
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(mknod_in), TEXT("hosts"), NONE), -EEXIST);
	agent_see(w->a, SHARE_CREATE, w->d, "hosts");
}

static void test_own_content(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	uint64_t fh = 0, second = 0, node = create(f, w->d, "f", 0, &fh);
	agent_watch(w->a, node, EVERYTHING);
	write_text(f, node, fh, "text");
	set_size(f, node, 2);
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_MTIME | FATTR_ATIME | FATTR_SIZE,
		.mode = 0600,
		.mtime = 1,
		.size = 3,
	};
	assert_int_equal(fuse(f, FUSE_SETATTR, node, PART(in)), 0);
	in = (struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtime = 77 };
	assert_int_equal(fuse(f, FUSE_SETATTR, node, PART(in)), 0);
	uint32_t xattr[2] = { 1, 0 };
	int has_xattrs = fuse3(f, FUSE_SETXATTR, node, PART(xattr), TEXT("user.x"), (struct part){ "1", 1 }) == 0;
	if (has_xattrs)
		assert_int_equal(fuse(f, FUSE_REMOVEXATTR, node, TEXT("user.x")), 0);
	struct fuse_fallocate_in allocate = { .fh = fh, .length = 1000 };
	assert_int_equal(fuse(f, FUSE_FALLOCATE, node, PART(allocate)), 0);
	release(f, node, fh);
	lookup(f, w->d, "f");
	assert_int_equal(open_file(f, node, O_WRONLY | O_TRUNC, &fh), 0);
	assert_int_equal(open_file(f, node, O_RDONLY | O_TRUNC, &second), 0);
	release(f, node, second);
	release(f, node, fh);
	/* An open that is refused closes what it opened. */
	uint64_t outside = lookup(f, 1, "outside");
	usleep(30000); /* told just now counts as new */
	host_write(f, "outside", "changed");
	agent_watch(w->a, outside, IN_CLOSE_WRITE);
	assert_int_equal(open_file(f, outside, O_RDWR, &fh), -ESTALE);
	agent_quiet(w->a);
}

/* By another name than the one the host's kernel reports it under. */
static void test_own_by_another_name(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	uint64_t fh = 0, node = create(f, w->d, "f", 0, &fh);
	assert_int_equal(linkat(f->directory, "d/f", f->directory, "elsewhere", 0), 0);
	assert_int_equal(renameat(f->directory, "d/f", f->directory, "d/g"), 0);
	agent_see_rename(w->a, w->d, "f", w->d, "g");
	assert_int_equal(lookup(f, 1, "elsewhere"), node);
	write_text(f, node, fh, "text");
	release(f, node, fh);
	agent_quiet(w->a);
	/* And the host's own are not taken for the guest's. */
	host_write(f, "d/g", "host");
	agent_see(w->a, SHARE_MODIFY, w->d, "g");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "g");
}

static struct world *deferring;

static void defer(struct share *s, struct request *q)
{
	deferring->deferred = q;
}

struct late {
	struct request request;
	struct fuse_in_header header;
	char body[256], out[4096];
	struct iovec in[2], reply;
};

/* Begins a request that becomes a job. */
static void begin_late(struct world *w, struct late *l, uint32_t opcode, uint64_t node, const void *body, size_t size)
{
	*l = (struct late){
		.header = { .len = (uint32_t)(sizeof l->header + size), .opcode = opcode, .unique = 9, .nodeid = node },
	};
	memcpy(l->body, body, size);
	l->in[0] = (struct iovec){ &l->header, sizeof l->header };
	l->in[1] = (struct iovec){ l->body, size };
	l->reply = (struct iovec){ l->out, sizeof l->out };
	l->request =
	    (struct request){ .share = &w->f->share, .in = l->in, .in_count = 2, .out = &l->reply, .out_count = 1 };
	w->deferred = NULL;
	assert_int_equal(request_serve(&l->request), REQUEST_LATER);
	assert_ptr_equal(w->deferred, &l->request);
}

static void run_late(struct late *l)
{
	l->request.job.result = l->request.job.run(&l->request.job);
}

static void test_own_jobs(void **state)
{
	struct world *w = deferring = *state;
	struct fake *f = w->f;
	struct late one, two;
	uint64_t fh = 0, from = 0, node = create(f, w->d, "f", 0, &fh), node2 = create(f, w->d, "from", 0, &from);
	write_text(f, node2, from, "some text");
	f->share.defer = defer;
	struct fuse_fallocate_in allocate = { .fh = fh, .length = 1000 };
	begin_late(w, &one, FUSE_FALLOCATE, node, &allocate, sizeof allocate);
	struct fuse_copy_file_range_in copy = { .fh_in = from, .nodeid_out = node, .fh_out = fh, .len = 9 };
	begin_late(w, &two, FUSE_COPY_FILE_RANGE, node2, &copy, sizeof copy);
	run_late(&one);
	agent_quiet(w->a); /* the loop has seen it while the job runs */
	request_finish(&one.request);
	release(f, node, fh); /* the second job still has it open */
	run_late(&two);
	assert_int_equal(two.request.job.result, 9);
	request_finish(&two.request);
	agent_quiet(w->a);
	f->share.defer = NULL;
	release(f, node2, from);
	assert_null(w->f->share.changes);
	host_write(f, "d/f", "host");
	agent_see(w->a, SHARE_MODIFY, w->d, "f");
}

/* The connection goes while a job runs. */
static void test_job_outlives_events(void **state)
{
	struct world *w = deferring = *state;
	struct late l;
	uint64_t fh = 0, node = create(w->f, w->d, "f", 0, &fh);
	w->f->share.defer = defer;
	struct fuse_fallocate_in allocate = { .fh = fh, .length = 1000 };
	begin_late(w, &l, FUSE_FALLOCATE, node, &allocate, sizeof allocate);
	events_free(w->a->events);
	w->a->events = NULL;
	run_late(&l);
	request_finish(&l.request);
	w->f->share.defer = NULL;
	assert_int_equal(host_stat(w->f, "d/f").st_size, 1000);
}

/* --- the replayer changes nothing --- */

/* Everything that changes something, with arguments that would do it, asked for by the replayer;
 * the errors must all be EPERM. */
static void check_refused(struct world *w, uint64_t node, uint64_t fh)
{
	struct fake *f = w->f;
	struct fuse_write_in write_in = { .fh = fh, .size = 1 };
	struct fuse_create_in create_in = { .flags = O_RDWR, .mode = S_IFREG | 0644 };
	struct fuse_mknod_in mknod_in = { .mode = S_IFREG | 0644 };
	struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	struct fuse_link_in link_in = { .oldnodeid = node };
	struct fuse_rename_in rename_in = { .newdir = w->d };
	struct fuse_rename2_in rename2 = { .newdir = w->d };
	struct fuse_fallocate_in allocate = { .fh = fh, .length = 10 };
	struct fuse_copy_file_range_in copy = { .fh_in = fh, .fh_out = fh, .nodeid_out = node, .off_out = 2, .len = 1 };
	uint32_t xattr[2] = { 1, 0 };
	uint64_t opened = 0;
	f->pid = REPLAYER;
	assert_int_equal(fuse3(f, FUSE_WRITE, node, PART(write_in), TEXT("x"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_CREATE, w->d, PART(create_in), TEXT("new"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_TMPFILE, w->d, PART(create_in), NONE, NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(mknod_in), TEXT("new"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_MKDIR, w->d, PART(mkdir_in), TEXT("new"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_SYMLINK, w->d, TEXT("new"), TEXT("target"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_LINK, w->d, PART(link_in), TEXT("new"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_RENAME, w->d, PART(rename_in), TEXT("f"), TEXT("new")), -EPERM);
	assert_int_equal(fuse3(f, FUSE_RENAME2, w->d, PART(rename2), TEXT("f"), TEXT("new")), -EPERM);
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("f")), -EPERM);
	assert_int_equal(fuse(f, FUSE_RMDIR, w->d, TEXT("sub")), -EPERM);
	assert_int_equal(fuse(f, FUSE_FALLOCATE, node, PART(allocate)), -EPERM);
	assert_int_equal(fuse(f, FUSE_COPY_FILE_RANGE, node, PART(copy)), -EPERM);
	assert_int_equal(fuse3(f, FUSE_SETXATTR, node, PART(xattr), TEXT("user.x"), TEXT("1")), -EPERM);
	assert_int_equal(fuse(f, FUSE_REMOVEXATTR, node, TEXT("user.x")), -EPERM);
	for (uint32_t valid = 0; valid < 1 << 12; valid++) {
		struct fuse_setattr_in in = { .valid = valid, .fh = fh, .mode = 0600 };
		assert_int_equal(fuse(f, FUSE_SETATTR, node, PART(in)), -EPERM);
	}
	static const int flags[] = { O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND };
	for (size_t n = 0; n < ARRAY_SIZE(flags); n++)
		assert_int_equal(open_file(f, node, flags[n], &opened), -EPERM);
	/* It may look at all. */
	assert_int_equal(lookup(f, w->d, "f"), node);
	assert_int_equal(open_file(f, node, O_RDONLY, &opened), 0);
	f->pid = 0;
	release(f, node, opened);
}

static unsigned count_names(struct fake *f, const char *path)
{
	int fd = openat(f->directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	unsigned count = 0;
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static void test_unarmed(void **state)
{
	struct world *w = *state;
	uint64_t fh = 0, node = create(w->f, w->d, "f", 0, &fh);
	write_text(w->f, node, fh, "text");
	assert_int_equal(mkdirat(w->f->directory, "d/sub", 0755), 0);
	check_refused(w, node, fh); /* armed or not makes no difference to the wrong ones */
	agent_expect(w->a, SHARE_CREATE, w->d, "sub");
	check_refused(w, node, fh);
	assert_int_equal(agent_replay(w->a), 0);
	check_refused(w, node, fh);
	agent_done(w->a, 0);
	check_refused(w, node, fh);
	assert_int_equal(count_names(w->f, "d"), 4);
	char text[8];
	host_read(w->f, "d/f", text, sizeof text);
	assert_string_equal(text, "text");
	/* The one before, whose requests may still come; and nobody after it. */
	agent_hello(w->a, 0);
	agent_turn(w->a);
	check_refused(w, node, fh);
	agent_hello(w->a, REPLAYER + 1);
	agent_turn(w->a);
	check_refused(w, node, fh);
	for (unsigned n = 0; n < SHARE_REPLAYERS_BEFORE; n++)
		w->f->share.state->before[n].until_ms = clock_now_ms();
	w->f->pid = REPLAYER;
	assert_int_equal(fuse(w->f, FUSE_RMDIR, w->d, TEXT("sub")), 0);
	w->f->pid = 0;
}

/* Only the armed operation, of this process, once. */
static void test_tokens(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	struct fuse_mknod_in regular = { .mode = S_IFREG | 0644 }, fifo = { .mode = S_IFIFO | 0644 };
	struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	host_write(f, "d/x", "text");
	agent_expect(w->a, SHARE_CREATE, w->d, "x");
	/* Another process means the host. */
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(regular), TEXT("x"), NONE), -EEXIST);
	f->pid = REPLAYER;
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(fifo), TEXT("x"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_MKDIR, w->d, PART(mkdir_in), TEXT("x"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(regular), TEXT("y"), NONE), -EPERM);
	assert_int_equal(fuse3(f, FUSE_MKNOD, 1, PART(regular), TEXT("x"), NONE), -EPERM);
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("x")), -EPERM);
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(regular), TEXT("x"), NONE), 0);
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(regular), TEXT("x"), NONE), -EPERM);
	/* Another token ends nothing. */
	struct share_done wrong = { .type = SHARE_DONE, .token = w->a->event.token + 1 };
	agent_say(w->a, &wrong, sizeof wrong);
	agent_quiet(w->a);
	agent_done(w->a, 0);
	agent_expect(w->a, SHARE_MODIFY, w->d, "x");
	assert_int_equal(kernel_chmod(w->a, lookup(f, w->d, "x"), 0600), -EPERM);
	assert_int_equal(kernel_truncate(w->a, lookup(f, 1, "outside"), 0), -EPERM);
	assert_int_equal(agent_replay(w->a), 0);
	agent_done(w->a, 0);
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "x");
	assert_int_equal(host_stat(f, "d/x").st_size, 4);
	assert_int_equal(host_stat(f, "d/x").st_mode & 07777, 0644);
	/* Who takes too long is not waited for. */
	assert_int_equal(unlinkat(f->directory, "d/x", 0), 0);
	agent_expect(w->a, SHARE_REMOVE, w->d, "x");
	host_write(f, "d/x", "again");
	w->a->events->armed.until_ms = clock_now_ms();
	events_wake(w->a->events);
	agent_expect(w->a, SHARE_CREATE, w->d, "x");
	f->pid = REPLAYER;
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("x")), -EPERM);
	f->pid = 0;
	char text[8];
	host_read(f, "d/x", text, sizeof text);
	assert_string_equal(text, "again");
}

static void test_read_only(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	host_write(f, "d/x", "text");
	agent_see(w->a, SHARE_CREATE, w->d, "x");
	agent_see(w->a, SHARE_MODIFY, w->d, "x");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "x");
	assert_int_equal(renameat(f->directory, "d/x", f->directory, "d/y"), 0);
	agent_see_rename(w->a, w->d, "x", w->d, "y");
	assert_int_equal(fchmodat(f->directory, "d/y", 0600, 0), 0);
	agent_see(w->a, SHARE_ATTRIB, w->d, "y");
	assert_int_equal(unlinkat(f->directory, "d/y", 0), 0);
	agent_expect(w->a, SHARE_REMOVE, w->d, "y");
	assert_int_equal(fuse(f, FUSE_UNLINK, w->d, TEXT("y")), -EROFS);
	assert_int_equal(agent_replay(w->a), 0);
	agent_done(w->a, 0);
	f->pid = REPLAYER;
	assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT("outside")), -EPERM);
	f->pid = 0;
	assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT("outside")), -EROFS);
}

/* A guest that holds writes back would lose them if it looked at its files anew. */
static void test_writeback(void **state)
{
	struct world *w = *state;
	w->f->share.settings.cache = SHARE_CACHE_WRITEBACK;
	host_write(w->f, "d/x", "text");
	agent_see(w->a, SHARE_CREATE, w->d, "x");
	assert_int_equal(unlinkat(w->f->directory, "d/x", 0), 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "x");
	agent_quiet(w->a);
}

/* --- what is kept --- */

/* How many inodes the host watches for this process. */
static unsigned host_watches(struct world *w)
{
	char path[64], line[512];
	unsigned count = 0;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", w->a->events->watches.inotify);
	FILE *info = fopen(path, "re");
	assert_non_null(info);
	while (fgets(line, sizeof line, info))
		count += startswith(line, "inotify") != NULL;
	fclose(info);
	return count;
}

static void test_forget(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	struct fuse_forget_in forget = { .nlookup = 100 };
	host_write(f, "d/f", "");
	agent_see(w->a, SHARE_CREATE, w->d, "f");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "f");
	uint64_t node = lookup(f, w->d, "f");
	agent_watch(w->a, node, EVERYTHING);
	assert_int_equal(w->a->events->watches.count, 3); /* d, f, and the root above d */
	assert_int_equal(host_watches(w), 3);
	fuse(f, FUSE_FORGET, node, PART(forget));
	assert_int_equal(host_watches(w), 2);
	fuse(f, FUSE_FORGET, w->d, PART(forget));
	assert_int_equal(w->a->events->watches.count, 0);
	assert_int_equal(host_watches(w), 0);
	agent_watch(w->a, node, EVERYTHING); /* these mean nothing any more */
	agent_watch(w->a, 99, EVERYTHING);
	agent_watch(w->a, 0, EVERYTHING);
	assert_int_equal(host_watches(w), 0);
	/* The file goes on the host. */
	w->d = lookup(f, 1, "d");
	assert_int_equal(mkdirat(f->directory, "d/sub", 0755), 0);
	agent_watch(w->a, w->d, EVERYTHING);
	agent_watch(w->a, lookup(f, w->d, "sub"), EVERYTHING);
	assert_int_equal(w->a->events->watches.count, 3);
	assert_int_equal(unlinkat(f->directory, "d/sub", AT_REMOVEDIR), 0);
	agent_see(w->a, SHARE_REMOVE, w->d, "sub");
	assert_int_equal(w->a->events->watches.count, 3);
	fuse(f, FUSE_FORGET, w->a->shown.nodeid, PART(forget));
	assert_int_equal(w->a->events->watches.count, 2);
	assert_int_equal(host_watches(w), 2);
	/* Nobody watches any more. */
	agent_watch(w->a, w->d, 0);
	assert_int_equal(w->a->events->watches.count, 0);
	assert_int_equal(host_watches(w), 0);
}

static void test_caps(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	inode_table_set_max(&f->share.inodes, f->share.inodes.reserved);
	char name[32];
	unsigned known = (unsigned)MIN(f->share.inodes.reserved - 8, (size_t)SHARE_WATCHES_MAX + 50);
	agent_watch(w->a, w->d, 0);
	for (unsigned n = 0; n < known; n++) {
		snprintf(name, sizeof name, "f%u", n);
		AUTO_FD int fd = openat(f->directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		struct share_watch watch = { .type = SHARE_WATCH, .mask = IN_MODIFY, .node = lookup(f, 1, name) };
		events_receive(w->a->events, &watch, sizeof watch);
	}
	assert_int_equal(w->a->events->watches.count, MIN(known + 1, (unsigned)SHARE_WATCHES_MAX));
	if (known >= SHARE_WATCHES_MAX)
		assert_true(w->a->events->watches.said_limit);
	assert_int_equal(host_watches(w), w->a->events->watches.count);
	agent_hello(w->a, REPLAYER);
	agent_turn(w->a);
	assert_int_equal(w->a->events->watches.count, 0);
	agent_watch(w->a, w->d, EVERYTHING);
	host_write(f, "d/x", "");
	agent_see(w->a, SHARE_CREATE, w->d, "x");
}

/* The guest starts over, and the agent's connection does. */
static void test_reset(void **state)
{
	struct world *w = *state;
	struct fake *f = w->f;
	struct fuse_init_in in = { .major = 7, .minor = 36, .flags = UINT32_MAX };
	host_write(f, "d/x", "");
	agent_expect(w->a, SHARE_CREATE, w->d, "x");
	agent_hello(w->a, REPLAYER);
	agent_turn(w->a);
	f->pid = REPLAYER;
	struct fuse_mknod_in mknod_in = { .mode = S_IFREG | 0644 };
	/* of the connection before */
	assert_int_equal(fuse3(f, FUSE_MKNOD, w->d, PART(mknod_in), TEXT("x"), NONE), -EPERM);
	f->pid = 0;
	agent_watch(w->a, w->d, EVERYTHING);
	host_write(f, "d/x", "text");
	agent_see(w->a, SHARE_MODIFY, w->d, "x");
	agent_see(w->a, SHARE_CLOSE_WRITE, w->d, "x");
	assert_int_equal(fuse(f, FUSE_INIT, 0, PART(in)), 0);
	agent_expect_reset(w->a);
	assert_int_equal(w->a->events->watches.count, 0);
	f->pid = REPLAYER; /* in the new guest somebody else has that number */
	assert_int_equal(fuse(f, FUSE_UNLINK, 1, TEXT("outside")), 0);
	f->pid = 0;
	agent_watch(w->a, lookup(f, 1, "d"), EVERYTHING); /* without a HELLO it means nothing */
	host_write(f, "d/x", "more text");
	agent_quiet(w->a);
	/* Payloads that are none. */
	char junk[SHARE_PAYLOAD_MAX + 100] = { SHARE_HELLO, 2 };
	assert_int_equal(send(w->a->socket, junk, sizeof(struct share_hello), 0), sizeof(struct share_hello));
	assert_int_equal(send(w->a->socket, junk, sizeof junk, 0), sizeof junk);
	for (size_t size = 1; size < 64; size++)
		assert_int_equal(send(w->a->socket, junk, size, 0), size);
	agent_turn(w->a);
	assert_int_equal(f->share.state->replayer, 0);
	/* The other side goes. */
	agent_hello(w->a, REPLAYER);
	agent_watch(w->a, lookup(f, 1, "d"), EVERYTHING);
	assert_true(w->a->events->watches.count > 0);
	fd_close(TAKE_FD(w->a->socket));
	agent_turn(w->a);
	assert_int_equal(w->a->events->watches.count, 0);
	assert_int_equal(f->share.state->replayer, 0);
	assert_true(lookup(f, 1, "d") > 1);
}

/* The agent does not read: what does not fit waits. */
static void test_blocked(void **state)
{
	struct world *w = *state;
	struct fuse_init_in in = { .major = 7, .minor = 36, .flags = UINT32_MAX };
	char packet[SHARE_PAYLOAD_MAX];
	int resets = 0, blocked = 0;
	for (int n = 0; n < 2000 && !blocked; n++) {
		agent_hello(w->a, REPLAYER);
		agent_turn(w->a);
		assert_int_equal(fuse(w->f, FUSE_INIT, 0, PART(in)), 0);
		agent_turn(w->a);
		blocked = w->a->events->blocked;
	}
	assert_true(blocked);
	while (agent_receive(w->a, packet, QUIET_MS) > 0)
		resets++;
	assert_true(resets > 1);
	assert_false(w->a->events->blocked);
	assert_false(w->a->events->resetting);
	agent_hello(w->a, REPLAYER);
	w->d = lookup(w->f, 1, "d");
	agent_watch(w->a, w->d, EVERYTHING);
	host_write(w->f, "d/x", "");
	agent_see(w->a, SHARE_CREATE, w->d, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_own_names, setup, world_free),
		cmocka_unit_test_setup_teardown(test_own_names, setup_records, world_free),
		cmocka_unit_test_setup_teardown(test_own_content, setup, world_free),
		cmocka_unit_test_setup_teardown(test_own_content, setup_records, world_free),
		cmocka_unit_test_setup_teardown(test_own_by_another_name, setup, world_free),
		cmocka_unit_test_setup_teardown(test_own_jobs, setup, world_free),
		cmocka_unit_test_setup_teardown(test_job_outlives_events, setup, world_free),
		cmocka_unit_test_setup_teardown(test_unarmed, setup, world_free),
		cmocka_unit_test_setup_teardown(test_tokens, setup, world_free),
		cmocka_unit_test_setup_teardown(test_read_only, setup_read_only, world_free),
		cmocka_unit_test_setup_teardown(test_writeback, setup, world_free),
		cmocka_unit_test_setup_teardown(test_forget, setup, world_free),
		cmocka_unit_test_setup_teardown(test_caps, setup, world_free),
		cmocka_unit_test_setup_teardown(test_reset, setup, world_free),
		cmocka_unit_test_setup_teardown(test_blocked, setup, world_free) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
