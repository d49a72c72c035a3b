/* SPDX-License-Identifier: Apache-2.0
 * Shares that come and go while the machine runs: a share server is started and its device plugged
 * into a spare root port; or the device is unplugged, and once the guest has let go of it
 * (DEVICE_DELETED) the server is ended. Each change is a list of steps, every step one QMP command;
 * a step that fails undoes nothing but what it must: the server is killed, the slot is free again.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "isolation/vm/run.h"

struct share_change {
	struct share_change *next;
	struct isolation_run *run;
	char *tag;
	int adding, plugged;     /* plugged: the guest may see the device */
	struct source *deadline; /* removing: for the guest to let go */
	struct source *finish;
	int code;
	char *why;
	void (*done)(int code, const char *why, void *data);
	void *data;
};

int share_slot_take(struct isolation_run *run)
{
	for (unsigned i = 0; i < run->slots; i++) {
		if (!(run->slots_used & (1ULL << i))) {
			run->slots_used |= 1ULL << i;
			return (int)i;
		}
	}
	return -1;
}

struct vm_share *share_new(struct isolation_run *run, const struct isolation_share *s, int slot)
{
	struct vm_share *share = xnew(struct vm_share), **last = &run->shares;
	share->tag = xstrdup(s->tag);
	share->host = xstrdup(s->host);
	share->slot = slot;
	while (*last)
		last = &(*last)->next;
	*last = share;
	return share;
}

static struct vm_share *find(struct isolation_run *run, const char *tag)
{
	struct vm_share *s = run->shares;
	while (s && !streq(s->tag, tag))
		s = s->next;
	return s;
}

static void share_drop(struct isolation_run *run, const char *tag)
{
	for (struct vm_share **p = &run->shares; *p; p = &(*p)->next) {
		struct vm_share *s = *p;
		if (!streq(s->tag, tag))
			continue;
		*p = s->next;
		if (s->server) {
			s->server->leaving = 1;
			kill(s->server->pid, SIGKILL);
		}
		if (s->slot >= 0)
			run->slots_used &= ~(1ULL << s->slot);
		free(s->tag);
		free(s->host);
		free(s);
		return;
	}
}

