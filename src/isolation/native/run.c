/* SPDX-License-Identifier: Apache-2.0
 * One run of a machine in namespaces.
 *
 * start: one process is spawned, everything else comes as events on the loop (start.c). end: the
 * agent, process 1 of the machine's namespaces, exits by itself when the machine has stopped, or
 * native_fail() kills it; either way the kernel ends with it whatever runs inside. When no child is
 * left and the cgroup is removed, `ended` is told, from the loop.
 */
#include "isolation/native/run.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/spawn.h"
#include "isolation/native/cgroup_tree.h"
#include "isolation/native/inotify.h"
#include "isolation/native/sockets.h"
#include "isolation/network.h"

void native_finish_if_alone(struct isolation_run *run)
{
	if (run->end.begun && !run->children && !run->end.source && !run->end.told && native_cgroup_remove(run))
		run_end_tell(&run->end);
}

/* From here on everything only ends. Takes why. */
static void end(struct isolation_run *run, int code, char *why)
{
	if (!run_end_begin(&run->end, code, why))
		return;
	source_free(TAKE_PTR(run->start_timer));
	native_children_kill(run);
	native_finish_if_alone(run);
}

void native_fail(struct isolation_run *run, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	end(run, code, xvasprintf(format, arguments));
	va_end(arguments);
}

/* Process 1 of the namespaces is gone, and with it everything inside. */
static void agent_gone(struct isolation_run *run, int wait_status)
{
	AUTOFREE char *reason = boot_log_last_words(&run->log);
	run->agent = 0;
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
		end(run, 0, NULL);
	else if (WIFSIGNALED(wait_status))
		native_fail(run, -EIO, "the agent was killed by signal %d; see holm machine logs --boot %s",
		    WTERMSIG(wait_status), run->machine->name);
	else
		native_fail(run, -EIO, "the agent ended: %s; see holm machine logs --boot %s", reason,
		    run->machine->name);
}

static void first_gone(struct isolation_run *run, int wait_status)
{
	run->first = 0;
	if (run->stage == NATIVE_CONNECTED ||
	    (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 && run->stage == NATIVE_GO))
		return;
	AUTOFREE char *reason = boot_log_last_words(&run->log);
	native_fail(run, -EIO, "the agent could not start: %s; see holm machine logs --boot %s", reason,
	    run->machine->name);
}

void native_child_gone(struct isolation_run *run, struct native_child *c, int wait_status)
{
	log_debug("%s ended, status %d", native_child_name(c->kind), spawn_exit_status(wait_status));
	if (c->kind == CHILD_AGENT)
		agent_gone(run, wait_status);
	else if (c->kind == CHILD_FIRST)
		first_gone(run, wait_status);
	else if (run->end.begun)
		log_debug("it ends with the machine");
	else if (c->kind == CHILD_SCOPE)
		native_cgroup_scope_gone(run, spawn_exit_status(wait_status));
	else if (c->kind == CHILD_PASTA && !c->leaving)
		run->events.warning("pasta has ended; the machine has no network until its init starts again",
		    run->data);
	else if (c->kind == CHILD_UIDS || c->kind == CHILD_GIDS)
		native_mapped(run, c, wait_status);
	native_finish_if_alone(run);
}

/* ---- the table's functions ---- */

static struct isolation_run *run_new(struct loop *l, const struct machine *m, const char *runtime_dir,
    const struct isolation_events *events, void *data)
{
	struct isolation_run *run = xnew(struct isolation_run);
	run->loop = l;
	run->machine = m;
	run->events = *events;
	run->data = data;
	run->end = (struct run_end){ .loop = l, .events = &run->events, .data = data };
	run->hash = xstrdup(path_base(runtime_dir));
	run->folder = machine_file(m->name, "native");
	run->state = path_join(run->folder, NATIVE_CGROUP_STATE);
	run->log = BOOT_LOG_NONE;
	run->cpus = machine_cpus(m);
	run->memory = machine_memory(m);
	run->words = run->agent_pidfd = run->user_namespace = run->pid_namespace = run->share_mapping = -1;
	return run;
}

static void native_free(struct isolation_run *run)
{
	if (!run)
		return;
	transport_free(run->transport);
	native_shares_done(run);
	native_sockets_done(run);
	native_cgroup_done(run);
	boot_log_done(&run->log);
	source_free(run->start_timer);
	fd_close(run->words);
	fd_close(run->agent_pidfd);
	fd_close(run->user_namespace);
	fd_close(run->pid_namespace);
	free(run->hash);
	free(run->state);
	free(run->folder);
	free(run->crun);
	free(run->pasta);
	free(run->forwarded_dns);
	run_end_done(&run->end);
	free(run);
}

static char *native_shortage(const struct isolation_run *run)
{
	return native_inotify_shortage();
}

static int native_start(struct loop *l, const struct machine *m, const char *runtime_dir,
    const struct isolation_share *shares, size_t share_count, const struct isolation_events *events, void *data,
    struct isolation_run **ret, struct error **err)
{
	struct isolation_run *run = run_new(l, m, runtime_dir, events, data);
	int result = native_begin(run, err);
	for (size_t i = 0; result >= 0 && i < share_count; i++)
		result = native_share_announce(run, &shares[i], err);
	if (result < 0) {
		run_end_silence(&run->end);
		native_children_kill(run);
		native_children_reap(run);
		native_free(run);
		return result;
	}
	AUTOFREE char *shortage = native_shortage(run);
	if (shortage && m->init_path && m->init != MACHINE_INIT_HOLM)
		events->warning(shortage, data);
	events->stage("making the machine's namespaces", data);
	*ret = run;
	return 0;
}

