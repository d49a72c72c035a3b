/* SPDX-License-Identifier: Apache-2.0
 * vhost-user's messages. vhost_message.c checks the size and the descriptors of each before its
 * handler runs here.
 *
 * A queue runs ("started") while it has a size, addresses that translate, a kick descriptor and,
 * with negotiated protocol features, is enabled. GET_VRING_BASE stops it and returns its position,
 * for instance when the guest reboots. A new memory table (hot-plugged memory) unmaps the old one,
 * so the addresses of all queues are translated again. */
#include "fsd/vhost/vhost_user.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/files/shared.h"

#define BIT(n) (1ULL << (n))
#define FEATURE_PROTOCOL BIT(30) /* VHOST_USER_F_PROTOCOL_FEATURES */
#define OUR_FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) | FEATURE_PROTOCOL)
#define OUR_PROTOCOL_FEATURES (VHOST_PROTOCOL_MQ | VHOST_PROTOCOL_REPLY_ACK | VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS)

void vhost_device_init(struct vhost_device *d)
{
	*d = (struct vhost_device){ 0 };
	for (unsigned i = 0; i < VHOST_QUEUES; i++)
		d->queues[i].kick = d->queues[i].call = d->queues[i].error = -1;
}

void vhost_device_use_ledger(struct vhost_device *d, struct ledger *l)
{
	for (unsigned i = 0; i < VHOST_QUEUES; i++) {
		d->queues[i].ring.ledger = &l->queues[i];
		d->queues[i].base = (uint16_t)l->queues[i].count;
	}
}

static void set_fd(int *slot, int fd)
{
	fd_close(*slot);
	*slot = fd;
}

void vhost_device_done(struct vhost_device *d)
{
	for (unsigned i = 0; i < VHOST_QUEUES; i++) {
		set_fd(&d->queues[i].kick, -1);
		set_fd(&d->queues[i].call, -1);
		set_fd(&d->queues[i].error, -1);
	}
	guest_memory_done(&d->memory);
}

void vhost_queue_interrupt(struct vhost_queue *q)
{
	uint64_t one = 1;
	if (q->call >= 0)
		(void)!write(q->call, &one, sizeof one); /* if the counter is full, an interrupt is pending already */
}

static void changed(struct vhost_device *d, unsigned index)
{
	if (d->queue_changed)
		d->queue_changed(d, index, d->data);
}

/* Gives a stopped queue another kick descriptor. queue_changed() must remove the old one from the
 * epoll set before it is closed here: QEMU holds it too, so closing it alone would leave it in the
 * set. */
static void set_kick(struct vhost_device *d, unsigned index, int fd)
{
	changed(d, index);
	set_fd(&d->queues[index].kick, fd);
}

static void before_change(struct vhost_device *d)
{
	if (d->before_change)
		d->before_change(d, d->data);
}

/* As before_change(), for a queue that ends: waiting requests are answered too, because no worker
 * will try them again. */
static void before_end(struct vhost_device *d)
{
	d->stopping = 1;
	before_change(d);
	d->stopping = 0;
}

/* Translates the ring's addresses to pointers into the mapped memory. 1, or 0 if one does not
 * translate. */
static int queue_translate(const struct vhost_device *d, struct vhost_queue *q)
{
	struct virtqueue *v = &q->ring;
	v->desc = guest_memory_from_user(&d->memory, q->user_desc, VIRTQUEUE_DESC_SIZE(v->size), 16);
	v->avail = guest_memory_from_user(&d->memory, q->user_avail, VIRTQUEUE_AVAIL_SIZE(v->size), 2);
	v->used = guest_memory_from_user(&d->memory, q->user_used, VIRTQUEUE_USED_SIZE(v->size), 4);
	return v->desc && v->avail && v->used;
}

static void queue_stop(struct vhost_queue *q)
{
	if (q->started) {
		q->base = q->ring.next_avail;
		virtqueue_stop(&q->ring);
	}
	q->started = 0;
}

/* Stops a queue for a moment. Requests in flight stay in the ledger. */
static void queue_pause(struct vhost_queue *q)
{
	if (!q->ring.ledger)
		queue_stop(q);
	if (q->started)
		q->base = q->ring.next_avail;
	q->started = 0;
}

