/* SPDX-License-Identifier: Apache-2.0
 * See lint.h: the rules' names, "# check=", and the text. */
#include "image/build/lint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"
#include "base/suggest.h"

enum { WARNINGS_MAX = 1000, TEXT_MAX = 16 << 20 };
#define PAGES "https://docs.docker.com/go/dockerfile/rule/"

static const struct {
	const char *name, *page;
	int experimental;
} rules[LINT_RULE_COUNT] = {
	[LINT_STAGE_NAME_CASING] = { "StageNameCasing", "stage-name-casing", 0 },
	[LINT_FROM_AS_CASING] = { "FromAsCasing", "from-as-casing", 0 },
	[LINT_NO_EMPTY_CONTINUATION] = { "NoEmptyContinuation", "no-empty-continuation", 0 },
	[LINT_CONSISTENT_INSTRUCTION_CASING] = { "ConsistentInstructionCasing", "consistent-instruction-casing", 0 },
	[LINT_DUPLICATE_STAGE_NAME] = { "DuplicateStageName", "duplicate-stage-name", 0 },
	[LINT_RESERVED_STAGE_NAME] = { "ReservedStageName", "reserved-stage-name", 0 },
	[LINT_JSON_ARGS_RECOMMENDED] = { "JSONArgsRecommended", "json-args-recommended", 0 },
	[LINT_MAINTAINER_DEPRECATED] = { "MaintainerDeprecated", "maintainer-deprecated", 0 },
	[LINT_UNDEFINED_ARG_IN_FROM] = { "UndefinedArgInFrom", "undefined-arg-in-from", 0 },
	[LINT_WORKDIR_RELATIVE_PATH] = { "WorkdirRelativePath", "workdir-relative-path", 0 },
	[LINT_UNDEFINED_VAR] = { "UndefinedVar", "undefined-var", 0 },
	[LINT_MULTIPLE_INSTRUCTIONS_DISALLOWED] = { "MultipleInstructionsDisallowed",
	    "multiple-instructions-disallowed", 0 },
	[LINT_LEGACY_KEY_VALUE_FORMAT] = { "LegacyKeyValueFormat", "legacy-key-value-format", 0 },
	[LINT_INVALID_BASE_IMAGE_PLATFORM] = { "InvalidBaseImagePlatform", "invalid-base-image-platform", 0 },
	[LINT_REDUNDANT_TARGET_PLATFORM] = { "RedundantTargetPlatform", "redundant-target-platform", 0 },
	[LINT_SECRETS_USED_IN_ARG_OR_ENV] = { "SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env", 0 },
	[LINT_INVALID_DEFAULT_ARG_IN_FROM] = { "InvalidDefaultArgInFrom", "invalid-default-arg-in-from", 0 },
	[LINT_FROM_PLATFORM_FLAG_CONST_DISALLOWED] = { "FromPlatformFlagConstDisallowed",
	    "from-platform-flag-const-disallowed", 0 },
	[LINT_COPY_IGNORED_FILE] = { "CopyIgnoredFile", "copy-ignored-file", 1 },
	[LINT_INVALID_DEFINITION_DESCRIPTION] = { "InvalidDefinitionDescription", "invalid-definition-description", 1 },
	[LINT_EXPOSE_PROTO_CASING] = { "ExposeProtoCasing", "expose-proto-casing", 0 },
	[LINT_EXPOSE_INVALID_FORMAT] = { "ExposeInvalidFormat", "expose-invalid-format", 0 },
};

const char *lint_rule_name(enum lint_rule rule)
{
	return rules[rule].name;
}

void lint_done(struct lint *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i].text);
	free(l->items);
	*l = (struct lint){ 0 };
}

void lint_base_done(struct lint_base *b)
{
	strv_done(&b->env);
	free(TAKE_PTR(b->platform));
}

int lint_takes(const struct lint *l, enum lint_rule rule)
{
	return !l->skipped[rule] && (!rules[rule].experimental || l->wanted[rule]) && l->count < WARNINGS_MAX;
}

void lint_add(struct lint *l, enum lint_rule rule, unsigned line, const char *format, ...)
{
	va_list arguments;
	if (!lint_takes(l, rule))
		return;
	l->items = xgrow(l->items, l->count, sizeof *l->items);
	va_start(arguments, format);
	l->items[l->count++] =
	    (struct lint_warning){ .rule = rule, .text = xvasprintf(format, arguments), .line = line };
	va_end(arguments);
}

/* ---- "# check=" ---- */

