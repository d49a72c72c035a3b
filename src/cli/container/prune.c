/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/container/prune.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/container/api.h"
#include "cli/output.h"
#include "docker/units.h"

enum { PRUNE_MS = 10 * 60 * 1000 };

/* Asks on the terminal: 1 yes, 0 no. -ENOTTY without one. */
static int ask(const char *question, struct error **err)
{
	char answer[16] = "";
	if (!isatty(STDIN_FILENO))
		return error_set(err, ENOTTY, "prune asks first, and standard input is no terminal; give --force");
	output_progress_clear();
	output_note("%s Go on? [y/N]", question);
	if (!fgets(answer, sizeof answer, stdin))
		return 0;
	return answer[0] == 'y' || answer[0] == 'Y';
}

static void show(const struct prune *what, struct json_object *answer)
{
	struct json_object *names = NULL;
	uint64_t bytes = 0;
	json_get_array(answer, what->deleted, &names, NULL);
	int has_size = json_get_u64(answer, "SpaceReclaimed", &bytes, NULL) == 0;
	size_t count = names ? json_object_array_length(names) : 0;
	if (count)
		output_line("%s", what->title);
	for (size_t i = 0; i < count; i++)
		output_line("%s", json_object_get_string(json_object_array_get_idx(names, i)));
	if (count)
		output_line("%s", "");
	AUTOFREE char *size = docker_size(bytes);
	if (has_size)
		output_line("Total reclaimed space: %s", size);
}

int prune_run(const struct prune *what, const struct command_spec *c, const struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_API struct api a = { 0 };
	AUTO_STRV struct strv texts = { 0 };
	AUTO_JSON struct json_object *answer = NULL;
	AUTOFREE char *filters = NULL;
	strv_add_all(&texts, options_list(o, "filter"));
	if (what->filter)
		strv_add(&texts, what->filter);
	int r = api_filters(&texts, &filters, &err);
	if (r == 0)
		r = api_init(&a, c, o, &err);
	if (r == 0)
		r = options_given(o, "force") ? 1 : ask(what->question, &err);
	if (r <= 0)
		return r < 0 ? output_failure(r, err) : 0;
	a.timeout_ms = PRUNE_MS;
	AUTOFREE char *target = api_target(what->target, "filters", filters, NULL);
	r = api_call(&a, "POST", target, NULL, &answer, &err);
	if (r < 0)
		return api_failure(&a, NULL, NULL, r, &err);
	if (answer)
		show(what, answer);
	return 0;
}
