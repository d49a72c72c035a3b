/* SPDX-License-Identifier: Apache-2.0
 * Ownership. The guest's kernel checks permissions itself, by the attributes that it sees (a
 * virtiofs mount always has default_permissions). The server then does each operation as the host
 * user, with the host user's rights. So attributes need to make sense inside, and protect nothing
 * on the host.
 *
 * owner-map=user. The host user's files belong to the machine's user inside. The host user cannot
 * give files away. A chown that changes nothing in effect succeeds: to the machine's user, to root
 * (root inside unpacks and copies files) or to the present owner. The group of an own file can
 * become the host user's, or another group of the host user. Everything else is EPERM, as for the
 * user on the host. owner-map=root is the same, with root in the place of the machine's user.
 *
 * owner-map=record. An attribute of the file (record.h) records the values that the host user
 * cannot set, and the guest sees them from there:
 *  - owner and group of an own file or directory, including those of the process that creates one;
 *  - setuid and setgid of a file. The guest sees them, and the host's file never has them. The next
 *    write clears them, whoever writes;
 *  - a mode without the owner's right to read and write a file that has a record. The host's mode
 *    keeps that right, so that the server can reach file and record. The same right lets root
 *    inside open such a file. Records of other users' files are ignored, because those users could
 *    write them. Files that take no such attributes (symlinks, sockets, some file systems) behave
 *    as with owner-map=user.
 *
 * Order. A record is written after the host's mode is set. It is removed with its last value,
 * before the owner loses rights. If the worker dies in between, the host's owner keeps the rights
 * to read and write, and nobody gains any. */
#include "fsd/request/ownership.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "fsd/request/handlers.h"

enum { SETID = S_ISUID | S_ISGID };

uint32_t mode_allowed(uint32_t type, uint32_t mode)
{
	return mode & (type == S_IFDIR ? 03777 : 01777);
}

/* --- the present ownership --- */

static int has_record(const struct share *s, const struct owner *host, uint32_t type)
{
	return s->settings.keep_records && host->uid == s->settings.host_uid && (type == S_IFREG || type == S_IFDIR);
}

/* 1 if owner or group show as nobody because the server's user namespace may not map them, else
 * 0. */
static int is_unknown(const struct share *s, const struct statx *st)
{
	const struct owners *o = s->settings.owners;
	return o && (st->stx_uid == o->overflow_uid || st->stx_gid == o->overflow_gid);
}

/* Looks up owner and record, which stat(2) does not show. 0 or -errno. */
static int look_up(struct share *s, int fd, const struct statx *st, struct ownership *ret)
{
	int r = is_unknown(s, st) ? owners_ask(s->settings.owners, fd, &ret->host) : 0;
	char path[PROC_PATH_SIZE];
	if (has_record(s, &ret->host, st->stx_mode & S_IFMT))
		ret->record = record_load(share_proc_path(s, fd, path));
	return r;
}

struct ownership ownership_of(struct share *s, struct inode *i, int fd, const struct statx *st)
{
	struct ownership o = { .host = { st->stx_uid, st->stx_gid }, .record = RECORD_EMPTY };
	if (!is_unknown(s, st) && !has_record(s, &o.host, st->stx_mode & S_IFMT))
		return o;
	int64_t ctime = statx_ns(&st->stx_ctime);
	AUTO_FD int owned = -1;
	if (i && i->owner.valid && i->owner.ctime_ns == ctime)
		return (struct ownership){ i->owner.host, i->owner.record };
	if (fd < 0 && i)
		fd = i->handles ? i->handles->fd : inode_path_fd(&s->inodes, i, &owned);
	if (fd < 0 || look_up(s, fd, st, &o) < 0 || !i)
		return o;
	i->owner.host = o.host;
	i->owner.record = o.record;
	i->owner.ctime_ns = ctime;
	/* Within a tick of the clock the state can change again without a new ctime. */
	i->owner.valid = clock_realtime_ns() - ctime > TICK_NS;
	return o;
}

uint32_t ownership_uid(const struct share *s, const struct ownership *o)
{
	return o->record.uid != RECORD_NONE ? o->record.uid : share_uid_inside(s, o->host.uid);
}

uint32_t ownership_gid(const struct share *s, const struct ownership *o)
{
	return o->record.gid != RECORD_NONE ? o->record.gid : share_gid_inside(s, o->host.gid);
}

