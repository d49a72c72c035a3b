/* SPDX-License-Identifier: Apache-2.0
 * The work on layer trees: a process for each layer, as many at once as there are processors.
 *
 * Problem. Layers take seconds to unpack, and most of them depend on no other. Some do: a layer
 * that needs a file of those below must wait until they are finished.
 *
 * Idea. A server inside the user's mapping (server.c) forks a worker for each layer
 * (worker.c). This process decides which layer starts and which may continue, and stays
 * outside of the mapping.
 *
 * Steps:
 * 1. The largest layers start first, one for each processor, or `at_once` of them.
 * 2. A worker that turns out to need the layers below reports WAITING and does not count as
 *    running. So all layers are started in the end.
 * 3. When everything below a waiting layer is finished, its worker gets GO. The lowest unfinished
 *    layer can always continue, so there is no deadlock.
 * 4. After the last layer the server looks the image's init up in all trees together.
 *
 * Failures. Each worker has a socket of its own, whose end is the worker's end. After an error the
 * server kills the others and empties the directories that are not whole: only root of the mapping
 * can. */
#include "image/trees/jobs.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "image/common/interrupt.h"
#include "image/trees/jobs_internal.h"
#include "image/trees/write.h"

enum state { PENDING, RUNNING, WAITING, FINISHED };

struct run {
	struct tree_jobs *jobs;
	struct tree_server server;
	pid_t pid;
	enum state *states;
	uint64_t *read; /* of each layer */
	size_t processors;
};

static int make_pair(int ret[2], struct error **err)
{
	int r = fd_socketpair(SOCK_SEQPACKET, ret);
	return r < 0 ? error_set_errno(err, r, "cannot make a socket") : 0;
}

static void run_done(struct run *run)
{
	for (size_t i = 0; i < run->jobs->count; i++) {
		fd_close(run->server.ends[i][0]);
		fd_close(run->server.ends[i][1]);
	}
	fd_close(run->server.control[0]);
	fd_close(run->server.control[1]);
	free(run->server.ends);
	free(run->server.workers);
	free(run->states);
	free(run->read);
}

static int run_init(struct run *run, struct tree_jobs *j, struct error **err)
{
	cpu_set_t set;
	*run = (struct run){ .jobs = j, .processors = 1 };
	run->server = (struct tree_server){ .jobs = j, .control = { -1, -1 } };
	run->server.ends = xcalloc(j->count + 1, sizeof *run->server.ends);
	run->server.workers = xcalloc(j->count + 1, sizeof *run->server.workers);
	run->states = xcalloc(j->count + 1, sizeof *run->states);
	run->read = xcalloc(j->count + 1, sizeof *run->read);
	if (j->at_once > 0)
		run->processors = j->at_once;
	else if (sched_getaffinity(0, sizeof set, &set) == 0)
		run->processors = (size_t)MAX(CPU_COUNT(&set), 1);
	for (size_t i = 0; i < j->count; i++) {
		run->server.ends[i][0] = run->server.ends[i][1] = -1;
		j->layers[i].done = j->layers[i].blob < 0;
		run->states[i] = j->layers[i].done ? FINISHED : PENDING;
	}
	int r = make_pair(run->server.control, err);
	for (size_t i = 0; r == 0 && i < j->count; i++)
		if (run->states[i] == PENDING)
			r = make_pair(run->server.ends[i], err);
	if (r == 0)
		r = idmap_start(j->ids, tree_server_main, &run->server, &run->pid, err);
	if (r < 0)
		return r;
	fd_close(TAKE_FD(run->server.control[1]));
	for (size_t i = 0; i < j->count; i++)
		fd_close(TAKE_FD(run->server.ends[i][1]));
	return 0;
}

/* A word that the server answers. Its value, or -EPIPE. */
static int64_t ask(struct run *run, enum tree_word word, int64_t value, struct tree_message *ret)
{
	if (tree_send(run->server.control[0], word, value) < 0 || tree_receive(run->server.control[0], ret) != 1)
		return -EPIPE;
	return ret->value;
}

static size_t count_running(const struct run *run)
{
	size_t n = 0;
	for (size_t i = 0; i < run->jobs->count; i++)
		n += run->states[i] == RUNNING;
	return n;
}

static void start_some(struct run *run)
{
	const struct tree_layer *layers = run->jobs->layers;
	for (size_t running = count_running(run); running < run->processors; running++) {
		size_t best = run->jobs->count;
		for (size_t i = 0; i < run->jobs->count; i++)
			if (run->states[i] == PENDING &&
			    (best == run->jobs->count || layers[i].size > layers[best].size))
				best = i;
		if (best == run->jobs->count)
			return;
		run->states[best] = RUNNING;
		/* a server that is gone closes all sockets */
		(void)tree_send(run->server.control[0], TREE_START, (int64_t)best);
	}
}

/* Lets those go on for whom all below is finished: only the lowest unfinished layer can be one. */
static void let_go(struct run *run)
{
	for (size_t i = 0; i < run->jobs->count; i++) {
		if (run->states[i] == FINISHED)
			continue;
		if (run->states[i] == WAITING) {
			run->states[i] = RUNNING;
			(void)tree_send(run->server.ends[i][0], TREE_GO, 0);
		}
		return;
	}
}

