/* SPDX-License-Identifier: Apache-2.0
 * The device: transport (vhost_user.c) | rings (virtqueue.c) | requests (request.c) | handlers.
 * Each part knows only the next one, and this file ties them to the worker's loop.
 *
 * Problem. The guest waits for most answers, so each kick, interrupt and sleep counts. Some
 * requests (fsync, copies) take long and must not hold up the others. The guest's memory can
 * change, and a queue can stop, while requests are under way.
 *
 * Idea. A request is served at once, in the loop, unless it can take long. Then it becomes a job
 * for a thread, and the loop finishes it later. Handlers see a request and pieces of memory, never
 * a ring.
 *
 * Steps:
 * 1. A kick makes the loop take up to BUDGET requests of that queue; then other events have their
 *    turn.
 * 2. Before it sleeps, the worker looks for the next request for a moment, if polling has paid
 *    lately (polling.h). The guest sends no kick until the worker has announced that it sleeps.
 * 3. FORGETs have their own queue, and the guest waits for none of them. After a kick the worker
 *    polls that queue every FORGETS_MS until it is empty, and sends one interrupt for each turn:
 *    each kick and each interrupt would take the guest's time.
 * 4. A job keeps its request, with the pieces of guest memory that it points to, until a thread is
 *    done.
 * 5. A request for a lock that another process holds waits in a list. The worker tries it again
 *    when this guest gives up a lock, and every RETRY_FIRST_MS to RETRY_LAST_MS: nobody reports the
 *    host's locks.
 *
 * Failures. Before a queue stops or the memory changes, the worker waits for all jobs and answers
 * them. So no request outlives the memory that it points to. Requests that wait for locks go back
 * to the queue if the memory changes, and get ENOLCK if the queue ends. A guest that breaks the
 * rules of a ring gets no more service from that queue until it resets the device. The worker first
 * serves what a dead worker took and did not answer (takeover.c). */
#include "fsd/vhost/device.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "fsd/request/request.h"
#include "fsd/vhost/polling.h"
#include "fsd/vhost/vhost_user.h"
#include "fsd/vhost/worker.h"

enum {
	BUDGET = 32,           /* requests of one queue per turn */
	FORGETS = 0,           /* the high-priority queue, which carries FORGETs */
	REQUESTS = 1,          /* the request queue */
	FORGETS_MS = 10,       /* between two turns of FORGETS while it is not empty */
	FORGETS_MANY = 64,     /* in one turn: the next comes sooner, so that the queue does not fill */
	LOOKS = 32,            /* polls between two reads of the clock */
	SOCKET_TIMEOUT_S = 30, /* for the rest of a started message */
	INODES_MIN = 1 << 16,
	/* between two attempts at a lock that a process of the host holds, doubling each time: no
	 * event reports its release */
	RETRY_FIRST_MS = 2,
	RETRY_LAST_MS = 100,
	GUEST_BYTES_PER_INODE = 1024, /* an honest Linux spends more on each inode */
};
_Static_assert((int)CHAIN_PIECES <= (int)REQUEST_PIECES_MAX, "a chain is one request");

/* A request with its buffers. Slots are reused. */
struct slot {
	struct request request;
	struct chain chain;
	struct work work;
	unsigned queue;
	struct slot *next;
};

struct device {
	struct loop *loop;
	struct share *share;
	int socket;
	struct vhost_device vhost;
	struct worker worker;
	struct source *socket_source, *worker_source, *kick_sources[VHOST_QUEUES];
	struct source *forgets_source;          /* armed while the queue is polled */
	unsigned forgets;                       /* taken since the last turn */
	int gathers_interrupts, owes_interrupt; /* during a turn of FORGETS */
	struct source *pins_source;             /* armed while there are pins */
	int pins_armed;
	struct slot *free_slots;
	struct polling polling;
	/* Requests for taken locks, the oldest first. */
	struct slot *waiting, **waiting_end;
	unsigned waiting_count, lock_releases; /* the share's count at the last attempt */
	uint64_t retry_ms;
	struct source *retry;
};

static struct slot *slot_take(struct device *d)
{
	struct slot *s = d->free_slots;
	if (!s)
		return xnew(struct slot);
	d->free_slots = s->next;
	return s;
}

static void slot_give(struct device *d, struct slot *s)
{
	s->next = d->free_slots;
	d->free_slots = s;
}

