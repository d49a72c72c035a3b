/* SPDX-License-Identifier: Apache-2.0
 * See body.h. An option whose value goes into the body as it is has a row in `members`; the others
 * have a function. Options that were not given leave no member. */
#include "cli/container/body.h"

#include <errno.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "base/terminal.h"
#include "cli/container/mounts.h"
#include "cli/container/networks.h"
#include "cli/container/values.h"
#include "docker/ports.h"

enum { FILE_MAX = 1024 * 1024, ADDER_OPTIONS_MAX = 8 };

const char *const body_pull_words[] = { "missing", "always", "never", NULL };

struct maker {
	struct options *options;
	struct json_object *config, *host;
};

/* ---- members with the option's own value ---- */

enum section { IN_CONFIG, IN_HOST };
enum how { TEXT, WORDS, SWITCH, NUMBER, SIZE };

static const struct member {
	const char *option;
	enum section section;
	const char *key;
	enum how how;
} members[] = {
	{ "domainname", IN_CONFIG, "Domainname", TEXT },
	{ "hostname", IN_CONFIG, "Hostname", TEXT },
	{ "stop-signal", IN_CONFIG, "StopSignal", TEXT },
	{ "stop-timeout", IN_CONFIG, "StopTimeout", NUMBER },
	{ "tty", IN_CONFIG, "Tty", SWITCH },
	{ "user", IN_CONFIG, "User", TEXT },
	{ "workdir", IN_CONFIG, "WorkingDir", TEXT },
	{ "add-host", IN_HOST, "ExtraHosts", WORDS },
	{ "cap-add", IN_HOST, "CapAdd", WORDS },
	{ "cap-drop", IN_HOST, "CapDrop", WORDS },
	{ "cgroup-parent", IN_HOST, "CgroupParent", TEXT },
	{ "cgroupns", IN_HOST, "CgroupnsMode", TEXT },
	{ "cidfile", IN_HOST, "ContainerIDFile", TEXT },
	{ "device-cgroup-rule", IN_HOST, "DeviceCgroupRules", WORDS },
	{ "dns", IN_HOST, "Dns", WORDS },
	{ "dns-option", IN_HOST, "DnsOptions", WORDS },
	{ "dns-search", IN_HOST, "DnsSearch", WORDS },
	{ "group-add", IN_HOST, "GroupAdd", WORDS },
	{ "init", IN_HOST, "Init", SWITCH },
	{ "isolation", IN_HOST, "Isolation", TEXT },
	{ "kernel-memory", IN_HOST, "KernelMemory", SIZE },
	{ "ipc", IN_HOST, "IpcMode", TEXT },
	{ "memory-swappiness", IN_HOST, "MemorySwappiness", NUMBER },
	{ "oom-kill-disable", IN_HOST, "OomKillDisable", SWITCH },
	{ "oom-score-adj", IN_HOST, "OomScoreAdj", NUMBER },
	{ "pid", IN_HOST, "PidMode", TEXT },
	{ "privileged", IN_HOST, "Privileged", SWITCH },
	{ "publish-all", IN_HOST, "PublishAllPorts", SWITCH },
	{ "read-only", IN_HOST, "ReadonlyRootfs", SWITCH },
	{ "rm", IN_HOST, "AutoRemove", SWITCH },
	{ "runtime", IN_HOST, "Runtime", TEXT },
	{ "security-opt", IN_HOST, "SecurityOpt", WORDS },
	{ "shm-size", IN_HOST, "ShmSize", SIZE },
	{ "userns", IN_HOST, "UsernsMode", TEXT },
	{ "uts", IN_HOST, "UTSMode", TEXT },
	{ "volume-driver", IN_HOST, "VolumeDriver", TEXT },
	{ "volumes-from", IN_HOST, "VolumesFrom", WORDS },
};

