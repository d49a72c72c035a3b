/* SPDX-License-Identifier: Apache-2.0
 * The multiplexed stream of attach, exec and logs: 8 bytes {stream, 0, 0, 0, size (big-endian)},
 * then that many bytes. Only the server sends such frames; stdin travels as it is. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

enum docker_stream { DOCKER_STDIN, DOCKER_STDOUT, DOCKER_STDERR };
enum { DOCKER_FRAME_HEADER = 8 };

/* 0, or -ENOBUFS when the buffer is full (nothing is added then). */
int docker_frame_append(struct buffer *out, enum docker_stream stream, const void *data, size_t size);

/* Reading frames, in any pieces. Zero at first. */
struct docker_frames {
	unsigned char header[DOCKER_FRAME_HEADER];
	size_t have; /* of the header */
	uint32_t left;
};
struct docker_piece {
	enum docker_stream stream;
	const char *data; /* in the caller's bytes; size 0: none */
	size_t size;
};
/* Takes bytes from the front of in: returns how many, with one piece of a stream's output, or
 * -EBADMSG for what is no frame of stdout or stderr. */
ssize_t docker_frames_take(struct docker_frames *f, const char *in, size_t size, struct docker_piece *ret);
