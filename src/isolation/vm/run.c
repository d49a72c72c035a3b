/* SPDX-License-Identifier: Apache-2.0
 * One run of a virtual machine.
 *
 * start: the plan is made (probe, network, bundle), share servers and passt are started, then QEMU
 * with all its descriptors. Nothing is waited for: the monitor's greeting, the agent's ports and
 * the end come as events on the loop. end: QEMU exits by itself when the guest powers off (the
 * monitor tells us first that it was so), or run_fail() ends it. QEMU gets SIGTERM, and SIGKILL
 * after a time limit. When no child is left, `ended` is told, from the loop.
 */
#include "isolation/vm/run.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"
#include "isolation/network.h"

enum { DISK_LOCK_MS = 5000 };

static void on_kill(struct source *s, void *data)
{
	children_kill(data, SIGKILL);
}

static void finish_if_alone(struct isolation_run *r)
{
	if (!r->children)
		run_end_tell(&r->end);
}

/* From here on everything only ends. */
static void end(struct isolation_run *r, int code, char *why)
{
	if (!run_end_begin(&r->end, code, why))
		return;
	loop_add_timer(r->loop, clock_deadline(VM_KILL_MS), on_kill, r, &r->kill_timer);
	children_kill(r, SIGTERM);
	finish_if_alone(r);
}

void run_fail(struct isolation_run *r, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	end(r, code, xvasprintf(format, arguments));
	va_end(arguments);
}

static void qemu_gone(struct isolation_run *r, int wait_status)
{
	AUTOFREE char *reason = boot_log_last_words(&r->log);
	if (r->powered_off)
		end(r, 0, NULL);
	else if (WIFSIGNALED(wait_status))
		run_fail(r, -EIO, "QEMU was killed by signal %d", WTERMSIG(wait_status));
	else
		run_fail(r, -EIO, "the virtual machine ended: %s; see holm machine logs --boot %s", reason,
		    r->machine->name);
}

void run_child_gone(struct isolation_run *r, struct vm_child *c, int wait_status)
{
	log_debug("%s ended, status %d", c->what, spawn_exit_status(wait_status));
	if (c->is_qemu) {
		qemu_gone(r, wait_status);
	} else if (!c->leaving && !r->end.begun && !r->powered_off) {
		/* A mount whose server is gone would hang for ever; without passt there is only no
		 * network. */
		if (startswith(c->what, "passt"))
			r->events.warning("passt has ended; the machine has no network until it is started again",
			    r->data);
		else
			run_fail(r, -EIO, "%s has ended; the machine cannot go on", c->what);
	}
	finish_if_alone(r);
}

static void on_qmp_ready(void *data)
{
	struct isolation_run *r = data;
	r->events.stage("starting the kernel", r->data);
}

static void on_qmp_event(const char *name, struct json_object *event_data, void *data)
{
	struct isolation_run *r = data;
	const char *reason = "";
	if (streq(name, "VSERPORT_CHANGE")) {
		port_event(r, event_data);
	} else if (streq(name, "DEVICE_DELETED")) {
		share_event_deleted(r, event_data);
	} else if (streq(name, "SHUTDOWN")) {
		if (event_data)
			json_get_string(event_data, "reason", &reason, NULL);
		if (streq(reason, "guest-shutdown"))
			r->powered_off = 1; /* "guest-reset": a panic, as -no-reboot makes it the end */
	} else if (streq(name, "BLOCK_IO_ERROR")) {
		r->events.warning("the machine's disk has an input/output error; is the host's disk full?", r->data);
	}
}

static void on_qmp_closed(int code, const char *why, void *data)
{
	struct isolation_run *r = data;
	/* End of file comes with QEMU's exit, which says more. */
	if (code < 0)
		run_fail(r, code, "%s", why);
}

const struct qmp_events run_qmp_events = { .ready = on_qmp_ready, .event = on_qmp_event, .closed = on_qmp_closed };

/* ---- the table's functions ---- */

