/* SPDX-License-Identifier: Apache-2.0
 * One run of a virtual machine.
 *
 * start: the plan is made (probe, network, bundle), share servers and passt are started, then QEMU with all its descriptors. Nothing is
 * waited for: the monitor's greeting, the agent's ports and the end come as events on the loop.
 * end: QEMU exits by itself when the guest powers off (the monitor tells us first that it was so), or run_fail() ends it. QEMU gets
 * SIGTERM, and SIGKILL after a time limit. When no child is left, `ended` is told, from the loop.
 */
#include "isolation/vm/run.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/spawn.h"
#include "disk/qcow2.h"
#include "isolation/vm/network.h"
#include "isolation/vm/probe.h"

enum { DISK_LOCK_MS = 5000, RESOLV_MAX = 64 * 1024 };

static void on_ended(struct source *s, void *data)
{
	struct isolation_run *r = data;
	source_free(r->end_source);
	r->end_source = NULL;
	r->ended = 1;
	shares_cancel(r);
	r->events.ended(r->end_code, r->end_why, r->data);
}

static void on_kill(struct source *s, void *data)
{
	children_kill(data, SIGKILL);
}

static void finish_if_alone(struct isolation_run *r)
{
	if (!r->children && !r->end_source && !r->ended)
		loop_add_deferred(r->loop, on_ended, r, &r->end_source);
}

/* From here on everything only ends. */
static void end(struct isolation_run *r, int code, char *why)
{
	if (r->ending) {
		free(why);
		return;
	}
	r->ending = 1;
	r->end_code = code;
	r->end_why = why;
	loop_add_timer(r->loop, clock_deadline(VM_KILL_MS), on_kill, r, &r->kill_timer);
	children_kill(r, SIGTERM);
	finish_if_alone(r);
}

void run_fail(struct isolation_run *r, int code, const char *format, ...)
{
	char *why = NULL;
	va_list ap;
	va_start(ap, format);
	if (vasprintf(&why, format, ap) < 0)
		abort();
	va_end(ap);
	end(r, code, why);
}

static void qemu_gone(struct isolation_run *r, int wait_status)
{
	boot_log_drain(r);
	AUTOFREE char *reason = boot_log_reason(r);
	if (r->powered_off)
		end(r, 0, NULL);
	else if (WIFSIGNALED(wait_status))
		run_fail(r, -EIO, "QEMU was killed by signal %d", WTERMSIG(wait_status));
	else
		run_fail(r, -EIO, "the virtual machine ended: %s; see \"holm machine logs --boot %s\"", reason ? reason : "it said nothing",
			r->machine->name);
}

