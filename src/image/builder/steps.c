/* SPDX-License-Identifier: Apache-2.0
 * The steps of a stage, one after the other. */
#include <errno.h>

#include "base/alloc.h"
#include "base/json.h"
#include "image/build/instruction.h"
#include "image/builder/cache.h"
#include "image/builder/cache_share.h"
#include "image/builder/parallel.h"
#include "image/builder/timestamps.h"
#include "image/common/interrupt.h"

enum { COPIED_MAX = 32 << 20 };

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void build_step_add(struct build_step *s, struct build_layer *layer)
{
	build_state_add(s->state, layer, s->instruction->text);
	free(TAKE_PTR(layer->media_type));
}

/* Whether --no-cache-filter names the stage. */
static int is_made_again(const struct build_step *s)
{
	const struct strv *names = s->builder->options->again;
	for (size_t i = 0; names && i < names->count; i++)
		if (stages_find(s->builder->stages, names->items[i], s->builder->stages->count) == (int)s->stage)
			return 1;
	return 0;
}

/* For --cache-to: the layer as the image has it. */
static void note(struct build_step *s, const char *key, const struct build_layer *layer)
{
	struct builder *b = s->builder;
	struct build_layer copy = *layer;
	int wanted = b->options->epoch >= 0 && *layer->digest && b->options->cache_to && b->options->cache_to->count;
	copy.media_type = xstrdup(layer->media_type);
	if (!wanted || build_layer_clamp(b->library, b->options->epoch, &copy, NULL) == 0)
		build_cache_note(b, key, &copy);
	free(copy.media_type);
}

int build_step_find(struct build_step *s, const char *key, struct build_layer *ret)
{
	struct builder *b = s->builder;
	if (b->options->no_cache || is_made_again(s) ||
	    (!build_cache_find(b->library, key, ret) && !build_cache_find_imported(b, key, ret)))
		return 0;
	char first[DIGEST_TEXT_SIZE + 1];
	note(s, key, ret);
	/* Another machine may have other times in the layers that this key is made of. */
	if (b->options->cache_to && b->options->cache_to->count && build_cache_first_key(b->library, key, first))
		note(s, first, ret);
	return 1;
}

void build_step_store(struct build_step *s, const char *key, const char *first, const struct build_layer *layer)
{
	build_cache_store_second(s->builder->library, key, first, layer);
	note(s, key, layer);
}

static int does_work(const struct dockerfile_instruction *i)
{
	static const enum dockerfile_id ids[] = { DOCKERFILE_FROM, DOCKERFILE_RUN, DOCKERFILE_COPY, DOCKERFILE_ADD,
		DOCKERFILE_WORKDIR };
	for (size_t k = 0; k < ARRAY_SIZE(ids); k++)
		if (i->kind->id == ids[k])
			return 1;
	return 0;
}

/* "[NAME 2/5]": the place among the instructions of the stage that do work. Owned. */
static char *label_of(const struct build_step *s)
{
	const struct build_stage *stage = &s->builder->stages->stages[s->stage];
	const struct dockerfile *d = s->builder->file;
	size_t count = 0, place = 0;
	for (size_t i = stage->from; i < stage->end; i++) {
		count += (size_t)does_work(&d->instructions[i]);
		if (d->instructions[i].line <= s->instruction->line)
			place = count;
	}
	if (stage->name)
		return xasprintf("[%s %zu/%zu]", stage->name, place, count);
	return s->builder->stages->count > 1 ? xasprintf("[stage-%zu %zu/%zu]", s->stage, place, count) :
					       xasprintf("[%zu/%zu]", place, count);
}

static struct report_lane *lane_of(const struct build_step *s)
{
	return report_lane(s->builder->report, s->stage);
}

/* The place of the instruction among all that the target needs, from 1. */
static size_t number_of(const struct build_step *s)
{
	const struct stages *all = s->builder->stages;
	size_t number = s->at - all->stages[s->stage].from + 1;
	for (size_t i = 0; i < s->stage; i++)
		number += all->stages[i].is_needed ? all->stages[i].end - all->stages[i].from : 0;
	return number;
}

static int fail_step(const struct build_step *s, int code, struct error **err)
{
	const struct builder *b = s->builder;
	if (code == -EINPROGRESS) /* the process of the stage goes on with it */
		return code;
	AUTOFREE char *around = dockerfile_excerpt(b->file, s->instruction->line),
		      *excerpt = xasprintf("%s:%u\n%s", b->file_name, s->instruction->line, around);
	if (code != -ECANCELED)
		report_failure(lane_of(s), excerpt);
	if (code == -ECHILD && b->options->style == REPORT_DOCKER) /* Docker's words name the command */
		return code;
	return error_prefix(err, code, "%s:%u: %.200s", b->file_name, s->instruction->line, s->instruction->text);
}

