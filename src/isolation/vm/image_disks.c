/* SPDX-License-Identifier: Apache-2.0
 * The disks of images that containers use, while the machine runs.
 *
 * Problem. A machine starts without them, may want hundreds, and QEMU can open no file of the
 * user's any more (qemu_rules.c).
 *
 * Idea. A SCSI controller is plugged into a root port of its own when the first disk is wanted; a
 * disk is a unit (LUN) of it, which costs one descriptor. QEMU gets the file as a descriptor. The
 * agent finds the disk by "CHANNEL:TARGET:LUN".
 *
 * Disks are added one after the other: each is a chain of commands, of which the last answer
 * counts. Removal: device_del, then DEVICE_DELETED, then blockdev-del; SCSI asks the guest for
 * nothing, so the agent unmounts first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "isolation/vm/run.h"

#define CONTROLLER "images"
#define PREFIX "image-"

enum { LUN_MAX = 16383, NAME_SIZE = 32 };

enum disk_state { DISK_WAITS, DISK_ADDING, DISK_READY, DISK_REMOVING };

struct lending {
	struct lending *next;
	void (*done)(int code, const char *name_or_why, void *data);
	void *data;
};

struct image_disk {
	struct image_disk *next;
	struct isolation_run *run;
	char *path;
	int fd; /* until QEMU has it */
	unsigned lun;
	enum disk_state state;
	struct lending *lendings;
};

static struct image_disk *find(struct isolation_run *run, const char *path)
{
	struct image_disk *d = run->image_disks;
	while (d && (d->state == DISK_REMOVING || !streq(d->path, path)))
		d = d->next;
	return d;
}

static void disk_free(struct image_disk *d)
{
	for (struct image_disk **at = &d->run->image_disks; *at; at = &(*at)->next)
		if (*at == d) {
			*at = d->next;
			break;
		}
	fd_close(d->fd);
	free(d->path);
	free(d);
}

static void tell(struct image_disk *d, int code, const char *why)
{
	char name[NAME_SIZE];
	struct lending *all = TAKE_PTR(d->lendings);
	snprintf(name, sizeof name, "0:0:%u", d->lun);
	while (all) {
		struct lending *l = all;
		all = l->next;
		l->done(code, code < 0 ? why : name, l->data);
		free(l);
	}
}

/* ---- commands ---- */

static void add_name(struct json_object *o, const char *key, const struct image_disk *d)
{
	char name[NAME_SIZE];
	snprintf(name, sizeof name, PREFIX "%u", d->lun);
	json_add_string(o, key, name);
}

static int send_controller(struct isolation_run *run)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *bus = xasprintf("slot%u", run->slots);
	json_add_string(o, "driver", "virtio-scsi-pci");
	json_add_string(o, "id", CONTROLLER);
	json_add_string(o, "bus", bus);
	json_add_u64(o, "num_queues", 1);
	return qmp_execute(run->qmp, "device_add", o, -1, NULL, NULL);
}

static int send_file(struct image_disk *d)
{
	struct json_object *set = json_object_new_object(), *node = json_object_new_object(),
			   *file = json_object_new_object();
	AUTOFREE char *path = xasprintf("/dev/fdset/%u", d->lun);
	json_add_u64(set, "fdset-id", d->lun);
	json_add_string(file, "driver", "file");
	json_add_string(file, "filename", path);
	json_add_bool(file, "read-only", 1);
	json_add_string(node, "driver", "raw");
	add_name(node, "node-name", d);
	json_add_bool(node, "read-only", 1);
	json_add(node, "file", file);
	int r = qmp_execute(d->run->qmp, "add-fd", set, TAKE_FD(d->fd), NULL, NULL);
	int added = qmp_execute(d->run->qmp, "blockdev-add", node, -1, NULL, NULL);
	/* The node has a descriptor of its own by then. */
	struct json_object *again = json_object_new_object();
	json_add_u64(again, "fdset-id", d->lun);
	qmp_execute(d->run->qmp, "remove-fd", again, -1, NULL, NULL);
	return r < 0 ? r : added;
}

static void send_blockdev_del(struct image_disk *d)
{
	struct json_object *o = json_object_new_object();
	add_name(o, "node-name", d);
	qmp_execute(d->run->qmp, "blockdev-del", o, -1, NULL, NULL);
}

/* ---- adding ---- */

static void add_next(struct isolation_run *run);

