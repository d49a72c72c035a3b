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
	int known = m && disk && disk->disk_usage && disk->disk_usage(m, &used, &when_ns) == 0;
	json_add(o, "disk_used", known ? json_object_new_uint64(used) : NULL);
	json_get_string(o, "state", &state, NULL);
	AUTOFREE char *when = known && when_ns && !streq(state, "stopped") ? clock_format_rfc3339(when_ns) : NULL;
	json_add_string_or_null(o, "disk_measured", when);
}

/* An amount that needs the machine's settings: null without them. */
static void add_amount(struct json_object *o, const char *key, const struct machine *m,
    uint64_t (*amount)(const struct machine *m))
{
	json_add(o, key, m ? json_object_new_uint64(amount(m)) : NULL);
}

/* The sockets of published ports, and of those that opened by themselves. */
static void add_ports(struct json_object *o, struct json_object *state)
{
	struct json_object *ports = NULL;
	if (state)
		json_get_array(state, "ports", &ports, NULL);
	json_add(o, "ports", ports ? json_object_get(ports) : json_object_new_array());
}

struct json_object *describe_short(const char *name, const char *default_name, uint64_t deadline_ms)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_MACHINE struct machine *m = NULL;
	AUTO_JSON struct json_object *state = NULL;
	struct json_object *o = json_object_new_object();
	int r = machine_load(name, &m, &err);
	const struct isolation_disk_ops *disk = m ? disk_ops(m) : NULL;
	json_add_string(o, "name", name);
	json_add_string_or_null(o, "image", m ? m->image : NULL);
	json_add_string(o, "state", client_state_word(name, deadline_ms, &state));
	json_add_string_or_null(o, "error", r < 0 ? error_text(err, r) : NULL);
	json_add_string_or_null(o, "isolation", disk ? disk->name : m ? machine_isolation_words[m->isolation] : NULL);
	add_amount(o, "cpus", m, machine_cpus);
	add_amount(o, "memory", m, machine_memory);
	add_amount(o, "disk_size", m, machine_disk_size);
	add_disk_used(o, m, disk);
	json_add_string_or_null(o, "created", m ? m->created : NULL);
	json_add_string_or_null(o, "address", m ? m->address : NULL);
	add_ports(o, state);
	json_add_bool(o, "default", streq(name, default_name));
	return o;
}

static void add_keeper(struct json_object *o, struct json_object *state)
{
	static const char *const copied[] = { "pid", "stage", "paused", "init", "version", "warnings", "parts", "ports",
		"auto_ports" };
	struct json_object *keeper = state ? json_object_new_object() : NULL, *value;
	const char *started = NULL;
	if (state)
		json_get_string(state, "started", &started, NULL);
	json_add_string_or_null(o, "started", started);
	for (size_t i = 0; state && i < ARRAY_SIZE(copied); i++)
		if (json_object_object_get_ex(state, copied[i], &value))
			json_add(keeper, copied[i], json_object_get(value));
	json_add(o, "keeper", keeper);
}

static struct json_object *env_to_json(const struct machine *m)
{
	struct json_object *env = json_object_new_object();
	for (size_t i = 0; i < m->env.count; i++) {
		const char *text = m->env.items[i], *equals = strchr(text, '=');
		AUTOFREE char *key = xstrndup(text, equals ? (size_t)(equals - text) : strlen(text));
		json_add_string(env, key, equals ? equals + 1 : "");
	}
	return env;
}

/* Settings that a machine takes up when it starts, as they hold: defaults filled in. */
static struct json_object *settings_of(const struct machine *m)
{
	AUTO_JSON struct json_object *all = machine_to_json(m);
	AUTO_STRV struct strv private = { 0 };
	struct json_object *o = json_object_new_object();
	machine_home_private(m, &private);
	json_add_u64(o, "cpus", machine_cpus(m));
	json_add_u64(o, "memory", machine_memory(m));
	json_add_u64(o, "disk_size", machine_disk_size(m));
	json_add_u64(o, "pids", machine_pids(m));
	json_add_string(o, "home_mount", machine_home_words[m->home_mount]);
	json_add_strv(o, "home_private", &private);
	json_add_string_or_null(o, "kernel", m->kernel);
	json_add_string_or_null(o, "kernel_modules", m->kernel_modules);
	json_add_string(o, "user", m->user);
	json_add_string(o, "init", machine_init_words[m->init]);
	for (size_t i = 0; i < ARRAY_SIZE(machine_share_keys); i++)
		json_add_string(o, machine_share_keys[i].json, machine_share_keys[i].words[m->share_choices[i]]);
	json_add_bool(o, "host_access", m->host_access);
	json_add_string(o, "ca", machine_ca_words[m->ca]);
	json_add_string(o, "proxy", m->proxy ? m->proxy : "host");
	json_add_bool(o, "socketcall", m->socketcall);
	json_add_string(o, "transport", m->transport ? m->transport : machine_transport_words[0]);
	json_add(o, "env", env_to_json(m));
	json_add(o, "mounts", json_object_get(json_object_object_get(all, "mounts")));
	return o;
}

