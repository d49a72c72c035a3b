/* SPDX-License-Identifier: Apache-2.0
 * Frames of a container's output. The pieces lie in the input, and do not depend on how it
 * comes. */
#include <stdint.h>
#include <stdlib.h>

#include "docker/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The output of both streams, mixed up to one number, until the end or an error. */
static uint64_t read_in_pieces(const char *in, size_t size, size_t step)
{
	struct docker_frames f = { 0 };
	uint64_t sum = 0;
	for (size_t at = 0; at < size;) {
		struct docker_piece p;
		ssize_t n = docker_frames_take(&f, in + at, MIN(step, size - at), &p);
		if (n < 0)
			return sum;
		if (n == 0 || (size_t)n > size - at || p.size > (size_t)n)
			abort();
		for (size_t i = 0; i < p.size; i++)
			sum = (sum ^ (unsigned char)p.data[i] ^ (uint64_t)p.stream << 8) * UINT64_C(0x100000001b3);
		at += (size_t)n;
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (read_in_pieces((const char *)data, size, 1) != read_in_pieces((const char *)data, size, size ? size : 1))
		abort();
	return 0;
}
