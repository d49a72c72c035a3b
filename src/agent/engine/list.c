/* SPDX-License-Identifier: Apache-2.0
 * The Docker API's requests about containers: what tells about them. */
#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/engine/endpoints.h"
#include "agent/engine/health.h"
#include "agent/engine/list_filters.h"
#include "agent/engine/mounts.h"
#include "agent/engine/network_join.h"
#include "agent/engine/sizes.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "docker/filters.h"
#include "docker/route.h"
#include "docker/units.h"

#define NS_PER_S 1000000000LL

/* ---- words ---- */

const char *container_state(const struct container *c)
{
	static const char *const names
	    [] = { [CONTAINER_CREATED] = "created", [CONTAINER_RUNNING] = "running", [CONTAINER_EXITED] = "exited" };
	if (c->paused)
		return "paused";
	return c->remove && !c->pid ? "removing" : policy_is_waiting(c) ? "restarting" : names[c->record.status];
}

static char *status_of(const struct container *c)
{
	int64_t now = container_now();
	AUTOFREE char *up = docker_duration(now - c->record.started),
		      *since = docker_duration(now - c->record.finished);
	if (policy_is_waiting(c))
		return xasprintf("Restarting (%d) %s ago", c->record.exit_code, since);
	if (c->paused)
		return xasprintf("Up %s (Paused)", up);
	const char *health = health_status(c);
	if (c->record.status == CONTAINER_RUNNING && !streq(health, "none"))
		return xasprintf("Up %s (%s%s)", up, streq(health, "starting") ? "health: " : "", health);
	if (c->record.status == CONTAINER_RUNNING)
		return xasprintf("Up %s", up);
	if (c->record.status == CONTAINER_EXITED)
		return xasprintf("Exited (%d) %s ago", c->record.exit_code, since);
	return xstrdup("Created");
}

/* ---- ps ---- */

struct json_object *container_summary(const struct container *c, const struct sizes *sizes)
{
	const struct record *r = &c->record;
	struct json_object *o = json_object_new_object(), *names = json_object_new_array(),
			   *host = json_object_new_object(), *settings = json_object_new_object();
	AUTO_STRV struct strv words = { 0 };
	AUTOFREE char *name = xasprintf("/%s", r->name), *status = status_of(c);
	strv_add_all(&words, &r->body.entrypoint);
	strv_add_all(&words, &r->body.command);
	AUTOFREE char *command = strv_join(&words, " ");
	json_object_array_add(names, json_object_new_string(name));
	json_add_string(o, "Id", r->id);
	json_add(o, "Names", names);
	json_add_string(o, "Image", r->body.image);
	json_add_string(o, "ImageID", r->image_id);
	json_add_string(o, "Command", command);
	json_add_i64(o, "Created", r->created / NS_PER_S);
	json_add(o, "Ports", container_ports_list(c));
	json_add(o, "Labels", r->body.labels ? json_object_get(r->body.labels) : json_object_new_object());
	json_add_string(o, "State", container_state(c));
	json_add_string(o, "Status", status);
	json_add_string(host, "NetworkMode", container_network_mode(c));
	json_add(o, "HostConfig", host);
	json_add(settings, "Networks", endpoints_describe(c));
	json_add(o, "NetworkSettings", settings);
	json_add(o, "Mounts", mounts_describe(c));
	if (sizes)
		json_add_u64(o, "SizeRw", sizes_of_container(sizes, r->id));
	return o;
}

/* Which containers a request asks for. */
struct selection {
	struct json_object *filters;
	uint64_t most; /* 0: any number */
	int all;
};

static int read_selection(struct engine *e, struct http_exchange *x, struct selection *ret, struct error **err)
{
	AUTOFREE char *limit = engine_query(x, "limit");
	*ret = (struct selection){ 0 };
	int r = container_filters_read(e, x, &ret->filters, err);
	if (r < 0)
		return r;
	if (!limit || parse_u64(limit, &ret->most) < 0)
		ret->most = 0;
	ret->all = engine_flag(x, "all", 0) || ret->most > 0 || container_filters_want_all(ret->filters);
	return 0;
}

/* The first one from c on; NULL: none. */
static const struct container *select_next(const struct selection *s, const struct container *c)
{
	while (c && !((s->all || c->pid || policy_is_waiting(c)) && container_passes(c, s->filters)))
		c = c->next;
	return c;
}

static void answer_list(struct engine *e, struct http_exchange *x, const char *name, const struct sizes *sizes)
{
	struct selection s;
	AUTO_ERROR struct error *err = NULL;
	int r = read_selection(e, x, &s, &err);
	if (r < 0) {
		engine_error(x, r, err);
		return;
	}
	struct json_object *list = json_object_new_array();
	for (const struct container *c = e->containers;
	     (c = select_next(&s, c)) && (!s.most || json_object_array_length(list) < s.most); c = c->next)
		json_object_array_add(list, container_summary(c, sizes));
	json_object_put(s.filters);
	http_respond_json(x, 200, list);
}

