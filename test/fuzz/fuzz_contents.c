/* SPDX-License-Identifier: Apache-2.0
 * Two layers listed one over the other. The list is sorted, and has each path once. */
#include "image/library/contents.h"
#include "layers.h"

enum { INPUT_MAX = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tar_limits limits = {
		.path_max = 4095,
		.header_max = 65536,
		.entries_max = 200,
		.sparse_max = 100,
	};
	AUTO_CONTENT_POOL struct content_pool pool = { 0 };
	AUTO_CONTENTS struct contents c = { 0 };
	struct layers layers;
	if (size > INPUT_MAX)
		return 0;
	layers_init(&layers, data, size);
	for (size_t i = 0; i < LAYERS; i++) {
		CLEANUP(tar_reader_freep)
		struct tar_reader *tar = tar_reader_new(layer_give, &layers.sources[i], &limits);
		(void)contents_add_tar(tar, &pool, &c, NULL);
	}
	for (size_t k = 1; k < c.count; k++)
		if (contents_compare_paths(c.items[k - 1]->path, c.items[k]->path) >= 0)
			abort();
	layers_done(&layers);
	return 0;
}
