/* SPDX-License-Identifier: Apache-2.0
 * A worker is a fork without exec: it has the agent's memory as it was, so requests need no
 * serialising, and its death, whatever the reason, is an error of that one request. Its last
 * message is {"done":code,"text":...}; an end without it is an error too. */
#include "agent/core/worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/channel.h"
#include "agent/core/oom_score.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

enum { FILES_SOFT = 1024 };

struct worker {
	struct worker_events events;
	void *data;
	pid_t pid;
	int pidfd; /* of one that is not our child; else -1 */
	int channel;
	int finished; /* the last message came */
	int code;
	char *text;
	struct source *io, *child;
};

static void worker_free(struct worker *w)
{
	source_free(w->io);
	source_free(w->child);
	fd_close(w->channel);
	fd_close(w->pidfd);
	free(w->text);
	free(w);
}

static int kept_always = -1;

void worker_keep(int fd)
{
	kept_always = fd;
}

void worker_limit_files(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = MIN(files.rlim_max, (rlim_t)FILES_SOFT);
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_debug("the limit of open files stays as it is: %s", strerror(errno));
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static _Noreturn void worker_child(pid_t parent, int channel, worker_fn fn, void *fn_data, const int *keep,
    size_t keep_count)
{
	sigset_t none;
	sigemptyset(&none);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	int list[8] = { channel };
	size_t n = 1;
	if (kept_always >= 3)
		list[n++] = kept_always;
	for (size_t i = 0; i < keep_count && n < ARRAY_SIZE(list) - 1; i++)
		if (keep[i] >= 3)
			list[n++] = keep[i];
	if (log_descriptor() >= 3)
		list[n++] = log_descriptor();
	qsort(list, n, sizeof *list, compare_fds);
	fd_close_from(3, list, n);
	sigprocmask(SIG_SETMASK, &none, NULL);
	worker_limit_files();
	oom_score_give_up();
	AUTO_ERROR struct error *err = NULL;
	int r = fn(channel, fn_data, &err);
	struct json_object *o = json_object_new_object();
	json_add_i64(o, "done", r < 0 ? r : 0);
	if (r < 0)
		json_add_string(o, "text", error_text(err, r));
	channel_send(channel, o, -1);
	_exit(r < 0);
}

/* Both the end of the channel and the end of the process have been seen: tells the owner. */
static void worker_conclude(struct worker *w)
{
	if (w->io || w->child)
		return;
	struct worker_events events = w->events;
	void *data = w->data;
	int code = w->finished ? w->code : -EIO;
	AUTOFREE char *text =
	    w->finished ? TAKE_PTR(w->text) : xstrdup("a helper of the agent ended without an answer");
	worker_free(w);
	if (events.done)
		events.done(code, text, data);
}

static void on_message(struct worker *w, struct json_object *o, int fd)
{
	int64_t code = 0;
	if (json_get_i64(o, "done", &code, NULL) >= 0) {
		const char *text = NULL;
		json_get_string(o, "text", &text, NULL);
		w->finished = 1;
		w->code = code < 0 && code > -4096 ? (int)code : 0;
		w->text = xstrdup(text);
		fd_close(fd);
	} else if (w->events.message) {
		w->events.message(o, fd, w->data);
	} else {
		fd_close(fd);
	}
}

static void on_channel(struct source *s, int socket, uint32_t events, void *data)
{
	struct worker *w = data;
	AUTO_JSON struct json_object *o = NULL;
	int fd = -1;
	int r = w->finished ? 0 : channel_receive(socket, &o, &fd);
	if (r == -EAGAIN)
		return;
	if (r == 1) {
		on_message(w, o, fd);
		return;
	}
	source_free(w->io);
	w->io = NULL;
	worker_conclude(w);
}

static void on_child(struct source *s, pid_t pid, int status, void *data)
{
	struct worker *w = data;
	source_free(w->child);
	w->child = NULL;
	worker_conclude(w);
}

int worker_start(struct loop *l, worker_fn fn, void *fn_data, const int *keep, size_t keep_count,
    const struct worker_events *events, void *data, struct worker **ret)
{
	int ends[2];
	int r = channel_new(ends);
	if (r < 0)
		return r;
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0) {
		r = -errno;
		fd_close(ends[0]);
		fd_close(ends[1]);
		return r;
	}
	if (pid == 0)
		worker_child(parent, ends[1], fn, fn_data, keep, keep_count);
	fd_close(ends[1]);
	struct worker *w = xnew(struct worker);
	*w = (struct worker){ .events = *events, .data = data, .pid = pid, .pidfd = -1, .channel = ends[0] };
	fd_set_nonblocking(w->channel, 1);
	if ((r = loop_add_io(l, w->channel, EPOLLIN, on_channel, w, &w->io)) < 0 ||
	    (r = loop_add_child(l, pid, on_child, w, &w->child)) < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		worker_free(w);
		return r;
	}
	if (ret)
		*ret = w;
	return 0;
}

static void on_pidfd(struct source *s, int fd, uint32_t events, void *data)
{
	on_child(s, 0, 0, data);
}

int worker_adopt(struct loop *l, int channel, int pidfd, const struct worker_events *events, void *data,
    struct worker **ret)
{
	struct worker *w = xnew(struct worker);
	*w = (struct worker){ .events = *events, .data = data, .pidfd = pidfd, .channel = channel };
	fd_set_nonblocking(w->channel, 1);
	int r = loop_add_io(l, w->channel, EPOLLIN, on_channel, w, &w->io);
	if (r == 0)
		r = loop_add_io(l, w->pidfd, EPOLLIN, on_pidfd, w, &w->child);
	if (r < 0)
		worker_free(w);
	else
		*ret = w;
	return r;
}

int worker_channel(const struct worker *w)
{
	return w->channel;
}

pid_t worker_pid(const struct worker *w)
{
	return w->pid;
}

int worker_send(struct worker *w, struct json_object *o, int fd)
{
	return channel_send(w->channel, o, fd);
}

void worker_cancel(struct worker *w)
{
	if (!w)
		return;
	if (w->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
	else
		kill(w->pid, SIGKILL);
	if (w->child && w->pidfd < 0)
		waitpid(w->pid, NULL, 0);
	worker_free(w);
}
