/* SPDX-License-Identifier: Apache-2.0 */
#include "docker/units.h"

#include "base/alloc.h"

#define NS_PER_S 1000000000LL

/* go-units, HumanDuration: hours are rounded, all else is cut. */
char *docker_duration(int64_t ns)
{
	static const struct {
		int64_t below, unit; /* hours */
		const char *word;
	} steps[] = { { 48, 1, "hours" }, { 14 * 24L, 24, "days" }, { 60 * 24L, 7 * 24L, "weeks" },
		{ 730 * 24L, 30 * 24L, "months" }, { INT64_MAX, 365 * 24L, "years" } };
	int64_t seconds = MAX(ns, 0) / NS_PER_S, hours = (seconds + 1800) / 3600;
	if (seconds < 1)
		return xstrdup("Less than a second");
	if (seconds < 60)
		return xasprintf("%lld second%s", (long long)seconds, seconds == 1 ? "" : "s");
	if (seconds < 120)
		return xstrdup("About a minute");
	if (seconds < 3600)
		return xasprintf("%lld minutes", (long long)seconds / 60);
	if (hours == 1)
		return xstrdup("About an hour");
	size_t i = 0;
	while (hours >= steps[i].below)
		i++;
	return xasprintf("%lld %s", (long long)(hours / steps[i].unit), steps[i].word);
}

char *docker_size(uint64_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double n = (double)bytes;
	size_t i = 0;
	for (; n >= 999.5 && i + 1 < ARRAY_SIZE(units); i++)
		n /= 1000.0;
	return xasprintf("%.3g%s", n, units[i]);
}

char *docker_binary_size(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double n = (double)bytes;
	size_t i = 0;
	for (; n >= 1024.0 && i + 1 < ARRAY_SIZE(units); i++)
		n /= 1024.0;
	return xasprintf("%.4g%s", n, units[i]);
}
