/* SPDX-License-Identifier: Apache-2.0
 * What the broker does with QEMU's messages: checks them, notes them, and says them again, which a device must understand. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macros.h"
#include "fsd/front.h"
#include "fsd/vhost_user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_fd(unsigned kind)
{
	if (kind)
		return eventfd(0, EFD_CLOEXEC);
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, 1 << 16) < 0)
		return -1;
	return fd;
}

static int say(const struct vhost_message *m, int fd, void *data)
{
	struct vhost_message copy = *m;
	int fds[1] = {fd >= 0 ? dup(fd) : -1};
	if (vhost_message_check(m, fd >= 0, NULL) < 0)
		abort();
	(void)vhost_device_handle(data, &copy, fds, fd >= 0, NULL);
	return 0;
}

/* Input: messages of {request, flags, descriptors, size, payload}. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct front f;
	front_init(&f);
	while (size >= 4) {
		struct vhost_message m = {.request = data[0], .flags = data[1], .size = data[3]};
		int fds[VHOST_MESSAGE_FDS];
		unsigned count = MIN((unsigned)data[2] & 15, (unsigned)VHOST_MESSAGE_FDS), opened = 0;
		for (; opened < count && (fds[opened] = make_fd(data[2] & 16)) >= 0; opened++)
			;
		size_t payload = MIN(size - 4, (size_t)data[3]);
		memcpy(m.payload.bytes, data + 4, payload);
		int r = vhost_message_check(&m, opened, NULL);
		if (r == 0)
			r = front_note(&f, &m, fds, opened);
		for (unsigned n = 0; n < opened; n++)
			fd_close(fds[n]);
		if (r < 0)
			break;
		data += 4 + payload;
		size -= 4 + payload;
	}
	struct vhost_device d;
	vhost_device_init(&d);
	(void)front_repeat(&f, say, &d);
	vhost_device_done(&d);
	front_done(&f);
	return 0;
}
