/* SPDX-License-Identifier: Apache-2.0
 * Times at the beginning of lines, and points in time as people write them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/stamp.h"

#define SECOND INT64_C(1000000000)

/* Each line has one time, however its bytes come. */
static void lines_are_stamped_once(void **state)
{
	static const char text[] = "one\n\ntwo\nthr";
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		struct stamper s = { 0 };
		AUTO_BUFFER struct buffer b;
		buffer_init(&b, 1 << 16);
		for (size_t at = 0; at < strlen(text); at += piece)
			assert_int_equal(stamp_lines(&s, text + at, MIN(piece, strlen(text) - at), &b), 0);
		assert_int_equal(b.size, strlen(text) + 4 * STAMP_SIZE);
		const char *at = buffer_string(&b);
		static const char *const lines[] = { "one\n", "\n", "two\n", "thr" };
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
			int64_t ns;
			assert_int_equal(stamp_read(at, strlen(at), &ns), 0);
			assert_true(llabs(ns - clock_realtime_ns()) < 60 * SECOND);
			assert_non_null(startswith(at + STAMP_SIZE, lines[i]));
			at += STAMP_SIZE + strlen(lines[i]);
		}
	}
	struct stamper s = { 0 };
	AUTO_BUFFER struct buffer small;
	buffer_init(&small, 10);
	assert_int_equal(stamp_lines(&s, "a", 1, &small), -ENOBUFS);
}

static void stamps_are_read_back(void **state)
{
	char stamp[STAMP_SIZE + 1] = "";
	int64_t ns;
	stamp_write(INT64_C(1764472321123456789), stamp);
	assert_string_equal(stamp, "2025-11-30T03:12:01.123456Z ");
	assert_int_equal(stamp_read(stamp, STAMP_SIZE, &ns), 0);
	assert_int_equal(ns, INT64_C(1764472321123456000));
	static const char *const bad[] = { "", "2025-11-30T03:12:01.123456Z", "2025-11-30 03:12:01.123456Z ",
		"2025-11-30T03:12:01.12345xZ ", "2025-13-30T03:12:01.123456Z ", "holm-keeper: info: starting up now" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(stamp_read(bad[i], strlen(bad[i]), &ns), -EINVAL);
}

static void moments(void **state)
{
	static const struct {
		const char *text;
		int64_t ns; /* -1: refused */
	} rows[] = {
		{ "2026-11-30T03:00:00Z", 1796007600 * SECOND },
		{ "2026-11-30T04:00:00.5+01:00", 1796007600 * SECOND + SECOND / 2 },
		{ "2026-11-30T05:00:00", 1796007600 * SECOND }, /* two hours east */
		{ "2026-11-30 05:00", 1796007600 * SECOND },
		{ "2026-11-30", 1795989600 * SECOND },
		{ "1796007600", 1796007600 * SECOND },
		{ "1796007600.5", 1796007600 * SECOND + SECOND / 2 },
		{ "0s", 1800000000 * SECOND },
		{ "90s", 1799999910 * SECOND },
		{ "1h30m", 1799994600 * SECOND },
		{ "1.5h", 1799994600 * SECOND },
		{ "1d", 1799913600 * SECOND },
		{ "500ms", 1800000000 * SECOND - SECOND / 2 },
		{ "", -1 },
		{ "yesterday", -1 },
		{ "10", 10 * SECOND },
		{ "10x", -1 },
		{ "m", -1 },
		{ "-10m", -1 },
		{ "1h 30m", -1 },
		{ "1..5", -1 },
		{ "99999999999999999999d", -1 },
		{ "2026-11-31x", -1 },
		{ "2026-11-30T03:00:00Zx", -1 },
		{ "inf", -1 },
		{ "0x10s", -1 },
	};
	setenv("TZ", "XYZ-2", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ns = -1;
		int r = moment_parse(rows[i].text, 1800000000 * SECOND, &ns);
		if (r != (rows[i].ns < 0 ? -EINVAL : 0) || (r == 0 && ns != rows[i].ns))
			fail_msg("%s: %d %lld", rows[i].text, r, (long long)ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_stamped_once),
		cmocka_unit_test(stamps_are_read_back),
		cmocka_unit_test(moments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
