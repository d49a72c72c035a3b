/* SPDX-License-Identifier: Apache-2.0
 * Removing and renaming. A file that loses its last known name while the guest may still use it
 * keeps a descriptor, which is opened before the change (inode_cache.c). The flight records the
 * files under the names before they change, so that a retry can tell whether they did (retry.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "fsd/request/handlers.h"

/* A name, its file on the host, and the guest's record of that file. */
struct named {
	struct inode *parent;
	const char *name;
	int directory;
	struct file_id id;
	int exists;
	struct inode *known; /* the record, if this is its last known name; else NULL */
	int keep;            /* O_PATH descriptor of known, owned */
};

static void named_done(struct named *p)
{
	fd_close(p->keep);
}

/* Looks a name up. 0, even if it does not exist (exists is 0); -ENOENT if it is hidden; -errno. */
static int named_find(struct share *s, struct named *p)
{
	struct statx st;
	p->directory = inode_directory_fd(&s->inodes, p->parent);
	int r = p->directory < 0 ? p->directory : inode_statx(p->directory, p->name, &st);
	if (r == -ENOENT && p->directory >= 0)
		return 0;
	if (r == 0 && share_is_hidden(s, &st))
		r = -ENOENT;
	if (r < 0)
		return r;
	p->exists = 1;
	p->id = file_id_of(&st);
	p->known = inode_known(&s->inodes, &st);
	if (p->known && !inode_is_named(p->known, p->parent, p->name))
		p->known = NULL;
	if (p->known && (p->known == s->inodes.root))
		p->known = NULL;
	return 0;
}

/* Opens the file, which is about to lose its name. */
static void named_keep(struct named *p)
{
	if (p->known)
		/* if this fails, the file goes stale */
		p->keep = inode_open_name(p->directory, p->name, O_PATH, 0);
	if (p->keep >= 0 && inode_check_fd(p->known, p->keep) < 0)
		fd_close(TAKE_FD(p->keep));
}

/* Restores p to its state when the earlier attempt began; after a removal with a descriptor to
 * keep. */
static void named_recall(struct share *s, struct named *p, const struct file_id *id, int removed)
{
	struct inode *i = inode_with_id(&s->inodes, id);
	p->id = *id;
	p->exists = 1;
	p->known = i && i != s->inodes.root && (!i->place || inode_is_named(i, p->parent, p->name)) ? i : NULL;
	if (removed && p->known && p->known->handles)
		p->keep = fcntl(p->known->handles->fd, F_DUPFD_CLOEXEC, 0);
}

/* 1 if the earlier attempt removed the name, else 0. */
static int was_removed(const struct request *q, const struct named *p)
{
	const struct flight *f = q->flight;
	return q->is_retry && f->found[0] && !(p->exists && file_id_same(&p->id, &f->ids[0]));
}

static int remove_name(struct request *q, int flags)
{
	CLEANUP(named_done) struct named p = { .parent = q->inode, .keep = -1 };
	size_t offset = 0;
	int result;
	if ((result = request_name(q, &offset, &p.name)) < 0 ||
	    (result = share_check_name(q->share, q->inode, p.name, HIDDEN_REMOVE)) < 0 ||
	    (result = named_find(q->share, &p)) < 0)
		return result;
	if (was_removed(q, &p))
		named_recall(q->share, &p, &q->flight->ids[0], 1);
	else {
		named_keep(&p);
		request_begin_with(q, 0, p.exists ? &p.id : NULL);
		request_begin(q);
		if (unlinkat(p.directory, p.name, flags) < 0)
			return -errno;
	}
	if (p.known)
		inode_unname(&q->share->inodes, p.known, TAKE_FD(p.keep));
	return request_reply(q, NULL, 0);
}

int fuse_unlink(struct request *q)
{
	return remove_name(q, 0);
}

int fuse_rmdir(struct request *q)
{
	return remove_name(q, AT_REMOVEDIR);
}

