/* SPDX-License-Identifier: Apache-2.0
 * Echoes: the difference between the guest's changes and the host's.
 *
 * Problem. The guest's own changes reach the host's file system through this server, so inotify
 * reports them as well. The guest's kernel has reported them already.
 *
 * Idea. A request explains the events that it causes. Events have no author, so the server reads
 * the inotify queue before and after each request that changes something, while anything is
 * watched.
 *
 * Steps:
 * 1. Everything that is in the queue before the request is the host's.
 * 2. Of what comes with the request, events of the request's kind about its names or its files are
 *    the guest's. The server drops them. It compares files by identity: a file may have names that
 *    the guest does not know.
 * 3. A job that changes a file (share->changes: fallocate, copies) explains what happens to that
 *    file until its descriptors are closed.
 *
 * Failures. The server takes a change that the host makes to the same file at the same instant for
 * the guest's. The guest misses that event. */
#include "fsd/events/echo.h"

static const struct {
	uint32_t names, states;
} changes[] = {
	/* Creating and writing also cause IN_ATTRIB: the server sets the owner, and the kernel
	 * clears set-id bits (ownership.c) */
	[FUSE_SETATTR] = { 0, WATCH_STATES }, /* for a new size the server opens, truncates and closes */
	[FUSE_SYMLINK] = { IN_CREATE, IN_ATTRIB },
	[FUSE_MKNOD] = { IN_CREATE, IN_ATTRIB },
	[FUSE_MKDIR] = { IN_CREATE, IN_ATTRIB },
	[FUSE_UNLINK] = { IN_DELETE, IN_ATTRIB }, /* the number of links */
	[FUSE_RMDIR] = { IN_DELETE, 0 },
	[FUSE_RENAME] = { IN_MOVED_FROM | IN_MOVED_TO, IN_ATTRIB },
	[FUSE_RENAME2] = { IN_MOVED_FROM | IN_MOVED_TO, IN_ATTRIB },
	[FUSE_LINK] = { IN_CREATE, IN_ATTRIB },
	[FUSE_OPEN] = { 0, WATCH_STATES }, /* the server closes the file of one that fails */
	[FUSE_WRITE] = { 0, IN_MODIFY | IN_ATTRIB },
	[FUSE_RELEASE] = { 0, IN_CLOSE_WRITE },
	[FUSE_FLUSH] = { 0, IN_CLOSE_WRITE }, /* closes the descriptor that held an owner's locks */
	[FUSE_SETLK] = { 0, IN_CLOSE_WRITE },
	[FUSE_SETXATTR] = { 0, IN_ATTRIB },
	[FUSE_REMOVEXATTR] = { 0, IN_ATTRIB },
	[FUSE_CREATE] = { IN_CREATE, WATCH_STATES },
	[FUSE_FALLOCATE] = { 0, IN_MODIFY | IN_ATTRIB },
	[FUSE_COPY_FILE_RANGE] = { 0, IN_MODIFY | IN_ATTRIB },
};

static void add_id(struct echo_change *c, const struct file_id *id)
{
	if (c->id_count < ARRAY_SIZE(c->ids))
		c->ids[c->id_count++] = *id;
}

int echo_serve(struct events *e, struct request *q, int (*handle)(struct request *q))
{
	uint32_t opcode = q->header.opcode;
	struct watch_table *t = &e->watches;
	/* The reply must not make the guest believe a name whose change still waits in the queue
	 * (names.c). */
	if ((opcode == FUSE_LOOKUP || opcode == FUSE_READDIRPLUS) && q->inode->watch) {
		watch_read(t);
		events_wake(e);
	}
	if (t->count == 0 || opcode >= ARRAY_SIZE(changes) || !(changes[opcode].names | changes[opcode].states))
		return handle(q);
	watch_read(t);
	struct echo_change c = { .states = changes[opcode].states };
	request_names(q, &c.at);
	if (c.at.count == 0)
		add_id(&c, &q->inode->id);
	const struct inode *other = request_other_inode(q);
	if (other)
		add_id(&c, &other->id);
	int result = handle(q);
	if (result >= 0)
		c.names = changes[opcode].names; /* if the request failed, another process changed the name */
	for (unsigned n = 0; n < ARRAY_SIZE(q->flight->ids); n++)
		if (q->flight->found[n])
			add_id(&c, &q->flight->ids[n]);
	t->own = &c;
	watch_read(t);
	t->own = NULL;
	events_wake(e);
	return result;
}

static int is_one_of(const struct echo_change *c, const struct file_id *id)
{
	for (unsigned n = 0; n < c->id_count; n++)
		if (file_id_same(&c->ids[n], id))
			return 1;
	return 0;
}

static int has_name(const struct echo_change *c, uint64_t node, const char *name)
{
	for (unsigned n = 0; name && n < c->at.count; n++)
		if (c->at.nodes[n] == node && streq(c->at.names[n], name))
			return 1;
	return 0;
}

/* Finds the file that an event concerns. 1, or 0 when it is gone. */
static int identify(struct watch_table *t, const struct watch *w, const char *name, struct file_id *ret)
{
	struct statx st;
	*ret = w->inode->id;
	if (!name)
		return 1;
	int directory = inode_directory_fd(&t->share->inodes, w->inode);
	if (directory < 0 || inode_statx(directory, name, &st) < 0)
		return 0;
	*ret = file_id_of(&st);
	return 1;
}

int echo_explains(struct watch_table *t, const struct watch *w, uint32_t mask, const char *name)
{
	const struct echo_change *c = t->own;
	if (mask & WATCH_NAMES)
		return c && (mask & c->names) && has_name(c, w->inode->nodeid, name);
	if (!(mask & WATCH_STATES) || !(t->share->changes || (c && (mask & c->states))))
		return 0;
	if (c && (mask & c->states) && has_name(c, w->inode->nodeid, name))
		return 1;
	struct file_id id;
	if (!identify(t, w, name, &id))
		return 0;
	if (c && (mask & c->states) && is_one_of(c, &id))
		return 1;
	for (const struct job_change *j = t->share->changes; j; j = j->next)
		if (file_id_same(&j->id, &id))
			return 1;
	return 0;
}
