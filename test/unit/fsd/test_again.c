/* SPDX-License-Identifier: Apache-2.0
 * A worker dies in the middle of a request and another one carries it out again. Each operation is begun in a process of its own, which is
 * killed at one point: at each system call, before and after it, and at some instructions behind it. Then this process takes the share over, as
 * the next worker does, and the guest must get the one right answer and find the one right state. */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "fake_guest.h"
#include "fsd/shared.h"
#include "fsd/takeover.h"

enum { BUFFER = 1 << 16, KILL_POINTS_MAX = 500 };

/* What both processes see. */
struct common {
	struct flight flight;
	_Alignas(16) char in[BUFFER], out[BUFFER];
	size_t in_size;
};

struct run {
	struct fake *f;
	struct common *c;
	uint64_t node, other, fh;
	int error;
	size_t reply_size;
	int again; /* the first process died */
};

struct scenario {
	const char *name;
	void (*prepare)(struct run *r);
	void (*request)(struct run *r);
	void (*check)(struct run *r);
};

static void put(struct run *r, const void *data, size_t size)
{
	memcpy(r->c->in + r->c->in_size, data, size);
	r->c->in_size += size;
}

static void put_text(struct run *r, const char *text)
{
	put(r, text, strlen(text) + 1);
}

/* Starts a request; its arguments follow by put(). */
static void begin(struct run *r, uint32_t opcode, uint64_t nodeid)
{
	struct fuse_in_header h = {.opcode = opcode, .unique = 5, .nodeid = nodeid};
	r->c->in_size = 0;
	put(r, &h, sizeof h);
}

/* Carries the request out, here or in the child; the size of the reply. */
static size_t serve(struct run *r)
{
	uint32_t size = (uint32_t)r->c->in_size;
	memcpy(r->c->in, &size, sizeof size);
	struct iovec in = {r->c->in, r->c->in_size}, out = {r->c->out, BUFFER};
	struct request q = {.share = &r->f->share, .in = &in, .in_count = 1, .out = &out, .out_count = 1, .flight = &r->c->flight};
	assert_int_equal(request_serve(&q), 0);
	return q.written;
}

/* --- the first process --- */

/* Resumes the child until its next stop: 0 when it has ended instead. */
static int step(pid_t pid, enum __ptrace_request how)
{
	int status;
	if (ptrace(how, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid)
		return 0;
	return WIFSTOPPED(status);
}

/* Serves the request in a process that shares descriptors and shared memory with this one, and kills it at the stop after `calls` system call
 * stops and `instructions` more: 1, 0 when it was done before. -1: tracing is not allowed here. */
static int serve_and_die(struct run *r, unsigned calls, unsigned instructions)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(3);
		kill(getpid(), SIGSTOP);
		serve(r);
		_exit(0);
	}
	int status, alive = 1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSTOPPED(status))
		return -1;
	for (unsigned n = 0; n < calls && alive; n++)
		alive = step(pid, PTRACE_SYSCALL);
	for (unsigned n = 0; n < instructions && alive; n++)
		alive = step(pid, PTRACE_SINGLESTEP);
	if (alive) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, __WALL);
	}
	return alive;
}

/* --- the second one --- */

static void take_over(struct run *r)
{
	int kept[] = {r->f->directory};
	share_take_over(&r->f->share, kept, 1);
	request_undo(&r->f->share, &r->c->flight);
}

static void start(struct run *r)
{
	r->f = fake_new();
	fake_start(r->f, 0);
	r->c = mmap(NULL, sizeof *r->c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(r->c != MAP_FAILED);
}

static void end(struct run *r)
{
	munmap(r->c, sizeof *r->c);
	fake_free(r->f);
}

/* One death: 0 when the request was done before it. */
static int die_once(const struct scenario *s, unsigned calls, unsigned instructions)
{
	struct run r = {0};
	start(&r);
	if (s->prepare)
		s->prepare(&r);
	s->request(&r);
	int died = serve_and_die(&r, calls, instructions);
	if (died < 0) {
		end(&r);
		skip();
	}
	if (died) {
		struct fuse_out_header h = {.error = -1000};
		memset(r.c->out, 0xee, sizeof r.c->out);
		take_over(&r);
		r.again = 1;
		r.reply_size = serve(&r);
		if (r.reply_size)
			memcpy(&h, r.c->out, sizeof h);
		r.error = h.error;
		s->check(&r);
		/* Another one finds the same. */
		size_t inodes = r.f->share.inodes.count, handles = r.f->share.handles.count;
		r.c->flight = (struct flight){0};
		take_over(&r);
		assert_int_equal(r.f->share.inodes.count, inodes);
		assert_int_equal(r.f->share.handles.count, handles);
	}
	end(&r);
	return died;
}

static void run_scenario(const struct scenario *s)
{
	static const unsigned further[] = {0, 25, 60, 110, 180, 300, 500};
	unsigned deaths = 0;
	for (unsigned calls = 1; calls < KILL_POINTS_MAX; calls++)
		for (size_t n = 0; n < ARRAY_SIZE(further); n++) {
			int died = die_once(s, calls, further[n]);
			deaths += died != 0;
			if (!died && n == 0) {
				assert_true(deaths > 0);
				return;
			}
		}
	fail_msg("%s does not end", s->name);
}

/* --- requests and what must have come of them --- */

#define OUT(r, type) (assert_int_equal((r)->reply_size, sizeof(struct fuse_out_header) + sizeof(type)), \
	(const type *)(const void *)((r)->c->out + sizeof(struct fuse_out_header)))

