/* SPDX-License-Identifier: Apache-2.0
 * See chmod.h: POSIX.1-2017, chmod, "Extended description", without the umask. */
#include "image/builder/chmod.h"

#include <errno.h>
#include <string.h>

#include "base/macros.h"

struct who {
	char letter;
	uint32_t all, special; /* its bits, and those of s and t */
};
static const struct who whos[] = { { 'u', 0700, 04000 }, { 'g', 0070, 02000 }, { 'o', 0007, 0 } };

static uint32_t spread(uint32_t bits)
{
	return bits << 6 | bits << 3 | bits;
}

/* The bits of a letter, for everybody. */
static int bits_of(char letter, uint32_t mode, uint32_t *ret)
{
	switch (letter) {
	case 'r':
		*ret = 0444;
		return 0;
	case 'w':
		*ret = 0222;
		return 0;
	case 'x':
		*ret = 0111;
		return 0;
	case 'X':
		*ret = mode & (CHMOD_DIRECTORY | 0111) ? 0111 : 0;
		return 0;
	case 's':
		*ret = 06000;
		return 0;
	case 't':
		*ret = 01000;
		return 0;
	case 'u':
		*ret = spread(mode >> 6 & 7);
		return 0;
	case 'g':
		*ret = spread(mode >> 3 & 7);
		return 0;
	case 'o':
		*ret = spread(mode & 7);
		return 0;
	default:
		return -EINVAL;
	}
}

/* One operator and its letters. */
static int apply_operator(const char **at, uint32_t mask, uint32_t *mode)
{
	char operator= *(*at)++;
	uint32_t bits = 0;
	for (; **at && !strchr("+-=,", **at); (*at)++) {
		uint32_t more;
		if (bits_of(**at, *mode, &more) < 0)
			return -EINVAL;
		bits |= more;
	}
	bits &= mask;
	if (operator== '+')
		*mode |= bits;
	else if (operator== '-')
		*mode &= ~bits;
	else
		*mode = (*mode & ~mask) | bits;
	return 0;
}

/* "ugo+rwx-t" */
static int apply_clause(const char **at, uint32_t *mode)
{
	uint32_t mask = 0;
	for (; **at && strchr("ugoa", **at); (*at)++)
		for (size_t i = 0; i < ARRAY_SIZE(whos); i++)
			if (**at == 'a' || **at == whos[i].letter)
				mask |= whos[i].all | whos[i].special | (**at == 'a' ? 01000 : 0);
	if (!mask)
		mask = 07777;
	if (!**at || !strchr("+-=", **at))
		return -EINVAL;
	while (**at && **at != ',')
		if (!strchr("+-=", **at) || apply_operator(at, mask, mode) < 0)
			return -EINVAL;
	return 0;
}

int chmod_apply(const char *words, uint32_t mode, uint32_t *ret)
{
	const char *at = words;
	do {
		if (apply_clause(&at, &mode) < 0)
			return -EINVAL;
	} while (*at++ == ',');
	*ret = mode & 07777;
	return 0;
}
