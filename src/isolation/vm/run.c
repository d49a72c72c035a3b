/* SPDX-License-Identifier: Apache-2.0
 * One run of a virtual machine.
 *
 * Start. The keeper makes the plan (probe, network, bundle), then starts the share servers and
 * passt, then QEMU with all its descriptors. It waits for nothing: the monitor's greeting, the
 * agent's ports and the end are events on the loop.
 *
 * End. QEMU exits by itself when the guest powers off, which the monitor reports first. Or
 * run_fail() ends it: by SIGTERM, and by SIGKILL after a time limit. When no child is left, the
 * loop calls `ended`. */
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

static void finish_if_alone(struct isolation_run *run)
{
	if (!run->children)
		run_end_tell(&run->end);
}

/* From here on everything only ends. */
static void end(struct isolation_run *run, int code, char *why)
{
	if (!run_end_begin(&run->end, code, why))
		return;
	loop_add_timer(run->loop, clock_deadline(VM_KILL_MS), on_kill, run, &run->kill_timer);
	children_kill(run, SIGTERM);
	finish_if_alone(run);
}

void run_fail(struct isolation_run *run, int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	end(run, code, xvasprintf(format, arguments));
	va_end(arguments);
}

static void qemu_gone(struct isolation_run *run, int wait_status)
{
	AUTOFREE char *reason = boot_log_last_words(&run->log);
	if (run->powered_off)
		end(run, 0, NULL);
	else if (WIFSIGNALED(wait_status))
		run_fail(run, -EIO, "QEMU was killed by signal %d", WTERMSIG(wait_status));
	else
		run_fail(run, -EIO, "the virtual machine ended: %s; see holm machine logs --boot %s", reason,
		    run->machine->name);
}

void run_child_gone(struct isolation_run *run, struct vm_child *c, int wait_status)
{
	log_debug("%s ended, status %d", c->what, spawn_exit_status(wait_status));
	if (c->is_qemu) {
		qemu_gone(run, wait_status);
	} else if (!c->leaving && !run->end.begun && !run->powered_off) {
		/* A mount whose server is gone would hang for ever; without passt there is only no
		 * network. */
		if (startswith(c->what, "passt"))
			run->events.warning("passt has ended; the machine has no network until it is started again",
			    run->data);
		else
			run_fail(run, -EIO, "%s has ended; the machine cannot go on", c->what);
	}
	finish_if_alone(run);
}

static void on_qmp_ready(void *data)
{
	struct isolation_run *run = data;
	run->events.stage("starting the kernel", run->data);
}

static void on_qmp_event(const char *name, struct json_object *event_data, void *data)
{
	struct isolation_run *run = data;
	const char *reason = "";
	if (streq(name, "VSERPORT_CHANGE")) {
		port_event(run, event_data);
	} else if (streq(name, "DEVICE_DELETED")) {
		share_event_deleted(run, event_data);
		image_disks_event_deleted(run, event_data);
	} else if (streq(name, "SHUTDOWN")) {
		if (event_data)
			json_get_string(event_data, "reason", &reason, NULL);
		if (streq(reason, "guest-shutdown"))
			run->powered_off = 1; /* "guest-reset": a panic, as -no-reboot makes it the end */
	} else if (streq(name, "BLOCK_IO_ERROR")) {
		pause_event_error(run, event_data);
	} else if (streq(name, "RESUME")) {
		pause_event_resumed(run);
	}
}

static void on_qmp_closed(int code, const char *why, void *data)
{
	struct isolation_run *run = data;
	/* End of file comes with QEMU's exit, which says more. */
	if (code < 0)
		run_fail(run, code, "%s", why);
}

const struct qmp_events run_qmp_events = { .ready = on_qmp_ready, .event = on_qmp_event, .closed = on_qmp_closed };

/* ---- the table's functions ---- */

/* Answers everybody who waits. */
static void cancel_all(struct isolation_run *run)
{
	shares_cancel(run);
	image_disks_cancel(run);
}

static struct isolation_run *run_new(struct loop *l, const struct machine *m, const struct isolation_events *events,
    void *data)
{
	struct isolation_run *run = xnew(struct isolation_run);
	run->loop = l;
	run->machine = m;
	run->events = *events;
	run->data = data;
	run->end =
	    (struct run_end){ .loop = l, .events = &run->events, .data = data, .before = cancel_all, .run = run };
	run->host_access = m->host_access;
	run->disk_lock = -1;
	run->log = BOOT_LOG_NONE;
	run->ports[0].fd = run->ports[1].fd = -1;
	return run;
}

