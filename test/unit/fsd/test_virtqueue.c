/* SPDX-License-Identifier: Apache-2.0
 * Rings as a guest could write them: one table of chains, good ones and attacks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "fsd/vhost/virtqueue.h"

enum { SIZE = 8, HALF = 1 << 16 };
#define GUEST 0x100000ULL
#define USER 0x7f0000000000ULL

/* Two regions that touch in guest-physical space but not here, and an island at the end of the
 * address space. */
static _Alignas(16) char low[HALF], gap[64], high[HALF], last[4096];
static struct guest_memory memory;
static struct virtqueue queue;
static struct chain chain;

static int setup(void **state)
{
	memset(low, 0, sizeof low);
	memset(&memory, 0, sizeof memory);
	(void)gap;
	assert_int_equal(guest_memory_add(&memory, GUEST, USER, HALF, low), 0);
	assert_int_equal(guest_memory_add(&memory, GUEST + HALF, USER + 2 * HALF, HALF, high), 0);
	assert_int_equal(guest_memory_add(&memory, UINT64_MAX - 4096, 0x1000, 4096, last), 0);
	queue = (struct virtqueue){ .size = SIZE };
	queue.desc = guest_memory_from_user(&memory, USER, VIRTQUEUE_DESC_SIZE(SIZE), 16);
	queue.avail = guest_memory_from_user(&memory, USER + 4096, VIRTQUEUE_AVAIL_SIZE(SIZE), 2);
	queue.used = guest_memory_from_user(&memory, USER + 8192, VIRTQUEUE_USED_SIZE(SIZE), 4);
	assert_true(queue.desc && queue.avail && queue.used);
	virtqueue_start(&queue, 0, 1);
	return 0;
}

enum { N = VRING_DESC_F_NEXT, W = VRING_DESC_F_WRITE, I = VRING_DESC_F_INDIRECT };

static const struct {
	const char *name;
	struct vring_desc desc[SIZE];
	uint16_t head, available;
	int result;
	unsigned in, out;
} chains[] = {
	{ "one to read", { { GUEST, 100, 0, 0 } }, 0, 1, 1, 1, 0 },
	{ "one to write", { { GUEST, 100, W, 0 } }, 0, 1, 1, 0, 1 },
	{ "read then write", { { GUEST, 100, N, 3 }, { 0 }, { 0 }, { GUEST + 200, 50, W, 0 } }, 0, 1, 1, 1, 1 },
	{ "two regions, two pieces", { { GUEST + HALF - 10, 20, 0, 0 } }, 0, 1, 1, 2, 0 },
	{ "both regions whole", { { GUEST, 2 * HALF, W, 0 } }, 0, 1, 1, 0, 2 },
	{ "overlapping buffers are the guest's own trouble",
	    { { GUEST, 64, N, 1 }, { GUEST + 32, 64, N | W, 2 }, { GUEST, 128, W, 0 } }, 0, 1, 1, 1, 2 },
	{ "as long as the queue",
	    { { GUEST, 1, N, 1 }, { GUEST, 1, N, 2 }, { GUEST, 1, N, 3 }, { GUEST, 1, N, 4 }, { GUEST, 1, N, 5 },
		{ GUEST, 1, N, 6 }, { GUEST, 1, N, 7 }, { GUEST, 1, 0, 0 } },
	    0, 1, 1, 8, 0 },
	{ "a loop of one", { { GUEST, 1, N, 0 } }, 0, 1, -1, 0, 0 },
	{ "a loop of two", { { GUEST, 1, N, 1 }, { GUEST, 1, N, 0 } }, 0, 1, -1, 0, 0 },
	{ "a loop not through the head", { { GUEST, 1, N, 1 }, { GUEST, 1, N, 2 }, { GUEST, 1, N, 1 } }, 0, 1, -1, 0,
	    0 },
	{ "head outside the table", { { GUEST, 1, 0, 0 } }, SIZE, 1, -1, 0, 0 },
	{ "head far outside", { { GUEST, 1, 0, 0 } }, 65535, 1, -1, 0, 0 },
	{ "next outside the table", { { GUEST, 1, N, SIZE } }, 0, 1, -1, 0, 0 },
	{ "next far outside", { { GUEST, 1, N, 65535 } }, 0, 1, -1, 0, 0 },
	{ "before the memory", { { GUEST - 1, 2, 0, 0 } }, 0, 1, -1, 0, 0 },
	{ "behind the memory", { { GUEST + 2 * HALF, 1, 0, 0 } }, 0, 1, -1, 0, 0 },
	{ "over the end", { { GUEST + 2 * HALF - 1, 2, W, 0 } }, 0, 1, -1, 0, 0 },
	{ "address zero", { { 0, 16, W, 0 } }, 0, 1, -1, 0, 0 },
	{ "the highest length", { { GUEST, UINT32_MAX, W, 0 } }, 0, 1, -1, 0, 0 },
	{ "wraps around the address space", { { UINT64_MAX - 4096 + 4090, 100, W, 0 } }, 0, 1, -1, 0, 0 },
	{ "at the end of the address space", { { UINT64_MAX - 4096, 4096, W, 0 } }, 0, 1, 1, 0, 1 },
	{ "the last address", { { UINT64_MAX, 1, W, 0 } }, 0, 1, -1, 0, 0 },
	{ "no bytes", { { GUEST, 0, 0, 0 } }, 0, 1, -1, 0, 0 },
	{ "no bytes at the end of a chain", { { GUEST, 1, N, 1 }, { GUEST, 0, W, 0 } }, 0, 1, -1, 0, 0 },
	{ "to read behind to write", { { GUEST, 1, N | W, 1 }, { GUEST, 1, 0, 0 } }, 0, 1, -1, 0, 0 },
	{ "indirect", { { GUEST, 16, I, 0 } }, 0, 1, -1, 0, 0 },
	{ "indirect inside a chain", { { GUEST, 16, N, 1 }, { GUEST, 16, I | W, 0 } }, 0, 1, -1, 0, 0 },
	{ "nothing available", { { GUEST, 1, 0, 0 } }, 0, 0, 0, 0, 0 },
	{ "a full ring", { { GUEST, 1, 0, 0 } }, 0, SIZE, 1, 1, 0 },
	{ "an index that jumps by one too many", { { GUEST, 1, 0, 0 } }, 0, SIZE + 1, -1, 0, 0 },
	{ "an index that goes back", { { GUEST, 1, 0, 0 } }, 0, UINT16_MAX, -1, 0, 0 },
	{ "unknown flags mean nothing", { { GUEST, 1, 0xfff8, 0 } }, 0, 1, 1, 1, 0 },
};