static void finish(struct image_disk *d, int code, const char *why)
{
	struct isolation_run *run = d->run;
	d->state = DISK_READY;
	if (code < 0)
		log_warning("the disk %s of an image cannot be attached: %s", d->path, why ? why : strerror(-code));
	tell(d, code, why);
	if (code < 0) {
		send_blockdev_del(d);
		disk_free(d);
	}
	add_next(run);
}

static void on_added(int code, struct json_object *result, const char *why, void *data)
{
	struct image_disk *d = data;
	d->run->has_images = code >= 0 || d->run->has_images;
	finish(d, code, why);
}

static void add(struct image_disk *d)
{
	struct json_object *o = json_object_new_object();
	d->state = DISK_ADDING;
	json_add_string(o, "driver", "scsi-hd");
	add_name(o, "id", d);
	add_name(o, "drive", d);
	json_add_string(o, "bus", CONTROLLER ".0");
	json_add_u64(o, "scsi-id", 0);
	json_add_u64(o, "lun", d->lun);
	int r = d->run->has_images ? 0 : send_controller(d->run);
	if (r >= 0)
		r = send_file(d);
	if (r < 0)
		json_object_put(o);
	else
		r = qmp_execute(d->run->qmp, "device_add", o, -1, on_added, d);
	if (r < 0)
		finish(d, r, "the virtual machine cannot be asked for it");
}

static void add_next(struct isolation_run *run)
{
	struct image_disk *waits = NULL;
	for (struct image_disk *d = run->image_disks; d; d = d->next) {
		if (d->state == DISK_ADDING)
			return;
		if (d->state == DISK_WAITS)
			waits = d;
	}
	if (waits)
		add(waits);
}

static unsigned free_lun(const struct isolation_run *run)
{
	for (unsigned lun = 1; lun <= LUN_MAX; lun++) {
		const struct image_disk *d = run->image_disks;
		while (d && d->lun != lun)
			d = d->next;
		if (!d)
			return lun;
	}
	return 0;
}

static int disk_new(struct isolation_run *run, const char *path, struct image_disk **ret, struct error **err)
{
	unsigned lun = free_lun(run);
	if (!lun)
		return error_set(err, ENOSPC, "the machine has too many disks of images");
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open the image's disk %s", path);
	struct image_disk *d = xnew(struct image_disk);
	*d = (struct image_disk){ .next = run->image_disks,
		.run = run,
		.path = xstrdup(path),
		.fd = TAKE_FD(fd),
		.lun = lun };
	*ret = run->image_disks = d;
	return 0;
}

int vm_lend_disk(struct isolation_run *run, const char *path, void (*done)(int, const char *, void *), void *data,
    struct error **err)
{
	if (run->end.begun || !run->qmp)
		return error_set(err, ESRCH, "the machine is stopping");
	struct image_disk *d = find(run, path);
	int r = d ? 0 : disk_new(run, path, &d, err);
	if (r < 0)
		return r;
	struct lending *l = xnew(struct lending);
	*l = (struct lending){ .next = d->lendings, .done = done, .data = data };
	d->lendings = l;
	if (d->state == DISK_READY)
		tell(d, 0, NULL);
	else
		add_next(run);
	return 0;
}

/* ---- removing ---- */

void vm_return_disk(struct isolation_run *run, const char *path)
{
	struct image_disk *d = find(run, path);
	if (!d || d->state != DISK_READY || run->end.begun || !run->qmp)
		return;
	struct json_object *o = json_object_new_object();
	add_name(o, "id", d);
	if (qmp_execute(run->qmp, "device_del", o, -1, NULL, NULL) >= 0)
		d->state = DISK_REMOVING;
}

void image_disks_event_deleted(struct isolation_run *run, struct json_object *event_data)
{
	const char *device = NULL, *number = NULL;
	uint32_t lun = 0;
	if (!event_data || json_get_string(event_data, "device", &device, NULL) < 0 ||
	    !(number = startswith(device, PREFIX)) || parse_u32(number, &lun) < 0)
		return;
	for (struct image_disk *d = run->image_disks; d; d = d->next)
		if (d->lun == lun && d->state == DISK_REMOVING) {
			send_blockdev_del(d);
			disk_free(d);
			return;
		}
}

void image_disks_cancel(struct isolation_run *run)
{
	while (run->image_disks) {
		struct image_disk *d = run->image_disks;
		run->image_disks = d->next;
		tell(d, -ECANCELED, "the machine has stopped");
		disk_free(d);
	}
}