static void native_kill(struct isolation_run *run)
{
	native_fail(run, -ECANCELED, "the machine was killed");
}

enum {
	MEASURE_MS = 10 * 1000,       /* between two, at least */
	MEASURE_LOST_MS = 600 * 1000, /* for an answer; then it may be asked for again */
	MEASURE_SHARE = 50,           /* one part of the time may be spent on it */
};

/* The agent walks through what the machine has written. That takes the longer the more it is: it
 * walks if somebody looks, and then not again for a while. */
static void native_measure(struct isolation_run *run)
{
	uint64_t now = clock_now_ms();
	if (run->end.begun || run->stage != NATIVE_CONNECTED || !run->measure_next_ms || now < run->measure_next_ms ||
	    !run->transport || transport_fds_send(run->transport, "{\"measure\":true}", -1) < 0)
		return;
	run->measure_began_ms = now;
	run->measure_next_ms = now + MEASURE_LOST_MS;
}

void native_measured(struct isolation_run *run)
{
	uint64_t now = clock_now_ms(), took = run->measure_began_ms ? now - run->measure_began_ms : 0;
	run->measure_next_ms = now + MAX((uint64_t)MEASURE_MS, took * MEASURE_SHARE);
	run->measure_began_ms = 0;
}

static int native_set_limits(struct isolation_run *run, uint64_t cpus, uint64_t memory, struct error **err)
{
	if (run->end.begun || run->stage != NATIVE_CONNECTED)
		return error_set(err, EOPNOTSUPP, "the machine is not running yet");
	cpus = cpus ? cpus : machine_cpus(run->machine);
	/* Sets first what the host may refuse, so that the change is all or nothing. An unchanged
	 * value needs no support of the host. */
	int result = native_cgroup_limits(run, cpus, memory == run->memory ? 0 : memory, err);
	if (result < 0)
		return result;
	run->cpus = cpus;
	run->memory = memory ? memory : run->memory;
	AUTOFREE char *text = xasprintf("{\"cpus\":%llu}", (unsigned long long)cpus);
	result = run->transport ? transport_fds_send(run->transport, text, -1) : -ECONNRESET;
	return result < 0 ? error_set_errno(err, result, "cannot tell the agent") : 0;
}

/* ---- settings for the agent, and state for people ---- */

static void native_resolv(struct isolation_run *run, struct json_object *resolv)
{
	network_resolv(resolv, run->families, run->forwarded_dns);
}

/* With a single id there is nobody inside but root, and that is the user. */
static void describe_single_user(struct json_object *user)
{
	json_add_string(user, "name", "root");
	json_add_string(user, "group", "root");
	json_add_u64(user, "uid", 0);
	json_add_u64(user, "gid", 0);
}

static void native_describe(struct isolation_run *run, struct json_object *boot)
{
	struct json_object *root = json_object_new_object(), *network = json_object_new_object(), *resolv = NULL,
			   *user = NULL;
	AUTO_STRV struct strv lower = { 0 };
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *outward = run->pasta ? network_outward(run->families) : NULL;
	if (native_lower(run->machine, &lower, &err) < 0)
		log_error("%s", error_text(err, EIO));
	json_add_string(root, "kind", "overlay");
	json_add_strv(root, "lower", &lower);
	json_add_string(root, "machine", run->folder);
	json_add(boot, "root", root);
	json_add_string(network, "kind", "outside");
	json_add_string(network, "host", run->machine->host_access && run->pasta ? network_host(run->families) : NULL);
	json_add_string(network, "outward", outward);
	json_add(boot, "network", network);
	if (json_get_object(boot, "resolv", &resolv, NULL) == 0)
		native_resolv(run, resolv);
	if (json_get_object(boot, "user", &user, NULL) < 0)
		return;
	json_object_object_del(user, "groups"); /* numbers of the host's, which mean others inside */
	if (run->ids.single)
		describe_single_user(user);
}

static void native_statistics(struct isolation_run *run, struct json_object *into)
{
	struct json_object *processes = json_object_new_array();
	json_add_string(into, "network", native_child_find(run, CHILD_PASTA) ? "pasta" : "none");
	json_add_string(into, "transport", "descriptors");
	json_add_string(into, "cgroup", native_cgroup_path(run));
	for (struct native_child *c = run->children; c; c = c->next)
		run_describe_process(processes, native_child_name(c->kind), c->pid);
	run_describe_process(processes, "init", run->init);
	json_add(into, "processes", processes);
}

const struct isolation_ops isolation_native = {
	.name = "native",
	.container_form = "containers",
	.own_ids_form = "own-ids",
	.start = native_start,
	.describe = native_describe,
	.resolv = native_resolv,
	.shortage = native_shortage,
	.add_share = native_add_share,
	.remove_share = native_remove_share,
	.open_socket = native_open_socket,
	.set_limits = native_set_limits,
	.kill = native_kill,
	.measure = native_measure,
	.statistics = native_statistics,
	.free = native_free,
};