/* Returns a finished request to the guest. */
static void complete(struct device *d, struct slot *s)
{
	struct vhost_queue *q = &d->vhost.queues[s->queue];
	int wanted = virtqueue_push(&q->ring, s->chain.head, (uint32_t)s->request.written);
	if (wanted && d->gathers_interrupts && s->queue == FORGETS)
		d->owes_interrupt = 1;
	else if (wanted)
		vhost_queue_interrupt(q);
	slot_give(d, s);
}

#define CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* Runs on a worker thread. */
static void run_job(struct work *w)
{
	struct job *j = &CONTAINER(w, struct slot, work)->request.job;
	j->result = j->run(j);
}

static void defer(struct share *s, struct request *q)
{
	struct device *d = s->defer_data;
	struct slot *slot = CONTAINER(q, struct slot, request);
	slot->work.run = run_job;
	worker_submit(&d->worker, &slot->work);
}

static void finish_job(struct device *d, struct work *w)
{
	struct slot *s = CONTAINER(w, struct slot, work);
	request_finish(&s->request);
	complete(d, s);
}

static void on_jobs_done(struct source *source, int fd, uint32_t events, void *data)
{
	struct device *d = data;
	uint64_t count;
	(void)!read(fd, &count, sizeof count);
	for (struct work *w; (w = worker_take(&d->worker));)
		finish_job(d, w);
}

/* --- waiting for locks --- */

static int wait_for_lock(struct share *s, struct request *q)
{
	struct device *d = s->defer_data;
	struct slot *slot = CONTAINER(q, struct slot, request);
	if (d->waiting_count == LOCK_WAITERS_MAX)
		return -ENOLCK;
	slot->next = NULL;
	*d->waiting_end = slot;
	d->waiting_end = &slot->next;
	d->waiting_count++;
	d->retry_ms = RETRY_FIRST_MS;
	(void)source_set_timer(d->retry, clock_now_ms() + d->retry_ms);
	return REQUEST_LATER;
}

/* Tries the waiting requests in turn. `last` answers all of them. */
static void retry_locks(struct device *d, int last)
{
	struct slot **p = &d->waiting;
	d->lock_releases = d->share->locks.released;
	while (*p) {
		struct slot *s = *p;
		if (request_try_lock(&s->request, last) < 0) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		d->waiting_count--;
		complete(d, s);
	}
	d->waiting_end = p;
}

/* Returns the waiting requests to their queues, which are taken again from there: their buffers may
 * be unmapped. */
static void leave_waiting(struct device *d)
{
	uint64_t one = 1;
	for (struct slot *s = d->waiting, *next; s; s = next) {
		next = s->next;
		struct vhost_queue *q = &d->vhost.queues[s->queue];
		virtqueue_leave(&q->ring);
		(void)!write(q->kick, &one, sizeof one);
		slot_give(d, s);
	}
	d->waiting = NULL;
	d->waiting_end = &d->waiting;
	d->waiting_count = 0;
}

static void on_retry(struct source *source, void *data)
{
	struct device *d = data;
	retry_locks(d, 0);
	d->retry_ms = MIN(d->retry_ms * 2, (uint64_t)RETRY_LAST_MS);
	if (d->waiting)
		(void)source_set_timer(source, clock_now_ms() + d->retry_ms);
}

static void report_broken(struct vhost_queue *q)
{
	uint64_t one = 1;
	log_error("the guest violated the rules of a queue: %s; the queue stops until the machine resets it",
	    q->ring.broken);
	if (q->error >= 0)
		(void)!write(q->error, &one, sizeof one);
}

/* Closes expired pins, even if no further request comes. */
static void on_pins_due(struct source *source, void *data)
{
	struct device *d = data;
	uint64_t next = pins_trim(&d->share->inodes.pins);
	d->pins_armed = next != 0;
	if (next)
		(void)source_set_timer(source, next);
}

static void watch_pins(struct device *d)
{
	if (d->pins_armed || !d->share->inodes.pins.count)
		return;
	d->pins_armed = 1;
	(void)source_set_timer(d->pins_source, clock_now_ms() + PINS_MS);
}

