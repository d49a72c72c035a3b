/* SPDX-License-Identifier: Apache-2.0
 * See base64.h. */
#include "docker/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *docker_base64(const void *data, size_t size)
{
	const unsigned char *from = data;
	char *text = xmalloc((size + 2) / 3 * 4 + 1), *to = text;
	for (size_t i = 0; i < size; i += 3) {
		size_t n = MIN(size - i, (size_t)3);
		uint32_t bits = (uint32_t)from[i] << 16 | (n > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
				(n > 2 ? (uint32_t)from[i + 2] : 0);
		for (size_t k = 0; k < 4; k++)
			*to++ = k <= n ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
	}
	*to = '\0';
	return text;
}

static int value_of(char c)
{
	const char *found = c == '-' ? alphabet + 62 : c == '_' ? alphabet + 63 : strchr(alphabet, c);
	return found ? (int)(found - alphabet) : -1;
}

char *docker_base64_decode(const char *text)
{
	size_t size = strlen(text);
	while (size && text[size - 1] == '=')
		size--;
	char *bytes = xmalloc(size / 4 * 3 + 4), *to = bytes;
	uint32_t bits = 0;
	int good = size % 4 != 1;
	for (size_t i = 0; good && i < size; i++) {
		int value = value_of(text[i]);
		good = value >= 0;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4)
			*to++ = (char)(bits >> (6 - i % 4 * 2) & 0xff);
	}
	*to = '\0';
	if (good && strlen(bytes) == (size_t)(to - bytes))
		return bytes;
	free(bytes);
	return NULL;
}
