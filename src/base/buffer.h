/* SPDX-License-Identifier: Apache-2.0
 * A growable byte buffer with a hard maximum, consumed from the front. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"

struct buffer {
	char *data;      /* the bytes not consumed yet; not NUL-terminated unless buffer_string() was called */
	size_t size;     /* how many */
	size_t max;      /* hard cap on size */
	char *base;      /* start of the allocation */
	size_t capacity; /* its size */
};

void buffer_init(struct buffer *b, size_t max);
void buffer_done(struct buffer *b); /* frees the memory; the buffer is as new, same max */
#define AUTO_BUFFER CLEANUP(buffer_done)

/* All return 0, or -ENOBUFS when the cap would be passed (nothing is added then). */
int buffer_append(struct buffer *b, const void *data, size_t size);
int buffer_append_string(struct buffer *b, const char *s);
int buffer_appendf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Makes room for size more bytes and returns where they go (buffer_commit adds them), or NULL past
 * the cap. */
void *buffer_reserve(struct buffer *b, size_t size);
void buffer_commit(struct buffer *b, size_t size);
void buffer_consume(struct buffer *b, size_t size); /* drops size bytes from the front */
/* The content as a C string, borrowed until the next change. */
const char *buffer_string(struct buffer *b);
char *buffer_take_string(struct buffer *b); /* owned by the caller; the buffer is empty after */
/* One read(2) of up to size bytes onto the end: bytes read, 0 at end of file, -errno; -ENOBUFS when
 * full. */
ssize_t buffer_read(struct buffer *b, int fd, size_t size);
/* One write(2) from the front, consumed: bytes written or -errno. */
ssize_t buffer_write(struct buffer *b, int fd);
/* One send(2) (write(2) where fd is no socket) from the front, consumed, without waiting and
 * without SIGPIPE: bytes, 0 when the descriptor is full, -errno. */
ssize_t buffer_send(struct buffer *b, int fd);
