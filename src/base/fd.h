/* SPDX-License-Identifier: Apache-2.0
 * File descriptors: close-on-exec from birth, empty is -1. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/macros.h"

void fd_close(int fd); /* keeps errno; -1 is fine */
static inline void fd_closep(int *fd)
{
	fd_close(*fd);
}
#define AUTO_FD CLEANUP(fd_closep)

int fd_set_nonblocking(int fd, int on);
int fd_set_cloexec(int fd, int on);
int fd_socketpair(int type, int ret[2]); /* AF_UNIX, close-on-exec; 0 or -errno */
int fd_pipe(int ret[2]);                 /* close-on-exec; 0 or -errno */
/* Loops over short reads/writes and EINTR. fd_read_full returns the bytes read (short only at end
 * of file) or -errno. */
ssize_t fd_read_full(int fd, void *data, size_t size);
int fd_write_full(int fd, const void *data, size_t size);
/* Writes at an offset of a file that has nothing there yet. Zeros that fill a whole unit of 64 KiB,
 * or what of one is in data, become a hole; at the end of the file they are left out, so the caller
 * sets its size. 0 or -errno. */
int fd_write_sparse(int fd, const void *data, size_t size, uint64_t offset);
/* Waits for poll(2) events until the deadline (monotonic ms; 0 = now, UINT64_MAX = for ever): 1
 * ready, 0 deadline, -errno. */
int fd_wait(int fd, short events, uint64_t deadline_ms);
/* Whether the other end of a unix socket has not yet read all that this one has sent: 1, or 0, also
 * where the kernel cannot tell. EPOLLOUT with EPOLLET reports each read. */
int fd_is_unread(int fd);
/* Reads the rest of fd, at most max bytes (-EFBIG past it) into a NUL-terminated, owned string. */
int fd_read_all(int fd, size_t max, char **ret, size_t *ret_size);
/* Copies size bytes (UINT64_MAX: until the end) with copy_file_range/sendfile/read+write as the
 * files allow: bytes or -errno. */
int64_t fd_copy(int from, int to, uint64_t size);
/* Bytes with descriptors over a unix socket (SCM_RIGHTS, unix(7)); flags as for sendmsg(2) and
 * recvmsg(2). Returns the bytes moved or -errno (-EPIPE without a signal); 0 at the end of a
 * connection and for an empty packet, with which no descriptors come. */
enum { FD_PASS_MAX = 32 };
struct fd_pass {
	int fds[FD_PASS_MAX]; /* owned by the receiver, close-on-exec */
	size_t count;
	/* there was more, which the kernel dropped: bytes of the packet; descriptors past `max`, or
	 * past what this process may have */
	int truncated;
};
/* fds are borrowed */
ssize_t fd_send_bytes(int socket, const void *data, size_t size, const int *fds, size_t count, int flags);
/* At most `max` descriptors, FD_PASS_MAX at the utmost; more are never opened here. *ret is written
 * in any case. */
ssize_t fd_receive_bytes(int socket, void *data, size_t size, size_t max, struct fd_pass *ret, int flags);
void fd_pass_close(struct fd_pass *p); /* all of them, which leaves it empty */
/* Passes descriptors with one byte of data: 0 or -errno. Those past `max` (FD_PASS_MAX) are dropped
 * without a word. -ECONNRESET: the end. */
int fd_send(int socket, const int *fds, size_t count);
int fd_receive(int socket, int *fds, size_t max, size_t *ret_count); /* received ones are close-on-exec */
/* Closes every descriptor from `first` up, except those listed (ascending). */
void fd_close_from(int first, const int *except, size_t count);
/* Moves fd above stderr when the process was started with 0-2 closed. Call first thing in main():
 * opens /dev/null on missing 0-2. */
void fd_fix_standard(void);
