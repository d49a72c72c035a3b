/* SPDX-License-Identifier: Apache-2.0
 * A share: a shared directory's settings, its hidden paths, and the guest's state in it. */
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
	REQUEST_BODY_MAX = 80 << 10, /* a request without a WRITE's data; an xattr's value has up to 64 KiB */
	REPLY_MAX = 68 << 10,        /* a reply without a READ's data */
	TRANSFER_MAX = 1 << 20,      /* data of one READ or WRITE */
	SHARE_INODES_MAX = 1 << 22,  /* records at most, for a guest of any size */
	SHARE_REPLAYERS_BEFORE = 4,
};

/* A path beneath the root that the guest cannot see. */
struct hidden {
	struct strv names; /* components from the root; at least one */
	struct file_id id; /* of the file there at the start */
	int fd;            /* keeps that inode number from being reused; -1: there was no file */
};

/* The cache setting: how long the guest may cache. */
enum share_cache {
	SHARE_CACHE_AUTO,      /* attributes and names for a second */
	SHARE_CACHE_STRICT,    /* for 50 ms */
	SHARE_CACHE_WRITEBACK, /* as auto, and written data until the guest flushes it */
};

struct share_settings {
	int read_only;
	enum share_cache cache;
	int host_locks;                  /* the guest's locks hold on the host too */
	uint32_t inside_uid, inside_gid; /* owner and group inside of the host user's files */
	const char *file;                /* the only entry of the root (borrowed); NULL: a directory is shared */
	int keep_records;                /* of owners and modes that the host user cannot set (ownership.h) */
	uint32_t host_uid, host_gid;     /* the server's own */
	const gid_t *groups;             /* its supplementary groups, as ids of the host (copied) */
	size_t group_count;
	struct owners *owners; /* looks up other owners; NULL: the namespace maps all ids (borrowed) */
	size_t max_inodes;
	unsigned max_fds;        /* limit of descriptors for all tables; the caller keeps some in reserve */
	const char *proc_prefix; /* "/proc/self/fd/", or "" when that is the working directory (borrowed) */
	/* on 1: the server ignores the modes of the host user's files, until a call with 0. 0 or
	 * -errno. NULL: it cannot. */
	int (*ignore_modes)(int on);
};

/* The state of the guest as a whole, in memory that outlives a worker. */
struct share_state {
	int started; /* the guest has had a reply to INIT */
	/* Process id of the replayer (events.h); 0: none. Its requests change nothing on the host.
	 * Then its predecessors, whose last request may still be under way, until a time (monotonic
	 * ms). */
	uint32_t replayer;
	struct {
		uint32_t pid; /* 0: unused */
		uint64_t until_ms;
	} before[SHARE_REPLAYERS_BEFORE];
};

struct request;
struct job_change;

/* Follows the guest's requests while there is a replayer (events.h): functions and their data. */
struct share_observer {
	/* 1 if q comes from the replayer, else 0. */
	int (*is_replayer)(const struct request *q, void *data);
	/* Answer a request of the replayer, and one of another process. handle answers it without
	 * an observer; the result is as handle's. */
	int (*replay)(struct request *q, int (*handle)(struct request *q), int mutates, void *data);
	int (*serve)(struct request *q, int (*handle)(struct request *q), void *data);
	/* Called after a job of share->changes has run. */
	void (*job_has_run)(void *data);
	/* 1 if an event about this name waits, so that the guest must not cache the name; else
	 * 0. */
	int (*is_pending)(uint64_t node, const char *name, const void *data);
	/* Called when the guest starts over. */
	void (*reset)(void *data);
	void *data;
};

struct share {
	struct share_settings settings;
	struct inode_table inodes;
	struct handle_table handles;
	struct lock_table locks;
	unsigned mtime_count; /* varies the mtime of locked files (attributes.c) */
	struct hidden hidden[HIDDEN_MAX];
	unsigned hidden_count;
	gid_t *groups;   /* settings.groups */
	int flush_files; /* a network file system, where close(2) can fail: each close inside reports it */
	uint64_t root_dev;
	struct share_state *state;
	const struct share_observer *observer; /* NULL: no replayer */
	struct job_change *changes;            /* of the jobs that run now */
	char *body, *reply;                    /* REQUEST_BODY_MAX and REPLY_MAX bytes, for the current request */
	/* Runs a request's job on another thread and calls request_finish() later. NULL: the job
	 * runs at once. */
	void (*defer)(struct share *s, struct request *q);
	void *defer_data;
	/* Queues a request for a taken lock, for request_try_lock(). REQUEST_LATER, or -ENOLCK when
	 * too many wait. NULL: a taken lock is EAGAIN. */
	int (*wait)(struct share *s, struct request *q);
};

/* root: descriptor of the directory (taken, even on failure). 0 or -errno. */
int share_init(struct share *s, const struct share_settings *settings, int root, struct error **err);
void share_done(struct share *s);
/* Forgets the guest's state: it has unmounted the share or booted again. */
void share_reset(struct share *s);

/* Hides a path given by its components from the root. */
int share_hide(struct share *s, const struct strv *names, struct error **err);
/* Checks that the file with this path_identity() is hidden. 0 or -ESTALE. */
int share_hides(const struct share *s, const char *identity, struct error **err);
/* The use of a name, and the errors that hidden paths cause for it. */
enum hidden_use {
	HIDDEN_LOOK,           /* a hidden name: -ENOENT */
	HIDDEN_MAKE_DIRECTORY, /* a hidden name: -EACCES */
	HIDDEN_MAKE,           /* a hidden name, or one on the way to it, which must stay a directory: -EACCES */
	HIDDEN_REMOVE,         /* a hidden name: -ENOENT; a directory on the way to one: -EBUSY */
};
/* Checks one name in a directory against the hidden paths. 0 or an error of `use`. */
int share_check_name(const struct share *s, const struct inode *directory, const char *name, enum hidden_use use);
/* 1 if the file that st describes is hidden, else 0. */
int share_is_hidden(const struct share *s, const struct statx *st);

/* The ids inside of an owner and a group on the host. */
uint32_t share_uid_inside(const struct share *s, uint32_t uid);
uint32_t share_gid_inside(const struct share *s, uint32_t gid);
/* Formats "/proc/self/fd/N", for system calls that take only a path. Returns path. */
const char *share_proc_path(const struct share *s, int fd, char path[PROC_PATH_SIZE]);
