/* SPDX-License-Identifier: Apache-2.0
 * fork and execve with everything that a child must not inherit taken away. The child reports a
 * failure of its own set-up or of execve through a close-on-exec pipe, so the caller knows whether
 * the program runs before spawn() returns. */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"

extern char **environ;

enum { SPAWN_FDS_MAX = 64, STDERR_KEPT = 4096 };

void spawn_reset_signals(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Lifts every source above the highest target, so that dup2 cannot overwrite one that is still
 * needed. Returns the new highest. */
static int lift_fds(const struct spawn_options *o, int *lifted, int *report)
{
	int top = 3;
	for (size_t i = 0; i < o->fd_count; i++)
		top = MAX(top, o->fds[i].to + 1);
	for (size_t i = 0; i < o->fd_count; i++) {
		lifted[i] = fcntl(o->fds[i].from, F_DUPFD_CLOEXEC, top);
		if (lifted[i] < 0)
			return -errno;
	}
	*report = fcntl(*report, F_DUPFD_CLOEXEC, top);
	return *report < 0 ? -errno : 0;
}

static int place_fds(const struct spawn_options *o, const int *lifted, int report)
{
	int kept[SPAWN_FDS_MAX + 4];
	size_t count = 0;
	unsigned char named[3] = { 0 };
	for (size_t i = 0; i < o->fd_count; i++) {
		if (dup2(lifted[i], o->fds[i].to) < 0)
			return -errno;
		if (o->fds[i].to < 3)
			named[o->fds[i].to] = 1;
	}
	for (int i = 0; i < 3 && !o->inherit_standard; i++) {
		if (named[i])
			continue;
		int null = open("/dev/null", i == 0 ? O_RDONLY : O_WRONLY);
		if (null < 0 || (null != i && dup2(null, i) < 0))
			return -errno;
		if (null != i)
			close(null);
	}
	/* Keeps the named descriptors from 3 up open, and the report pipe. */
	for (size_t i = 0; i < o->fd_count; i++)
		if (o->fds[i].to > 2)
			kept[count++] = o->fds[i].to;
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j > 0 && kept[j - 1] > kept[j]; j--) {
			int swap = kept[j];
			kept[j] = kept[j - 1];
			kept[j - 1] = swap;
		}
	kept[count++] = report;
	fd_close_from(3, kept, count);
	return 0;
}

static int prepare_child(const struct spawn_options *o, pid_t parent, int *report)
{
	int lifted[SPAWN_FDS_MAX];
	int r = lift_fds(o, lifted, report);
	if (r < 0)
		return r;
	r = place_fds(o, lifted, *report);
	if (r < 0)
		return r;
	if (o->new_session && setsid() < 0)
		return -errno;
	if (o->new_group && setpgid(0, 0) < 0)
		return -errno;
	if (o->directory && chdir(o->directory) < 0)
		return -errno;
	if (o->in_child && (r = o->in_child(o->in_child_data)) < 0)
		return r;
	if (o->death_signal) {
		if (prctl(PR_SET_PDEATHSIG, o->death_signal) < 0)
			return -errno;
		if (getppid() != parent)
			_exit(128 + SIGKILL);
	}
	return 0;
}

/* In the child; the path was looked up before the fork. */
static void child_main(const struct spawn_options *o, const char *path, pid_t parent, int report)
    __attribute__((noreturn));
static void child_main(const struct spawn_options *o, const char *path, pid_t parent, int report)
{
	spawn_reset_signals();
	int r = prepare_child(o, parent, &report);
	if (r == 0) {
		execve(path, o->argv, o->environment ? o->environment : environ);
		r = -errno;
	}
	ssize_t n UNUSED = write(report, &r, sizeof r);
	_exit(127);
}

/* The program's path by PATH; owned; NULL when there is none. */
static char *find_program(const char *name)
{
	if (strchr(name, '/'))
		return xstrdup(name);
	const char *path = getenv("PATH");
	AUTO_STRV struct strv directories = { 0 };
	strv_split(&directories, path ? path : "/usr/local/bin:/usr/bin:/bin", ":");
	/* System directories hold what ordinary users run too (e2fsck), but are not on everyone's
	 * PATH. */
	strv_add(&directories, "/usr/sbin");
	strv_add(&directories, "/sbin");
	for (size_t i = 0; i < directories.count; i++) {
		char *candidate = xasprintf("%s/%s", directories.items[i], name);
		if (access(candidate, X_OK) == 0)
			return candidate;
		free(candidate);
	}
	return NULL;
}