void run_child_gone(struct isolation_run *r, struct vm_child *c, int wait_status)
{
	log_debug("%s ended, status %d", c->what, spawn_exit_status(wait_status));
	if (c->is_qemu) {
		qemu_gone(r, wait_status);
	} else if (!c->leaving && !r->ending && !r->powered_off) {
		/* A mount whose server is gone would hang for ever; without passt there is only no network. */
		if (startswith(c->what, "passt"))
			r->events.warning("passt has ended; the machine has no network until it is started again", r->data);
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

/* ---- start ---- */

struct start {
	struct isolation_run *run;
	struct qemu_plan plan;
	struct child_fds fds;
	struct strv argv;
	struct qemu_share *shares;
	char *kernel, *initramfs, *modules, *disk;
	int ends[8]; /* QEMU's ends, ours to close after the spawn */
	int end_count;
	int *share_ends;
	size_t share_end_count;
	int errors_fd;
};

static void start_done(struct start *s)
{
	for (int i = 0; i < s->end_count; i++)
		fd_close(s->ends[i]);
	for (size_t i = 0; i < s->share_end_count; i++)
		fd_close(s->share_ends[i]);
	fd_close(s->errors_fd);
	child_fds_done(&s->fds);
	strv_done(&s->argv);
	free(s->shares);
	free(s->share_ends);
	free(s->kernel);
	free(s->initramfs);
	free(s->modules);
	free(s->disk);
}

/* Takes fd, QEMU's end of something; its number there. */
static int give(struct start *s, int fd)
{
	if (fd >= 0)
		s->ends[s->end_count++] = fd;
	return child_fds_give(&s->fds, fd);
}

static int check_file(const char *path, const char *what, struct error **err)
{
	if (access(path, R_OK) < 0)
		return error_set_errno(err, errno, "cannot read %s %s", what, path);
	return 0;
}

static int find_files(struct start *s, struct error **err)
{
	const struct machine *m = s->run->machine;
	s->kernel = m->kernel ? xstrdup(m->kernel) : path_share("guest/vmlinux");
	s->initramfs = path_share("guest/initramfs.cpio");
	/* Another kernel cannot use the bundle's modules. */
	s->modules = m->kernel ? NULL : path_share("guest/modules.ext4");
	s->disk = machine_file(m->name, "disk.qcow2");
	int r = check_file(s->kernel, m->kernel ? "the machine's kernel" : "the guest bundle's kernel", err);
	if (r >= 0)
		r = check_file(s->initramfs, "the guest bundle's initramfs", err);
	if (r >= 0 && s->modules)
		r = check_file(s->modules, "the guest bundle's modules disk", err);
	if (r >= 0)
		r = check_file(s->disk, "the machine's disk", err);
	if (r >= 0 && m->image_disk)
		r = check_file(m->image_disk, "the image's disk", err);
	s->plan.kernel = s->kernel;
	s->plan.initramfs = s->initramfs;
	s->plan.modules = s->modules;
	s->plan.disk = s->disk;
	return r;
}

/* "set disk-size": the overlay takes the new size here, the file system inside when the agent mounts it. */
static int grow_disk(struct start *s, struct error **err)
{
	AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
	uint64_t size = machine_disk_size(s->run->machine);
	int r = qcow2_read(s->disk, &info, err);
	if (r >= 0 && info.virtual_size < size)
		r = qcow2_grow(s->disk, size, err);
	return r;
}

/* A QEMU that was left behind by a killed keeper may still write: it holds this lock too, and is gone in a moment. */
static int lock_disk(struct start *s, struct error **err)
{
	struct isolation_run *r = s->run;
	AUTOFREE char *path = machine_file(r->machine->name, "disk.lock");
	r->disk_lock = lock_file(path, LOCK_EXCLUSIVE, clock_deadline(DISK_LOCK_MS), err);
	if (r->disk_lock == -EWOULDBLOCK) {
		r->disk_lock = -1;
		error_clear(err);
		return error_set(err, EBUSY, "the disk %s is still in use by another process; try again when it has ended", s->disk);
	}
	if (r->disk_lock < 0)
		return r->disk_lock;
	child_fds_give(&s->fds, r->disk_lock);
	return grow_disk(s, err);
}

static int open_channels(struct start *s, struct error **err)
{
	struct isolation_run *r = s->run;
	int serial_fd = -1, errors_fd = -1, pair[2], fd;
	int result = boot_log_open(r, &serial_fd, &errors_fd, err);
	if (result < 0)
		return result;
	s->plan.boot_log_fd = give(s, serial_fd);
	s->errors_fd = errors_fd;
	result = fd_socketpair(SOCK_STREAM, pair);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for QEMU's monitor");
	s->plan.qmp_fd = give(s, pair[1]);
	static const struct qmp_events events = { .ready = on_qmp_ready, .event = on_qmp_event, .closed = on_qmp_closed };
	result = qmp_new(r->loop, pair[0], &events, r, &r->qmp);
	if (result < 0)
		return error_set_errno(err, result, "cannot watch QEMU's monitor");
	if (streq(r->machine->transport, "vsock")) {
		result = vsock_open(r, &s->plan.vsock_cid, &s->plan.vsock_port, &fd, err);
		if (result >= 0)
			s->plan.vsock_secret_fd = give(s, fd);
		return result;
	}
	result = port_init(&r->ports[0], r, "keeper", "keeper-port", MUX_CLIENT, &fd);
	if (result >= 0) {
		s->plan.keeper_fd = give(s, fd);
		result = port_init(&r->ports[1], r, "agent", "agent-port", MUX_SERVER, &fd);
	}
	if (result < 0)
		return error_set_errno(err, result, "cannot make the machine's ports");
	s->plan.agent_fd = give(s, fd);
	return 0;
}

static int open_network(struct start *s, struct error **err)
{
	struct isolation_run *r = s->run;
	int fd = -1, back = -1, result = 0;
	AUTOFREE char *resolv_conf = NULL;
	r->network = s->plan.network = vm_network_choose();
	if (path_read_file("/etc/resolv.conf", RESOLV_MAX, &resolv_conf, NULL) >= 0)
		r->forwarded_dns = vm_network_first_nameserver(resolv_conf);
	if (r->network == VM_NETWORK_PASST) {
		result = passt_start(r, &fd, err);
		s->plan.network_fd = give(s, fd);
		return result;
	}
	if (!r->host_access) {
		result = user_network_open(r, &fd, &back, err);
		s->plan.filter_fd = give(s, fd);
		s->plan.filter_back_fd = give(s, back);
	}
	return result;
}

/* The home stays for as long as the machine runs; the others can be taken away. */
static int open_shares(struct start *s, const struct isolation_share *shares, size_t count, struct error **err)
{
	struct isolation_run *r = s->run;
	s->shares = xcalloc(count + 1, sizeof(s->shares[0]));
	s->share_ends = xcalloc(count + 1, sizeof(int));
	size_t removable = 0;
	for (size_t i = 0; i < count; i++)
		removable += !streq(shares[i].tag, "home");
	r->slots = s->plan.slots = (unsigned)MIN(removable + VM_SLOTS_SPARE, (size_t)VM_SLOTS_MAX);
	for (size_t i = 0; i < count; i++) {
		int fd = -1, slot = streq(shares[i].tag, "home") ? -1 : share_slot_take(r);
		struct vm_share *share = share_new(r, &shares[i], slot);
		int result = share_server_start(r, &shares[i], &share->server, &fd, err);
		if (result < 0)
			return result;
		s->share_ends[s->share_end_count++] = fd;
		s->shares[i] = (struct qemu_share){ .tag = share->tag, .fd = child_fds_give(&s->fds, fd), .slot = slot };
	}
	s->plan.shares = s->shares;
	s->plan.share_count = count;
	return 0;
}

static int start_qemu(struct start *s, struct error **err)
{
	struct isolation_run *r = s->run;
	struct vm_child *qemu;
	s->plan.program = "qemu-system-x86_64";
	s->plan.machine = r->machine->name;
	s->plan.kvm = r->kvm;
	s->plan.cpus = (unsigned)machine_cpus(r->machine);
	s->plan.memory = machine_memory(r->machine);
	qemu_arguments(&s->plan, &s->argv);
	int result = child_start(r, strv_argv(&s->argv), &s->fds, s->errors_fd, SIGTERM, xstrdup("QEMU"), &qemu, err);
	if (result == -ENOENT) {
		error_clear(err);
		return error_set(err, ENOENT, "qemu-system-x86_64 is missing; install the package qemu-system-x86");
	}
	if (result >= 0)
		qemu->is_qemu = 1;
	return result;
}

static struct isolation_run *run_new(struct loop *l, const struct machine *m, const struct isolation_events *events, void *data)
{
	struct isolation_run *r = xnew(struct isolation_run);
	r->loop = l;
	r->machine = m;
	r->events = *events;
	r->data = data;
	r->host_access = m->host_access;
	r->disk_lock = -1;
	r->log.file = r->log.serial = r->log.errors = -1;
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
	qmp_free(r->qmp);
	shares_done(r);
	boot_log_done(r);
	source_free(r->end_source);
	source_free(r->kill_timer);
	fd_close(r->disk_lock);
	free(r->forwarded_dns);
	free(r->end_why);
	free(r);
}

/* A start that failed half way: what runs already is killed and reaped here, a matter of milliseconds. */
static void abandon(struct isolation_run *r)
{
	r->ending = r->ended = 1;
	children_kill(r, SIGKILL);
	while (r->children)
		child_reap(r->children);
	vm_free(r);
}

static int vm_start(struct loop *l, const struct machine *m, const char *runtime_dir, const struct isolation_share *shares, size_t share_count,
	const struct isolation_events *events, void *data, struct isolation_run **ret, struct error **err)
{
	struct start s = { .errors_fd = -1 };
	struct isolation_run *r = s.run = run_new(l, m, events, data);
	struct qemu_plan *p = &s.plan;
	p->qmp_fd = p->boot_log_fd = p->keeper_fd = p->agent_fd = p->network_fd = p->filter_fd = p->filter_back_fd = p->vsock_secret_fd = -1;
	child_fds_init(&s.fds);
	int result = find_files(&s, err);
	r->kvm = result >= 0 && vm_kvm_works(NULL);
	if (result >= 0)
		result = lock_disk(&s, err);
	if (result >= 0)
		result = open_channels(&s, err);
	if (result >= 0)
		result = open_network(&s, err);
	if (result >= 0)
		result = open_shares(&s, shares, share_count, err);
	if (result >= 0)
		result = start_qemu(&s, err);
	start_done(&s);
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
	AUTO_STRV struct strv servers = { 0 }, inside = { 0 };
	json_get_strv(resolv, "nameservers", &servers, NULL);
	for (size_t i = 0; i < servers.count; i++) {
		const char *server = vm_network_must_forward(servers.items[i], r->forwarded_dns) ? VM_NETWORK_DNS : servers.items[i];
		if (!strv_contains(&inside, server))
			strv_add(&inside, server);
	}
	json_add_strv(resolv, "nameservers", &inside);
}

static void describe_network(struct isolation_run *r, struct json_object *boot)
{
	struct json_object *network = json_object_new_object();
	json_add_string(network, "device", "eth0");
	json_add_string(network, "address", VM_NETWORK_ADDRESS "/24");
	json_add_string(network, "gateway", VM_NETWORK_GATEWAY);
	json_add_u64(network, "mtu", r->network == VM_NETWORK_PASST ? 65520 : 1500);
	json_add_string(network, "host", r->host_access ? VM_NETWORK_GATEWAY : NULL);
	json_add(boot, "network", network);
}

static void vm_describe(struct isolation_run *r, struct json_object *boot)
{
	struct json_object *root = json_object_new_object();
	json_add_string(root, "kind", "block");
	json_add_string(root, "device", "/dev/vda");
	json_add_u64(root, "size", machine_disk_size(r->machine));
	json_add(boot, "root", root);
	if (!r->machine->kernel) {
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
	for (struct vm_child *c = r->children; c; c = c->next) {
		struct json_object *process = json_object_new_object();
		json_add_string(process, "what", c->what);
		json_add_i64(process, "pid", c->pid);
		json_object_array_add(processes, process);
	}
	json_add(into, "processes", processes);
}

const struct isolation_ops isolation_vm = {
	.name = "vm",
	.start = vm_start,
	.describe = vm_describe,
	.resolv = vm_resolv,
	.add_share = vm_add_share,
	.remove_share = vm_remove_share,
	.kill = vm_kill,
	.statistics = vm_statistics,
	.free = vm_free,
};
