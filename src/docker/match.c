/* SPDX-License-Identifier: Apache-2.0
 * See filters.h: values that are regular expressions, and ports.
 *
 * A pattern comes from a client, and regcomp(3) may take much memory for one with repetition
 * counts, and regexec(3) much time for one with references. regcomp(3) also copies what is in front
 * of each "+", so nested ones double its memory. Such a pattern, or a long one, is plain text. */
#include <ctype.h>
#include <errno.h>
#include <regex.h>

#include "base/alloc.h"
#include "docker/filters.h"

enum { PATTERN_MAX = 256, PLUS_MAX = 4 };

static int is_plain(const char *pattern)
{
	const char *backslash = pattern;
	size_t plus = 0;
	for (const char *at = pattern; (at = strchr(at, '+')); at++)
		plus++;
	while ((backslash = strchr(backslash, '\\')) && !isalnum((unsigned char)backslash[1]) && backslash[1])
		backslash += 2;
	return backslash || strchr(pattern, '{') || plus > PLUS_MAX || strlen(pattern) > PATTERN_MAX;
}

static int is_like(const char *pattern, const char *text)
{
	regex_t compiled;
	if (streq(pattern, text))
		return 1;
	if (is_plain(pattern))
		return strstr(text, pattern) != NULL;
	if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return 0;
	int match = regexec(&compiled, text, 0, NULL, 0) == 0;
	regfree(&compiled);
	return match;
}

int docker_filters_match_text(struct json_object *filters, const char *key, const char *text)
{
	AUTO_STRV struct strv wishes = { 0 };
	docker_filters_get(filters, key, &wishes);
	int any = !wishes.count;
	for (size_t i = 0; i < wishes.count && !any; i++)
		any = is_like(wishes.items[i], text);
	return any;
}

int docker_filters_match_word(struct json_object *filters, const char *key, const char *word)
{
	AUTO_STRV struct strv wishes = { 0 };
	docker_filters_get(filters, key, &wishes);
	return !wishes.count || strv_contains(&wishes, word);
}

/* ---- ports ---- */

int docker_filters_check_ports(struct json_object *filters, const char *key, struct error **err)
{
	AUTO_STRV struct strv wishes = { 0 };
	struct port_range range;
	enum port_protocol protocol;
	docker_filters_get(filters, key, &wishes);
	for (size_t i = 0; i < wishes.count; i++)
		if (port_key_parse(wishes.items[i], &range, &protocol) < 0)
			return error_set(err, EINVAL, "invalid filter '%s=%.64s': write PORT[-PORT][/udp]", key,
			    wishes.items[i]);
	return 0;
}

int docker_filters_match_port(struct json_object *filters, const char *key, uint16_t port, enum port_protocol protocol)
{
	AUTO_STRV struct strv wishes = { 0 };
	docker_filters_get(filters, key, &wishes);
	for (size_t i = 0; i < wishes.count; i++) {
		struct port_range range;
		enum port_protocol wanted;
		if (port_key_parse(wishes.items[i], &range, &wanted) == 0 && wanted == protocol &&
		    port >= range.first && port <= range.last)
			return 1;
	}
	return 0;
}
