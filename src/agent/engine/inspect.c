/* SPDX-License-Identifier: Apache-2.0
 * GET /containers/ * /json. Clients in languages without types read members that nobody gave: so
 * all of Docker's are there, with its defaults. The lists of masked paths are null, as a client may
 * create a container of what it has read. */
#include <errno.h>

#include "agent/engine/endpoints.h"
#include "agent/engine/health.h"
#include "agent/engine/mounts.h"
#include "agent/engine/network_join.h"
#include "agent/engine/sizes.h"
#include "base/alloc.h"
#include "base/clock.h"

static const char host_defaults[] =
    "{\"Binds\":null,\"ContainerIDFile\":\"\",\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{}},\"PortBindings\":{},"
    "\"RestartPolicy\":{\"Name\":\"no\",\"MaximumRetryCount\":0},\"AutoRemove\":false,\"VolumeDriver\":\"\","
    "\"VolumesFrom\":null,"
    "\"ConsoleSize\":[0,0],\"CapAdd\":null,\"CapDrop\":null,\"CgroupnsMode\":\"private\",\"Dns\":[],\"DnsOptions\":[],"
    "\"DnsSearch\":[],\"ExtraHosts\":null,\"GroupAdd\":null,\"IpcMode\":\"private\",\"Cgroup\":\"\",\"Links\":null,"
    "\"OomScoreAdj\":0,"
    "\"PidMode\":\"\",\"Privileged\":false,\"PublishAllPorts\":false,\"ReadonlyRootfs\":false,\"SecurityOpt\":null,"
    "\"UTSMode\":\"\","
    "\"UsernsMode\":\"\",\"ShmSize\":67108864,\"Runtime\":\"crun\",\"Isolation\":\"\",\"CpuShares\":0,\"Memory\":0,"
    "\"NanoCpus\":0,"
    "\"CgroupParent\":\"\",\"BlkioWeight\":0,\"BlkioWeightDevice\":[],\"BlkioDeviceReadBps\":[],"
    "\"BlkioDeviceWriteBps\":[],"
    "\"BlkioDeviceReadIOps\":[],\"BlkioDeviceWriteIOps\":[],\"CpuPeriod\":0,\"CpuQuota\":0,\"CpuRealtimePeriod\":0,"
    "\"CpuRealtimeRuntime\":0,\"CpusetCpus\":\"\",\"CpusetMems\":\"\",\"Devices\":[],\"DeviceCgroupRules\":null,"
    "\"DeviceRequests\":null,\"MemoryReservation\":0,\"MemorySwap\":0,\"MemorySwappiness\":null,\"OomKillDisable\":"
    "null,"
    "\"PidsLimit\":null,\"Ulimits\":[],\"CpuCount\":0,\"CpuPercent\":0,\"IOMaximumIOps\":0,\"IOMaximumBandwidth\":0,"
    "\"MaskedPaths\":null,\"ReadonlyPaths\":null}";

static const char config_defaults[] = "{\"Domainname\":\"\",\"User\":\"\",\"AttachStdin\":false,\"AttachStdout\":false,"
				      "\"AttachStderr\":false,\"Tty\":false,"
				      "\"OpenStdin\":false,\"StdinOnce\":false,\"Env\":[],\"Cmd\":null,\"Volumes\":"
				      "null,\"WorkingDir\":\"\",\"Entrypoint\":null,"
				      "\"OnBuild\":null,\"Labels\":{}}";

static const char settings_defaults[] =
    "{\"Bridge\":\"\",\"SandboxID\":\"\",\"SandboxKey\":\"\",\"HairpinMode\":false,\"LinkLocalIPv6Address\":\"\","
    "\"LinkLocalIPv6PrefixLen\":0,\"SecondaryIPAddresses\":null,\"SecondaryIPv6Addresses\":null,\"EndpointID\":\"\","
    "\"Gateway\":\"\",\"GlobalIPv6Address\":\"\",\"GlobalIPv6PrefixLen\":0,\"IPAddress\":\"\",\"IPPrefixLen\":0,"
    "\"IPv6Gateway\":\"\",\"MacAddress\":\"\"}";

static const char top_defaults[] = "{\"ResolvConfPath\":\"\",\"HostnamePath\":\"\",\"HostsPath\":\"\",\"LogPath\":\"\","
				   "\"MountLabel\":\"\",\"ProcessLabel\":\"\","
				   "\"AppArmorProfile\":\"\",\"GraphDriver\":{\"Name\":\"overlay2\",\"Data\":null}}";

/* Whether a client means the default by it. */
static int is_blank(struct json_object *value)
{
	return !value || (json_object_is_type(value, json_type_string) && !*json_object_get_string(value)) ||
	       (json_object_is_type(value, json_type_int) && json_object_get_int64(value) == 0);
}

/* Adds the members that o lacks, in objects of it, too. */
static void fill(struct json_object *o, struct json_object *defaults)
{
	json_object_object_foreach(defaults, key, value)
	{
		struct json_object *own = NULL;
		json_object_object_get_ex(o, key, &own);
		if (is_blank(own))
			json_object_object_add(o, key, json_object_get(value));
		else if (json_object_is_type(own, json_type_object) && json_object_is_type(value, json_type_object))
			fill(own, value);
	}
}

static void fill_from(struct json_object *o, const char *text)
{
	AUTO_JSON struct json_object *defaults = json_tokener_parse(text);
	fill(o, defaults);
}

