/* SPDX-License-Identifier: Apache-2.0
 * The agent and its replayer at the other end of the events of a share: takes an event, does what
 * the guest's kernel does for the operation that it asks for (look the names up, carry it out), and
 * says that it is done. */
#pragma once

#include <sys/inotify.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "fake_guest.h"
#include "fsd/events/events.h"

enum { REPLAYER = 501, EVENT_WAIT_MS = 60000, QUIET_MS = 40 };

struct agent {
	struct fake *f;
	struct loop *loop;
	struct events *events;
	int socket, served;
	struct share_event event; /* the last one */
	char name[SHARE_NAME_MAX + 1], name2[SHARE_NAME_MAX + 1];
	struct fuse_entry_out shown; /* what the first lookup of a replay gave */
};

static inline void agent_say(struct agent *a, const void *payload, size_t size)
{
	assert_int_equal(send(a->socket, payload, size, 0), size);
}

static inline void agent_hello(struct agent *a, uint32_t pid)
{
	struct share_hello hello = { .type = SHARE_HELLO, .version = SHARE_EVENTS_VERSION, .pid = pid };
	agent_say(a, &hello, sizeof hello);
}

/* Lets the server do what there is to do now. */
static inline void agent_turn(struct agent *a)
{
	while (loop_step(a->loop, 0) > 0)
		;
}

static inline void agent_watch(struct agent *a, uint64_t node, uint32_t mask)
{
	struct share_watch watch = { .type = mask ? SHARE_WATCH : SHARE_UNWATCH, .mask = mask, .node = node };
	agent_say(a, &watch, sizeof watch);
	agent_turn(a);
}

static inline void agent_done(struct agent *a, int result)
{
	struct share_done done = { .type = SHARE_DONE, .result = result, .token = a->event.token };
	agent_say(a, &done, sizeof done);
	agent_turn(a);
}

/* The next packet within a time: its size, 0 when there is none. */
static inline size_t agent_receive(struct agent *a, char *packet, uint64_t wait_ms)
{
	for (uint64_t deadline = clock_deadline(wait_ms);;) {
		ssize_t n = recv(a->socket, packet, SHARE_PAYLOAD_MAX, MSG_DONTWAIT);
		if (n > 0)
			return (size_t)n;
		if (clock_now_ms() >= deadline)
			return 0;
		loop_step(a->loop, MIN(deadline, clock_deadline(5)));
	}
}

static inline void agent_expect_reset(struct agent *a)
{
	char packet[SHARE_PAYLOAD_MAX];
	assert_int_equal(agent_receive(a, packet, EVENT_WAIT_MS), sizeof(struct share_reset));
	assert_int_equal(packet[0], SHARE_RESET);
}

/* Nothing is told. */
static inline void agent_quiet(struct agent *a)
{
	char packet[SHARE_PAYLOAD_MAX];
	size_t size = agent_receive(a, packet, QUIET_MS);
	if (size > 0) {
		memcpy(&a->event, packet, MIN(size, sizeof a->event));
		fail_msg("told of operation %u, name %.*s", a->event.operation, (int)(size - sizeof a->event),
		    packet + sizeof a->event);
	}
}

static inline struct agent *agent_new(struct fake *f)
{
	struct agent *a = xnew(struct agent);
	int pair[2];
	a->f = f;
	assert_int_equal(loop_new(&a->loop), 0);
	assert_int_equal(fd_socketpair(SOCK_SEQPACKET, pair), 0);
	a->socket = pair[0];
	a->served = pair[1];
	assert_int_equal(events_new(a->loop, &f->share, a->served, &a->events), 0);
	agent_expect_reset(a);
	agent_hello(a, REPLAYER);
	agent_turn(a);
	return a;
}

static inline void agent_free(struct agent *a)
{
	events_free(a->events);
	loop_free(a->loop);
	fd_close(a->socket);
	close(a->served);
	free(a);
}

/* --- a test's own world --- */

