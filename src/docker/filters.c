/* SPDX-License-Identifier: Apache-2.0
 * See filters.h. */
#include "docker/filters.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"

#define NS_PER_S 1000000000LL

static int is_known(const char *const *known, const char *key)
{
	for (; *known; known++)
		if (streq(*known, key))
			return 1;
	return 0;
}

static int is_good(struct json_object *value)
{
	if (!json_object_is_type(value, json_type_array))
		return json_object_is_type(value, json_type_object);
	for (size_t i = 0; i < json_object_array_length(value); i++)
		if (!json_object_is_type(json_object_array_get_idx(value, i), json_type_string))
			return 0;
	return 1;
}

int docker_filters_parse(const char *text, const char *const *known, struct json_object **ret, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	*ret = NULL;
	if (!text || !*text)
		return 0;
	if (json_parse(text, strlen(text), "filters", &o, err) < 0)
		return -EINVAL;
	if (!o) /* null */
		return 0;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "invalid filter");
	json_object_object_foreach(o, key, value)
	{
		if (!is_known(known, key) || !is_good(value))
			return error_set(err, EINVAL, "invalid filter '%.64s'", key);
	}
	*ret = TAKE_PTR(o);
	return 0;
}

void docker_filters_get(struct json_object *filters, const char *key, struct strv *ret)
{
	struct json_object *wishes = NULL;
	if (!filters || !json_object_object_get_ex(filters, key, &wishes))
		return;
	if (json_object_is_type(wishes, json_type_array)) {
		json_get_strv(filters, key, ret, NULL);
		return;
	}
	if (!json_object_is_type(wishes, json_type_object)) /* foreach needs one */
		return;
	json_object_object_foreach(wishes, word, value)
	{
		if (!json_object_is_type(value, json_type_boolean) || json_object_get_boolean(value))
			strv_add(ret, word);
	}
}

static int has_label(struct json_object *labels, const char *wish)
{
	AUTOFREE char *key = xstrndup(wish, strcspn(wish, "="));
	const char *value = strchr(wish, '=');
	struct json_object *label = NULL;
	if (!labels || !json_object_object_get_ex(labels, key, &label))
		return 0;
	return !value || streq(json_object_get_string(label), value + 1);
}

int docker_filters_match_labels(struct json_object *filters, struct json_object *labels)
{
	AUTO_STRV struct strv wanted = { 0 }, unwanted = { 0 };
	int match = 1;
	docker_filters_get(filters, "label", &wanted);
	docker_filters_get(filters, "label!", &unwanted);
	for (size_t i = 0; i < wanted.count; i++)
		match &= has_label(labels, wanted.items[i]);
	for (size_t i = 0; i < unwanted.count; i++)
		match &= !has_label(labels, unwanted.items[i]);
	return match;
}

int64_t docker_parse_time(const char *text)
{
	uint64_t seconds;
	int64_t ns;
	if (!text)
		return 0;
	if (clock_parse_rfc3339(text, &ns) == 0)
		return ns;
	AUTOFREE char *whole = xstrndup(text, strcspn(text, "."));
	if (parse_u64(whole, &seconds) < 0 || seconds >= INT64_MAX / NS_PER_S)
		return 0;
	ns = (int64_t)seconds * NS_PER_S;
	int64_t digit = NS_PER_S / 10;
	for (const char *c = text + strlen(whole); *c && *++c >= '0' && *c <= '9'; digit /= 10)
		ns += (*c - '0') * digit;
	return ns;
}

int64_t docker_parse_duration(const char *text)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = { { "ms", 1000000 }, { "h", 3600 * NS_PER_S }, { "m", 60 * NS_PER_S }, { "s", NS_PER_S } };
	double total = 0;
	if (!*text)
		return -1;
	while (*text) {
		size_t digits = strspn(text, "0123456789."), i = 0;
		AUTOFREE char *number = xstrndup(text, digits);
		while (i < ARRAY_SIZE(units) && !startswith(text + digits, units[i].unit))
			i++;
		if (!digits || i == ARRAY_SIZE(units))
			return -1;
		total += strtod(number, NULL) * (double)units[i].ns;
		text += digits + strlen(units[i].unit);
	}
	return total < (double)INT64_MAX / 2 ? (int64_t)total : -1;
}

int64_t docker_parse_until(const char *text, int64_t now_ns)
{
	int64_t duration = docker_parse_duration(text);
	return duration >= 0 ? now_ns - duration : docker_parse_time(text);
}
