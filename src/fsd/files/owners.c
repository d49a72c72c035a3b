/* SPDX-License-Identifier: Apache-2.0
 * One request at a time, one packet each way. A sequence number keeps a late reply from being taken
 * for the next one. Both processes hold both ends of the socket, so no end of file comes when one
 * of them dies; a pidfd reports that. The state that a later worker needs lies in shared memory. */
#include "fsd/files/owners.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "fsd/files/shared.h"

const char owners_no_path[1] = "";

enum { START_MS = 30000 };
enum question_kind { LOOK_UP = 1, CHANGE_GROUP = 2 };

struct question {
	uint32_t sequence;
	int32_t kind, fd;
	uint32_t gid;
};

struct answer {
	uint32_t sequence;
	int32_t result; /* 0 or -errno */
	struct owner owner;
};

struct owners_shared {
	uint32_t sequence; /* of the last request */
	uint32_t ended, said;
	uint64_t pause_until_ms;
};

/* --- the process --- */

/* fstat(2) as a system call: libc's fstat() may be newfstatat(2), which takes a path. */
static int32_t carry_out(const struct question *q, int may_change, struct owner *ret)
{
	struct stat st;
	if (q->kind == CHANGE_GROUP && may_change)
		return syscall(SYS_fchownat, q->fd, owners_no_path, (long)(uid_t)-1, (long)q->gid,
			   (long)AT_EMPTY_PATH) < 0 ?
			   -errno :
			   0;
	if (q->kind != LOOK_UP)
		return -EINVAL;
	if (syscall(SYS_fstat, q->fd, &st) < 0)
		return -errno;
	*ret = (struct owner){ st.st_uid, st.st_gid };
	return 0;
}

static void answer(int socket, int may_change)
{
	struct question q;
	if (recv(socket, &q, sizeof q, MSG_DONTWAIT) != (ssize_t)sizeof q)
		return;
	struct answer a = { .sequence = q.sequence };
	a.result = carry_out(&q, may_change, &a.owner);
	(void)!send(socket, &a, sizeof a, MSG_NOSIGNAL | MSG_DONTWAIT); /* if it does not fit, nobody waits any more */
}

/* Serves requests until the parent has ended. The parent-death signal alone is not enough:
 * Landlock's scopes suppress it when the parent has confined itself further. */
static void answer_questions(const struct owners *o, int may_change)
{
	struct pollfd wait[2] = { { .fd = o->answering, .events = POLLIN }, { .fd = o->parent, .events = POLLIN } };
	for (;;) {
		int r = poll(wait, 2, -1);
		if (r < 0 && errno != EINTR)
			return;
		if (r > 0 && (wait[1].revents || (wait[0].revents & ~POLLIN)))
			return;
		if (r > 0)
			answer(o->answering, may_change);
	}
}

/* The process's main function. Never returns. */
static void run(const struct owners *o, pid_t parent, int may_change,
    int (*confine)(int may_change, struct error **err))
{
	AUTO_ERROR struct error *err = NULL;
	const struct answer ready = { 0 };
	(void)prctl(PR_SET_NAME, "holm-fsd-owners");
	int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ? -ESRCH : 0;
	if (r == 0 && confine)
		r = confine(may_change, &err);
	if (r == 0 && send(o->answering, &ready, sizeof ready, MSG_NOSIGNAL) < 0)
		r = -errno;
	if (r < 0)
		log_error("the owner lookup process failed: %s", error_text(err, r));
	else
		answer_questions(o, may_change);
	_exit(r < 0 ? EXIT_HOLM : 0);
}

/* Receives the reply to the last request. 0, -ETIMEDOUT, -ESRCH when the process has ended. */
static int wait_for_answer(const struct owners *o, uint64_t in_ms, struct answer *ret)
{
	struct pollfd wait[2] = { { .fd = o->asking, .events = POLLIN }, { .fd = o->process, .events = POLLIN } };
	for (uint64_t deadline = clock_deadline(in_ms);;) {
		int r = poll(wait, 2, clock_left_ms(deadline));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0 && wait[0].revents) {
			ssize_t n = recv(o->asking, ret, sizeof *ret, MSG_DONTWAIT);
			if (n == (ssize_t)sizeof *ret && ret->sequence == o->shared->sequence)
				return 0;
		} else if (r > 0)
			return -ESRCH;
		if (clock_left_ms(deadline) == 0)
			return -ETIMEDOUT;
	}
}

