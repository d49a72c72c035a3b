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
#include "isolation/network.h"

void native_finish_if_alone(struct isolation_run *r)
{
	if (r->end.begun && !r->children && !r->end.source && !r->end.told && native_cgroup_remove(r))
		run_end_tell(&r->end);
}

/* From here on everything only ends. Takes why. */
static void end(struct isolation_run *r, int code, char *why)
{
	if (!run_end_begin(&r->end, code, why))
		return;
	source_free(TAKE_PTR(r->start_timer));
	native_children_kill(r);
	native_finish_if_alone(r);
}

void native_fail(struct isolation_run *r, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	end(r, code, xvasprintf(format, arguments));
	va_end(arguments);
}

/* Process 1 of the namespaces is gone, and with it everything inside. */
static void agent_gone(struct isolation_run *r, int wait_status)
{
	AUTOFREE char *reason = boot_log_last_words(&r->log);
	r->agent = 0;
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
		end(r, 0, NULL);
	else if (WIFSIGNALED(wait_status))
		native_fail(r, -EIO, "the agent was killed by signal %d; see holm machine logs --boot %s",
		    WTERMSIG(wait_status), r->machine->name);
	else
		native_fail(r, -EIO, "the agent ended: %s; see holm machine logs --boot %s", reason, r->machine->name);
}

static void first_gone(struct isolation_run *r, int wait_status)
{
	r->first = 0;
	if (r->stage == NATIVE_CONNECTED ||
	    (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 && r->stage == NATIVE_GO))
		return;
	AUTOFREE char *reason = boot_log_last_words(&r->log);
	native_fail(r, -EIO, "the agent could not start: %s; see holm machine logs --boot %s", reason,
	    r->machine->name);
}

void native_child_gone(struct isolation_run *r, struct native_child *c, int wait_status)
{
	log_debug("%s ended, status %d", native_child_name(c->kind), spawn_exit_status(wait_status));
	if (c->kind == CHILD_AGENT)
		agent_gone(r, wait_status);
	else if (c->kind == CHILD_FIRST)
		first_gone(r, wait_status);
	else if (r->end.begun)
		log_debug("it ends with the machine");
	else if (c->kind == CHILD_SCOPE)
		native_cgroup_scope_gone(r, spawn_exit_status(wait_status));
	else if (c->kind == CHILD_PASTA && !c->leaving)
		r->events.warning("pasta has ended; the machine has no network until its init starts again", r->data);
	else if (c->kind == CHILD_UIDS || c->kind == CHILD_GIDS)
		native_mapped(r, c, wait_status);
	native_finish_if_alone(r);
}

/* ---- the table's functions ---- */

static struct isolation_run *run_new(struct loop *l, const struct machine *m, const char *runtime_dir,
    const struct isolation_events *events, void *data)
{
	struct isolation_run *r = xnew(struct isolation_run);
	r->loop = l;
	r->machine = m;
	r->events = *events;
	r->data = data;
	r->end = (struct run_end){ .loop = l, .events = &r->events, .data = data };
	r->hash = xstrdup(path_base(runtime_dir));
	r->folder = machine_file(m->name, "native");
	r->state = path_join(r->folder, NATIVE_CGROUP_STATE);
	r->log = BOOT_LOG_NONE;
	r->cpus = machine_cpus(m);
	r->memory = machine_memory(m);
	r->words = r->agent_pidfd = r->user_namespace = r->pid_namespace = r->share_mapping = -1;
	return r;
}

static void native_free(struct isolation_run *r)
{
	if (!r)
		return;
	transport_free(r->transport);
	native_shares_done(r);
	native_cgroup_done(r);
	boot_log_done(&r->log);
	source_free(r->start_timer);
	fd_close(r->words);
	fd_close(r->agent_pidfd);
	fd_close(r->user_namespace);
	fd_close(r->pid_namespace);
	free(r->hash);
	free(r->state);
	free(r->folder);
	free(r->crun);
	free(r->pasta);
	free(r->forwarded_dns);
	run_end_done(&r->end);
	free(r);
}

static char *native_shortage(const struct isolation_run *r)
{
	return native_inotify_shortage();
}

