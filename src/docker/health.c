/* SPDX-License-Identifier: Apache-2.0
 * See health.h. */
#include "docker/health.h"

#include <errno.h>
#include <limits.h>

enum { WORDS_MAX = 4096, RETRIES = 3 };
#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL

static int get_duration(struct json_object *o, const char *key, int64_t otherwise, int64_t *ret, struct error **err)
{
	int64_t value = 0;
	int r = json_get_i64(o, key, &value, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (value && value < NS_PER_MS)
		return error_set(err, EINVAL, "%s in Healthcheck cannot be less than 1ms", key);
	*ret = value ? value : otherwise;
	return 0;
}

static int get_command(struct json_object *o, struct strv *ret, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	int r = json_get_strv(o, "Test", &words, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (words.count > WORDS_MAX)
		return error_set(err, EINVAL, "Test in Healthcheck has more than %d words", WORDS_MAX);
	if (!words.count || streq(words.items[0], "NONE"))
		return 0;
	int shell = streq(words.items[0], "CMD-SHELL");
	if ((!shell && !streq(words.items[0], "CMD")) || words.count < 2)
		return error_set(err, EINVAL, "Unknown healthcheck type \"%.64s\" (expected 'CMD')", words.items[0]);
	if (shell) {
		strv_add(ret, "/bin/sh");
		strv_add(ret, "-c");
	}
	for (size_t i = 1; i < words.count; i++)
		strv_add(ret, words.items[i]);
	return 0;
}

int docker_health_parse(struct json_object *o, struct docker_health *ret, struct error **err)
{
	int64_t retries = 0;
	*ret = (struct docker_health){ 0 };
	if (!o)
		return 0;
	int r = json_get_i64(o, "Retries", &retries, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (retries < 0 || retries > INT_MAX)
		return error_set(err, EINVAL, "Retries in Healthcheck cannot be negative");
	ret->retries = retries ? (int)retries : RETRIES;
	if ((r = get_duration(o, "Interval", 30 * NS_PER_S, &ret->interval_ns, err)) < 0 ||
	    (r = get_duration(o, "Timeout", 30 * NS_PER_S, &ret->timeout_ns, err)) < 0 ||
	    (r = get_duration(o, "StartPeriod", 0, &ret->start_period_ns, err)) < 0 ||
	    (r = get_duration(o, "StartInterval", 5 * NS_PER_S, &ret->start_interval_ns, err)) < 0)
		return r;
	return get_command(o, &ret->command, err);
}