static void prepare_file(struct run *r)
{
	host_write(r->f, "f", "text");
	r->node = lookup(r->f, 1, "f");
	assert_int_equal(open_file(r->f, r->node, O_RDWR, &r->fh), 0);
}

/* What a handle reads. */
static void check_content(struct run *r, uint64_t node, uint64_t fh, const char *text)
{
	struct fuse_read_in in = {.fh = fh, .size = 100};
	assert_int_equal(fuse(r->f, FUSE_READ, node, PART(in)), 0);
	assert_int_equal(r->f->reply_size, strlen(text));
	assert_memory_equal(r->f->reply, text, strlen(text));
}

static void lookup_request(struct run *r)
{
	begin(r, FUSE_LOOKUP, 1);
	put_text(r, "f");
}

static void lookup_prepare(struct run *r)
{
	host_write(r->f, "f", "text");
}

static void lookup_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_true(OUT(r, struct fuse_entry_out)->nodeid > 1);
	assert_int_equal(r->f->share.inodes.count, 2);
}

static void mkdir_request(struct run *r)
{
	struct fuse_mkdir_in in = {.mode = 0750};
	begin(r, FUSE_MKDIR, 1);
	put(r, &in, sizeof in);
	put_text(r, "d");
}

static void mkdir_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(host_stat(r->f, "d").st_mode, S_IFDIR | 0750);
	assert_int_equal(lookup(r->f, 1, "d"), OUT(r, struct fuse_entry_out)->nodeid);
}

static void symlink_request(struct run *r)
{
	begin(r, FUSE_SYMLINK, 1);
	put_text(r, "l");
	put_text(r, "target");
}

static void symlink_check(struct run *r)
{
	char target[16] = "";
	assert_int_equal(r->error, 0);
	assert_int_equal(readlinkat(r->f->directory, "l", target, sizeof target), 6);
	assert_string_equal(target, "target");
}

static void mknod_request(struct run *r)
{
	struct fuse_mknod_in in = {.mode = S_IFIFO | 0600};
	begin(r, FUSE_MKNOD, 1);
	put(r, &in, sizeof in);
	put_text(r, "p");
}

static void mknod_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_true(S_ISFIFO(host_stat(r->f, "p").st_mode));
}

static void link_request(struct run *r)
{
	struct fuse_link_in in = {.oldnodeid = r->node};
	begin(r, FUSE_LINK, 1);
	put(r, &in, sizeof in);
	put_text(r, "hard");
}

static void link_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(host_stat(r->f, "hard").st_nlink, 2);
	assert_int_equal(OUT(r, struct fuse_entry_out)->nodeid, r->node);
}

static void create(struct run *r, uint32_t flags, uint32_t mode)
{
	struct fuse_create_in in = {.flags = flags, .mode = S_IFREG | mode};
	begin(r, FUSE_CREATE, 1);
	put(r, &in, sizeof in);
	put_text(r, "f");
}

static void create_request(struct run *r)
{
	create(r, O_RDWR | O_EXCL, 0400);
}

static void create_again_request(struct run *r)
{
	create(r, O_RDWR | O_TRUNC, 0644);
}

/* One handle and one file, which can be written to. */
static void created_check(struct run *r)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	assert_int_equal(r->error, 0);
	memcpy(&out, r->c->out + sizeof(struct fuse_out_header), sizeof out);
	struct fuse_write_in in = {.fh = out.open.fh, .size = 3};
	assert_int_equal(fuse3(r->f, FUSE_WRITE, out.entry.nodeid, PART(in), (struct part){"new", 3}, NONE), 0);
	check_content(r, out.entry.nodeid, out.open.fh, "new");
	assert_int_equal(r->f->share.handles.count, 1);
	/* A lookup that was counted in the last instruction stays counted, of a file that is gone. */
	assert_in_range(r->f->share.inodes.count, 2, 3);
}

