/* SPDX-License-Identifier: Apache-2.0
 * See check.h. */
#include "image/builder/check.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/printable.h"
#include "image/build/describe.h"
#include "image/build/lint.h"

static int find_base(void *builder, const char *name, struct lint_base *ret)
{
	struct builder *b = builder;
	AUTOFREE char *found = NULL, *digest = NULL;
	AUTO_BUILD_STATE struct build_state *state = NULL;
	int r = image_find(b->library, name, &b->platform, &found, &digest, NULL);
	if (r < 0)
		r = image_find(b->library, name, NULL, &found, &digest, NULL);
	if (r == 0)
		r = build_state_load(b->library, digest, &state, NULL);
	if (r < 0)
		return r;
	build_state_words(state, "Env", &ret->env);
	ret->has_directory = build_state_text(state, "WorkingDir", NULL) != NULL;
	ret->has_shell = json_object_object_get_ex(state->config, "Shell", NULL);
	ret->platform = oci_platform_to_string(&state->platform);
	return 0;
}

static int check(struct builder *b, const struct ignore *ignore, struct lint *ret, struct error **err)
{
	static const struct strv none = { 0 };
	const struct lint_input in = { .file = b->file,
		.given = b->options->args ? b->options->args : &none,
		.platform = &b->platform_args,
		.ignore = ignore,
		.find_base = find_base,
		.data = b };
	int r = lint_check(&in, ret, err);
	return r < 0 ? error_prefix(err, r, "%s", b->file_name) : 0;
}

/* Line by line, empty ones too. */
static void show(const char *text)
{
	for (const char *at = text; *at;) {
		size_t n = strcspn(at, "\n");
		AUTOFREE char *line = xstrndup(at, n);
		printf("%s\n", printable(line));
		at += at[n] ? n + 1 : n;
	}
}

void build_call_show(struct builder *b)
{
	static const struct strv none = { 0 };
	const struct build_options *o = b->options;
	AUTO_JSON struct json_object *described = o->call == BUILD_CALL_TARGETS ?
						      describe_targets(b->file, b->stages) :
						      describe_outline(b->file, b->stages, o->args ? o->args : &none);
	AUTOFREE char *text = o->as_json ? json_to_string(described, 1) : describe_text(described);
	show(text);
}

int build_check_show(struct builder *b, struct error **err)
{
	AUTO_LINT struct lint lint = { 0 };
	AUTO_IGNORE struct ignore *ignore = NULL;
	int r = build_read_ignore(b, &ignore, err);
	if (r == 0)
		r = check(b, ignore, &lint, err);
	if (r < 0)
		return r;
	AUTO_JSON struct json_object *o = b->options->as_json ? lint_json(&lint) : NULL;
	AUTOFREE char *text = o ? json_to_string(o, 1) : lint_text(&lint, b->file, b->file_name),
		      *violation = lint_violation(&lint);
	show(text);
	return lint.count ? error_set(err, EINVAL, "%s: %s", b->file_name, violation) : 0;
}

int build_check_begin(struct builder *b, struct error **err)
{
	AUTO_LINT struct lint lint = { 0 };
	int r = b->file->check ? check(b, NULL, &lint, err) : 0;
	if (r < 0 || !lint.is_error || !lint.count)
		return r;
	const struct lint_warning *w = &lint.items[0];
	AUTOFREE char *around = dockerfile_excerpt(b->file, w->line), *violation = lint_violation(&lint);
	report_failure(report_lane(b->report, 0), around);
	return error_set(err, EINVAL, "%s:%u: %s: %s", b->file_name, w->line, violation, w->text);
}

void build_check_end(struct builder *b)
{
	AUTO_LINT struct lint lint = { 0 };
	if (check(b, NULL, &lint, NULL) < 0)
		return;
	for (size_t i = 0; i < lint.count; i++)
		report_note(b->report, "warning: %s: %s (line %u)", lint_rule_name(lint.items[i].rule),
		    lint.items[i].text, lint.items[i].line);
}