#define EVERYTHING ((uint32_t)IN_ALL_EVENTS)

struct world {
	struct fake *f;
	struct agent *a;
	uint64_t d, e;            /* directories */
	struct request *deferred; /* the job that was given away last */
};

/* f (taken) has no directories yet. */
static inline struct world *world_new(struct fake *f, int read_only)
{
	struct world *w = xnew(struct world);
	*w = (struct world){ .f = f };
	assert_int_equal(mkdirat(f->directory, "d", 0755), 0);
	assert_int_equal(mkdirat(f->directory, "e", 0755), 0);
	fake_start(f, read_only);
	w->a = agent_new(f);
	w->d = lookup(f, 1, "d");
	w->e = lookup(f, 1, "e");
	return w;
}

static inline int world_free(void **state)
{
	struct world *w = *state;
	agent_free(w->a);
	fake_free(w->f);
	free(w);
	return 0;
}

/* --- events --- */

static inline void agent_take(struct agent *a)
{
	char packet[SHARE_PAYLOAD_MAX];
	size_t size = agent_receive(a, packet, EVENT_WAIT_MS);
	assert_true(size >= sizeof a->event);
	memcpy(&a->event, packet, sizeof a->event);
	assert_int_equal(a->event.type, SHARE_EVENT);
	assert_int_equal(size, sizeof a->event + a->event.size + a->event.size2);
	assert_in_range(a->event.size, 1, SHARE_NAME_MAX);
	memcpy(a->name, packet + sizeof a->event, a->event.size);
	a->name[a->event.size] = 0;
	memcpy(a->name2, packet + sizeof a->event + a->event.size, a->event.size2);
	a->name2[a->event.size2] = 0;
	assert_true(a->event.token != 0);
}

static inline void agent_expect(struct agent *a, enum share_operation operation, uint64_t node, const char *name)
{
	agent_take(a);
	if (a->event.operation != operation || !streq(a->name, name))
		fail_msg("operation %u of %s instead of %u of %s", a->event.operation, a->name, operation, name);
	assert_int_equal(a->event.node, node);
}

/* --- what the guest's kernel sends for an operation of a process --- */

static inline int kernel_lookup(struct agent *a, uint64_t node, const char *name, struct fuse_entry_out *ret)
{
	*ret = (struct fuse_entry_out){ 0 };
	int r = fuse(a->f, FUSE_LOOKUP, node, TEXT(name));
	if (r == 0)
		*ret = *REPLY(a->f, struct fuse_entry_out);
	return r == 0 && ret->nodeid == 0 ? -ENOENT : r;
}

static inline int kernel_make(struct agent *a, uint64_t node, const char *name, uint32_t mode)
{
	struct fuse_mknod_in mknod_in = { .mode = mode };
	struct fuse_mkdir_in mkdir_in = { .mode = mode & 07777 };
	struct fuse_entry_out entry;
	int r = kernel_lookup(a, node, name, &entry);
	if (r != -ENOENT)
		return r == 0 ? -EEXIST : r;
	r = S_ISDIR(mode) ? fuse3(a->f, FUSE_MKDIR, node, PART(mkdir_in), TEXT(name), NONE) :
	    S_ISLNK(mode) ? fuse3(a->f, FUSE_SYMLINK, node, TEXT(name), TEXT("holm"), NONE) :
			    fuse3(a->f, FUSE_MKNOD, node, PART(mknod_in), TEXT(name), NONE);
	if (r == 0) {
		a->shown = *REPLY(a->f, struct fuse_entry_out);
		assert_int_equal(a->shown.attr.mode & S_IFMT, mode & S_IFMT);
	}
	return r;
}

static inline int kernel_remove(struct agent *a, uint64_t node, const char *name, int directory)
{
	int r = kernel_lookup(a, node, name, &a->shown);
	if (r < 0)
		return r;
	if (S_ISDIR(a->shown.attr.mode) != directory)
		return directory ? -ENOTDIR : -EISDIR;
	return fuse(a->f, directory ? FUSE_RMDIR : FUSE_UNLINK, node, TEXT(name));
}

