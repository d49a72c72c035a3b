/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/standard.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/output.h"

enum { STATUS_BROKEN_PIPE = 128 + SIGPIPE };

void standard_output_init(struct standard_output *o, int fd, size_t max)
{
	struct stat st;
	*o = (struct standard_output){ .fd = fd, .regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) };
	buffer_init(&o->pending, max);
}

void standard_output_write(struct standard_output *o)
{
	size_t most = o->regular ? o->pending.size : MIN(o->pending.size, (size_t)PIPE_BUF);
	ssize_t n = write(o->fd, o->pending.data, most);
	if (n >= 0) {
		buffer_consume(&o->pending, (size_t)n);
	} else if (errno != EINTR && errno != EAGAIN) {
		if (errno != EPIPE)
			output_error("cannot write the command's output: %s", strerror(errno));
		o->broken = errno == EPIPE ? STATUS_BROKEN_PIPE : EXIT_HOLM;
		buffer_consume(&o->pending, o->pending.size);
	}
}

int standard_signals(sigset_t *old)
{
	static const int forwarded[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++) {
		struct sigaction current;
		/* A signal that our caller ignores (nohup, a background job) stays ignored. */
		if (sigaction(forwarded[i], NULL, &current) == 0 && current.sa_handler == SIG_IGN)
			continue;
		sigaddset(&set, forwarded[i]);
	}
	sigprocmask(SIG_BLOCK, &set, old);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}
