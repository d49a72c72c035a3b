/* SPDX-License-Identifier: Apache-2.0
 * A worker dies in the middle of a request and another one carries it out again. Each operation is
 * begun in a process of its own, which is killed at one point: at each system call, before and
 * after it, and at some instructions behind it. Then this process takes the share over, as the next
 * worker does, and the guest must get the one right answer and find the one right state. */
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "fake_guest.h"
#include "fsd/files/shared.h"
#include "fsd/process/takeover.h"

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
	void (*prepare)(struct run *run);
	void (*request)(struct run *run);
	void (*check)(struct run *run);
};

static inline void put(struct run *run, const void *data, size_t size)
{
	memcpy(run->c->in + run->c->in_size, data, size);
	run->c->in_size += size;
}

static inline void put_text(struct run *run, const char *text)
{
	put(run, text, strlen(text) + 1);
}

/* Starts a request; its arguments follow by put(). */
static inline void begin(struct run *run, uint32_t opcode, uint64_t nodeid)
{
	struct fuse_in_header h = { .opcode = opcode, .unique = 5, .nodeid = nodeid };
	run->c->in_size = 0;
	put(run, &h, sizeof h);
}

/* Carries the request out, here or in the child; the size of the reply. */
static inline size_t serve(struct run *run)
{
	uint32_t size = (uint32_t)run->c->in_size;
	memcpy(run->c->in, &size, sizeof size);
	struct iovec in = { run->c->in, run->c->in_size }, out = { run->c->out, BUFFER };
	struct request q = {
		.share = &run->f->share,
		.in = &in,
		.in_count = 1,
		.out = &out,
		.out_count = 1,
		.flight = &run->c->flight,
	};
	assert_int_equal(request_serve(&q), 0);
	return q.written;
}

/* --- the first process --- */

/* Resumes the child until its next stop: 0 when it has ended instead. */
static inline int step(pid_t pid, enum __ptrace_request how)
{
	int status;
	if (ptrace(how, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) != pid)
		return 0;
	return WIFSTOPPED(status);
}

/* Serves the request in a process that shares descriptors and shared memory with this one, and
 * kills it at the stop after `calls` system call stops and `instructions` more: 1, 0 when it was
 * done before. -1: tracing is not allowed here. */
static inline int serve_and_die(struct run *run, unsigned calls, unsigned instructions)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(3);
		kill(getpid(), SIGSTOP);
		serve(run);
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

static inline void take_over(struct run *run)
{
	int kept[] = { run->f->directory };
	share_take_over(&run->f->share, kept, 1);
	request_undo(&run->f->share, &run->c->flight);
}

static inline void start(struct run *run)
{
	run->f = fake_new();
	fake_start(run->f, 0);
	run->c = mmap(NULL, sizeof *run->c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(run->c != MAP_FAILED);
}

static inline void end(struct run *run)
{
	munmap(run->c, sizeof *run->c);
	fake_free(run->f);
}

/* One death: 0 when the request was done before it. */
static inline int die_once(const struct scenario *s, unsigned calls, unsigned instructions)
{
	struct run run = { 0 };
	start(&run);
	if (s->prepare)
		s->prepare(&run);
	s->request(&run);
	int died = serve_and_die(&run, calls, instructions);
	if (died < 0) {
		end(&run);
		skip();
		return 0;
	}
	if (died) {
		struct fuse_out_header h = { .error = -1000 };
		memset(run.c->out, 0xee, sizeof run.c->out);
		take_over(&run);
		run.again = 1;
		run.reply_size = serve(&run);
		if (run.reply_size)
			memcpy(&h, run.c->out, sizeof h);
		run.error = h.error;
		s->check(&run);
		/* Another one finds the same. */
		size_t inodes = run.f->share.inodes.count, handles = run.f->share.handles.count;
		run.c->flight = (struct flight){ 0 };
		take_over(&run);
		assert_int_equal(run.f->share.inodes.count, inodes);
		assert_int_equal(run.f->share.handles.count, handles);
	}
	end(&run);
	return died;
}

static inline void run_scenario(const struct scenario *s)
{
	static const unsigned further[] = { 0, 25, 60, 110, 180, 300, 500 };
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

#define OUT(r, type)                                                                                                   \
	(assert_int_equal((r)->reply_size, sizeof(struct fuse_out_header) + sizeof(type)),                             \
	    (const type *)(const void *)((r)->c->out + sizeof(struct fuse_out_header)))

static inline void prepare_file(struct run *run)
{
	host_write(run->f, "f", "text");
	run->node = lookup(run->f, 1, "f");
	assert_int_equal(open_file(run->f, run->node, O_RDWR, &run->fh), 0);
}

/* What a handle reads. */
static inline void check_content(struct run *run, uint64_t node, uint64_t fh, const char *text)
{
	struct fuse_read_in in = { .fh = fh, .size = 100 };
	assert_int_equal(fuse(run->f, FUSE_READ, node, PART(in)), 0);
	assert_int_equal(run->f->reply_size, strlen(text));
	assert_memory_equal(run->f->reply, text, strlen(text));
}

static inline void create(struct run *run, uint32_t flags, uint32_t mode)
{
	struct fuse_create_in in = { .flags = flags, .mode = S_IFREG | mode };
	begin(run, FUSE_CREATE, 1);
	put(run, &in, sizeof in);
	put_text(run, "f");
}

static inline void create_request(struct run *run)
{
	create(run, O_RDWR | O_EXCL, 0400);
}

static inline void prepare_closed_file(struct run *run)
{
	host_write(run->f, "f", "text");
}

static inline void run_scenarios(const struct scenario *s, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		print_message("%s\n", s[n].name);
		run_scenario(&s[n]);
	}
}
