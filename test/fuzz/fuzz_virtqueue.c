/* SPDX-License-Identifier: Apache-2.0
 * A ring in 64 KiB of guest memory that the input fills: takes chains as the device does and
 * touches every byte that they name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fsd/vhost/virtqueue.h"

enum { MEMORY = 1 << 16, AVAIL = 16384, USED = 24576 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned touch(const struct chain *c)
{
	unsigned sum = 0;
	for (unsigned n = 0; n < c->in_count; n++)
		for (size_t at = 0; at < c->pieces[n].iov_len; at += 61)
			sum += ((const uint8_t *)c->pieces[n].iov_base)[at];
	for (unsigned n = c->in_count; n < c->in_count + c->out_count; n++)
		memset(c->pieces[n].iov_base, (int)sum, c->pieces[n].iov_len);
	return sum;
}

/* Input: size (as a power of two), flags, first index, then memory from its start. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct chain chain;
	static struct ledger ledger;
	if (size < 4)
		return 0;
	struct guest_memory m = { 0 };
	char *low = aligned_alloc(16, MEMORY), *high = malloc(4096);
	memset(low, 0, MEMORY);
	memset(high, 0, 4096);
	memcpy(low, data + 4, size - 4 < MEMORY ? size - 4 : MEMORY);
	guest_memory_add(&m, 0, 0x10000, MEMORY, low);
	guest_memory_add(&m, MEMORY, 0x90000, 4096, high);
	struct virtqueue q = { .size = 1U << (data[0] % 11), .ledger = &ledger.queues[0] };
	ledger = (struct ledger){ 0 };
	q.desc = guest_memory_from_user(&m, 0x10000, VIRTQUEUE_DESC_SIZE(q.size), 16);
	q.avail = guest_memory_from_user(&m, 0x10000 + AVAIL, VIRTQUEUE_AVAIL_SIZE(q.size), 2);
	q.used = guest_memory_from_user(&m, 0x10000 + USED, VIRTQUEUE_USED_SIZE(q.size), 4);
	virtqueue_start(&q, (uint16_t)(data[2] | data[3] << 8), data[1] & 1);
	for (int n = 0; n < 64 && virtqueue_pop(&q, &m, &chain) == 1; n++) {
		touch(&chain);
		if (n % 5 != 3) /* some are left behind */
			virtqueue_push(&q, chain.head, (uint32_t)n);
	}
	virtqueue_resume(&q, data[1] & 1);
	while (virtqueue_pop_left(&q, &m, &chain) == 1) {
		touch(&chain);
		virtqueue_push(&q, chain.head, 0);
	}
	virtqueue_want_kick(&q);
	free(low);
	free(high);
	return 0;
}
