/* SPDX-License-Identifier: Apache-2.0
 * holm-image as a child of the keeper. It ends with the keeper, or at PROGRAM_MS. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "keeper/docker/private.h"

enum { PROGRAM_MS = 30 * 60 * 1000, TEXT_MAX = 8 * 1024 * 1024, STEP = 64 * 1024, WORDS_MAX = 96 };

struct program {
	docker_program_fn done;
	void *data;
	pid_t pid;
	int status;
	struct source *child, *timer;
	int pipes[2];
	struct source *sources[2];
	struct buffer texts[2]; /* stdout, stderr */
};

static void program_free(struct program *p)
{
	source_free(p->child);
	source_free(p->timer);
	for (int i = 0; i < 2; i++) {
		source_free(p->sources[i]);
		fd_close(p->pipes[i]);
		buffer_done(&p->texts[i]);
	}
	free(p);
}

/* Once it was waited for, its number may be another process's. */
static void end(const struct program *p, int number)
{
	if (p->child)
		kill(p->pid, number);
}

static void conclude(struct program *p)
{
	if (p->child || p->sources[0] || p->sources[1])
		return;
	p->done(p->status, buffer_string(&p->texts[0]), buffer_string(&p->texts[1]), p->data);
	program_free(p);
}

static void on_text(struct source *s, int fd, uint32_t events, void *data)
{
	struct program *p = data;
	int which = s == p->sources[1];
	ssize_t n = buffer_read(&p->texts[which], fd, STEP);
	if (n > 0 || n == -EAGAIN || n == -EINTR)
		return;
	source_free(TAKE_PTR(p->sources[which]));
	if (n == -ENOBUFS)
		end(p, SIGKILL);
	conclude(p);
}

static void on_child(struct source *s, pid_t pid, int status, void *data)
{
	struct program *p = data;
	source_free(TAKE_PTR(p->child));
	p->status = spawn_exit_status(status);
	conclude(p);
}

static void on_time(struct source *s, void *data)
{
	end(data, SIGKILL);
}

static int watch(struct loop *l, struct program *p)
{
	int r = loop_add_child(l, p->pid, on_child, p, &p->child);
	for (int i = 0; r == 0 && i < 2; i++)
		r = loop_add_io(l, p->pipes[i], EPOLLIN, on_text, p, &p->sources[i]);
	return r == 0 ? loop_add_timer(l, clock_deadline(PROGRAM_MS), on_time, p, &p->timer) : r;
}

static int start(struct program *p, const char *const *words, int input, int extra, struct error **err)
{
	AUTOFREE char *path = path_libexec("holm-image");
	AUTO_STRV struct strv argv = { 0 };
	int ends[2][2], r = 0;
	strv_add(&argv, path);
	strv_add(&argv, "--docker-names");
	for (; *words && argv.count < WORDS_MAX; words++)
		strv_add(&argv, *words);
	if (*words)
		return error_set(err, E2BIG, "a request has at most %d parameters", WORDS_MAX);
	if ((r = fd_pipe(ends[0])) < 0)
		return error_set_errno(err, r, "cannot start holm-image");
	p->pipes[0] = ends[0][0];
	AUTO_FD int output = ends[0][1];
	if ((r = fd_pipe(ends[1])) < 0)
		return error_set_errno(err, r, "cannot start holm-image");
	p->pipes[1] = ends[1][0];
	AUTO_FD int errors = ends[1][1];
	const struct spawn_fd fds[] = { { output, 1 }, { errors, 2 }, { input, 0 }, { extra, 3 } };
	const struct spawn_options o = { .argv = strv_argv(&argv),
		.fds = fds,
		.fd_count = 2 + (input >= 0) + (extra >= 0),
		.death_signal = SIGKILL };
	for (int i = 0; i < 2; i++)
		fd_set_nonblocking(p->pipes[i], 1);
	return spawn(&o, &p->pid, err);
}

int docker_program(struct loop *l, const char *const *words, docker_program_fn done, void *data, struct error **err)
{
	return docker_program_with(l, words, -1, done, data, err);
}

int docker_program_with(struct loop *l, const char *const *words, int input, docker_program_fn done, void *data,
    struct error **err)
{
	return docker_program_two(l, words, input, -1, done, data, err);
}

static int run(struct loop *l, const char *const *words, int input, int extra, docker_program_fn done, void *data,
    struct program **ret, struct error **err)
{
	struct program *p = xnew(struct program);
	*p = (struct program){ .done = done, .data = data, .pipes = { -1, -1 } };
	for (int i = 0; i < 2; i++)
		buffer_init(&p->texts[i], TEXT_MAX);
	int status, r = start(p, words, input, extra, err);
	if (r == 0 && (r = watch(l, p)) < 0) {
		kill(p->pid, SIGKILL);
		source_free(TAKE_PTR(p->child));
		spawn_wait(p->pid, &status);
	}
	if (r < 0)
		program_free(p);
	else if (ret)
		*ret = p;
	return r;
}

int docker_program_two(struct loop *l, const char *const *words, int input, int extra, docker_program_fn done,
    void *data, struct error **err)
{
	return run(l, words, input, extra, done, data, NULL, err);
}

int docker_program_fed(struct loop *l, const char *const *words, int input, docker_program_fn done, void *data,
    struct program **ret, struct error **err)
{
	return run(l, words, input, -1, done, data, ret, err);
}

void docker_program_stop(struct program *p)
{
	end(p, SIGTERM);
}
