/* SPDX-License-Identifier: Apache-2.0
 * Request targets: path, decoded parameters, encoding (RFC 3986 2.1-2.3; a plus stays a plus). */
#include <stdio.h>

#include "base/alloc.h"
#include "http/http.h"

char *http_target_path(const char *target)
{
	return xstrndup(target, strcspn(target, "?#"));
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* NULL where an escape is malformed or means NUL. */
static char *decode(const char *s, size_t size)
{
	char *out = xmalloc(size + 1);
	size_t n = 0;
	for (size_t i = 0; i < size; i++) {
		int high, low;
		if (s[i] != '%') {
			out[n++] = s[i];
			continue;
		}
		if (i + 2 >= size || (high = hex_digit(s[i + 1])) < 0 || (low = hex_digit(s[i + 2])) < 0 ||
		    !(high | low)) {
			free(out);
			return NULL;
		}
		out[n++] = (char)(high << 4 | low);
		i += 2;
	}
	out[n] = 0;
	return out;
}

char *http_target_query(const char *target, const char *key)
{
	const char *at = strchr(target, '?');
	size_t key_size = strlen(key);
	while (at && *at) {
		at++;
		size_t n = strcspn(at, "&#");
		if (n > key_size && strncmp(at, key, key_size) == 0 && at[key_size] == '=')
			return decode(at + key_size + 1, n - key_size - 1);
		at = at[n] == '&' ? at + n : NULL;
	}
	return NULL;
}

char *http_encode_query(const char *value)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	char *out = xmalloc(strlen(value) * 3 + 1), *at = out;
	for (const char *c = value; *c; c++) {
		if (strchr(plain, *c))
			*at++ = *c;
		else
			at += snprintf(at, 4, "%%%02X", (unsigned char)*c);
	}
	*at = 0;
	return out;
}