/* Starts or stops a queue, as its settings require. */
static void queue_update(struct vhost_device *d, unsigned index)
{
	struct vhost_queue *q = &d->queues[index];
	int enabled = q->enabled || !(d->features & FEATURE_PROTOCOL);
	int runs = q->ring.size && q->addressed && q->kick >= 0 && enabled && queue_translate(d, q);
	if (!runs)
		queue_stop(q);
	else if (!q->started) {
		virtqueue_start_or_resume(&q->ring, q->base, !!(d->features & BIT(VIRTIO_RING_F_EVENT_IDX)));
		q->started = 1;
	}
	changed(d, index);
}

static int wrong(struct error **err, const char *what)
{
	return error_set(err, EPROTO, "vhost-user: %s", what);
}

/* --- one function per message; a function that keeps fds[i] sets it to -1 --- */

struct context {
	struct vhost_device *d;
	struct vhost_message *m;
	int *fds;
	unsigned fd_count;
	struct error **err;
};

static int reply_number(struct context *c, uint64_t number)
{
	c->m->payload.number = number;
	c->m->size = sizeof number;
	return 1;
}

static int get_features(struct context *c)
{
	return reply_number(c, OUR_FEATURES);
}

static int set_features(struct context *c)
{
	if (c->m->payload.number & ~OUR_FEATURES)
		return wrong(c->err, "unknown features");
	c->d->features = c->m->payload.number;
	for (unsigned i = 0; i < VHOST_QUEUES; i++)
		queue_update(c->d, i);
	return 0;
}

static int get_protocol_features(struct context *c)
{
	return reply_number(c, OUR_PROTOCOL_FEATURES);
}

static int set_protocol_features(struct context *c)
{
	if (c->m->payload.number & ~OUR_PROTOCOL_FEATURES)
		return wrong(c->err, "unknown protocol features");
	c->d->protocol_features = c->m->payload.number;
	return 0;
}

static int get_queue_num(struct context *c)
{
	return reply_number(c, VHOST_QUEUES);
}

static int nothing(struct context *c)
{
	return 0;
}

/* Begins a change of memory: finishes all requests and pauses the queues. */
static void begin_memory_change(struct vhost_device *d)
{
	before_change(d);
	for (unsigned i = 0; i < VHOST_QUEUES; i++)
		queue_pause(&d->queues[i]);
}

/* Ends a change of memory: translates the queues' addresses again. */
static void end_memory_change(struct vhost_device *d)
{
	for (unsigned i = 0; i < VHOST_QUEUES; i++)
		queue_update(d, i);
}

static int map_region(struct context *c, const struct vhost_user_region *m, int fd)
{
	struct guest_region where = { .guest = m->guest, .user = m->user, .size = m->size };
	return guest_memory_map(&c->d->memory, &where, fd, m->offset, c->err);
}

static int set_mem_table(struct context *c)
{
	struct vhost_user_table table = { 0 };
	memcpy(&table, c->m->payload.bytes, c->m->size);
	if (table.count > VHOST_TABLE_REGIONS || table.count != c->fd_count ||
	    c->m->size != 8 + table.count * sizeof table.regions[0])
		return wrong(c->err, "a memory table whose size, regions and descriptors do not agree");
	begin_memory_change(c->d);
	guest_memory_done(&c->d->memory);
	int r = 0;
	for (unsigned i = 0; i < table.count && r == 0; i++)
		r = map_region(c, &table.regions[i], c->fds[i]);
	end_memory_change(c->d);
	return r;
}

/* The other form of the table: region by region (protocol feature CONFIGURE_MEM_SLOTS). */
static int get_max_mem_slots(struct context *c)
{
	return reply_number(c, GUEST_MEMORY_REGIONS);
}

static int add_mem_region(struct context *c)
{
	struct vhost_user_slot slot;
	memcpy(&slot, c->m->payload.bytes, sizeof slot);
	if (c->fd_count != 1)
		return wrong(c->err, "a memory region without a descriptor");
	int r = map_region(c, &slot.region, c->fds[0]);
	end_memory_change(c->d);
	return r;
}

