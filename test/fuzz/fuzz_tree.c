/* SPDX-License-Identifier: Apache-2.0
 * Two layers written as directories one over the other, in a temporary folder and as whoever runs
 * this. Whatever they say, nothing appears beside their directories. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/folder.h"
#include "image/trees/write.h"
#include "layers.h"

enum { INPUT_MAX = 1 << 18 };

static int lower(void *data, struct tree_view *ret, struct error **err)
{
	*ret = (struct tree_view){ .trees = data, .count = 1 };
	return 0;
}

static int make(const char *folder, const char *name)
{
	AUTOFREE char *path = path_join(folder, name);
	if (mkdir(path, 0700) < 0)
		abort();
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	return fd;
}

static void check_nothing_beside(const char *folder)
{
	DIR *d = opendir(folder);
	size_t count = 0;
	while (d && readdir(d))
		count++;
	if (count != 4) /* ".", "..", and the two */
		abort();
	closedir(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tar_limits limits = {
		.path_max = 4095,
		.header_max = 65536,
		.entries_max = 200,
		.sparse_max = 100,
	};
	if (size > INPUT_MAX)
		return 0;
	struct layers layers;
	layers_init(&layers, data, size);
	char *folder = folder_new();
	int trees[LAYERS] = { make(folder, "a"), make(folder, "b") };
	for (size_t i = 0; i < LAYERS; i++) {
		struct error *err = NULL;
		struct tar_reader *reader = tar_reader_new(layer_give, &layers.sources[i], &limits);
		struct tree_write t = { .directory = trees[i], .lower = i > 0 ? lower : NULL, .data = trees };
		tree_write_layer(&t, reader, &err);
		tree_write_done(&t);
		tar_reader_free(reader);
		error_free(err);
	}
	check_nothing_beside(folder);
	folder_remove(folder);
	close(trees[0]);
	close(trees[1]);
	layers_done(&layers);
	return 0;
}