void engine_list(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_SIZES_WISH struct sizes_wish wish = { 0 };
	struct selection s;
	if (!engine_flag(x, "size", 0) || read_selection(e, x, &s, NULL) < 0) {
		answer_list(e, x, name, NULL);
		return;
	}
	for (const struct container *c = e->containers;
	     (c = select_next(&s, c)) && (!s.most || wish.containers.count < s.most); c = c->next)
		strv_add(&wish.containers, c->record.id);
	json_object_put(s.filters);
	sizes_count(e, x, name, &wish, answer_list);
}

/* ---- info ---- */

static void count_states(const struct engine *e, struct json_object *o)
{
	int64_t all = 0, running = 0, paused = 0;
	for (const struct container *c = e->containers; c; c = c->next) {
		all++;
		running += c->pid && !c->paused;
		paused += c->paused;
	}
	json_add_i64(o, "Containers", all);
	json_add_i64(o, "ContainersRunning", running);
	json_add_i64(o, "ContainersPaused", paused);
	json_add_i64(o, "ContainersStopped", all - running - paused);
}

/* Adds the limits that there are, and Docker's warnings of the others. */
static void add_limits(const struct engine *e, struct json_object *o)
{
	static const struct {
		const char *key;
		enum docker_limit limit;
		const char *warning;
	} limits[] = { { "MemoryLimit", DOCKER_LIMIT_MEMORY, "WARNING: No memory limit support" },
		{ "SwapLimit", DOCKER_LIMIT_SWAP, "WARNING: No swap limit support" },
		{ "CpuCfsQuota", DOCKER_LIMIT_CPU, "WARNING: No cpu cfs quota support" },
		{ "CpuCfsPeriod", DOCKER_LIMIT_CPU, "WARNING: No cpu cfs period support" },
		{ "CPUShares", DOCKER_LIMIT_CPU, "WARNING: No cpu shares support" },
		{ "CPUSet", DOCKER_LIMIT_CPUSET, "WARNING: No cpuset support" },
		{ "PidsLimit", DOCKER_LIMIT_PIDS, "WARNING: No pids limit support" } };
	AUTO_STRV struct strv warnings = { 0 };
	int has_cgroups = (e->limits & DOCKER_LIMIT_CGROUP) != 0;
	if (!has_cgroups)
		strv_add(&warnings, "WARNING: Running in rootless-mode without cgroups. Systemd is required to enable "
				    "cgroups in rootless-mode.");
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		int is_there = (e->limits & limits[i].limit) != 0;
		json_add_bool(o, limits[i].key, is_there);
		if (has_cgroups && !is_there)
			strv_add(&warnings, limits[i].warning);
	}
	json_add_bool(o, "OomKillDisable", 0);
	json_add_strv(o, "Warnings", &warnings);
}

void engine_info(struct engine *e, struct http_exchange *x, const char *name)
{
	static const char *const drivers[] = { "bridge", "host", "null" };
	static const char *const network[] = { "IPv4Forwarding", "BridgeNfIptables", "BridgeNfIp6tables" };
	struct json_object *o = json_object_new_object(), *plugins = json_object_new_object(),
			   *swarm = json_object_new_object(), *logs = json_object_new_array(),
			   *networks = json_object_new_array(), *volumes = json_object_new_array();
	struct utsname u = { 0 };
	uname(&u);
	count_states(e, o);
	engine_info_add_constants(o);
	AUTOFREE char *now = clock_format_rfc3339(container_now());
	json_add_string(o, "ID", u.nodename);
	json_add_string(o, "SystemTime", now);
	json_add_string(o, "Name", u.nodename);
	json_add_string(o, "ServerVersion", DOCKER_SERVER_VERSION);
	json_add_string(o, "OperatingSystem", "holm " HOLM_VERSION);
	json_add_string(o, "OSType", "linux");
	json_add_string(o, "Architecture", u.machine);
	json_add_string(o, "KernelVersion", u.release);
	json_add_i64(o, "NCPU", sysconf(_SC_NPROCESSORS_ONLN));
	json_add_i64(o, "MemTotal", (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
	json_add_string(o, "Driver", "overlay2");
	json_add_string(o, "LoggingDriver", "json-file");
	json_add_string(o, "CgroupDriver", e->limits & DOCKER_LIMIT_CGROUP ? "cgroupfs" : "none");
	json_add_string(o, "CgroupVersion", "2");
	json_add_string(o, "DefaultRuntime", "crun");
	json_add_string(o, "IndexServerAddress", "https://index.docker.io/v1/");
	json_object_array_add(logs, json_object_new_string("json-file"));
	json_object_array_add(logs, json_object_new_string("local"));
	json_object_array_add(logs, json_object_new_string("none"));
	json_add(plugins, "Log", logs);
	json_object_array_add(volumes, json_object_new_string("local"));
	json_add(plugins, "Volume", volumes);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		json_object_array_add(networks, json_object_new_string(drivers[i]));
	json_add(plugins, "Network", networks);
	json_add(o, "Plugins", plugins);
	json_add_string(swarm, "LocalNodeState", "inactive");
	json_add(o, "Swarm", swarm);
	add_limits(e, o);
	for (size_t i = 0; i < ARRAY_SIZE(network); i++)
		json_add_bool(o, network[i], e->has_bridge);
	http_respond_json(x, 200, o);
}
