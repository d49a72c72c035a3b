/* SPDX-License-Identifier: Apache-2.0
 * From the spawn to a connected agent. The agent says that its user namespace is made; then cgroup
 * and mapping come about at the same time, each by events; then it is told to go on, and says when
 * it is process 1 of its namespaces. Every step is counted against one deadline. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/spawn.h"
#include "isolation/find.h"
#include "isolation/native/messages.h"
#include "isolation/native/run.h"
#include "isolation/native/sockets.h"
#include "isolation/native/view.h"
#include "isolation/network.h"

enum {
	START_MS = 20 * 1000, /* from the spawn to an agent that listens */
	EXIT_MS = 5 * 1000,   /* from the end of its socket to its exit */
	AGENT_SOCKET = 3,
	FDINFO_MAX = 4096,
	AGENT_DEPTH = 2, /* pid namespaces that the agent is in: the host's and its own */
	INIT_DEPTH = 3,
};

/* The process behind a pidfd as this process sees it, and how many pid namespaces deep it is
 * (pidfd_open(2), proc(5)). */
static int pidfd_process(int pidfd, pid_t *ret, int *ret_depth)
{
	AUTOFREE char *path = xasprintf("/proc/self/fdinfo/%d", pidfd);
	AUTOFREE char *text = NULL;
	int pid = 0, depth = 0;
	if (path_read_file(path, FDINFO_MAX, &text, NULL) < 0)
		return -EPROTO;
	const char *line = strstr(text, "\nPid:"), *deep = strstr(text, "\nNSpid:");
	if (!line || sscanf(line, "\nPid: %d", &pid) != 1 || pid <= 0)
		return -ESRCH;
	for (const char *at = deep ? deep + strlen("\nNSpid:") : ""; *at && *at != '\n'; at++)
		depth += *at == '\t' || *at == ' ';
	*ret = (pid_t)pid;
	*ret_depth = depth;
	return 0;
}

static int is_our_child(int pidfd)
{
	siginfo_t info;
	return waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* ---- the mapping ---- */

static int start_mapping_program(struct isolation_run *run, enum native_child_kind kind, struct error **err)
{
	AUTO_STRV struct strv argv = { 0 };
	idmap_program_arguments(&run->ids, kind == CHILD_GIDS, run->first, &argv);
	const struct spawn_options o = { .argv = strv_argv(&argv) };
	int result = native_child_start(run, kind, &o, NULL, err);
	if (result != -ENOENT)
		return result;
	error_clear(err);
	return error_set(err, ENOENT, "%s is missing; install the package uidmap", argv.items[0]);
}

static int start_mapping(struct isolation_run *run, struct error **err)
{
	if (!idmap_needs_programs(&run->ids))
		return idmap_write(&run->ids, run->first, err);
	int result = start_mapping_program(run, CHILD_UIDS, err);
	return result < 0 ? result : start_mapping_program(run, CHILD_GIDS, err);
}

void native_mapped(struct isolation_run *run, const struct native_child *c, int wait_status)
{
	if (spawn_exit_status(wait_status) != 0)
		native_fail(run, -EPERM,
		    "%s refused the ranges of /etc/subuid and /etc/subgid; has it lost its setuid bit or file "
		    "capability?",
		    native_child_name(c->kind));
	else
		native_go_if_ready(run);
}

/* ---- go ---- */

static struct json_object *extents(const struct idmap_extent *items, size_t count)
{
	struct json_object *a = json_object_new_array();
	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_new_array();
		json_object_array_add(one, json_object_new_int64(items[i].inside));
		json_object_array_add(one, json_object_new_int64(items[i].outside));
		json_object_array_add(one, json_object_new_int64(items[i].count));
		json_object_array_add(a, one);
	}
	return a;
}

static char *go_message(const struct isolation_run *run)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *go = json_object_new_object();
	json_add_bool(go, "single", run->ids.single);
	json_add_bool(go, "by_root", run->ids.by_root);
	json_add_bool(go, "delegated", native_cgroup_exists(run));
	json_add(go, "uids", extents(run->ids.uids, run->ids.uid_count));
	json_add(go, "gids", extents(run->ids.gids, run->ids.gid_count));
	json_add_string(go, "crun", run->crun);
	json_add_bool(go, "socketcall", run->machine->socketcall);
	json_add_u64(go, "cpus", run->cpus);
	network_describe(go, run->families);
	json_add(o, "go", go);
	return json_to_string(o, 0);
}

void native_go_if_ready(struct isolation_run *run)
{
	if (run->stage != NATIVE_MAPPING || run->end.begun || !native_cgroup_decided(run) ||
	    native_child_find(run, CHILD_UIDS) || native_child_find(run, CHILD_GIDS))
		return;
	AUTOFREE char *text = go_message(run);
	run->stage = NATIVE_GO;
	int result = run->transport ? transport_fds_send(run->transport, text, -1) : -ECONNRESET;
	if (result < 0)
		native_fail(run, result, "cannot talk to the agent: %s", strerror(-result));
}

