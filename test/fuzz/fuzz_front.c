/* SPDX-License-Identifier: Apache-2.0
 * What the broker does with QEMU's messages: checks them, notes them, and says them again, which a
 * device must understand. */
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/process/front.h"
#include "fsd/vhost/vhost_user.h"
#include "vhost_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int say(const struct vhost_message *m, int fd, void *data)
{
	struct vhost_message copy = *m;
	int fds[1] = { fd >= 0 ? dup(fd) : -1 };
	if (vhost_message_check(m, fd >= 0, NULL) < 0)
		abort();
	(void)vhost_device_handle(data, &copy, fds, fd >= 0, NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_input in = { data, size };
	struct vhost_message m;
	int fds[VHOST_MESSAGE_FDS], r = 0;
	unsigned count;
	struct front f;
	front_init(&f);
	while (r >= 0 && input_next(&in, &m, fds, &count)) {
		r = vhost_message_check(&m, count, NULL);
		if (r == 0)
			r = front_note(&f, &m, fds, count);
		for (unsigned n = 0; n < count; n++)
			fd_close(fds[n]);
	}
	struct vhost_device d;
	vhost_device_init(&d);
	(void)front_repeat(&f, say, &d);
	vhost_device_done(&d);
	front_done(&f);
	return 0;
}
