/* SPDX-License-Identifier: Apache-2.0
 * The parameter `platform`: "linux/arm64/v8", or {"os":"linux","architecture":"arm64"} for the
 * resources of images from 1.48 on. */
#include "base/alloc.h"
#include "base/json.h"
#include "docker/route.h"
#include "keeper/docker/private.h"

enum { PLATFORM_MAX = 256 };

/* The words of an object, with slashes between; owned. */
static char *join(const char *text)
{
	static const char *const keys[] = { "os", "architecture", "variant" };
	AUTO_JSON struct json_object *o = NULL;
	AUTO_STRV struct strv parts = { 0 };
	if (json_parse(text, strlen(text), "platform", &o, NULL) < 0 || !json_object_is_type(o, json_type_object))
		return xstrdup(text); /* holm-image says what is wrong with it */
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *part = "";
		if (json_get_string(o, keys[i], &part, NULL) == 0 && *part)
			strv_add(&parts, part);
	}
	return strv_join(&parts, "/");
}

char *docker_platform(const char *target)
{
	AUTOFREE char *text = docker_query(target, "platform");
	if (!text || !*text || strlen(text) > PLATFORM_MAX)
		return text && *text ? xstrdup("invalid") : NULL;
	return text[0] == '{' ? join(text) : TAKE_PTR(text);
}

char *docker_platform_option(const struct docker_request *q)
{
	AUTOFREE char *platform = docker_platform(http_exchange_head(q->exchange)->target);
	return platform ? xasprintf("--platform=%s", platform) : NULL;
}
