/* SPDX-License-Identifier: Apache-2.0
 * See command.h.
 *
 * Problem. A command must be in the namespaces and the cgroup of its container, as its user, and as
 * confined as its first process. A runtime (crun exec) takes 10 ms and three processes for that.
 * And what goes into a container must bring nothing that the container could use against the
 * engine.
 *
 * Idea. One fork of the engine, and no other program.
 *
 * Steps:
 * 1. The engine makes the container's pid namespace that of its children, forks the child into the
 *    container's cgroup, and takes its own pid namespace back. So the child is the engine's own.
 * 2. The child hides, closes what is not the command's, and sets the limits. Then it joins the
 *    other namespaces, and becomes root of the container.
 * 3. It opens the terminal, and enters the directory.
 * 4. Filter, bounding set, ids, and capabilities (become.c).
 * 5. execve(2), with the PATH of the command, as its user.
 *
 * Failures. Until execve(2) the child is a copy of the engine, with its memory and, at
 * /proc/PID/exe, its file. So it is not dumpable (session/child.c says what that means). A command
 * that is /proc/self/exe is the agent's program, with the rights of any other command: natively it
 * lies on a read-only mount, and in a VM it is the machine's root's, who is in no container. Paths
 * are resolved in the container only, by the child alone: a file that does not answer holds nobody
 * else up. */
#include "agent/engine/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/confine/confine.h"
#include "agent/core/channel.h"
#include "agent/core/execute.h"
#include "agent/core/oom_score.h"
#include "agent/core/pty.h"
#include "agent/engine/become.h"
#include "agent/engine/container_cgroup.h"
#include "agent/engine/namespaces.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"

void command_done(struct command *c)
{
	strv_done(&c->env);
	free(TAKE_PTR(c->who.home));
}

/* ---- in the child ---- */

/* The streams, with the engine's rights: the pipes are the user's, so that /dev/stdout can be
 * opened by name. */
static int place_standard(const struct command *c)
{
	const struct idmap *ids = container_ids(c->container);
	uint32_t uid, gid;
	for (int i = 0; i < 3; i++) {
		const int from = c->standard[i];
		AUTO_FD int null = from < 0 ? open("/dev/null", (i ? O_WRONLY : O_RDONLY) | O_CLOEXEC) : -1;
		if (dup2(from < 0 ? null : from, i) < 0)
			return -errno;
		if (from >= 0 && idmap_outside(ids->uids, ids->uid_count, c->who.uid, &uid) &&
		    idmap_outside(ids->gids, ids->gid_count, c->who.gid, &gid))
			(void)!fchown(i, uid, gid);
	}
	return 0;
}

static int join(const struct command *c, int process)
{
	enum { JOINED = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP };
	become_keyless();
	if (setns(process, JOINED) < 0)
		return -errno;
	fd_close(process);
	int r = become_hidden();
	if (r == 0)
		r = idmap_become_root(container_ids(c->container));
	return r < 0 ? r : become_hidden();
}

static int open_terminal(const struct command *c, int channel)
{
	AUTO_FD int master = pty_open(c->rows, c->columns, c->who.uid, 0);
	return master < 0 ? master : channel_send(channel, json_object_new_object(), master);
}

static int set_limits(const struct docker_rights *rights)
{
	for (size_t i = 0; i < rights->ulimit_count; i++) {
		const struct docker_ulimit *u = &rights->ulimits[i];
		/* -1, none, is RLIM_INFINITY. */
		const struct rlimit limit = { .rlim_cur = (rlim_t)u->soft, .rlim_max = (rlim_t)u->hard };
		if (setrlimit(u->resource, &limit) < 0)
			return -errno;
	}
	return 0;
}

/* That of the container's first process; of one that the engine may not lower the create warned. */
static void set_score(const struct command *c)
{
	int64_t score = c->container->record.body.limits.oom_score_adj;
	oom_score_give_up();
	if (score)
		(void)oom_score_set(score);
}

/* The directory has a name in the container, or the command would be outside of its root. */
static int enter_directory(const char *path)
{
	char name[PATH_MAX];
	if (chdir(path) < 0)
		return -errno;
	return syscall(SYS_getcwd, name, sizeof name) < 0 ? -errno : name[0] == '/' ? 0 : -ENOENT;
}

static int confine(const struct command *c)
{
	const struct docker_rights *rights = &c->container->record.body.rights;
	const struct become b = {
		.uid = c->who.uid,
		.gid = c->who.gid,
		.groups = c->who.groups,
		.group_count = c->who.group_count,
		.single = container_ids(c->container)->single,
		.capabilities = c->capabilities,
		.filter =
		    rights->privileged || rights->unconfined ? -1 : (int)confine_container_choose(rights->capabilities),
		.no_new_privileges = rights->no_new_privileges,
	};
	return become_user(&b);
}

