/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <errno.h>
#include <strings.h>

#include "base/alloc.h"

static int parse_digits(const char *s, unsigned base, uint64_t max, uint64_t *ret, const char **end)
{
	uint64_t value = 0;
	const char *c = s;
	for (; *c >= '0' && *c < (char)('0' + base); c++) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value) || value > max)
			return -ERANGE;
	}
	if (c == s || (!end && *c))
		return -EINVAL;
	if (end)
		*end = c;
	*ret = value;
	return 0;
}

int parse_u64(const char *s, uint64_t *ret)
{
	return parse_digits(s, 10, UINT64_MAX, ret, NULL);
}

int parse_u32(const char *s, uint32_t *ret)
{
	uint64_t value;
	int r = parse_digits(s, 10, UINT32_MAX, &value, NULL);
	if (r == 0)
		*ret = (uint32_t)value;
	return r;
}

int parse_octal(const char *s, uint32_t *ret)
{
	uint64_t value;
	int r = parse_digits(s, 8, UINT32_MAX, &value, NULL);
	if (r == 0)
		*ret = (uint32_t)value;
	return r;
}

int parse_bool(const char *s, int *ret)
{
	static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "0", "false", "no", "off" };
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcasecmp(s, yes[i]) == 0 || strcasecmp(s, no[i]) == 0) {
			*ret = strcasecmp(s, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

static const struct {
	char letter;
	int shift;
} units[] = { { 'k', 10 }, { 'm', 20 }, { 'g', 30 }, { 't', 40 }, { 'p', 50 } };

static int parse_unit(const char *s, uint64_t default_unit, uint64_t *ret)
{
	if (!*s) {
		*ret = default_unit;
		return 0;
	}
	if (strcasecmp(s, "b") == 0) {
		*ret = 1;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if ((*s | 0x20) != units[i].letter)
			continue;
		if (s[1] && strcasecmp(s + 1, "b") != 0 && strcasecmp(s + 1, "ib") != 0)
			return -EINVAL;
		*ret = UINT64_C(1) << units[i].shift;
		return 0;
	}
	return -EINVAL;
}

int parse_size(const char *s, uint64_t default_unit, uint64_t *ret)
{
	uint64_t value, unit;
	const char *rest;
	int r = parse_digits(s, 10, UINT64_MAX, &value, &rest);
	if (r < 0)
		return r;
	r = parse_unit(rest, default_unit, &unit);
	if (r < 0)
		return r;
	if (__builtin_mul_overflow(value, unit, &value))
		return -ERANGE;
	*ret = value;
	return 0;
}

char *format_size(uint64_t bytes)
{
	for (size_t i = ARRAY_SIZE(units); i-- > 0;) {
		uint64_t unit = UINT64_C(1) << units[i].shift;
		if (bytes < unit)
			continue;
		uint64_t tenths = (bytes % unit) * 10 / unit;
		if (tenths)
			return xasprintf("%llu.%llu%c", (unsigned long long)(bytes / unit), (unsigned long long)tenths,
			    units[i].letter - 0x20);
		return xasprintf("%llu%c", (unsigned long long)(bytes / unit), units[i].letter - 0x20);
	}
	return xasprintf("%lluB", (unsigned long long)bytes);
}
