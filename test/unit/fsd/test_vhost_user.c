/* SPDX-License-Identifier: Apache-2.0
 * The vhost-user protocol: the conversation that QEMU has, and messages that nobody should send. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "fsd/vhost/vhost_user.h"

enum { MEMORY = 1 << 16 };
#define USER 0x7f0000000000ULL
#define GUEST 0x40000000ULL

static struct vhost_device device;
static struct vhost_message message;

static int setup(void **state)
{
	vhost_device_init(&device);
	return 0;
}

static int teardown(void **state)
{
	vhost_device_done(&device);
	return 0;
}

static int send_bytes(uint32_t request, const void *payload, uint32_t size, int fd)
{
	message = (struct vhost_message){ .request = request, .flags = 1, .size = size };
	if (size)
		memcpy(message.payload.bytes, payload, size);
	int fds[1] = { fd };
	return vhost_device_handle(&device, &message, fds, fd >= 0, NULL);
}

static int send_number(uint32_t request, uint64_t number, int fd)
{
	return send_bytes(request, &number, sizeof number, fd);
}

static int send_state(uint32_t request, uint32_t index, uint32_t number)
{
	return send_number(request, (uint64_t)number << 32 | index, -1);
}

static int memory_fd(size_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int send_memory(uint64_t size, uint64_t offset, int fd)
{
	struct {
		uint32_t count, padding;
		uint64_t guest, size, user, offset;
	} table = { .count = 1, .guest = GUEST, .size = size, .user = USER, .offset = offset };
	return send_bytes(5, &table, sizeof table, fd);
}

static int send_address(uint32_t index, uint64_t desc, uint64_t used, uint64_t avail)
{
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} a = { index, 0, USER + desc, USER + used, USER + avail, 0 };
	return send_bytes(9, &a, sizeof a, -1);
}

static void negotiate(void)
{
	assert_int_equal(send_bytes(1, NULL, 0, -1), 1);
	uint64_t features = message.payload.number;
	assert_int_equal(message.size, 8);
	assert_int_equal(message.flags, 5);
	assert_true(
	    features & 1ULL << 32 && features & 1ULL << 30 && features & 1ULL << 29 && !(features & 1ULL << 28));
	assert_int_equal(send_bytes(15, NULL, 0, -1), 1);
	assert_int_equal(send_number(16, message.payload.number, -1), 0);
	assert_int_equal(send_bytes(3, NULL, 0, -1), 0);
	assert_int_equal(send_number(2, features, -1), 0);
}

static void start_queue(uint32_t index)
{
	assert_int_equal(send_state(8, index, 256), 0);
	assert_int_equal(send_state(10, index, 5), 0);
	assert_int_equal(send_address(index, 0, 8192, 4096), 0);
	assert_int_equal(send_number(13, index, eventfd(0, EFD_CLOEXEC)), 0);
	assert_int_equal(send_number(12, index, eventfd(0, EFD_CLOEXEC)), 0);
	assert_false(device.queues[index].started);
	assert_int_equal(send_state(18, index, 1), 0);
	assert_true(device.queues[index].started);
}

static void test_conversation(void **state)
{
	negotiate();
	assert_int_equal(send_bytes(17, NULL, 0, -1), 1);
	assert_int_equal(message.payload.number, VHOST_QUEUES);
	assert_int_equal(send_memory(MEMORY, 0, memory_fd(MEMORY)), 0);
	start_queue(1);
	assert_int_equal(device.queues[1].ring.next_avail, 5);
	assert_true(device.queues[1].ring.event_idx);
	vhost_queue_interrupt(&device.queues[1]);
	uint64_t count = 0;
	assert_int_equal(read(device.queues[1].call, &count, sizeof count), sizeof count);
	device.queues[1].ring.next_avail = 9;
	/* The queue survives a new memory table, at its new place. */
	char *before = (char *)device.queues[1].ring.avail;
	memset(before, 0x5a, 2);
	int fd = memory_fd(2 * MEMORY);
	assert_int_equal(send_memory(MEMORY, MEMORY, fd), 0);
	assert_true(device.queues[1].started);
	assert_int_equal(device.queues[1].ring.avail->flags, 0);
	assert_int_equal(device.queues[1].ring.next_avail, 9);
	assert_int_equal(send_state(11, 1, 0), 1);
	assert_int_equal(message.payload.number >> 32, 9);
	assert_false(device.queues[1].started);
	assert_int_equal(device.queues[1].kick, -1);
}

