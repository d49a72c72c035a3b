/* SPDX-License-Identifier: Apache-2.0
 * Which ids a user may use in a user namespace, and processes inside one (user_namespaces(7),
 * subuid(5), newuidmap(1)).
 *
 * The mapping of every native machine of a user is the same: the user's own uid and gid map to
 * themselves, so files in the home keep their owner on both sides; all other ids, 0 included, come
 * from the subordinate ranges in order. What the trees of images and the upper directories of
 * machines belong to follows from it, so they are made, measured and deleted inside of it
 * (idmap_run).
 *
 *   alice, uid 1000, range 100000:65536:   inside 0-999 -> 100000-100999, 1000 -> 1000, 1001-65536
 *                                          -> 101000-165535
 *   root, range of "root" in /etc/subuid:  inside 0-65535 -> the range (nothing maps to 0 outside)
 *   single (no subordinate ids):           inside 0 -> the user, nothing else
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/strv.h"

enum { IDMAP_EXTENTS_MAX = 32, IDMAP_IDS_MIN = 65536 };

struct idmap_extent {
	uint32_t inside, outside, count;
};

struct idmap {
	/* sorted by `inside`, without gaps from 0 on */
	struct idmap_extent uids[IDMAP_EXTENTS_MAX], gids[IDMAP_EXTENTS_MAX];
	size_t uid_count, gid_count;
	uint32_t uid, gid; /* of the user outside */
	int single;        /* only id 0 is there, and is the user */
	int by_root;       /* the user is root: nothing inside is uid 0 outside */
};

/* The calling user's mapping from /etc/subuid and /etc/subgid. -ENOENT and a text with the one
 * command that adds the ranges when there are none, or fewer than IDMAP_IDS_MIN ids. */
int idmap_of_user(struct idmap *ret, struct error **err);
/* As above, but where there are no ranges an ordinary user gets a mapping of one id (single). root
 * never does. */
int idmap_of_user_or_single(struct idmap *ret, struct error **err);
/* The pure part: subuid(5) and subgid(5) as texts; name: the user's. A line counts for its name or
 * its number. */
int idmap_make(const char *subuid, const char *subgid, const char *name, uint32_t uid, uint32_t gid, struct idmap *ret,
    struct error **err);

/* The mapping of a user namespace below one with mapping m, in which every id is what it is there:
 * each range onto itself, as none may span two of the parent's (user_namespaces(7)). To be written
 * by root of the parent. */
void idmap_onto_itself(const struct idmap *m, struct idmap *ret);

/* The mapping of containers in a machine whose mapping is m, for the machine's user `uid`, `gid`.
 * Root in a container is that user, so what it writes into a share is the user's. The machine's
 * root is in no container. With U for the user's id, and ids of the machine at the right:
 *
 *   0 -> U,  1 to U-1 -> the same,  U -> 65536,  U+1 to 65535 -> the same
 *
 * U of 65536 and more leaves U out; 0 (a machine of root) and a single id leave the mapping as it
 * is. The results are outside ids of m: ids of the host, or, where m maps onto itself, the
 * machine's. */
void idmap_for_containers(const struct idmap *m, uint32_t uid, uint32_t gid, struct idmap *ret);

/* 8 hex digits that two mappings share exactly when files have the same owners in both: part of the
 * names of trees. Owned. */
char *idmap_tag(const struct idmap *m);
/* 1 and the id on the other side, or 0 when it has none. */
int idmap_outside(const struct idmap_extent *extents, size_t count, uint32_t inside, uint32_t *ret);
int idmap_inside(const struct idmap_extent *extents, size_t count, uint32_t outside, uint32_t *ret);

/* The arguments of newuidmap(1)/newgidmap(1) behind the pid ("0 100000 1000 1000 1000 1 …"), as a
 * text; the lines of uid_map with newlines. Owned. */
char *idmap_format(const struct idmap_extent *extents, size_t count, char between);

/* Gives the new, unmapped user namespace of process `pid` this mapping: root writes it, others
 * through newuidmap and newgidmap, both at once. Blocks for some milliseconds. -ENOENT: uidmap is
 * not installed. */
int idmap_apply(const struct idmap *m, pid_t pid, struct error **err);
/* The parts of it, for who waits for the programs himself: whether they are needed; the arguments
 * of the one for uids or gids (appended to argv, the name of the program first); and else the
 * writing, which does not block. */
int idmap_needs_programs(const struct idmap *m);
void idmap_program_arguments(const struct idmap *m, int for_gids, pid_t pid, struct strv *argv);
int idmap_write(const struct idmap *m, pid_t pid, struct error **err);
/* Becomes uid and gid 0 of the user namespace that this process is in (no supplementary groups,
 * where that is allowed). 0 or -errno. */
int idmap_become_root(const struct idmap *m);

/* Runs fn in a child that is root of a new user namespace with this mapping, and waits for it. The
 * child dies with this process. fn's result and error text come back. fn runs after fork without
 * exec: no other threads may hold locks. */
int idmap_run(const struct idmap *m, int (*fn)(void *data, struct error **err), void *data, struct error **err);
/* The same without waiting: the child's pid; it exits with 0, or 1 after writing its error to
 * stderr. For work that ends by itself. */
int idmap_start(const struct idmap *m, int (*fn)(void *data, struct error **err), void *data, pid_t *ret,
    struct error **err);

/* A user namespace with this mapping as a descriptor, for idmapped mounts (mount_setattr(2)) and
 * for setns(2). -EACCES for an ordinary user: the kernel protects a process that has changed its
 * ids. */
int idmap_open_namespace(const struct idmap *m, struct error **err);
