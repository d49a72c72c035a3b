/* SPDX-License-Identifier: Apache-2.0
 * A table says of every message how large its payload may be and how many descriptors come with it, before its handler runs.
 *
 * A queue runs ("started") while it has a size, addresses that translate, a kick descriptor and, once protocol features are agreed on,
 * was enabled. GET_VRING_BASE stops it and says where it was; a guest that reboots goes that way. A new memory table
 * (memory was plugged in) unmaps the old one, so the addresses of all queues are translated again. */
#include "fsd/vhost_user.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/shared.h"

#define BIT(n) (1ULL << (n))
#define FEATURE_PROTOCOL BIT(30) /* VHOST_USER_F_PROTOCOL_FEATURES */
#define OUR_FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) | FEATURE_PROTOCOL)
#define PROTOCOL_MQ BIT(0)
#define PROTOCOL_REPLY_ACK BIT(3)
#define PROTOCOL_CONFIGURE_MEM_SLOTS BIT(15)
#define OUR_PROTOCOL_FEATURES (PROTOCOL_MQ | PROTOCOL_REPLY_ACK | PROTOCOL_CONFIGURE_MEM_SLOTS)

enum { FLAG_VERSION = 1, FLAG_VERSION_MASK = 3, FLAG_REPLY = 4, FLAG_NEED_REPLY = 8 };
enum { VRING_INDEX_MASK = 0xff, VRING_NO_FD = 0x100 };

enum { TABLE_REGIONS = 8 };
struct memory_region {
	uint64_t guest, size, user, offset;
};
struct memory_table {
	uint32_t count, padding;
	struct memory_region regions[TABLE_REGIONS];
};
struct memory_slot {
	uint64_t padding;
	struct memory_region region;
};
_Static_assert(sizeof(struct memory_table) <= VHOST_PAYLOAD_MAX, "the memory table fits into a message");

void vhost_device_init(struct vhost_device *d)
{
	*d = (struct vhost_device){0};
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
		(void)!write(q->call, &one, sizeof one); /* full means that an interrupt is pending anyway */
}

static void changed(struct vhost_device *d, unsigned index)
{
	if (d->queue_changed)
		d->queue_changed(d, index, d->data);
}

/* Gives a stopped queue another kick descriptor. Nobody may watch the old one when it is closed: the other side has it too, so it would
 * stay in an epoll set for ever. */
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

/* Finds the ring's parts in the memory that is mapped now. */
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

/* Starts or stops a queue as its settings demand. */
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

/* --- one function per message; fds[i] is set to -1 by whoever keeps it --- */

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
		return wrong(c->err, "features that were not offered");
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
		return wrong(c->err, "protocol features that were not offered");
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

/* Around a change of memory: nobody uses it meanwhile, and the queues are found again in what there is then. */
static void memory_goes(struct vhost_device *d)
{
	before_change(d);
	for (unsigned i = 0; i < VHOST_QUEUES; i++)
		queue_stop(&d->queues[i]);
}

static void memory_came(struct vhost_device *d)
{
	for (unsigned i = 0; i < VHOST_QUEUES; i++)
		queue_update(d, i);
}

static int map_region(struct context *c, const struct memory_region *m, int fd)
{
	struct guest_region where = {.guest = m->guest, .user = m->user, .size = m->size};
	return guest_memory_map(&c->d->memory, &where, fd, m->offset, c->err);
}

static int set_mem_table(struct context *c)
{
	struct memory_table table = {0};
	memcpy(&table, c->m->payload.bytes, c->m->size);
	if (table.count > TABLE_REGIONS || table.count != c->fd_count || c->m->size != 8 + table.count * sizeof table.regions[0])
		return wrong(c->err, "a memory table whose size, regions and descriptors do not agree");
	memory_goes(c->d);
	guest_memory_done(&c->d->memory);
	int r = 0;
	for (unsigned i = 0; i < table.count && r == 0; i++)
		r = map_region(c, &table.regions[i], c->fds[i]);
	memory_came(c->d);
	return r;
}

/* The table's other form: region by region (protocol feature CONFIGURE_MEM_SLOTS). */
static int get_max_mem_slots(struct context *c)
{
	return reply_number(c, GUEST_MEMORY_REGIONS);
}

