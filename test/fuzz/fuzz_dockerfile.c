/* SPDX-License-Identifier: Apache-2.0
 * A Dockerfile: each instruction's text is expanded and its lines lie in the file. The same
 * bytes are a .dockerignore and its first line a path. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "image/build/dockerfile.h"
#include "image/build/expand.h"
#include "image/build/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *get(void *data, const char *name)
{
	return *name == 'a' ? "/usr/lib/*x.so" : NULL;
}

static void expand(const struct dockerfile *d, const struct dockerfile_instruction *i)
{
	struct expand_scope s = { .get = get, .escape = d->escape };
	AUTO_STRV struct strv words = { 0 };
	AUTOFREE char *word = NULL;
	int one = expand_word(&s, i->rest, &word, NULL), many = expand_words(&s, i->rest, &words, NULL);
	if ((one < 0) != (many < 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_DOCKERFILE struct dockerfile *d = NULL;
	AUTO_IGNORE struct ignore *ignore = NULL;
	const char *text = (const char *)data;
	int r = dockerfile_parse(text, size, "f", &d, NULL);
	for (size_t i = 0; r == 0 && i < d->count; i++) {
		const struct dockerfile_instruction *at = &d->instructions[i];
		if (!at->line || at->last_line < at->line || at->last_line > d->lines.count)
			abort();
		expand(d, at);
		free(dockerfile_excerpt(d, at->line));
	}
	if (r < 0 && d->error_line > d->lines.count + 1)
		abort();
	if (ignore_parse(text, size, "f", &ignore, NULL) == 0) {
		AUTOFREE char *path = xstrndup(text, size);
		path[strcspn(path, "\n")] = '\0';
		if (ignore_excludes(ignore, path) && ignore_may_include_below(ignore, path) > 1)
			abort();
	}
	return 0;
}
