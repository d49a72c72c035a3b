/* SPDX-License-Identifier: Apache-2.0
 * Digests as they are written in manifests and references: "sha256:" and 64 lower-case hexadecimal
 * digits (OCI image specification, descriptor.md, "Digests"). Other algorithms are not read.
 * Computing them is image/common/hash.h. */
#pragma once

#include "base/error.h"

enum { DIGEST_HEX_SIZE = 64, DIGEST_TEXT_SIZE = 7 + DIGEST_HEX_SIZE };

/* Whether s is a whole sha256 digest. NULL is not. */
int digest_is_valid(const char *s);
/* The same with an error that names `what` ("layer 3 of image x"): 0 or -EINVAL. */
int digest_check(const char *s, const char *what, struct error **err);
/* The hexadecimal part of a valid digest. Borrowed. */
const char *digest_hex(const char *digest);
/* Writes 32 bytes as a digest; text has room for DIGEST_TEXT_SIZE + 1. */
void digest_format(const unsigned char bytes[32], char *text);