static int add_mem_region(struct context *c)
{
	struct memory_slot slot;
	memcpy(&slot, c->m->payload.bytes, sizeof slot);
	if (c->fd_count != 1)
		return wrong(c->err, "a memory region without a descriptor");
	int r = map_region(c, &slot.region, c->fds[0]);
	memory_came(c->d);
	return r;
}

static int remove_mem_region(struct context *c)
{
	struct memory_slot slot;
	memcpy(&slot, c->m->payload.bytes, sizeof slot);
	struct guest_region which = {.guest = slot.region.guest, .user = slot.region.user, .size = slot.region.size};
	memory_goes(c->d);
	int r = guest_memory_unmap(&c->d->memory, &which);
	memory_came(c->d);
	return r < 0 ? wrong(c->err, "a memory region to remove that is not there") : 0;
}

/* Messages that name a queue and a number: {u32 index, u32 number}. */
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
	before_change(c->d);
	queue_stop(q);
	set_kick(c->d, (unsigned)index, -1);
	set_fd(&q->call, -1);
	queue_update(c->d, (unsigned)index);
	struct vhost_vring_state s = {.index = (unsigned)index, .num = q->base};
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
	before_change(c->d);
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
		return wrong(c->err, "addresses of a queue that runs or has no size, or logging that was not agreed on");
	q->user_desc = a.desc_user_addr;
	q->user_avail = a.avail_user_addr;
	q->user_used = a.used_user_addr;
	if (!queue_translate(c->d, q))
		return wrong(c->err, "a ring outside the guest's memory or not aligned");
	q->addressed = 1;
	queue_update(c->d, a.index);
	return 0;
}

