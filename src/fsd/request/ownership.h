/* SPDX-License-Identifier: Apache-2.0
 * Owner, group and mode: what the host has, what the guest is shown, and what a change comes to. */
#pragma once

#include <linux/fuse.h>

#include "fsd/files/record.h"
#include "fsd/request/request.h"

struct ownership {
	struct owner host;    /* exact, also where this process's namespace does not know it */
	struct record record; /* empty unless the share keeps records and the file is the host user's */
};

/* st is the file's state. fd is a descriptor of it, or -1: record i leads to it. What had to be
 * found out is remembered in i (NULL: it is not, and there is an fd). */
struct ownership ownership_of(struct share *s, struct inode *i, int fd, const struct statx *st);
/* As the guest sees it. */
uint32_t ownership_uid(const struct share *s, const struct ownership *o);
uint32_t ownership_gid(const struct share *s, const struct ownership *o);
uint32_t ownership_mode(const struct ownership *o, const struct statx *st); /* with the type */

/* The uid, gid and mode of a SETATTR, of a file by its descriptor: 0 or -errno. */
int ownership_change(struct request *q, int fd, const struct fuse_setattr_in *in);
/* A file was made in directory q->inode, with this mode (07777) asked for: gives it to whoever made
 * it, as far as that can be. */
void ownership_created(struct request *q, int fd, uint32_t mode);
/* The same by its name in an open directory. */
void ownership_created_name(struct request *q, int directory, const char *name, uint32_t mode);
/* Something is about to be written to the file of this descriptor: setuid and setgid go. */
void ownership_written(struct share *s, int fd);
/* What the host gets of a mode that the guest asks for: no setuid, no setgid except on directories,
 * where it gives nobody power. */
uint32_t mode_allowed(uint32_t type, uint32_t mode);
