/* SPDX-License-Identifier: Apache-2.0
 * Replays: the server's answers to the replayer, the process inside that makes the host's changes
 * again.
 *
 * Problem. The replayer's operation must succeed, or the guest's VFS raises no event. It must not
 * touch the host: the host has changed already. And the replayer is a process of the guest, so it
 * can lie.
 *
 * Idea. The server shows the replayer the share as it was before the change, and everybody else as
 * it is. The one request that matches the armed event in operation, directory and name succeeds,
 * once. Everything else that would change something fails with EPERM for this process, on
 * read-only shares too. The process id in the request tells who it is. A forged one gains a false
 * success for a change that the host has made itself, and no more.
 *
 * Steps, by operation:
 * 1. Linux looks names up before it changes them. LOOKUP shows the replayer the old directory: a
 *    new name is not there yet, one that is gone still is. The record behind a gone name is the
 *    one that the guest knows, if the host still has the file or somebody watches it. Otherwise
 *    the server makes a record with an identity that no file has; it goes with the guest's FORGET.
 * 2. Creating answers with the host's file. Removing and renaming unname or move the records, as
 *    the real operation would.
 * 3. MODIFY and ATTRIB arrive as SETATTR. The answer has the present size and mode, but the mtime
 *    that the guest was told last. The guest drops its cached data when it hears of another mtime,
 *    and it compares only in the next GETATTR, not after its own SETATTR.
 * 4. CLOSE_WRITE arrives as an OPEN for writing. Its handle is O_PATH, and closing it raises the
 *    event.
 *
 * Failures. Before an event is armed, replay_prepare() looks at the host: a file that has come and
 * gone is not reported. The answers to the replayer are valid for 0 s. So are those to everybody
 * else about a name that an event waits for (is_pending()); otherwise a fresh LOOKUP could spoil
 * the replay. A directory that the host has deleted is shown to the replayer until its names are
 * reported. */
#include "fsd/events/replay.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "fsd/request/handlers.h"

/* The host's present state of a name. */
struct present {
	struct inode *directory;
	const char *name;
	int exists;
	struct statx st;
	struct inode *known; /* the guest's record of the file, under whatever name */
};

/* 0, or -errno when the guest must not hear of it. */
static int look(struct share *s, uint64_t node, const char *name, struct present *ret)
{
	*ret = (struct present){ .directory = inode_find(&s->inodes, node), .name = name };
	int r = ret->directory ? share_check_name(s, ret->directory, name, HIDDEN_LOOK) : -ESTALE;
	if (r < 0)
		return r;
	/* A deleted directory has no names, and the removal of each is still to be reported. */
	int directory = inode_directory_fd(&s->inodes, ret->directory);
	r = directory < 0 ? directory : inode_statx(directory, name, &ret->st);
	if (r < 0)
		return r == -ENOENT || r == -ESTALE ? 0 : r;
	if (share_is_hidden(s, &ret->st))
		return -ENOENT;
	ret->exists = 1;
	ret->known = inode_known(&s->inodes, &ret->st);
	return 0;
}

/* 1 if the guest already knows the file that has the name now, else 0. */
static int is_seen(const struct present *p)
{
	return p->exists && p->known && inode_is_named(p->known, p->directory, p->name);
}

/* --- before the replay: is there something to report? --- */

static void report_state(struct events *e, const struct event *event)
{
	events_add(e, event_new(SHARE_ATTRIB, event->node, event->name, 0, NULL));
}

static int prepare_create(const struct present *p, struct armed *ret)
{
	uint32_t type = p->st.stx_mode & S_IFMT;
	int known = type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFIFO || type == S_IFSOCK;
	ret->type = p->st.stx_mode;
	return p->exists && known;
}

/* The node id of a watched inode whose name leads to another file by now; 0: none. */
static uint64_t watched_before(const struct events *e, const struct present *p)
{
	const struct inode *i = watch_named(&e->watches, p->directory, p->name);
	return i && i != p->known ? i->nodeid : 0;
}

static int prepare_remove(struct events *e, const struct event *event, const struct present *p, struct armed *ret)
{
	if (is_seen(p)) {
		report_state(e, event);
		return 0;
	}
	ret->type = event->directory ? S_IFDIR : S_IFREG;
	ret->file = watched_before(e, p);
	return 1;
}

