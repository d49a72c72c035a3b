/* SPDX-License-Identifier: Apache-2.0
 * Processes inside a mapping. The child makes its user namespace and says so; the parent writes the
 * maps and says so; then the child becomes root of it. Both words are single bytes on a socket
 * pair, which carries fn's result back too. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "idmap/idmap.h"

enum { TEXT_MAX = 4096 };

struct answer {
	int32_t code;
	char text[TEXT_MAX];
};

static int write_map(pid_t pid, const char *file, const struct idmap_extent *extents, size_t count)
{
	AUTOFREE char *path = xasprintf("/proc/%d/%s", (int)pid, file);
	AUTOFREE char *text = idmap_format(extents, count, '\n');
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* One id that is the user's own needs no help, once groups cannot be dropped any more
 * (user_namespaces(7)). */
static int write_single(const struct idmap *m, pid_t pid)
{
	AUTOFREE char *path = xasprintf("/proc/%d/setgroups", (int)pid);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_full(fd, "deny", 4);
	if (r >= 0)
		r = write_map(pid, "gid_map", m->gids, m->gid_count);
	return r < 0 ? r : write_map(pid, "uid_map", m->uids, m->uid_count);
}

int idmap_needs_programs(const struct idmap *m)
{
	return !m->single && !m->by_root;
}

void idmap_program_arguments(const struct idmap *m, int for_gids, pid_t pid, struct strv *argv)
{
	AUTOFREE char *numbers =
	    for_gids ? idmap_format(m->gids, m->gid_count, ' ') : idmap_format(m->uids, m->uid_count, ' ');
	strv_add(argv, for_gids ? "newgidmap" : "newuidmap");
	strv_addf(argv, "%d", (int)pid);
	strv_split(argv, numbers, " ");
}

static int start_helper(const struct idmap *m, int for_gids, pid_t pid, pid_t *ret, struct error **err)
{
	AUTO_STRV struct strv argv = { 0 };
	idmap_program_arguments(m, for_gids, pid, &argv);
	const struct spawn_options o = { .argv = strv_argv(&argv) };
	int r = spawn(&o, ret, err);
	if (r != -ENOENT)
		return r;
	error_clear(err);
	return error_set(err, ENOENT, "%s is missing; install the package uidmap", argv.items[0]);
}

static int wait_helper(const char *program, pid_t pid, struct error **err)
{
	int status = 0, r = spawn_wait(pid, &status);
	if (r < 0)
		return error_set_errno(err, r, "%s", program);
	return status == 0 ? 0 :
			     error_set(err, EPERM,
				 "%s refused the ranges of /etc/subuid and /etc/subgid; has it lost its setuid bit or "
				 "file capability?",
				 program);
}

static int apply_by_helpers(const struct idmap *m, pid_t pid, struct error **err)
{
	pid_t for_uids, for_gids;
	int r = start_helper(m, 0, pid, &for_uids, err);
	if (r < 0)
		return r;
	int second = start_helper(m, 1, pid, &for_gids, err);
	if (second >= 0)
		second = wait_helper("newgidmap", for_gids, err);
	r = wait_helper("newuidmap", for_uids, second < 0 ? NULL : err);
	return second < 0 ? second : r;
}

int idmap_write(const struct idmap *m, pid_t pid, struct error **err)
{
	int r = m->single ? write_single(m, pid) : write_map(pid, "gid_map", m->gids, m->gid_count);
	if (r >= 0 && !m->single)
		r = write_map(pid, "uid_map", m->uids, m->uid_count);
	return r < 0 ? error_set_errno(err, r, "cannot map user ids") : 0;
}

int idmap_apply(const struct idmap *m, pid_t pid, struct error **err)
{
	return idmap_needs_programs(m) ? apply_by_helpers(m, pid, err) : idmap_write(m, pid, err);
}

int idmap_become_root(const struct idmap *m)
{
	if (!m->single && setgroups(0, NULL) < 0)
		return -errno;
	return setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ? -errno : 0;
}

