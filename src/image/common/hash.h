/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 while bytes stream by (libcrypto's EVP, which uses the processor's instructions). */
#pragma once

#include <stddef.h>

#include "base/macros.h"
#include "oci/digest.h"

struct hash {
	void *context;
};

void hash_init(struct hash *h);
void hash_update(struct hash *h, const void *data, size_t size);
/* Writes "sha256:..." of all so far; text has room for DIGEST_TEXT_SIZE + 1. The hash can go on
 * after. */
void hash_text(const struct hash *h, char *text);
void hash_done(struct hash *h); /* fine on a zeroed one */
#define AUTO_HASH CLEANUP(hash_done)

/* The digest of a piece of memory. */
void hash_memory(const void *data, size_t size, char *text);