static int prepare_rename(struct events *e, const struct event *event, const struct present *from, struct armed *ret)
{
	struct present to;
	if (look(e->share, event->node2, event->name2, &to) < 0)
		return 0;
	if (is_seen(from)) { /* another file has the old name, and stays */
		report_state(e, event);
		events_add(e, event_new(SHARE_CREATE, event->node2, event->name2, 0, NULL));
		return 0;
	}
	ret->type = event->directory ? S_IFDIR : S_IFREG;
	ret->file = to.known ? to.known->nodeid : watched_before(e, from);
	ret->replaced = watched_before(e, &to);
	return 1;
}

static int prepare_state(const struct event *event, const struct present *p, struct armed *ret)
{
	uint32_t type = p->st.stx_mode & S_IFMT;
	int possible = type == S_IFREG || (event->operation == SHARE_ATTRIB && type != S_IFLNK);
	if (!p->exists || !possible || (event->file && !(p->known && p->known->nodeid == event->file)))
		return 0;
	ret->type = p->st.stx_mode;
	ret->id = file_id_of(&p->st);
	return 1;
}

int replay_prepare(struct events *e, const struct event *event, struct armed *ret)
{
	struct present p;
	if (look(e->share, event->node, event->name, &p) < 0)
		return 0;
	switch (event->operation) {
	case SHARE_CREATE:
		return prepare_create(&p, ret);
	case SHARE_REMOVE:
		return prepare_remove(e, event, &p, ret);
	case SHARE_RENAME:
		return prepare_rename(e, event, &p, ret);
	default:
		return prepare_state(event, &p, ret);
	}
}

/* --- the replayer's requests --- */

/* Fills the attributes of a file that the host may have deleted. */
static void describe(const struct share *s, const struct inode *i, struct statx *st)
{
	if (i->handles && inode_statx(i->handles->fd, "", st) == 0)
		return;
	*st = (struct statx){
		.stx_mode = (uint16_t)(i->type | 0600),
		.stx_nlink = 1,
		.stx_uid = s->settings.host_uid,
		.stx_gid = s->settings.host_gid,
		.stx_size = i->told.valid ? i->told.size : 0,
		.stx_ino = i->id.ino,
		.stx_dev_major = (uint32_t)(i->id.dev >> 32),
		.stx_dev_minor = (uint32_t)i->id.dev,
	};
}

/* Makes a record for a deleted file that the guest may never have known. 0 or -errno. */
static int make_record(struct request *q, const struct armed *a, const char *name, struct inode **ret)
{
	struct statx st = {
		.stx_mode = (uint16_t)(a->type | 0600),
		.stx_nlink = 1,
		.stx_uid = q->share->settings.host_uid,
		.stx_gid = q->share->settings.host_gid,
		.stx_ino = a->token,
		.stx_dev_major = UINT32_MAX,
		.stx_dev_minor = UINT32_MAX,
	};
	return inode_see(&q->share->inodes, q->inode, name, &st, ret);
}

/* Answers the replayer's LOOKUP of a name that is gone with the file that had it. */
static int show_old(struct request *q, struct armed *a, const char *name)
{
	struct inode_table *t = &q->share->inodes;
	struct inode *i = inode_find(t, a->file);
	struct present to = { 0 };
	int result = 0;
	if (a->event->operation == SHARE_RENAME && look(q->share, a->event->node2, a->event->name2, &to) == 0 &&
	    to.known)
		i = to.known;
	if (i)
		inode_see_again(i);
	else if (to.exists)
		result = inode_see(t, q->inode, name, &to.st, &i);
	else
		result = make_record(q, a, name, &i);
	if (result < 0)
		return result;
	struct fuse_entry_out out = { .nodeid = i->nodeid };
	struct statx st;
	describe(q->share, i, &st);
	attributes_fill(q->share, i, to.exists ? &to.st : &st, &out.attr);
	a->file = i->nodeid;
	a->shown = 1;
	return reply_counted(q, i, &out);
}

/* Answers its LOOKUP of the new name of a rename with the file that had it before. */
static int show_replaced(struct request *q, const struct armed *a)
{
	struct inode *i = inode_find(&q->share->inodes, a->replaced);
	if (!i)
		return -ENOENT;
	struct fuse_entry_out out = { .nodeid = i->nodeid };
	struct statx st;
	describe(q->share, i, &st);
	attributes_fill(q->share, i, &st, &out.attr);
	inode_see_again(i);
	return reply_counted(q, i, &out);
}

