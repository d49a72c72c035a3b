/* SPDX-License-Identifier: Apache-2.0
 * The broker: one vhost-user connection to QEMU that outlives the workers behind it.
 *
 * Problem. QEMU's vhost-user-fs device does not reconnect. If the process at the other end of its
 * socket dies, each program inside that touches the share hangs until the machine ends. But the
 * process that serves FUSE requests is large and reads what an attacker writes: it may die.
 *
 * Idea. holm-fsd is three processes, and a fourth for an ordinary user (owners.c). The broker owns
 * QEMU's socket and does next to nothing. The holder (holder.c) owns the open files and uses none
 * of them. The worker (device.c) serves the guest and can be replaced. The broker can open no file
 * (Landlock without a rule), leaves the guest's memory unmapped, and has no capability and some
 * thirty system calls.
 *
 * Steps, for each message of QEMU:
 * 1. The broker checks the message (vhost_message.c) and sends it to the worker with NEED_REPLY.
 * 2. The worker carries the message out and replies.
 * 3. The broker notes the message (front.c), and answers QEMU if QEMU wants an answer.
 *
 * If the worker dies instead of replying, the holder starts another one. The broker repeats all
 * noted messages to it, then sends the unanswered one again. The broker notes a message only after
 * a worker has carried it out, so each living worker carries out each message once.
 *
 * Failures. The broker learns of a worker's end from the holder. The socket does not show it: the
 * holder shares the worker's descriptors, so the socket stays open. The broker replaces a worker
 * that a signal killed, BROKER_RESTARTS_MAX times within BROKER_RESTARTS_MS. The next death ends
 * all processes of the share; so does a worker that exits by itself, or the end of holder or
 * broker. The keeper then stops the machine and says why. A request that kills workers does not
 * get that far: REQUEST_ATTEMPTS workers have died at it when request.c answers it with EIO. */
#include "fsd/process/broker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "fsd/process/front.h"
#include "fsd/process/holder.h"

enum {
	SOCKET_TIMEOUT_S = 30, /* for the rest of a started message */
	/* a queue stops only after its last fsync(2), and a process ends only after its system
	 * calls */
	ANSWER_TIMEOUT_MS = 600000,
	END_TIMEOUT_MS = 5000,
};

/* A result of ask_once(), besides 0 and -errno. */
enum { WORKER_DIED = 1 };

struct broker {
	struct loop *loop;
	int socket, control;
	int worker; /* -1: none */
	struct front front;
	uint64_t deaths[BROKER_RESTARTS_MAX]; /* their times, monotonic ms; a ring */
	unsigned death_count;
};

