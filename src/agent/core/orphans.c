/* SPDX-License-Identifier: Apache-2.0
 * Children of our own are waited for by their pidfds, and some are known by number only a moment
 * after they were born, or after they have ended. So what ended is not reaped at once: a child that
 * is a zombie in two looks, some seconds apart, and that nobody waits for, is an orphan. The
 * machine's own orphans never come here: they are its init's. */
#include "agent/core/orphans.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/strv.h"

enum { LOOK_MS = 5000, SEEN_MAX = 64, LIST_MAX = 1 << 20 };

static struct {
	struct agent *agent;
	struct source *timer;
	pid_t seen[SEEN_MAX]; /* zombies at the last look */
	size_t count;
} orphans;

static int was_seen(pid_t pid)
{
	for (size_t i = 0; i < orphans.count; i++)
		if (orphans.seen[i] == pid)
			return 1;
	return 0;
}

static int is_zombie(pid_t pid)
{
	siginfo_t info = { 0 };
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static void look(struct source *s, void *data)
{
	const struct agent *a = orphans.agent;
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv pids = { 0 };
	pid_t found[SEEN_MAX];
	size_t count = 0;
	if (path_read_file("/proc/thread-self/children", LIST_MAX, &text, NULL) < 0)
		return;
	strv_split(&pids, text, " ");
	for (size_t i = 0; i < pids.count && count < SEEN_MAX; i++) {
		uint32_t n;
		pid_t pid = parse_u32(pids.items[i], &n) < 0 ? 0 : (pid_t)n;
		if (pid <= 0 || pid == a->init_pid || loop_watches_child(a->loop, pid) || !is_zombie(pid))
			continue;
		if (was_seen(pid))
			waitpid(pid, NULL, WNOHANG);
		else
			found[count++] = pid;
	}
	memcpy(orphans.seen, found, count * sizeof *found);
	orphans.count = count;
	source_set_timer(orphans.timer, count ? clock_deadline(LOOK_MS) : UINT64_MAX);
}

static void on_signal(struct source *s, int number, void *data)
{
	if (!orphans.count)
		source_set_timer(orphans.timer, clock_deadline(LOOK_MS));
}

int orphans_watch(struct agent *a)
{
	orphans.agent = a;
	int r = loop_add_timer(a->loop, UINT64_MAX, look, a, &orphans.timer);
	return r < 0 ? r : loop_add_signal(a->loop, SIGCHLD, on_signal, a, NULL);
}
