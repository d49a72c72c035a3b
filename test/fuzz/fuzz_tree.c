/* SPDX-License-Identifier: Apache-2.0
 * Two layers, the input's halves, written as directories one over the other, in a temporary folder and as whoever runs this. Whatever they say, nothing
 * appears beside their directories. Headers get right checksums first, or no mutation would come past them. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/folder.h"
#include "base/alloc.h"
#include "base/path.h"
#include "image/tree_write.h"

enum { BLOCK = 512, INPUT_MAX = 1 << 18 };

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

static int lower(void *data, struct tree_view *ret, struct error **err)
{
	*ret = (struct tree_view){ .trees = data, .count = 1 };
	return 0;
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
	static const struct tar_limits limits = { .path_max = 4095, .header_max = 65536, .entries_max = 200, .sparse_max = 100 };
	if (size > INPUT_MAX)
		return 0;
	char *folder = folder_new();
	uint8_t *copy = xmemdup(data, size);
	for (size_t at = 0; at + BLOCK <= size; at += BLOCK)
		repair(copy + at);
	size_t half = size / 2 / BLOCK * BLOCK;
	struct source sources[] = { { copy, half, 0 }, { copy + half, size - half, 0 } };
	int trees[] = { make(folder, "a"), make(folder, "b") };
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		struct error *err = NULL;
		struct tar_reader *reader = tar_reader_new(give, &sources[i], &limits);
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
	free(copy);
	return 0;
}
