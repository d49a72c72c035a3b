/* SPDX-License-Identifier: Apache-2.0
 * The handlers of request.c's table, one per FUSE operation, and what they share. r->body holds at
 * least as much as the table says. */
#pragma once

#include "fsd/request/request.h"

/* again.c: what to make of a request that a process began and did not answer */
/* From here on the change may be made. */
void request_begin(struct request *q);
/* Before that: what was found under the first (0) or second (1) name of the request; NULL:
 * nothing. */
void request_begin_with(struct request *q, unsigned which, const struct file_id *id);
/* Whether the name is one that this request made before. */
int again_made(const struct request *q, int directory, const char *name, uint32_t type);
/* `result` of making a name; 0 when it is EEXIST because it was made before. */
int again_result(const struct request *q, int result, int directory, const char *name, uint32_t type);
/* Whether the name is a link to this file that this request made before; whether the attribute has
 * the value that it sets. */
int again_linked(const struct request *q, int directory, const char *name, const struct inode *file);
int again_same_value(const struct request *q, const char *path, const char *name, const void *value, size_t size);

/* attributes.c */
int fuse_getattr(struct request *q);
int fuse_setattr(struct request *q);
int fuse_access(struct request *q);
int fuse_statfs(struct request *q);
/* The inode number inside. The guest sees one file system: those of another one that is mounted
 * beneath are kept apart. */
uint64_t attributes_number(const struct share *s, uint64_t dev, uint64_t ino);
/* What the guest is shown of the file i, whose state on the host is st. */
void attributes_fill(struct share *s, struct inode *i, const struct statx *st, struct fuse_attr *ret);
/* The same with node id and validity, noted in i; without i (NULL; st is not looked at) the entry
 * of a name that is not there. */
void entry_fill(struct share *s, struct inode *i, const struct statx *st, struct fuse_entry_out *ret);
/* Notes what the guest is told of a file. */
void attributes_note(struct inode *i, const struct statx *st);
/* How long the guest may believe what it was told of names, and of attributes of a file of this
 * type. */
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
/* Answers with an entry. The guest has been told of i once more, or for the first time, by it; that
 * is taken back when the answer does not fit. */
int reply_counted(struct request *q, struct inode *i, const struct fuse_entry_out *out);
/* Whether the host has removed the directory (q->inode) and this process has not been told so: the
 * answer is ESTALE then, as another one may be there by its name, which is found when the guest
 * looks from the start. It is told once, as it may be in that directory and then comes again. */
int directory_was_replaced(const struct request *q);
/* Notes a name that exists now and fills the entry; the guest has one lookup more. ret_inode may be
 * NULL, when many names are noted in a row. 0 or -errno: -ENOENT also of a name that is hidden. */
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
/* The owner has closed a descriptor of the file. */
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
