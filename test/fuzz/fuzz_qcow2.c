/* SPDX-License-Identifier: Apache-2.0
 * The header of a qcow2 file that somebody else wrote. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "disk/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error *err = NULL;
	struct qcow2_info info = { 0 };
	int fd = memfd_create("disk", MFD_CLOEXEC);
	if (fd_write_full(fd, data, size) < 0)
		abort();
	qcow2_read_fd(fd, "disk", &info, &err);
	qcow2_info_done(&info);
	error_free(err);
	close(fd);
	return 0;
}