uint32_t ownership_mode(const struct ownership *o, const struct statx *st)
{
	int counts = o->record.mode != RECORD_NONE && o->record.host_mode == (st->stx_mode & 07777U);
	return counts ? (st->stx_mode & S_IFMT) | o->record.mode : st->stx_mode;
}

/* --- groups --- */

static int is_our_group(const struct share *s, uint32_t gid)
{
	for (size_t n = 0; n < s->settings.group_count; n++)
		if (s->groups[n] == gid)
			return 1;
	return 0;
}

static int give_to_group(struct share *s, int fd, uint32_t gid)
{
	char path[PROC_PATH_SIZE];
	if (s->settings.owners)
		return owners_change_group(s->settings.owners, fd, gid);
	return chown(share_proc_path(s, fd, path), (uid_t)-1, gid) < 0 ? -errno : 0;
}

/* Changes the group of an own file to `gid` (an id inside), if the host user can. 0, and *host_gid
 * is the new one; or -errno. */
static int change_group(struct share *s, uint32_t gid, int fd, uint32_t *host_gid)
{
	uint32_t wanted = gid == s->settings.inside_gid ? s->settings.host_gid : gid;
	if (gid == share_gid_inside(s, *host_gid) || wanted == *host_gid)
		return 0;
	if (gid != s->settings.inside_gid && !is_our_group(s, gid))
		return -EPERM;
	int r = give_to_group(s, fd, wanted);
	if (r == 0)
		*host_gid = wanted;
	return r == -EROFS ? r : r < 0 ? -EPERM : 0;
}

/* --- changes, without records --- */

static int change_owner(struct share *s, int fd, const struct fuse_setattr_in *in, const struct statx *st,
    struct owner host)
{
	char path[PROC_PATH_SIZE];
	int ours = host.uid == s->settings.host_uid;
	if ((in->valid & FATTR_UID) && in->uid != share_uid_inside(s, host.uid) && !(ours && in->uid == 0))
		return -EPERM;
	if ((in->valid & FATTR_GID) && in->gid != share_gid_inside(s, host.gid) && !(ours && in->gid == 0)) {
		int r = ours ? change_group(s, in->gid, fd, &host.gid) : -EPERM;
		if (r < 0)
			return r;
	}
	/* chown(2) clears these bits. */
	if (S_ISREG(st->stx_mode) && (st->stx_mode & SETID) && ours && !(in->valid & FATTR_MODE))
		return chmod(share_proc_path(s, fd, path), st->stx_mode & 01777) < 0 ? -errno : 0;
	return 0;
}

static int change_plainly(struct share *s, int fd, const struct fuse_setattr_in *in, const struct statx *st,
    struct owner host)
{
	char path[PROC_PATH_SIZE];
	int r = (in->valid & (FATTR_UID | FATTR_GID)) ? change_owner(s, fd, in, st, host) : 0;
	if (r == 0 && (in->valid & FATTR_MODE) &&
	    chmod(share_proc_path(s, fd, path), mode_allowed(st->stx_mode & S_IFMT, in->mode)) < 0)
		r = -errno;
	return r;
}

/* --- changes, with records --- */

/* The attributes that the guest wants to see. */
struct wanted {
	uint32_t uid, gid, mode;
};

/* Sets the host's mode. 0, and *ret is the mode that the file has now, which may have fewer bits;
 * or -errno. */
static int set_mode(const char *path, int fd, uint32_t mode, uint32_t *ret)
{
	struct statx st;
	if (mode != *ret && chmod(path, mode) < 0)
		return -errno;
	int r = inode_statx(fd, "", &st);
	*ret = st.stx_mode & 07777U;
	return r;
}

/* Gives an own file or directory the wanted attributes, by mode and record. 0; -EOPNOTSUPP where
 * the file system takes no record (and nothing has changed); -errno. */
static int change_with_record(struct share *s, int fd, const struct wanted *w, const struct statx *st,
    const struct ownership *o)
{
	char path[PROC_PATH_SIZE];
	int directory = S_ISDIR(st->stx_mode);
	struct record record = RECORD_EMPTY;
	uint32_t before = st->stx_mode & 07777U, mode = before, setid = directory ? 0 : w->mode & SETID;
	share_proc_path(s, fd, path);
	record.uid = w->uid != share_uid_inside(s, o->host.uid) ? w->uid : RECORD_NONE;
	record.gid = w->gid != share_gid_inside(s, o->host.gid) ? w->gid : RECORD_NONE;
	int needed = setid || !record_is_empty(&record), stores = needed || !record_is_empty(&o->record);
	uint32_t final = mode_allowed(st->stx_mode & S_IFMT, w->mode);
	/* Writing and removing the record needs the owner's right to write the file. */
	int r = set_mode(path, fd, final | (!stores ? 0 : directory ? 0700U : 0600U), &mode);
	if (r == 0 && needed && mode != w->mode) {
		record.mode = w->mode;
		record.host_mode = mode;
	}
	if (r == 0 && stores)
		r = record_store(path, &record);
	if (r == 0 && !needed)
		r = set_mode(path, fd, final, &mode);
	if (r < 0)
		(void)set_mode(path, fd, before, &mode);
	return r;
}

