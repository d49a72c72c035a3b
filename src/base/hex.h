/* SPDX-License-Identifier: Apache-2.0
 * Bytes as hexadecimal digits, for small files in JSON. */
#pragma once

#include <stddef.h>

char *hex_encode(const void *data, size_t size); /* lower case; owned */
/* Decodes at most `max` bytes, owned: 0; -EINVAL for an odd number of digits or something else than
 * digits; -E2BIG. */
int hex_decode(const char *text, size_t max, unsigned char **ret, size_t *ret_size);