static uint32_t read_id(const char *path)
{
	AUTOFREE char *text = NULL;
	uint32_t id = 0;
	if (path_read_file(path, 64, &text, NULL) < 0)
		return 65534; /* the kernel's default */
	text[strcspn(text, "\n")] = 0;
	return parse_u32(text, &id) < 0 ? 65534 : id;
}

int owners_start(struct owners *o, int may_change, int (*confine)(int may_change, struct error **err),
    struct error **err)
{
	int pair[2];
	pid_t self = getpid();
	*o = (struct owners){
		.asking = -1,
		.answering = -1,
		.process = -1,
		.parent = -1,
		.shared = shared_new(sizeof(struct owners_shared)),
	};
	if (!o->shared)
		return error_set(err, ENOMEM, "out of memory for the owner lookup process");
	o->overflow_uid = read_id("/proc/sys/kernel/overflowuid");
	o->overflow_gid = read_id("/proc/sys/kernel/overflowgid");
	int r = fd_socketpair(SOCK_SEQPACKET, pair);
	if (r < 0) {
		owners_stop(o);
		return error_set_errno(err, r, "cannot make a socket");
	}
	o->asking = pair[0];
	o->answering = pair[1];
	o->parent = (int)syscall(SYS_pidfd_open, self, 0);
	/* fork(2) with a shared table of descriptors. There is one thread, so no lock of libc can
	 * be held. */
	o->pid = o->parent < 0 ? -1 : (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (o->pid == 0)
		run(o, self, may_change, confine);
	if (o->pid > 0)
		o->process = (int)syscall(SYS_pidfd_open, o->pid, 0);
	if (o->pid < 0 || o->process < 0) {
		r = -errno;
		owners_stop(o);
		return error_set_errno(err, r, "cannot start a process");
	}
	/* Until then the process opens and closes descriptors of its own, and in the shared table
	 * their numbers could collide with ours. */
	struct answer ready;
	r = wait_for_answer(o, START_MS, &ready);
	if (r < 0) {
		owners_stop(o);
		return error_set_errno(err, r, "cannot start the owner lookup process");
	}
	return 0;
}

void owners_stop(struct owners *o)
{
	if (o->pid > 0) {
		kill(o->pid, SIGKILL);
		while (waitpid(o->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	fd_close(o->asking);
	fd_close(o->answering);
	fd_close(o->process);
	fd_close(o->parent);
	shared_free(o->shared, sizeof *o->shared);
	*o = (struct owners){ .asking = -1, .answering = -1, .process = -1, .parent = -1 };
}

/* --- requests to it --- */

static int give_up(struct owners *o, int error)
{
	struct question q;
	/* Takes the request back if the process has not read it: later its descriptor number may
	 * belong to another file. */
	(void)!recv(o->answering, &q, sizeof q, MSG_DONTWAIT);
	o->shared->ended |= error == -ESRCH;
	o->shared->pause_until_ms = clock_now_ms() + OWNERS_PAUSE_MS;
	if (!o->shared->said)
		log_warning("the owner lookup process %s: files of others show as nobody's",
		    error == -ESRCH ? "has ended" : "does not answer");
	o->shared->said = 1;
	return error;
}

static int ask(struct owners *o, struct question *q, struct answer *ret)
{
	struct owners_shared *s = o->shared;
	if (s->ended || (s->pause_until_ms && clock_now_ms() < s->pause_until_ms))
		return -ESRCH;
	q->sequence = ++s->sequence;
	ssize_t n = send(o->asking, q, sizeof *q, MSG_NOSIGNAL | MSG_DONTWAIT);
	int r = n < 0 ? -errno : wait_for_answer(o, OWNERS_TIMEOUT_MS, ret);
	return r < 0 ? give_up(o, r) : ret->result;
}

int owners_ask(struct owners *o, int fd, struct owner *ret)
{
	struct question q = { .kind = LOOK_UP, .fd = fd };
	struct answer a;
	int r = ask(o, &q, &a);
	if (r == 0)
		*ret = a.owner;
	return r;
}

int owners_change_group(struct owners *o, int fd, uint32_t gid)
{
	struct question q = { .kind = CHANGE_GROUP, .fd = fd, .gid = gid };
	struct answer a;
	return ask(o, &q, &a);
}