static int change_recording(struct share *s, int fd, const struct fuse_setattr_in *in, const struct statx *st,
    struct ownership o)
{
	struct wanted w = { ownership_uid(s, &o), ownership_gid(s, &o), ownership_mode(&o, st) & 07777U };
	if (in->valid & FATTR_UID)
		w.uid = in->uid;
	if (in->valid & FATTR_GID) {
		w.gid = in->gid;
		(void)change_group(s, w.gid, fd, &o.host.gid); /* if it fails, the record has the group */
	}
	if (in->valid & FATTR_MODE)
		w.mode = in->mode & 07777U;
	else if (S_ISREG(st->stx_mode) && (in->valid & (FATTR_UID | FATTR_GID)))
		w.mode &= ~(uint32_t)SETID;
	int r = change_with_record(s, fd, &w, st, &o);
	return r == -EOPNOTSUPP ? change_plainly(s, fd, in, st, o.host) : r;
}

int ownership_change(struct request *q, int fd, const struct fuse_setattr_in *in)
{
	struct share *s = q->share;
	struct statx st;
	int result = inode_statx(fd, "", &st);
	if (result < 0)
		return result;
	struct ownership o = ownership_of(s, q->inode, fd, &st);
	if (has_record(s, &o.host, st.stx_mode & S_IFMT))
		return change_recording(s, fd, in, &st, o);
	return change_plainly(s, fd, in, &st, o.host);
}

/* --- creating and writing --- */

/* The group of a new file: its creator's, or the directory's if that is setgid. */
static uint32_t group_for(struct request *q, uint32_t *ret_setgid)
{
	struct statx st;
	*ret_setgid = 0;
	if (inode_stat(&q->share->inodes, q->inode, &st) < 0)
		return q->header.gid;
	struct ownership o = ownership_of(q->share, q->inode, -1, &st);
	*ret_setgid = ownership_mode(&o, &st) & S_ISGID;
	return *ret_setgid ? ownership_gid(q->share, &o) : q->header.gid;
}

void ownership_created(struct request *q, int fd, uint32_t mode)
{
	struct share *s = q->share;
	struct statx st;
	uint32_t setgid;
	int records = s->settings.keep_records,
	    group = q->header.gid != s->settings.inside_gid && is_our_group(s, q->header.gid);
	if ((!records && !group) || inode_statx(fd, "", &st) < 0)
		return;
	struct wanted w = { .uid = q->header.uid, .gid = group_for(q, &setgid) };
	struct ownership o = ownership_of(s, NULL, fd, &st);
	if (o.host.uid != s->settings.host_uid)
		return;
	if (group && !setgid)
		(void)change_group(s, w.gid, fd, &o.host.gid);
	w.mode = (st.stx_mode & 07777U) | (S_ISREG(st.stx_mode) ? mode & SETID : 0);
	if (has_record(s, &o.host, st.stx_mode & S_IFMT) && w.uid != RECORD_NONE && w.gid != RECORD_NONE)
		(void)change_with_record(s, fd, &w, &st, &o);
}

void ownership_created_name(struct request *q, int directory, const char *name, uint32_t mode)
{
	const struct share *s = q->share;
	if (!s->settings.keep_records && (q->header.gid == s->settings.inside_gid || !is_our_group(s, q->header.gid)))
		return;
	AUTO_FD int fd = inode_open_name(directory, name, O_PATH, 0);
	if (fd >= 0)
		ownership_created(q, fd, mode);
}

void ownership_written(struct share *s, int fd)
{
	char path[PROC_PATH_SIZE];
	if (!s->settings.keep_records)
		return;
	struct record record = record_load(share_proc_path(s, fd, path));
	if (record.mode == RECORD_NONE || !(record.mode & SETID))
		return;
	record.mode &= ~(uint32_t)SETID;
	if (record.mode == record.host_mode)
		record.mode = record.host_mode = RECORD_NONE;
	(void)record_store(path, &record);
}