static int is_name(const struct request_names *n, unsigned which, uint64_t node, const char *name)
{
	return which < n->count && n->nodes[which] == node && streq(n->names[which], name);
}

static int replay_lookup(struct request *q, struct armed *a, int (*handle)(struct request *q))
{
	const struct event *e = a->event;
	struct request_names n;
	request_names(q, &n);
	int is_first = is_name(&n, 0, e->node, e->name), is_second = e->name2 && is_name(&n, 0, e->node2, e->name2);
	if (e->operation == SHARE_CREATE && is_first)
		return -ENOENT;
	if ((e->operation == SHARE_REMOVE || e->operation == SHARE_RENAME) && is_first)
		return show_old(q, a, e->name);
	if (e->operation == SHARE_RENAME && is_second)
		return show_replaced(q, a);
	return handle(q);
}

static int replay_create(struct request *q, struct armed *a)
{
	uint32_t mode = q->header.opcode == FUSE_MKDIR ? S_IFDIR : S_IFLNK;
	struct request_names n;
	struct present p;
	if (q->header.opcode == FUSE_MKNOD)
		memcpy(&mode, q->body + offsetof(struct fuse_mknod_in, mode), sizeof mode);
	request_names(q, &n);
	if (a->event->operation != SHARE_CREATE || (mode & S_IFMT) != a->type ||
	    !is_name(&n, 0, a->event->node, a->event->name))
		return -EPERM;
	a->used = 1;
	int result = look(q->share, n.nodes[0], n.names[0], &p);
	if (result == 0 && (!p.exists || (p.st.stx_mode & S_IFMT) != a->type))
		result = -ENOENT; /* the host has removed it again */
	struct fuse_entry_out out;
	struct inode *i;
	if (result == 0)
		result = name_see(q->share, q->inode, n.names[0], &out, &i);
	if (result < 0)
		return result;
	out.attr_valid = out.attr_valid_nsec = 0; /* the host's program still writes the new file */
	return reply_counted(q, i, &out);
}

/* Takes the name from i, which stays usable for processes that have it open. */
static void unname(struct inode_table *t, struct inode *i, const struct inode *directory, const char *name)
{
	if (i && i != t->root && inode_is_named(i, directory, name))
		inode_unname(t, i, i->handles ? fcntl(i->handles->fd, F_DUPFD_CLOEXEC, 0) : -1);
}

/* 1 if the guest knows a new file under the name and was not shown the old one, else 0. */
static int is_too_late(struct request *q, const struct armed *a)
{
	struct present p;
	return !a->shown && look(q->share, a->event->node, a->event->name, &p) == 0 && is_seen(&p);
}

static int replay_remove(struct request *q, struct armed *a)
{
	struct request_names n;
	uint32_t wanted = q->header.opcode == FUSE_RMDIR ? S_IFDIR : S_IFREG;
	request_names(q, &n);
	if (a->event->operation != SHARE_REMOVE || a->type != wanted || !is_name(&n, 0, a->event->node, a->event->name))
		return -EPERM;
	a->used = 1;
	if (is_too_late(q, a))
		return -EBUSY;
	unname(&q->share->inodes, inode_find(&q->share->inodes, a->file), q->inode, n.names[0]);
	return request_reply(q, NULL, 0);
}

static int replay_rename(struct request *q, struct armed *a)
{
	struct inode_table *t = &q->share->inodes;
	const struct event *e = a->event;
	struct request_names n;
	uint32_t flags = 0;
	if (q->header.opcode == FUSE_RENAME2)
		memcpy(&flags, q->body + offsetof(struct fuse_rename2_in, flags), sizeof flags);
	request_names(q, &n);
	struct inode *to = e->operation == SHARE_RENAME ? inode_find(t, e->node2) : NULL;
	if (!to || flags || !is_name(&n, 0, e->node, e->name) || !is_name(&n, 1, e->node2, e->name2))
		return -EPERM;
	a->used = 1;
	if (is_too_late(q, a))
		return -EBUSY;
	struct inode *from = q->inode;
	inode_ref(from);
	inode_ref(to);
	if (a->replaced != a->file)
		unname(t, inode_find(t, a->replaced), to, e->name2);
	struct inode *moved = inode_find(t, a->file);
	if (moved)
		inode_rename(t, moved, to, e->name2);
	inode_unref(t, from);
	inode_unref(t, to);
	return request_reply(q, NULL, 0);
}