static void test_chains(void **state)
{
	for (size_t n = 0; n < ARRAY_SIZE(chains); n++) {
		setup(state);
		memcpy(queue.desc, chains[n].desc, sizeof chains[n].desc);
		queue.avail->ring[0] = chains[n].head;
		queue.avail->idx = chains[n].available;
		int r = virtqueue_pop(&queue, &memory, &chain);
		r = r < 0 ? -1 : r;
		if (r != chains[n].result ||
		    (r == 1 && (chain.in_count != chains[n].in || chain.out_count != chains[n].out)))
			fail_msg("%s: %d, %u to read, %u to write (%s)", chains[n].name, r, chain.in_count,
			    chain.out_count, queue.broken ? queue.broken : "");
		assert_int_equal(r < 0, queue.broken != NULL);
		if (r < 0) { /* and it stays so */
			queue.avail->idx = 0;
			assert_true(virtqueue_pop(&queue, &memory, &chain) < 0);
			assert_int_equal(virtqueue_want_kick(&queue), 0);
		}
	}
}

/* A guest that offers the same descriptor again and again while nothing has come back yet. */
static void test_too_many_in_flight(void **state)
{
	queue.desc[0] = (struct vring_desc){ GUEST, 1, 0, 0 };
	for (unsigned n = 0; n < SIZE; n++) {
		queue.avail->idx++;
		assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	}
	virtqueue_push(&queue, 0, 0);
	queue.avail->idx++;
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	queue.avail->idx++;
	assert_true(virtqueue_pop(&queue, &memory, &chain) < 0);
	assert_non_null(queue.broken);
}

/* --- with a ledger: what another process finds --- */

static struct ledger ledger;

