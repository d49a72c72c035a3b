/* SPDX-License-Identifier: Apache-2.0
 * Ownership: a file's owner, group and mode on the host and inside, and changes of them. */
#pragma once

#include <linux/fuse.h>

#include "fsd/files/record.h"
#include "fsd/request/request.h"

struct ownership {
	struct owner host;    /* exact, even if the server's user namespace does not map it */
	struct record record; /* empty unless the share keeps records and the file is the host user's */
};

/* The ownership of the file whose state is st. fd is a descriptor of it, or -1 to open it by i.
 * Caches the result in i (NULL: no cache; fd is required). */
struct ownership ownership_of(struct share *s, struct inode *i, int fd, const struct statx *st);
/* The values that the guest sees. */
uint32_t ownership_uid(const struct share *s, const struct ownership *o);
uint32_t ownership_gid(const struct share *s, const struct ownership *o);
uint32_t ownership_mode(const struct ownership *o, const struct statx *st); /* with the type */

/* Carries out the uid, gid and mode of a SETATTR on a descriptor's file. 0 or -errno. */
int ownership_change(struct request *q, int fd, const struct fuse_setattr_in *in);
/* Sets the owner of a file that was just created in directory q->inode to the process inside that
 * created it, if possible. mode: the requested one (07777). */
void ownership_created(struct request *q, int fd, uint32_t mode);
/* As ownership_created(), for a name in an open directory. */
void ownership_created_name(struct request *q, int directory, const char *name, uint32_t mode);
/* Clears recorded set-id bits of a descriptor's file, which is about to be written. */
void ownership_written(struct share *s, int fd);
/* The part of a requested mode that the host's file may get: no setuid, and setgid only on
 * directories, where it grants no rights. */
uint32_t mode_allowed(uint32_t type, uint32_t mode);
