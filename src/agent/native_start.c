/* SPDX-License-Identifier: Apache-2.0
 * Two processes, one after the other. The first makes the user namespace, waits for its mapping, becomes root in it, and makes the others (a pid
 * namespace holds only its maker's children); the second, a child of the keeper by CLONE_PARENT, is process 1 inside and the agent. Until then
 * the socket is spoken directly, one packet a message (http/transport.h); then it is the transport.
 *
 * Process 1 needs no look at getppid(), which is 0 inside a pid namespace: when the keeper is gone the socket has ended. */
#include "native_start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "native.h"

enum { GO_MS = 60 * 1000 };

struct native *native_self(void)
{
	static struct native self = { .host_view = -1 };
	return &self;
}

static int say(const char *text)
{
	AUTOFREE char *packet = xasprintf("M%s", text);
	return send(NATIVE_CONTROL, packet, strlen(packet), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive_go(struct native_go *ret, struct error **err)
{
	AUTOFREE char *text = xmalloc(TRANSPORT_MESSAGE_MAX + 1);
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *go = NULL;
	int r = fd_wait(NATIVE_CONTROL, POLLIN, clock_deadline(GO_MS));
	if (r <= 0)
		return error_set(err, r < 0 ? -r : ETIMEDOUT, "the keeper did not say how to go on");
	ssize_t n = recv(NATIVE_CONTROL, text, TRANSPORT_MESSAGE_MAX + 1, 0);
	if (n <= 0)
		return error_set(err, n < 0 ? errno : ECONNRESET, "the keeper is gone");
	if (text[0] != 'M' || n > TRANSPORT_MESSAGE_MAX)
		return error_set(err, EPROTO, "the keeper does not keep the protocol");
	if ((r = json_parse_bytes(text + 1, (size_t)n - 1, "message of the keeper", &o, err)) < 0)
		return r;
	if (json_get_object(o, "go", &go, err) < 0)
		return error_set(err, EPROTO, "the keeper's first message is not \"go\"");
	return native_go_parse(go, ret, err);
}

static int become_root(const struct native_go *g, struct error **err)
{
	/* With one id the kernel forbids to drop groups: what they allow, the user is allowed anyway. */
	if (!g->single && setgroups(0, NULL) < 0)
		return error_set_errno(err, errno, "cannot drop the supplementary groups");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return error_set_errno(err, errno, "cannot become root of the user namespace");
	/* Changing ids takes both away. Only who has power over the user namespace gets past the checks of ptrace(2) all the same. */
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
static int prepare(struct native *n, struct error **err)
{
	pid_t parent = getppid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWUSER) < 0)
		return error_set_errno(err, errno, "cannot make a user namespace (see \"holm system info\")");
	int r = say("{\"user\":true}");
	if (r < 0)
		return error_set_errno(err, r, "cannot speak to the keeper");
	if ((r = receive_go(&n->go, err)) < 0 || (r = become_root(&n->go, err)) < 0)
		return r;
	if (getppid() != parent)
		return error_set(err, ECANCELED, "the keeper is gone");
	remember_processors(n);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return error_set_errno(err, errno, "cannot make the machine's namespaces (see \"holm system info\")");
	return 0;
}

static int first_process(struct native *n)
{
	AUTO_ERROR struct error *err = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	int r = native_place_make(n, &err);
	if (r < 0) {
		log_error("%s", error_text(err, r));
		return 1;
	}
	if (n->go.cpus)
		native_set_cpus(n, n->go.cpus);
	return agent_run(&platform_native);
}

int native_main(void)
{
	AUTO_ERROR struct error *err = NULL;
	struct native *n = native_self();
	log_set_program("holm-agent");
	signal(SIGPIPE, SIG_IGN);
	fd_set_cloexec(NATIVE_CONTROL, 1);
	umask(022); /* the keeper's is strict; what is made here and by crun is for everybody inside */
	int r = prepare(n, &err);
	if (r < 0) {
		log_error("%s", error_text(err, r));
		return 1;
	}
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(first_process(n));
	if (pid < 0)
		log_error("cannot start the machine's first process: %s", strerror(errno));
	return pid < 0;
}
