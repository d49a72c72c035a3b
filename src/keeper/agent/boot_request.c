/* SPDX-License-Identifier: Apache-2.0
 * The boot request: the machine's configuration and the host's facts; the isolation adds what only
 * it knows. */
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "keeper/agent/host_facts.h"
#include "keeper/keeper_private.h"

static void add_from_image(struct json_object *o, const struct machine *m)
{
	const char *stop_signal = NULL;
	AUTO_STRV struct strv env = { 0 };
	if (json_object_is_type(m->image_config, json_type_object)) {
		json_get_string(m->image_config, "StopSignal", &stop_signal, NULL);
		json_get_strv(m->image_config, "Env", &env, NULL);
	}
	json_add_string(o, "stop_signal", stop_signal);
	json_add_strv(o, "image_env", &env);
}

static struct json_object *machine_object(const struct keeper *k)
{
	const struct machine *m = k->machine;
	struct json_object *o = json_object_new_object();
	AUTOFREE char *timezone = host_timezone();
	AUTO_STRV struct strv services = { 0 };
	json_add_string(o, "name", m->name);
	json_add_string(o, "id", m->id);
	json_add_string(o, "hostname", m->name);
	int own = m->init == MACHINE_INIT_HOLM || k->options.rescue;
	json_add_string(o, "init", own ? NULL : m->init_path);
	json_add_bool(o, "init_search", !own);
	json_add_bool(o, "init_required", !own && m->init == MACHINE_INIT_IMAGE);
	json_add_bool(o, "rescue", k->options.rescue);
	add_from_image(o, m);
	json_add_strv(o, "env", &m->env);
	host_proxies(m, &services);
	json_add_strv(o, "services_env", &services);
	json_add_string(o, "timezone", timezone);
	return o;
}

/* The host user's supplementary groups. */
static struct json_object *groups_array(const struct machine *m)
{
	enum { GROUPS_MAX = 256 };
	struct json_object *a = json_object_new_array();
	int count = getgroups(0, NULL);
	AUTOFREE gid_t *groups = xcalloc(count > 0 ? (size_t)count : 1, sizeof *groups);
	count = getgroups(count > 0 ? count : 0, groups);
	for (int i = 0; i < count && json_object_array_length(a) < GROUPS_MAX; i++) {
		if (groups[i] == m->gid)
			continue;
		struct json_object *o = json_object_new_object();
		AUTOFREE char *name = host_group_name(groups[i]);
		json_add_string(o, "name", name);
		json_add_u64(o, "gid", groups[i]);
		json_object_array_add(a, o);
	}
	return a;
}

static struct json_object *user_object(const struct machine *m)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *group = host_group_name(m->gid);
	json_add_string(o, "name", m->user);
	json_add_u64(o, "uid", m->uid);
	json_add_u64(o, "gid", m->gid);
	json_add_string(o, "group", group);
	json_add_string(o, "home", m->home);
	json_add_bool(o, "home_shared", m->home_mount != MACHINE_HOME_NONE);
	json_add(o, "groups", groups_array(m));
	return o;
}

static struct json_object *shares_array(const struct keeper *k)
{
	struct json_object *a = json_object_new_array();
	for (const struct keeper_share *s = k->shares; s; s = s->next)
		json_object_array_add(a, share_describe_inside(s));
	return a;
}

struct json_object *boot_request_new(struct keeper *k)
{
	struct json_object *o = json_object_new_object();
	json_add(o, "machine", machine_object(k));
	json_add(o, "user", user_object(k->machine));
	json_add(o, "resolv", host_resolv());
	json_add_i64(o, "realtime_ns", clock_realtime_ns());
	json_add_bool(o, "host_access", k->machine->host_access);
	k->ops->describe(k->run, o);
	json_add(o, "shares", shares_array(k));
	return o;
}
