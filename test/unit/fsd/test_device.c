/* SPDX-License-Identifier: Apache-2.0
 * The whole device without a machine: this test is QEMU and the guest's driver at the other end of
 * the socket and of the memory. */
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "fake_guest.h"
#include "fake_ring.h"
#include "fsd/vhost/device.h"
#include "fsd/vhost/vhost_user.h"

enum { MEMORY = 1 << 20, IN = 65536, OUT = 131072, WAIT_MS = 60000 };
#define USER 0x7f0000000000ULL

struct machine {
	struct fake *fake;
	struct loop *loop;
	struct device *device;
	int socket, served, error, event_idx;
	struct fake_ring ring;
};

static void say(struct machine *m, uint32_t request, const void *payload, uint32_t size, int fd)
{
	uint32_t header[3] = { request, 1, size };
	char bytes[12 + 256];
	memcpy(bytes, header, sizeof header);
	if (size)
		memcpy(bytes + sizeof header, payload, size);
	assert_int_equal(fd_send_bytes(m->socket, bytes, sizeof header + size, &fd, fd >= 0, 0), sizeof header + size);
	assert_int_equal(loop_step(m->loop, clock_deadline(WAIT_MS)), 1);
}

static void say_number(struct machine *m, uint32_t request, uint64_t number, int fd)
{
	say(m, request, &number, sizeof number, fd);
}

static void connect_queue(struct machine *m, unsigned index)
{
	struct {
		uint64_t padding, guest, size, user, offset;
	} slot = { 0, 0, MEMORY, USER, 0 };
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} address = { index, 0, USER, USER + USED, USER + AVAIL, 0 };
	say_number(m, 16, 1ULL << 15, -1);
	say_number(m, 2, 1ULL << 32 | 1ULL << 30 | (uint64_t)m->event_idx << VIRTIO_RING_F_EVENT_IDX, -1);
	say(m, 37, &slot, sizeof slot, m->ring.memory);
	say_number(m, 8, (uint64_t)RING << 32 | index, -1);
	say_number(m, 10, 1ULL << 32 | index, -1);
	say(m, 9, &address, sizeof address, -1);
	say_number(m, 13, index, m->ring.call);
	say_number(m, 14, index, m->error);
	say_number(m, 12, index, m->ring.kick);
	say_number(m, 18, 1ULL << 32 | index, -1);
}

static int setup_queue(void **state, unsigned index, int event_idx)
{
	struct machine *m = xnew(struct machine);
	m->event_idx = event_idx;
	int pair[2];
	m->fake = fake_new();
	fake_start(m->fake, 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	m->socket = pair[0];
	m->served = pair[1];
	ring_init(&m->ring, MEMORY);
	m->error = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(loop_new(&m->loop), 0);
	assert_int_equal(device_new(m->loop, &m->fake->share, NULL, m->served, &m->device, NULL), 0);
	/* The queue starts at index 1, as after a saved state. */
	m->ring.avail->idx = 1;
	connect_queue(m, index);
	*state = m;
	return 0;
}

static int setup(void **state)
{
	return setup_queue(state, 1, 0);
}

static int setup_forgets(void **state)
{
	return setup_queue(state, 0, 1);
}

static int teardown(void **state)
{
	struct machine *m = *state;
	device_free(m->device);
	loop_free(m->loop);
	ring_done(&m->ring);
	int all[] = { m->socket, m->served, m->error };
	for (size_t n = 0; n < ARRAY_SIZE(all); n++)
		close(all[n]);
	fake_free(m->fake);
	free(m);
	return 0;
}

/* Puts a request into the ring: two descriptors from `slot` on. */
static void queue_request(struct machine *m, unsigned slot, uint32_t opcode, uint64_t node, const void *body,
    size_t size)
{
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof h + size),
		.opcode = opcode,
		.unique = slot,
		.nodeid = node,
	};
	uint64_t in = IN + slot * 512, out = OUT + slot * 512;
	memcpy(m->ring.base + in, &h, sizeof h);
	memcpy(m->ring.base + in + sizeof h, body, size);
	ring_put(&m->ring, slot, in, sizeof h + size, out, 512);
}

/* Kicks and lets the device run until so many requests are done in all. */
static void run_until_used(struct machine *m, uint16_t count)
{
	uint64_t deadline = clock_deadline(WAIT_MS);
	ring_kick(&m->ring);
	while (__atomic_load_n(&m->ring.used->idx, __ATOMIC_ACQUIRE) != count)
		assert_int_equal(loop_step(m->loop, deadline), 1);
}

static const void *answer(struct machine *m, unsigned slot, int *ret_error)
{
	struct fuse_out_header h;
	memcpy(&h, m->ring.base + OUT + slot * 512, sizeof h);
	assert_int_equal(h.unique, slot);
	*ret_error = h.error;
	return m->ring.base + OUT + slot * 512 + sizeof h;
}