static int setup_ledger(void **state)
{
	setup(state);
	ledger = (struct ledger){ 0 };
	queue.ledger = &ledger.queues[0];
	virtqueue_start_or_resume(&queue, 65533, 1);
	queue.avail->idx = 65533;
	for (unsigned n = 0; n < SIZE; n++) {
		queue.desc[n] = (struct vring_desc){ GUEST + n, 1, W, 0 };
		queue.avail->ring[(65533 + n) % SIZE] = (uint16_t)n;
	}
	return 0;
}

/* The process is gone, and another one knows nothing but the ledger. */
static void take_over(void)
{
	struct virtqueue next = {
		.size = SIZE,
		.desc = queue.desc,
		.avail = queue.avail,
		.used = queue.used,
		.ledger = queue.ledger,
	};
	queue = next;
	virtqueue_start_or_resume(&queue, 0, 1);
}

static void test_left_behind(void **state)
{
	queue.avail->idx = (uint16_t)(65533 + 6);
	for (unsigned n = 0; n < 5; n++)
		assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	virtqueue_push(&queue, 1, 0);
	virtqueue_push(&queue, 3, 0);
	take_over();
	/* In the order in which they were taken, over the wrap of the index. */
	static const uint16_t left[] = { 0, 2, 4 };
	for (size_t n = 0; n < ARRAY_SIZE(left); n++) {
		assert_int_equal(virtqueue_pop_left(&queue, &memory, &chain), 1);
		assert_int_equal(chain.head, left[n]);
		assert_int_equal(chain.out_count, 1);
	}
	assert_int_equal(virtqueue_pop_left(&queue, &memory, &chain), 0);
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	assert_int_equal(chain.head, 5);
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 0);
	for (size_t n = 0; n < ARRAY_SIZE(left); n++)
		virtqueue_push(&queue, left[n], 0);
	virtqueue_push(&queue, 5, 0);
	assert_int_equal(queue.used->idx, 6);
	take_over();
	assert_int_equal(virtqueue_pop_left(&queue, &memory, &chain), 0);
}

/* Between two stores. */
static void test_torn(void **state)
{
	queue.avail->idx = (uint16_t)(65533 + 3);
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	struct ledger_queue before = *queue.ledger;
	virtqueue_push(&queue, 0, 0);
	*queue.ledger = before; /* given back, but it was not noted any more */
	queue.ledger->pushing = 0;
	queue.ledger->flights[2].order = queue.ledger->count + 1; /* noted, but not taken */
	take_over();
	assert_int_equal(virtqueue_pop_left(&queue, &memory, &chain), 1);
	assert_int_equal(chain.head, 1);
	assert_int_equal(virtqueue_pop_left(&queue, &memory, &chain), 0);
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	assert_int_equal(chain.head, 2);
	/* A guest that writes the device's index. */
	queue.used->idx += 7;
	take_over();
	assert_non_null(queue.broken);
	assert_int_equal(virtqueue_pop_left(&queue, &memory, &chain), -EPROTO);
}

static void test_twice_under_way(void **state)
{
	queue.avail->ring[(65533 + 1) % SIZE] = 0;
	queue.avail->idx = (uint16_t)(65533 + 2);
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	assert_true(virtqueue_pop(&queue, &memory, &chain) < 0);
	assert_non_null(queue.broken);
}

static void test_pieces(void **state)
{
	queue.desc[0] = (struct vring_desc){ GUEST + HALF - 10, 20, 0, 0 };
	queue.avail->idx = 1;
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	assert_ptr_equal(chain.pieces[0].iov_base, low + HALF - 10);
	assert_int_equal(chain.pieces[0].iov_len, 10);
	assert_ptr_equal(chain.pieces[1].iov_base, high);
	assert_int_equal(chain.pieces[1].iov_len, 10);
}

static void test_indexes_wrap(void **state)
{
	queue.used->idx = 65534;
	virtqueue_start(&queue, 65534, 0);
	for (uint16_t n = 65534; n != 4; n++) {
		queue.desc[n % SIZE] = (struct vring_desc){ GUEST, 1, W, 0 };
		queue.avail->ring[n % SIZE] = n % SIZE;
		queue.avail->idx = (uint16_t)(n + 1);
		assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
		assert_int_equal(chain.head, n % SIZE);
		assert_int_equal(virtqueue_push(&queue, chain.head, n), 1);
		assert_int_equal(queue.used->idx, (uint16_t)(n + 1));
		assert_int_equal(queue.used->ring[n % SIZE].id, n % SIZE);
		assert_int_equal(queue.used->ring[n % SIZE].len, n);
		assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 0);
	}
}

