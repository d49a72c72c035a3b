/* SPDX-License-Identifier: Apache-2.0
 * Shares: settings, hidden paths and owners.
 *
 * Hidden paths. The identity of a file that exists at the start hides it, wherever the host moves
 * it. The names from the root hide a path that does not exist yet: the guest can create nothing
 * under that name. It can neither remove nor rename a directory on the way to it, nor replace one
 * by a symlink. So the path on the host never leads to a file that the guest has made.
 *
 * Owners. Files of the host user belong to the machine's user inside. Other ids are the same on
 * both sides, except the one that equals the machine user's: it shows as 65534. */
#include "fsd/request/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "fsd/files/shared.h"

enum { NOBODY = 65534 };

/* 1 for file systems that may report a failed write only at close(2), else 0. */
static int is_network(int fd)
{
	static const uint32_t types[] = { NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
		FUSE_SUPER_MAGIC, V9FS_MAGIC, AFS_SUPER_MAGIC, CEPH_SUPER_MAGIC, CODA_SUPER_MAGIC };
	struct statfs fs;
	for (size_t n = 0; fstatfs(fd, &fs) == 0 && n < ARRAY_SIZE(types); n++)
		if ((uint32_t)fs.f_type == types[n])
			return 1;
	return 0;
}

/* Makes the tables. *root becomes -1 once the inode table has taken it. 0, or -errno with some
 * tables made. */
static int make_tables(struct share *s, int *root)
{
	const struct share_settings *settings = &s->settings;
	unsigned for_locks = settings->host_locks ? settings->max_fds / 8 : 0;
	struct statx st;
	int r = inode_statx(*root, "", &st);
	if (r < 0)
		return r;
	if ((st.stx_mode & S_IFMT) != S_IFDIR)
		return -ENOTDIR;
	r = inode_table_init(&s->inodes, *root, settings->max_inodes, settings->max_fds / 2);
	if (r < 0)
		return r;
	*root = -1;
	if ((r = handle_table_init(&s->handles, settings->max_fds / 2 - for_locks)) < 0 ||
	    (for_locks && (r = lock_table_init(&s->locks, for_locks)) < 0))
		return r;
	s->state = shared_new(sizeof *s->state);
	return s->state ? 0 : -ENOMEM;
}

/* Notes the file system of the shared directory or file. */
static void learn_device(struct share *s)
{
	struct statx st;
	int root = s->inodes.root->fd;
	AUTO_FD int file = s->settings.file ? inode_open_name(root, s->settings.file, O_PATH, 0) : -1;
	s->root_dev = file >= 0 && inode_statx(file, "", &st) == 0 ? file_id_of(&st).dev : s->inodes.root->id.dev;
	s->flush_files = is_network(file >= 0 ? file : root);
}

int share_init(struct share *s, const struct share_settings *settings, int root, struct error **err)
{
	*s = (struct share){ .settings = *settings };
	int r = make_tables(s, &root);
	if (r < 0) {
		lock_table_done(&s->locks);
		handle_table_done(&s->handles, &s->inodes);
		inode_table_done(&s->inodes);
		fd_close(root);
		return error_set_errno(err, r, "the shared directory");
	}
	learn_device(s);
	s->groups = xcalloc(settings->group_count + 1, sizeof *s->groups);
	for (size_t n = 0; n < settings->group_count; n++)
		s->groups[n] = settings->groups[n];
	s->settings.groups = s->groups;
	s->body = xmalloc(REQUEST_BODY_MAX);
	s->reply = xmalloc(REPLY_MAX);
	return 0;
}

void share_reset(struct share *s)
{
	if (s->observer)
		s->observer->reset(s->observer->data);
	lock_table_reset(&s->locks);
	handle_table_reset(&s->handles, &s->inodes);
	inode_table_reset(&s->inodes);
	SHARED_SET(s->state->started, 0);
}