static void test_requests(void **state)
{
	struct machine *m = *state;
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	int error;
	host_write(m->fake, "f", "text");
	queue_request(m, 0, FUSE_LOOKUP, 1, "f", 2);
	run_until_used(m, 1);
	memcpy(&entry, answer(m, 0, &error), sizeof entry);
	assert_int_equal(error, 0);
	assert_int_equal(entry.attr.size, 4);
	assert_int_equal(m->ring.used->ring[0].len, sizeof(struct fuse_out_header) + sizeof entry);
	uint64_t count = 0;
	assert_int_equal(read(m->ring.call, &count, sizeof count), sizeof count);
	struct fuse_open_in open_in = { .flags = O_RDWR };
	queue_request(m, 2, FUSE_OPEN, entry.nodeid, &open_in, sizeof open_in);
	run_until_used(m, 2);
	memcpy(&open, answer(m, 2, &error), sizeof open);
	assert_int_equal(error, 0);
	/* Many at once, more than one turn's worth, with jobs for the threads between them. */
	struct fuse_fsync_in sync = { .fh = open.fh };
	for (unsigned n = 0; n < 20; n++) {
		queue_request(m, 4 + 2 * n, n % 4 ? FUSE_GETATTR : FUSE_FSYNC, entry.nodeid, &sync, sizeof sync);
	}
	run_until_used(m, 22);
	for (unsigned n = 0; n < 20; n++) {
		answer(m, 4 + 2 * n, &error);
		assert_int_equal(error, 0);
	}
	/* Stopped while jobs run: all are answered before the guest is told where the queue
	 * stands. */
	for (unsigned n = 0; n < 8; n++)
		queue_request(m, 4 + 2 * n, FUSE_FSYNC, entry.nodeid, &sync, sizeof sync);
	ring_kick(&m->ring);
	while (loop_step(m->loop, 0) == 1)
		;
	say_number(m, 11, 1, -1);
	uint32_t reply[5];
	assert_int_equal(fd_read_full(m->socket, reply, sizeof reply), sizeof reply);
	assert_int_equal(reply[0], 11);
	assert_int_equal((uint16_t)(reply[4] - 1), m->ring.used->idx);
	assert_int_equal(m->ring.used->idx, 30);
}

static void test_broken_ring(void **state)
{
	struct machine *m = *state;
	uint64_t count = 0;
	queue_request(m, 0, FUSE_LOOKUP, 1, "f", 2);
	m->ring.desc[1].addr = MEMORY;
	ring_kick(&m->ring);
	assert_int_equal(fd_wait(m->error, POLLIN, 0), 0);
	assert_int_equal(loop_step(m->loop, clock_deadline(WAIT_MS)), 1);
	assert_int_equal(read(m->error, &count, sizeof count), sizeof count);
	assert_int_equal(m->ring.used->idx, 0);
	/* Set up anew it works again. */
	say_number(m, 11, 1, -1);
	char reply[20];
	assert_int_equal(fd_read_full(m->socket, reply, sizeof reply), sizeof reply);
	m->ring.desc[1].addr = OUT;
	say_number(m, 10, 1ULL << 32 | 1, -1);
	say_number(m, 12, 1, m->ring.kick);
	run_until_used(m, 1);
}

static void queue_forget(struct machine *m, unsigned slot)
{
	struct fuse_forget_in forget = { .nlookup = 0 };
	queue_request(m, slot, FUSE_FORGET, 1, &forget, sizeof forget);
}

/* Up to which request the device has asked for a kick (VIRTIO 1.2, 2.7.10). */
static uint16_t kick_wanted_at(struct machine *m)
{
	uint16_t at;
	memcpy(&at, &m->ring.used->ring[RING], sizeof at);
	return at;
}

/* Lets the device run for so long; how many interrupts it raised. */
static uint64_t interrupts_within(struct machine *m, unsigned ms)
{
	uint64_t count = 0, deadline = clock_deadline(ms);
	while (clock_now_ms() < deadline)
		assert_true(loop_step(m->loop, deadline) >= 0);
	return read(m->ring.call, &count, sizeof count) < 0 ? 0 : count;
}

/* As the driver does when it has seen all: the next answer is to interrupt it. */
static void want_interrupt(struct machine *m)
{
	m->ring.avail->ring[RING] = m->ring.used->idx;
}

/* What follows what was forgotten with a kick is found without one, a turn at a time; then kicks
 * are asked for again. */
static void test_forgets(void **state)
{
	struct machine *m = *state;
	interrupts_within(m, 50);
	assert_int_equal(kick_wanted_at(m), 1); /* where the queue starts */
	want_interrupt(m);
	queue_forget(m, 0);
	run_until_used(m, 1);
	queue_forget(m, 2);
	queue_forget(m, 4);
	queue_forget(m, 6);
	assert_int_equal(kick_wanted_at(m), 1);
	assert_int_equal(interrupts_within(m, 0), 1);
	want_interrupt(m);
	while (m->ring.used->idx != 4)
		assert_int_equal(loop_step(m->loop, clock_deadline(WAIT_MS)), 1);
	assert_int_equal(interrupts_within(m, 0), 1);
	while (kick_wanted_at(m) != 5)
		assert_int_equal(loop_step(m->loop, clock_deadline(WAIT_MS)), 1);
	assert_int_equal(loop_step(m->loop, clock_deadline(50)), 0); /* and sleeps */
	want_interrupt(m);
	queue_forget(m, 8);
	run_until_used(m, 5);
	assert_int_equal(interrupts_within(m, 0), 1);
}

/* More at once than one turn takes, and than are waited for. */
static void test_many_forgets(void **state)
{
	struct machine *m = *state;
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned n = 0; n < RING / 2; n++)
			queue_forget(m, 2 * n);
		if (round == 0)
			ring_kick(&m->ring);
		while (m->ring.used->idx != (round + 1) * RING / 2)
			assert_int_equal(loop_step(m->loop, clock_deadline(WAIT_MS)), 1);
	}
}

static void test_end(void **state)
{
	struct machine *m = *state;
	shutdown(m->socket, SHUT_RDWR);
	assert_int_equal(loop_run(m->loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgets, setup_forgets, teardown),
		cmocka_unit_test_setup_teardown(test_many_forgets, setup_forgets, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
