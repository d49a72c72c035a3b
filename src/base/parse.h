/* SPDX-License-Identifier: Apache-2.0
 * Strict parsers of what people and files write: numbers and sizes. The whole string must match. */
#pragma once

#include <stdint.h>

#include "base/macros.h"

/* All return 0 or -EINVAL / -ERANGE and leave *ret alone on failure. No sign, no blanks, no leading
 * '+'. */
int parse_u64(const char *s, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_octal(const char *s, uint32_t *ret);
int parse_bool(const char *s, int *ret); /* 1/0, true/false, yes/no, on/off */
/* Binary sizes, case-insensitive: 512M, 2G, 2GiB, 2GB; a bare number counts default_unit bytes.
 * Result in bytes. */
int parse_size(const char *s, uint64_t default_unit, uint64_t *ret);
char *format_size(uint64_t bytes); /* "512M", "1.5G": largest unit with at most one decimal; owned */
