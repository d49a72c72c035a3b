/* SPDX-License-Identifier: Apache-2.0
 * Digests as text. */
#include "oci/digest.h"

#include <errno.h>

static const char prefix[] = "sha256:";

int digest_is_valid(const char *s)
{
	if (!s || !startswith(s, prefix))
		return 0;
	const char *hex = s + strlen(prefix);
	return strspn(hex, "0123456789abcdef") == DIGEST_HEX_SIZE && hex[DIGEST_HEX_SIZE] == '\0';
}

int digest_check(const char *s, const char *what, struct error **err)
{
	if (digest_is_valid(s))
		return 0;
	if (s && startswith(s, "sha512:"))
		return error_set(err, EINVAL, "%s has a sha512 digest; only sha256 is supported", what);
	return error_set(err, EINVAL, "%s has no valid sha256 digest", what);
}

const char *digest_hex(const char *digest)
{
	return digest + strlen(prefix);
}

void digest_format(const unsigned char bytes[32], char *text)
{
	static const char digits[] = "0123456789abcdef";

	memcpy(text, prefix, strlen(prefix));
	char *p = text + strlen(prefix);
	for (int i = 0; i < 32; i++) {
		*p++ = digits[bytes[i] >> 4];
		*p++ = digits[bytes[i] & 15];
	}
	*p = '\0';
}
