/* SPDX-License-Identifier: Apache-2.0
 * Registry settings from the INI file, by inih. */
#include "image/registry/settings.h"

#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"
#include "oci/reference.h"

enum { FILE_MAX = 1 << 20, MIRRORS_MAX = 16, TIMEOUT_MAX_S = 3600 };
#define MIN_RATE_MAX (UINT64_C(1) << 30)

struct reading {
	char *section; /* registry "NAME" */
	struct registry_settings *settings;
	const char *path;
	struct error **err;
	int result;
};

void registry_settings_done(struct registry_settings *s)
{
	strv_done(&s->mirrors);
	*s = (struct registry_settings){ 0 };
}

static int mirror_is_valid(const char *s)
{
	return *s && strlen(s) < 256 && !strstr(s, "//") && !strstr(s, "..") &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_/[]") == strlen(s);
}

static int fail(struct reading *reading, const char *name, const char *value, const char *expected)
{
	reading->result = error_set(reading->err, EINVAL, "%s: %s = %.80s in [%s]: %s", reading->path, name, value,
	    reading->section, expected);
	return 0;
}

/* The keys that are true or false. */
static const struct {
	const char *name;
	size_t member;
	int negated;
} flags[] = {
	{ "tls-verify", offsetof(struct registry_settings, insecure), 1 },
	{ "blocked", offsetof(struct registry_settings, blocked), 0 },
	{ "require-digest", offsetof(struct registry_settings, require_digest), 0 },
};

static int handle_flag(struct reading *reading, const char *name, const char *value)
{
	int on;
	for (size_t k = 0; k < ARRAY_SIZE(flags); k++) {
		if (!streq(name, flags[k].name))
			continue;
		if (parse_bool(value, &on) < 0)
			return fail(reading, name, value, "write true or false");
		*(int *)((char *)reading->settings + flags[k].member) = on ^ flags[k].negated;
		return 1;
	}
	return fail(reading, name, value,
	    "there are \"mirror\", \"tls-verify\", \"blocked\", \"require-digest\", \"min-rate\" and \"timeout\" only");
}

static int handle_timeout(struct reading *reading, const char *name, const char *value)
{
	uint32_t seconds = 0;
	if (parse_u32(value, &seconds) < 0 || seconds == 0 || seconds > TIMEOUT_MAX_S)
		return fail(reading, name, value, "write seconds, 1 to 3600");
	reading->settings->timeout_s = (int)seconds;
	return 1;
}

static int handle_min_rate(struct reading *reading, const char *name, const char *value)
{
	uint64_t rate = 0;
	if (parse_size(value, 1, &rate) < 0 || rate == 0 || rate > MIN_RATE_MAX)
		return fail(reading, name, value, "write bytes a second, 1 to 1G");
	reading->settings->min_rate = rate;
	return 1;
}

/* inih's callback: 1 is success. */
static int handle(void *data, const char *section, const char *name, const char *value)
{
	struct reading *reading = data;
	if (!streq(section, reading->section) || reading->result < 0)
		return 1;
	if (streq(name, "mirror")) {
		const char *plain = startswith(value, "https://");
		AUTOFREE char *mirror = xstrdup(plain ? plain : value);
		while (endswith(mirror, "/"))
			mirror[strlen(mirror) - 1] = '\0';
		if (!mirror_is_valid(mirror) || reading->settings->mirrors.count >= MIRRORS_MAX)
			return fail(reading, name, value, "a mirror is HOST[:PORT][/PATH], at most 16");
		strv_add(&reading->settings->mirrors, mirror);
		return 1;
	}
	return streq(name, "timeout")  ? handle_timeout(reading, name, value) :
	       streq(name, "min-rate") ? handle_min_rate(reading, name, value) :
					 handle_flag(reading, name, value);
}

int registry_settings_parse(const char *text, const char *path, const char *registry, struct registry_settings *ret,
    struct error **err)
{
	AUTOFREE char *section = xasprintf("registry \"%s\"", registry);
	*ret = REGISTRY_SETTINGS_DEFAULT;
	struct reading reading = { .section = section, .settings = ret, .path = path, .err = err };
	int line = ini_parse_string(text, handle, &reading);
	if (reading.result == 0 && line != 0)
		reading.result = error_set(err, EINVAL,
		    "%s:%d: cannot be understood; it has lines [SECTION] and NAME = VALUE", path, line);
	if (reading.result < 0)
		registry_settings_done(ret);
	return reading.result;
}

int registry_settings_check(const struct registry_settings *s, const struct reference *ref, int pulls,
    struct error **err)
{
	AUTOFREE char *directory = path_config_dir(), *path = path_join(directory, "config");
	if (s->blocked)
		return error_set(err, EACCES, "registry %s is blocked; %s says so", ref->registry, path);
	if (pulls && s->require_digest && !ref->digest)
		return error_set(err, EACCES,
		    "registry %s: an image must be named by its digest, %s/%s@sha256:...; %s says so", ref->registry,
		    ref->registry, ref->repository, path);
	return 0;
}

int registry_settings_load(const char *registry, struct registry_settings *ret, struct error **err)
{
	AUTOFREE char *directory = path_config_dir(), *path = path_join(directory, "config"), *text = NULL;
	*ret = REGISTRY_SETTINGS_DEFAULT;
	int r = path_read_file(path, FILE_MAX, &text, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_set_errno(err, r, "cannot read %s", path);
	return registry_settings_parse(text, path, registry, ret, err);
}
