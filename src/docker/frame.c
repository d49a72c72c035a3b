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

ssize_t docker_frames_take(struct docker_frames *f, const char *in, size_t size, struct docker_piece *ret)
{
	size_t used = 0;
	*ret = (struct docker_piece){ 0 };
	if (!f->left) {
		used = MIN(size, sizeof f->header - f->have);
		memcpy(f->header + f->have, in, used);
		f->have += used;
		if (f->have < sizeof f->header)
			return (ssize_t)used;
		const unsigned char *h = f->header;
		if ((h[0] != DOCKER_STDOUT && h[0] != DOCKER_STDERR) || h[1] || h[2] || h[3])
			return -EBADMSG;
		f->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
		f->have = 0;
	}
	size_t part = MIN(size - used, (size_t)f->left);
	*ret = (struct docker_piece){ (enum docker_stream)f->header[0], in + used, part };
	f->left -= (uint32_t)part;
	return (ssize_t)(used + part);
}
