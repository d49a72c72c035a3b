/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/container/values.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"

enum { NANO_DIGITS = 9, CPUS_MAX = 1000000 };

int value_cpus(const char *text, int64_t *ret_nano, struct error **err)
{
	static const char digits[] = "0123456789";
	AUTOFREE char *whole = xstrndup(text, strcspn(text, "."));
	const char *part = text[strlen(whole)] ? text + strlen(whole) + 1 : "";
	uint32_t cpus = 0;
	int64_t nano = 0;
	size_t places = strspn(part, digits);
	if ((*whole && parse_u32(whole, &cpus) < 0) || (!*whole && !places) || part[places] || places > NANO_DIGITS ||
	    cpus > CPUS_MAX)
		return error_set(err, EINVAL, "--cpus \"%.40s\": write a number of processors such as 1.5", text);
	for (size_t i = 0; i < NANO_DIGITS; i++)
		nano = nano * 10 + (i < places ? part[i] - '0' : 0);
	*ret_nano = cpus * INT64_C(1000000000) + nano;
	return 0;
}

int value_number(const char *option, const char *text, int64_t *ret, struct error **err)
{
	uint64_t n;
	int negative = text[0] == '-';
	if (parse_u64(text + negative, &n) < 0 || n > INT64_MAX)
		return error_set(err, EINVAL, "--%s \"%.40s\": write a number", option, text);
	*ret = negative ? -(int64_t)n : (int64_t)n;
	return 0;
}

int value_size(const char *option, const char *text, int64_t *ret, struct error **err)
{
	uint64_t n = 0;
	int none = streq(text, "-1");
	if (!none && (parse_size(text, 1, &n) < 0 || n > INT64_MAX))
		return error_set(err, EINVAL, "--%s \"%.40s\": write a size such as 512m", option, text);
	*ret = none ? -1 : (int64_t)n;
	return 0;
}

static int read_limit(const char *text, int64_t *ret)
{
	return value_number("ulimit", text, ret, NULL) == 0 && *ret >= -1 ? 0 : -EINVAL;
}

int value_ulimit(const char *text, struct json_object **ret, struct error **err)
{
	AUTOFREE char *name = xstrndup(text, strcspn(text, "="));
	const char *value = text[strlen(name)] ? text + strlen(name) + 1 : "", *colon = strchr(value, ':');
	AUTOFREE char *first = xstrndup(value, strcspn(value, ":"));
	int64_t soft, hard;
	if (!*name || read_limit(first, &soft) < 0 || read_limit(colon ? colon + 1 : first, &hard) < 0 ||
	    (hard != -1 && (soft == -1 || soft > hard)))
		return error_set(err, EINVAL,
		    "--ulimit \"%.80s\": write NAME=SOFT[:HARD], in which SOFT is at most HARD", text);
	*ret = json_object_new_object();
	json_add_string(*ret, "Name", name);
	json_add_i64(*ret, "Soft", soft);
	json_add_i64(*ret, "Hard", hard);
	return 0;
}

static int is_access(const char *text)
{
	return *text && strspn(text, "rwm") == strlen(text);
}

int value_device(const char *text, struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, text, ":");
	size_t n = parts.count;
	const char *access = n > 1 && is_access(parts.items[n - 1]) ? parts.items[--n] : "rwm";
	const char *outside = n ? parts.items[0] : "", *inside = n > 1 ? parts.items[1] : outside;
	if (n < 1 || n > 2 || outside[0] != '/' || inside[0] != '/' || strstr(text, "::") || endswith(text, ":"))
		return error_set(err, EINVAL, "--device \"%.80s\": write PATH[:PATH INSIDE][:rwm]", text);
	*ret = json_object_new_object();
	json_add_string(*ret, "PathOnHost", outside);
	json_add_string(*ret, "PathInContainer", inside);
	json_add_string(*ret, "CgroupPermissions", access);
	return 0;
}

int value_disk(const char *option, const char *text, int is_size, struct json_object **ret, struct error **err)
{
	const char *colon = strrchr(text, ':');
	int64_t rate = 0;
	int r = !colon || text[0] != '/' ? -EINVAL :
		is_size                  ? value_size(option, colon + 1, &rate, NULL) :
					   value_number(option, colon + 1, &rate, NULL);
	if (r < 0 || rate < 0)
		return error_set(err, EINVAL, "--%s \"%.80s\": write DISK:%s, such as /dev/sda:%s", option, text,
		    is_size ? "SIZE" : "N", is_size ? "1mb" : "100");
	AUTOFREE char *path = xstrndup(text, (size_t)(colon - text));
	*ret = json_object_new_object();
	json_add_string(*ret, "Path", path);
	json_add_i64(*ret, "Rate", rate);
	return 0;
}

int value_restart(const char *text, struct json_object **ret, struct error **err)
{
	static const char *const names[] = { "no", "always", "unless-stopped", "on-failure" };
	AUTOFREE char *name = xstrndup(text, strcspn(text, ":"));
	const char *colon = strchr(text, ':');
	uint32_t count = 0;
	int known = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		known |= streq(names[i], name);
	if (!known || (colon && (!streq(name, "on-failure") || parse_u32(colon + 1, &count) < 0 || count > INT32_MAX)))
		return error_set(err, EINVAL,
		    "--restart \"%.40s\": choose no, always, unless-stopped or on-failure[:COUNT]", text);
	*ret = json_object_new_object();
	json_add_string(*ret, "Name", name);
	json_add_u64(*ret, "MaximumRetryCount", count);
	return 0;
}

int value_pair(const char *option, const char *text, struct json_object *pairs, struct error **err)
{
	AUTOFREE char *key = xstrndup(text, strcspn(text, "="));
	const char *equals = strchr(text, '=');
	if (!*key)
		return error_set(err, EINVAL, "--%s \"%.80s\": write KEY=VALUE", option, text);
	json_object_object_add(pairs, key, json_object_new_string(equals ? equals + 1 : ""));
	return 0;
}

int value_pairs(const char *option, const struct strv *texts, struct json_object *to, const char *key,
    struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	int r = 0;
	for (size_t i = 0; r == 0 && i < texts->count; i++)
		r = value_pair(option, texts->items[i], o, err);
	if (r == 0 && json_object_object_length(o))
		json_add(to, key, TAKE_PTR(o));
	return r;
}
