/* SPDX-License-Identifier: Apache-2.0
 * The network: pasta(1) makes a device in a network namespace of the agent's, which moves it to the
 * machine's (agent/platform/native/gate.c), and translates between its packets and sockets of the
 * host user, with the same addresses that a virtual machine has. Each init gets a new namespace,
 * and so its own pasta, which starts before it. It forwards no ports by itself: a machine's ports
 * are published by the keeper, and nothing listens on the host for it.
 *
 * pasta outlives the namespace that it serves and loses the parent-death signal when it enters it.
 * So it is started in the agent's user and pid namespaces, as the latter's root: the kernel ends it
 * with the agent, whoever is killed first. It is never root of the host.
 *
 * The namespace that it serves is named by a file that it is bound to, in a mount namespace of
 * pasta's own: from a process's number it may not open them where AppArmor confines it, as on
 * Debian, because that counts as tracing the process. Its profile lets it read /run/user/UID/netns;
 * where there is no /run/user the files are in /tmp.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/spawn.h"
#include "isolation/find.h"
#include "isolation/native/run.h"
#include "isolation/native/tun.h"
#include "isolation/network.h"

enum { JOIN_USER = 3, JOIN_PID = 4, JOIN_REPORT = 5 };

#define NETNS "/0/netns"

struct joining {
	int with_pid_namespace;
	const char *place; /* covered by a tmpfs of pasta's own */
	char net[64];      /* the namespace, in /proc */
};

static const char *namespaces_place(void)
{
	return path_exists("/run/user") ? "/run/user" : "/tmp";
}

void pasta_arguments(struct strv *argv, const char *place, unsigned families, int host_access)
{
	strv_add(argv, "pasta");
	network_arguments(argv, families, host_access);
	strv_split(argv, "--config-net --netns-only --tcp-ns none --udp-ns none --ns-ifname eth0 --no-netns-quit", " ");
	strv_addf(argv, "--netns=%s" NETNS "/net", place);
}

static int bind_file(const char *from, const char *to)
{
	return mknod(to, S_IFREG | 0600, 0) < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* In the child, as root of the agent's user namespace. */
static int bind_namespaces(const struct joining *j)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("tmpfs", j->place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k") < 0 ||
	    chdir(j->place) < 0 || mkdir("0", 0755) < 0 || mkdir("0/netns", 0755) < 0)
		return -errno;
	int r = bind_file(j->net, "0/netns/net");
	return r < 0 || chdir("/") == 0 ? r : -errno;
}

/* In the child: enters the agent's namespaces. A pid namespace is entered by forking; the second
 * process is the keeper's child too, and tells its pid, which this one knows as the host does. */
static int join(void *data)
{
	const struct joining *j = data;
	if (setns(JOIN_USER, CLONE_NEWUSER) < 0)
		return -errno;
	if (j->with_pid_namespace && setns(JOIN_PID, CLONE_NEWPID) < 0)
		return -errno;
	if (setgroups(0, NULL) < 0 && errno != EPERM) /* EPERM: a mapping of one id allows it to nobody */
		return -errno;
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return -errno;
	if (j->with_pid_namespace) {
		long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
		if (pid < 0)
			return -errno;
		if (pid > 0) {
			int number = (int)pid;
			_exit(write(JOIN_REPORT, &number, sizeof number) != sizeof number);
		}
		setpgid(0, 0);
		close(JOIN_PID);
	}
	close(JOIN_USER);
	close(JOIN_REPORT);
	return bind_namespaces(j);
}

/* The pid of a pasta inside the agent's namespaces. The process in between ends at once. */
static int spawn_joined(struct isolation_run *run, pid_t gate, char *const *argv, pid_t *ret, struct error **err)
{
	int ends[2], status, pid = 0;
	struct joining j = { .with_pid_namespace = run->pid_namespace >= 0, .place = namespaces_place() };
	int result = fd_pipe(ends);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a pipe");
	snprintf(j.net, sizeof j.net, "/proc/%d/ns/net", (int)gate);
	AUTO_FD int from = ends[0], to = ends[1];
	const struct spawn_fd fds[] = { { run->words, STDERR_FILENO }, { run->user_namespace, JOIN_USER },
		{ to, JOIN_REPORT }, { run->pid_namespace, JOIN_PID } };
	const struct spawn_options o = {
		.argv = argv,
		.fds = fds,
		.fd_count = ARRAY_SIZE(fds) - !j.with_pid_namespace,
		.directory = "/",
		.new_group = 1,
		.in_child = join,
		.in_child_data = &j,
	};
	result = spawn(&o, ret, err);
	if (!j.with_pid_namespace)
		return result;
	int in_between = result < 0 ? 0 : spawn_wait(*ret, &status) < 0 || status != 0;
	fd_close(TAKE_FD(to));
	int known = fd_read_full(from, &pid, sizeof pid) == sizeof pid;
	/* It is our child also when it failed; nobody else may reap it, and the agent's pid
	 * namespace does not end before that. */
	if (result < 0 && known)
		spawn_wait((pid_t)pid, &status);
	if (result < 0)
		return result;
	if (in_between || !known)
		return error_set(err, EIO, "cannot start pasta");
	*ret = (pid_t)pid;
	return 0;
}

static void say_no_network(struct isolation_run *run, const char *why)
{
	if (!run->no_network_said++) {
		AUTOFREE char *text = xasprintf("the machine has no network: %s", why);
		run->events.warning(text, run->data);
	}
}

static void say_no_tun(struct isolation_run *run, int code)
{
	AUTOFREE char *why =
	    xasprintf("/dev/net/tun cannot be opened (%s); to have it: %s", strerror(-code), native_tun_fix(code));
	say_no_network(run, why);
}

void native_network_find(struct isolation_run *run)
{
	AUTOFREE char *program = isolation_find_program("pasta");
	int tun = native_tun_check(run->ids.single);
	run->families = network_families();
	if (!program)
		say_no_network(run, "pasta is missing; install the package passt");
	else if (!run->families)
		say_no_network(run, "the host has no default route");
	else if (tun < 0)
		say_no_tun(run, tun);
	else
		run->pasta = TAKE_PTR(program);
	run->forwarded_dns = network_find_dns(run->families);
}

void native_network_stop(struct isolation_run *run)
{
	for (struct native_child *c = run->children; c; c = c->next) {
		if (c->kind != CHILD_PASTA)
			continue;
		c->leaving = 1;
		kill(-c->pid, SIGKILL);
		kill(c->pid, SIGKILL); /* in case it has left its group */
	}
}

void native_network_start(struct isolation_run *run, pid_t gate)
{
	AUTO_STRV struct strv argv = { 0 };
	AUTO_ERROR struct error *err = NULL;
	pid_t pid;
	native_network_stop(run);
	if (!run->pasta)
		return;
	pasta_arguments(&argv, namespaces_place(), run->families, run->machine->host_access);
	int result = run->user_namespace < 0 ? -ESRCH : spawn_joined(run, gate, strv_argv(&argv), &pid, &err);
	if (result >= 0 && (result = native_child_watch(run, CHILD_PASTA, pid, NULL)) < 0)
		kill(pid, SIGKILL);
	if (result < 0)
		say_no_network(run, error_text(err, result));
}