int spawn(const struct spawn_options *o, pid_t *ret, struct error **err)
{
	AUTOFREE char *path = find_program(o->argv[0]);
	int report[2], failure = 0;
	if (!path)
		return error_set(err, ENOENT, "cannot find %s in PATH", o->argv[0]);
	if (o->fd_count > SPAWN_FDS_MAX)
		return error_set(err, E2BIG, "too many descriptors for %s", o->argv[0]);
	int r = fd_pipe(report);
	if (r < 0)
		return error_set_errno(err, r, "cannot start %s", o->argv[0]);
	AUTO_FD int from_child = report[0];
	AUTO_FD int to_parent = report[1];
	/* Signals stay blocked over the fork, so that no handler of this program runs in the
	 * child. */
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		child_main(o, path, parent, to_parent);
	r = pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	fd_close(TAKE_FD(to_parent));
	if (r < 0)
		return error_set_errno(err, r, "cannot start %s", o->argv[0]);
	if (fd_read_full(from_child, &failure, sizeof failure) == sizeof failure) {
		spawn_wait(pid, &r);
		return error_set_errno(err, failure, "cannot start %s", path);
	}
	*ret = pid;
	return 0;
}

int spawn_exit_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int spawn_wait(pid_t pid, int *ret_status)
{
	int status;
	pid_t r;
	do
		r = waitpid(pid, &status, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*ret_status = spawn_exit_status(status);
	return 0;
}

/* Keeps the tail of what stderr said. */
static int drain_tail(struct buffer *b, int fd)
{
	if (b->size > STDERR_KEPT)
		buffer_consume(b, b->size - STDERR_KEPT);
	return (int)buffer_read(b, fd, STDERR_KEPT);
}

/* Reads both pipes until both ended: 0, -ETIMEDOUT, -EFBIG. */
static int collect(int out, int errors, struct buffer *output, struct buffer *tail, uint64_t deadline_ms)
{
	struct pollfd p[2] = { { .fd = out, .events = POLLIN }, { .fd = errors, .events = POLLIN } };
	while (p[0].fd >= 0 || p[1].fd >= 0) {
		int n = poll(p, 2, clock_left_ms(deadline_ms));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && clock_left_ms(deadline_ms) == 0)
			return -ETIMEDOUT;
		if (n <= 0)
			continue;
		if (p[0].revents) {
			ssize_t got = buffer_read(output, out, 64 * 1024);
			if (got == -ENOBUFS)
				return -EFBIG;
			if (got <= 0)
				p[0].fd = -1;
		}
		if (p[1].revents && drain_tail(tail, errors) <= 0)
			p[1].fd = -1;
	}
	return 0;
}

static const char *last_line(struct buffer *b)
{
	while (b->size && (b->data[b->size - 1] == '\n' || b->data[b->size - 1] == ' '))
		b->size--;
	const char *text = buffer_string(b), *newline = strrchr(text, '\n');
	return newline ? newline + 1 : text;
}

int spawn_capture(char *const *argv, size_t max, uint64_t deadline_ms, char **ret_output, struct error **err)
{
	int out[2], errors[2], status = 0;
	pid_t pid;
	AUTO_BUFFER struct buffer output;
	AUTO_BUFFER struct buffer tail;
	buffer_init(&output, max);
	buffer_init(&tail, (size_t)STDERR_KEPT * 2);
	int r = fd_pipe(out);
	if (r < 0)
		return error_set_errno(err, r, "cannot start %s", argv[0]);
	AUTO_FD int out_read = out[0];
	AUTO_FD int out_write = out[1];
	if ((r = fd_pipe(errors)) < 0)
		return error_set_errno(err, r, "cannot start %s", argv[0]);
	AUTO_FD int errors_read = errors[0];
	AUTO_FD int errors_write = errors[1];
	struct spawn_fd fds[] = { { out_write, 1 }, { errors_write, 2 } };
	r = spawn(&(struct spawn_options){ .argv = argv, .fds = fds, .fd_count = 2, .death_signal = SIGKILL }, &pid,
	    err);
	if (r < 0)
		return r;
	fd_close(TAKE_FD(out_write));
	fd_close(TAKE_FD(errors_write));
	r = collect(out_read, errors_read, &output, &tail, deadline_ms);
	if (r < 0)
		kill(pid, SIGKILL);
	int waited = spawn_wait(pid, &status);
	if (r == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "%s did not end in time", argv[0]);
	if (r == -EFBIG)
		return error_set(err, EFBIG, "%s printed more than %zu bytes", argv[0], max);
	if (r < 0 || waited < 0)
		return error_set_errno(err, r < 0 ? r : waited, "%s", argv[0]);
	if (status != 0)
		error_set(err, EIO, "%s ended with status %d: %s", argv[0], status, last_line(&tail));
	if (ret_output)
		*ret_output = buffer_take_string(&output);
	return status;
}
