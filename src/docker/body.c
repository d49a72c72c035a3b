/* SPDX-License-Identifier: Apache-2.0
 * See body.h. A member that the engine does not honour is refused, never skipped. `refused` names
 * those of Docker's API, with the values that clients send for "not given". `honoured` names the
 * members of HostConfig that are honoured, here or in other files; all others are refused, too. */
#include "docker/body.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/parse.h"

enum { STRING_MAX = 128 * 1024, LIST_MAX = 4096, TOTAL_MAX = 1024 * 1024, SHORT_MAX = 4096, HOSTNAME_MAX = 64 };

/* ---- members that are refused ---- */

enum where { IN_CONFIG, IN_HOST };

static const struct {
	enum where where;
	const char *key, *option;
	const char *harmless; /* words that mean "not given", beside null, false, 0, "", [] and {} */
} refused[] = {
	{ IN_HOST, "VolumeDriver", "--volume-driver", "local" },
	{ IN_HOST, "DeviceRequests", "--gpus", NULL },
	{ IN_HOST, "CpuRealtimePeriod", "--cpu-rt-period", NULL },
	{ IN_HOST, "CpuRealtimeRuntime", "--cpu-rt-runtime", NULL },
	{ IN_HOST, "Runtime", "--runtime", "crun runc" },
	{ IN_HOST, "Isolation", "--isolation", "default" },
	{ IN_HOST, "StorageOpt", "--storage-opt", NULL },
};

static const char *const honoured[] = { "Annotations", "AutoRemove", "Binds", "CapAdd", "CapDrop", "ConsoleSize",
	"ContainerIDFile", "Devices", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd", "Init", "Links",
	"LogConfig", "Mounts", "DeviceCgroupRules", "NetworkMode", "PortBindings", "Privileged", "PublishAllPorts",
	"ReadonlyRootfs", "RestartPolicy", "SecurityOpt", "ShmSize", "Sysctls", "Tmpfs", "Ulimits", "VolumesFrom",
	/* container_limits.c, perhaps with a warning alone */
	"BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps", "BlkioWeight",
	"BlkioWeightDevice", "CgroupParent", "CgroupnsMode", "CpuPeriod", "CpuQuota", "CpuShares", "CpusetCpus",
	"CpusetMems", "KernelMemory", "Memory", "MemoryReservation", "MemorySwap", "MemorySwappiness", "NanoCpus",
	"OomKillDisable", "OomScoreAdj", "PidsLimit",
	/* namespaces.c */
	"IpcMode", "PidMode", "UTSMode", "UsernsMode" };

static int is_word_of(const char *words, const char *text)
{
	AUTO_STRV struct strv all = { 0 };
	strv_split(&all, words ? words : "", " ");
	return strv_contains(&all, text);
}

static int is_not_given(struct json_object *value, const char *harmless)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return 1;
	case json_type_boolean:
		return !json_object_get_boolean(value);
	case json_type_int:
	case json_type_double:
		return json_object_get_double(value) == 0 || is_word_of(harmless, json_object_get_string(value));
	case json_type_string:
		return !*json_object_get_string(value) || is_word_of(harmless, json_object_get_string(value));
	case json_type_array:
		return json_object_array_length(value) == 0;
	case json_type_object:
		return json_object_object_length(value) == 0;
	}
	return 0;
}

static int check_refused(struct json_object *config, struct json_object *host, struct error **err)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct json_object *o = refused[i].where == IN_HOST ? host : config, *value;
		if (!o || !json_object_object_get_ex(o, refused[i].key, &value) || !value ||
		    is_not_given(value, refused[i].harmless))
			continue;
		return error_set(err, EOPNOTSUPP, "%s (%s) is not supported by holm's engine; leave it out",
		    refused[i].key, refused[i].option);
	}
	return 0;
}

static int is_named(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(honoured); i++)
		if (streq(honoured[i], key))
			return 1;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (refused[i].where == IN_HOST && streq(refused[i].key, key))
			return 1;
	return 0;
}

static int check_unknown(struct json_object *host, struct error **err)
{
	static const char *const paths[] = { "MaskedPaths", "ReadonlyPaths" };
	struct json_object *list;
	/* An empty list says that no path is masked. */
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (json_object_object_get_ex(host, paths[i], &list) && list)
			return error_set(err, EOPNOTSUPP,
			    "%s (--security-opt systempaths) is not supported by holm's engine", paths[i]);
	json_object_object_foreach(host, key, value)
	{
		if (!is_named(key) && !is_not_given(value, NULL))
			return error_set(err, EOPNOTSUPP,
			    "HostConfig.%.64s is not supported by holm's engine; leave it out", key);
	}
	return 0;
}

