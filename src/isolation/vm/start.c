/* SPDX-License-Identifier: Apache-2.0
 * From a machine to a running QEMU: the files, the disk's lock, the channels, the network, the
 * shares, and last the command line with the numbers that all those descriptors have in QEMU's
 * table. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/spawn.h"
#include "disk/qcow2.h"
#include "isolation/network.h"
#include "isolation/vm/custom_kernel.h"
#include "isolation/vm/network.h"
#include "isolation/vm/probe.h"
#include "isolation/vm/qemu_rules.h"
#include "isolation/vm/run.h"

enum { DISK_LOCK_MS = 5000, ENDS_MAX = 12 };

struct start {
	struct isolation_run *run;
	const struct isolation_share *wanted;
	size_t wanted_count;
	struct qemu_plan plan;
	struct child_fds fds;
	struct strv argv;
	struct qemu_share *shares;
	char *kernel, *initramfs, *modules, *disk;
	int ends[ENDS_MAX]; /* QEMU's ends, ours to close after the spawn */
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

static int find_files(struct start *s, struct error **err)
{
	const struct machine *m = s->run->machine;
	s->kernel = m->kernel ? xstrdup(m->kernel) : path_share("guest/vmlinux");
	s->initramfs = path_share("guest/initramfs.cpio");
	s->modules = m->kernel ? NULL : path_share("guest/modules.ext4");
	s->disk = machine_file(m->name, "disk.qcow2");
	const struct {
		const char *path, *what; /* no path: not needed */
	} files[] = {
		{ s->kernel, m->kernel ? "the machine's kernel" : "the guest bundle's kernel" },
		{ s->initramfs, "the guest bundle's initramfs" },
		{ s->modules, "the guest bundle's modules disk" },
		{ s->disk, "the machine's disk" },
		{ m->image_disk, "the image's disk" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (files[i].path && access(files[i].path, R_OK) < 0)
			return error_set_errno(err, errno, "cannot read %s %s", files[i].what, files[i].path);
	return 0;
}

/* Another kernel cannot use the bundle's modules: it gets its own, in the initramfs and as a disk,
 * or none. */
static int replace_modules(struct start *s, struct error **err)
{
	const struct machine *m = s->run->machine;
	if (!m->kernel)
		return 0;
	int fd = custom_initramfs(s->initramfs, m->kernel_modules, err);
	if (fd < 0)
		return fd;
	free(s->initramfs);
	s->initramfs = xasprintf("/proc/self/fd/%d", give(s, fd));
	if (!m->kernel_modules)
		return 0;
	s->modules = machine_file(m->name, "modules.ext4");
	return custom_modules_disk(m->kernel_modules, s->modules, err);
}

/* "set disk-size": the overlay takes the new size here, the file system inside when the agent
 * mounts it. */
static int grow_disk(struct start *s, struct error **err)
{
	AUTO_QCOW2_INFO struct qcow2_info info = { 0 };
	uint64_t size = machine_disk_size(s->run->machine);
	int r = qcow2_read(s->disk, &info, err);
	if (r >= 0 && info.virtual_size < size)
		r = qcow2_grow(s->disk, size, err);
	return r;
}

/* A QEMU that was left behind by a killed keeper may still write: it holds this lock too, and is
 * gone in a moment. */
static int lock_disk(struct start *s, struct error **err)
{
	struct isolation_run *run = s->run;
	AUTOFREE char *path = machine_file(run->machine->name, "disk.lock");
	run->disk_lock = lock_file(path, LOCK_EXCLUSIVE, clock_deadline(DISK_LOCK_MS), err);
	if (run->disk_lock == -EWOULDBLOCK) {
		run->disk_lock = -1;
		error_clear(err);
		return error_set(err, EBUSY,
		    "the disk %s is still in use by another process; try again when it has ended", s->disk);
	}
	if (run->disk_lock < 0)
		return run->disk_lock;
	child_fds_give(&s->fds, run->disk_lock);
	return grow_disk(s, err);
}

/* The kernel's serial console and QEMU's stderr. */
static int open_log(struct start *s, struct error **err)
{
	struct isolation_run *run = s->run;
	int serial[2], errors[2];
	int result = boot_log_open(&run->log, run->machine->name, err);
	if (result < 0)
		return result;
	result = fd_socketpair(SOCK_STREAM, serial);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for the console");
	s->plan.boot_log_fd = give(s, serial[1]);
	result = boot_log_add(&run->log, run->loop, serial[0]);
	if (result >= 0)
		result = fd_pipe(errors);
	if (result < 0)
		return error_set_errno(err, result, "cannot watch the console");
	s->errors_fd = errors[1];
	result = boot_log_add(&run->log, run->loop, errors[0]);
	return result < 0 ? error_set_errno(err, result, "cannot watch QEMU's messages") : 0;
}

static int open_channels(struct start *s, struct error **err)
{
	struct isolation_run *run = s->run;
	int pair[2], fd;
	int result = open_log(s, err);
	if (result < 0)
		return result;
	result = fd_socketpair(SOCK_STREAM, pair);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for QEMU's monitor");
	s->plan.qmp_fd = give(s, pair[1]);
	result = qmp_new(run->loop, pair[0], &run_qmp_events, run, &run->qmp);
	if (result < 0)
		return error_set_errno(err, result, "cannot watch QEMU's monitor");
	if (streq(run->machine->transport, "vsock")) {
		result = vsock_open(run, &s->plan.vsock_cid, &s->plan.vsock_port, &fd, err);
		if (result >= 0)
			s->plan.vsock_secret_fd = give(s, fd);
		return result;
	}
	result = port_init(&run->ports[0], run, "keeper", "keeper-port", MUX_CLIENT, &fd);
	if (result >= 0) {
		s->plan.keeper_fd = give(s, fd);
		result = port_init(&run->ports[1], run, "agent", "agent-port", MUX_SERVER, &fd);
	}
	if (result < 0)
		return error_set_errno(err, result, "cannot make the machine's ports");
	s->plan.agent_fd = give(s, fd);
	return 0;
}

/* Looks at the host's network, and warns of what will not work. QEMU's user network, which a
 * machine without passt has, is fine without a default route: it works once the host has one. */
static void find_network(struct start *s)
{
	struct isolation_run *run = s->run;
	unsigned families = network_families();
	run->network = s->plan.network = vm_network_choose(families);
	run->families = run->network == VM_NETWORK_PASST ? families : NETWORK_IPV4;
	run->forwarded_dns = network_find_dns(run->families);
	if (run->network != VM_NETWORK_PASST && families == NETWORK_IPV6)
		run->events.warning("the machine has no network: the host has IPv6 only, and QEMU's own network has "
				    "IPv4; install the package passt",
		    run->data);
}

static int open_network(struct start *s, struct error **err)
{
	struct isolation_run *run = s->run;
	int fd = -1, back = -1, result = 0;
	find_network(s);
	if (run->network == VM_NETWORK_PASST) {
		result = passt_start(run, &fd, err);
		if (result >= 0 && !run->host_access)
			result = passt_gate_open(run, &fd, err);
		s->plan.network_fd = give(s, fd);
		return result;
	}
	if (!run->host_access) {
		result = user_network_open(run, &fd, &back, err);
		s->plan.filter_fd = give(s, fd);
		s->plan.filter_back_fd = give(s, back);
	}
	return result;
}

/* The home stays for as long as the machine runs; the others can be taken away. */
static int open_shares(struct start *s, struct error **err)
{
	struct isolation_run *run = s->run;
	const struct isolation_share *shares = s->wanted;
	size_t count = s->wanted_count;
	s->shares = xcalloc(count + 1, sizeof(s->shares[0]));
	s->share_ends = xcalloc(count + 1, sizeof(int));
	size_t removable = 0;
	for (size_t i = 0; i < count; i++)
		removable += !streq(shares[i].tag, "home");
	run->slots = (unsigned)MIN(removable + VM_SLOTS_SPARE, (size_t)VM_SLOTS_MAX);
	s->plan.slots = run->slots + 1;
	for (size_t i = 0; i < count; i++) {
		int fd = -1, slot = streq(shares[i].tag, "home") ? -1 : share_slot_take(run);
		struct vm_share *share = share_new(run, &shares[i], slot);
		int result = share_server_start(run, &shares[i], &share->server, &fd, err);
		if (result < 0)
			return result;
		s->share_ends[s->share_end_count++] = fd;
		s->shares[i] =
		    (struct qemu_share){ .tag = share->tag, .fd = child_fds_give(&s->fds, fd), .slot = slot };
	}
	s->plan.shares = s->shares;
	s->plan.share_count = count;
	return 0;
}

/* Without Landlock QEMU can open what its user can, as `holm system info` says. */
static int restrict_qemu(struct start *s, struct error **err)
{
	AUTO_ERROR struct error *why = NULL;
	int rules = qemu_rules(&s->plan, &why);
	if (rules == -EOPNOTSUPP) {
		log_info("QEMU is not restricted by Landlock: %s", error_text(why, rules));
		return 0;
	}
	if (rules < 0)
		return error_set(err, -rules, "%s", error_text(why, rules));
	s->fds.rules = give(s, rules);
	return 0;
}

static int start_qemu(struct start *s, struct error **err)
{
	struct isolation_run *run = s->run;
	struct vm_child *qemu;
	s->plan.program = "qemu-system-x86_64";
	s->plan.kernel = s->kernel;
	s->plan.initramfs = s->initramfs;
	s->plan.modules = s->modules;
	s->plan.disk = s->disk;
	s->plan.machine = run->machine->name;
	s->plan.kvm = run->kvm = vm_kvm_works(NULL);
	s->plan.cpus = (unsigned)machine_cpus(run->machine);
	s->plan.memory = machine_memory(run->machine);
	qemu_arguments(&s->plan, &s->argv);
	int result = restrict_qemu(s, err);
	if (result < 0)
		return result;
	result = child_start(run, strv_argv(&s->argv), &s->fds, s->errors_fd, SIGTERM, xstrdup("QEMU"), &qemu, err);
	if (result == -ENOENT) {
		error_clear(err);
		return error_set(err, ENOENT, "qemu-system-x86_64 is missing; install the package qemu-system-x86");
	}
	if (result >= 0)
		qemu->is_qemu = 1;
	return result;
}

int run_start(struct isolation_run *run, const struct isolation_share *shares, size_t share_count, struct error **err)
{
	static int (*const steps[])(struct start * s, struct error * *err) = { find_files, lock_disk, replace_modules,
		open_channels, open_network, open_shares, start_qemu };
	struct start s = { .run = run, .wanted = shares, .wanted_count = share_count, .errors_fd = -1 };
	struct qemu_plan *p = &s.plan;
	p->qmp_fd = p->boot_log_fd = p->keeper_fd = p->agent_fd = p->network_fd = p->filter_fd = p->filter_back_fd =
	    p->vsock_secret_fd = -1;
	child_fds_init(&s.fds);
	int result = 0;
	for (size_t i = 0; result >= 0 && i < ARRAY_SIZE(steps); i++)
		result = steps[i](&s, err);
	start_done(&s);
	return result;
}
