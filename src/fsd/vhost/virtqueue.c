/* SPDX-License-Identifier: Apache-2.0
 * The ring.
 *
 * Hostile guests. The guest writes to the same memory while the device reads. So each field is read
 * once, by an atomic load into a local variable, and checked there. A chain has at most as many
 * descriptors as the queue has entries, which also ends loops. Readable buffers come before
 * writable ones, and each buffer lies in the memory table. A queue whose guest violates that stops,
 * as with a real device, until the driver resets it.
 *
 * Exactly once. The ledger records a request as taken before it counts it, and as returned after
 * the used index has gone up. So the next worker finds at most one request recorded too early,
 * whose order is above the count. It finds at most one recorded too late: the used index is one
 * ahead of the ledger's, and `pushing` names the request. */
#include "fsd/vhost/virtqueue.h"

#include <errno.h>

#include "base/macros.h"
#include "fsd/files/shared.h"

_Static_assert((int)LEDGER_FLIGHTS == (int)VIRTQUEUE_MAX, "each chain has a record in the ledger");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the rings are little-endian");

#define LOAD(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define LOAD_ACQUIRE(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define STORE_RELEASE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define BARRIER() __atomic_thread_fence(__ATOMIC_SEQ_CST)

void virtqueue_start(struct virtqueue *q, uint16_t base, int event_idx)
{
	q->next_avail = base;
	q->next_used = LOAD(&q->used->idx);
	q->in_flight = 0;
	q->signalled_valid = 0;
	q->event_idx = !!event_idx;
	q->broken = NULL;
	q->left = q->left_last = 0;
	struct ledger_queue *l = q->ledger;
	if (!l)
		return;
	SHARED_SET(l->running, 0U);
	for (unsigned n = 0; n < LEDGER_FLIGHTS; n++)
		if (l->flights[n].order)
			l->flights[n].order = 0;
	l->used = q->next_used;
	SHARED_SET(l->count, (uint64_t)base);
	SHARED_SET(l->running, 1U);
}

static int break_queue(struct virtqueue *q, const char *why)
{
	q->broken = why;
	return -EPROTO;
}

void virtqueue_resume(struct virtqueue *q, int event_idx)
{
	struct ledger_queue *l = q->ledger;
	q->signalled_valid = 0;
	q->event_idx = !!event_idx;
	q->broken = NULL;
	q->left = q->left_last = 0;
	q->in_flight = 0;
	q->next_avail = (uint16_t)l->count;
	q->next_used = LOAD(&q->used->idx);
	if (q->next_used == (uint16_t)(l->used + 1)) {
		SHARED_SET(l->flights[l->pushing % LEDGER_FLIGHTS].order, (uint64_t)0);
		SHARED_SET(l->used, q->next_used);
	}
	for (unsigned n = 0; n < LEDGER_FLIGHTS; n++) {
		struct flight *f = &l->flights[n];
		if (f->order > l->count)
			f->order = 0; /* recorded, but not started: it is taken again from the ring */
		q->in_flight += f->order != 0;
		q->left_last = MAX(q->left_last, f->order);
	}
	if (q->next_used != l->used)
		break_queue(q, "a used index that is not the device's");
}

void virtqueue_leave(struct virtqueue *q)
{
	q->left = q->left_last = 0;
	for (unsigned n = 0; q->ledger && n < LEDGER_FLIGHTS; n++)
		q->left_last = MAX(q->left_last, q->ledger->flights[n].order);
}

void virtqueue_start_or_resume(struct virtqueue *q, uint16_t base, int event_idx)
{
	if (q->ledger && q->ledger->running)
		virtqueue_resume(q, event_idx);
	else
		virtqueue_start(q, base, event_idx);
}

void virtqueue_stop(struct virtqueue *q)
{
	if (q->ledger)
		SHARED_SET(q->ledger->running, 0U);
}

struct flight *virtqueue_flight(struct virtqueue *q, uint16_t head)
{
	return q->ledger ? &q->ledger->flights[head % LEDGER_FLIGHTS] : NULL;
}

/* Adds one descriptor's buffer to the chain. 0 or -EPROTO. */
static int chain_add(struct virtqueue *q, const struct guest_memory *m, const struct vring_desc *d, struct chain *c)
{
	unsigned count = c->in_count + c->out_count;
	if (d->flags & VRING_DESC_F_INDIRECT)
		return break_queue(q, "an indirect descriptor, which was not negotiated");
	if (d->len == 0)
		return break_queue(q, "an empty buffer");
	if (!(d->flags & VRING_DESC_F_WRITE) && c->out_count > 0)
		return break_queue(q, "a readable buffer after a writable one");
	int n = guest_memory_describe(m, d->addr, d->len, c->pieces + count, CHAIN_PIECES - count);
	if (n < 0)
		return break_queue(q,
		    n == -E2BIG ? "a chain of too many pieces" : "a buffer outside the guest's memory");
	if (d->flags & VRING_DESC_F_WRITE)
		c->out_count += (unsigned)n;
	else
		c->in_count += (unsigned)n;
	return 0;
}

