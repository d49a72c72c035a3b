/* SPDX-License-Identifier: Apache-2.0
 * See sockets.h. A question is a packet of two bytes, the kind and how many. The answer is the same
 * bytes with the sockets that could be made. The pool of a kind grows each time it runs empty. */
#include "isolation/native/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"
#include "isolation/native/run.h"

enum { CONTROL = 3, JOIN_USER = 4, JOIN_INIT = 5 };
enum { ASK_MAX = FD_PASS_MAX, POOL_FIRST = 4, POOL_MAX = 128, GROWTH = 4, IDLE_MS = 5000 };
struct pool {
	int fds[POOL_MAX];
	size_t count, asked, wanted;
	int failed;    /* the last question had no answer */
	int ran_empty; /* while an answer was under way */
};

struct native_sockets {
	int init;    /* pidfd; -1: none */
	int control; /* -1: no child runs */
	int waited;  /* somebody got -EAGAIN since the last event */
	struct source *source, *idle;
	struct pool pools[ISOLATION_SOCKETS];
};

/* ---- the child ---- */

static const struct {
	int family, type;
} kinds[ISOLATION_SOCKETS] = {
	[ISOLATION_TCP4] = { AF_INET, SOCK_STREAM },
	[ISOLATION_TCP6] = { AF_INET6, SOCK_STREAM },
	[ISOLATION_UDP4] = { AF_INET, SOCK_DGRAM },
	[ISOLATION_UDP6] = { AF_INET6, SOCK_DGRAM },
};

static int open_one(unsigned kind)
{
	return socket(kinds[kind].family, kinds[kind].type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int answer(const unsigned char question[2])
{
	struct fd_pass p = { 0 };
	while (p.count < question[1] && p.count < FD_PASS_MAX && (p.fds[p.count] = open_one(question[0])) >= 0)
		p.count++;
	ssize_t n = fd_send_bytes(CONTROL, question, 2, p.fds, p.count, 0);
	fd_close_from(CONTROL + 1, NULL, 0);
	return n == 2;
}

static void serve(void) __attribute__((noreturn));
static void serve(void)
{
	unsigned char question[2];
	while (recv(CONTROL, question, sizeof question, 0) == sizeof question && question[0] < ISOLATION_SOCKETS &&
	       answer(question))
		;
	_exit(0);
}

/* Enters the namespaces, hidden from what is in them: it has the keeper's memory. setns(2) gives
 * all capabilities in a user namespace, which nothing here needs. It may also let others trace the
 * process, so this is forbidden again. */
static int join(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setns(JOIN_USER, CLONE_NEWUSER) < 0 || setns(JOIN_INIT, CLONE_NEWNET) < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0) < 0)
		return -errno;
	return 0;
}

/* Does not return if it succeeds: no program is executed. The pipe by which spawn() waits for that
 * is among what is closed. */
