/* SPDX-License-Identifier: Apache-2.0
 * The start of a native agent: from a process of the user to process 1 of the machine's
 * namespaces.
 *
 * Problem. The agent must be root of a user namespace with the user's subordinate ids, and process
 * 1 of a pid namespace. It must still be a child of the keeper. A process cannot do this to
 * itself: only the keeper can write its mapping, and a pid namespace holds only its maker's
 * children.
 *
 * Idea. Two processes, one after the other, which speak with the keeper on descriptor 3, one
 * packet a message (docs/native.md). The socket becomes the transport when the second one is
 * ready.
 *
 * Steps:
 * 1. The first process makes the user namespace and reports it ("user").
 * 2. The keeper moves it into the machine's cgroup, has its mapping written and answers "go".
 * 3. The first process becomes root inside and makes the other namespaces.
 * 4. It forks the second with CLONE_PARENT, so that the keeper is the parent, and exits.
 * 5. The second, process 1, covers the agent's own file by a read-only mount of it. It executes
 *    the file again from there, with the text of "go" as argument. native_first_main() makes the
 *    mounts (place.c), and platform.c reports "ready".
 *
 * Failures. A session may execute /proc/self/exe, and /proc/PID/exe of that leads to the agent's
 * file on the host, which may belong to the user: hence step 5. A change of ids clears the
 * parent-death signal and the dumpable mark; become_root() sets both again. The keeper needs the
 * latter: it opens the agent's namespaces for pasta. Still only a process with power over the user
 * namespace passes the checks of ptrace(2). Process 1 cannot check getppid(2), which is 0 in a pid
 * namespace: if the keeper died before the signal was armed, the socket has ended. */
#include "agent/platform/native/start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/confine/confine.h"
#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum { GO_MS = 60 * 1000 };

struct native *native_self(void)
{
	static struct native self = { .host_view = -1, .gate = -1 };
	return &self;
}

static int say(const char *text)
{
	AUTOFREE char *packet = xasprintf("M%s", text);
	return send(NATIVE_CONTROL, packet, strlen(packet), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int parse_go(const char *text, struct native_go *ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *go = NULL;
	int r = json_parse_bytes(text, strlen(text), "message of the keeper", &o, err);
	if (r < 0)
		return r;
	if (json_get_object(o, "go", &go, err) < 0)
		return error_set(err, EPROTO, "the keeper's first message is not \"go\"");
	return native_go_parse(go, ret, err);
}

/* *ret_text: the message, owned. */
static int receive_go(struct native_go *ret, char **ret_text, struct error **err)
{
	AUTOFREE char *text = xcalloc(1, TRANSPORT_MESSAGE_MAX + 2);
	int r = fd_wait(NATIVE_CONTROL, POLLIN, clock_deadline(GO_MS));
	if (r <= 0)
		return error_set(err, r < 0 ? -r : ETIMEDOUT, "the keeper did not say how to go on");
	ssize_t n = recv(NATIVE_CONTROL, text, TRANSPORT_MESSAGE_MAX + 1, 0);
	if (n <= 0)
		return error_set(err, n < 0 ? errno : ECONNRESET, "the keeper is gone");
	if (text[0] != 'M' || n > TRANSPORT_MESSAGE_MAX)
		return error_set(err, EPROTO, "protocol error: unexpected message from the keeper");
	if ((r = parse_go(text + 1, ret, err)) >= 0)
		*ret_text = xstrdup(text + 1);
	return r;
}

static int become_root(const struct native_go *g, struct error **err)
{
	/* With one id the kernel forbids to drop groups: what they allow, the user is allowed
	 * anyway. */
	int r = idmap_become_root(&g->ids);
	if (r < 0)
		return error_set_errno(err, r, "cannot become root of the user namespace");
	/* Changing ids takes both away. Only who has power over the user namespace gets past the
	 * checks of ptrace(2) all the same. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
	return 0;
}

static void remember_processors(struct native *n)
{
	n->allowed = CPU_ALLOC(NATIVE_CPUS_MAX);
	if (!n->allowed)
		abort();
	if (sched_getaffinity(0, CPU_ALLOC_SIZE(NATIVE_CPUS_MAX), n->allowed) < 0) {
		CPU_FREE(n->allowed);
		n->allowed = NULL;
	}
}

/* The first process's part. */
static int prepare(struct native *n, char **ret_go, struct error **err)
{
	pid_t parent = getppid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWUSER) < 0)
		return error_set_errno(err, errno, "cannot make a user namespace (see holm system info)");
	int r = say("{\"user\":true}");
	if (r < 0)
		return error_set_errno(err, r, "cannot speak to the keeper");
	if ((r = receive_go(&n->go, ret_go, err)) < 0 || (r = become_root(&n->go, err)) < 0)
		return r;
	if (getppid() != parent)
		return error_set(err, ECANCELED, "the keeper is gone");
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return error_set_errno(err, errno, "cannot make the machine's namespaces (see holm system info)");
	return 0;
}

/* In the new mount namespace: this program's file covered by itself, read-only, and executed from
 * there. Returns only on failure. */
static int execute_again(char *go, struct error **err)
{
	char self[PATH_MAX];
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };
	char *argv[] = { (char *)"holm-agent", (char *)"--native-first", go, NULL };
	ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
	if (size <= 0)
		return error_set_errno(err, errno, "cannot find out where this program lies");
	self[size] = '\0';
	AUTO_FD int tree = (int)syscall(SYS_open_tree, AT_FDCWD, self, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ||
	    syscall(SYS_move_mount, tree, "", AT_FDCWD, self, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_set_errno(err, errno, "cannot protect %s", self);
	fd_set_cloexec(NATIVE_CONTROL, 0);
	execv(self, argv);
	return error_set_errno(err, errno, "cannot execute %s", self);
}

int native_first_main(const char *go)
{
	AUTO_ERROR struct error *err = NULL;
	struct native *n = native_self();
	log_set_program("holm-agent");
	fd_set_cloexec(NATIVE_CONTROL, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	remember_processors(n);
	int r = parse_go(go, &n->go, &err);
	if (r >= 0)
		r = native_place_make(n, &err);
	if (r < 0) {
		log_error("%s", error_text(err, r));
		return 1;
	}
	confine_choose(n->go.socketcall ? CONFINE_SOCKETCALL : CONFINE_STRICT);
	if (n->go.cpus)
		native_set_cpus(n, n->go.cpus);
	return agent_run(&platform_native);
}

int native_main(void)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *go = NULL;
	log_set_program("holm-agent");
	signal(SIGPIPE, SIG_IGN);
	fd_set_cloexec(NATIVE_CONTROL, 1);
	umask(022); /* the keeper's is strict; what is made here and by crun is for everybody inside */
	int r = prepare(native_self(), &go, &err);
	if (r < 0) {
		log_error("%s", error_text(err, r));
		return 1;
	}
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		r = execute_again(go, &err);
		log_error("%s", error_text(err, r));
		_exit(1);
	}
	if (pid < 0)
		log_error("cannot start the machine's first process: %s", strerror(errno));
	return pid < 0;
}
