/* SPDX-License-Identifier: Apache-2.0
 * The handler sets a flag and writes to a pipe. Handlers do not restart system calls, so waits end
 * too. */
#include "image/common/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/fd.h"

static volatile sig_atomic_t received;
static int wake[2] = { -1, -1 };

static void handle(int signal_number)
{
	int saved = errno;
	received = signal_number;
	ssize_t n UNUSED = write(wake[1], "", 1);
	errno = saved;
}

int interrupt_setup(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	int r = fd_pipe(wake);
	if (r < 0)
		return r;
	fd_set_nonblocking(wake[1], 1);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction was, action = { .sa_handler = handle };
		/* nohup and background jobs of a shell have it ignored: stays so. */
		if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

int interrupt_fd(void)
{
	return wake[0];
}

int interrupt_check(struct error **err)
{
	return received ? error_set(err, ECANCELED, "interrupted") : 0;
}

void interrupt_finish(void)
{
	if (!received)
		return;
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigaction(received, &standard, NULL);
	raise(received);
}
