/* SPDX-License-Identifier: Apache-2.0
 * The tar reader and what is made of its entries, as two layers over one another: the input's halves. Headers get right checksums first,
 * or no mutation would come past them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "disk/apply.h"

enum { BLOCK = 512, INPUT_MAX = 1 << 20 };

struct source {
	uint8_t *data;
	size_t size, at;
};

static ssize_t give(void *data, const void **ret, struct error **err)
{
	struct source *s = data;
	size_t n = MIN(s->size - s->at, (size_t)700);
	*ret = s->data + s->at;
	s->at += n;
	return (ssize_t)n;
}

static void repair(uint8_t *h)
{
	unsigned sum = 0;
	char text[8];
	if (memcmp(h + 257, "ustar", 5) != 0)
		return;
	memset(h + 148, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += h[i];
	snprintf(text, sizeof text, "%06o", sum & 0777777);
	memcpy(h + 148, text, 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	uint8_t *copy = xmemdup(data, size);
	for (size_t at = 0; at + BLOCK <= size; at += BLOCK)
		repair(copy + at);
	static const struct tar_limits limits = { .path_max = 4095, .header_max = 65536, .entries_max = 1000, .sparse_max = 1000 };
	struct disk_tree tree;
	struct disk_space space;
	int fd = memfd_create("disk", MFD_CLOEXEC);
	disk_space_init(&space, fd, 1 << 20);
	disk_tree_init(&tree);
	struct disk_apply apply = { .tree = &tree, .space = &space };
	size_t half = size / 2 / BLOCK * BLOCK;
	struct source sources[] = { { copy, half, 0 }, { copy + half, size - half, 0 } };
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		struct error *err = NULL;
		struct tar_reader *reader = tar_reader_new(give, &sources[i], &limits);
		apply.layer++;
		disk_apply_layer(&apply, reader, &err);
		tar_reader_free(reader);
		error_free(err);
	}
	disk_tree_done(&tree);
	disk_space_done(&space);
	close(fd);
	free(copy);
	return 0;
}