static int remove_mem_region(struct context *c)
{
	struct vhost_user_slot slot;
	memcpy(&slot, c->m->payload.bytes, sizeof slot);
	struct guest_region which = { .guest = slot.region.guest, .user = slot.region.user, .size = slot.region.size };
	begin_memory_change(c->d);
	int r = guest_memory_unmap(&c->d->memory, &which);
	end_memory_change(c->d);
	return r < 0 ? wrong(c->err, "an unknown memory region to remove") : 0;
}

/* Reads a payload {u32 index, u32 number}. The queue's index, or -errno. */
static int state_queue(struct context *c, struct vhost_queue **ret, uint32_t *ret_number)
{
	struct vhost_vring_state s;
	memcpy(&s, c->m->payload.bytes, sizeof s);
	if (s.index >= VHOST_QUEUES)
		return wrong(c->err, "a queue that does not exist");
	*ret = &c->d->queues[s.index];
	*ret_number = s.num;
	return (int)s.index;
}

static int set_vring_num(struct context *c)
{
	struct vhost_queue *q = NULL;
	uint32_t number = 0;
	int index = state_queue(c, &q, &number);
	if (index < 0)
		return index;
	if (number == 0 || number > VIRTQUEUE_MAX || (number & (number - 1)) || q->started)
		return wrong(c->err, "a queue size that is not a power of two up to 1024, or of a running queue");
	q->ring.size = number;
	q->addressed = 0;
	return 0;
}

static int set_vring_base(struct context *c)
{
	struct vhost_queue *q = NULL;
	uint32_t number = 0;
	int index = state_queue(c, &q, &number);
	if (index < 0)
		return index;
	if (number > UINT16_MAX || q->started)
		return wrong(c->err, "a start index over 65535, or of a running queue");
	q->base = (uint16_t)number;
	if (q->ring.ledger) {
		virtqueue_stop(&q->ring);
		SHARED_SET(q->ring.ledger->count, (uint64_t)number);
	}
	return 0;
}

static int get_vring_base(struct context *c)
{
	struct vhost_queue *q = NULL;
	uint32_t number = 0;
	int index = state_queue(c, &q, &number);
	if (index < 0)
		return index;
	before_end(c->d);
	queue_stop(q);
	set_kick(c->d, (unsigned)index, -1);
	set_fd(&q->call, -1);
	queue_update(c->d, (unsigned)index);
	struct vhost_vring_state s = { .index = (unsigned)index, .num = q->base };
	memcpy(c->m->payload.bytes, &s, sizeof s);
	c->m->size = sizeof s;
	return 1;
}

static int set_vring_enable(struct context *c)
{
	struct vhost_queue *q = NULL;
	uint32_t number = 0;
	int index = state_queue(c, &q, &number);
	if (index < 0)
		return index;
	if (number)
		before_change(c->d);
	else
		before_end(c->d);
	q->enabled = number != 0;
	queue_update(c->d, (unsigned)index);
	return 0;
}

static int set_vring_addr(struct context *c)
{
	struct vhost_vring_addr a;
	memcpy(&a, c->m->payload.bytes, sizeof a);
	if (a.index >= VHOST_QUEUES)
		return wrong(c->err, "a queue that does not exist");
	struct vhost_queue *q = &c->d->queues[a.index];
	if (q->ring.size == 0 || q->started || a.flags)
		return wrong(c->err,
		    "addresses of a queue that runs or has no size, or logging, which was not negotiated");
	q->user_desc = a.desc_user_addr;
	q->user_avail = a.avail_user_addr;
	q->user_used = a.used_user_addr;
	if (!queue_translate(c->d, q))
		return wrong(c->err, "a ring outside the guest's memory or not aligned");
	q->addressed = 1;
	queue_update(c->d, a.index);
	return 0;
}

/* Reads SET_VRING_KICK, _CALL or _ERR: {u64: bits 0-7 the queue, bit 8: without descriptor}. 0 or
 * -errno. */
