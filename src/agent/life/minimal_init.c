/* SPDX-License-Identifier: Apache-2.0
 * The init of last resort. As pid 1 of a pid namespace it gets only the signals it asks for, so the
 * ones that mean "stop" are waited for: SIGTERM from the agent, SIGUSR2 and SIGPWR for people used
 * to other inits. It then asks all to end, gives them a moment, and powers off, which in a pid
 * namespace ends this process and kills the rest. SIGINT and SIGHUP restart. */
#include "agent/life/minimal_init.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"

enum { GRACE_MS = 5000 };

/* Reaps whatever has ended; 1 while children are left. */
static int reap(void)
{
	pid_t pid;
	do
		pid = waitpid(-1, NULL, WNOHANG);
	while (pid > 0 || (pid < 0 && errno == EINTR));
	return pid == 0;
}

/* Asks everything in the namespace to end and waits for what is ours, no longer than the grace. */
static void end_others(const sigset_t *set)
{
	uint64_t deadline = clock_deadline(GRACE_MS);
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	while (reap()) {
		int left = clock_left_ms(deadline);
		struct timespec wait = { .tv_sec = left / 1000, .tv_nsec = (left % 1000) * 1000000L };
		if (left == 0)
			break;
		sigtimedwait(set, NULL, &wait);
	}
	kill(-1, SIGKILL);
}

int minimal_init_main(void)
{
	static const int wanted[] = { SIGCHLD, SIGTERM, SIGUSR1, SIGUSR2, SIGPWR, SIGINT, SIGHUP };
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (;;) {
		int n = sigwaitinfo(&set, NULL);
		if (n == SIGCHLD)
			reap();
		else if (n > 0) {
			end_others(&set);
			reboot(n == SIGINT || n == SIGHUP ? RB_AUTOBOOT : RB_POWER_OFF);
			return 0;
		}
	}
}
