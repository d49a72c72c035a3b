/* SPDX-License-Identifier: Apache-2.0
 * A session's processes: how a command gets into the machine.
 *
 * Problem. A command must run in all namespaces of the machine's init, as its user, in a cgroup of
 * its own. It must be as confined as the init is. A runtime (crun exec) takes 0.2 s for that in a
 * VM under emulation. And the agent, which has more rights than the machine, must read nothing of
 * the image.
 *
 * Idea. Two forks by the agent itself, and no runtime. All that depends on the image happens in
 * the second child, which is inside already.
 *
 * Steps:
 * 1. The agent forks the first child into the session's cgroup (clone3(2), CLONE_INTO_CGROUP:
 *    moving a task later costs milliseconds).
 * 2. The first child hides (below) and joins the namespaces of the init's pidfd with setns(2).
 *    Joining takes no rights away. So it confines itself (confine.c) if the machine has a user
 *    namespace of its own.
 * 3. The first child forks the second: only a child is in the pid namespace that was joined. By
 *    CLONE_PARENT the second is the agent's child, and the agent waits for it like for any other.
 * 4. The second child reads the image's account files, opens a terminal or takes its pipes, and
 *    becomes the user. It enters the working directory and executes the command. On a channel it
 *    reports descriptors, notes, "started", or an error with the exit status that the error means
 *    (125 to 127).
 *
 * Failures. Until execve(2) both children are copies of the agent, with its memory and, at
 * /proc/PID/exe, its file. So they are not dumpable. Everybody inside would need CAP_SYS_PTRACE in
 * the user namespace in which the agent was executed (ptrace(2), "Ptrace access mode checking"). A
 * change of credentials sets the mark to the host's fs.suid_dumpable, so hide() follows each one.
 * execve(2) makes the command an ordinary process. If the channel ends without an error, the
 * command runs. */
#include "agent/core/worker.h"
#include "agent/session/child.h"

#include "agent/session/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/confine/confine.h"
#include "agent/core/channel.h"
#include "agent/core/execute.h"
#include "agent/core/oom_score.h"
#include "agent/core/pty.h"
#include "agent/provision/authorities.h"
#include "agent/session/kerberos.h"
#include "agent/session/locale.h"
#include "agent/session/user.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"

#define SSH_DIRECTORY "/run/holm"

enum { STATUS_FAILED = 125 };

struct child {
	const struct session_plan *plan;
	int channel;
	int root;
	struct session_user user;
	struct strv env;
};

static _Noreturn void give_up(struct child *c, int status, struct error *err, int code)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "error", error_text(err, code));
	json_add_i64(o, "status", status);
	channel_send(c->channel, o, -1);
	_exit(status);
}

/* A change of credentials sets the mark to what the host's fs.suid_dumpable says, so this is done
 * after each. */
static int hide(const struct session_plan *p, struct error **err)
{
	return p->confined && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ?
		   error_set_errno(err, errno, "cannot protect the session's process") :
		   0;
}

static int send_fd(int channel, const char *name, int fd)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "fd", name);
	return channel_send(channel, o, fd);
}

static int open_terminal(struct child *c, struct error **err)
{
	const struct session_request *q = c->plan->request;
	AUTO_FD int master = pty_open(q->rows, q->columns, c->user.uid, 1);
	if (master < 0)
		return error_set_errno(err, master, "cannot make a terminal in the machine for %s", c->user.name);
	int r = send_fd(c->channel, "pty", master);
	return r < 0 ? error_set_errno(err, r, "cannot hand over the terminal") : 0;
}

/* The pipes belong to the user, so that /dev/stdout can be opened by name. */
static int place_standard(struct child *c, struct error **err)
{
	for (int i = 0; i < 3; i++) {
		int from = c->plan->standard[i];
		AUTO_FD int null = from < 0 ? open("/dev/null", i ? O_WRONLY : O_RDONLY) : -1;
		if (dup2(from < 0 ? null : from, i) < 0)
			return error_set_errno(err, errno, "cannot open /dev/null in the machine");
		if (from >= 0)
			(void)!fchown(i, c->user.uid, c->user.gid);
	}
	return 0;
}

/* A socket for this session, and the stable name by which every session of the user finds the
 * latest one. */