/* Uses up the armed event, if it is of this kind and of the request's file: 1, else 0. */
static int take_state(struct request *q, struct armed *a, enum share_operation operation)
{
	if (a->event->operation != operation || !file_id_same(&a->id, &q->inode->id))
		return 0;
	a->used = 1;
	return 1;
}

static int replay_setattr(struct request *q, struct armed *a)
{
	struct fuse_setattr_in in;
	memcpy(&in, q->body, sizeof in);
	uint32_t what = in.valid & (FATTR_UID | FATTR_GID | FATTR_MODE | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME);
	enum share_operation operation = what == FATTR_SIZE ? SHARE_MODIFY : SHARE_ATTRIB;
	if ((what != FATTR_SIZE && what != FATTR_MODE) || !take_state(q, a, operation))
		return -EPERM;
	struct statx st;
	int result = inode_stat(&q->share->inodes, q->inode, &st);
	if (result < 0)
		return result;
	struct fuse_attr_out out = { 0 };
	attributes_fill(q->share, q->inode, &st, &out.attr);
	int64_t mtime = statx_ns(&st.stx_mtime);
	mtime = q->inode->told.valid ? q->inode->told.mtime_ns : mtime - 1; /* any different time */
	out.attr.mtime = (uint64_t)(mtime / 1000000000);
	out.attr.mtimensec = (uint32_t)(mtime % 1000000000);
	return request_reply(q, &out, sizeof out);
}

/* Opens a handle without rights: closing it raises IN_CLOSE_WRITE inside. */
static int replay_open(struct request *q, struct armed *a)
{
	struct share *s = q->share;
	if (q->inode->type != S_IFREG || !take_state(q, a, SHARE_CLOSE_WRITE))
		return -EPERM;
	AUTO_FD int owned = -1;
	int fd = inode_path_fd(&s->inodes, q->inode, &owned);
	if (fd < 0)
		return fd;
	AUTO_FD int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct handle *h = copy >= 0 ? handle_new(&s->handles, q->inode, copy, O_RDONLY, &q->flight->handle) : NULL;
	if (!h)
		return -ENFILE;
	(void)TAKE_FD(copy);
	struct fuse_open_out out = { .fh = h->id, .open_flags = s->flush_files ? 0 : FOPEN_NOFLUSH };
	return request_reply(q, &out, sizeof out);
}

/* Answers for the event's directory even when the host has deleted it. */
static int replay_getattr(struct request *q, const struct armed *a, int (*handle)(struct request *q))
{
	int result = handle(q);
	if (result != -ESTALE || (q->header.nodeid != a->event->node && q->header.nodeid != a->event->node2))
		return result;
	struct fuse_attr_out out = { 0 };
	struct statx st;
	describe(q->share, q->inode, &st);
	attributes_fill(q->share, q->inode, &st, &out.attr);
	return request_reply(q, &out, sizeof out);
}

static int is_writing(const struct request *q)
{
	struct fuse_open_in in;
	memcpy(&in, q->body, sizeof in);
	return ((int)in.flags & O_ACCMODE) != O_RDONLY || ((int)in.flags & O_TRUNC);
}

static int opens_only(const struct request *q)
{
	struct fuse_open_in in;
	memcpy(&in, q->body, sizeof in);
	return ((int)in.flags & (O_ACCMODE | O_TRUNC)) == O_WRONLY;
}

int replay_serve(struct events *e, struct request *q, int (*handle)(struct request *q), int mutates)
{
	struct armed *a = e->armed.event && !e->armed.used ? &e->armed : NULL;
	switch (q->header.opcode) {
	case FUSE_LOOKUP:
		return a ? replay_lookup(q, a, handle) : handle(q);
	case FUSE_GETATTR:
		return a ? replay_getattr(q, a, handle) : handle(q);
	case FUSE_OPEN:
		if (!is_writing(q))
			return handle(q);
		return a && opens_only(q) ? replay_open(q, a) : -EPERM;
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
		return a ? replay_create(q, a) : -EPERM;
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		return a ? replay_remove(q, a) : -EPERM;
	case FUSE_RENAME:
	case FUSE_RENAME2:
		return a ? replay_rename(q, a) : -EPERM;
	case FUSE_SETATTR:
		return a ? replay_setattr(q, a) : -EPERM;
	default:
		return mutates ? -EPERM : handle(q);
	}
}
