/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hex.h"

#include <errno.h>

#include "base/alloc.h"

static const char digits[] = "0123456789abcdef";

char *hex_encode(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	char *text = xmalloc(2 * size + 1);
	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * size] = 0;
	return text;
}

int hex_decode(const char *text, size_t max, unsigned char **ret, size_t *ret_size)
{
	size_t n = strlen(text);
	if (n % 2 != 0 || strspn(text, digits) != n)
		return -EINVAL;
	if (n / 2 > max)
		return -E2BIG;
	unsigned char *bytes = xmalloc(n / 2 + 1);
	for (size_t i = 0; i < n / 2; i++)
		bytes[i] = (unsigned char)((strchr(digits, text[2 * i]) - digits) << 4 |
					   (strchr(digits, text[2 * i + 1]) - digits));
	*ret = bytes;
	*ret_size = n / 2;
	return 0;
}