/* ---- messages ---- */

static void on_user(struct isolation_run *run)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *path = xasprintf("/proc/%d/ns/user", (int)run->first);
	if (run->stage != NATIVE_SPAWNED || !run->first)
		return;
	/* Now, while it still is this user: once it changes ids it cannot be looked into any
	 * more. */
	run->user_namespace = open(path, O_RDONLY | O_CLOEXEC);
	run->stage = NATIVE_MAPPING;
	int result = start_mapping(run, &err);
	if (result < 0) {
		native_fail(run, result, "%s", error_text(err, result));
		return;
	}
	native_cgroup_begin(run);
	native_go_if_ready(run);
}

/* Takes fd. */
static void on_ready(struct isolation_run *run, int fd)
{
	AUTO_ERROR struct error *err = NULL;
	pid_t pid = 0;
	int depth;
	if (run->stage != NATIVE_GO || pidfd_process(fd, &pid, &depth) < 0 || pid == run->first || !is_our_child(fd) ||
	    native_child_watch(run, CHILD_AGENT, pid, NULL) < 0) {
		fd_close(fd);
		native_fail(run, -EPROTO, "protocol error: unexpected message from the agent");
		return;
	}
	AUTOFREE char *path = xasprintf("/proc/%d/ns/pid", (int)pid);
	run->agent = pid;
	run->agent_pidfd = fd;
	run->pid_namespace = open(path, O_RDONLY | O_CLOEXEC);
	run->stage = NATIVE_CONNECTED;
	source_set_timer(run->start_timer, UINT64_MAX);
	int result = native_shares_send(run, &err);
	if (result < 0)
		native_fail(run, result, "%s", error_text(err, result));
	else
		run->events.connected(run->transport, run->data);
}

static void on_network(struct isolation_run *run, int pidfd)
{
	pid_t pid = 0;
	int depth = 0;
	if (run->stage != NATIVE_CONNECTED || pidfd_process(pidfd, &pid, &depth) < 0)
		return;
	if (depth < AGENT_DEPTH)
		log_warning("the agent names a process that is not the machine's");
	else
		native_network_start(run, pid);
}

static void on_init(struct isolation_run *run, int pidfd)
{
	pid_t pid = 0;
	int depth = 0;
	if (run->stage != NATIVE_CONNECTED || pidfd_process(pidfd, &pid, &depth) < 0)
		return;
	if (depth < INIT_DEPTH)
		log_warning("the agent names a process that is not the machine's");
	else {
		run->init = pid;
		native_sockets_follow(run, pidfd);
	}
}

static void on_usage(struct isolation_run *run, uint64_t bytes)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *path = path_join(run->folder, "usage"), *text = xasprintf("%llu\n", (unsigned long long)bytes);
	native_measured(run);
	int result = atomic_file_write(path, 0600, text, strlen(text), &err);
	if (result < 0)
		log_warning("%s", error_text(err, result));
}

static void on_message(const char *text, int given, void *data)
{
	struct isolation_run *run = data;
	AUTO_FD int fd = given;
	struct native_message m;
	if (run->end.begun)
		return;
	if (native_message_parse(text, &m) < 0) {
		native_fail(run, -EPROTO, "protocol error: unexpected message from the agent");
		return;
	}
	switch (m.kind) {
	case NATIVE_MESSAGE_USER:
		on_user(run);
		break;
	case NATIVE_MESSAGE_READY:
		on_ready(run, TAKE_FD(fd));
		break;
	case NATIVE_MESSAGE_NETWORK:
		on_network(run, fd);
		break;
	case NATIVE_MESSAGE_INIT:
		on_init(run, fd);
		break;
	case NATIVE_MESSAGE_INIT_ENDED:
		run->init = 0;
		native_sockets_follow(run, -1);
		native_network_stop(run);
		break;
	case NATIVE_MESSAGE_USAGE:
		on_usage(run, m.bytes);
		break;
	}
}

static void on_accepted(int fd, void *data)
{
	struct isolation_run *run = data;
	if (run->stage == NATIVE_CONNECTED && !run->end.begun)
		run->events.accepted(fd, run->data);
	else
		fd_close(fd);
}

/* The agent has ended or is about to. */
static void on_closed(int code, const char *why, void *data)
{
	struct isolation_run *run = data;
	AUTOFREE char *text = xstrdup(why);
	transport_free(TAKE_PTR(run->transport));
	if (run->end.begun)
		return;
	if (run->stage == NATIVE_CONNECTED) {
		source_set_timer(run->start_timer, clock_deadline(EXIT_MS));
		run->events.lost(text, run->data);
		return;
	}
	boot_log_drain(&run->log);
	AUTOFREE char *reason = boot_log_reason(&run->log);
	native_fail(run, code, "the agent ended while it was starting: %s; see holm machine logs --boot %s",
	    reason ? reason : text, run->machine->name);
}