/* "A,B" or "all": marks them. */
static int mark(const char *names, unsigned char *marks, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, names, ",");
	for (size_t i = 0; i < parts.count; i++) {
		const char *name = parts.items[i] + strspn(parts.items[i], " \t");
		struct suggestion near = SUGGESTION(name);
		int found = streq(name, "all");
		for (size_t k = 0; k < LINT_RULE_COUNT; k++) {
			int is_it = found == 1 || streq(name, rules[k].name);
			marks[k] |= is_it;
			found = is_it && !found ? 2 : found;
			suggestion_offer(&near, rules[k].name);
		}
		if (!found && *name)
			return near.near ? error_set(err, EINVAL, "# check=: no rule \"%.60s\"; did you mean %s?", name,
					       near.near) :
					   error_set(err, EINVAL, "# check=: no rule \"%.60s\"", name);
	}
	return 0;
}

static int read_directive(const char *text, struct lint *l, struct error **err)
{
	AUTO_STRV struct strv parts = { 0 };
	int r = 0;
	strv_split(&parts, text ? text : "", ";");
	for (size_t i = 0; r == 0 && i < parts.count; i++) {
		const char *part = parts.items[i] + strspn(parts.items[i], " \t");
		const char *skip = startswith(part, "skip="), *experimental = startswith(part, "experimental="),
			   *error = startswith(part, "error=");
		if (skip || experimental)
			r = mark(skip ? skip : experimental, skip ? l->skipped : l->wanted, err);
		else if (!error && *part)
			r = error_set(err, EINVAL, "# check=%.60s: there are skip=, error= and experimental=", part);
		else if (error && parse_bool(error, &l->is_error) < 0)
			r = error_set(err, EINVAL, "# check=error=%.60s: write true or false", error);
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct lint_warning *x = a, *y = b;
	return x->line != y->line ? (x->line > y->line) - (x->line < y->line) : (int)x->rule - (int)y->rule;
}

int lint_check(const struct lint_input *in, struct lint *ret, struct error **err)
{
	*ret = (struct lint){ 0 };
	int r = read_directive(in->file->check, ret, err);
	if (r < 0)
		return r;
	lint_run(in, ret);
	if (ret->count)
		qsort(ret->items, ret->count, sizeof *ret->items, compare);
	return 0;
}

/* ---- the text ---- */

char *lint_text(const struct lint *l, const struct dockerfile *d, const char *file_name)
{
	static const char line[] = "--------------------";
	AUTO_BUFFER struct buffer b;
	int r = 0;
	buffer_init(&b, TEXT_MAX);
	if (!l->count)
		buffer_append_string(&b, "Check complete, no warnings found.\n");
	else if (l->count == 1)
		buffer_append_string(&b, "Check complete, 1 warning has been found!\n");
	else
		buffer_appendf(&b, "Check complete, %zu warnings have been found!\n", l->count);
	for (size_t i = 0; i < l->count && r == 0; i++) {
		const struct lint_warning *w = &l->items[i];
		AUTOFREE char *around = dockerfile_excerpt(d, w->line);
		r = buffer_appendf(&b, "\nWARNING: %s - %s%s/\n%s\n%s:%u\n%s\n%s%s\n", rules[w->rule].name, PAGES,
		    rules[w->rule].page, w->text, file_name, w->line, line, around, line);
	}
	return buffer_take_string(&b);
}

static struct json_object *location_of(unsigned line)
{
	struct json_object *o = json_object_new_object(), *ranges = json_object_new_array(),
			   *range = json_object_new_object(), *start = json_object_new_object(),
			   *end = json_object_new_object();
	json_add_u64(start, "line", line);
	json_add_u64(end, "line", line);
	json_add(range, "start", start);
	json_add(range, "end", end);
	json_object_array_add(ranges, range);
	json_add(o, "ranges", ranges);
	return o;
}

struct json_object *lint_json(const struct lint *l)
{
	struct json_object *all = json_object_new_object(), *list = json_object_new_array();
	for (size_t i = 0; i < l->count; i++) {
		const struct lint_warning *w = &l->items[i];
		struct json_object *o = json_object_new_object();
		AUTOFREE char *url = xasprintf(PAGES "%s/", rules[w->rule].page);
		json_add_string(o, "ruleName", rules[w->rule].name);
		json_add_string(o, "url", url);
		json_add_string(o, "detail", w->text);
		json_add(o, "location", location_of(w->line));
		json_object_array_add(list, o);
	}
	json_add(all, "warnings", list);
	return all;
}

char *lint_violation(const struct lint *l)
{
	AUTO_STRV struct strv names = { 0 };
	for (size_t i = 0; i < l->count; i++)
		if (!strv_contains(&names, rules[l->items[i].rule].name))
			strv_add(&names, rules[l->items[i].rule].name);
	AUTOFREE char *text = strv_join(&names, ", ");
	return xasprintf("lint violation found for rules: %s", text);
}