static char *make_ssh_socket(struct child *c)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTOFREE char *path = xasprintf(SSH_DIRECTORY "/ssh-agent-%llu", (unsigned long long)c->plan->number);
	AUTOFREE char *stable = xasprintf(SSH_DIRECTORY "/ssh-agent.%u", c->user.uid);
	AUTOFREE char *temporary = xasprintf("%s.new", path);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, path, MIN(strlen(path), sizeof address.sun_path - 1));
	mode_t mask = umask(0177);
	int bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
	umask(mask);
	if (!bound || listen(fd, 16) < 0 || lchown(path, c->user.uid, c->user.gid) < 0 ||
	    symlink(path, temporary) < 0 || rename(temporary, stable) < 0 || send_fd(c->channel, "ssh", fd) < 0)
		return NULL;
	return TAKE_PTR(stable);
}

static int become_user(struct child *c, struct error **err)
{
	const struct session_user *u = &c->user;
	/* In a machine of a single id no process may set groups (user_namespaces(7),
	 * /proc/PID/setgroups), and there is only root. */
	int groups = setgroups(u->group_count, u->groups) == 0 || (errno == EPERM && c->plan->confined && u->uid == 0);
	if (!groups || setresgid(u->gid, u->gid, u->gid) < 0 || setresuid(u->uid, u->uid, u->uid) < 0) {
		/* EPERM: of groups, where there is a single id. */
		if ((errno == EINVAL || errno == EPERM) && c->plan->confined)
			return error_set(err, EINVAL,
			    "user %s (uid %u, gid %u) cannot be used: this machine does not have these ids", u->name,
			    u->uid, u->gid);
		/* Tests run as one ordinary user. */
		if (c->plan->machine >= 0 || geteuid() == 0 || u->uid != geteuid())
			return error_set_errno(err, errno, "cannot become user %s", u->name);
	}
	return hide(c->plan, err);
}

static void note(struct child *c, char *text)
{
	AUTOFREE char *owned = text;
	channel_send_string(c->channel, "note", owned);
}

static int enter_directory(struct child *c, struct error **err)
{
	const struct session_request *q = c->plan->request;
	if (q->workdir)
		return chdir(q->workdir) < 0 ?
			   error_set_errno(err, errno, "cannot use the working directory \"%s\" in the machine",
			       q->workdir) :
			   0;
	AUTOFREE char *shared = session_shared_path(c->plan->boot, q->cwd);
	if (shared && chdir(shared) == 0)
		return 0;
	int at_home = chdir(c->user.home) == 0;
	if (!at_home && chdir("/") < 0)
		return error_set_errno(err, errno, "cannot enter the machine's root directory");
	const char *here = at_home ? c->user.home : "/";
	if (q->cwd && !streq(q->cwd, here)) /* a home of the machine's own is where the host's would be */
		note(c, xasprintf("working directory %s is not shared with the machine; starting in %s", q->cwd, here));
	return 0;
}

