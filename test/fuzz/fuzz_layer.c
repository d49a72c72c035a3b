/* SPDX-License-Identifier: Apache-2.0
 * A layer blob as it comes from a registry, decoded and made into a whole disk. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "disk/ext4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error *err = NULL;
	struct disk_options o = { .max_bytes = 16 << 20 };
	int blob = memfd_create("layer", MFD_CLOEXEC), disk = memfd_create("disk", MFD_CLOEXEC);
	if (fd_write_full(blob, data, size) < 0 || lseek(blob, 0, SEEK_SET) < 0)
		abort();
	struct disk_layer layer = { .fd = blob, .size = size };
	disk_write(disk, &layer, 1, &o, &err);
	error_free(err);
	close(blob);
	close(disk);
	return 0;
}