/* ---- members that are taken ---- */

static int get_text(struct json_object *o, const char *key, size_t max, char **ret, struct error **err)
{
	const char *text = NULL;
	int r = json_get_string(o, key, &text, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (strlen(text) > max)
		return error_set(err, EINVAL, "%s is longer than %zu bytes", key, max);
	if (*text)
		*ret = xstrdup(text);
	return 0;
}

/* Strings of a list; clients write one word as a plain string in Cmd and Entrypoint. */
static int get_words(struct json_object *o, const char *key, struct strv *ret, struct error **err)
{
	struct json_object *value = NULL;
	size_t total = 0;
	if (json_object_object_get_ex(o, key, &value) && json_object_is_type(value, json_type_string))
		strv_add(ret, json_object_get_string(value));
	else {
		int r = json_get_strv(o, key, ret, err);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	if (ret->count > LIST_MAX)
		return error_set(err, EINVAL, "%s has more than %d entries", key, LIST_MAX);
	for (size_t i = 0; i < ret->count; i++) {
		size_t size = strlen(ret->items[i]);
		total += size;
		if (size > STRING_MAX || total > TOTAL_MAX)
			return error_set(err, EINVAL, "%s is too long", key);
	}
	return 0;
}

static int get_flag(struct json_object *o, const char *key, int *ret, struct error **err)
{
	int r = json_get_bool(o, key, ret, err);
	return r == -ENOENT ? 0 : r;
}

/* An object of texts; `what` names one of them in an error. */
static int get_texts(struct json_object *from, const char *key, const char *what, struct json_object **ret,
    struct error **err)
{
	struct json_object *texts = NULL;
	size_t total = 0;
	int r = json_get_object(from, key, &texts, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (json_object_object_length(texts) > LIST_MAX)
		return error_set(err, EINVAL, "%s has more than %d entries", key, LIST_MAX);
	json_object_object_foreach(texts, name, value)
	{
		if (!json_object_is_type(value, json_type_string))
			return error_set(err, EINVAL, "the %s \"%.64s\" is no text", what, name);
		total += strlen(name) + (size_t)json_object_get_string_len(value);
		if (total > TOTAL_MAX)
			return error_set(err, EINVAL, "%s is too long", key);
	}
	*ret = texts;
	return 0;
}

/* crun acts on its own annotations. */
static int get_annotations(struct json_object *host, struct docker_body *b, struct error **err)
{
	int r = get_texts(host, "Annotations", "annotation", &b->annotations, err);
	if (r < 0 || !b->annotations)
		return r;
	json_object_object_foreach(b->annotations, name, value)
	{
		(void)value;
		if (startswith(name, "run.oci."))
			return error_set(err, EOPNOTSUPP,
			    "the annotation \"%.64s\" (--annotation) is not supported by holm's engine; leave it out",
			    name);
	}
	return 0;
}

static int get_signal(struct json_object *config, struct docker_body *b, struct error **err)
{
	AUTOFREE char *text = NULL;
	int r = get_text(config, "StopSignal", SHORT_MAX, &text, err);
	if (r < 0 || !text)
		return r;
	b->stop_signal = docker_signal(text);
	return b->stop_signal ? 0 : error_set(err, EINVAL, "Invalid signal: %.64s", text);
}

static int get_stop_timeout(struct json_object *config, struct docker_body *b, struct error **err)
{
	int r = json_get_i64(config, "StopTimeout", &b->stop_timeout_s, err);
	if (r == -ENOENT)
		b->stop_timeout_s = -1;
	else if (r == 0 && b->stop_timeout_s < -1)
		return error_set(err, EINVAL, "StopTimeout is negative");
	return r == -ENOENT ? 0 : r;
}

static int check_hostname(const char *name, const char *what, struct error **err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	if (!name)
		return 0;
	return strspn(name, allowed) == strlen(name) && name[0] != '.' && name[0] != '-' ?
		   0 :
		   error_set(err, EINVAL, "invalid %s format: %.64s", what, name);
}

static int check_env(const struct docker_body *b, struct error **err)
{
	for (size_t i = 0; i < b->env.count; i++)
		if (b->env.items[i][0] == '=' || !b->env.items[i][0])
			return error_set(err, EINVAL, "invalid environment variable: %.64s", b->env.items[i]);
	return 0;
}

static int get_health(struct json_object *o, struct docker_body *b, struct error **err)
{
	struct json_object *check = NULL;
	int r = json_get_object(o, "Healthcheck", &check, err);
	return r < 0 && r != -ENOENT ? r : docker_health_parse(check, &b->health, err);
}

static int parse_config(struct json_object *o, struct docker_body *b, struct error **err)
{
	struct json_object *entrypoint = NULL;
	int r;
	b->has_entrypoint = json_object_object_get_ex(o, "Entrypoint", &entrypoint) && entrypoint;
	if ((r = get_text(o, "Image", SHORT_MAX, &b->image, err)) < 0 ||
	    (r = get_text(o, "Hostname", HOSTNAME_MAX, &b->hostname, err)) < 0 ||
	    (r = get_text(o, "Domainname", HOSTNAME_MAX, &b->domainname, err)) < 0 ||
	    (r = get_text(o, "User", SHORT_MAX, &b->user, err)) < 0 ||
	    (r = get_text(o, "WorkingDir", SHORT_MAX, &b->working_dir, err)) < 0 ||
	    (r = get_words(o, "Env", &b->env, err)) < 0 || (r = get_words(o, "Cmd", &b->command, err)) < 0 ||
	    (r = get_words(o, "Entrypoint", &b->entrypoint, err)) < 0 ||
	    (r = get_flag(o, "OpenStdin", &b->open_stdin, err)) < 0 ||
	    (r = get_flag(o, "StdinOnce", &b->stdin_once, err)) < 0 || (r = get_flag(o, "Tty", &b->tty, err)) < 0 ||
	    (r = get_texts(o, "Labels", "label", &b->labels, err)) < 0 || (r = get_health(o, b, err)) < 0 ||
	    (r = get_signal(o, b, err)) < 0 || (r = get_stop_timeout(o, b, err)) < 0 ||
	    (r = check_hostname(b->hostname, "hostname", err)) < 0 ||
	    (r = check_hostname(b->domainname, "domainname", err)) < 0 || (r = check_env(b, err)) < 0)
		return r;
	/* --entrypoint "" arrives as [""]: none, not even the image's. */
	if (b->entrypoint.count == 1 && !*b->entrypoint.items[0])
		strv_done(&b->entrypoint);
	return b->working_dir && b->working_dir[0] != '/' ?
		   error_set(err, EINVAL, "the working directory '%.64s' is invalid, it needs to be an absolute path",
		       b->working_dir) :
		   0;
}

static int get_restart(struct json_object *host, struct docker_body *b, struct error **err)
{
	struct json_object *policy = NULL;
	int r = json_get_object(host, "RestartPolicy", &policy, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if ((r = docker_restart_parse(policy, b, err)) < 0)
		return r;
	return b->auto_remove && b->restart != DOCKER_RESTART_NO ?
		   error_set(err, EINVAL, "can't create 'AutoRemove' container with restart policy") :
		   0;
}

static int get_log_number(struct json_object *options, const char *key, uint64_t unit, uint64_t *ret,
    struct error **err)
{
	const char *text = NULL;
	int r = json_get_string(options, key, &text, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = unit ? parse_size(text, unit, ret) : parse_u64(text, ret);
	return r < 0 || *ret == 0 ? error_set(err, EINVAL, "invalid log option %s=%.64s", key, text) : 0;
}

/* Of Docker's. */
static int is_log_driver(const char *type)
{
	static const char *const names[] = { "awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "journald", "splunk",
		"syslog" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(names[i], type))
			return 1;
	return 0;
}

static int get_log(struct json_object *host, struct docker_body *b, struct error **err)
{
	struct json_object *log = NULL, *options = NULL;
	const char *type = "";
	int r = json_get_object(host, "LogConfig", &log, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = json_get_string(log, "Type", &type, err);
	if (r < 0 && r != -ENOENT)
		return r;
	b->log_none = streq(type, "none");
	int is_ours = !*type || b->log_none || streq(type, "json-file") || streq(type, "local");
	if (!is_ours && !is_log_driver(type))
		return error_set(err, EINVAL, "logger: no log driver named '%.64s' is registered", type);
	if (!is_ours)
		return error_set(err, EOPNOTSUPP,
		    "log driver \"%.64s\" (--log-driver) is not supported by holm's engine; choose json-file, local or "
		    "none",
		    type);
	r = json_get_object(log, "Config", &options, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	json_object_object_foreach(options, key, value)
	{
		if (!streq(key, "max-size") && !streq(key, "max-file"))
			return error_set(err, EOPNOTSUPP,
			    "log option \"%.64s\" (--log-opt) is not supported by holm's engine", key);
		(void)value;
	}
	r = get_log_number(options, "max-size", 1, &b->log_max_size, err);
	return r < 0 ? r : get_log_number(options, "max-file", 0, &b->log_max_files, err);
}

/* [rows, columns] */
static int get_console_size(struct json_object *host, struct docker_body *b, struct error **err)
{
	struct json_object *size = NULL;
	int r = json_get_array(host, "ConsoleSize", &size, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (json_object_array_length(size) != 2)
		return error_set(err, EINVAL, "ConsoleSize is no pair of numbers");
	int64_t rows = json_object_get_int64(json_object_array_get_idx(size, 0)),
		columns = json_object_get_int64(json_object_array_get_idx(size, 1));
	if (rows < 0 || rows > UINT16_MAX || columns < 0 || columns > UINT16_MAX)
		return error_set(err, EINVAL, "ConsoleSize is no size of a terminal");
	b->rows = (uint16_t)rows;
	b->columns = (uint16_t)columns;
	return 0;
}

static int parse_host(struct json_object *host, struct docker_body *b, struct error **err)
{
	int r;
	if ((r = get_flag(host, "AutoRemove", &b->auto_remove, err)) < 0 ||
	    (r = get_flag(host, "ReadonlyRootfs", &b->read_only, err)) < 0 ||
	    (r = get_text(host, "NetworkMode", SHORT_MAX, &b->network_mode, err)) < 0 ||
	    (r = docker_rights_parse(host, &b->rights, err)) < 0 ||
	    (r = docker_limits_parse(host, &b->limits, err)) < 0 ||
	    (r = docker_namespaces_parse(host, &b->namespaces, err)) < 0 ||
	    (r = get_words(host, "GroupAdd", &b->groups, err)) < 0 ||
	    (r = get_words(host, "VolumesFrom", &b->volumes_from, err)) < 0 ||
	    (r = get_annotations(host, b, err)) < 0 || (r = get_console_size(host, b, err)) < 0 ||
	    (r = get_restart(host, b, err)) < 0)
		return r;
	return get_log(host, b, err);
}

int docker_body_parse(struct json_object *o, struct docker_body *ret, struct error **err)
{
	AUTO_DOCKER_BODY struct docker_body b = { .stop_timeout_s = -1,
		.log_max_size = UINT64_MAX,
		.log_max_files = UINT64_MAX };
	struct json_object *host = NULL;
	docker_rights_init(&b.rights);
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "the request's body is no JSON object");
	int r = json_get_object(o, "HostConfig", &host, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if ((r = check_refused(o, host, err)) < 0 || (host && (r = check_unknown(host, err)) < 0) ||
	    (r = parse_config(o, &b, err)) < 0 || (host && (r = parse_host(host, &b, err)) < 0))
		return r;
	if (!b.image)
		return error_set(err, EINVAL, "no image was named");
	if (b.namespaces.host_uts && b.hostname)
		return error_set(err, EINVAL, "conflicting options: hostname and the UTS mode; leave out --hostname");
	*ret = b;
	b = (struct docker_body){ 0 };
	return 0;
}

void docker_body_done(struct docker_body *b)
{
	char **texts[] = { &b->image, &b->hostname, &b->domainname, &b->user, &b->working_dir, &b->network_mode };
	struct strv *lists[] = { &b->env, &b->command, &b->entrypoint, &b->groups, &b->volumes_from,
		&b->health.command };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(TAKE_PTR(*texts[i]));
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		strv_done(lists[i]);
}

/* ---- signals ---- */

int docker_signal(const char *text)
{
	uint32_t number;
	if (parse_u32(text, &number) == 0)
		return number > 0 && number < NSIG ? (int)number : 0;
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *known = sigabbrev_np(i);
		if (known && strcasecmp(known, name) == 0)
			return i;
	}
	for (int from_end = 0; from_end < 2; from_end++) {
		const char *rest = strncasecmp(name, from_end ? "RTMAX" : "RTMIN", 5) == 0 ? name + 5 : NULL;
		int base = from_end ? SIGRTMAX : SIGRTMIN;
		if (!rest)
			continue;
		if (!*rest)
			return base;
		if (*rest != (from_end ? '-' : '+') || parse_u32(rest + 1, &number) < 0 ||
		    number > (uint32_t)(SIGRTMAX - SIGRTMIN))
			return 0;
		return from_end ? base - (int)number : base + (int)number;
	}
	return 0;
}