static void tmpfile_request(struct run *r)
{
	struct fuse_create_in in = {.flags = O_RDWR, .mode = S_IFREG | 0600};
	begin(r, FUSE_TMPFILE, 1);
	put(r, &in, sizeof in);
}

static void open_prepare(struct run *r)
{
	host_write(r->f, "f", "text");
	r->node = lookup(r->f, 1, "f");
}

static void open_request(struct run *r)
{
	struct fuse_open_in in = {.flags = O_RDWR};
	begin(r, FUSE_OPEN, r->node);
	put(r, &in, sizeof in);
}

static void open_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(r->f->share.handles.count, 1);
	check_content(r, r->node, OUT(r, struct fuse_open_out)->fh, "text");
}

static void opendir_request(struct run *r)
{
	struct fuse_open_in in = {.flags = O_RDONLY | O_DIRECTORY};
	begin(r, FUSE_OPENDIR, 1);
	put(r, &in, sizeof in);
}

static void opendir_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(r->f->share.handles.count, 1);
}

static void write_some(struct run *r, uint64_t offset, uint32_t flags)
{
	struct fuse_write_in in = {.fh = r->fh, .offset = offset, .size = 4, .flags = flags};
	begin(r, FUSE_WRITE, r->node);
	put(r, &in, sizeof in);
	put(r, "MORE", 4);
}

static void write_request(struct run *r)
{
	write_some(r, 2, O_RDWR);
}

static void write_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(OUT(r, struct fuse_write_out)->size, 4);
	check_content(r, r->node, r->fh, "teMORE");
}

static void append_request(struct run *r)
{
	write_some(r, 4, O_RDWR | O_APPEND);
}

static void append_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(OUT(r, struct fuse_write_out)->size, 4);
	check_content(r, r->node, r->fh, "textMORE");
	/* And one that does not append goes where it says. */
	struct fuse_write_in in = {.fh = r->fh, .size = 1, .flags = O_RDWR};
	assert_int_equal(fuse3(r->f, FUSE_WRITE, r->node, PART(in), (struct part){"T", 1}, NONE), 0);
	check_content(r, r->node, r->fh, "TextMORE");
}

static void unlink_request(struct run *r)
{
	begin(r, FUSE_UNLINK, 1);
	put_text(r, "f");
}

/* The file has no name and is as usable as before. */
static void check_nameless(struct run *r)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 0600};
	check_content(r, r->node, r->fh, "text");
	assert_int_equal(fuse(r->f, FUSE_SETATTR, r->node, PART(in)), 0);
	assert_int_equal(REPLY(r->f, struct fuse_attr_out)->attr.nlink, 0);
}

static void unlink_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(lookup(r->f, 1, "f"), 0);
	check_nameless(r);
}

static void rmdir_prepare(struct run *r)
{
	mkdirat(r->f->directory, "d", 0755);
	r->node = lookup(r->f, 1, "d");
}

static void rmdir_request(struct run *r)
{
	begin(r, FUSE_RMDIR, 1);
	put_text(r, "d");
}

static void rmdir_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(lookup(r->f, 1, "d"), 0);
}

static void rename_prepare(struct run *r)
{
	prepare_file(r);
	host_write(r->f, "new", "newer");
	mkdirat(r->f->directory, "d", 0755);
	r->other = lookup(r->f, 1, "new");
}

static void rename_request(struct run *r)
{
	struct fuse_rename2_in in = {.newdir = 1};
	begin(r, FUSE_RENAME2, 1);
	put(r, &in, sizeof in);
	put_text(r, "new");
	put_text(r, "f");
}

/* An editor's way of saving, while somebody reads the old file. */
static void rename_check(struct run *r)
{
	char text[16];
	assert_int_equal(r->error, 0);
	assert_int_equal(lookup(r->f, 1, "new"), 0);
	assert_int_equal(lookup(r->f, 1, "f"), r->other);
	host_read(r->f, "f", text, sizeof text);
	assert_string_equal(text, "newer");
	check_nameless(r);
}

static void exchange_request(struct run *r)
{
	struct fuse_rename2_in in = {.newdir = 1, .flags = RENAME_EXCHANGE};
	begin(r, FUSE_RENAME2, 1);
	put(r, &in, sizeof in);
	put_text(r, "new");
	put_text(r, "f");
}