static void change_unlink(struct share_change *c)
{
	for (struct share_change **p = &c->run->changes; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
}

static void change_free(struct share_change *c)
{
	source_free(c->deadline);
	source_free(c->finish);
	free(c->tag);
	free(c->why);
	free(c);
}

static void on_finish(struct source *s, void *data)
{
	struct share_change *c = data;
	struct vm_share *share = find(c->run, c->tag);
	/* A device that the guest has seen keeps its server and slot when the guest does not let go
	 * of it. */
	if (share && (c->adding ? c->code < 0 : c->code >= 0))
		share_drop(c->run, c->tag);
	else if (share)
		share->removing = 0;
	change_unlink(c);
	c->done(c->code, c->why, c->data);
	change_free(c);
}

/* `done` is told from the loop, after all that this turn still does with the change. */
static void finish(struct share_change *c, int code, const char *why)
{
	if (c->finish)
		return;
	c->code = code;
	c->why = xstrdup(why);
	loop_add_deferred(c->run->loop, on_finish, c, &c->finish);
}

static struct share_change *change_new(struct isolation_run *run, const char *tag, int adding,
    void (*done)(int, const char *, void *), void *data)
{
	struct share_change *c = xnew(struct share_change);
	c->run = run;
	c->tag = xstrdup(tag);
	c->adding = adding;
	c->done = done;
	c->data = data;
	c->next = run->changes;
	run->changes = c;
	return c;
}

/* A string made from the tag, under a key. */
static void add_name(struct json_object *o, const char *key, const char *prefix, const char *tag)
{
	AUTOFREE char *name = xasprintf("%s-%s", prefix, tag);
	json_add_string(o, key, name);
}

static void on_unchardev(int code, struct json_object *result, const char *why, void *data)
{
	struct share_change *c = data;
	finish(c, c->adding ? c->code : code, c->adding ? c->why : why);
}

/* QEMU closes its end, upon which the server ends, perhaps before QEMU's answer is here. */
static void remove_chardev(struct share_change *c)
{
	struct json_object *arguments = json_object_new_object();
	struct vm_share *s = find(c->run, c->tag);
	if (s && s->server)
		s->server->leaving = 1;
	add_name(arguments, "id", "share", c->tag);
	if (qmp_execute(c->run->qmp, "chardev-remove", arguments, -1, on_unchardev, c) < 0)
		finish(c, -EPIPE, "the virtual machine has ended");
}

static void on_plugged(int code, struct json_object *result, const char *why, void *data)
{
	struct share_change *c = data;
	if (code < 0) {
		c->code = code;
		c->why = xstrdup(why);
		remove_chardev(c);
		return;
	}
	finish(c, 0, NULL);
}

static void on_chardev(int code, struct json_object *result, const char *why, void *data)
{
	struct share_change *c = data;
	struct vm_share *s = find(c->run, c->tag);
	if (code < 0 || !s) {
		finish(c, code < 0 ? code : -ECANCELED, why);
		return;
	}
	struct json_object *arguments = json_object_new_object();
	AUTOFREE char *bus = xasprintf("slot%d", s->slot);
	json_add_string(arguments, "driver", "vhost-user-fs-pci");
	add_name(arguments, "id", "device", c->tag);
	add_name(arguments, "chardev", "share", c->tag);
	json_add_string(arguments, "tag", c->tag);
	json_add_u64(arguments, "queue-size", VM_SHARE_QUEUE_SIZE);
	json_add_string(arguments, "bus", bus);
	if (qmp_execute(c->run->qmp, "device_add", arguments, -1, on_plugged, c) < 0)
		finish(c, -EPIPE, "the virtual machine has ended");
}

/* getfd and chardev-add with the descriptor's name: QEMU answers in order, so only the second
 * answer matters. */
static void add_chardev(struct share_change *c, int qemu_fd)
{
	struct json_object *name = json_object_new_object(), *arguments = json_object_new_object(),
			   *backend = json_object_new_object(), *data = json_object_new_object(),
			   *address = json_object_new_object(), *address_data = json_object_new_object();
	add_name(name, "fdname", "share", c->tag);
	qmp_execute(c->run->qmp, "getfd", name, qemu_fd, NULL, NULL);
	add_name(address_data, "str", "share", c->tag);
	json_add_string(address, "type", "fd");
	json_add(address, "data", address_data);
	json_add(data, "addr", address);
	json_add_bool(data, "server", 0);
	json_add_string(backend, "type", "socket");
	json_add(backend, "data", data);
	add_name(arguments, "id", "share", c->tag);
	json_add(arguments, "backend", backend);
	if (qmp_execute(c->run->qmp, "chardev-add", arguments, -1, on_chardev, c) < 0)
		finish(c, -EPIPE, "the virtual machine has ended");
}

int vm_add_share(struct isolation_run *run, const struct isolation_share *s, void (*done)(int, const char *, void *),
    void *data, struct error **err)
{
	if (run->end.begun || !run->qmp)
		return error_set(err, ESRCH, "the machine is stopping");
	if (find(run, s->tag))
		return error_set(err, EEXIST, "there is a share \"%s\" already", s->tag);
	int slot = share_slot_take(run), qemu_fd = -1;
	if (slot < 0)
		return error_set(err, EOPNOTSUPP,
		    "no place for another share in the running machine; it takes effect at the next start");
	struct vm_share *share = share_new(run, s, slot);
	int result = share_server_start(run, s, &share->server, &qemu_fd, err);
	if (result < 0) {
		share_drop(run, s->tag);
		return result;
	}
	add_chardev(change_new(run, s->tag, 1, done, data), qemu_fd);
	return 0;
}

static void on_guest_holds(struct source *s, void *data)
{
	finish(data, -EBUSY, "the machine does not let go of the share; it is gone after the next start");
}

static void on_unplug_asked(int code, struct json_object *result, const char *why, void *data)
{
	struct share_change *c = data;
	if (code < 0)
		finish(c, code, why);
}

int vm_remove_share(struct isolation_run *run, const char *tag, void (*done)(int, const char *, void *), void *data,
    struct error **err)
{
	struct vm_share *s = find(run, tag);
	if (!s)
		return error_set(err, ENOENT, "there is no share \"%s\"", tag);
	if (s->slot < 0)
		return error_set(err, EOPNOTSUPP, "the share of %s stays until the machine stops", s->host);
	if (s->removing || run->end.begun || !run->qmp)
		return error_set(err, EBUSY, "the share of %s is going already", s->host);
	s->removing = 1;
	struct share_change *c = change_new(run, tag, 0, done, data);
	int result = loop_add_timer(run->loop, clock_deadline(UNPLUG_TIMEOUT_MS), on_guest_holds, c, &c->deadline);
	if (result < 0) {
		s->removing = 0;
		change_unlink(c);
		change_free(c);
		return error_set_errno(err, result, "cannot set a timer");
	}
	struct json_object *arguments = json_object_new_object();
	add_name(arguments, "id", "device", tag);
	if (qmp_execute(run->qmp, "device_del", arguments, -1, on_unplug_asked, c) < 0)
		finish(c, -EPIPE, "the virtual machine has ended");
	return 0;
}

void share_event_deleted(struct isolation_run *run, struct json_object *event_data)
{
	const char *device, *tag;
	if (!event_data || json_get_string(event_data, "device", &device, NULL) < 0 ||
	    !(tag = startswith(device, "device-")))
		return;
	for (struct share_change *c = run->changes; c; c = c->next) {
		if (!c->adding && !c->finish && streq(c->tag, tag)) {
			remove_chardev(c);
			return;
		}
	}
}

void shares_cancel(struct isolation_run *run)
{
	while (run->changes) {
		struct share_change *c = run->changes;
		run->changes = c->next;
		c->done(-ECANCELED, "the machine has stopped", c->data);
		change_free(c);
	}
}

void shares_done(struct isolation_run *run)
{
	shares_cancel(run);
	while (run->shares) {
		struct vm_share *s = run->shares;
		run->shares = s->next;
		free(s->tag);
		free(s->host);
		free(s);
	}
}