static struct isolation_run *run_new(struct loop *l, const struct machine *m, const struct isolation_events *events,
    void *data)
{
	struct isolation_run *r = xnew(struct isolation_run);
	r->loop = l;
	r->machine = m;
	r->events = *events;
	r->data = data;
	r->end = (struct run_end){ .loop = l, .events = &r->events, .data = data, .before = shares_cancel, .run = r };
	r->host_access = m->host_access;
	r->disk_lock = -1;
	r->log = BOOT_LOG_NONE;
	r->ports[0].fd = r->ports[1].fd = -1;
	return r;
}

static void vm_free(struct isolation_run *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(r->ports); i++)
		port_done(&r->ports[i]);
	vsock_done(r);
	user_network_done(r);
	passt_gate_done(r);
	qmp_free(r->qmp);
	shares_done(r);
	boot_log_done(&r->log);
	source_free(r->kill_timer);
	fd_close(r->disk_lock);
	free(r->forwarded_dns);
	run_end_done(&r->end);
	free(r);
}

/* A start that failed half way: what runs already is killed and reaped here, a matter of
 * milliseconds. */
static void abandon(struct isolation_run *r)
{
	run_end_silence(&r->end);
	children_kill(r, SIGKILL);
	while (r->children)
		child_reap(r->children);
	vm_free(r);
}

static int vm_start(struct loop *l, const struct machine *m, const char *runtime_dir,
    const struct isolation_share *shares, size_t share_count, const struct isolation_events *events, void *data,
    struct isolation_run **ret, struct error **err)
{
	struct isolation_run *r = run_new(l, m, events, data);
	int result = run_start(r, shares, share_count, err);
	if (result < 0) {
		abandon(r);
		return result;
	}
	events->stage("starting the virtual machine", data);
	*ret = r;
	return 0;
}

static void vm_kill(struct isolation_run *r)
{
	run_fail(r, -ECANCELED, "the machine was killed");
	children_kill(r, SIGKILL);
}

/* ---- what the agent is told, and what people are ---- */

static void vm_resolv(struct isolation_run *r, struct json_object *resolv)
{
	network_resolv(resolv, r->forwarded_dns);
}

static void describe_network(struct isolation_run *r, struct json_object *boot)
{
	struct json_object *network = json_object_new_object();
	json_add_string(network, "device", "eth0");
	json_add_string(network, "address", NETWORK_ADDRESS "/24");
	json_add_string(network, "gateway", NETWORK_GATEWAY);
	json_add_u64(network, "mtu", r->network == VM_NETWORK_PASST ? NETWORK_MTU : 1500);
	json_add_string(network, "host", r->host_access ? NETWORK_GATEWAY : NULL);
	json_add(boot, "network", network);
}

static void vm_describe(struct isolation_run *r, struct json_object *boot)
{
	struct json_object *root = json_object_new_object();
	json_add_string(root, "kind", "block");
	json_add_string(root, "device", "/dev/vda");
	json_add_u64(root, "size", machine_disk_size(r->machine));
	json_add(boot, "root", root);
	if (!r->machine->kernel || r->machine->kernel_modules) {
		struct json_object *modules = json_object_new_object();
		json_add_string(modules, "device", "/dev/vdb");
		json_add(boot, "modules", modules);
	}
	describe_network(r, boot);
	struct json_object *resolv = NULL;
	if (json_get_object(boot, "resolv", &resolv, NULL) == 0)
		vm_resolv(r, resolv);
}

static void vm_statistics(struct isolation_run *r, struct json_object *into)
{
	json_add_string(into, "accelerator", r->kvm ? "kvm" : "tcg");
	json_add_string(into, "network", r->network == VM_NETWORK_PASST ? "passt" : "qemu-user");
	json_add_string(into, "transport", r->vsock ? "vsock" : "serial");
	struct json_object *processes = json_object_new_array();
	for (struct vm_child *c = r->children; c; c = c->next)
		run_describe_process(processes, c->what, c->pid);
	json_add(into, "processes", processes);
}

const struct isolation_ops isolation_vm = {
	.name = "vm",
	.tells_changes = 1,
	.start = vm_start,
	.describe = vm_describe,
	.resolv = vm_resolv,
	.add_share = vm_add_share,
	.remove_share = vm_remove_share,
	.kill = vm_kill,
	.statistics = vm_statistics,
	.free = vm_free,
};
