/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#include "base/alloc.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

uint64_t clock_now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * MS_PER_S + (uint64_t)t.tv_nsec / NS_PER_MS;
}

uint64_t clock_deadline(uint64_t in_ms)
{
	uint64_t at;
	return __builtin_add_overflow(clock_now_ms(), in_ms, &at) ? UINT64_MAX : at;
}

int clock_left_ms(uint64_t deadline_ms)
{
	if (deadline_ms == UINT64_MAX)
		return -1;
	uint64_t now = clock_now_ms();
	return now >= deadline_ms ? 0 : (int)MIN(deadline_ms - now, (uint64_t)INT_MAX);
}

int64_t clock_realtime_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

char *clock_format_rfc3339(int64_t ns)
{
	time_t seconds = ns / NS_PER_S;
	long rest = ns % NS_PER_S;
	if (rest < 0) {
		rest += NS_PER_S;
		seconds--;
	}
	struct tm tm = { 0 };
	gmtime_r(&seconds, &tm);
	char text[64];
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	return xasprintf("%s.%09ldZ", text, rest);
}

/* ".123" -> ns; leaves *s behind the digits. */
static int parse_fraction(const char **s, int64_t *ret)
{
	int64_t ns = 0;
	int digits = 0;
	for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, digits++)
		if (digits < 9)
			ns = ns * 10 + (**s - '0');
	if (digits == 0)
		return -EINVAL;
	for (; digits < 9; digits++)
		ns *= 10;
	*ret = ns;
	return 0;
}

/* "Z", "+02:00" -> seconds east of UTC; the text must end there. */
static int parse_zone(const char *s, int64_t *ret)
{
	if ((*s == 'Z' || *s == 'z') && !s[1]) {
		*ret = 0;
		return 0;
	}
	for (int i = 1; i < 6; i++)
		if (i == 3 ? s[i] != ':' : (s[i] < '0' || s[i] > '9'))
			return -EINVAL;
	if ((*s != '+' && *s != '-') || s[6])
		return -EINVAL;
	int64_t seconds = ((s[1] - '0') * 10 + (s[2] - '0')) * 3600 + ((s[4] - '0') * 10 + (s[5] - '0')) * 60;
	*ret = *s == '-' ? -seconds : seconds;
	return 0;
}

int clock_parse_rfc3339(const char *s, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t fraction = 0, zone = 0;
	if (!rest || tm.tm_year < 70 || tm.tm_year > 350)
		return -EINVAL;
	if (*rest == '.' && parse_fraction(&rest, &fraction) < 0)
		return -EINVAL;
	if (!*rest || parse_zone(rest, &zone) < 0)
		return -EINVAL;
	*ret_ns = ((int64_t)timegm(&tm) - zone) * NS_PER_S + fraction;
	return 0;
}