static void exchange_check(struct run *r)
{
	char text[16];
	assert_int_equal(r->error, 0);
	host_read(r->f, "f", text, sizeof text);
	assert_string_equal(text, "newer");
	assert_int_equal(lookup(r->f, 1, "new"), r->node);
	assert_int_equal(lookup(r->f, 1, "f"), r->other);
	check_content(r, r->node, r->fh, "text");
}

static void setxattr_request(struct run *r)
{
	uint32_t in[2] = {4, XATTR_CREATE};
	begin(r, FUSE_SETXATTR, r->node);
	put(r, in, sizeof in);
	put_text(r, "user.colour");
	put(r, "blue", 4);
}

static void setxattr_check(struct run *r)
{
	struct fuse_getxattr_in in = {.size = 16};
	if (r->error == -EOPNOTSUPP)
		return; /* as the file system wants it */
	assert_int_equal(r->error, 0);
	assert_int_equal(fuse3(r->f, FUSE_GETXATTR, r->node, PART(in), TEXT("user.colour"), NONE), 0);
	assert_int_equal(r->f->reply_size, 4);
}

static void removexattr_prepare(struct run *r)
{
	uint32_t in[2] = {1, 0};
	prepare_file(r);
	r->other = fuse3(r->f, FUSE_SETXATTR, r->node, PART(in), TEXT("user.x"), (struct part){"1", 1}) == 0;
}

static void removexattr_request(struct run *r)
{
	begin(r, FUSE_REMOVEXATTR, r->node);
	put_text(r, "user.x");
}

static void removexattr_check(struct run *r)
{
	if (r->other)
		assert_int_equal(r->error, 0);
}

static void release_request(struct run *r)
{
	struct fuse_release_in in = {.fh = r->fh};
	begin(r, FUSE_RELEASE, r->node);
	put(r, &in, sizeof in);
}

static void release_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(r->f->share.handles.count, 0);
}

static void truncate_request(struct run *r)
{
	struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_MODE, .size = 2, .mode = 0640};
	begin(r, FUSE_SETATTR, r->node);
	put(r, &in, sizeof in);
}

static void truncate_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(OUT(r, struct fuse_attr_out)->attr.size, 2);
	assert_int_equal(host_stat(r->f, "f").st_mode & 07777, 0640);
	check_content(r, r->node, r->fh, "te");
}

static void fsync_request(struct run *r)
{
	struct fuse_fsync_in in = {.fh = r->fh};
	begin(r, FUSE_FSYNC, r->node);
	put(r, &in, sizeof in);
}

static void fsync_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	check_content(r, r->node, r->fh, "text");
}

static void copy_request(struct run *r)
{
	struct fuse_copy_file_range_in in = {.fh_in = r->fh, .fh_out = r->fh, .nodeid_out = r->node, .off_out = 4, .len = 4};
	begin(r, FUSE_COPY_FILE_RANGE, r->node);
	put(r, &in, sizeof in);
}

static void copy_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	assert_int_equal(OUT(r, struct fuse_write_out)->size, 4);
	check_content(r, r->node, r->fh, "texttext");
}

static void readdir_prepare(struct run *r)
{
	char name[16];
	for (int n = 0; n < 20; n++) {
		snprintf(name, sizeof name, "file%d", n);
		host_write(r->f, name, "");
	}
	struct fuse_open_in open = {.flags = O_RDONLY | O_DIRECTORY};
	assert_int_equal(fuse(r->f, FUSE_OPENDIR, 1, PART(open)), 0);
	r->fh = REPLY(r->f, struct fuse_open_out)->fh;
	/* The first half was read by a worker that is dead. */
	struct fuse_read_in in = {.fh = r->fh, .size = 400};
	assert_int_equal(fuse(r->f, FUSE_READDIR, 1, PART(in)), 0);
	for (size_t at = 0; at < r->f->reply_size;) {
		const struct fuse_dirent *d = (const void *)(r->f->reply + at);
		r->node = d->off;
		r->other += memcmp(d->name, "file", 4) == 0;
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d->namelen);
	}
}

static void readdir_request(struct run *r)
{
	struct fuse_read_in in = {.fh = r->fh, .size = 32768, .offset = r->node};
	begin(r, FUSE_READDIRPLUS, 1);
	put(r, &in, sizeof in);
}

static void readdir_check(struct run *r)
{
	assert_int_equal(r->error, 0);
	size_t head = offsetof(struct fuse_direntplus, dirent);
	for (size_t at = sizeof(struct fuse_out_header); at < r->reply_size;) {
		const struct fuse_dirent *d = (const void *)(r->c->out + at + head);
		r->other += memcmp(d->name, "file", 4) == 0;
		at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d->namelen);
	}
	assert_int_equal(r->other, 20);
}

