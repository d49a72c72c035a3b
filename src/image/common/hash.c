/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 by libcrypto. Its functions fail only when memory is out, which aborts here like
 * everywhere. */
#include "image/common/hash.h"

#include <openssl/evp.h>

static void must(int ok)
{
	if (!ok)
		abort();
}

void hash_init(struct hash *h)
{
	h->context = EVP_MD_CTX_new();
	must(h->context && EVP_DigestInit_ex(h->context, EVP_sha256(), NULL));
}

void hash_update(struct hash *h, const void *data, size_t size)
{
	must(EVP_DigestUpdate(h->context, data, size));
}

void hash_text(const struct hash *h, char *text)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	must(copy && EVP_MD_CTX_copy_ex(copy, h->context) && EVP_DigestFinal_ex(copy, bytes, &size));
	EVP_MD_CTX_free(copy);
	digest_format(bytes, text);
}

void hash_done(struct hash *h)
{
	EVP_MD_CTX_free(h->context);
	h->context = NULL;
}

void hash_memory(const void *data, size_t size, char *text)
{
	AUTO_HASH struct hash h;
	hash_init(&h);
	hash_update(&h, data, size);
	hash_text(&h, text);
}
