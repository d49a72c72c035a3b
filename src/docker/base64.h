/* SPDX-License-Identifier: Apache-2.0
 * Base64 (RFC 4648) as it is in headers of the Docker API. */
#pragma once

#include <stddef.h>

char *docker_base64(const void *data, size_t size); /* the standard alphabet, padded; owned */
/* Decodes either alphabet, padded or not: owned and NUL-terminated; NULL if it is no base64, or has
 * a NUL in it. */
char *docker_base64_decode(const char *text);
