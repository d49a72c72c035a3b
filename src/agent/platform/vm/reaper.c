/* SPDX-License-Identifier: Apache-2.0
 * PID 1 of the VM does as little as possible, because when it dies the kernel does. The agent
 * proper is its child: a crash of the agent loses open sessions, but neither the machine's init nor
 * its mounts, and the next agent adopts them (state.c).
 *
 * Descriptors that must survive a crash are kept here (core/kept.h): the master of the console's
 * terminal, and the agent's ends of the engine's sockets, so that the containers go on. The agent
 * sends them over a socket pair, its descriptor 3, and gets them back there when it is started
 * again. */
#include "agent/platform/vm/reaper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/kept.h"
#include "agent/core/oom_score.h"
#include "agent/platform/vm/early.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum {
	RESPAWN_PERIOD_MS = 60 * 1000,
	RESPAWN_MAX = 5, /* starts within the period; more means that it cannot work */
};

struct reaper {
	pid_t agent;
	int socket; /* our end of the agent's descriptor 3 */
	int kept[KEPT_COUNT];
	uint64_t starts[RESPAWN_MAX];
	unsigned count;
};

/* Whether one more start is within the limit; counts it. */
static int may_start(struct reaper *reaper)
{
	uint64_t now = clock_now_ms(), *oldest = &reaper->starts[reaper->count % RESPAWN_MAX];
	if (reaper->count >= RESPAWN_MAX && now - *oldest < RESPAWN_PERIOD_MS)
		return 0;
	*oldest = now;
	reaper->count++;
	return 1;
}

static _Noreturn void agent_child(int socket)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	(void)oom_score_set(OOM_SCORE_AGENT);
	if (socket == 3)
		fd_set_cloexec(3, 0);
	else
		dup2(socket, 3);
	fd_close_from(4, NULL, 0);
	char *argv[] = { (char *)"holm-agent", NULL };
	char *environment[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	execve("/init", argv, environment);
	_exit(127);
}

static int start_agent(struct reaper *reaper)
{
	int ends[2];
	int e = fd_socketpair(SOCK_SEQPACKET, ends);
	if (e < 0)
		return e;
	fd_close(reaper->socket);
	reaper->socket = ends[0];
	for (int i = 0; i < KEPT_COUNT; i++)
		if (reaper->kept[i] >= 0)
			kept_send(reaper->socket, (enum kept)i, reaper->kept[i]);
	reaper->agent = fork();
	if (reaper->agent == 0)
		agent_child(ends[1]);
	fd_close(ends[1]);
	return reaper->agent < 0 ? -errno : 0;
}

/* Takes in all that the agent has sent. At its end the death comes as a signal. */
static void receive_kept(struct reaper *reaper)
{
	int r = 1;
	while (r == 1 && reaper->socket >= 0)
		r = kept_receive(reaper->socket, reaper->kept);
	if (r < 0)
		fd_close(TAKE_FD(reaper->socket));
}

/* Reaps everything that has ended; whether the agent was among it. */
static int reap(struct reaper *reaper)
{
	int agent_ended = 0, status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (pid != reaper->agent)
			continue;
		agent_ended = 1;
		if (WIFSIGNALED(status))
			log_error("the agent was killed by signal %d", WTERMSIG(status));
		else
			log_error("the agent ended with status %d", WEXITSTATUS(status));
	}
	return agent_ended;
}

static int serve(struct reaper *reaper, int signals)
{
	int e = start_agent(reaper);
	while (e >= 0) {
		struct pollfd fds[2] = { { .fd = signals, .events = POLLIN },
			{ .fd = reaper->socket, .events = POLLIN } };
		struct signalfd_siginfo info;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			receive_kept(reaper);
		if (!(fds[0].revents & POLLIN) || read(signals, &info, sizeof info) < 0)
			continue;
		if (!reap(reaper))
			continue;
		receive_kept(reaper);
		if (!may_start(reaper)) {
			log_error("the agent keeps dying; powering off");
			return -EIO;
		}
		e = start_agent(reaper);
	}
	return e;
}

int reaper_run(void)
{
	struct reaper reaper = { .socket = -1 };
	sigset_t set;
	memset(reaper.kept, 0xff, sizeof reaper.kept);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	int signals = signalfd(-1, &set, SFD_CLOEXEC);
	int e = early_prepare();
	may_start(&reaper);
	if (e >= 0 && signals >= 0)
		serve(&reaper, signals);
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