/* SET_VRING_KICK, _CALL, _ERR: {u64: bits 0-7 the queue, bit 8: without descriptor}. */
static int take_vring_fd(struct context *c, unsigned *ret_index, int *ret_fd)
{
	uint64_t number = c->m->payload.number;
	*ret_index = number & VRING_INDEX_MASK;
	if (*ret_index >= VHOST_QUEUES || (number & ~(uint64_t)(VRING_INDEX_MASK | VRING_NO_FD)))
		return wrong(c->err, "a queue that does not exist");
	if (c->fd_count != ((number & VRING_NO_FD) ? 0 : 1))
		return wrong(c->err, "an event descriptor is missing or not expected");
	*ret_fd = -1;
	if (c->fd_count) {
		*ret_fd = TAKE_FD(c->fds[0]);
		/* A write or read of ours must not wait, whatever kind of descriptor it is. */
		int r = fd_set_nonblocking(*ret_fd, 1);
		if (r < 0) {
			fd_close(*ret_fd);
			return wrong(c->err, "an event descriptor that cannot be used");
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
	before_change(c->d);
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

static const struct message_kind {
	const char *name;
	uint16_t min_size, max_size;
	uint8_t max_fds;
	int (*handle)(struct context *c); /* 0, 1 with a reply in c->m, -errno */
} kinds[] = {
	[1] = {"GET_FEATURES", 0, 0, 0, get_features},
	[2] = {"SET_FEATURES", 8, 8, 0, set_features},
	[3] = {"SET_OWNER", 0, 0, 0, nothing},
	[4] = {"RESET_OWNER", 0, 0, 0, nothing},
	[5] = {"SET_MEM_TABLE", 8, sizeof(struct memory_table), TABLE_REGIONS, set_mem_table},
	[8] = {"SET_VRING_NUM", 8, 8, 0, set_vring_num},
	[9] = {"SET_VRING_ADDR", 40, 40, 0, set_vring_addr},
	[10] = {"SET_VRING_BASE", 8, 8, 0, set_vring_base},
	[11] = {"GET_VRING_BASE", 8, 8, 0, get_vring_base},
	[12] = {"SET_VRING_KICK", 8, 8, 1, set_vring_kick},
	[13] = {"SET_VRING_CALL", 8, 8, 1, set_vring_call},
	[14] = {"SET_VRING_ERR", 8, 8, 1, set_vring_error},
	[15] = {"GET_PROTOCOL_FEATURES", 0, 0, 0, get_protocol_features},
	[16] = {"SET_PROTOCOL_FEATURES", 8, 8, 0, set_protocol_features},
	[17] = {"GET_QUEUE_NUM", 0, 0, 0, get_queue_num},
	[18] = {"SET_VRING_ENABLE", 8, 8, 0, set_vring_enable},
	[36] = {"GET_MAX_MEM_SLOTS", 0, 0, 0, get_max_mem_slots},
	[37] = {"ADD_MEM_REG", sizeof(struct memory_slot), sizeof(struct memory_slot), 1, add_mem_region},
	[38] = {"REM_MEM_REG", sizeof(struct memory_slot), sizeof(struct memory_slot), 1, remove_mem_region},
};
_Static_assert(sizeof(struct vhost_vring_addr) == 40 && sizeof(struct vhost_vring_state) == 8, "layout of vhost-user's payloads");

static int handle(struct context *c)
{
	struct vhost_message *m = c->m;
	if ((m->flags & FLAG_VERSION_MASK) != FLAG_VERSION || (m->flags & FLAG_REPLY))
		return wrong(c->err, "a message of another protocol version");
	const struct message_kind *k = m->request < ARRAY_SIZE(kinds) ? &kinds[m->request] : NULL;
	if (!k || !k->handle)
		return error_set(c->err, EPROTO, "vhost-user: message %u is not known", m->request);
	if (m->size < k->min_size || m->size > k->max_size || c->fd_count > k->max_fds)
		return error_set(c->err, EPROTO, "vhost-user: %s with %u bytes and %u descriptors", k->name, m->size, c->fd_count);
	return k->handle(c);
}

int vhost_device_handle(struct vhost_device *d, struct vhost_message *m, int *fds, unsigned fd_count, struct error **err)
{
	struct context c = {d, m, fds, fd_count, err};
	int r = handle(&c);
	for (unsigned i = 0; i < fd_count; i++)
		fd_close(fds[i]);
	int acknowledge = (m->flags & FLAG_NEED_REPLY) && (d->protocol_features & PROTOCOL_REPLY_ACK);
	if (r == 0 && acknowledge)
		r = reply_number(&c, 0);
	if (r == 1)
		m->flags = FLAG_VERSION | FLAG_REPLY;
	return r;
}

/* Reads the header with the descriptors that come with it. 1, 0 at the end, -errno. */
static int receive_header(int socket, struct vhost_message *m, int *fds, unsigned *ret_count)
{
	union {
		char bytes[CMSG_SPACE(VHOST_MESSAGE_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec piece = {m, VHOST_HEADER_SIZE};
	struct msghdr h = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	ssize_t n;
	do
		n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	while (n < 0 && errno == EINTR);
	*ret_count = 0;
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL; c; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count && *ret_count < VHOST_MESSAGE_FDS; i++)
			memcpy(&fds[(*ret_count)++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n < 0)
		return -errno;
	return n == (ssize_t)VHOST_HEADER_SIZE && !(h.msg_flags & MSG_CTRUNC) ? 1 : -EPROTO;
}

/* In one piece, without the gap that the compiler leaves between header and payload. */
static int send_reply(int socket, const struct vhost_message *m)
{
	char bytes[VHOST_HEADER_SIZE + VHOST_PAYLOAD_MAX];
	memcpy(bytes, m, VHOST_HEADER_SIZE);
	memcpy(bytes + VHOST_HEADER_SIZE, m->payload.bytes, m->size);
	return fd_write_full(socket, bytes, VHOST_HEADER_SIZE + m->size);
}

int vhost_device_receive(struct vhost_device *d, int socket, struct error **err)
{
	struct vhost_message m = {0};
	int fds[VHOST_MESSAGE_FDS];
	unsigned count;
	int r = receive_header(socket, &m, fds, &count);
	if (r == 1 && (m.size > VHOST_PAYLOAD_MAX || fd_read_full(socket, m.payload.bytes, m.size) != (ssize_t)m.size))
		r = -EPROTO;
	if (r <= 0) {
		for (unsigned i = 0; i < count; i++)
			fd_close(fds[i]);
		return r < 0 ? error_set_errno(err, -r, "vhost-user: a message that cannot be read") : 0;
	}
	r = vhost_device_handle(d, &m, fds, count, err);
	if (r == 1)
		r = send_reply(socket, &m);
	return r < 0 ? error_prefix(err, r, "the connection to QEMU") : 1;
}