/* Whether two lists of mounts have the same places inside: the host's are spelled in more ways than
 * one. */
static int are_same_mounts(const struct machine *a, const struct machine *b)
{
	int same = a->mount_count == b->mount_count;
	for (size_t i = 0; same && i < a->mount_count; i++) {
		same = 0;
		for (size_t j = 0; j < b->mount_count; j++)
			same |= streq(a->mounts[i].inside, b->mounts[j].inside) &&
				a->mounts[i].read_only == b->mounts[j].read_only;
	}
	return same;
}

/* Adds "running", the settings that the machine runs with (null: it does not run), and
 * "restart_needed", the keys of those that are set otherwise. */
static void add_running(struct json_object *o, const struct machine *m, int runs, uint64_t deadline_ms)
{
	AUTO_JSON struct json_object *answer = NULL, *settings = NULL;
	AUTO_MACHINE struct machine *running = NULL;
	struct json_object *needed = json_object_new_array(), *set = NULL;
	if (runs && client_get(m->name, "/v1/settings", deadline_ms, &answer, NULL) == 0)
		machine_from_json(answer, &running, NULL);
	settings = running ? settings_of(running) : NULL;
	json_add(o, "running", json_object_get(settings));
	json_add(o, "restart_needed", needed);
	if (!running)
		return;
	json_object_object_foreach(settings, key, value)
	{
		int same = streq(key, "mounts") ?
			       are_same_mounts(m, running) :
			       json_object_object_get_ex(o, key, &set) && json_object_equal(set, value);
		if (!same)
			json_object_array_add(needed, json_object_new_string(key));
	}
}

static void copy_members(struct json_object *o, const struct machine *m)
{
	static const char *const keys[] = { "image", "image_digest", "image_disk", "image_trees", "image_config",
		"platform", "home", "uid", "gid", "publish" };
	AUTO_JSON struct json_object *all = machine_to_json(m);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_add(o, keys[i], json_object_get(json_object_object_get(all, keys[i])));
}

struct json_object *describe_whole(const struct machine *m, const char *default_name, uint64_t deadline_ms)
{
	AUTO_JSON struct json_object *state = NULL, *settings = settings_of(m);
	const struct isolation_disk_ops *disk = disk_ops(m);
	struct json_object *o = json_object_new_object();
	AUTOFREE char *directory = machine_dir(m->name);
	json_add_string(o, "name", m->name);
	json_add_string(o, "id", m->id);
	json_add_string(o, "state", client_state_word(m->name, deadline_ms, &state));
	json_add_bool(o, "default", streq(m->name, default_name));
	json_add_string(o, "created", m->created);
	add_keeper(o, state);
	json_object_object_foreach(settings, key, value)
	{
		json_add(o, key, json_object_get(value));
	}
	json_add_string(o, "isolation", machine_isolation_words[m->isolation]);
	json_add_string_or_null(o, "isolation_used", disk ? disk->name : NULL);
	json_add_string(o, "wait", machine_wait_words[m->wait]);
	json_add_string(o, "autostart", machine_autostart_words[m->autostart]);
	json_add_string(o, "auto_ports", machine_auto_ports_words[m->auto_ports]);
	json_add_string(o, "address", m->address);
	json_add_string_or_null(o, "init_path", m->init_path);
	copy_members(o, m);
	add_running(o, m, state != NULL, deadline_ms);
	add_disk_used(o, m, disk);
	json_add_string(o, "directory", directory);
	return o;
}
