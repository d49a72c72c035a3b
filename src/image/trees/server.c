/* SPDX-License-Identifier: Apache-2.0
 * The server of workers. One user namespace for all layers, as making one takes two programs' time;
 * forked off before there is any thread, it forks the workers, which make threads. It also empties
 * directories, which only root of the mapping can. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/trees/jobs_internal.h"
#include "image/trees/write.h"

/* Closes the ends of all other pairs, because a pair's end of file comes only after the last copy
 * is closed. */
static void close_others(struct tree_server *s, size_t layer)
{
	fd_close(s->control[1]);
	for (size_t i = 0; i < s->jobs->count; i++) {
		if (i == layer)
			continue;
		fd_close(s->ends[i][1]);
		fd_close(s->jobs->layers[i].blob);
		fd_close(s->jobs->layers[i].facts);
	}
}

static void start(struct tree_server *s, size_t layer)
{
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close_others(s, layer);
		_exit(tree_worker_run(s->jobs, layer, s->ends[layer][1]) < 0);
	}
	s->workers[layer] = pid;
	fd_close(TAKE_FD(s->ends[layer][1])); /* if fork(2) failed, the other end sees the close */
}

static void stop_all(struct tree_server *s)
{
	for (size_t i = 0; i < s->jobs->count; i++) {
		pid_t pid = s->workers[i];
		s->workers[i] = 0;
		if (pid <= 0)
			continue;
		kill(pid, SIGKILL); /* one that ended keeps its number until it is waited for */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

static void search(struct tree_server *s)
{
	const struct tree_jobs *j = s->jobs;
	AUTOFREE int *trees = xcalloc(j->count + 1, sizeof *trees);
	AUTO_TREE_DIRECTORY struct tree_directory root = { 0 };
	const char *found = NULL;
	struct tree_message m = { .word = TREE_SEARCH, .value = -1 };
	for (size_t i = 0; i < j->count; i++)
		trees[i] = j->layers[j->count - 1 - i].tree;
	struct tree_view v = { .trees = trees, .count = j->count };
	int r = tree_view_root(&v, &root);
	if (r == 0)
		r = tree_view_find_program(&v, j->programs, &found);
	for (int64_t i = 0; found && m.value < 0; i++)
		if (j->programs[i] == found)
			m.value = i;
	m.extra = (uint32_t)root.count;
	if (r < 0 && r != -ENOENT)
		m = (struct tree_message){ .word = TREE_FAILED, .value = r };
	(void)!send(s->control[1], &m, sizeof m, MSG_NOSIGNAL);
}

/* Many layers and the folders being written in take more descriptors than the usual 1024. */
static void raise_limit(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static void close_theirs(struct tree_server *s)
{
	fd_close(TAKE_FD(s->control[0]));
	for (size_t i = 0; i < s->jobs->count; i++)
		fd_close(TAKE_FD(s->ends[i][0]));
}

int tree_server_main(void *server, struct error **err)
{
	struct tree_server *s = server;
	struct tree_message m;
	/* A group of its own, which Ctrl-C does not reach: whoever asked decides. */
	setpgid(0, 0);
	close_theirs(s);
	raise_limit();
	while (tree_receive(s->control[1], &m) == 1) {
		if (m.value < 0 || (size_t)m.value >= s->jobs->count)
			break;
		if (m.word == TREE_START) {
			start(s, (size_t)m.value);
		} else if (m.word == TREE_STOP) {
			stop_all(s);
			tree_send(s->control[1], TREE_STOP, 0);
		} else if (m.word == TREE_EMPTY) {
			tree_send(s->control[1], TREE_EMPTY, tree_empty(s->jobs->layers[m.value].tree));
		} else if (m.word == TREE_SEARCH) {
			search(s);
		}
	}
	return 0;
}