static _Noreturn void give_up(int channel, int status, const struct error *err, int code)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "error", error_text(err, code));
	json_add_i64(o, "status", status);
	channel_send(channel, o, -1);
	_exit(status);
}

static int prepare(const struct command *c, int channel, int process, struct error **err)
{
	const struct docker_rights *rights = &c->container->record.body.rights;
	int kept[] = { MIN(channel, process), MAX(channel, process) };
	set_score(c); /* the files of a hidden process are its own no more */
	int r = become_hidden();
	if (r == 0)
		r = place_standard(c);
	fd_close_from(3, kept, ARRAY_SIZE(kept));
	if (r == 0 && (r = set_limits(rights)) < 0)
		return error_set_errno(err, r, "cannot set the limits of the container");
	if (r < 0 || (r = join(c, process)) < 0)
		return error_set_errno(err, r, "cannot enter the container");
	if (setsid() < 0 || (c->terminal && (r = open_terminal(c, channel)) < 0))
		return error_set_errno(err, r < 0 ? r : errno, "cannot make a terminal in the container");
	if ((r = enter_directory(c->directory)) < 0)
		return error_set(err, -r, "chdir to cwd (\"%.256s\") set in config.json failed: %s", c->directory,
		    strerror(-r));
	r = confine(c);
	return r < 0 ? error_set_errno(err, r, "cannot become user %u of the container", c->who.uid) : 0;
}

static _Noreturn void child_main(const struct command *c, int channel, int process)
{
	struct error *err = NULL;
	struct strv env = c->env;
	AUTO_STRV struct strv words = { 0 };
	const char *program = c->words->items[0];
	spawn_reset_signals();
	strv_add_all(&words, c->words);
	int r = prepare(c, channel, process, &err);
	if (r < 0)
		give_up(channel, EXIT_NOT_EXECUTABLE, err, r);
	r = execute_program(program, strv_argv(&words), &env);
	if (r == -ENOENT && !strchr(program, '/'))
		error_set(&err, ENOENT, "exec: \"%.256s\": executable file not found in $PATH", program);
	else
		error_set(&err, -r, "exec: \"%.256s\": %s", program, strerror(-r));
	give_up(channel, r == -ENOENT || r == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, err, r);
}

/* ---- in the engine ---- */

/* Forks into the cgroup; -1: into none. */
static long fork_into(int cgroup)
{
	struct clone_args arguments = { .exit_signal = SIGCHLD };
	if (cgroup >= 0) {
		arguments.flags = CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)cgroup;
	}
	long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
	return pid < 0 ? -errno : pid;
}

/* The next child of the engine must not be in the container: there is no going on without the way
 * back. */
static void return_from(int own)
{
	if (setns(own, CLONE_NEWPID) == 0)
		return;
	log_error("cannot leave the process namespace of a container: %s", strerror(errno));
	_exit(1);
}

static long fork_inside(const struct command *c, int cgroup, const int ends[2])
{
	const int process = c->container->process;
	AUTO_FD int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (own < 0 || setns(process, CLONE_NEWPID) < 0)
		return -errno;
	long pid = fork_into(cgroup);
	if (pid == 0)
		child_main(c, ends[1], process);
	return_from(own);
	return pid;
}

/* A privileged container may have made groups below its own: then only those have processes. */
static long fork_child(const struct command *c, const int ends[2])
{
	AUTO_FD int cgroup = container_cgroup_directory(c->container);
	if (cgroup < 0 && c->container->engine->limits & DOCKER_LIMIT_CGROUP)
		return cgroup; /* without its limits it must not run */
	long pid = fork_inside(c, cgroup, ends);
	if (pid != -EBUSY)
		return pid;
	AUTO_FD int below = container_cgroup_below(c->container);
	return below < 0 ? below : fork_inside(c, below, ends);
}

int command_start(const struct command *c, pid_t *ret, int *ret_channel, struct error **err)
{
	int ends[2];
	int r = channel_new(ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a channel");
	long pid = fork_child(c, ends);
	fd_close(ends[1]);
	if (pid < 0) {
		fd_close(ends[0]);
		return error_set_errno(err, (int)pid, "cannot enter the container");
	}
	fd_set_nonblocking(ends[0], 1);
	*ret = (pid_t)pid;
	*ret_channel = ends[0];
	return 0;
}