void share_done(struct share *s)
{
	lock_table_done(&s->locks);
	handle_table_done(&s->handles, &s->inodes);
	inode_table_done(&s->inodes);
	for (unsigned n = 0; n < s->hidden_count; n++) {
		strv_done(&s->hidden[n].names);
		fd_close(s->hidden[n].fd);
	}
	shared_free(s->state, sizeof *s->state);
	free(s->groups);
	free(s->body);
	free(s->reply);
	*s = (struct share){ 0 };
}

int share_hide(struct share *s, const struct strv *names, struct error **err)
{
	if (names->count == 0)
		return error_set(err, EINVAL,
		    "the shared directory lies in a folder that no machine may see; share another one");
	if (s->hidden_count == HIDDEN_MAX)
		return error_set(err, E2BIG, "more than %d hidden paths", HIDDEN_MAX);
	struct hidden *h = &s->hidden[s->hidden_count++];
	*h = (struct hidden){ .fd = -1 };
	strv_add_all(&h->names, names);
	AUTO_FD int fd = -1;
	for (size_t n = 0; n < names->count; n++) {
		int next = inode_open_name(fd >= 0 ? fd : s->inodes.root->fd, names->items[n], O_PATH, 0);
		if (next < 0)
			return 0; /* does not exist yet: hidden by its names */
		fd_close(fd);
		fd = next;
	}
	struct statx st;
	int r = inode_statx(fd, "", &st);
	if (r < 0)
		return error_set_errno(err, r, "a hidden path");
	h->id = file_id_of(&st);
	h->fd = TAKE_FD(fd);
	return 0;
}

int share_hides(const struct share *s, const char *identity, struct error **err)
{
	for (unsigned n = 0; n < s->hidden_count; n++) {
		AUTOFREE char *found = s->hidden[n].fd >= 0 ? path_identity(s->hidden[n].fd, "") : NULL;
		if (streq(found, identity))
			return 0;
	}
	return error_set(err, ESTALE,
	    "a folder that is to be hidden was moved while the machine took the share; start it again");
}

/* 1 if the first `count` names lead from the root to `directory`, else 0. */
static int leads_to(const struct share *s, const struct strv *names, size_t count, const struct inode *directory)
{
	for (; count > 0; count--, directory = directory->parent)
		if (!directory || !directory->place || !streq(directory->place->name, names->items[count - 1]))
			return 0;
	return directory == s->inodes.root;
}

int share_check_name(const struct share *s, const struct inode *directory, const char *name, enum hidden_use use)
{
	for (unsigned n = 0; n < s->hidden_count; n++) {
		const struct strv *names = &s->hidden[n].names;
		for (size_t at = 0; at < names->count; at++) {
			if (!streq(name, names->items[at]) || !leads_to(s, names, at, directory))
				continue;
			if (at == names->count - 1)
				return use == HIDDEN_LOOK || use == HIDDEN_REMOVE ? -ENOENT : -EACCES;
			if (use == HIDDEN_MAKE)
				return -EACCES;
			if (use == HIDDEN_REMOVE)
				return -EBUSY;
		}
	}
	return 0;
}

int share_is_hidden(const struct share *s, const struct statx *st)
{
	struct file_id id = file_id_of(st);
	for (unsigned n = 0; n < s->hidden_count; n++)
		if (s->hidden[n].fd >= 0 && file_id_same(&s->hidden[n].id, &id))
			return 1;
	return 0;
}

uint32_t share_uid_inside(const struct share *s, uint32_t uid)
{
	if (uid == s->settings.host_uid)
		return s->settings.inside_uid;
	return uid == s->settings.inside_uid ? NOBODY : uid;
}

uint32_t share_gid_inside(const struct share *s, uint32_t gid)
{
	if (gid == s->settings.host_gid)
		return s->settings.inside_gid;
	return gid == s->settings.inside_gid ? NOBODY : gid;
}

const char *share_proc_path(const struct share *s, int fd, char path[PROC_PATH_SIZE])
{
	snprintf(path, PROC_PATH_SIZE, "%s%d", s->settings.proc_prefix, fd);
	return path;
}
