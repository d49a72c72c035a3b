/* SPDX-License-Identifier: Apache-2.0
 * The instructions of a Dockerfile: one row each. */
#pragma once

#include <stddef.h>

#include "base/macros.h"

enum dockerfile_form {
	FORM_TEXT,  /* the text as it stands */
	FORM_WORDS, /* words at blanks, or a JSON array */
	FORM_SHELL, /* a command line, or a JSON array */
	FORM_JSON,  /* a JSON array only */
};

enum dockerfile_id {
	DOCKERFILE_ADD,
	DOCKERFILE_ARG,
	DOCKERFILE_CMD,
	DOCKERFILE_COPY,
	DOCKERFILE_ENTRYPOINT,
	DOCKERFILE_ENV,
	DOCKERFILE_EXPOSE,
	DOCKERFILE_FROM,
	DOCKERFILE_HEALTHCHECK,
	DOCKERFILE_LABEL,
	DOCKERFILE_MAINTAINER,
	DOCKERFILE_ONBUILD,
	DOCKERFILE_RUN,
	DOCKERFILE_SHELL,
	DOCKERFILE_STOPSIGNAL,
	DOCKERFILE_USER,
	DOCKERFILE_VOLUME,
	DOCKERFILE_WORKDIR,
};

struct dockerfile_kind {
	const char *name; /* upper case */
	enum dockerfile_id id;
	enum dockerfile_form form;
	int min_words;            /* how many arguments there are at least */
	int max_words;            /* 0: any number */
	int heredocs;             /* whether "<<NAME" begins one */
	int onbuild;              /* whether ONBUILD takes it */
	const char *const *flags; /* NULL-terminated; or NULL */
	const char *usage;        /* for errors */
};

/* The row of a keyword, in any case; or NULL, with the nearest keyword in *ret_near (or NULL). */
const struct dockerfile_kind *dockerfile_kind_find(const char *word, const char **ret_near);
/* Whether an instruction knows the flag; else the nearest of its flags in *ret_near (or NULL). */
int dockerfile_kind_has_flag(const struct dockerfile_kind *k, const char *flag, const char **ret_near);