static int in_child(void *data)
{
	int r = join();
	if (r < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return r < 0 ? r : -errno;
	(void)prctl(PR_SET_NAME, "holm-sockets"); /* for people who look */
	fd_close_from(CONTROL + 1, NULL, 0);
	serve();
}

/* ---- the keeper ---- */

static void end_child(struct native_sockets *s)
{
	source_free(TAKE_PTR(s->source));
	fd_close(TAKE_FD(s->control));
	if (s->idle)
		source_set_timer(s->idle, UINT64_MAX);
	for (size_t i = 0; i < ISOLATION_SOCKETS; i++) {
		s->pools[i].failed |= s->pools[i].asked > 0;
		s->pools[i].asked = 0;
	}
}

/* Lets connections that wait for a socket ask again. */
static void tell_waiters(struct isolation_run *run)
{
	int waited = run->sockets->waited;
	run->sockets->waited = 0;
	if (waited && !run->end.begun)
		run->events.sockets(run->data);
}

static void grow(struct pool *p)
{
	p->wanted = MIN(p->wanted ? p->wanted * GROWTH : POOL_FIRST, (size_t)POOL_MAX);
	p->ran_empty = 0;
}

static void take_answer(struct pool *p, size_t asked, struct fd_pass *got)
{
	p->failed = got->count == 0;
	p->asked -= MIN(asked, p->asked);
	if (p->ran_empty)
		grow(p);
	while (got->count && p->count < POOL_MAX)
		p->fds[p->count++] = got->fds[--got->count];
}

static void on_answer(struct source *source, int fd, uint32_t events, void *data)
{
	struct isolation_run *run = data;
	struct fd_pass got;
	unsigned char question[2] = { 0 };
	ssize_t n = fd_receive_bytes(fd, question, sizeof question, FD_PASS_MAX, &got, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return;
	if (n == sizeof question && question[0] < ISOLATION_SOCKETS)
		take_answer(&run->sockets->pools[question[0]], question[1], &got);
	else
		end_child(run->sockets);
	fd_pass_close(&got);
	tell_waiters(run);
}

static void on_idle(struct source *source, void *data)
{
	struct isolation_run *run = data;
	end_child(run->sockets);
	tell_waiters(run);
}

static int start_child(struct isolation_run *run)
{
	AUTO_ERROR struct error *err = NULL;
	struct native_sockets *s = run->sockets;
	char *argv[] = { "/proc/self/exe", NULL };
	int ends[2];
	int r = fd_socketpair(SOCK_SEQPACKET, ends);
	if (r < 0)
		return r;
	AUTO_FD int ours = ends[0], theirs = ends[1];
	const struct spawn_fd fds[] = { { theirs, CONTROL }, { run->user_namespace, JOIN_USER },
		{ s->init, JOIN_INIT } };
	const struct spawn_options o = { .argv = argv, .fds = fds, .fd_count = ARRAY_SIZE(fds), .in_child = in_child };
	r = native_child_start(run, CHILD_SOCKETS, &o, NULL, &err);
	if (r < 0) {
		log_warning("%s: %s", native_child_name(CHILD_SOCKETS), error_text(err, r));
		return r;
	}
	if (!s->idle)
		r = loop_add_timer(run->loop, UINT64_MAX, on_idle, run, &s->idle);
	if (r >= 0)
		r = loop_add_io(run->loop, ours, EPOLLIN, on_answer, run, &s->source);
	if (r >= 0)
		s->control = TAKE_FD(ours);
	return r;
}

static int ask(struct isolation_run *run, enum isolation_socket kind, size_t count)
{
	struct native_sockets *s = run->sockets;
	const unsigned char question[2] = { (unsigned char)kind, (unsigned char)count };
	int r = s->control < 0 ? start_child(run) : 0;
	if (r < 0)
		return r;
	if (send(s->control, question, sizeof question, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	s->pools[kind].asked += count;
	source_set_timer(s->idle, clock_deadline(IDLE_MS));
	return 0;
}

/* Fills the pool. */
static int ask_for_all(struct isolation_run *run, enum isolation_socket kind)
{
	const struct pool *p = &run->sockets->pools[kind];
	int r = 0;
	while (r == 0 && p->count + p->asked < p->wanted)
		r = ask(run, kind, MIN(p->wanted - p->count - p->asked, (size_t)ASK_MAX));
	return r;
}

static int take_or_ask(struct isolation_run *run, enum isolation_socket kind)
{
	struct pool *p = &run->sockets->pools[kind];
	if (p->count) {
		int fd = p->fds[--p->count];
		if (2 * (p->count + p->asked) < p->wanted && !p->failed)
			(void)ask_for_all(run, kind);
		return fd;
	}
	if (p->failed) {
		p->failed = 0;
		return -EIO;
	}
	p->ran_empty = p->asked > 0;
	if (p->asked)
		return -EAGAIN;
	grow(p);
	int r = ask_for_all(run, kind);
	return r < 0 ? r : -EAGAIN;
}

int native_open_socket(struct isolation_run *run, enum isolation_socket kind)
{
	if (!run->sockets || run->sockets->init < 0 || run->user_namespace < 0 || run->end.begun)
		return -ENOTCONN;
	int r = take_or_ask(run, kind);
	run->sockets->waited |= r == -EAGAIN;
	return r;
}

static void close_all(struct native_sockets *s)
{
	end_child(s);
	fd_close(TAKE_FD(s->init));
	for (size_t i = 0; i < ISOLATION_SOCKETS; i++) {
		struct pool *p = &s->pools[i];
		while (p->count)
			fd_close(p->fds[--p->count]);
		p->failed = p->ran_empty = 0;
		p->wanted = 0;
	}
}

void native_sockets_follow(struct isolation_run *run, int init)
{
	if (!run->sockets) {
		run->sockets = xnew(struct native_sockets);
		*run->sockets = (struct native_sockets){ .init = -1, .control = -1 };
	}
	close_all(run->sockets);
	if (init >= 0)
		run->sockets->init = fcntl(init, F_DUPFD_CLOEXEC, 3);
	tell_waiters(run);
}

void native_sockets_done(struct isolation_run *run)
{
	if (!run->sockets)
		return;
	close_all(run->sockets);
	source_free(run->sockets->idle);
	free(TAKE_PTR(run->sockets));
}
