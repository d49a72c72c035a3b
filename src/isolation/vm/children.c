/* SPDX-License-Identifier: Apache-2.0
 * The processes of a virtual machine. All are children of the keeper and bound to its death; QEMU
 * gets SIGTERM then, which makes it write back its own metadata and exit, the others SIGKILL. passt
 * loses the parent-death signal when it enters its namespace, but it serves one connection and ends
 * with it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "base/strv.h"
#include "isolation/vm/landlock.h"
#include "isolation/vm/network.h"
#include "isolation/vm/run.h"

enum { CHILD_FDS_MAX = 64, CHILD_FD_FIRST = 3 };

void child_fds_init(struct child_fds *f)
{
	*f = (struct child_fds){ .items = xcalloc(CHILD_FDS_MAX, sizeof(struct spawn_fd)), .next = CHILD_FD_FIRST };
}

void child_fds_done(struct child_fds *f)
{
	free(f->items);
	f->items = NULL;
	f->count = 0;
}

int child_fds_give(struct child_fds *f, int fd)
{
	if (fd < 0 || f->count >= CHILD_FDS_MAX)
		return -1;
	f->items[f->count++] = (struct spawn_fd){ .from = fd, .to = f->next };
	return f->next++;
}

static void child_free(struct vm_child *c)
{
	source_free(c->source);
	free(c->what);
	free(c);
}

static void unlink_child(struct vm_child *c)
{
	struct isolation_run *run = c->run;
	for (struct vm_child **p = &run->children; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	for (struct vm_share *share = run->shares; share; share = share->next) {
		if (share->server == c)
			share->server = NULL;
	}
}

static void on_child(struct source *s, pid_t pid, int wait_status, void *data)
{
	struct vm_child *c = data;
	unlink_child(c);
	run_child_gone(c->run, c, wait_status);
	child_free(c);
}

void child_reap(struct vm_child *c)
{
	int status;
	source_free(c->source);
	c->source = NULL;
	spawn_wait(c->pid, &status);
	unlink_child(c);
	child_free(c);
}

/* In the child. */
static int restrict_child(void *data)
{
	const int *rules = data;
	int r = landlock_restrict(*rules);
	close(*rules);
	return r;
}

int child_start(struct isolation_run *run, char *const *argv, const struct child_fds *fds, int errors_fd,
    int death_signal, char *what, struct vm_child **ret, struct error **err)
{
	struct vm_child *c = xnew(struct vm_child);
	c->run = run;
	c->what = what;
	struct spawn_fd given[CHILD_FDS_MAX + 1];
	size_t count = fds ? fds->count : 0;
	if (count > 0)
		memcpy(given, fds->items, count * sizeof(given[0]));
	if (errors_fd >= 0)
		given[count++] = (struct spawn_fd){ .from = errors_fd, .to = STDERR_FILENO };
	const struct spawn_options o = {
		.argv = argv,
		.fds = given,
		.fd_count = count,
		.death_signal = death_signal,
		.new_group = 1,
		.directory = "/",
		.in_child = fds && fds->rules ? restrict_child : NULL,
		.in_child_data = fds ? (void *)&fds->rules : NULL,
	};
	int status, result = spawn(&o, &c->pid, err);
	if (result >= 0) {
		result = loop_add_child(run->loop, c->pid, on_child, c, &c->source);
		if (result < 0) {
			kill(c->pid, SIGKILL);
			spawn_wait(c->pid, &status);
			error_set_errno(err, result, "cannot watch %s", c->what);
		}
	}
	if (result < 0) {
		child_free(c);
		return result;
	}
	c->next = run->children;
	run->children = c;
	*ret = c;
	return 0;
}

void children_kill(struct isolation_run *run, int qemu_signal)
{
	for (struct vm_child *c = run->children; c; c = c->next)
		kill(c->pid, c->is_qemu ? qemu_signal : SIGKILL);
}

int share_server_start(struct isolation_run *run, const struct isolation_share *s, struct vm_child **ret, int *ret_fd,
    struct error **err)
{
	int pair[2];
	int result = fd_socketpair(SOCK_STREAM, pair);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for the share %s", s->host);
	AUTO_FD int ours = pair[0], server = pair[1];
	AUTO_STRV struct strv argv = { 0 };
	struct child_fds fds;
	child_fds_init(&fds);
	strv_take(&argv, path_libexec("holm-fsd"));
	strv_add(&argv, "--fd");
	strv_addf(&argv, "%d", child_fds_give(&fds, server));
	strv_add(&argv, "--root");
	strv_add(&argv, s->host);
	if (s->is_file)
		strv_add(&argv, "--file");
	if (s->read_only)
		strv_add(&argv, "--read-only");
	for (size_t i = 0; s->hidden && s->hidden[i]; i++) {
		strv_add(&argv, "--hide");
		strv_add(&argv, s->hidden[i]);
		if (!streq(s->hidden_ids[i], PATH_NOTHING))
			strv_addf(&argv, "--hidden-id=%s", s->hidden_ids[i]);
	}
	strv_add(&argv, "--inside-uid");
	strv_addf(&argv, "%u", s->inside_uid);
	strv_add(&argv, "--inside-gid");
	strv_addf(&argv, "%u", s->inside_gid);
	for (size_t i = 0; i < ARRAY_SIZE(machine_share_keys); i++)
		if (machine_share_keys[i].is_option && s->choices[i] != 0)
			strv_addf(&argv, "--%s=%s", machine_share_keys[i].key,
			    machine_share_keys[i].words[s->choices[i]]);
	if (s->events >= 0) {
		strv_add(&argv, "--events");
		strv_addf(&argv, "%d", child_fds_give(&fds, s->events));
	}
	result = child_start(run, strv_argv(&argv), &fds, STDERR_FILENO, SIGKILL,
	    xasprintf("the share server of %s", s->host), ret, err);
	child_fds_done(&fds);
	if (result < 0)
		return result;
	*ret_fd = TAKE_FD(ours);
	return 0;
}

int passt_start(struct isolation_run *run, int *ret_fd, struct error **err)
{
	int pair[2];
	int result = fd_socketpair(SOCK_STREAM, pair);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for passt");
	AUTO_FD int ours = pair[0], server = pair[1];
	AUTO_STRV struct strv argv = { 0 };
	struct child_fds fds;
	struct vm_child *child;
	child_fds_init(&fds);
	passt_arguments(&argv, child_fds_give(&fds, server), run->families, run->host_access);
	result = child_start(run, strv_argv(&argv), &fds, -1, SIGKILL, xstrdup("passt (the network)"), &child, err);
	child_fds_done(&fds);
	if (result < 0)
		return result;
	*ret_fd = TAKE_FD(ours);
	return 0;
}
