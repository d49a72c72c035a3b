/* SPDX-License-Identifier: Apache-2.0
 * See prepare_ahead.h. The process works in silence, takes no locks of its own, since the pull
 * holds the image's, and ends by itself when the pipes end. */
#include "image/commands/prepare_ahead.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/spawn.h"
#include "image/common/interrupt.h"

/* A reader of this command's output waits for this process alone. */
static void be_silent(void)
{
	AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
}

static int make(struct prepare_ahead *a, const char *name, const char *digest, struct streams *s)
{
	AUTO_JSON struct json_object *answer = NULL;
	AUTO_PROGRESS struct progress *none = progress_new(PROGRESS_NONE);
	be_silent();
	if (interrupt_setup() < 0) /* a pipe of its own */
		return 1;
	streams_be_reader(s);
	a->library->streams = s;
	return prepare_image(a->library, name, digest, a->wish, none, &answer, NULL) < 0;
}

void prepare_ahead_start(void *data, const char *name, const char *digest, struct streams *s)
{
	struct prepare_ahead *a = data;
	a->pid = fork();
	if (a->pid == 0)
		_exit(make(a, name, digest, s));
	if (a->pid < 0) {
		a->pid = 0;
		streams_done(s);
	}
	streams_be_writer(s);
}

void prepare_ahead_end(void *data)
{
	struct prepare_ahead *a = data;
	int status;
	if (a->pid == 0)
		return;
	AUTO_FD int end = (int)syscall(SYS_pidfd_open, a->pid, 0);
	struct pollfd polls[] = { { .fd = end, .events = POLLIN }, { .fd = interrupt_fd(), .events = POLLIN } };
	while (end >= 0 && interrupt_check(NULL) == 0 && poll(polls, 2, -1) < 0)
		;
	if (interrupt_check(NULL) < 0)
		kill(a->pid, SIGTERM);
	spawn_wait(a->pid, &status);
	a->pid = 0;
}
