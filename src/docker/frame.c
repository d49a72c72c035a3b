/* SPDX-License-Identifier: Apache-2.0
 * See frame.h. */
#include "docker/frame.h"

#include <errno.h>

int docker_frame_append(struct buffer *out, enum docker_stream stream, const void *data, size_t size)
{
	if (size > UINT32_MAX)
		return -ENOBUFS;
	const unsigned char header[DOCKER_FRAME_HEADER] = { (unsigned char)stream, 0, 0, 0, (unsigned char)(size >> 24),
		(unsigned char)(size >> 16), (unsigned char)(size >> 8), (unsigned char)size };
	unsigned char *to = buffer_reserve(out, sizeof header + size);
	if (!to)
		return -ENOBUFS;
	memcpy(to, header, sizeof header);
	if (size)
		memcpy(to + sizeof header, data, size);
	buffer_commit(out, sizeof header + size);
	return 0;
}
