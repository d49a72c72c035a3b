/* SPDX-License-Identifier: Apache-2.0
 * Variables in the words of a Dockerfile (Dockerfile reference, "Environment replacement"). */
#pragma once

#include "base/error.h"
#include "base/strv.h"

enum { EXPAND_MAX = 1 << 20, EXPAND_ALL_MAX = 64 << 20 }; /* bytes of a word; of all words of a file */

struct expand_scope {
	/* The value of a variable, borrowed until the next call; NULL: it is not set. */
	const char *(*get)(void *data, const char *name);
	void *data;
	char escape;
	int plain_quotes;   /* a quote is a character like others, as in a here-document */
	int keep_escapes;   /* they stay in the text */
	struct strv *unset; /* names without a value that were used, each once; or NULL */
	size_t *left;       /* bytes that words may still become, taken down; or NULL */
};

/* Expands a word and takes its quotes off; *ret is owned. 0; -EINVAL: the word has no end, a wrong
 * modifier, or ${NAME:?} is not set; -E2BIG. */
int expand_word(const struct expand_scope *s, const char *word, char **ret, struct error **err);
/* The same for a text of several words: blanks outside of quotes, those of values too, divide
 * them. */
int expand_words(const struct expand_scope *s, const char *text, struct strv *to, struct error **err);