static int native_start(struct loop *l, const struct machine *m, const char *runtime_dir,
    const struct isolation_share *shares, size_t share_count, const struct isolation_events *events, void *data,
    struct isolation_run **ret, struct error **err)
{
	struct isolation_run *r = run_new(l, m, runtime_dir, events, data);
	int result = native_begin(r, err);
	for (size_t i = 0; result >= 0 && i < share_count; i++)
		result = native_share_announce(r, &shares[i], err);
	if (result < 0) {
		run_end_silence(&r->end);
		native_children_kill(r);
		native_children_reap(r);
		native_free(r);
		return result;
	}
	AUTOFREE char *shortage = native_shortage(r);
	if (shortage && m->init_path && m->init != MACHINE_INIT_HOLM)
		events->warning(shortage, data);
	events->stage("making the machine's namespaces", data);
	*ret = r;
	return 0;
}

static void native_kill(struct isolation_run *r)
{
	native_fail(r, -ECANCELED, "the machine was killed");
}

static int native_set_limits(struct isolation_run *r, uint64_t cpus, uint64_t memory, struct error **err)
{
	if (r->end.begun || r->stage != NATIVE_CONNECTED)
		return error_set(err, EOPNOTSUPP, "the machine is not running yet");
	cpus = cpus ? cpus : machine_cpus(r->machine);
	/* What may be refused comes first, so that it is all or nothing; the same as before needs
	 * no limit that the host does not have. */
	int result = native_cgroup_limits(r, cpus, memory == r->memory ? 0 : memory, err);
	if (result < 0)
		return result;
	r->cpus = cpus;
	r->memory = memory ? memory : r->memory;
	AUTOFREE char *text = xasprintf("{\"cpus\":%llu}", (unsigned long long)cpus);
	result = r->transport ? transport_fds_send(r->transport, text, -1) : -ECONNRESET;
	return result < 0 ? error_set_errno(err, result, "cannot tell the agent") : 0;
}

/* ---- what the agent is told, and what people are ---- */

static void native_resolv(struct isolation_run *r, struct json_object *resolv)
{
	network_resolv(resolv, r->forwarded_dns);
}

/* With a single id there is nobody inside but root, and that is the user. */
static void describe_single_user(struct json_object *user)
{
	json_add_string(user, "name", "root");
	json_add_string(user, "group", "root");
	json_add_u64(user, "uid", 0);
	json_add_u64(user, "gid", 0);
}

static void native_describe(struct isolation_run *r, struct json_object *boot)
{
	struct json_object *root = json_object_new_object(), *network = json_object_new_object(), *resolv = NULL,
			   *user = NULL;
	AUTO_STRV struct strv lower = { 0 };
	AUTO_ERROR struct error *err = NULL;
	if (native_lower(r->machine, &lower, &err) < 0)
		log_error("%s", error_text(err, EIO));
	json_add_string(root, "kind", "overlay");
	json_add_strv(root, "lower", &lower);
	json_add_string(root, "machine", r->folder);
	json_add(boot, "root", root);
	json_add_string(network, "kind", "outside");
	json_add_string(network, "host", r->machine->host_access && r->pasta ? NETWORK_GATEWAY : NULL);
	json_add(boot, "network", network);
	if (json_get_object(boot, "resolv", &resolv, NULL) == 0)
		native_resolv(r, resolv);
	if (json_get_object(boot, "user", &user, NULL) < 0)
		return;
	json_object_object_del(user, "groups"); /* numbers of the host's, which mean others inside */
	if (r->ids.single)
		describe_single_user(user);
}

static void native_statistics(struct isolation_run *r, struct json_object *into)
{
	struct json_object *processes = json_object_new_array();
	json_add_string(into, "network", native_child_find(r, CHILD_PASTA) ? "pasta" : "none");
	json_add_string(into, "transport", "descriptors");
	json_add_string(into, "cgroup", native_cgroup_path(r));
	for (struct native_child *c = r->children; c; c = c->next)
		run_describe_process(processes, native_child_name(c->kind), c->pid);
	run_describe_process(processes, "init", r->init);
	json_add(into, "processes", processes);
}

const struct isolation_ops isolation_native = {
	.name = "native",
	.start = native_start,
	.describe = native_describe,
	.resolv = native_resolv,
	.shortage = native_shortage,
	.add_share = native_add_share,
	.remove_share = native_remove_share,
	.set_limits = native_set_limits,
	.kill = native_kill,
	.statistics = native_statistics,
	.free = native_free,
};