static void tell_progress(struct run *run)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < run->jobs->count; i++)
		sum += run->read[i];
	if (run->jobs->progress)
		run->jobs->progress(sum, run->jobs->data);
}

static int take_message(struct run *run, size_t layer, struct error **err)
{
	struct tree_layer *l = &run->jobs->layers[layer];
	struct tree_message m;
	if (tree_receive(run->server.ends[layer][0], &m) != 1)
		return error_set(err, EIO, "%s: the process that unpacked it was killed", l->name);
	if (m.word == TREE_READ) {
		run->read[layer] = (uint64_t)m.value;
	} else if (m.word == TREE_WAITING) {
		run->states[layer] = WAITING;
	} else if (m.word == TREE_DONE) {
		run->states[layer] = FINISHED;
		run->read[layer] = l->size;
		l->done = 1;
	} else {
		int code = m.word == TREE_FAILED && m.value < 0 && m.value > -4096 ? (int)-m.value : EIO;
		return error_set(err, code, "%s: %s", l->name, m.text);
	}
	tell_progress(run);
	return 0;
}

static int all_finished(const struct run *run)
{
	for (size_t i = 0; i < run->jobs->count; i++)
		if (run->states[i] != FINISHED)
			return 0;
	return 1;
}

/* One round: starts what can start, waits for words. No deadline: work that goes on is shown, and
 * Ctrl-C ends it. */
static int turn(struct run *run, struct pollfd *polls, struct error **err)
{
	size_t count = run->jobs->count;
	let_go(run);
	start_some(run);
	for (size_t i = 0; i < count; i++)
		polls[i] = (struct pollfd){
			.fd = run->states[i] == RUNNING || run->states[i] == WAITING ? run->server.ends[i][0] : -1,
			.events = POLLIN,
		};
	polls[count] = (struct pollfd){ .fd = interrupt_fd(), .events = POLLIN };
	if (poll(polls, count + 1, -1) < 0 && errno != EINTR)
		return error_set_errno(err, errno, "cannot wait for the layers");
	int r = interrupt_check(err);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (polls[i].revents)
			r = take_message(run, i, err);
	return r;
}

static int work(struct run *run, struct error **err)
{
	AUTOFREE struct pollfd *polls = xcalloc(run->jobs->count + 1, sizeof *polls);
	int r = 0;
	while (r == 0 && !all_finished(run))
		r = turn(run, polls, err);
	return r;
}

static int search(struct run *run, struct error **err)
{
	struct tree_message m;
	int64_t value = ask(run, TREE_SEARCH, 0, &m);
	if (value == -EPIPE || m.word != TREE_SEARCH)
		return error_set_errno(err, value < 0 ? (int)value : EIO, "cannot look into the layers");
	run->jobs->program = value < 0 ? NULL : run->jobs->programs[value];
	run->jobs->shown = MIN((size_t)m.extra, run->jobs->count);
	return 0;
}

static void give_up(struct run *run)
{
	struct tree_message m;
	ask(run, TREE_STOP, 0, &m);
	for (size_t i = 0; i < run->jobs->count; i++)
		if (!run->jobs->layers[i].done)
			ask(run, TREE_EMPTY, (int64_t)i, &m);
}

int tree_jobs_run(struct tree_jobs *j, struct error **err)
{
	struct run run;
	int status, r = run_init(&run, j, err);
	if (r == 0) {
		r = work(&run, err);
		if (r == 0)
			r = search(&run, err);
		else
			give_up(&run);
		fd_close(TAKE_FD(run.server.control[0]));
		spawn_wait(run.pid, &status);
	}
	run_done(&run);
	return r;
}

struct emptying {
	const int *directories;
	size_t count;
};

static int empty_all(void *data, struct error **err)
{
	const struct emptying *e = data;
	int r = 0;
	for (size_t i = 0; i < e->count; i++) {
		int emptied = tree_empty(e->directories[i]);
		r = r < 0 ? r : emptied;
	}
	return r < 0 ? error_set_errno(err, r, "cannot delete a tree") : 0;
}

int tree_jobs_empty(const struct idmap *ids, const int *directories, size_t count, struct error **err)
{
	struct emptying e = { directories, count };
	return idmap_run(ids, empty_all, &e, err);
}

struct measuring {
	const int *directories;
	size_t count;
	uint64_t *total; /* shared with the process inside the mapping */
};

static int measure_all(void *data, struct error **err)
{
	const struct measuring *m = data;
	int r = 0;
	for (size_t i = 0; r == 0 && i < m->count; i++)
		r = tree_measure(m->directories[i], m->total);
	return r < 0 ? error_set_errno(err, r, "cannot measure a tree") : 0;
}

int tree_jobs_measure(const struct idmap *ids, const int *directories, size_t count, uint64_t *ret, struct error **err)
{
	void *shared = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return error_set_errno(err, errno, "cannot share memory");
	struct measuring m = { directories, count, shared };
	int r = idmap_run(ids, measure_all, &m, err);
	if (r == 0)
		*ret = *m.total;
	munmap(shared, sizeof(uint64_t));
	return r;
}