/* Those that `update` has, too. */
static const struct member limits[] = {
	{ "blkio-weight", IN_HOST, "BlkioWeight", NUMBER },
	{ "cpu-period", IN_HOST, "CpuPeriod", NUMBER },
	{ "cpu-quota", IN_HOST, "CpuQuota", NUMBER },
	{ "cpu-rt-period", IN_HOST, "CpuRealtimePeriod", NUMBER },
	{ "cpu-rt-runtime", IN_HOST, "CpuRealtimeRuntime", NUMBER },
	{ "cpu-shares", IN_HOST, "CpuShares", NUMBER },
	{ "cpuset-cpus", IN_HOST, "CpusetCpus", TEXT },
	{ "cpuset-mems", IN_HOST, "CpusetMems", TEXT },
	{ "memory", IN_HOST, "Memory", SIZE },
	{ "memory-reservation", IN_HOST, "MemoryReservation", SIZE },
	{ "memory-swap", IN_HOST, "MemorySwap", SIZE },
	{ "pids-limit", IN_HOST, "PidsLimit", NUMBER },
};

static int add_member(const struct maker *m, const struct member *row, struct error **err)
{
	struct json_object *o = row->section == IN_HOST ? m->host : m->config;
	const char *text = options_string(m->options, row->option);
	int64_t number = 0;
	int r = 0;
	switch (row->how) {
	case TEXT:
		json_add_string(o, row->key, text);
		return 0;
	case WORDS:
		json_add_strv(o, row->key, options_list(m->options, row->option));
		return 0;
	case SWITCH:
		json_add_bool(o, row->key, options_switch(m->options, row->option, 0));
		return 0;
	case NUMBER:
		r = value_number(row->option, text, &number, err);
		break;
	case SIZE:
		r = value_size(row->option, text, &number, err);
		break;
	}
	if (r == 0)
		json_add_i64(o, row->key, number);
	return r;
}

/* ---- files of lines ---- */

/* Adds the lines of a file, without empty ones and comments. */
static int read_lines(const char *option, const char *file, struct strv *ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	int r = path_read_file(file, FILE_MAX, &text, NULL);
	if (r < 0)
		return error_set_errno(err, r, "--%s \"%s\"", option, file);
	strv_split(&lines, text, "\r\n");
	for (size_t i = 0; i < lines.count; i++) {
		const char *line = lines.items[i] + strspn(lines.items[i], " \t");
		if (*line && *line != '#')
			strv_add(ret, line);
	}
	return 0;
}

/* A variable that is not set here: takes_away has the image's go, as docker's -e. */
static int add_variable(struct strv *env, const char *text, int takes_away, struct error **err)
{
	AUTOFREE char *key = xstrndup(text, strcspn(text, "="));
	const char *value = strchr(text, '=') ? strchr(text, '=') + 1 : getenv(key);
	if (!*key || strpbrk(key, " \t"))
		return error_set(err, EINVAL, "environment \"%.80s\": write K=V or K", text);
	if (value)
		strv_setenv(env, key, value);
	else if (takes_away) {
		strv_setenv(env, key, NULL);
		strv_add(env, key);
	}
	return 0;
}

int body_add_env(struct strv *env, const struct strv *files, const struct strv *texts, struct error **err)
{
	AUTO_STRV struct strv lines = { 0 };
	int r = 0;
	for (size_t i = 0; r == 0 && i < files->count; i++)
		r = read_lines("env-file", files->items[i], &lines, err);
	for (size_t i = 0; r == 0 && i < lines.count; i++)
		r = add_variable(env, lines.items[i], 0, err);
	for (size_t i = 0; r == 0 && i < texts->count; i++)
		r = add_variable(env, texts->items[i], 1, err);
	return r;
}

/* ---- options with a function ---- */

static int add_env(struct maker *m, struct error **err)
{
	AUTO_STRV struct strv env = { 0 };
	int r = body_add_env(&env, options_list(m->options, "env-file"), options_list(m->options, "env"), err);
	if (env.count)
		json_add_strv(m->config, "Env", &env);
	return r;
}

static int add_labels(struct maker *m, struct error **err)
{
	AUTO_STRV struct strv all = { 0 };
	const struct strv *files = options_list(m->options, "label-file");
	int r = 0;
	for (size_t i = 0; r == 0 && i < files->count; i++)
		r = read_lines("label-file", files->items[i], &all, err);
	strv_add_all(&all, options_list(m->options, "label"));
	return r < 0 ? r : value_pairs("label", &all, m->config, "Labels", err);
}

static int add_sysctls(struct maker *m, struct error **err)
{
	return value_pairs("sysctl", options_list(m->options, "sysctl"), m->host, "Sysctls", err);
}

