/* SPDX-License-Identifier: Apache-2.0
 * A Dockerfile as a list of instructions (Dockerfile reference, "Format"). Nothing is expanded
 * here, and no flag's value is read: a step does that with the variables that it has. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/strv.h"
#include "image/build/kinds.h"

enum {
	DOCKERFILE_MAX = 4 << 20,
	DOCKERFILE_INSTRUCTIONS_MAX = 16384,
	DOCKERFILE_HEREDOCS_MAX = 64,
	DOCKERFILE_STAGES_MAX = 1000
};

struct dockerfile_heredoc {
	char *name;    /* without quotes */
	char *content; /* lines with their newlines */
	int literal;   /* the name was quoted: no variable is expanded */
	int chomp;     /* "<<-": leading tabs are gone */
};

struct dockerfile_instruction {
	const struct dockerfile_kind *kind;
	unsigned line, last_line; /* 1 is the first of the file */
	unsigned empty_line;      /* of a blank line inside of the instruction; 0: none */
	char *word;               /* the keyword as typed */
	char *text;               /* keyword, flags and arguments in one line */
	struct strv flags;        /* "--name=value" or "--name", without quotes */
	char *rest;               /* the text behind the flags; never NULL */
	struct strv json;         /* the words of the exec form */
	int is_json;
	struct dockerfile_heredoc *heredocs;
	size_t heredoc_count;
};

struct dockerfile {
	struct strv lines; /* as in the file, without line ends */
	char escape;       /* '\\', or '`' by "# escape=" */
	char *syntax;      /* value of "# syntax="; noted only */
	char *check;       /* value of "# check="; or NULL */
	struct dockerfile_instruction *instructions;
	size_t count;
	unsigned error_line, error_column; /* place of the error; 0: none */
};

/* Parses `size` bytes; `name` is the file's, for errors: `NAME:LINE:COLUMN: problem`. 0, or
 * -EINVAL, -E2BIG. *ret is owned, and set even on errors, so that dockerfile_excerpt() can show
 * the place. */
int dockerfile_parse(const char *data, size_t size, const char *name, struct dockerfile **ret, struct error **err);
void dockerfile_free(struct dockerfile *d);
DEFINE_CLEANUP(struct dockerfile, dockerfile_free)
#define AUTO_DOCKERFILE CLEANUP(dockerfile_freep)

/* Parses the instruction of an image's OnBuild, with its here-documents. *ret is the caller's to
 * free, also after an error. 0 or -EINVAL, -E2BIG. */
int dockerfile_parse_trigger(const char *text, char escape, struct dockerfile_instruction *ret, struct error **err);

/* The lines around `line`, each with its number, that one marked with ">>>"; owned. */
char *dockerfile_excerpt(const struct dockerfile *d, unsigned line);
/* The value of a flag: the last one given, "" without a value, NULL when it is not there.
 * Borrowed. */
const char *dockerfile_flag(const struct dockerfile_instruction *i, const char *name);
/* Splits at blanks outside of quotes; quotes and escapes stay in the words. */
void dockerfile_words(const char *text, char escape, struct strv *to);
