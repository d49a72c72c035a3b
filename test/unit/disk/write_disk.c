/* SPDX-License-Identifier: Apache-2.0
 * write-disk OUTPUT LAYER...: the disk writer alone, for tests and measurements. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "disk/ext4.h"

int main(int argc, char **argv)
{
	AUTO_ERROR struct error *err = NULL;
	if (argc < 2) {
		fprintf(stderr, "usage: %s OUTPUT LAYER...\n", argv[0]);
		return 2;
	}
	size_t count = (size_t)argc - 2;
	AUTOFREE struct disk_layer *layers = xcalloc(count + 1, sizeof *layers);
	for (size_t i = 0; i < count; i++) {
		layers[i] = (struct disk_layer){ .fd = open(argv[i + 2], O_RDONLY | O_CLOEXEC), .name = argv[i + 2] };
		if (layers[i].fd < 0) {
			fprintf(stderr, "%s: %s\n", argv[i + 2], strerror(errno));
			return 1;
		}
	}
	AUTO_FD int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 ? error_set_errno(&err, errno, "%s", argv[1]) : disk_write(fd, layers, count, NULL, &err);
	for (size_t i = 0; i < count; i++)
		close(layers[i].fd);
	if (r < 0)
		fprintf(stderr, "%s\n", error_text(err, r));
	return r < 0;
}