static int add_annotations(struct maker *m, struct error **err)
{
	return value_pairs("annotation", options_list(m->options, "annotation"), m->host, "Annotations", err);
}

static int add_storage(struct maker *m, struct error **err)
{
	return value_pairs("storage-opt", options_list(m->options, "storage-opt"), m->host, "StorageOpt", err);
}

/* The engine refuses it under docker's name. */
static int add_gpus(struct maker *m, struct error **err)
{
	struct json_object *list = json_object_new_array(), *one = json_object_new_object();
	(void)err;
	json_add_string(one, "Driver", options_string(m->options, "gpus"));
	json_object_array_add(list, one);
	json_add(m->host, "DeviceRequests", list);
	return 0;
}

static int add_volumes(struct maker *m, struct error **err)
{
	const struct strv *texts = options_list(m->options, "volume");
	struct json_object *binds = json_object_new_array(), *volumes = json_object_new_object();
	json_add(m->host, "Binds", binds);
	json_add(m->config, "Volumes", volumes);
	int r = 0;
	for (size_t i = 0; r == 0 && i < texts->count; i++)
		r = mounts_add_volume(texts->items[i], binds, volumes, err);
	return r;
}

static int add_tmpfs(struct maker *m, struct error **err)
{
	const struct strv *texts = options_list(m->options, "tmpfs");
	struct json_object *tmpfs = json_object_new_object();
	json_add(m->host, "Tmpfs", tmpfs);
	int r = 0;
	for (size_t i = 0; r == 0 && i < texts->count; i++)
		r = mounts_add_tmpfs(texts->items[i], tmpfs, err);
	return r;
}

static int add_objects(struct maker *m, const char *option, const char *key,
    int (*parse)(const char *text, struct json_object **ret, struct error **err), struct error **err)
{
	const struct strv *texts = options_list(m->options, option);
	struct json_object *list = json_object_new_array();
	json_add(m->host, key, list);
	for (size_t i = 0; i < texts->count; i++) {
		struct json_object *one = NULL;
		int r = parse(texts->items[i], &one, err);
		if (r < 0)
			return r;
		json_object_array_add(list, one);
	}
	return 0;
}

static int add_mounts(struct maker *m, struct error **err)
{
	return add_objects(m, "mount", "Mounts", mounts_parse, err);
}

/* docker.sock where clients look for it. docker gives the logins, too; from inside no registry is
 * asked. */
static int add_socket(struct maker *m, struct error **err)
{
	struct json_object *list = NULL, *one = NULL;
	if (!options_switch(m->options, "use-api-socket", 0))
		return 0;
	if (!json_object_object_get_ex(m->host, "Mounts", &list))
		json_add(m->host, "Mounts", list = json_object_new_array());
	int r = mounts_parse("type=bind,source=/var/run/docker.sock,target=/var/run/docker.sock", &one, err);
	if (r == 0)
		json_object_array_add(list, one);
	return r;
}

static int add_ulimits(struct maker *m, struct error **err)
{
	return add_objects(m, "ulimit", "Ulimits", value_ulimit, err);
}

static int add_devices(struct maker *m, struct error **err)
{
	return add_objects(m, "device", "Devices", value_device, err);
}

static int add_disk_weights(struct maker *m, struct error **err)
{
	const struct strv *texts = options_list(m->options, "blkio-weight-device");
	struct json_object *list = json_object_new_array(), *number = NULL;
	int r = 0;
	json_add(m->host, "BlkioWeightDevice", list);
	for (size_t i = 0; r == 0 && i < texts->count; i++) {
		struct json_object *one = NULL;
		r = value_disk("blkio-weight-device", texts->items[i], 0, &one, err);
		if (r == 0 && json_object_object_get_ex(one, "Rate", &number))
			json_add(one, "Weight", json_object_get(number));
		if (one)
			json_object_object_del(one, "Rate");
		json_object_array_add(list, one);
	}
	return r;
}

static const struct {
	const char *option, *key;
	int is_size;
} disk_limits[] = { { "device-read-bps", "BlkioDeviceReadBps", 1 }, { "device-write-bps", "BlkioDeviceWriteBps", 1 },
	{ "device-read-iops", "BlkioDeviceReadIOps", 0 }, { "device-write-iops", "BlkioDeviceWriteIOps", 0 } };

