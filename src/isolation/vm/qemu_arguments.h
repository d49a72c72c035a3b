/* SPDX-License-Identifier: Apache-2.0
 * QEMU's command line as pure data: a plan goes in, an argument vector comes out. Nothing here
 * looks at the host. */
#pragma once

#include <stdint.h>

#include "base/strv.h"

#define VM_PORT_KEEPER "org.holm.keeper" /* virtio-serial port on which the keeper opens streams */
#define VM_PORT_AGENT "org.holm.agent"   /* and the one on which the agent does */

enum {
	VM_SLOTS_SPARE = 4,         /* shares that can be added while a machine runs */
	VM_SLOTS_MAX = 16,          /* root ports of shares: those that can be taken away, and spare ones */
	VM_SHARE_QUEUE_SIZE = 1024, /* the default of 128 caps a request at 124 pages */
};

enum vm_network { VM_NETWORK_NONE, VM_NETWORK_PASST, VM_NETWORK_USER };

struct qemu_share {
	const char *tag;
	int fd; /* QEMU's end of the vhost-user connection */
	/* the root port that it sits in, where it can be unplugged; -1: on the root bus, for as
	 * long as the machine runs */
	int slot;
};

/* Everything is borrowed. Descriptors are numbers in QEMU's own table; -1: none. */
struct qemu_plan {
	const char *program; /* "qemu-system-x86_64" */
	const char *machine; /* name of the machine, for ps(1) */
	int kvm;             /* 0: emulation */
	unsigned cpus;
	uint64_t memory; /* bytes */
	const char *kernel, *initramfs;
	const char *disk;    /* qcow2, read-write */
	const char *modules; /* raw, read-only; NULL: none */
	int qmp_fd, boot_log_fd, keeper_fd, agent_fd;
	enum vm_network network;
	int network_fd; /* for VM_NETWORK_PASST */
	/* for VM_NETWORK_USER: what the guest sends goes out of the one and comes back by the
	 * other */
	int filter_fd, filter_back_fd;
	const struct qemu_share *shares;
	size_t share_count;
	unsigned slots;      /* root ports for hot-plug: shares, then the images' controller */
	uint32_t vsock_cid;  /* 0: the transport is serial */
	uint32_t vsock_port; /* of the keeper's listener */
	int vsock_secret_fd; /* memfd with the boot's secret; given to the guest as opt/org.holm/secret */
};

void qemu_arguments(const struct qemu_plan *p, struct strv *argv);
/* The kernel's command line, owned. */
char *qemu_kernel_options(const struct qemu_plan *p);