static void on_deadline(struct source *s, void *data)
{
	struct isolation_run *run = data;
	static const char *const waiting[] = {
		[NATIVE_SPAWNED] = "did not make its user namespace",
		[NATIVE_MAPPING] = "did not get its ids and its cgroup",
		[NATIVE_GO] = "did not get ready",
		[NATIVE_CONNECTED] = "closed its socket and did not end",
	};
	native_fail(run, -ETIMEDOUT, "the agent %s in time; see holm machine logs --boot %s", waiting[run->stage],
	    run->machine->name);
}

/* ---- spawning ---- */

static int open_log(struct isolation_run *run, struct error **err)
{
	int ends[2];
	int result = boot_log_open(&run->log, run->machine->name, err);
	if (result < 0)
		return result;
	result = fd_pipe(ends);
	if (result >= 0) {
		run->words = ends[1];
		result = boot_log_add(&run->log, run->loop, ends[0]);
	}
	return result < 0 ? error_set_errno(err, result, "cannot watch the agent's messages") : 0;
}

/* In the child. The keeper's umask is strict for the sake of its own files; what the agent makes
 * belongs to the machine. */
static int prepare_agent(void *data)
{
	umask(022);
	return native_view_enter(data, AGENT_SOCKET + 1);
}

static int spawn_first(struct isolation_run *run, int socket, struct native_view *view, struct error **err)
{
	AUTO_STRV struct strv argv = { 0 }, environment = { 0 };
	struct spawn_fd fds[1 + NATIVE_VIEW_MAX] = { { .from = socket, .to = AGENT_SOCKET } };
	struct native_child *first;
	strv_take(&argv, path_libexec("holm-agent"));
	strv_add(&argv, "--native");
	/* The caller's environment is not the machine's business. */
	strv_add(&environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	strv_setenv(&environment, "HOLM_DEBUG", getenv("HOLM_DEBUG"));
	for (size_t i = 0; i < view->count; i++)
		fds[i + 1] = (struct spawn_fd){ .from = view->folders[i].mount, .to = AGENT_SOCKET + 1 + (int)i };
	const struct spawn_options o = {
		.argv = strv_argv(&argv),
		.environment = strv_argv(&environment),
		.fds = fds,
		.fd_count = 1 + view->count,
		.in_child = prepare_agent,
		.in_child_data = view,
	};
	int result = native_child_start(run, CHILD_FIRST, &o, &first, err);
	if (result >= 0)
		run->first = first->pid;
	return result;
}

static int spawn_agent(struct isolation_run *run, struct error **err)
{
	static const struct transport_fds_events events = {
		.accept = on_accepted,
		.message = on_message,
		.closed = on_closed,
	};
	struct native_view view = { 0 };
	int ends[2];
	int result = fd_socketpair(SOCK_SEQPACKET, ends);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for the agent");
	AUTO_FD int ours = ends[0], theirs = ends[1];
	if (run->ids.by_root)
		result = native_view_prepare(run, &view, err);
	if (result >= 0)
		result = spawn_first(run, theirs, &view, err);
	native_view_done(&view);
	if (result < 0)
		return result;
	result = transport_fds_new(run->loop, ours, &events, run, &run->transport);
	(void)TAKE_FD(ours); /* taken, also when it failed */
	return result < 0 ? error_set_errno(err, result, "cannot watch the agent") : 0;
}

/* Idmapped mounts show the user's files as root's: id 0 on disk and id 0 inside are one, no other
 * id of the host is anybody inside. */
static int open_share_mapping(struct isolation_run *run, struct error **err)
{
	struct idmap one = { .by_root = 1, .uid_count = 1, .gid_count = 1 };
	one.uids[0] = (struct idmap_extent){ 0, run->ids.uids[0].outside, 1 };
	one.gids[0] = (struct idmap_extent){ 0, run->ids.gids[0].outside, 1 };
	run->share_mapping = idmap_open_namespace(&one, err);
	return run->share_mapping < 0 ? run->share_mapping : 0;
}

int native_begin(struct isolation_run *run, struct error **err)
{
	int result = idmap_of_user_or_single(&run->ids, err);
	if (result < 0)
		return result;
	run->crun = isolation_find_program("crun");
	if (!run->crun)
		return error_set(err, ENOENT, "crun is missing; install the package crun");
	native_network_find(run);
	result = open_log(run, err);
	if (result >= 0 && run->ids.by_root)
		result = open_share_mapping(run, err);
	if (result >= 0)
		result = spawn_agent(run, err);
	if (result >= 0 &&
	    (result = loop_add_timer(run->loop, clock_deadline(START_MS), on_deadline, run, &run->start_timer)) < 0)
		error_set_errno(err, result, "cannot set a timer");
	return result;
}