static int add_disk_limits(struct maker *m, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(disk_limits); i++) {
		const struct strv *texts = options_list(m->options, disk_limits[i].option);
		struct json_object *list = json_object_new_array();
		json_add(m->host, disk_limits[i].key, list);
		for (size_t k = 0; r == 0 && k < texts->count; k++) {
			struct json_object *one = NULL;
			r = value_disk(disk_limits[i].option, texts->items[k], disk_limits[i].is_size, &one, err);
			if (r == 0)
				json_object_array_add(list, one);
		}
	}
	return r;
}

static int add_ports(struct maker *m, struct error **err)
{
	AUTO_DOCKER_PORTS struct docker_ports published = { 0 }, exposed = { 0 };
	const struct strv *publish = options_list(m->options, "publish"), *expose = options_list(m->options, "expose");
	int r = 0;
	for (size_t i = 0; r == 0 && i < expose->count; i++)
		r = docker_ports_expose(&exposed, expose->items[i], err);
	for (size_t i = 0; r == 0 && i < publish->count; i++)
		r = docker_ports_publish(&published, publish->items[i], err);
	for (size_t i = 0; r == 0 && i < published.count; i++) {
		const struct docker_port inside = { .inside = published.items[i].inside,
			.protocol = published.items[i].protocol };
		if (!docker_ports_find(&exposed, &inside))
			r = docker_ports_add(&exposed, &inside, "--publish", err);
	}
	json_add(m->config, "ExposedPorts", docker_ports_to_exposed(&exposed));
	json_add(m->host, "PortBindings", docker_ports_to_bindings(&published, NULL));
	return r;
}

static int add_restart(struct maker *m, struct error **err)
{
	struct json_object *policy = NULL;
	int r = value_restart(options_string(m->options, "restart"), &policy, err);
	if (r < 0)
		return r;
	json_add(m->host, "RestartPolicy", policy);
	if (options_switch(m->options, "rm", 0) && !streq(options_string(m->options, "restart"), "no"))
		return error_set(err, EINVAL, "--restart and --rm exclude each other");
	return 0;
}

static int add_log(struct maker *m, struct error **err)
{
	struct json_object *log = json_object_new_object();
	json_add(m->host, "LogConfig", log);
	json_add_string(log, "Type", options_string(m->options, "log-driver"));
	return value_pairs("log-opt", options_list(m->options, "log-opt"), log, "Config", err);
}

static int add_networks(struct maker *m, struct error **err)
{
	return networks_add(m->options, m->config, m->host, err);
}

static int add_entrypoint(struct maker *m, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	strv_add(&words, options_string(m->options, "entrypoint"));
	json_add_strv(m->config, "Entrypoint", &words);
	return 0;
}

static int add_health(struct maker *m, struct error **err)
{
	return value_health(m->options, m->config, err);
}

/* The function of a row is called once if one of its options was given. */
static const struct {
	const char *options[ADDER_OPTIONS_MAX];
	int (*add)(struct maker *m, struct error **err);
} adders[] = {
	{ { "env", "env-file" }, add_env },
	{ { "label", "label-file" }, add_labels },
	{ { "sysctl" }, add_sysctls },
	{ { "annotation" }, add_annotations },
	{ { "storage-opt" }, add_storage },
	{ { "gpus" }, add_gpus },
	{ { "blkio-weight-device" }, add_disk_weights },
	{ { "volume" }, add_volumes },
	{ { "mount" }, add_mounts },
	{ { "use-api-socket" }, add_socket }, /* behind the mounts */
	{ { "tmpfs" }, add_tmpfs },
	{ { "ulimit" }, add_ulimits },
	{ { "device" }, add_devices },
	{ { "device-read-bps", "device-write-bps", "device-read-iops", "device-write-iops" }, add_disk_limits },
	{ { "publish", "expose" }, add_ports },
	{ { "restart" }, add_restart },
	{ { "log-driver", "log-opt" }, add_log },
	{ { "network", "net", "network-alias", "ip", "ip6", "mac-address", "link", "link-local-ip" }, add_networks },
	{ { "entrypoint" }, add_entrypoint },
	{ { "health-cmd", "health-interval", "health-retries", "health-start-interval", "health-start-period",
	      "health-timeout", "no-healthcheck" },
	    add_health },
};