/* As the user. Returns only on failure: the status that it means. */
static int execute(struct child *c, const char *program, char **argv, struct error **err)
{
	int r = execute_program(program, argv, &c->env);
	if (r == -ENOENT && !strchr(program, '/'))
		error_set(err, ENOENT, "command \"%s\" not found in the machine", program);
	else
		error_set_errno(err, r, "cannot run \"%s\" in the machine", program);
	return r == -ENOENT || r == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* The same for sftp-server. */
static int execute_sftp(struct child *c, struct error **err)
{
	int r = session_sftp_execute(c->plan->sftp, &c->env);
	if (r == -ENOENT)
		error_set(err, ENOENT, "there is no sftp-server; install the package openssh-sftp-server on the host");
	else
		error_set_errno(err, r, "cannot run sftp-server in the machine");
	return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static void run_command(struct child *c)
{
	const struct session_request *q = c->plan->request;
	AUTO_STRV struct strv argv = { 0 };
	AUTO_ERROR struct error *err = NULL;
	const char *program = c->user.shell;
	if (q->argv.count && q->shell) {
		strv_add(&argv, path_base(program));
		strv_add(&argv, "-c");
		strv_take(&argv, strv_join(&q->argv, " "));
	} else if (q->argv.count) {
		program = q->argv.items[0];
		strv_add_all(&argv, &q->argv);
	} else {
		strv_addf(&argv, "-%s", path_base(program));
	}
	struct json_object *o = json_object_new_object();
	json_add_i64(o, "started", getpid());
	json_add_u64(o, "uid", c->user.uid);
	channel_send(c->channel, o, -1);
	umask(q->umask);
	int status = q->sftp ? execute_sftp(c, &err) : execute(c, program, strv_argv(&argv), &err);
	give_up(c, status, err, EIO);
}

/* The second child. */
static _Noreturn void session_main(struct child *c)
{
	const struct session_request *q = c->plan->request;
	struct error *err = NULL;
	AUTOFREE char *ssh = NULL;
	setsid();
	umask(SESSION_UMASK);
	c->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = session_user_resolve(c->root, q, &c->plan->boot->user, &c->user, &err);
	if (r >= 0)
		r = q->tty && !q->detach ? open_terminal(c, &err) : place_standard(c, &err);
	if (r < 0)
		give_up(c, STATUS_FAILED, err, r);
	if (q->relay >= 0 && !(ssh = make_ssh_socket(c)))
		note(c, xstrdup("the ssh agent cannot be relayed into the machine"));
	if (q->relay_refused)
		note(c, xstrdup(q->relay_refused));
	if (c->user.has_bus)
		session_wait_bus(c->user.uid, c->plan->bus_deadline_ms);
	authorities_environment(c->root, &c->env);
	session_environment(q, c->plan->boot, &c->user, ssh, &c->env);
	session_fit_locale(c->root, &q->terminal, &c->env);
	if (!session_has_keys())
		session_fit_kerberos(c->root, c->user.uid, &c->env);
	spawn_reset_signals();
	if ((r = become_user(c, &err)) < 0 || (r = enter_directory(c, &err)) < 0)
		give_up(c, STATUS_FAILED, err, r);
	run_command(c);
	_exit(STATUS_FAILED);
}

static int enter(const struct session_plan *p, struct error **err)
{
	int r = hide(p, err);
	if (r < 0)
		return r;
	if (setns(p->machine, p->join) < 0)
		return error_set_errno(err, errno, "cannot enter the machine");
	fd_close(p->machine);
	if ((r = hide(p, err)) < 0)
		return r;
	return p->confined ? confine_apply(err) : 0;
}

/* The first child. */
static _Noreturn void helper_main(const struct session_plan *p, int channel)
{
	struct child c = { .plan = p, .channel = channel, .root = -1 };
	struct error *err = NULL;
	static const struct session_sftp no_sftp = { -1, -1, -1 };
	const struct session_sftp *sftp = p->sftp ? p->sftp : &no_sftp;
	const int keep[] = { channel, p->machine, p->standard[0], p->standard[1], p->standard[2], sftp->loader,
		sftp->libc, sftp->server };
	int list[ARRAY_SIZE(keep)];
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		size_t j = n;
		if (keep[i] < 3)
			continue;
		for (; j > 0 && list[j - 1] > keep[i]; j--)
			list[j] = list[j - 1];
		list[j] = keep[i];
		n++;
	}
	fd_close_from(3, list, n);
	worker_limit_files();
	oom_score_give_up();
	int r = p->machine >= 0 ? enter(p, &err) : 0;
	if (r < 0)
		give_up(&c, STATUS_FAILED, err, r);
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		session_main(&c);
	struct json_object *o = json_object_new_object();
	json_add_i64(o, pid > 0 ? "pid" : "failed", pid > 0 ? pid : errno);
	channel_send(channel, o, -1);
	_exit(pid < 0);
}

int session_fork(const struct session_plan *p, pid_t *ret_helper, int *ret_channel)
{
	int ends[2];
	struct clone_args arguments = { .exit_signal = SIGCHLD };
	int r = channel_new(ends);
	if (r < 0)
		return r;
	if (p->cgroup >= 0) {
		arguments.flags = CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)p->cgroup;
	}
	long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
	if (pid == 0)
		helper_main(p, ends[1]);
	r = pid < 0 ? -errno : 0;
	fd_close(ends[1]);
	if (r < 0) {
		fd_close(ends[0]);
		return r;
	}
	*ret_helper = (pid_t)pid;
	*ret_channel = ends[0];
	return 0;
}