static int child_enter(const struct idmap *m, pid_t parent, int socket, struct error **err)
{
	char byte = 0;
	if (unshare(CLONE_NEWUSER) < 0)
		return error_set_errno(err, errno, "cannot make a user namespace (see holm system info)");
	int r = fd_write_full(socket, "u", 1);
	if (r < 0 || fd_read_full(socket, &byte, 1) != 1)
		return -ECANCELED; /* the parent says why */
	r = idmap_become_root(m);
	if (r < 0)
		return error_set_errno(err, r, "cannot become root of a user namespace");
	/* Changing ids takes the death signal away. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	return 0;
}

static _Noreturn void child_main(const struct idmap *m, pid_t parent, int socket,
    int (*fn)(void *data, struct error **err), void *data, int detached)
{
	AUTO_ERROR struct error *err = NULL;
	struct answer a = { 0 };
	int r = child_enter(m, parent, socket, &err);
	if (r >= 0 && detached)
		fd_close(TAKE_FD(socket));
	if (r >= 0)
		r = fn(data, &err);
	if (detached && socket < 0) {
		if (r < 0)
			fprintf(stderr, "holm: %s\n", error_text(err, r));
		_exit(r < 0);
	}
	a.code = r < 0 ? r : 0;
	if (r < 0)
		snprintf(a.text, sizeof a.text, "%s", error_text(err, r));
	(void)fd_write_full(socket, &a, sizeof a);
	_exit(r < 0);
}

static void reap(pid_t pid)
{
	int status;
	kill(pid, SIGKILL);
	spawn_wait(pid, &status);
}

/* Forks and maps; the parent's end of the socket, or -errno with nothing left behind. */
static int begin(const struct idmap *m, int (*fn)(void *data, struct error **err), void *data, int detached, pid_t *ret,
    struct error **err)
{
	int ends[2];
	char byte = 0;
	int r = fd_socketpair(SOCK_STREAM, ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a socket");
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		close(ends[0]);
		child_main(m, parent, ends[1], fn, data, detached);
	}
	close(ends[1]);
	AUTO_FD int ours = ends[0];
	if (pid < 0)
		return error_set_errno(err, errno, "cannot start a process");
	if (fd_read_full(ours, &byte, 1) == 1 && byte == 'u') {
		r = idmap_apply(m, pid, err);
		if (r >= 0)
			r = fd_write_full(ours, "m", 1);
		if (r < 0) {
			reap(pid);
			return r;
		}
	} else if (detached) {
		reap(pid);
		return error_set(err, EPERM, "cannot make a user namespace (see holm system info)");
	}
	/* If the child could not even begin, its answer lies in the socket, except the byte that
	 * was read here. */
	*ret = pid;
	return TAKE_FD(ours);
}

int idmap_run(const struct idmap *m, int (*fn)(void *data, struct error **err), void *data, struct error **err)
{
	struct answer a;
	pid_t pid;
	int status;
	AUTO_FD int socket = begin(m, fn, data, 0, &pid, err);
	if (socket < 0)
		return socket;
	ssize_t n = fd_read_full(socket, &a, sizeof a);
	spawn_wait(pid, &status);
	if (n == (ssize_t)sizeof a - 1) /* it failed before 'u': its first byte was taken for one */
		return error_set(err, EPERM, "cannot make a user namespace (see holm system info)");
	if (n != sizeof a)
		return error_set(err, EIO, "a helper in a user namespace ended without an answer");
	a.text[sizeof a.text - 1] = '\0';
	return a.code < 0 ? error_set(err, -a.code, "%s", a.text) : 0;
}

int idmap_start(const struct idmap *m, int (*fn)(void *data, struct error **err), void *data, pid_t *ret,
    struct error **err)
{
	int socket = begin(m, fn, data, 1, ret, err);
	fd_close(socket);
	return socket < 0 ? socket : 0;
}

static int wait_for_end(void *data, struct error **err)
{
	char byte;
	(void)!read(*(int *)data, &byte, 1);
	return 0;
}

int idmap_open_namespace(const struct idmap *m, struct error **err)
{
	int ends[2], status;
	pid_t pid;
	int r = fd_pipe(ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a pipe");
	AUTO_FD int from = ends[0];
	AUTO_FD int to UNUSED = ends[1]; /* for the child to wait at */
	r = idmap_start(m, wait_for_end, &from, &pid, err);
	if (r < 0)
		return r;
	AUTOFREE char *path = xasprintf("/proc/%d/ns/user", (int)pid);
	AUTO_FD int ns = open(path, O_RDONLY | O_CLOEXEC);
	r = ns < 0 ? error_set_errno(err, errno, "cannot open a user namespace") : 0;
	kill(pid, SIGKILL); /* it holds a writing end of the pipe itself */
	spawn_wait(pid, &status);
	return r < 0 ? r : TAKE_FD(ns);
}
