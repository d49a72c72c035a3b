/* SPDX-License-Identifier: Apache-2.0
 * The checks of a Dockerfile: each warning lies in the file. The first line is a name of an image,
 * a variable of it and a pattern of .dockerignore, too. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "image/build/dockerfile.h"
#include "image/build/ignore.h"
#include "image/build/lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int find_base(void *data, const char *image, struct lint_base *ret)
{
	const char *line = data;
	if (strlen(image) % 3 == 0)
		return -ENOENT;
	*ret = (struct lint_base){ .has_shell = *image == 'a', .has_directory = 1, .platform = xstrdup("linux/arm64") };
	strv_addf(&ret->env, "%s=1", line);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_DOCKERFILE struct dockerfile *d = NULL;
	AUTO_IGNORE struct ignore *ignore = NULL;
	AUTO_LINT struct lint lint = { 0 };
	AUTO_STRV struct strv given = { 0 }, platform = { 0 };
	AUTOFREE char *line = xstrndup((const char *)data, size);
	line[strcspn(line, "\n")] = '\0';
	if (dockerfile_parse((const char *)data, size, "f", &d, NULL) < 0)
		return 0;
	strv_addf(&given, "%s=value", line);
	strv_add(&platform, "TARGETARCH=amd64");
	(void)ignore_parse(line, strlen(line), "f", &ignore, NULL);
	const struct lint_input in = { .file = d,
		.given = &given,
		.platform = &platform,
		.ignore = ignore,
		.find_base = find_base,
		.data = line };
	if (lint_check(&in, &lint, NULL) < 0)
		return 0;
	for (size_t i = 0; i < lint.count; i++)
		if (lint.items[i].line > d->lines.count || lint.items[i].rule >= LINT_RULE_COUNT)
			abort();
	free(lint_text(&lint, d, "f"));
	free(lint_violation(&lint));
	return 0;
}