/* Carries out the request whose chain is in the slot. */
static void serve(struct device *d, unsigned index, struct slot *s)
{
	s->queue = index;
	s->request = (struct request){
		.share = d->share,
		.in = s->chain.pieces,
		.in_count = s->chain.in_count,
		.out = s->chain.pieces + s->chain.in_count,
		.out_count = s->chain.out_count,
		.flight = virtqueue_flight(&d->vhost.queues[index].ring, s->chain.head),
	};
	if (request_serve(&s->request) == 0)
		complete(d, s);
	if (d->waiting && d->lock_releases != d->share->locks.released)
		retry_locks(d, 0);
	watch_pins(d);
}

/* Serves first the requests that a dead worker took and did not answer. 0 or -EPROTO. */
static int serve_left(struct device *d, unsigned index)
{
	struct vhost_queue *q = &d->vhost.queues[index];
	for (;;) {
		struct slot *s = slot_take(d);
		int r = virtqueue_pop_left(&q->ring, &d->vhost.memory, &s->chain);
		if (r <= 0) {
			slot_give(d, s);
			return r;
		}
		request_undo(d->share, virtqueue_flight(&q->ring, s->chain.head));
		serve(d, index, s);
	}
}

static void before_change(struct vhost_device *v, void *data)
{
	struct device *d = data;
	for (unsigned n = 0; n < VHOST_QUEUES; n++)
		if (v->queues[n].started && !v->queues[n].ring.broken)
			(void)serve_left(d, n);
	for (struct work *w; (w = worker_wait(&d->worker));)
		finish_job(d, w);
	if (v->stopping || !v->queues[0].ring.ledger)
		retry_locks(d, 1);
	else
		leave_waiting(d);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Polls for the next request for a moment, if that pays. 1 if there is one, else 0. */
static int poll_ring(struct device *d, const struct virtqueue *ring)
{
	if (!polling_pays(&d->polling))
		return 0;
	int found = 0;
	for (uint64_t end = now_ns() + POLLING_NS; !found && now_ns() < end;)
		for (int n = 0; n < LOOKS && !(found = virtqueue_has_more(ring)); n++)
			relax();
	polling_note(&d->polling, found);
	return found;
}

/* The queue is empty after n requests in this turn. 1 if another request has arrived, else 0, and
 * the next one kicks or a timer polls. */
static int wait_for_more(struct device *d, unsigned index, int n)
{
	struct virtqueue *ring = &d->vhost.queues[index].ring;
	if (index == FORGETS && d->forgets > 0) {
		(void)source_set_timer(d->forgets_source,
		    clock_now_ms() + (d->forgets > FORGETS_MANY ? 1 : FORGETS_MS));
		d->forgets = 0;
		return 0;
	}
	return (n > 0 && index == REQUESTS && poll_ring(d, ring)) || virtqueue_want_kick(ring);
}

/* Serves at most BUDGET requests of a queue. */
static void serve_queue(struct device *d, unsigned index)
{
	struct vhost_queue *q = &d->vhost.queues[index];
	if (serve_left(d, index) < 0) {
		report_broken(q);
		return;
	}
	for (int n = 0; n < BUDGET; n++) {
		struct slot *s = slot_take(d);
		int r = virtqueue_pop(&q->ring, &d->vhost.memory, &s->chain);
		if (r <= 0) {
			slot_give(d, s);
			if (r < 0)
				report_broken(q);
			if (r < 0 || !wait_for_more(d, index, n))
				return;
			continue;
		}
		d->forgets += index == FORGETS;
		serve(d, index, s);
	}
	uint64_t one = 1;
	(void)!write(q->kick, &one, sizeof one); /* serves the rest in the next turn */
}

static void serve_forgets(struct device *d)
{
	struct vhost_queue *q = &d->vhost.queues[FORGETS];
	d->gathers_interrupts = 1;
	serve_queue(d, FORGETS);
	d->gathers_interrupts = 0;
	if (d->owes_interrupt)
		vhost_queue_interrupt(q);
	d->owes_interrupt = 0;
}

static void on_forgets_due(struct source *source, void *data)
{
	struct device *d = data;
	const struct vhost_queue *q = &d->vhost.queues[FORGETS];
	if (q->started && !q->ring.broken)
		serve_forgets(d);
}

static void on_kick(struct source *source, int fd, uint32_t events, void *data)
{
	struct device *d = data;
	unsigned index = source == d->kick_sources[1];
	if (events & (EPOLLERR | EPOLLHUP)) {
		(void)source_set_events(source, 0);
		return;
	}
	struct vhost_queue *q = &d->vhost.queues[index];
	if (!q->started || q->ring.broken)
		return;
	if (index == FORGETS)
		serve_forgets(d);
	else
		serve_queue(d, index);
}

static void queue_changed(struct vhost_device *v, unsigned index, void *data)
{
	struct device *d = data;
	struct vhost_queue *q = &v->queues[index];
	source_free(d->kick_sources[index]);
	d->kick_sources[index] = NULL;
	uint64_t inodes = guest_memory_size(&v->memory) / GUEST_BYTES_PER_INODE, one = 1;
	inode_table_set_max(&d->share->inodes, MIN(MAX(inodes, (uint64_t)INODES_MIN), (uint64_t)SHARE_INODES_MAX));
	if (!q->started)
		return;
	/* Edge-triggered, so the counter of kicks need not be read. */
	int r = loop_add_io(d->loop, q->kick, EPOLLIN | EPOLLET, on_kick, d, &d->kick_sources[index]);
	if (r < 0) {
		log_error("cannot watch a queue of the guest: %s", strerror(-r));
		loop_exit(d->loop, 1);
	}
	(void)!write(q->kick, &one, sizeof one); /* requests may be there already */
	vhost_queue_interrupt(q);                /* and so may replies without an interrupt */
}

static void on_message(struct source *source, int fd, uint32_t events, void *data)
{
	struct device *d = data;
	AUTO_ERROR struct error *err = NULL;
	int r = vhost_device_receive(&d->vhost, fd, &err);
	if (r < 0)
		log_error("%s", error_text(err, r));
	if (r <= 0)
		loop_exit(d->loop, r < 0);
}

/* Limits the wait for the rest of a message. 0 or -errno. */
static int limit_socket(int socket)
{
	struct timeval limit = { .tv_sec = SOCKET_TIMEOUT_S };
	int r = fd_set_nonblocking(socket, 0);
	if (r < 0)
		return r;
	if (setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
	    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
		return -errno;
	return 0;
}

static int add_sources(struct device *d, struct error **err)
{
	struct loop *l = d->loop;
	int r = limit_socket(d->socket);
	if (r < 0)
		return error_set_errno(err, r, "descriptor %d is not a connection to QEMU", d->socket);
	if ((r = worker_init(&d->worker, err)) < 0 ||
	    (r = loop_add_io(l, d->socket, EPOLLIN, on_message, d, &d->socket_source)) < 0 ||
	    (r = loop_add_timer(l, UINT64_MAX, on_retry, d, &d->retry)) < 0 ||
	    (r = loop_add_io(l, d->worker.event, EPOLLIN, on_jobs_done, d, &d->worker_source)) < 0 ||
	    (r = loop_add_timer(l, UINT64_MAX, on_pins_due, d, &d->pins_source)) < 0)
		return r;
	return loop_add_timer(l, UINT64_MAX, on_forgets_due, d, &d->forgets_source);
}

int device_new(struct loop *l, struct share *s, struct ledger *ledger, int socket, struct device **ret,
    struct error **err)
{
	struct device *d = xnew(struct device);
	*d = (struct device){ .loop = l, .share = s, .socket = socket, .worker = { .event = -1 } };
	d->waiting_end = &d->waiting;
	vhost_device_init(&d->vhost);
	if (ledger)
		vhost_device_use_ledger(&d->vhost, ledger);
	d->vhost.before_change = before_change;
	d->vhost.queue_changed = queue_changed;
	d->vhost.data = d;
	int r = add_sources(d, err);
	if (r < 0) {
		device_free(d);
		return r;
	}
	s->defer = defer;
	s->defer_data = d;
	s->wait = wait_for_lock;
	*ret = d;
	return 0;
}

void device_free(struct device *d)
{
	if (!d)
		return;
	before_change(&d->vhost, d);
	if (d->worker.event >= 0)
		worker_done(&d->worker);
	source_free(d->socket_source);
	source_free(d->worker_source);
	source_free(d->retry);
	source_free(d->pins_source);
	source_free(d->forgets_source);
	for (unsigned n = 0; n < VHOST_QUEUES; n++)
		source_free(d->kick_sources[n]);
	vhost_device_done(&d->vhost);
	for (struct slot *s = d->free_slots, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	d->share->defer = NULL;
	d->share->wait = NULL;
	free(d);
}