static int is_given(const struct options *o, const char *const names[ADDER_OPTIONS_MAX])
{
	for (size_t i = 0; i < ADDER_OPTIONS_MAX && names[i]; i++)
		if (options_given(o, names[i]))
			return 1;
	return 0;
}

/* ---- limits ---- */

static int add_given(const struct maker *m, const struct member *rows, size_t count, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		if (options_given(m->options, rows[i].option))
			r = add_member(m, &rows[i], err);
	return r;
}

int body_add_limits(struct options *o, struct json_object *host, struct error **err)
{
	const struct maker m = { .options = o, .host = host };
	int64_t nano = 0;
	int r = add_given(&m, limits, ARRAY_SIZE(limits), err);
	if (r < 0 || !options_given(o, "cpus"))
		return r;
	r = value_cpus(options_string(o, "cpus"), &nano, err);
	json_add_i64(host, "NanoCpus", nano);
	return r;
}

/* ---- streams ---- */

struct json_object *body_console_size(void)
{
	unsigned rows, columns;
	if (terminal_size(STDOUT_FILENO, &rows, &columns) < 0 && terminal_size(STDIN_FILENO, &rows, &columns) < 0)
		return NULL;
	struct json_object *size = json_object_new_array();
	json_object_array_add(size, json_object_new_int64(rows));
	json_object_array_add(size, json_object_new_int64(columns));
	return size;
}

static int choose_streams(struct options *o, int detached, struct body_streams *ret, struct error **err)
{
	const struct strv *names = options_list(o, "attach");
	const char *const words[] = { "stdin", "stdout", "stderr" };
	int *const places[] = { &ret->in, &ret->out, &ret->err };
	*ret = (struct body_streams){ .in = !names->count && options_switch(o, "interactive", 0),
		.out = !names->count,
		.err = !names->count };
	if (names->count && detached)
		return error_set(err, EINVAL, "--attach and --detach exclude each other");
	for (size_t i = 0; i < names->count; i++) {
		size_t k = 0;
		while (k < ARRAY_SIZE(words) && strcasecmp(words[k], names->items[i]) != 0)
			k++;
		if (k == ARRAY_SIZE(words))
			return error_set(err, EINVAL, "--attach \"%.40s\": choose stdin, stdout or stderr",
			    names->items[i]);
		*places[k] = 1;
	}
	if (detached)
		*ret = (struct body_streams){ 0 };
	return 0;
}

static void add_streams(const struct maker *m, const struct body_streams *s)
{
	int open = options_switch(m->options, "interactive", 0);
	json_add_bool(m->config, "AttachStdin", s->in);
	json_add_bool(m->config, "AttachStdout", s->out);
	json_add_bool(m->config, "AttachStderr", s->err);
	json_add_bool(m->config, "OpenStdin", open);
	json_add_bool(m->config, "StdinOnce", open && s->in);
	struct json_object *size = options_switch(m->options, "tty", 0) ? body_console_size() : NULL;
	if (size)
		json_add(m->host, "ConsoleSize", size);
}

int body_make(struct options *o, int detached, struct json_object **ret, struct body_streams *ret_streams,
    struct error **err)
{
	AUTO_JSON struct json_object *config = json_object_new_object();
	struct maker m = { .options = o, .config = config, .host = json_object_new_object() };
	AUTO_STRV struct strv command = { 0 };
	const struct strv *words = options_words(o);
	json_add(config, "HostConfig", m.host);
	json_add_string(config, "Image", words->items[0]);
	for (size_t i = 1; i < words->count; i++)
		strv_add(&command, words->items[i]);
	if (command.count)
		json_add_strv(config, "Cmd", &command);
	int r = choose_streams(o, detached, ret_streams, err);
	if (r == 0)
		add_streams(&m, ret_streams);
	if (r == 0)
		r = add_given(&m, members, ARRAY_SIZE(members), err);
	if (r == 0)
		r = body_add_limits(o, m.host, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(adders); i++)
		if (is_given(o, adders[i].options))
			r = adders[i].add(&m, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}