static void test_memory_slots(void **state)
{
	struct {
		uint64_t padding, guest, size, user, offset;
	} slot = { 0, GUEST, MEMORY, USER, 0 };
	negotiate();
	assert_int_equal(send_bytes(36, NULL, 0, -1), 1);
	assert_int_equal(message.payload.number, GUEST_MEMORY_REGIONS);
	assert_int_equal(send_bytes(37, &slot, sizeof slot, memory_fd(MEMORY)), 0);
	start_queue(0);
	assert_int_equal(send_bytes(37, &slot, sizeof slot, memory_fd(MEMORY)), -EINVAL); /* twice */
	assert_true(device.queues[0].started);
	assert_int_equal(send_bytes(38, &slot, sizeof slot, -1), 0);
	assert_false(device.queues[0].started);
	assert_int_equal(send_bytes(38, &slot, sizeof slot, -1), -EPROTO);
	assert_int_equal(send_bytes(37, &slot, sizeof slot, -1), -EPROTO); /* without a descriptor */
}

static void test_acknowledge(void **state)
{
	negotiate();
	message = (struct vhost_message){ .request = 10, .flags = 1 | 8, .size = 8 };
	assert_int_equal(vhost_device_handle(&device, &message, NULL, 0, NULL), 1);
	assert_int_equal(message.payload.number, 0);
	assert_int_equal(message.flags, 5);
}

/* Over a socket: the descriptors that a message may have at the most, and one more, of which
 * nothing stays open. */
static void test_receive(void **state)
{
	int pair[2], watched[2], sent[VHOST_MESSAGE_FDS + 1], got[VHOST_MESSAGE_FDS];
	unsigned count = 0;
	char byte;
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	assert_int_equal(fd_socketpair(SOCK_STREAM, watched), 0);
	for (size_t n = 0; n < ARRAY_SIZE(sent); n++)
		sent[n] = watched[1];
	struct vhost_message m = { .request = VHOST_SET_VRING_NUM, .flags = 1, .size = 8, .payload.number = 77 };
	assert_int_equal(vhost_message_send(pair[0], &m, sent, VHOST_MESSAGE_FDS), 0);
	assert_int_equal(vhost_message_receive(pair[1], &message, got, &count), 1);
	assert_int_equal(message.payload.number, 77);
	assert_int_equal(count, VHOST_MESSAGE_FDS);
	for (size_t n = 0; n < count; n++)
		close(got[n]);
	assert_int_equal(vhost_message_send(pair[0], &m, sent, VHOST_MESSAGE_FDS + 1), 0);
	close(watched[1]);
	assert_int_equal(vhost_message_receive(pair[1], &message, got, &count), -EPROTO);
	assert_int_equal(count, 0);
	assert_int_equal(recv(watched[0], &byte, 1, MSG_DONTWAIT), 0); /* its other end is closed everywhere */
	close(pair[0]);
	assert_int_equal(read(pair[1], got, sizeof got), 8); /* the refused one's payload */
	assert_int_equal(vhost_message_receive(pair[1], &message, got, &count), 0);
	close(pair[1]);
	close(watched[0]);
}

static void test_refused(void **state)
{
	negotiate();
	for (uint32_t request = 0; request < 64; request++) /* no message takes this much */
		assert_true(send_bytes(request, message.payload.bytes, VHOST_PAYLOAD_MAX, -1) < 0);
	assert_true(send_bytes(UINT32_MAX, NULL, 0, -1) < 0);
	assert_true(send_bytes(1, NULL, 0, eventfd(0, EFD_CLOEXEC)) < 0); /* a descriptor too many */
	assert_true(send_number(2, 1ULL << 28, -1) < 0);
	assert_true(send_number(16, 1ULL << 63, -1) < 0);
	assert_true(send_number(12, 2, eventfd(0, EFD_CLOEXEC)) < 0);
	assert_true(send_number(12, 0, -1) < 0);
	assert_true(send_number(12, 0x100, eventfd(0, EFD_CLOEXEC)) < 0);
	assert_true(send_number(12, 0x1000, eventfd(0, EFD_CLOEXEC)) < 0);
	static const uint32_t sizes[] = { 0, 3, 1000, 2048, UINT32_MAX };
	for (size_t n = 0; n < ARRAY_SIZE(sizes); n++)
		assert_true(send_state(8, 0, sizes[n]) < 0);
	assert_true(send_state(8, 2, 256) < 0);
	assert_true(send_state(10, 0, 65536) < 0);
	assert_true(send_state(18, UINT32_MAX, 1) < 0);
	assert_true(send_state(11, 2, 0) < 0);
	message = (struct vhost_message){ .request = 1, .flags = 2 };
	assert_true(vhost_device_handle(&device, &message, NULL, 0, NULL) < 0);
	message = (struct vhost_message){ .request = 1, .flags = 5 };
	assert_true(vhost_device_handle(&device, &message, NULL, 0, NULL) < 0);
}

