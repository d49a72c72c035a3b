/* SPDX-License-Identifier: Apache-2.0
 * The tar reader and what is made of its entries, as two layers over one another. */
#include <sys/mman.h>
#include <unistd.h>

#include "disk/apply.h"
#include "layers.h"

enum { INPUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	static const struct tar_limits limits = {
		.path_max = 4095,
		.header_max = 65536,
		.entries_max = 1000,
		.sparse_max = 1000,
	};
	struct disk_tree tree;
	struct disk_space space;
	int fd = memfd_create("disk", MFD_CLOEXEC);
	disk_space_init(&space, fd, 1 << 20);
	disk_tree_init(&tree);
	struct disk_apply apply = { .tree = &tree, .space = &space };
	struct layers layers;
	layers_init(&layers, data, size);
	for (size_t i = 0; i < LAYERS; i++) {
		struct error *err = NULL;
		struct tar_reader *reader = tar_reader_new(layer_give, &layers.sources[i], &limits);
		apply.layer++;
		disk_apply_layer(&apply, reader, &err);
		tar_reader_free(reader);
		error_free(err);
	}
	disk_tree_done(&tree);
	disk_space_done(&space);
	close(fd);
	layers_done(&layers);
	return 0;
}