static void test_interrupts(void **state)
{
	uint16_t *event = &queue.avail->ring[SIZE];
	*event = 1;
	assert_int_equal(virtqueue_push(&queue, 0, 0), 1); /* the first one always */
	assert_int_equal(virtqueue_push(&queue, 0, 0), 1); /* passes 1 */
	assert_int_equal(virtqueue_push(&queue, 0, 0), 0);
	*event = 4;
	assert_int_equal(virtqueue_push(&queue, 0, 0), 0);
	assert_int_equal(virtqueue_push(&queue, 0, 0), 1);
	queue.event_idx = 0;
	assert_int_equal(virtqueue_push(&queue, 0, 0), 1);
	queue.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_int_equal(virtqueue_push(&queue, 0, 0), 0);
}

static void test_kicks(void **state)
{
	queue.desc[0] = (struct vring_desc){ GUEST, 1, 0, 0 };
	assert_int_equal(virtqueue_want_kick(&queue), 0);
	assert_int_equal(*(uint16_t *)&queue.used->ring[SIZE], 0);
	queue.avail->idx = 1;
	assert_int_equal(virtqueue_want_kick(&queue), 1);
	assert_int_equal(virtqueue_pop(&queue, &memory, &chain), 1);
	assert_int_equal(virtqueue_want_kick(&queue), 0);
	assert_int_equal(*(uint16_t *)&queue.used->ring[SIZE], 1);
}

static void test_regions(void **state)
{
	struct guest_memory m = { 0 };
	assert_int_equal(guest_memory_add(&m, 0, 0, 0, low), -EINVAL);
	assert_int_equal(guest_memory_add(&m, UINT64_MAX, 0, 2, low), -EINVAL);
	assert_int_equal(guest_memory_add(&m, 0, UINT64_MAX - 1, 4, low), -EINVAL);
	assert_int_equal(guest_memory_add(&m, 100, 1000, 100, low), 0);
	assert_int_equal(guest_memory_add(&m, 199, 5000, 1, low), -EINVAL);
	assert_int_equal(guest_memory_add(&m, 50, 5000, 51, low), -EINVAL);
	assert_int_equal(guest_memory_add(&m, 200, 1050, 10, low), -EINVAL);
	assert_int_equal(guest_memory_add(&m, 200, 1100, 100, low), 0);
	assert_null(guest_memory_from_user(&m, 999, 1, 1));
	assert_null(guest_memory_from_user(&m, 1000, 101, 1)); /* one region only: it may lie elsewhere from there on */
	assert_null(guest_memory_from_user(&m, 1001, 8, 2));
	assert_null(guest_memory_from_user(&m, 1000, UINT64_MAX, 1));
	assert_ptr_equal(guest_memory_from_user(&m, 1090, 10, 2), low + 90);
	struct iovec pieces[2];
	assert_int_equal(guest_memory_describe(&m, 150, 100, pieces, 2), 2);
	assert_int_equal(guest_memory_describe(&m, 150, 100, pieces, 1), -E2BIG);
	assert_int_equal(guest_memory_describe(&m, 299, 2, pieces, 2), -EFAULT);
	assert_int_equal(guest_memory_size(&m), 200);
	struct guest_region first = { .guest = 100, .user = 1000, .size = 100 },
			    wrong = { .guest = 100, .user = 1000, .size = 99 };
	assert_int_equal(guest_memory_unmap(&m, &wrong), -ENOENT);
	assert_int_equal(guest_memory_unmap(&m, &first), 0);
	assert_int_equal(guest_memory_size(&m), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_chains), cmocka_unit_test_setup(test_pieces, setup),
		cmocka_unit_test_setup(test_too_many_in_flight, setup),
		cmocka_unit_test_setup(test_indexes_wrap, setup),
		cmocka_unit_test_setup(test_left_behind, setup_ledger), cmocka_unit_test_setup(test_torn, setup_ledger),
		cmocka_unit_test_setup(test_twice_under_way, setup_ledger),
		cmocka_unit_test_setup(test_interrupts, setup), cmocka_unit_test_setup(test_kicks, setup),
		cmocka_unit_test(test_regions) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