/* Receives the holder's next message. 1, or 0 when the holder has ended. */
static int receive_from_holder(struct broker *b, struct holder_message *ret)
{
	ssize_t n;
	do
		n = recv(b->control, ret, sizeof *ret, 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof *ret;
}

static void worker_close(struct broker *b)
{
	fd_close(b->worker);
	b->worker = -1;
}

/* Learns how the worker ended. 0 when another one may start, -errno when the broker must end. */
static int worker_ended(struct broker *b, struct error **err)
{
	struct holder_message m;
	worker_close(b);
	if (!receive_from_holder(b, &m) || m.kind != HOLDER_ENDED)
		return error_set(err, EIO, "the share's holder process has ended");
	if (!WIFSIGNALED(m.wait_status))
		return error_set(err, EIO, "the share's worker process gave up");
	uint64_t now = clock_now_ms(), *slot = &b->deaths[b->death_count++ % BROKER_RESTARTS_MAX];
	if (b->death_count > BROKER_RESTARTS_MAX && now - *slot < BROKER_RESTARTS_MS)
		return error_set(err, EIO, "signal %d killed the share's worker process, the %dth one within a minute",
		    WTERMSIG(m.wait_status), BROKER_RESTARTS_MAX + 1);
	*slot = now;
	log_warning("signal %d killed the share's worker process; another one continues", WTERMSIG(m.wait_status));
	return 0;
}

/* Sends a message to the worker and waits for its reply. 0, WORKER_DIED, -errno. */
static int ask_once(struct broker *b, const struct vhost_message *m, const int *fds, unsigned count,
    struct vhost_message *ret, struct error **err)
{
	struct vhost_message asked = *m;
	int extra[VHOST_MESSAGE_FDS];
	unsigned extra_count = 0;
	asked.flags |= VHOST_FLAG_NEED_REPLY;
	if (asked.request == VHOST_SET_PROTOCOL_FEATURES)
		asked.payload.number |=
		    VHOST_PROTOCOL_REPLY_ACK; /* between broker and worker, even if QEMU has not negotiated it */
	int r = vhost_message_send(b->worker, &asked, fds, count);
	if (r < 0)
		return error_set_errno(err, r, "cannot write to the share's worker process");
	struct pollfd wait[2] = { { .fd = b->worker, .events = POLLIN }, { .fd = b->control, .events = POLLIN } };
	for (uint64_t deadline = clock_deadline(ANSWER_TIMEOUT_MS);;) {
		uint64_t now = clock_now_ms();
		r = poll(wait, 2, now < deadline ? (int)(deadline - now) : 0);
		if (r == 0)
			return error_set(err, ETIMEDOUT, "the share's worker process does not answer");
		if (r > 0)
			break;
		if (errno != EINTR)
			return error_set_errno(err, errno, "poll");
	}
	if (!wait[0].revents)
		return WORKER_DIED;
	r = vhost_message_receive(b->worker, ret, extra, &extra_count);
	for (unsigned n = 0; r > 0 && n < extra_count; n++)
		fd_close(extra[n]);
	if (r <= 0)
		return WORKER_DIED; /* or about to die: the holder reports how */
	int right =
	    ret->request == m->request && (ret->flags & VHOST_FLAG_REPLY) && ret->size >= sizeof ret->payload.number;
	return right ? 0 : error_set(err, EPROTO, "protocol error: unexpected reply from the share's worker process");
}

struct repeat {
	struct broker *b;
	struct error **err;
};

static int repeat_one(const struct vhost_message *m, int fd, void *data)
{
	struct repeat *p = data;
	struct vhost_message reply;
	return ask_once(p->b, m, &fd, fd >= 0, &reply, p->err);
}

/* Starts a worker, unless one runs, and repeats the recorded messages to it. 0 or -errno. */
static int worker_start(struct broker *b, struct error **err)
{
	while (b->worker < 0) {
		int pair[2];
		int r = fd_socketpair(SOCK_STREAM, pair);
		if (r < 0)
			return error_set_errno(err, r, "cannot make a socket");
		b->worker = pair[0];
		r = fd_send(b->control, &pair[1], 1);
		fd_close(pair[1]);
		if (r < 0)
			return error_set_errno(err, r, "the share's holder process");
		struct repeat p = { b, err };
		r = front_repeat(&b->front, repeat_one, &p);
		if (r == WORKER_DIED)
			r = worker_ended(b, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* As ask_once(), with as many workers as it takes. 0 or -errno. */
static int ask(struct broker *b, const struct vhost_message *m, const int *fds, unsigned count,
    struct vhost_message *ret, struct error **err)
{
	for (;;) {
		int r = worker_start(b, err);
		if (r == 0)
			r = ask_once(b, m, fds, count, ret, err);
		if (r != WORKER_DIED)
			return r;
		r = worker_ended(b, err);
		if (r < 0)
			return r;
	}
}

/* 1 if the protocol defines a reply to the request, else 0. */
static int has_reply(uint32_t request)
{
	return request == VHOST_GET_FEATURES || request == VHOST_GET_PROTOCOL_FEATURES ||
	       request == VHOST_GET_QUEUE_NUM || request == VHOST_GET_VRING_BASE || request == VHOST_GET_MAX_MEM_SLOTS;
}

/* Serves one message of QEMU. 1, 0 at the end of the connection, -errno. */
static int serve_message(struct broker *b, struct error **err)
{
	struct vhost_message m, reply;
	int fds[VHOST_MESSAGE_FDS];
	unsigned count = 0;
	int r = vhost_message_receive(b->socket, &m, fds, &count);
	if (r == 0)
		return 0;
	if (r < 0)
		return error_set_errno(err, -r, "vhost-user: a message that cannot be read");
	r = vhost_message_check(&m, count, err);
	if (r == 0)
		r = ask(b, &m, fds, count, &reply, err);
	if (r == 0)
		r = front_note(&b->front, &m, fds, count);
	for (unsigned n = 0; n < count; n++)
		fd_close(fds[n]);
	int acknowledge = (m.flags & VHOST_FLAG_NEED_REPLY) && (b->front.protocol_features & VHOST_PROTOCOL_REPLY_ACK);
	if (r == 0 && (has_reply(m.request) || acknowledge))
		r = vhost_message_send(b->socket, &reply, NULL, 0);
	return r < 0 ? error_prefix(err, r, "the connection to QEMU") : 1;
}

static void end(struct broker *b, int r, struct error *err)
{
	if (r < 0)
		log_error("%s", error_text(err, r));
	loop_exit(b->loop, r < 0);
}

static void on_qemu(struct source *source, int fd, uint32_t events, void *data)
{
	struct broker *b = data;
	AUTO_ERROR struct error *err = NULL;
	int r = serve_message(b, &err);
	if (r <= 0)
		end(b, r, err);
}

/* The worker died while it served the guest, between messages of QEMU. */
static void on_holder(struct source *source, int fd, uint32_t events, void *data)
{
	struct broker *b = data;
	AUTO_ERROR struct error *err = NULL;
	struct pollfd still = { .fd = fd, .events = POLLIN };
	if (poll(&still, 1, 0) == 0)
		return; /* an ask() in the same turn has read the message */
	int r = worker_ended(b, &err);
	if (r == 0)
		r = worker_start(b, &err);
	if (r < 0)
		end(b, r, err);
}

static int wait_for_holder(struct broker *b, struct error **err)
{
	struct holder_message m;
	if (!receive_from_holder(b, &m) || m.kind != HOLDER_READY)
		return error_set(err, ECANCELED, "the share cannot be served"); /* the holder has logged why */
	return 0;
}

/* QEMU has closed: lets the worker finish its requests. */
static void stop_worker(struct broker *b)
{
	struct holder_message m;
	if (b->worker < 0)
		return;
	worker_close(b);
	if (fd_wait(b->control, POLLIN, clock_deadline(END_TIMEOUT_MS)) > 0)
		(void)receive_from_holder(b, &m);
}

static int set_up(struct broker *b, struct error **err)
{
	struct timeval limit = { .tv_sec = SOCKET_TIMEOUT_S }, answer = { .tv_sec = ANSWER_TIMEOUT_MS / 1000 };
	int r = fd_set_nonblocking(b->socket, 0);
	if (r == 0 && (setsockopt(b->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
			  setsockopt(b->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
			  setsockopt(b->control, SOL_SOCKET, SO_RCVTIMEO, &answer, sizeof answer) < 0))
		r = -errno;
	if (r < 0)
		return error_set_errno(err, r, "descriptor %d is not a connection to QEMU", b->socket);
	r = loop_new(&b->loop);
	return r < 0 ? error_set_errno(err, r, "cannot make an event loop") : 0;
}

int broker_run(int socket, int control, int (*before_loop)(struct error **err), struct error **err)
{
	struct broker b = { .socket = socket, .control = control, .worker = -1 };
	CLEANUP(source_freep) struct source *qemu = NULL, *holder = NULL;
	front_init(&b.front);
	int r;
	if ((r = set_up(&b, err)) == 0 && (r = wait_for_holder(&b, err)) == 0 &&
	    (r = loop_add_io(b.loop, socket, EPOLLIN, on_qemu, &b, &qemu)) == 0 &&
	    (r = loop_add_io(b.loop, control, EPOLLIN, on_holder, &b, &holder)) == 0 &&
	    (!before_loop || (r = before_loop(err)) == 0) && (r = worker_start(&b, err)) == 0 &&
	    (r = loop_run(b.loop)) == 0)
		stop_worker(&b);
	worker_close(&b);
	front_done(&b.front);
	source_free(TAKE_PTR(qemu));
	source_free(TAKE_PTR(holder));
	loop_free(b.loop);
	return r;
}
