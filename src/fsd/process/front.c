/* SPDX-License-Identifier: Apache-2.0
 * The ledger holds a queue's position, so SET_VRING_BASE is not repeated. */
#include "fsd/process/front.h"

#include <errno.h>

#include "base/fd.h"
#include "base/macros.h"

void front_init(struct front *f)
{
	*f = (struct front){ 0 };
	for (unsigned n = 0; n < VHOST_QUEUES; n++)
		f->queues[n].kick = f->queues[n].call = f->queues[n].error = -1;
}

static void set_fd(int *slot, int fd)
{
	fd_close(*slot);
	*slot = fd;
}

static void forget_memory(struct front *f)
{
	while (f->region_count > 0)
		fd_close(f->regions[--f->region_count].fd);
}

void front_done(struct front *f)
{
	forget_memory(f);
	for (unsigned n = 0; n < VHOST_QUEUES; n++) {
		set_fd(&f->queues[n].kick, -1);
		set_fd(&f->queues[n].call, -1);
		set_fd(&f->queues[n].error, -1);
	}
}

static int add_region(struct front *f, const struct vhost_user_region *where, int *fd)
{
	if (f->region_count == GUEST_MEMORY_REGIONS)
		return -EPROTO;
	f->regions[f->region_count].where = *where;
	f->regions[f->region_count++].fd = TAKE_FD(*fd);
	return 0;
}

static int note_table(struct front *f, const struct vhost_user_table *t, int *fds, unsigned count)
{
	if (t->count != count || count > VHOST_TABLE_REGIONS)
		return -EPROTO;
	forget_memory(f);
	for (unsigned n = 0; n < count; n++)
		(void)add_region(f, &t->regions[n], &fds[n]);
	return 0;
}

static int note_removed(struct front *f, const struct vhost_user_region *which)
{
	for (unsigned n = 0; n < f->region_count; n++) {
		const struct vhost_user_region *region = &f->regions[n].where;
		if (region->guest != which->guest || region->user != which->user || region->size != which->size)
			continue;
		fd_close(f->regions[n].fd);
		f->regions[n] = f->regions[--f->region_count];
		return 0;
	}
	return -EPROTO;
}

/* SET_VRING_KICK, _CALL, _ERR. */
static int note_event(struct front *f, const struct vhost_message *m, int *fds, unsigned count)
{
	uint64_t index = m->payload.number & VHOST_VRING_INDEX_MASK;
	if (index >= VHOST_QUEUES)
		return -EPROTO;
	struct front_queue *q = &f->queues[index];
	int *slot = m->request == VHOST_SET_VRING_KICK ? &q->kick :
		    m->request == VHOST_SET_VRING_CALL ? &q->call :
							 &q->error;
	set_fd(slot, count > 0 ? TAKE_FD(fds[0]) : -1);
	return 0;
}

/* Records a message whose payload starts with the queue's index, 32 bits. */
static int note_queue(struct front *f, const struct vhost_message *m)
{
	if (m->payload.state.index >= VHOST_QUEUES)
		return -EPROTO;
	struct front_queue *q = &f->queues[m->payload.state.index];
	switch (m->request) {
	case VHOST_SET_VRING_NUM:
		q->size = m->payload.state.num;
		q->sized = 1;
		q->addressed = 0;
		break;
	case VHOST_SET_VRING_ADDR:
		q->address = m->payload.address;
		q->addressed = 1;
		break;
	case VHOST_SET_VRING_ENABLE:
		q->enabled = m->payload.state.num;
		q->enabling = 1;
		break;
	default: /* GET_VRING_BASE stops the queue */
		set_fd(&q->kick, -1);
		set_fd(&q->call, -1);
	}
	return 0;
}

int front_note(struct front *f, const struct vhost_message *m, int *fds, unsigned count)
{
	switch (m->request) {
	case VHOST_SET_FEATURES:
		f->features = m->payload.number;
		f->has_features = 1;
		return 0;
	case VHOST_SET_PROTOCOL_FEATURES:
		f->protocol_features = m->payload.number;
		return 0;
	case VHOST_SET_MEM_TABLE:
		return note_table(f, &m->payload.table, fds, count);
	case VHOST_ADD_MEM_REG:
		return count == 1 ? add_region(f, &m->payload.slot.region, &fds[0]) : -EPROTO;
	case VHOST_REM_MEM_REG:
		return note_removed(f, &m->payload.slot.region);
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
		return note_event(f, m, fds, count);
	case VHOST_SET_VRING_NUM:
	case VHOST_SET_VRING_ADDR:
	case VHOST_SET_VRING_ENABLE:
	case VHOST_GET_VRING_BASE:
		return note_queue(f, m);
	default:
		return 0;
	}
}

/* --- repeating --- */

struct speaker {
	int (*say)(const struct vhost_message *m, int fd, void *data);
	void *data;
};

static int say(const struct speaker *s, uint32_t request, const void *payload, uint32_t size, int fd)
{
	struct vhost_message m = { .request = request, .flags = VHOST_FLAG_VERSION, .size = size };
	memcpy(m.payload.bytes, payload, size);
	return s->say(&m, fd, s->data);
}

static int say_number(const struct speaker *s, uint32_t request, uint64_t number, int fd)
{
	return say(s, request, &number, sizeof number, fd);
}

static int say_state(const struct speaker *s, uint32_t request, uint32_t index, uint32_t number)
{
	struct vhost_vring_state state = { .index = index, .num = number };
	return say(s, request, &state, sizeof state, -1);
}

/* Repeats one queue. A stopped one has nothing to repeat: QEMU sets it up again before it starts,
 * and its rings may lie in memory that is gone. */
static int repeat_queue(const struct speaker *s, const struct front_queue *q, uint32_t index)
{
	int r = 0;
	if ((q->sized && (r = say_state(s, VHOST_SET_VRING_NUM, index, q->size)) < 0) ||
	    (q->addressed && q->kick >= 0 &&
		(r = say(s, VHOST_SET_VRING_ADDR, &q->address, sizeof q->address, -1)) < 0) ||
	    (q->call >= 0 && (r = say_number(s, VHOST_SET_VRING_CALL, index, q->call)) < 0) ||
	    (q->error >= 0 && (r = say_number(s, VHOST_SET_VRING_ERR, index, q->error)) < 0) ||
	    (q->enabling && (r = say_state(s, VHOST_SET_VRING_ENABLE, index, q->enabled)) < 0))
		return r;
	return q->kick >= 0 ? say_number(s, VHOST_SET_VRING_KICK, index, q->kick) : 0;
}

int front_repeat(const struct front *f, int (*say_it)(const struct vhost_message *m, int fd, void *data), void *data)
{
	struct speaker s = { say_it, data };
	int r = say_number(&s, VHOST_SET_PROTOCOL_FEATURES, f->protocol_features, -1);
	if (r == 0 && f->has_features)
		r = say_number(&s, VHOST_SET_FEATURES, f->features, -1);
	for (unsigned n = 0; n < f->region_count && r == 0; n++) {
		struct vhost_user_slot slot = { .region = f->regions[n].where };
		r = say(&s, VHOST_ADD_MEM_REG, &slot, sizeof slot, f->regions[n].fd);
	}
	for (uint32_t n = 0; n < VHOST_QUEUES && r == 0; n++)
		r = repeat_queue(&s, &f->queues[n], n);
	return r;
}