/* ---- parts ---- */

static void add_time(struct json_object *o, const char *key, int64_t ns)
{
	AUTOFREE char *text = ns ? clock_format_rfc3339(ns) : xstrdup("0001-01-01T00:00:00Z");
	json_add_string(o, key, text);
}

static struct json_object *state_object(const struct container *c)
{
	struct json_object *o = json_object_new_object();
	json_add_string(o, "Status", container_state(c));
	json_add_bool(o, "Running", c->pid != 0 || policy_is_waiting(c));
	json_add_bool(o, "Restarting", policy_is_waiting(c));
	json_add_bool(o, "Paused", c->paused);
	json_add_bool(o, "OOMKilled", c->record.oom_killed);
	if (c->pids_full)
		json_add_i64(o, "HolmPidsLimited", c->record.body.limits.pids);
	json_add_bool(o, "Dead", 0);
	json_add_i64(o, "Pid", c->pid);
	json_add_i64(o, "ExitCode", c->record.exit_code);
	json_add_string(o, "Error", c->record.error ? c->record.error : "");
	add_time(o, "StartedAt", c->record.started);
	add_time(o, "FinishedAt", c->record.finished);
	struct json_object *health = health_object(c);
	if (health)
		json_add(o, "Health", health);
	return o;
}

static struct json_object *config_object(const struct container *c)
{
	struct json_object *o = json_object_new_object();
	json_object_object_foreach(c->record.data, key,
	    value) if (!startswith(key, "Holm") && !streq(key, "HostConfig") && !streq(key, "NetworkingConfig"))
	    json_object_object_add(o, key, json_object_get(value));
	AUTOFREE char *hostname = container_hostname(c);
	json_add_string(o, "Hostname", hostname);
	fill_from(o, config_defaults);
	return o;
}

static struct json_object *host_object(const struct container *c)
{
	struct json_object *from = NULL, *o = NULL;
	const char *runtime = NULL;
	if (json_get_object(c->record.data, "HostConfig", &from, NULL) == 0)
		json_object_deep_copy(from, &o, NULL);
	if (!o)
		o = json_object_new_object();
	if (json_get_string(c->record.data, "Runtime", &runtime, NULL) == 0 &&
	    !json_object_object_get_ex(o, "Runtime", NULL))
		json_add_string(o, "Runtime", runtime); /* docker-py's place for it */
	fill_from(o, host_defaults);
	json_object_object_del(o, "NetworkMode");
	json_add_string(o, "NetworkMode", container_network_mode(c));
	return o;
}

/* The members that older clients read are those of the default bridge. */
static struct json_object *settings_object(const struct container *c)
{
	struct json_object *o = json_object_new_object(), *networks = endpoints_describe(c), *bridge = NULL;
	AUTO_JSON struct json_object *defaults = json_tokener_parse(settings_defaults);
	json_add(o, "Ports", container_ports_object(c));
	json_add(o, "Networks", networks);
	if (json_get_object(networks, "bridge", &bridge, NULL) == 0) {
		json_object_object_foreach(defaults, key, value)
		{
			struct json_object *own = NULL;
			(void)value;
			if (json_object_object_get_ex(bridge, key, &own))
				json_object_object_add(o, key, json_object_get(own));
		}
	}
	fill(o, defaults);
	return o;
}

static void answer_inspect(struct engine *e, struct http_exchange *x, const char *wish, const struct sizes *sizes)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = container_find(e, wish, &err);
	if (!c) {
		engine_error(x, -err->code, err);
		return;
	}
	AUTO_STRV struct strv words = { 0 };
	AUTO_STRV struct strv arguments = { 0 };
	AUTOFREE char *name = xasprintf("/%s", c->record.name);
	struct json_object *o = json_object_new_object();
	strv_add_all(&words, &c->record.body.entrypoint);
	strv_add_all(&words, &c->record.body.command);
	for (size_t i = 1; i < words.count; i++)
		strv_add(&arguments, words.items[i]);
	json_add_string(o, "Id", c->record.id);
	add_time(o, "Created", c->record.created);
	json_add_string(o, "Path", words.count ? words.items[0] : "");
	json_add_strv(o, "Args", &arguments);
	json_add(o, "State", state_object(c));
	json_add_string(o, "Image", c->record.image_id);
	json_add_string(o, "Name", name);
	json_add_u64(o, "RestartCount", c->record.restarts);
	json_add_string(o, "Driver", "overlay2");
	json_add_string(o, "Platform", "linux");
	json_add(o, "HostConfig", host_object(c));
	json_add(o, "Config", config_object(c));
	json_add(o, "Mounts", mounts_describe(c));
	if (sizes)
		json_add_u64(o, "SizeRw", sizes_of_container(sizes, c->record.id));
	json_add(o, "NetworkSettings", settings_object(c));
	json_object_object_add(o, "ExecIDs", exec_list(c));
	fill_from(o, top_defaults);
	http_respond_json(x, 200, o);
}

void engine_inspect(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_SIZES_WISH struct sizes_wish wish = { 0 };
	const struct container *c = engine_flag(x, "size", 0) ? container_find(e, name, NULL) : NULL;
	if (!c) {
		answer_inspect(e, x, name, NULL);
		return;
	}
	strv_add(&wish.containers, c->record.id);
	sizes_count(e, x, name, &wish, answer_inspect);
}
