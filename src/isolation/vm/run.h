/* SPDX-License-Identifier: Apache-2.0
 * The parts of a running virtual machine, shared between the files of this folder.
 *
 *   run.c       events, the end, the table of functions
 *   start.c     the plan, and QEMU with all its descriptors
 *   children.c  the processes: QEMU, passt, one share server a share
 *   ports.c     the two serial ports and the multiplexers on them
 *   vsock.c     the other transport
 *   shares.c    shares that come and go while the machine runs
 *   image_disks.c  the disks of containers' images, likewise
 *
 * Everything ends in one place: run_fail() (or QEMU's exit) kills all children, and when the last
 * one is reaped `ended` is told.
 */
#pragma once

#include <sys/types.h>

#include "isolation/boot_log.h"
#include "isolation/isolation.h"
#include "isolation/run_end.h"
#include "isolation/vm/qemu_arguments.h"
#include "isolation/vm/qmp.h"

enum {
	PORT_LOSSES_MAX = 16,   /* an agent that breaks its protocol again and again ends the machine */
	VM_KILL_MS = 10 * 1000, /* from SIGTERM to SIGKILL for QEMU when the run ends */
	UNPLUG_TIMEOUT_MS = 15 * 1000,
};

struct vm_child {
	struct isolation_run *run;
	struct vm_child *next;
	pid_t pid;
	struct source *source;
	char *what; /* "the share server of /home/alice" */
	int is_qemu;
	int leaving; /* its end is expected */
};

struct vm_port {
	struct isolation_run *run;
	const char *chardev, *device; /* QEMU's ids */
	enum mux_role role;
	int fd; /* our end while nothing has come through it yet; else -1 and mux owns it */
	struct source *readable, *broken;
	struct transport *mux;
	char *why;
	unsigned losses;
};

struct vm_share {
	struct vm_share *next;
	char *tag, *host;
	int slot; /* -1: fixed */
	struct vm_child *server;
	int removing;
};

struct isolation_run {
	struct loop *loop;
	struct isolation_events events;
	void *data;
	const struct machine *machine; /* borrowed for as long as the run lives */
	int kvm;
	enum vm_network network;
	unsigned families;   /* of the machine's addresses: NETWORK_IPV4, NETWORK_IPV6 */
	char *forwarded_dns; /* the host's server behind NETWORK_DNS, or NULL */
	int host_access;
	struct vm_child *children;
	struct qmp *qmp;
	struct vm_port ports[2]; /* keeper's, agent's */
	struct vsock *vsock;
	struct user_network *user_network;
	struct passt_gate *passt_gate;
	struct vm_share *shares;
	unsigned slots;               /* of shares; behind them is that of the images' controller */
	uint64_t slots_used;          /* bit set */
	struct share_change *changes; /* shares being added or removed */
	struct image_disk *image_disks;
	int has_images; /* their controller is plugged in */
	struct {
		char *why;    /* NULL: the guest runs */
		int settling; /* QEMU has let it go on; it is not known yet whether it works */
		struct source *timer, *space_timer;
		uint64_t wait_ms, tried_ms, ended_ms;
	} pause;
	struct boot_log log;
	int disk_lock; /* held by QEMU too, so that the next run waits for it to be gone */
	/* ending */
	int powered_off;
	struct run_end end;
	struct source *kill_timer;
};

/* Ends the run for this reason (the first one counts). */
void run_fail(struct isolation_run *run, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* A child is reaped: decides what that means. */
void run_child_gone(struct isolation_run *run, struct vm_child *c, int wait_status);

extern const struct qmp_events run_qmp_events;

/* start.c: starts everything. On an error what was started is left to the caller to end. */
int run_start(struct isolation_run *run, const struct isolation_share *shares, size_t share_count, struct error **err);

/* children.c */
struct child_fds {
	struct spawn_fd *items;
	size_t count;
	int next;  /* number of the next one in the child */
	int rules; /* number of Landlock rules among them, which restrict the child; 0: none */
};
void child_fds_init(struct child_fds *f);
void child_fds_done(struct child_fds *f);        /* the descriptors stay the caller's */
int child_fds_give(struct child_fds *f, int fd); /* its number in the child, -1 for -1 */
int child_start(struct isolation_run *run, char *const *argv, const struct child_fds *fds, int errors_fd,
    int death_signal, char *what, struct vm_child **ret, struct error **err); /* takes what */
void child_reap(struct vm_child *c); /* waits for one that was killed; drops it without a word */
void children_kill(struct isolation_run *run, int qemu_signal);
/* Starts the share server of s; *ret_fd: QEMU's end of its connection, owned. */
int share_server_start(struct isolation_run *run, const struct isolation_share *s, struct vm_child **ret, int *ret_fd,
    struct error **err);
/* Starts passt; *ret_fd: QEMU's end. */
int passt_start(struct isolation_run *run, int *ret_fd, struct error **err);

/* ports.c */
int port_init(struct vm_port *p, struct isolation_run *run, const char *chardev, const char *device, enum mux_role role,
    int *ret_qemu_fd);
void port_event(struct isolation_run *run, struct json_object *event_data); /* VSERPORT_CHANGE */
void port_done(struct vm_port *p);

/* shares.c */
struct vm_share *share_new(struct isolation_run *run, const struct isolation_share *s, int slot);
int share_slot_take(struct isolation_run *run); /* a free slot, or -1 */
int vm_add_share(struct isolation_run *run, const struct isolation_share *s, void (*done)(int, const char *, void *),
    void *data, struct error **err);
int vm_remove_share(struct isolation_run *run, const char *tag, void (*done)(int, const char *, void *), void *data,
    struct error **err);
void share_event_deleted(struct isolation_run *run, struct json_object *event_data); /* DEVICE_DELETED */
void shares_cancel(struct isolation_run *run); /* answers the changes that will not come to an end */
void shares_done(struct isolation_run *run);

/* image_disks.c */
int vm_lend_disk(struct isolation_run *run, const char *path, void (*done)(int, const char *, void *), void *data,
    struct error **err);
void vm_return_disk(struct isolation_run *run, const char *path);
void image_disks_event_deleted(struct isolation_run *run, struct json_object *event_data); /* DEVICE_DELETED */
void image_disks_cancel(struct isolation_run *run); /* answers who waits, and forgets all */

/* pause.c: the guest stops while the host cannot write its disk. */
void pause_event_error(struct isolation_run *run, struct json_object *event_data); /* BLOCK_IO_ERROR */
void pause_event_resumed(struct isolation_run *run);                               /* RESUME */
void pause_watch_space(struct isolation_run *run);                                 /* warns before it comes to that */
void pause_done(struct isolation_run *run);

/* vsock.c */
int vsock_open(struct isolation_run *run, uint32_t *ret_cid, uint32_t *ret_port, int *ret_secret_fd,
    struct error **err);
void vsock_done(struct isolation_run *run);

/* passt_gate.c: puts the filter between QEMU and passt. *network: passt's socket, taken; becomes
 * QEMU's end. */
int passt_gate_open(struct isolation_run *run, int *network, struct error **err);
void passt_gate_done(struct isolation_run *run);

/* user_network.c */
int user_network_open(struct isolation_run *run, int *ret_out_fd, int *ret_back_fd, struct error **err);
void user_network_done(struct isolation_run *run);