static void vm_free(struct isolation_run *run)
{
	if (!run)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(run->ports); i++)
		port_done(&run->ports[i]);
	vsock_done(run);
	user_network_done(run);
	passt_gate_done(run);
	qmp_free(run->qmp);
	shares_done(run);
	image_disks_cancel(run);
	boot_log_done(&run->log);
	pause_done(run);
	source_free(run->kill_timer);
	fd_close(run->disk_lock);
	free(run->forwarded_dns);
	run_end_done(&run->end);
	free(run);
}

/* A start that failed half way: what runs already is killed and reaped here, a matter of
 * milliseconds. */
static void abandon(struct isolation_run *run)
{
	run_end_silence(&run->end);
	children_kill(run, SIGKILL);
	while (run->children)
		child_reap(run->children);
	vm_free(run);
}

static int vm_start(struct loop *l, const struct machine *m, const char *runtime_dir,
    const struct isolation_share *shares, size_t share_count, const struct isolation_events *events, void *data,
    struct isolation_run **ret, struct error **err)
{
	struct isolation_run *run = run_new(l, m, events, data);
	int result = run_start(run, shares, share_count, err);
	if (result < 0) {
		abandon(run);
		return result;
	}
	events->stage("starting the virtual machine", data);
	pause_watch_space(run);
	*ret = run;
	return 0;
}

static void vm_kill(struct isolation_run *run)
{
	run_fail(run, -ECANCELED, "the machine was killed");
	children_kill(run, SIGKILL);
}

/* ---- settings for the agent, and state for people ---- */

static void vm_resolv(struct isolation_run *run, struct json_object *resolv)
{
	network_resolv(resolv, run->families, run->forwarded_dns);
}

static void describe_network(struct isolation_run *run, struct json_object *boot)
{
	struct json_object *network = json_object_new_object();
	AUTOFREE char *outward = network_outward(run->families);
	json_add_string(network, "device", "eth0");
	network_describe(network, run->families);
	json_add_u64(network, "mtu", run->network == VM_NETWORK_PASST ? NETWORK_MTU : 1500);
	json_add_string(network, "host", run->host_access ? network_host(run->families) : NULL);
	json_add_string(network, "outward", outward);
	json_add(boot, "network", network);
}

static void vm_describe(struct isolation_run *run, struct json_object *boot)
{
	struct json_object *root = json_object_new_object();
	json_add_string(root, "kind", "block");
	json_add_string(root, "device", "/dev/vda");
	json_add_u64(root, "size", machine_disk_size(run->machine));
	json_add(boot, "root", root);
	if (!run->machine->kernel || run->machine->kernel_modules) {
		struct json_object *modules = json_object_new_object();
		json_add_string(modules, "device", "/dev/vdb");
		json_add(boot, "modules", modules);
	}
	describe_network(run, boot);
	struct json_object *resolv = NULL;
	if (json_get_object(boot, "resolv", &resolv, NULL) == 0)
		vm_resolv(run, resolv);
}

static void vm_statistics(struct isolation_run *run, struct json_object *into)
{
	json_add_string(into, "accelerator", run->kvm ? "kvm" : "tcg");
	json_add_string(into, "network", run->network == VM_NETWORK_PASST ? "passt" : "qemu-user");
	json_add_string(into, "transport", run->vsock ? "vsock" : "serial");
	struct json_object *processes = json_object_new_array();
	for (struct vm_child *c = run->children; c; c = c->next)
		run_describe_process(processes, c->what, c->pid);
	json_add(into, "processes", processes);
}

const struct isolation_ops isolation_vm = {
	.name = "vm",
	.tells_changes = 1,
	.relays_sockets = 1,
	.start = vm_start,
	.describe = vm_describe,
	.resolv = vm_resolv,
	.add_share = vm_add_share,
	.remove_share = vm_remove_share,
	.kill = vm_kill,
	.container_form = "container-disk",
	.lend_disk = vm_lend_disk,
	.return_disk = vm_return_disk,
	.statistics = vm_statistics,
	.free = vm_free,
};
