/* SPDX-License-Identifier: Apache-2.0
 * The multiplexed stream of attach, exec and logs: 8 bytes {stream, 0, 0, 0, size (big-endian)},
 * then that many bytes. Only the server sends such frames; stdin travels as it is. */
#pragma once

#include "base/buffer.h"

enum docker_stream { DOCKER_STDIN, DOCKER_STDOUT, DOCKER_STDERR };
enum { DOCKER_FRAME_HEADER = 8 };

/* 0, or -ENOBUFS when the buffer is full (nothing is added then). */
int docker_frame_append(struct buffer *out, enum docker_stream stream, const void *data, size_t size);
