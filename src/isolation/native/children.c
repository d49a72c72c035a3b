/* SPDX-License-Identifier: Apache-2.0
 * The keeper's processes in a native run. All die with the keeper. pasta may run in the agent's
 * pid namespace: then it dies with the agent, and the agent with the keeper. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/spawn.h"
#include "isolation/native/run.h"

enum { CHILD_FDS_MAX = 8 };

const char *native_child_name(enum native_child_kind kind)
{
	static const char *const names[] = {
		[CHILD_FIRST] = "the agent's first process",
		[CHILD_AGENT] = "agent",
		[CHILD_UIDS] = "newuidmap",
		[CHILD_GIDS] = "newgidmap",
		[CHILD_SCOPE] = "holm-scope",
		[CHILD_PASTA] = "pasta",
		[CHILD_SOCKETS] = "the maker of sockets",
	};
	return names[kind];
}

static void child_free(struct native_child *c)
{
	source_free(c->source);
	free(c);
}

static void unlink_child(struct native_child *c)
{
	struct native_child **at = &c->run->children;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

static void on_child(struct source *s, pid_t pid, int wait_status, void *data)
{
	struct native_child *c = data;
	unlink_child(c);
	native_child_gone(c->run, c, wait_status);
	child_free(c);
}

int native_child_watch(struct isolation_run *run, enum native_child_kind kind, pid_t pid, struct native_child **ret)
{
	struct native_child *c = xnew(struct native_child);
	c->run = run;
	c->kind = kind;
	c->pid = pid;
	int result = loop_add_child(run->loop, pid, on_child, c, &c->source);
	if (result < 0) {
		child_free(c);
		return result;
	}
	c->next = run->children;
	run->children = c;
	if (ret)
		*ret = c;
	return 0;
}

int native_child_start(struct isolation_run *run, enum native_child_kind kind, const struct spawn_options *o,
    struct native_child **ret, struct error **err)
{
	struct spawn_options options = *o;
	struct spawn_fd fds[CHILD_FDS_MAX + 1] = { { .from = run->words, .to = STDERR_FILENO } };
	for (size_t i = 0; i < o->fd_count && i < CHILD_FDS_MAX; i++)
		fds[i + 1] = o->fds[i];
	options.fds = fds;
	options.fd_count = o->fd_count + 1;
	options.new_group = 1;
	options.directory = "/";
	options.death_signal = SIGKILL;
	pid_t pid;
	int status, result = spawn(&options, &pid, err);
	if (result < 0)
		return result;
	result = native_child_watch(run, kind, pid, ret);
	if (result < 0) {
		kill(pid, SIGKILL);
		spawn_wait(pid, &status);
		return error_set_errno(err, result, "cannot watch %s", native_child_name(kind));
	}
	return 0;
}

struct native_child *native_child_find(struct isolation_run *run, enum native_child_kind kind)
{
	struct native_child *c = run->children;
	while (c && c->kind != kind)
		c = c->next;
	return c;
}

void native_children_kill(struct isolation_run *run)
{
	for (struct native_child *c = run->children; c; c = c->next)
		kill(c->pid, SIGKILL);
}

void native_children_reap(struct isolation_run *run)
{
	int status;
	for (struct native_child *c = TAKE_PTR(run->children), *next; c; c = next) {
		next = c->next;
		source_free(TAKE_PTR(c->source));
		spawn_wait(c->pid, &status);
		child_free(c);
	}
}
