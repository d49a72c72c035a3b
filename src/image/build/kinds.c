/* SPDX-License-Identifier: Apache-2.0
 * See kinds.h. The rows follow the Dockerfile reference, docker/dockerfile 1.20. */
#include "image/build/kinds.h"

#include <strings.h>

#include "base/alloc.h"
#include "base/suggest.h"

static const char *const add_flags[] = { "checksum", "chmod", "chown", "exclude", "keep-git-dir", "link", "unpack",
	NULL };
static const char *const copy_flags[] = { "chmod", "chown", "exclude", "from", "link", "parents", NULL };
static const char *const from_flags[] = { "platform", NULL };
static const char *const health_flags[] = { "interval", "retries", "start-interval", "start-period", "timeout", NULL };
static const char *const run_flags[] = { "device", "mount", "network", "security", NULL };

/* clang-format off */
static const struct dockerfile_kind kinds[] = {
	{ "ADD", DOCKERFILE_ADD, FORM_WORDS, 2, 0, 1, 1, add_flags, "ADD SOURCE... DESTINATION" },
	{ "ARG", DOCKERFILE_ARG, FORM_TEXT, 1, 0, 0, 1, NULL, "ARG NAME[=DEFAULT]..." },
	{ "CMD", DOCKERFILE_CMD, FORM_SHELL, 0, 0, 0, 1, NULL, "CMD [\"PROGRAM\", ...] or CMD COMMAND" },
	{ "COPY", DOCKERFILE_COPY, FORM_WORDS, 2, 0, 1, 1, copy_flags, "COPY SOURCE... DESTINATION" },
	{ "ENTRYPOINT", DOCKERFILE_ENTRYPOINT, FORM_SHELL, 0, 0, 0, 1, NULL, "ENTRYPOINT [\"PROGRAM\", ...]" },
	{ "ENV", DOCKERFILE_ENV, FORM_TEXT, 1, 0, 0, 1, NULL, "ENV NAME=VALUE..." },
	{ "EXPOSE", DOCKERFILE_EXPOSE, FORM_TEXT, 1, 0, 0, 1, NULL, "EXPOSE PORT[/PROTOCOL]..." },
	{ "FROM", DOCKERFILE_FROM, FORM_TEXT, 1, 3, 0, 0, from_flags, "FROM IMAGE [AS NAME]" },
	{ "HEALTHCHECK", DOCKERFILE_HEALTHCHECK, FORM_TEXT, 1, 0, 0, 1, health_flags, "HEALTHCHECK CMD COMMAND" },
	{ "LABEL", DOCKERFILE_LABEL, FORM_TEXT, 1, 0, 0, 1, NULL, "LABEL NAME=VALUE..." },
	{ "MAINTAINER", DOCKERFILE_MAINTAINER, FORM_TEXT, 1, 0, 0, 0, NULL, "MAINTAINER NAME" },
	{ "ONBUILD", DOCKERFILE_ONBUILD, FORM_TEXT, 1, 0, 0, 0, NULL, "ONBUILD INSTRUCTION" },
	{ "RUN", DOCKERFILE_RUN, FORM_SHELL, 1, 0, 1, 1, run_flags, "RUN COMMAND or RUN [\"PROGRAM\", ...]" },
	{ "SHELL", DOCKERFILE_SHELL, FORM_JSON, 1, 0, 0, 1, NULL, "SHELL [\"PROGRAM\", ...]" },
	{ "STOPSIGNAL", DOCKERFILE_STOPSIGNAL, FORM_TEXT, 1, 0, 0, 1, NULL, "STOPSIGNAL SIGNAL" },
	{ "USER", DOCKERFILE_USER, FORM_TEXT, 1, 0, 0, 1, NULL, "USER USER[:GROUP]" },
	{ "VOLUME", DOCKERFILE_VOLUME, FORM_WORDS, 1, 0, 0, 1, NULL, "VOLUME PATH..." },
	{ "WORKDIR", DOCKERFILE_WORKDIR, FORM_TEXT, 1, 0, 0, 1, NULL, "WORKDIR PATH" },
};
/* clang-format on */

const struct dockerfile_kind *dockerfile_kind_find(const char *word, const char **ret_near)
{
	AUTOFREE char *upper = xstrdup(word);
	for (char *c = upper; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	struct suggestion s = SUGGESTION(upper);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (streq(upper, kinds[i].name))
			return &kinds[i];
		suggestion_offer(&s, kinds[i].name);
	}
	*ret_near = s.near;
	return NULL;
}

int dockerfile_kind_has_flag(const struct dockerfile_kind *k, const char *flag, const char **ret_near)
{
	struct suggestion s = SUGGESTION(flag);
	for (const char *const *f = k->flags; f && *f; f++) {
		if (streq(flag, *f))
			return 1;
		suggestion_offer(&s, *f);
	}
	*ret_near = s.near;
	return 0;
}
