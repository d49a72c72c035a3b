/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/machine/describe.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/client.h"
#include "isolation/isolation.h"

/* The isolation that the machine's disk is made for: what it runs in, whether this host can do that
 * now or not. */
static const struct isolation_disk_ops *disk_ops(const struct machine *m)
{
	return isolation_disk_table(m->form, NULL);
}

/* A running machine may have written more since it was measured. */
static void add_disk_used(struct json_object *o, const struct machine *m, const struct isolation_disk_ops *disk)
{
	uint64_t used;
	int64_t when_ns = 0;
	const char *state = "stopped";
	if (!disk || !disk->disk_usage || disk->disk_usage(m, &used, &when_ns) < 0)
		return;
	json_add_u64(o, "disk_used", used);
	json_get_string(o, "state", &state, NULL);
	AUTOFREE char *when = when_ns && !streq(state, "stopped") ? clock_format_rfc3339(when_ns) : NULL;
	if (when)
		json_add_string(o, "disk_measured", when);
}

struct json_object *describe_short(const char *name, const char *default_name, uint64_t deadline_ms)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	struct json_object *o = json_object_new_object();
	json_add_string(o, "name", name);
	int r = machine_load(name, &m, &err);
	json_add_string(o, "image", m ? m->image : NULL);
	json_add_string(o, "state", client_state_word(name, deadline_ms, NULL));
	if (r < 0) {
		json_add_string(o, "error", error_text(err, r));
	} else {
		const struct isolation_disk_ops *disk = disk_ops(m);
		json_add_string(o, "isolation", disk ? disk->name : machine_isolation_words[m->isolation]);
		json_add_u64(o, "cpus", machine_cpus(m));
		json_add_u64(o, "memory", machine_memory(m));
		json_add_u64(o, "disk-size", machine_disk_size(m));
		add_disk_used(o, m, disk);
		json_add_string(o, "created", m->created);
	}
	json_add_bool(o, "default", streq(name, default_name));
	return o;
}

/* null rather than left out: a reader of inspect can rely on the keys. */
static void add_string_or_null(struct json_object *o, const char *key, const char *value)
{
	if (value)
		json_add_string(o, key, value);
	else
		json_object_object_add(o, key, NULL);
}

static void add_keeper(struct json_object *o, struct json_object *state)
{
	static const char *const copied[] = { "pid", "stage", "init", "version", "warnings", "parts", "ports" };
	struct json_object *keeper = json_object_new_object(), *value;
	const char *started = NULL;
	if (state)
		json_get_string(state, "started", &started, NULL);
	add_string_or_null(o, "started", started);
	for (size_t i = 0; state && i < ARRAY_SIZE(copied); i++)
		if (json_object_object_get_ex(state, copied[i], &value))
			json_object_object_add(keeper, copied[i], json_object_get(value));
	if (state)
		json_object_object_add(o, "keeper", json_object_get(keeper));
	else
		json_object_object_add(o, "keeper", NULL);
	json_object_put(keeper);
}

/* What `set` can set, under the names it has there, as it holds: defaults filled in. */
static void add_settings(struct json_object *o, const struct machine *m)
{
	struct json_object *env = json_object_new_object();
	AUTO_STRV struct strv private = { 0 };
	machine_home_private(m, &private);
	json_add_u64(o, "cpus", machine_cpus(m));
	json_add_u64(o, "memory", machine_memory(m));
	json_add_u64(o, "disk-size", machine_disk_size(m));
	json_add_u64(o, "pids", machine_pids(m));
	json_add_string(o, "home-mount", machine_home_words[m->home_mount]);
	json_add_strv(o, "home_private", &private);
	json_add_string(o, "isolation", machine_isolation_words[m->isolation]);
	add_string_or_null(o, "kernel", m->kernel);
	add_string_or_null(o, "kernel-modules", m->kernel_modules);
	json_add_string(o, "user", m->user);
	json_add_string(o, "init", machine_init_words[m->init]);
	json_add_string(o, "wait", machine_wait_words[m->wait]);
	for (size_t i = 0; i < ARRAY_SIZE(machine_share_keys); i++)
		json_add_string(o, machine_share_keys[i].key, machine_share_keys[i].words[m->share_choices[i]]);
	json_add_bool(o, "host-access", m->host_access);
	json_add_string(o, "proxy", m->proxy ? m->proxy : "host");
	json_add_bool(o, "socketcall", m->socketcall);
	json_add_string(o, "transport", m->transport ? m->transport : "serial");
	for (size_t i = 0; i < m->env.count; i++) {
		const char *text = m->env.items[i], *equals = strchr(text, '=');
		AUTOFREE char *key = xstrndup(text, equals ? (size_t)(equals - text) : strlen(text));
		json_add_string(env, key, equals ? equals + 1 : "");
	}
	json_add(o, "env", env);
}

static void copy_members(struct json_object *o, const struct machine *m)
{
	static const char *const keys[] = { "image", "image_digest", "image_disk", "image_trees", "image_config",
		"platform", "home", "uid", "gid", "mounts", "publish" };
	AUTO_JSON struct json_object *all = machine_to_json(m);
	struct json_object *value;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_object_object_get_ex(all, keys[i], &value))
			json_object_object_add(o, keys[i], json_object_get(value));
}

struct json_object *describe_whole(const struct machine *m, const char *default_name, uint64_t deadline_ms)
{
	AUTO_JSON struct json_object *state = NULL;
	const struct isolation_disk_ops *disk = disk_ops(m);
	struct json_object *o = json_object_new_object();
	AUTOFREE char *directory = machine_dir(m->name);
	json_add_string(o, "name", m->name);
	json_add_string(o, "id", m->id);
	json_add_string(o, "state", client_state_word(m->name, deadline_ms, &state));
	json_add_bool(o, "default", streq(m->name, default_name));
	json_add_string(o, "created", m->created);
	add_keeper(o, state);
	add_settings(o, m);
	add_string_or_null(o, "isolation_used", disk ? disk->name : NULL);
	add_string_or_null(o, "init_path", m->init_path);
	copy_members(o, m);
	add_disk_used(o, m, disk);
	json_add_string(o, "directory", directory);
	return o;
}
