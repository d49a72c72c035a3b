/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stamp.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"

#define NS_PER_S INT64_C(1000000000)

/* ---- stamps ---- */

void stamp_write(int64_t ns, char out[static STAMP_SIZE])
{
	char text[64];
	struct tm tm;
	time_t seconds = ns / NS_PER_S;
	gmtime_r(&seconds, &tm);
	size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof text - n, ".%06dZ ", (int)(ns % NS_PER_S / 1000));
	memcpy(out, text, STAMP_SIZE);
}

int stamp_lines(struct stamper *s, const char *data, size_t size, struct buffer *out)
{
	char stamp[STAMP_SIZE];
	int r = 0;
	stamp_write(clock_realtime_ns(), stamp);
	while (r == 0 && size > 0) {
		const char *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) + 1 : size;
		if (!s->in_line)
			r = buffer_append(out, stamp, sizeof stamp);
		if (r == 0)
			r = buffer_append(out, data, n);
		s->in_line = !end;
		data += n;
		size -= n;
	}
	return r;
}

int stamp_begins(const char *line, size_t size)
{
	static const char form[] = "0000-00-00T00:00:00.000000Z ";
	for (size_t i = 0; i < MIN(size, STAMP_SIZE); i++)
		if (form[i] == '0' ? !isdigit((unsigned char)line[i]) : line[i] != form[i])
			return 0;
	return 1;
}

int stamp_read(const char *line, size_t size, int64_t *ret_ns)
{
	char text[STAMP_SIZE];
	if (size < STAMP_SIZE || !stamp_begins(line, STAMP_SIZE))
		return -EINVAL;
	memcpy(text, line, STAMP_SIZE - 1);
	text[STAMP_SIZE - 1] = '\0';
	return clock_parse_rfc3339(text, ret_ns);
}

/* ---- moments ---- */

/* 1h30m, 90s, 500ms, 1.5h: at least one number with its unit. */
static int parse_duration(const char *text, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 }, { "d", 86400e9 } };
	double sum = 0;
	for (size_t i; *text; text += strlen(units[i].name)) {
		char *end;
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		double n = strtod(text, &end);
		if (end != text + strspn(text, "0123456789."))
			return -EINVAL;
		text = end;
		for (i = 0; i < ARRAY_SIZE(units) && !startswith(text, units[i].name); i++)
			;
		if (i == ARRAY_SIZE(units))
			return -EINVAL;
		sum += n * units[i].ns;
	}
	if (sum > 9e18)
		return -EINVAL;
	*ret_ns = (int64_t)sum;
	return 0;
}

/* A date, or a date and a time, of the local zone. */
static int parse_local(const char *text, int64_t *ret_ns)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d %H:%M", "%Y-%m-%d" };
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *rest = strptime(text, forms[i], &tm);
		if (!rest || *rest || tm.tm_year < 70 || tm.tm_year > 350)
			continue;
		*ret_ns = (int64_t)mktime(&tm) * NS_PER_S;
		return 0;
	}
	return -EINVAL;
}

/* Seconds since 1970, with a fraction. */
static int parse_seconds(const char *text, int64_t *ret_ns)
{
	char *end;
	if (!isdigit((unsigned char)*text) || text[strspn(text, "0123456789.")])
		return -EINVAL;
	double seconds = strtod(text, &end);
	if (*end || seconds > 9e9)
		return -EINVAL;
	*ret_ns = (int64_t)(seconds * 1e9);
	return 0;
}

int moment_parse(const char *text, int64_t now_ns, int64_t *ret_ns)
{
	int64_t ago;
	if (!*text)
		return -EINVAL;
	if (clock_parse_rfc3339(text, ret_ns) == 0 || parse_local(text, ret_ns) == 0 ||
	    parse_seconds(text, ret_ns) == 0)
		return 0;
	int r = parse_duration(text, &ago);
	if (r == 0)
		*ret_ns = now_ns - ago;
	return r;
}