static int apply(struct build_step *s, struct error **err)
{
	switch (s->instruction->kind->id) {
	case DOCKERFILE_RUN:
		return build_run(s, err);
	case DOCKERFILE_COPY:
	case DOCKERFILE_ADD:
		return build_copy(s, err);
	default:
		return build_configure(s, err);
	}
}

static int run_step(struct build_step *s, struct error **err)
{
	struct builder *b = s->builder;
	AUTOFREE char *label = does_work(s->instruction) ? label_of(s) : NULL;
	const struct report_step step = { number_of(s), b->total, label, s->instruction->text };
	report_begin(lane_of(s), &step);
	s->is_cached = 0;
	size_t layers = s->state->layer_count;
	int r = interrupt_check(err);
	if (r == 0)
		r = apply(s, err);
	if (r == 0 && b->options->epoch >= 0 && s->state->layer_count > layers)
		r = build_state_clamp(b->library, s->state, layers, b->options->epoch, err);
	if (r < 0)
		return fail_step(s, r, err);
	b->made |= !s->is_cached && does_work(s->instruction);
	report_end(lane_of(s), s->is_cached, s->state->chain);
	return 0;
}

/* ---- stages ---- */

/* The instructions that the base left for whoever builds on it. */
static int run_triggers(struct build_step *s, struct error **err)
{
	AUTO_STRV struct strv triggers = { 0 };
	int r = 0;
	build_state_words(s->state, "OnBuild", &triggers);
	json_object_object_del(s->state->config, "OnBuild");
	for (size_t i = 0; r == 0 && i < triggers.count; i++) {
		CLEANUP(instruction_done) struct dockerfile_instruction trigger = { 0 };
		r = dockerfile_parse_trigger(triggers.items[i], s->builder->file->escape, &trigger, err);
		if (r == 0 && !trigger.kind->onbuild)
			r = error_set(err, EINVAL, "ONBUILD of the base cannot have %s", trigger.kind->name);
		trigger.line = trigger.last_line = s->instruction->line;
		struct build_step step = *s;
		step.instruction = &trigger;
		if (r == 0)
			r = run_step(&step, err);
		s->has_command = step.has_command;
	}
	return r;
}

/* The configuration that Docker gives an image of nothing. */
static void begin_config(struct build_state *s)
{
	AUTO_STRV struct strv env = { 0 };
	strv_add(&env, "PATH=" DEFAULT_PATH);
	json_add_strv(s->config, "Env", &env);
	json_add_string(s->config, "WorkingDir", "/");
}

/* A thousand stages that begin with one another would have the words of all above them. */
static int copy_state(struct builder *b, const struct build_state *from, struct build_state **ret, struct error **err)
{
	AUTOFREE char *config = json_to_string(from->config, 0), *history = json_to_string(from->history, 0);
	b->copied += strlen(config) + strlen(history);
	if (b->copied > COPIED_MAX)
		return error_set(err, E2BIG, "the stages have more than %d MiB of configuration from those above",
		    COPIED_MAX >> 20);
	*ret = build_state_copy(from);
	return 0;
}

static int begin_state(struct builder *b, const struct build_stage *stage, struct build_state **ret, struct error **err)
{
	if (stage->base.stage != STAGE_NONE)
		return copy_state(b, b->states[stage->base.stage], ret, err);
	if (streq(stage->base.image, "scratch")) {
		*ret = build_state_new(&b->platform);
		begin_config(*ret);
		return 0;
	}
	return build_load_image(b, stage->base.image, stage->platform, ret, err);
}

static int run_from(struct build_step *s, struct error **err)
{
	struct builder *b = s->builder;
	const struct build_stage *stage = &b->stages->stages[s->stage];
	AUTOFREE char *label = label_of(s);
	const struct report_step step = { number_of(s), b->total, label, s->instruction->text };
	report_begin(lane_of(s), &step);
	int r = begin_state(b, stage, &b->states[s->stage], err);
	if (r < 0)
		return fail_step(s, r, err);
	s->state = b->states[s->stage];
	report_end(lane_of(s), 0, s->state->chain);
	return run_triggers(s, err);
}

int build_stage_run(struct builder *b, size_t at, struct error **err)
{
	const struct build_stage *stage = &b->stages->stages[at];
	struct build_chain chain = { 0 };
	struct build_step s = { .builder = b,
		.stage = at,
		.chain = &chain,
		.at = stage->from,
		.instruction = &b->file->instructions[stage->from] };
	int r = run_from(&s, err);
	for (size_t i = stage->from + 1; r == 0 && i < stage->end; i++) {
		s.at = i;
		s.instruction = &b->file->instructions[i];
		r = run_step(&s, err);
	}
	build_chain_end(&chain, b->engine);
	return r;
}
