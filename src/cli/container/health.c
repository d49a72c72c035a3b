/* SPDX-License-Identifier: Apache-2.0
 * The health check of `run` and `create`, as the member Healthcheck of a create request. A member
 * that is not given is the image's. */
#include <errno.h>

#include "base/alloc.h"
#include "cli/container/values.h"
#include "docker/filters.h"

static int add_times(struct options *o, struct json_object *check, struct error **err)
{
	static const struct {
		const char *option, *key;
	} times[] = {
		{ "health-interval", "Interval" },
		{ "health-timeout", "Timeout" },
		{ "health-start-period", "StartPeriod" },
		{ "health-start-interval", "StartInterval" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		const char *text = options_string(o, times[i].option);
		int64_t ns = text ? docker_parse_duration(text) : 0;
		if (ns < 0)
			return error_set(err, EINVAL, "--%s %.40s: write a time such as 1m30s", times[i].option, text);
		if (text)
			json_add_i64(check, times[i].key, ns);
	}
	return 0;
}

int value_health(struct options *o, struct json_object *config, struct error **err)
{
	AUTO_STRV struct strv test = { 0 };
	const char *command = options_string(o, "health-cmd"), *retries = options_string(o, "health-retries");
	int none = options_switch(o, "no-healthcheck", 0), others = 0;
	struct json_object *check = json_object_new_object();
	json_add(config, "Healthcheck", check);
	int64_t count = 0;
	int r = retries ? value_number("health-retries", retries, &count, err) : 0;
	if (retries)
		json_add_i64(check, "Retries", count);
	if (r == 0)
		r = add_times(o, check, err);
	others = command || json_object_object_length(check);
	if (r == 0 && none && others)
		return error_set(err, EINVAL, "--no-healthcheck and --health-* exclude each other");
	if (command && *command) {
		strv_add(&test, "CMD-SHELL");
		strv_add(&test, command);
	}
	if (none)
		strv_add(&test, "NONE");
	if (test.count)
		json_add_strv(check, "Test", &test);
	if (r == 0 && !json_object_object_length(check))
		json_object_object_del(config, "Healthcheck");
	return r;
}
