/* SPDX-License-Identifier: Apache-2.0
 * The handlers of request.c's table, one for each FUSE operation, and the functions that they
 * share. q->body holds at least the min_size of the table. */
#pragma once

#include "fsd/request/request.h"

/* retry.c: requests that a worker began and did not answer */
/* Notes that the change may be made from here on. */
void request_begin(struct request *q);
/* Notes, before request_begin(), the file under the first (0) or second (1) name of the request;
 * NULL: none. */
void request_begin_with(struct request *q, unsigned which, const struct file_id *id);
/* 1 if an earlier attempt of this request created the name, else 0. */
int retry_created(const struct request *q, int directory, const char *name, uint32_t type);
/* The result of creating a name: 0 instead of -EEXIST if an earlier attempt created it. */
int retry_result(const struct request *q, int result, int directory, const char *name, uint32_t type);
/* 1 if an earlier attempt made the name a link to this file, else 0. */
int retry_linked(const struct request *q, int directory, const char *name, const struct inode *file);
/* 1 if this is another attempt and the extended attribute has the value already, else 0. */
int retry_same_value(const struct request *q, const char *path, const char *name, const void *value, size_t size);

/* attributes.c */
int fuse_getattr(struct request *q);
int fuse_setattr(struct request *q);
int fuse_access(struct request *q);
int fuse_statfs(struct request *q);
/* The inode number inside. The guest sees one file system, so numbers of a file system that is
 * mounted in the share are changed to differ from the share's. */
uint64_t attributes_number(const struct share *s, uint64_t dev, uint64_t ino);
/* Fills the attributes of file i, whose state on the host is st, as the guest sees them. */
void attributes_fill(struct share *s, struct inode *i, const struct statx *st, struct fuse_attr *ret);
/* Fills an entry: attributes, node id and validity. Notes the attributes in i. i NULL: the entry of
 * a name that does not exist; st is ignored. */
void entry_fill(struct share *s, struct inode *i, const struct statx *st, struct fuse_entry_out *ret);
/* Notes the attributes in the last reply. */
void attributes_note(struct inode *i, const struct statx *st);
/* How long the guest may cache names, and attributes of a file of this type. */
struct validity {
	uint64_t s;
	uint32_t ns;
};
struct validity names_validity(const struct share *s);
struct validity attributes_validity(const struct share *s, uint32_t type);

/* names.c */
int fuse_lookup(struct request *q);
int fuse_forget(struct request *q);
int fuse_batch_forget(struct request *q);
int fuse_readlink(struct request *q);
int fuse_symlink(struct request *q);
int fuse_mknod(struct request *q);
int fuse_mkdir(struct request *q);
int fuse_link(struct request *q);
/* Replies with an entry that counts one lookup of i, and undoes that lookup if the reply does not
 * fit. */
int reply_counted(struct request *q, struct inode *i, const struct fuse_entry_out *out);
/* 1 if the host has removed the directory (q->inode) and this process inside has not had ESTALE for
 * it yet; else 0. The answer is ESTALE then: the guest looks the path up again, and finds a
 * directory that has taken the name. A process gets it once, because the directory may be its own
 * working directory. */
int directory_was_replaced(const struct request *q);
/* Looks up a name, counts one lookup and fills the entry. ret_inode may be NULL, for many names in
 * a row. 0 or -errno; -ENOENT for a hidden name too. */
int name_see(struct share *s, struct inode *parent, const char *name, struct fuse_entry_out *ret,
    struct inode **ret_inode);

/* rename.c */
int fuse_unlink(struct request *q);
int fuse_rmdir(struct request *q);
int fuse_rename(struct request *q);
int fuse_rename2(struct request *q);

/* files.c */
int fuse_open(struct request *q);
int fuse_create(struct request *q);
int fuse_tmpfile(struct request *q);
int fuse_read(struct request *q);
int fuse_write(struct request *q);
int fuse_release(struct request *q);
int fuse_lseek(struct request *q);

/* slow.c */
int fuse_flush(struct request *q);
int fuse_fsync(struct request *q);
int fuse_fsyncdir(struct request *q);
int fuse_syncfs(struct request *q);
int fuse_fallocate(struct request *q);
int fuse_copy_file_range(struct request *q);

/* locks.c */
int fuse_getlk(struct request *q);
int fuse_setlk(struct request *q);
int fuse_setlkw(struct request *q);
/* Releases the locks of an owner who has closed a descriptor of the file. */
void locks_flush(struct share *s, uint64_t nodeid, uint64_t owner);

/* directories.c */
int fuse_opendir(struct request *q);
int fuse_readdir(struct request *q);
int fuse_readdirplus(struct request *q);
int fuse_releasedir(struct request *q);

/* xattrs.c */
int fuse_setxattr(struct request *q);
int fuse_getxattr(struct request *q);
int fuse_listxattr(struct request *q);
int fuse_removexattr(struct request *q);