static int take_vring_fd(struct context *c, unsigned *ret_index, int *ret_fd)
{
	uint64_t number = c->m->payload.number;
	*ret_index = number & VHOST_VRING_INDEX_MASK;
	if (*ret_index >= VHOST_QUEUES || (number & ~(uint64_t)(VHOST_VRING_INDEX_MASK | VHOST_VRING_NO_FD)))
		return wrong(c->err, "a queue that does not exist");
	if (c->fd_count != ((number & VHOST_VRING_NO_FD) ? 0 : 1))
		return wrong(c->err, "an event descriptor is missing or not expected");
	*ret_fd = -1;
	if (c->fd_count) {
		*ret_fd = TAKE_FD(c->fds[0]);
		/* Reads and writes must not block, whatever kind of descriptor QEMU sent. */
		int r = fd_set_nonblocking(*ret_fd, 1);
		if (r < 0) {
			fd_close(*ret_fd);
			return wrong(c->err, "an unusable event descriptor");
		}
	}
	return 0;
}

static int set_vring_kick(struct context *c)
{
	unsigned index;
	int fd, r = take_vring_fd(c, &index, &fd);
	if (r < 0)
		return r;
	before_end(c->d);
	queue_stop(&c->d->queues[index]);
	set_kick(c->d, index, fd);
	queue_update(c->d, index);
	return 0;
}

static int set_vring_call(struct context *c)
{
	unsigned index;
	int fd, r = take_vring_fd(c, &index, &fd);
	if (r == 0)
		set_fd(&c->d->queues[index].call, fd);
	return r;
}

static int set_vring_error(struct context *c)
{
	unsigned index;
	int fd, r = take_vring_fd(c, &index, &fd);
	if (r == 0)
		set_fd(&c->d->queues[index].error, fd);
	return r;
}

/* --- the table --- */

static int (*const handlers[VHOST_REQUESTS])(struct context *c) = {
	/* each returns 0, 1 with a reply in c->m, or -errno */
	[VHOST_GET_FEATURES] = get_features,
	[VHOST_SET_FEATURES] = set_features,
	[VHOST_SET_OWNER] = nothing,
	[VHOST_RESET_OWNER] = nothing,
	[VHOST_SET_MEM_TABLE] = set_mem_table,
	[VHOST_SET_VRING_NUM] = set_vring_num,
	[VHOST_SET_VRING_ADDR] = set_vring_addr,
	[VHOST_SET_VRING_BASE] = set_vring_base,
	[VHOST_GET_VRING_BASE] = get_vring_base,
	[VHOST_SET_VRING_KICK] = set_vring_kick,
	[VHOST_SET_VRING_CALL] = set_vring_call,
	[VHOST_SET_VRING_ERR] = set_vring_error,
	[VHOST_GET_PROTOCOL_FEATURES] = get_protocol_features,
	[VHOST_SET_PROTOCOL_FEATURES] = set_protocol_features,
	[VHOST_GET_QUEUE_NUM] = get_queue_num,
	[VHOST_SET_VRING_ENABLE] = set_vring_enable,
	[VHOST_GET_MAX_MEM_SLOTS] = get_max_mem_slots,
	[VHOST_ADD_MEM_REG] = add_mem_region,
	[VHOST_REM_MEM_REG] = remove_mem_region,
};

static int handle(struct context *c)
{
	int r = vhost_message_check(c->m, c->fd_count, c->err);
	return r < 0 ? r : handlers[c->m->request](c);
}

int vhost_device_handle(struct vhost_device *d, struct vhost_message *m, int *fds, unsigned fd_count,
    struct error **err)
{
	struct context c = { d, m, fds, fd_count, err };
	int r = handle(&c);
	for (unsigned i = 0; i < fd_count; i++)
		fd_close(fds[i]);
	int acknowledge = (m->flags & VHOST_FLAG_NEED_REPLY) && (d->protocol_features & VHOST_PROTOCOL_REPLY_ACK);
	if (r == 0 && acknowledge)
		r = reply_number(&c, 0);
	if (r == 1)
		m->flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY;
	return r;
}

int vhost_device_receive(struct vhost_device *d, int socket, struct error **err)
{
	struct vhost_message m;
	int fds[VHOST_MESSAGE_FDS];
	unsigned count;
	int r = vhost_message_receive(socket, &m, fds, &count);
	if (r <= 0)
		return r < 0 ? error_set_errno(err, -r, "vhost-user: cannot receive a message") : 0;
	r = vhost_device_handle(d, &m, fds, count, err);
	if (r == 1)
		r = vhost_message_send(socket, &m, NULL, 0);
	return r < 0 ? error_prefix(err, r, "the connection to QEMU") : 1;
}
