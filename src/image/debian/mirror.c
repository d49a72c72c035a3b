/* SPDX-License-Identifier: Apache-2.0
 * Which Debian archive this host uses. apt itself is asked (apt-get indextargets), because its
 * configuration has many forms and places. */
#include "image/debian/mirror.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/spawn.h"

enum { TARGETS_MAX = 1 << 20, TIMEOUT_MS = 20000, LINES_MAX = 16 };

static void add_line(struct strv *lines, const char *uri, const char *release, const char *component)
{
	AUTOFREE char *line = xasprintf("deb %s %s %s", uri, release, component);
	if (!strv_contains(lines, line) && lines->count < LINES_MAX)
		strv_add(lines, line);
}

static int is_of_suite(const char *release, const char *suite)
{
	const char *rest = startswith(release, suite);
	return rest && (*rest == '\0' || streq(rest, "-updates") || streq(rest, "-security"));
}

/* Whether Debian has updates and security fixes in suites of their own for it. */
static int is_released(const char *suite)
{
	return !streq(suite, "sid") && !streq(suite, "unstable") && !streq(suite, "experimental") &&
	       !streq(suite, "rc-buggy");
}

static int is_safe(const char *s)
{
	return *s && !strpbrk(s, " \t\"'\\[]") && strlen(s) < 512;
}

static void split_target(char *line, struct strv *fields)
{
	char *save = NULL;
	for (char *f = strtok_r(line, "|", &save); f; f = strtok_r(NULL, "|", &save))
		strv_add(fields, f);
}

void mirror_from_targets(const char *targets, const char *suite, struct strv *ret_lines)
{
	AUTO_STRV struct strv lines = { 0 };
	AUTOFREE char *archive = NULL, *security = NULL;
	strv_split(&lines, targets, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		AUTO_STRV struct strv f = { 0 };
		split_target(lines.items[i], &f);
		if (f.count != 4 || !streq(f.items[3], "Debian") || !is_safe(f.items[0]) || !is_safe(f.items[1]) ||
		    !is_safe(f.items[2]))
			continue;
		if (is_of_suite(f.items[1], suite))
			add_line(ret_lines, f.items[0], f.items[1], f.items[2]);
		char **slot = endswith(f.items[1], "-security") ? &security : &archive;
		if (!*slot)
			*slot = xstrdup(f.items[0]);
	}
	/* Of the suite itself there must be a line, not of its updates only. */
	for (size_t i = 0; i < ret_lines->count; i++) {
		AUTOFREE char *main_line = xasprintf(" %s ", suite);
		if (strstr(ret_lines->items[i], main_line))
			return;
	}
	strv_done(ret_lines);
	if (archive)
		add_line(ret_lines, archive, suite, "main");
	if (archive && security && is_released(suite)) {
		AUTOFREE char *updates = xasprintf("%s-updates", suite), *fixes = xasprintf("%s-security", suite);
		add_line(ret_lines, archive, updates, "main");
		add_line(ret_lines, security, fixes, "main");
	}
}

void mirror_find(const char *suite, struct strv *ret_lines)
{
	static const char *const argv[] = { "apt-get", "indextargets", "--format",
		"$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)", "Created-By: Packages", NULL };
	AUTOFREE char *targets = NULL;
	if (spawn_capture((char *const *)argv, TARGETS_MAX, clock_deadline(TIMEOUT_MS), &targets, NULL) == 0 && targets)
		mirror_from_targets(targets, suite, ret_lines);
}
