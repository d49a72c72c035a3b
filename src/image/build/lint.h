/* SPDX-License-Identifier: Apache-2.0
 * The checks of `docker build --check` (docs.docker.com/reference/build-checks): what is allowed in
 * a Dockerfile, and probably not meant. */
#pragma once

#include "base/json.h"
#include "image/build/dockerfile.h"
#include "image/build/ignore.h"

enum lint_rule {
	LINT_STAGE_NAME_CASING,
	LINT_FROM_AS_CASING,
	LINT_NO_EMPTY_CONTINUATION,
	LINT_CONSISTENT_INSTRUCTION_CASING,
	LINT_DUPLICATE_STAGE_NAME,
	LINT_RESERVED_STAGE_NAME,
	LINT_JSON_ARGS_RECOMMENDED,
	LINT_MAINTAINER_DEPRECATED,
	LINT_UNDEFINED_ARG_IN_FROM,
	LINT_WORKDIR_RELATIVE_PATH,
	LINT_UNDEFINED_VAR,
	LINT_MULTIPLE_INSTRUCTIONS_DISALLOWED,
	LINT_LEGACY_KEY_VALUE_FORMAT,
	LINT_INVALID_BASE_IMAGE_PLATFORM,
	LINT_REDUNDANT_TARGET_PLATFORM,
	LINT_SECRETS_USED_IN_ARG_OR_ENV,
	LINT_INVALID_DEFAULT_ARG_IN_FROM,
	LINT_FROM_PLATFORM_FLAG_CONST_DISALLOWED,
	LINT_COPY_IGNORED_FILE,
	LINT_INVALID_DEFINITION_DESCRIPTION,
	LINT_EXPOSE_PROTO_CASING,
	LINT_EXPOSE_INVALID_FORMAT,
	LINT_RULE_COUNT,
};

struct lint_warning {
	enum lint_rule rule;
	char *text;
	unsigned line;
};

struct lint {
	struct lint_warning *items; /* by line */
	size_t count;
	int is_error; /* "# check=error=true" */
	/* Of "# check=": rules that are left out, and experimental ones that are not. */
	unsigned char skipped[LINT_RULE_COUNT], wanted[LINT_RULE_COUNT];
};
void lint_done(struct lint *l);
#define AUTO_LINT CLEANUP(lint_done)

/* An image that a stage begins with. */
struct lint_base {
	struct strv env;   /* "NAME=VALUE" */
	int has_shell;     /* its configuration names one */
	int has_directory; /* so it does with WORKDIR */
	char *platform;    /* "linux/arm64" */
};
void lint_base_done(struct lint_base *b);

struct lint_input {
	const struct dockerfile *file;
	const struct strv *given;    /* build arguments, "NAME=VALUE" */
	const struct strv *platform; /* those that are there by themselves */
	const struct ignore *ignore; /* of the context; or NULL */
	/* Describes an image: 0; -errno: nothing is known, and its variables are not checked. */
	int (*find_base)(void *data, const char *image, struct lint_base *ret);
	void *data;
};

/* 0; -EINVAL: "# check=" itself is wrong. */
int lint_check(const struct lint_input *in, struct lint *ret, struct error **err);

/* lint_rules.c: adds what the rules find. */
void lint_run(const struct lint_input *in, struct lint *l);
/* Whether a warning of this rule is wanted, and there is room for it. */
int lint_takes(const struct lint *l, enum lint_rule rule);
void lint_add(struct lint *l, enum lint_rule rule, unsigned line, const char *format, ...) PRINTF_LIKE(4, 5);

const char *lint_rule_name(enum lint_rule rule);
/* {"warnings":[{"ruleName","url","detail","location"}]}, as docker build --call check,format=json
 * shows it; owned. */
struct json_object *lint_json(const struct lint *l);
/* All of it, as docker build --check shows it; owned. */
char *lint_text(const struct lint *l, const struct dockerfile *d, const char *file_name);
/* "lint violation found for rules: A, B"; owned. */
char *lint_violation(const struct lint *l);
