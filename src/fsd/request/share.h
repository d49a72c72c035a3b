/* SPDX-License-Identifier: Apache-2.0
 * A shared directory as it is served: its settings, what must not be seen of it, and what the guest
 * has of it. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/strv.h"
#include "fsd/files/handle.h"
#include "fsd/files/inode.h"
#include "fsd/files/lock_table.h"
#include "fsd/files/owners.h"

enum {
	HIDDEN_MAX = 32,
	PROC_PATH_SIZE = 40,         /* for share_proc_path() */
	REQUEST_BODY_MAX = 80 << 10, /* all of a request but a WRITE's data; an xattr's value has up to 64 KiB */
	REPLY_MAX = 68 << 10,        /* all of a reply but a READ's data */
	TRANSFER_MAX = 1 << 20,      /* data of one READ or WRITE */
	SHARE_INODES_MAX = 1 << 22,  /* files that a guest of any size may know */
	SHARE_REPLAYERS_BEFORE = 4,
};

/* A path beneath the root that is not there for the guest. */
struct hidden {
	struct strv names; /* components from the root; at least one */
	struct file_id id; /* what was there at the start */
	int fd;            /* keeps that inode number taken; -1 when there was nothing */
};

/* What the guest may keep of the share, and for how long without asking. */
enum share_cache {
	SHARE_CACHE_AUTO,      /* attributes and names for a second */
	SHARE_CACHE_STRICT,    /* for 50 ms */
	SHARE_CACHE_WRITEBACK, /* as auto; what is written too, until the guest finds time */
};

struct share_settings {
	int read_only;
	enum share_cache cache;
	int host_locks;                  /* locks are taken on the host too */
	uint32_t inside_uid, inside_gid; /* whom the host user's files belong to inside */
	const char *file;                /* the only entry of the root (borrowed); NULL: a directory is shared */
	int keep_records;                /* of owners and modes that the host user cannot set (ownership.h) */
	uint32_t host_uid, host_gid;     /* who we are */
	const gid_t *groups;             /* our supplementary groups, by their numbers on the host (copied) */
	size_t group_count;
	struct owners *owners; /* whom to ask about files of others; NULL: all ids have a meaning here (borrowed) */
	size_t max_inodes;
	unsigned max_fds;        /* descriptors in all that may be used; the caller keeps some in reserve */
	const char *proc_prefix; /* "/proc/self/fd/", or "" when that is the working directory (borrowed) */
	/* Makes the modes of the host user's files no obstacle, until it is called with 0: 0 or
	 * -errno. NULL: they always are one. */
	int (*ignore_modes)(int on);
};

/* What the next worker must know of the guest as a whole. In memory that outlives a worker. */
struct share_state {
	int started; /* INIT was answered */
	/* The process inside that replays the host's changes (events.h), 0 none: whatever it asks
	 * for, it changes nothing here. And those that did so before, whose last request may still
	 * be on its way, until a time (monotonic ms). */
	uint32_t replayer;
	struct {
		uint32_t pid; /* 0: unused */
		uint64_t until_ms;
	} before[SHARE_REPLAYERS_BEFORE];
};

struct request;
struct job_change;

/* Follows the guest's requests while somebody inside watches files (events.h): functions and their
 * data. */
struct share_observer {
	/* Whether q comes from the replayer, who changes nothing here. */
	int (*is_replayer)(const struct request *q, void *data);
	/* Answers a request of the replayer's, and anybody else's; handle answers it when nobody
	 * watches. As handle(). */
	int (*replay)(struct request *q, int (*handle)(struct request *q), int mutates, void *data);
	int (*serve)(struct request *q, int (*handle)(struct request *q), void *data);
	/* A job that is in share->changes has run. */
	void (*job_has_run)(void *data);
	/* Whether the guest has still to hear of a name in a directory: it should not keep what it
	 * sees of that name now. */
	int (*is_pending)(uint64_t node, const char *name, const void *data);
	/* The guest starts over. */
	void (*reset)(void *data);
	void *data;
};

struct share {
	struct share_settings settings;
	struct inode_table inodes;
	struct handle_table handles;
	struct lock_table locks;
	unsigned told_count; /* for attributes of files that are locked (attributes.c) */
	struct hidden hidden[HIDDEN_MAX];
	unsigned hidden_count;
	gid_t *groups;   /* settings.groups */
	int flush_files; /* close(2) can fail here (a network file system): report it at each close inside */
	uint64_t root_dev;
	struct share_state *state;
	const struct share_observer *observer; /* NULL: nobody watches */
	struct job_change *changes;            /* by jobs that run now */
	char *body, *reply;                    /* REQUEST_BODY_MAX and REPLY_MAX bytes for the request at hand */
	/* Carries out a request's job elsewhere and calls request_finish() later; NULL: at once. */
	void (*defer)(struct share *s, struct request *q);
	void *defer_data;
	/* Keeps a request for a lock that another has, to be tried again (request_try_lock):
	 * REQUEST_LATER, or -ENOLCK when too many wait. NULL: nobody can wait. */
	int (*wait)(struct share *s, struct request *q);
};

/* root: descriptor of the directory (taken, also on failure). 0 or -errno. */
int share_init(struct share *s, const struct share_settings *settings, int root, struct error **err);
void share_done(struct share *s);
/* Forgets all that the guest has (it unmounted or booted anew). */
void share_reset(struct share *s);

/* Hides a path given by its components from the root. */
int share_hide(struct share *s, const struct strv *names, struct error **err);
/* Checks that the file with this path_identity() is among the hidden. 0 or -ESTALE. */
int share_hides(const struct share *s, const char *identity, struct error **err);
enum hidden_use {
	HIDDEN_LOOK,           /* a hidden name is not there: -ENOENT */
	HIDDEN_MAKE_DIRECTORY, /* no hidden name: -EACCES */
	HIDDEN_MAKE,           /* nor anything but a directory on the way to one, lest it lead elsewhere: -EACCES */
	HIDDEN_REMOVE,         /* a directory on the way to a hidden one stays: -EBUSY */
};
int share_check_name(const struct share *s, const struct inode *directory, const char *name, enum hidden_use use);
int share_is_hidden(const struct share *s, const struct statx *st);

/* The host's owner as the guest sees it. */
uint32_t share_uid_inside(const struct share *s, uint32_t uid);
uint32_t share_gid_inside(const struct share *s, uint32_t gid);
/* "/proc/self/fd/N" for operations that Linux has only by path. */
const char *share_proc_path(const struct share *s, int fd, char path[PROC_PATH_SIZE]);
