/* SPDX-License-Identifier: Apache-2.0
 * The frames of a session after its upgrade ("Upgrade: holm-session"): an 8-byte header (type,
 * three zero bytes, big-endian 32-bit length), then the payload. Types 0-2 are Docker's multiplexed
 * stream; the rest is ours.
 *
 *   to the agent:    STDIN (bytes), STDIN_END (empty), RESIZE (4 bytes: rows, columns, big-endian
 *                    16 bit), SIGNAL (1 byte: Linux x86 number)
 *   from the agent:  STDOUT, STDERR (bytes), NOTE (a line for stderr of holm itself, "holm: " goes
 *                    in front), ERROR (4-byte big-endian exit status 125-127, then text: the
 *                    command did not start; the last frame), EXIT (4 bytes big-endian: 0-255, or
 *                    SESSION_EXIT_SIGNAL + 128 + signal; the last frame)
 *   WINDOW (4 bytes, from the agent): it has consumed that many bytes of stdin. Not more than
 *   SESSION_STDIN_WINDOW unconsumed bytes of stdin may be in flight, so that SIGNAL and RESIZE
 *   overtake a blocked stdin.
 *
 * A client keeps both directions open until it has the last frame: stdin ends by STDIN_END alone.
 * One that closes the connection, or only its own direction (shutdown(2): a relay in between could
 * not tell the two apart), is gone, and its command gets SIGHUP.
 */
#pragma once

#include <stdint.h>

#include "base/buffer.h"

enum session_frame_type {
	SESSION_STDIN = 0,
	SESSION_STDOUT = 1,
	SESSION_STDERR = 2,
	SESSION_RESIZE = 16,
	SESSION_SIGNAL = 17,
	SESSION_STDIN_END = 18,
	SESSION_EXIT = 19,
	SESSION_ERROR = 20,
	SESSION_NOTE = 21,
	SESSION_WINDOW = 22,
};
enum {
	SESSION_HEADER_SIZE = 8,
	SESSION_FRAME_MAX = 64 * 1024,     /* payload bytes */
	SESSION_STDIN_WINDOW = 256 * 1024, /* bytes */
	SESSION_EXIT_SIGNAL = 0x100,       /* a signal has ended the command; the rest is as a shell has it */
};

struct session_frame {
	enum session_frame_type type;
	const char *data; /* inside the input buffer */
	uint32_t size;
};
/* Looks at the front of b: 1 and *ret (consume SESSION_HEADER_SIZE + size when done with it), 0
 * more is needed, -EBADMSG for an unknown type, non-zero padding, a length over the type's limit or
 * not the type's fixed length. */
int session_frame_next(const struct buffer *b, struct session_frame *ret);
/* as buffer_append */
int session_frame_append(struct buffer *b, enum session_frame_type type, const void *data, size_t size);
int session_frame_append_u32(struct buffer *b, enum session_frame_type type, uint32_t value);
