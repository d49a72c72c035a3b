/* SPDX-License-Identifier: Apache-2.0
 * Reports of the monitor: of containers that this engine has started, and of those that an earlier
 * one has left running.
 *
 * A record says what an earlier engine had written down; the monitor says how the container is. The
 * note that goes with it has the time at which the run began, which tells an end that is in the
 * record already from one that is not. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/engine/endpoints.h"
#include "agent/engine/gone.h"
#include "agent/engine/lease.h"
#include "agent/engine/namespaces.h"
#include "agent/engine/network_join.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "docker/name.h"

enum { LOST_STATUS = 137 };

char *container_note(const struct container *c)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	json_add_i64(o, "run", c->run);
	const struct docker_endpoint *p = network_endpoint(network_default(c->engine), (struct container *)c);
	json_add_u64(o, "address", p ? p->address : 0);
	if (container_network_peer(c))
		json_add(o, "leases", lease_store(c));
	return json_to_string(o, 0);
}

/* NULL where it is none. */
static struct json_object *parse_note(const char *note)
{
	AUTO_JSON struct json_object *o = NULL;
	if (!note || json_parse(note, strlen(note), "note", &o, NULL) < 0 || !json_object_is_type(o, json_type_object))
		return NULL;
	return TAKE_PTR(o);
}

static void take_note(struct container *c, const char *note)
{
	AUTO_JSON struct json_object *o = parse_note(note);
	struct json_object *leases = NULL;
	uint64_t address = 0;
	if (!o || json_get_i64(o, "run", &c->run, NULL) < 0)
		return;
	json_get_u64(o, "address", &address, NULL);
	endpoints_adopt(c, address > UINT32_MAX ? 0 : (uint32_t)address);
	/* One that shares another's network has its addresses. */
	if (json_get_array(o, "leases", &leases, NULL) == 0)
		lease_load(c, leases);
	if (leases && c->lease_count)
		c->address = c->leases[0].address;
}

/* ---- those of an earlier engine ---- */

/* It is no longer known: it ends, and nothing of it stays. */
static void refuse(const struct monitor_report *r)
{
	if (r->fds[HELD_PROCESS] >= 0)
		syscall(SYS_pidfd_send_signal, r->fds[HELD_PROCESS], SIGKILL, NULL, 0);
	if (r->state == MONITORED_ENDED || r->state == MONITORED_FAILED)
		monitor_forget(r->id);
}

static void adopt_streams(struct container *c, struct monitor_report *r)
{
	struct stdio *s = container_stdio(c);
	if (stdio_adopt(s, r->fds) < 0) {
		log_warning("container %.12s: its output is lost", c->record.id);
		return;
	}
	const struct spool_commit commit = spool_committed(stdio_spool(s));
	container_open_log(c);
	int result = docker_log_resume(&c->log, commit.inode, commit.size);
	if (result < 0)
		log_warning("container %.12s: its log has lines twice: %s", c->record.id, strerror(-result));
	container_commit(c);
}

static void adopt(struct container *c, struct monitor_report *r)
{
	take_note(c, r->note);
	c->held = c->starting = 1;
	c->namespaces.user = TAKE_FD(r->fds[HELD_USER]);
	c->namespaces.network = TAKE_FD(r->fds[HELD_NETWORK]);
	if (r->state == MONITORED_STARTING || r->state == MONITORED_RUNNING)
		container_network_adopt(c);
	adopt_streams(c, r);
	container_bind_ports(c);
}

/* Its end is in the record, and the engine was killed before it could say so. */
static int is_concluded(const struct container *c, const struct monitor_report *r)
{
	AUTO_JSON struct json_object *o = NULL;
	int64_t run = 0;
	if (c->held || r->state != MONITORED_ENDED || c->record.status != CONTAINER_EXITED ||
	    !(o = parse_note(r->note)))
		return 0;
	json_get_i64(o, "run", &run, NULL);
	return run <= c->record.finished;
}

/* ---- reports ---- */

