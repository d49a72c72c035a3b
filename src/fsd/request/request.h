/* SPDX-License-Identifier: Apache-2.0
 * One FUSE request, from the guest's buffers to the reply in them. The transport fills in `in` and
 * `out`; handlers see a private copy of the request, taken once, since the guest can change its
 * memory at any time; only file data is moved in place. */
#pragma once

#include <linux/fuse.h>
#include <sys/uio.h>

#include "fsd/request/ledger.h"
#include "fsd/request/share.h"

struct request;

/* Work that can take long (fsync, copies, data that is not in memory): on descriptors of its own,
 * touching nothing else but the pieces of its request. */
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
	const char *names[2]; /* in its body */
};

struct request {
	struct share *share;
	const struct iovec *in, *out; /* pieces of the guest's memory */
	unsigned in_count, out_count;

	struct fuse_in_header header;
	const char *body; /* behind the header: private copy; of a WRITE only its head */
	size_t body_size;
	size_t out_space;    /* bytes that the guest left for the reply */
	size_t written;      /* bytes of reply: what the ring is told */
	struct inode *inode; /* header.nodeid's, where the table says that it is needed */
	/* what is left behind if this process dies (borrowed); NULL: nothing, request_serve() sets
	 * it to `own` */
	struct flight *flight;
	struct flight own;
	int again;      /* a process that died may have made the change already */
	struct job job; /* when a handler returned REQUEST_LATER */
	struct job_change change;
	struct fuse_lk_in lock; /* of a request for one */
};

enum {
	REQUEST_LATER = 1,
	REQUEST_ATTEMPTS = 3, /* of a request at which processes die; then it is answered with EIO */
};
enum { REQUEST_PIECES_MAX = 1088 }; /* of the guest's memory, to read and to write together */

/* Carries out q (share, in, out and flight are set). 0: done, q->written is valid; REQUEST_LATER:
 * given to share->defer, which calls request_finish() when the job has run. */
int request_serve(struct request *q);
void request_finish(struct request *q);
/* Tries once more to get the lock that q waits for: 0 when it is answered, -EAGAIN; with `last` it
 * is answered in any case. */
int request_try_lock(struct request *q, int last);
/* Before a request is carried out again: takes back what it gave to the guest, who was not told. */
void request_undo(struct share *s, struct flight *f);

/* --- for handlers; each returns 0, REQUEST_LATER or -errno --- */
int request_reply(struct request *q, const void *data, size_t size); /* header and data; -EIO when there is no room */
int request_reply_in_place(struct request *q, size_t size);          /* the data is behind the header already */
/* The answer, 0 or -errno and no data, to a request that was put off. */
void request_answer(struct request *q, int result);
/* Runs job q->job with copies of one or two descriptors (second -1: none). */
int request_defer(struct request *q, int64_t (*run)(const struct job *j), int fd, int second);
/* The same for a job that changes a file. */
int request_defer_change(struct request *q, int64_t (*run)(const struct job *j), const struct inode *changed, int fd,
    int second);
/* The name that starts at *offset of the body, which is moved behind it. -EINVAL when it is empty,
 * ".", "..", has a slash or does not end.
 */
int request_name(const struct request *q, size_t *offset, const char **ret);
/* All names that a request asks for, makes, moves or removes; none when it has none, or one of them
 * is no name. */
void request_names(const struct request *q, struct request_names *ret);
/* The file that a request names besides its own: the one that gets a link, the one that is copied
 * to. NULL: there is none. */
struct inode *request_other_inode(const struct request *q);
/* A string of any content. */
int request_string(const struct request *q, size_t *offset, const char **ret);
/* The handle that a request names, checked to be of its inode; NULL: answer -EBADF. */
struct handle *request_handle(const struct request *q, uint64_t id);