static int check_rename(const struct share *s, const struct named *from, const struct named *to, uint32_t flags)
{
	int r = share_check_name(s, from->parent, from->name, HIDDEN_REMOVE);
	if (r < 0)
		return r;
	r = share_check_name(s, to->parent, to->name, HIDDEN_MAKE);
	if (r < 0 || !(flags & RENAME_EXCHANGE))
		return r;
	r = share_check_name(s, to->parent, to->name, HIDDEN_REMOVE);
	return r < 0 ? r : share_check_name(s, from->parent, from->name, HIDDEN_MAKE);
}

/* Updates the records after a successful rename. */
static void note_rename(struct inode_table *t, struct named *from, struct named *to, uint32_t flags)
{
	if (to->exists && file_id_same(&from->id, &to->id))
		return; /* two names of one file: nothing moved */
	if (flags & RENAME_EXCHANGE) {
		/* The caller holds both directories, so that one move cannot free the other's
		 * parent. */
		if (from->known)
			inode_rename(t, from->known, to->parent, to->name);
		if (to->known)
			inode_rename(t, to->known, from->parent, from->name);
		return;
	}
	if (to->known)
		inode_unname(t, to->known, TAKE_FD(to->keep));
	if (from->known)
		inode_rename(t, from->known, to->parent, to->name);
}

/* 1 if the earlier attempt renamed the file, else 0. */
static int was_renamed(const struct request *q, const struct named *from, const struct named *to, uint32_t flags)
{
	const struct flight *f = q->flight;
	if (!q->is_retry || !f->found[0] || !to->exists || !file_id_same(&to->id, &f->ids[0]))
		return 0;
	if (flags & RENAME_EXCHANGE)
		return f->found[1] && from->exists && file_id_same(&from->id, &f->ids[1]);
	return !(from->exists && file_id_same(&from->id, &f->ids[0]));
}

/* Renames the file, unless the earlier attempt did. 0 or -errno. */
static int move(struct request *q, struct named *from, struct named *to, uint32_t flags)
{
	struct flight *f = q->flight;
	if (was_renamed(q, from, to, flags)) {
		named_recall(q->share, from, &f->ids[0], 0);
		to->exists = 0;
		to->known = NULL;
		if (f->found[1])
			named_recall(q->share, to, &f->ids[1], !(flags & RENAME_EXCHANGE));
		return 0;
	}
	if (!(flags & RENAME_EXCHANGE))
		named_keep(to);
	request_begin_with(q, 0, from->exists ? &from->id : NULL);
	request_begin_with(q, 1, to->exists ? &to->id : NULL);
	request_begin(q);
	return renameat2(from->directory, from->name, to->directory, to->name, flags) < 0 ? -errno : 0;
}

static int rename_names(struct request *q, uint64_t newdir, uint32_t flags, size_t offset)
{
	struct share *s = q->share;
	/* RENAME_WHITEOUT creates a device; see MKNOD (names.c). */
	uint32_t known = RENAME_NOREPLACE | RENAME_EXCHANGE | (s->settings.keep_records ? RENAME_WHITEOUT : 0);
	if (flags & ~known)
		return -EINVAL;
	CLEANUP(named_done)
	struct named from = { .parent = q->inode, .keep = -1 },
		     to = { .parent = inode_find(&s->inodes, newdir), .keep = -1 };
	if (!to.parent)
		return -ESTALE;
	int result;
	if ((result = request_name(q, &offset, &from.name)) < 0 || (result = request_name(q, &offset, &to.name)) < 0 ||
	    (result = check_rename(s, &from, &to, flags)) < 0 || (result = named_find(s, &from)) < 0 ||
	    (result = named_find(s, &to)) < 0 || (result = move(q, &from, &to, flags)) < 0)
		return result;
	/* Holds the directories while the records in them move. */
	inode_ref(from.parent);
	inode_ref(to.parent);
	note_rename(&s->inodes, &from, &to, flags);
	inode_unref(&s->inodes, from.parent);
	inode_unref(&s->inodes, to.parent);
	return request_reply(q, NULL, 0);
}

int fuse_rename(struct request *q)
{
	struct fuse_rename_in in;
	memcpy(&in, q->body, sizeof in);
	return rename_names(q, in.newdir, 0, sizeof in);
}

int fuse_rename2(struct request *q)
{
	struct fuse_rename2_in in;
	memcpy(&in, q->body, sizeof in);
	return rename_names(q, in.newdir, in.flags, sizeof in);
}