static void test_bad_memory(void **state)
{
	negotiate();
	assert_true(send_memory(MEMORY, 0, -1) < 0);                    /* no descriptor */
	assert_true(send_memory(MEMORY + 1, 0, memory_fd(MEMORY)) < 0); /* larger than the file: SIGBUS later */
	assert_true(send_memory(MEMORY, 4096, memory_fd(MEMORY)) < 0);
	assert_true(send_memory(MEMORY, UINT64_MAX - 4095, memory_fd(MEMORY)) < 0);
	assert_true(send_memory(UINT64_MAX, 0, memory_fd(MEMORY)) < 0);
	assert_true(send_memory(0, 0, memory_fd(MEMORY)) < 0);
	assert_true(send_memory(MEMORY, 0, eventfd(0, EFD_CLOEXEC)) < 0);
	uint64_t nine[34] = { 9 };
	assert_true(send_bytes(5, nine, sizeof nine, -1) < 0);
	assert_int_equal(device.memory.count, 0);
}

static void test_bad_rings(void **state)
{
	negotiate();
	assert_int_equal(send_memory(MEMORY, 0, memory_fd(MEMORY)), 0);
	assert_true(send_address(0, 0, 8192, 4096) < 0); /* no size yet */
	assert_int_equal(send_state(8, 0, 1024), 0);
	assert_true(send_address(0, 8, 20480, 40960) < 0); /* not aligned */
	assert_true(send_address(0, 0, 20481, 40960) < 0);
	assert_true(send_address(0, 0, 20480, 40961) < 0);
	assert_true(send_address(0, MEMORY - 16, 20480, 40960) < 0); /* over the end */
	assert_true(send_address(0, 0, MEMORY - 16, 40960) < 0);
	assert_true(send_address(0, 0, 20480, MEMORY - 16) < 0);
	assert_true(send_address(0, (uint64_t)-USER - 16, 20480, 40960) < 0);
	assert_true(send_address(2, 0, 20480, 40960) < 0);
	assert_int_equal(send_address(0, 0, 20480, 40960), 0);
	/* Smaller memory, ring outside: the queue does not start. */
	assert_int_equal(send_memory(4096, 0, memory_fd(4096)), 0);
	assert_int_equal(send_number(12, 0, eventfd(0, EFD_CLOEXEC)), 0);
	assert_int_equal(send_state(18, 0, 1), 0);
	assert_false(device.queues[0].started);
}

static void test_socket(void **state)
{
	int pair[2];
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	uint32_t ask[] = { 1, 1, 0 };
	unsigned char answer[20];
	assert_int_equal(fd_write_full(pair[0], ask, sizeof ask), 0);
	assert_int_equal(vhost_device_receive(&device, pair[1], NULL), 1);
	assert_int_equal(fd_read_full(pair[0], answer, sizeof answer), sizeof answer);
	assert_int_equal(answer[0], 1);
	assert_int_equal(answer[8], 8);
	assert_int_equal(answer[12 + 4], 1); /* VIRTIO_F_VERSION_1, directly behind the header */
	uint32_t large[] = { 1, 1, UINT32_MAX };
	assert_int_equal(fd_write_full(pair[0], large, sizeof large), 0);
	assert_true(vhost_device_receive(&device, pair[1], NULL) < 0);
	uint32_t half[] = { 2, 1, 8, 0 };
	assert_int_equal(fd_write_full(pair[0], half, sizeof half), 0);
	close(pair[0]);
	assert_true(vhost_device_receive(&device, pair[1], NULL) < 0);
	assert_int_equal(vhost_device_receive(&device, pair[1], NULL), 0);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_conversation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acknowledge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket, setup, teardown) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
