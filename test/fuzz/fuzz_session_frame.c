/* SPDX-License-Identifier: Apache-2.0
 * Session frames, cut at every place that the input says. */
#include <assert.h>
#include <stdint.h>

#include "http/session_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, SESSION_FRAME_MAX * 4);
	for (size_t at = 0; at < size;) {
		size_t piece = 1 + data[at] % 64;
		piece = MIN(piece, size - at);
		if (buffer_append(&b, data + at, piece) < 0)
			return 0;
		at += piece;
		struct session_frame f;
		int r;
		while ((r = session_frame_next(&b, &f)) > 0) {
			assert(f.size <= SESSION_FRAME_MAX && f.data >= b.data && f.data + f.size <= b.data + b.size);
			buffer_consume(&b, SESSION_HEADER_SIZE + f.size);
		}
		if (r < 0)
			return 0;
	}
	return 0;
}
