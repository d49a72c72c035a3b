/* SPDX-License-Identifier: Apache-2.0
 * The init's console, with a terminal of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/core/agent.h"
#include "agent/core/platform.h"
#include "agent/life/console.h"
#include "base/clock.h"
#include "base/fd.h"

enum { LOOK_MS = 200, TURNS_MAX = 10 };

static int turns(struct loop *l)
{
	uint64_t deadline = clock_deadline(LOOK_MS);
	int count = 0;
	while (count < 1000 && loop_step(l, deadline) > 0)
		count++;
	return count;
}

/* An init that closes its console is no reason to be busy, and what the next opener writes is still
 * read. */
static void nobody_at_the_terminal(void **state)
{
	struct agent a = { .platform = &platform_native };
	struct console *c = NULL;
	char text[20000];
	int unlock = 0;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		skip();
	assert_int_equal(loop_new(&a.loop), 0);
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	int again = fcntl(master, F_DUPFD_CLOEXEC, 3);
	console_start(&a, master, &c);
	close(slave);
	assert_in_range(turns(a.loop), 0, TURNS_MAX);
	slave = ioctl(again, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	fd_set_nonblocking(slave, 1);
	memset(text, 'x', sizeof text);
	for (size_t written = 0; written < sizeof text;) {
		ssize_t n = write(slave, text, sizeof text - written);
		if (n > 0)
			written += (size_t)n;
		else
			assert_int_equal(errno, EAGAIN); /* then the agent's turn makes room */
		loop_step(a.loop, clock_deadline(LOOK_MS));
	}
	close(slave);
	assert_in_range(turns(a.loop), 0, TURNS_MAX);
	console_free(c);
	close(again);
	loop_free(a.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(nobody_at_the_terminal) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
