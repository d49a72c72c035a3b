/* SPDX-License-Identifier: Apache-2.0
 * The keeper frees a run when it hears of the end, so that never happens inside one of the run's
 * own calls. */
#include "isolation/run_end.h"

#include "base/alloc.h"

int run_end_begin(struct run_end *e, int code, char *why)
{
	if (e->begun) {
		free(why);
		return 0;
	}
	e->begun = 1;
	e->code = code;
	e->why = why;
	return 1;
}

static void on_told(struct source *s, void *data)
{
	struct run_end *e = data;
	source_free(TAKE_PTR(e->source));
	e->told = 1;
	if (e->before)
		e->before(e->run);
	e->events->ended(e->code, e->why, e->data);
}

void run_end_tell(struct run_end *e)
{
	if (!e->source && !e->told)
		loop_add_deferred(e->loop, on_told, e, &e->source);
}

void run_end_silence(struct run_end *e)
{
	e->begun = e->told = 1;
}

void run_end_done(struct run_end *e)
{
	source_free(e->source);
	free(e->why);
}

void run_describe_process(struct json_object *processes, const char *what, pid_t pid)
{
	if (!pid)
		return;
	struct json_object *process = json_object_new_object();
	json_add_string(process, "what", what);
	json_add_i64(process, "pid", pid);
	json_object_array_add(processes, process);
}