static void take_terminal(struct container *c, struct monitor_report *r)
{
	if (c->record.body.tty && r->fds[HELD_OUTPUT] >= 0)
		stdio_set_terminal(container_stdio(c), TAKE_FD(r->fds[HELD_OUTPUT]));
}

static void apply(struct container *c, const struct monitor_report *r)
{
	if (r->state == MONITORED_FAILED) {
		container_failed(c);
		return;
	}
	if (c->starting && r->state != MONITORED_STARTING)
		container_started(c, r->pid);
	if (r->state != MONITORED_ENDED)
		return;
	c->finished = r->finished;
	container_ended(c, r->status);
}

void container_report(struct engine *e, struct monitor_report *r)
{
	struct container *c = e->containers;
	while (c && !streq(c->record.id, r->id))
		c = c->next;
	if (!c) {
		refuse(r);
		return;
	}
	if (is_concluded(c, r)) {
		monitor_forget(r->id);
		return;
	}
	int process = TAKE_FD(r->fds[HELD_PROCESS]), master = c->record.body.tty ? TAKE_FD(r->fds[HELD_OUTPUT]) : -1;
	if (!c->held)
		adopt(c, r);
	r->fds[HELD_OUTPUT] = c->record.body.tty ? master : -1;
	take_terminal(c, r);
	if (process >= 0) {
		fd_close(c->process);
		c->process = process;
	}
	apply(c, r);
}

/* ---- leftovers ---- */

static int has_run(const struct container *c)
{
	AUTOFREE char *run = path_join(ENGINE_RUN, c->record.id);
	return access(run, F_OK) == 0;
}

static int is_known(const struct engine *e, const char *id)
{
	for (const struct container *c = e->containers; c; c = c->next)
		if (streq(c->record.id, id))
			return 1;
	return 0;
}

/* Removes the leftovers of runs whose record is gone. */
static void sweep(const struct engine *e)
{
	DIR *d = opendir(ENGINE_RUN);
	for (struct dirent *entry; d && (entry = readdir(d));) {
		if (!docker_is_id(entry->d_name) || is_known(e, entry->d_name))
			continue;
		AUTOFREE char *run = path_join(ENGINE_RUN, entry->d_name), *root = path_join(run, "root");
		container_shm_remove(run);
		umount2(root, MNT_DETACH | UMOUNT_NOFOLLOW);
		path_remove_tree(AT_FDCWD, run);
	}
	if (d)
		closedir(d);
}

/* A record that could not be read has a container all the same: a later engine may read it. */
static int has_record(const struct engine *e, const char *id)
{
	return is_known(e, id) || faccessat(e->records, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* Hides folders whose record is not there: an engine was killed in a create. gone_sweep() removes
 * them. */
static void hide_folders(const struct engine *e)
{
	DIR *d = path_list(e->folders);
	for (struct dirent *entry; d && (entry = readdir(d));)
		if (docker_is_id(entry->d_name) && !has_record(e, entry->d_name))
			(void)gone_hide(e->folders, entry->d_name, entry->d_name);
	if (d)
		closedir(d);
}

/* The RUN of a build. Its builder waits at a connection that ended with the earlier engine. */
static int is_of_build(const struct container *c)
{
	return c->record.body.labels && json_object_object_get_ex(c->record.body.labels, "org.holm.build", NULL);
}

void containers_settle(struct engine *e)
{
	sweep(e);
	hide_folders(e);
	for (struct container *c = e->containers, *next; c; c = next) {
		next = c->next;
		if (c->held || c->cleaning)
			continue;
		endpoints_forget(c);
		if (c->record.status == CONTAINER_RUNNING) {
			c->record.status = CONTAINER_EXITED;
			c->record.exit_code = LOST_STATUS;
			c->record.finished = container_now();
			container_save(c);
		}
		if (is_of_build(c) || (c->record.body.auto_remove && c->record.status != CONTAINER_CREATED))
			container_remove(c);
		else if (has_run(c))
			container_clean(c);
	}
}
