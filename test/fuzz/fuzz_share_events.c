/* SPDX-License-Identifier: Apache-2.0
 * A stream of frames about shares, cut at every place that the input says, and each payload as an
 * event. */
#include <assert.h>
#include <stdint.h>

#include "agent/share/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, SHARE_PAYLOAD_MAX * 2);
	for (size_t at = 0; at < size;) {
		size_t piece = MIN(1 + (size_t)data[at] % 64, size - at);
		if (buffer_append(&b, data + at, piece) < 0)
			return 0;
		at += piece;
		const void *payload;
		ssize_t n;
		while ((n = share_frame_next(&b, &payload)) > 0) {
			struct share_replay replay;
			assert(n <= SHARE_PAYLOAD_MAX && (const char *)payload + n <= b.data + b.size);
			if (share_replay_parse(payload, (size_t)n, &replay) == 0)
				assert(replay.name[0] && strlen(replay.name) == replay.event.size &&
				       strlen(replay.name2) == replay.event.size2 && !strchr(replay.name, '/'));
			share_frame_drop(&b, (size_t)n);
		}
		if (n < 0)
			return 0;
	}
	return 0;
}
