/* SPDX-License-Identifier: Apache-2.0
 * Messages from the process of a stage to the build that it belongs to: a kind, a size, bytes. Both
 * ends are this program. */
#pragma once

#include "base/buffer.h"

enum message_kind {
	MESSAGE_BEGIN, /* of the report (report.h) */
	MESSAGE_OUTPUT,
	MESSAGE_ERRORS, /* output on stderr */
	MESSAGE_END,
	MESSAGE_NOTE,
	MESSAGE_FAILURE,
	MESSAGE_NOTES,   /* digests of the context's files */
	MESSAGE_ARGS,    /* names of --build-arg that the stage used */
	MESSAGE_RECORDS, /* of the cache, that the stage used (cache_share.h) */
	MESSAGE_STATE,   /* of the stage, when it has ended; the last one */
	MESSAGE_ERROR,   /* the code and the text of its failure; the last one */
};

enum { MESSAGE_MAX = 80 << 20 };

struct message {
	enum message_kind kind;
	const char *data; /* borrowed until the buffer changes */
	size_t size;
};

/* Sends one. A reader that is gone does not matter here. */
void message_send(int fd, enum message_kind kind, const void *data, size_t size);
/* The first message of what has come, which message_drop() takes away: 1, 0 (it is not whole), or
 * -EPROTO. */
int message_peek(const struct buffer *b, struct message *ret);
void message_drop(struct buffer *b, const struct message *m);
