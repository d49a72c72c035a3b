/* SPDX-License-Identifier: Apache-2.0
 * One FUSE request, from the guest's buffers to the reply in them. The transport fills in `in` and
 * `out`. The guest can change its memory at any time, so handlers see a private copy of the
 * request, taken once. Only file data moves in place. */
#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include "fsd/request/ledger.h"
#include "fsd/request/share.h"

struct request;

/* Work that can take long (fsync, copies, data that is not in memory). A job runs on another
 * thread, with descriptors of its own, and touches nothing else except the pieces of its
 * request. */
struct job {
	int64_t (*run)(const struct job *j); /* result or -errno */
	const struct request *request;
	int fds[2]; /* owned */
	int64_t arguments[4];
	int64_t result;
};

/* A file that a job changes; in share->changes until the job has run. */
struct job_change {
	struct file_id id;
	struct job_change *next;
};

/* The names in a request, with their directories. */
struct request_names {
	unsigned count;
	uint64_t nodes[2];
	const char *names[2]; /* borrowed, in the body */
};

struct request {
	struct share *share;
	const struct iovec *in, *out; /* pieces of the guest's memory */
	unsigned in_count, out_count;

	struct fuse_in_header header;
	const char *body; /* private copy of the rest; of a WRITE only up to the data */
	size_t body_size;
	size_t out_space;    /* bytes that the guest's buffers have for the reply */
	size_t written;      /* bytes of the reply, for the used ring */
	struct inode *inode; /* of header.nodeid, if the operation needs it */
	/* the state for the next worker, if this one dies (borrowed). NULL: none is kept, and
	 * request_serve() sets it to `own` */
	struct flight *flight;
	struct flight own;
	int is_retry;   /* a worker that died may have made the change already */
	struct job job; /* valid if the handler returned REQUEST_LATER */
	struct job_change change;
	struct fuse_lk_in lock; /* of GETLK, SETLK, SETLKW */
};

enum {
	REQUEST_LATER = 1,
	REQUEST_ATTEMPTS = 3, /* workers that may die at one request; then its reply is EIO */
};
enum { REQUEST_PIECES_MAX = 1088 }; /* of the guest's memory, in and out together */

/* Carries out q (share, in, out and flight are set). 0: done, and q->written is valid.
 * REQUEST_LATER: share->defer has the job, and calls request_finish() after it has run. */
int request_serve(struct request *q);
void request_finish(struct request *q);
/* Tries again to take the lock that q waits for. 0: the reply is written; -EAGAIN: q waits further,
 * which `last` rules out. */
int request_try_lock(struct request *q, int last);
/* Undoes the lookup and the open file of a request whose reply was not sent. Call it before
 * carrying the request out again. */
void request_undo(struct share *s, struct flight *f);

/* --- for handlers; each returns 0, REQUEST_LATER or -errno --- */
/* Writes header and data; -EIO when they do not fit. */
int request_reply(struct request *q, const void *data, size_t size);
/* Writes the header of a reply whose data is in place already. */
int request_reply_in_place(struct request *q, size_t size);
/* Writes a reply without data to a deferred request: result is 0 or -errno. */
void request_answer(struct request *q, int result);
/* Defers q->job, with copies of one or two descriptors (second -1: none). */
int request_defer(struct request *q, int64_t (*run)(const struct job *j), int fd, int second);
/* As request_defer(), for a job that changes a file. */
int request_defer_change(struct request *q, int64_t (*run)(const struct job *j), const struct inode *changed, int fd,
    int second);
/* Reads the name at *offset of the body, and moves *offset behind it. -EINVAL if the name is empty,
 * ".", "..", has a slash or no NUL at its end. */
int request_name(const struct request *q, size_t *offset, const char **ret);
/* The names that a request looks up, creates, moves or removes. None if it has none, or if one of
 * them is invalid. */
void request_names(const struct request *q, struct request_names *ret);
/* The second file of a request: the one that LINK names, the one that COPY_FILE_RANGE writes. NULL:
 * none. */
struct inode *request_other_inode(const struct request *q);
/* As request_name(), for a string of any content. */
int request_string(const struct request *q, size_t *offset, const char **ret);
/* The request's handle, if it is of the request's inode; NULL: answer -EBADF. */
struct handle *request_handle(const struct request *q, uint64_t id);