static const struct scenario scenarios[] = {
	{"lookup", lookup_prepare, lookup_request, lookup_check},
	{"mkdir", NULL, mkdir_request, mkdir_check},
	{"symlink", NULL, symlink_request, symlink_check},
	{"mknod", NULL, mknod_request, mknod_check},
	{"link", prepare_file, link_request, link_check},
	{"create", NULL, create_request, created_check},
	{"create over a file", lookup_prepare, create_again_request, created_check},
	{"tmpfile", NULL, tmpfile_request, created_check},
	{"open", open_prepare, open_request, open_check},
	{"opendir", NULL, opendir_request, opendir_check},
	{"write", prepare_file, write_request, write_check},
	{"append", prepare_file, append_request, append_check},
	{"unlink of an open file", prepare_file, unlink_request, unlink_check},
	{"rmdir", rmdir_prepare, rmdir_request, rmdir_check},
	{"rename over an open file", rename_prepare, rename_request, rename_check},
	{"exchange", rename_prepare, exchange_request, exchange_check},
	{"setxattr", prepare_file, setxattr_request, setxattr_check},
	{"removexattr", removexattr_prepare, removexattr_request, removexattr_check},
	{"release", prepare_file, release_request, release_check},
	{"truncate and chmod", prepare_file, truncate_request, truncate_check},
	{"fsync", prepare_file, fsync_request, fsync_check},
	{"copy_file_range", prepare_file, copy_request, copy_check},
	{"readdirplus", readdir_prepare, readdir_request, readdir_check},
};

static void test_deaths(void **state)
{
	for (size_t n = 0; n < ARRAY_SIZE(scenarios); n++) {
		print_message("%s\n", scenarios[n].name);
		run_scenario(&scenarios[n]);
	}
}

/* What was there before the request is not taken for what the request made. */
static void test_older_names_are_kept(void **state)
{
	struct run r = {0};
	start(&r);
	mkdirat(r.f->directory, "d", 0755);
	host_write(r.f, "f", "");
	struct timespec past = {.tv_nsec = 120000000};
	while (nanosleep(&past, &past) < 0)
		;
	for (unsigned calls = 1; calls < KILL_POINTS_MAX; calls++) {
		int ended = 0;
		for (int n = 0; n < 2; n++) {
			struct fuse_out_header h;
			r.c->flight = (struct flight){0};
			(n ? create_request : mkdir_request)(&r);
			int died = serve_and_die(&r, calls, 0);
			if (died < 0) {
				end(&r);
				skip();
			}
			ended += !died;
			if (!died)
				continue;
			take_over(&r);
			serve(&r);
			memcpy(&h, r.c->out, sizeof h);
			assert_int_equal(h.error, -EEXIST);
		}
		if (ended == 2) {
			end(&r);
			return;
		}
	}
	fail();
}

/* A request at which workers die is not tried for ever. */
static void test_poison(void **state)
{
	struct run r = {0};
	struct fuse_out_header h;
	start(&r);
	mkdir_request(&r);
	for (int n = 0; n < REQUEST_ATTEMPTS; n++) {
		if (serve_and_die(&r, 1, 0) < 0) {
			end(&r);
			skip();
		}
		take_over(&r);
	}
	assert_int_equal(serve(&r), sizeof h);
	memcpy(&h, r.c->out, sizeof h);
	assert_int_equal(h.error, -EIO);
	assert_int_equal(h.unique, 5);
	assert_int_equal(faccessat(r.f->directory, "d", F_OK, 0), -1);
	end(&r);
}

/* Everything that the guest has is there for the next worker, however often, and nothing of the dead one's own stays open. */
static void test_descriptors(void **state)
{
	struct run r = {0};
	start(&r);
	prepare_file(&r);
	unlinkat(r.f->directory, "f", 0);
	int stray = memfd_create("stray", MFD_CLOEXEC), second = fcntl(stray, F_DUPFD_CLOEXEC, 300);
	for (int n = 0; n < 3; n++) {
		take_over(&r);
		assert_int_equal(fcntl(stray, F_GETFD), -1);
		assert_int_equal(fcntl(second, F_GETFD), -1);
		assert_true(fcntl(r.f->directory, F_GETFD) >= 0);
		check_content(&r, r.node, r.fh, "text");
	}
	/* Memory that makes no sense is not followed. */
	r.f->share.inodes.records->items[1].place = (struct place *)(void *)((char *)r.f->share.inodes.places.memory + 24);
	take_over(&r);
	check_content(&r, r.node, r.fh, "text");
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_older_names_are_kept),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