static inline int kernel_rename(struct agent *a, uint64_t node, const char *name, uint64_t node2, const char *name2)
{
	struct fuse_rename2_in in = { .newdir = node2 };
	struct fuse_entry_out to;
	int r = kernel_lookup(a, node, name, &a->shown);
	if (r < 0)
		return r;
	r = kernel_lookup(a, node2, name2, &to);
	if (r < 0 && r != -ENOENT)
		return r;
	if (to.nodeid == a->shown.nodeid)
		return 0; /* two names of one file */
	return fuse3(a->f, FUSE_RENAME2, node, PART(in), TEXT(name), TEXT(name2));
}

static inline int kernel_truncate(struct agent *a, uint64_t file, uint64_t size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_LOCKOWNER, .size = size };
	return fuse(a->f, FUSE_SETATTR, file, PART(in));
}

static inline int kernel_chmod(struct agent *a, uint64_t file, uint32_t mode)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = mode };
	return fuse(a->f, FUSE_SETATTR, file, PART(in));
}

static inline int kernel_open_and_close(struct agent *a, uint64_t file)
{
	uint64_t fh = 0;
	int r = open_file(a->f, file, O_WRONLY | O_NONBLOCK, &fh);
	if (r < 0)
		return r;
	struct fuse_write_in write_in = { .fh = fh, .size = 1 };
	struct fuse_release_in release = { .fh = fh, .flags = O_WRONLY };
	uint32_t pid = a->f->pid;
	a->f->pid = 0;
	int refused = a->f->share.settings.read_only ? -EROFS : -EBADF;
	/* it can do nothing, for nobody */
	assert_int_equal(fuse3(a->f, FUSE_WRITE, file, PART(write_in), TEXT(""), NONE), refused);
	assert_int_equal(fuse(a->f, FUSE_RELEASE, file, PART(release)), 0); /* which is nobody's */
	a->f->pid = pid;
	return 0;
}

/* What the replayer does for the last event, as the process that it is: 0 or -errno. */
static inline int agent_replay(struct agent *a)
{
	const struct share_event *e = &a->event;
	int r = 0;
	a->f->pid = REPLAYER;
	switch (e->operation) {
	case SHARE_CREATE:
		r = kernel_make(a, e->node, a->name, e->mode);
		break;
	case SHARE_REMOVE:
		r = kernel_remove(a, e->node, a->name, S_ISDIR(e->mode));
		break;
	case SHARE_RENAME:
		r = kernel_rename(a, e->node, a->name, e->node2, a->name2);
		break;
	default:
		r = kernel_lookup(a, e->node, a->name, &a->shown);
		if (r == 0)
			r = e->operation == SHARE_MODIFY ?
				kernel_truncate(a, a->shown.nodeid, a->shown.attr.size) :
			    e->operation == SHARE_ATTRIB ?
				kernel_chmod(a, a->shown.nodeid, a->shown.attr.mode & 07777) :
				kernel_open_and_close(a, a->shown.nodeid);
	}
	a->f->pid = 0;
	return r;
}

/* An event that is told, replayed and done. */
static inline void agent_see(struct agent *a, enum share_operation operation, uint64_t node, const char *name)
{
	agent_expect(a, operation, node, name);
	int r = agent_replay(a);
	if (r != 0)
		fail_msg("operation %u of %s: %s", operation, name, strerror(-r));
	agent_done(a, 0);
}

static inline void agent_see_rename(struct agent *a, uint64_t node, const char *name, uint64_t node2, const char *name2)
{
	agent_expect(a, SHARE_RENAME, node, name);
	assert_string_equal(a->name2, name2);
	assert_int_equal(a->event.node2, node2);
	assert_int_equal(agent_replay(a), 0);
	agent_done(a, 0);
}
