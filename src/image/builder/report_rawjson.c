/* SPDX-License-Identifier: Apache-2.0
 * A report as BuildKit's SolveStatus (client/graph.go), a JSON object a line: "vertexes" that have
 * begun or ended, and "logs" of one. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "docker/base64.h"
#include "image/builder/report_private.h"
#include "image/common/hash.h"

static void write_status(const char *key, struct json_object *one)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	json_object_array_add(list, one);
	json_add(o, key, list);
	AUTOFREE char *json = json_to_string(o, 0), *text = printable_json(json);
	fprintf(stderr, "%s\n", text);
}

/* The name of the step in this build. */
static void digest_of(const struct report_lane *l, char *ret)
{
	AUTOFREE char *text = xasprintf("%zu %zu %s", l->stage, l->index, l->text ? l->text : "");
	hash_memory(text, strlen(text), ret);
}

static void add_time(struct json_object *o, const char *key, int64_t ns)
{
	AUTOFREE char *text = clock_format_rfc3339(ns);
	json_add_string(o, key, text);
}

static struct json_object *vertex_of(const struct report_lane *l)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *name = xasprintf("%s%s%s", l->label ? l->label : "", l->label ? " " : "", l->text);
	char digest[DIGEST_TEXT_SIZE + 1];
	digest_of(l, digest);
	json_add_string(o, "digest", digest);
	json_add_string(o, "name", name);
	add_time(o, "started", l->begun_ns);
	return o;
}

static void begin(struct report_lane *l)
{
	write_status("vertexes", vertex_of(l));
}

static void output(struct report_lane *l, const void *data, size_t size)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *text = docker_base64(data, size);
	char digest[DIGEST_TEXT_SIZE + 1];
	digest_of(l, digest);
	json_add_string(o, "vertex", digest);
	json_add_u64(o, "stream", 1);
	json_add_string(o, "data", text);
	add_time(o, "timestamp", clock_realtime_ns());
	write_status("logs", o);
}

static void end(struct report_lane *l, int is_cached, const char *result)
{
	struct json_object *o = vertex_of(l);
	add_time(o, "completed", clock_realtime_ns());
	if (is_cached)
		json_add_bool(o, "cached", 1);
	write_status("vertexes", o);
}

static void failure(struct report_lane *l, const char *excerpt)
{
	struct json_object *o = vertex_of(l);
	add_time(o, "completed", clock_realtime_ns());
	json_add_string(o, "error", excerpt);
	write_status("vertexes", o);
}

static void note(struct report *r, const char *text)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *data = docker_base64(text, strlen(text));
	json_add_u64(o, "level", 1);
	json_add_string(o, "short", data);
	write_status("warnings", o);
}

static void image(struct report *r, const char *digest, const struct strv *names)
{
	report_show_image(r, digest, NULL);
}

const struct report_face report_rawjson = {
	.begin = begin,
	.output = output,
	.end = end,
	.failure = failure,
	.note = note,
	.image = image,
};
