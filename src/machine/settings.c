/* SPDX-License-Identifier: Apache-2.0
 * A small INI reader: sections, `key = value` or `key: value`, comments from # or ; at the start of
 * a line, or from a semicolon behind a blank. The command line must start quickly, so it does not
 * link a library for these few lines; the subset is what inih, which reads the file elsewhere,
 * agrees with. */
#include "machine/settings.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/path.h"

enum { CONFIG_MAX = 1 << 20 };

static const char *const names[] = { "image", "cpus", "memory", "disk-size", "home-mount", "isolation", "proxy",
	"warn-limits", "publish-address" };
static_assert(ARRAY_SIZE(names) == SETTING_COUNT, "a name for each setting");

const char *settings_key_name(enum settings_key key)
{
	return names[key];
}

void settings_done(struct settings *s)
{
	for (size_t i = 0; i < SETTING_COUNT; i++)
		free(s->values[i]);
	*s = (struct settings){ 0 };
}

/* s without blanks at both ends, cut in place. */
static char *trim(char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	size_t n = strlen(s);
	while (n > 0 && isspace((unsigned char)s[n - 1]))
		s[--n] = 0;
	return s;
}

/* Cuts a comment behind a value: a semicolon with a blank before it. */
static void cut_comment(char *s)
{
	for (char *p = s; *p; p++) {
		if (*p == ';' && p > s && isspace((unsigned char)p[-1])) {
			*p = 0;
			return;
		}
	}
}

static const char *section_of(enum settings_key key)
{
	return key == SETTING_PUBLISH_ADDRESS ? "[container]" : "[machine]";
}

static int parse_pair(char *line, const char *section, const char *name, unsigned number, struct settings *ret,
    struct error **err)
{
	char *equals = strpbrk(line, "=:");
	if (!equals)
		return error_set(err, EINVAL, "%s:%u: write key = value", name, number);
	*equals = 0;
	cut_comment(equals + 1);
	const char *key = trim(line), *value = trim(equals + 1);
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		if (!streq(names[i], key) || !streq(section_of((enum settings_key)i), section))
			continue;
		free(ret->values[i]);
		ret->values[i] = *value ? xstrdup(value) : NULL;
		return 0;
	}
	return error_set(err, EINVAL, "%s:%u: unknown key \"%.40s\" in %s; see holm-config(5)", name, number, key,
	    section);
}

int settings_parse(const char *text, const char *name, struct settings *ret, struct error **err)
{
	AUTOFREE char *copy = xstrdup(text);
	unsigned number = 0;
	const char *section = NULL; /* NULL: none of ours */
	int r = 0;
	for (char *rest = copy, *line; r == 0 && (line = strsep(&rest, "\n"));) {
		number++;
		line = trim(line);
		if (!*line || *line == '#' || *line == ';')
			continue;
		if (*line == '[') {
			if (!endswith(line, "]"))
				return error_set(err, EINVAL, "%s:%u: write [section]", name, number);
			section = streq(line, "[machine]")   ? "[machine]" :
				  streq(line, "[container]") ? "[container]" :
							       NULL;
		} else if (section) {
			r = parse_pair(line, section, name, number, ret, err);
		}
	}
	return r;
}

int settings_load(struct settings *ret, struct error **err)
{
	AUTOFREE char *directory = path_config_dir(), *file = path_join(directory, "config"), *text = NULL;
	AUTO_SETTINGS struct settings s = { 0 };
	int r = path_read_file(file, CONFIG_MAX, &text, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_set_errno(err, r, "%s", file);
	r = settings_parse(text, file, &s, err);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct settings){ 0 };
	return 0;
}