static int chain_read(struct virtqueue *q, const struct guest_memory *m, uint16_t index, struct chain *c)
{
	c->in_count = c->out_count = 0;
	for (unsigned n = 0; n < q->size; n++) {
		if (index >= q->size)
			return break_queue(q, "a descriptor outside the table");
		const struct vring_desc *from = &q->desc[index];
		struct vring_desc d = { LOAD(&from->addr), LOAD(&from->len), LOAD(&from->flags), LOAD(&from->next) };
		int r = chain_add(q, m, &d, c);
		if (r < 0)
			return r;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		index = d.next;
	}
	return break_queue(q, "a chain that does not end");
}

int virtqueue_pop_left(struct virtqueue *q, const struct guest_memory *m, struct chain *c)
{
	struct flight *next = NULL;
	for (unsigned n = 0; q->left < q->left_last && n < LEDGER_FLIGHTS; n++) {
		struct flight *f = &q->ledger->flights[n];
		if (f->order > q->left && f->order <= q->left_last && (!next || f->order < next->order))
			next = f;
	}
	if (!next)
		return 0;
	if (q->broken)
		return -EPROTO;
	q->left = next->order;
	c->head = (uint16_t)(next - q->ledger->flights);
	int r = chain_read(q, m, c->head, c);
	return r < 0 ? r : 1;
}

static int note_taken(struct virtqueue *q, uint16_t head)
{
	struct flight *f = virtqueue_flight(q, head);
	if (!f)
		return 0;
	if (f->order)
		return break_queue(q, "a request that is in flight already");
	*f = (struct flight){ 0 };
	SHARED_SET(f->order, q->ledger->count + 1);
	SHARED_SET(q->ledger->count, q->ledger->count + 1);
	return 0;
}

static void note_returned(struct virtqueue *q, uint16_t head)
{
	if (!q->ledger)
		return;
	SHARED_SET(q->ledger->flights[head % LEDGER_FLIGHTS].order, (uint64_t)0);
	SHARED_SET(q->ledger->used, q->next_used);
}

int virtqueue_pop(struct virtqueue *q, const struct guest_memory *m, struct chain *c)
{
	if (q->broken)
		return -EPROTO;
	uint16_t pending = (uint16_t)(LOAD_ACQUIRE(&q->avail->idx) - q->next_avail);
	if (pending == 0)
		return 0;
	if (pending > q->size)
		return break_queue(q, "an available index that jumps");
	/* Each request has at least one descriptor. A guest with more in flight uses some twice,
	 * and could make the device hold any number of requests. */
	if (q->in_flight >= q->size)
		return break_queue(q, "more requests at once than there are descriptors");
	c->head = LOAD(&q->avail->ring[q->next_avail & (q->size - 1)]);
	int r = chain_read(q, m, c->head, c);
	if (r == 0)
		r = note_taken(q, c->head);
	if (r < 0)
		return r;
	q->next_avail++;
	q->in_flight++;
	return 1;
}

/* 1 if the guest wants an interrupt when the used index moves from `old` to `new` (virtio 1.1,
 * 2.6.7.2), else 0. */
static int event_passed(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

int virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t written)
{
	struct vring_used_elem *e = &q->used->ring[q->next_used & (q->size - 1)];
	q->in_flight -= q->in_flight > 0;
	if (q->ledger)
		SHARED_SET(q->ledger->pushing, head);
	STORE(&e->id, (uint32_t)head);
	STORE(&e->len, written);
	STORE_RELEASE(&q->used->idx, (uint16_t)++q->next_used);
	note_returned(q, head);
	BARRIER();
	if (!q->event_idx)
		return !(LOAD(&q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	uint16_t event = LOAD(&q->avail->ring[q->size]);
	int wanted = !q->signalled_valid || event_passed(event, q->next_used, q->signalled);
	q->signalled = q->next_used;
	q->signalled_valid = 1;
	return wanted;
}

int virtqueue_has_more(const struct virtqueue *q)
{
	return !q->broken && LOAD_ACQUIRE(&q->avail->idx) != q->next_avail;
}

int virtqueue_want_kick(struct virtqueue *q)
{
	if (q->event_idx)
		STORE((uint16_t *)&q->used->ring[q->size], q->next_avail);
	BARRIER();
	return virtqueue_has_more(q);
}
