/* SPDX-License-Identifier: Apache-2.0 */
#include "base/accept.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"

enum { PAUSE_MS = 500 };

int accept_must_wait(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOMEM || code == ENOBUFS;
}

int accept_connection(struct source *s, int listening)
{
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		return fd;
	int code = errno;
	if (accept_must_wait(code))
		source_pause(s, clock_deadline(PAUSE_MS));
	return -code;
}
