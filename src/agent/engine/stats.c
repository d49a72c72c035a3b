/* SPDX-License-Identifier: Apache-2.0
 * GET /containers/ * /stats: what a container uses, each second, or once. precpu_stats are those of
 * a second before, from which clients make a share of the processors.
 *
 * The figures are those of its cgroup. Where the host delegates no controllers, and where there is
 * no cgroup, memory and processes are counted in /proc. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/engine/container_cgroup.h"
#include "agent/engine/processes.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/path.h"

enum { INTERVAL_MS = 1000, TEXT_MAX = 256 * 1024, WATCHERS_MAX = 1024, DEVICE_FIELDS = 17 };
#define NS_PER_US 1000LL
#define NS_PER_S 1000000000LL

struct watching {
	struct engine *engine;
	struct http_exchange *exchange;
	char *id;
	struct source *timer;
	struct json_object *cpu; /* of the sample before; NULL: none */
	int64_t read;
	int stream;
};

static size_t watchers;

/* ---- the processors ---- */

/* The time that the machine's processors have spent on anything, and how many there are. */
static int64_t read_system(int64_t *ret_online)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	int64_t ticks = 0;
	*ret_online = 0;
	if (path_read_file("/proc/stat", TEXT_MAX, &text, NULL) < 0)
		return 0;
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count && startswith(lines.items[i], "cpu"); i++) {
		long long n[8] = { 0 };
		if (lines.items[i][3] != ' ') {
			++*ret_online;
			continue;
		}
		if (sscanf(lines.items[i], "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &n[0], &n[1], &n[2], &n[3],
			&n[4], &n[5], &n[6], &n[7]) < 4)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(n); k++)
			ticks += n[k];
	}
	return ticks * (NS_PER_S / MAX(sysconf(_SC_CLK_TCK), 1));
}

static struct json_object *cpu_new(int64_t total, int64_t kernel, int64_t user, const char *throttling)
{
	struct json_object *o = json_object_new_object(), *usage = json_object_new_object(),
			   *throttled = json_object_new_object();
	json_add_i64(usage, "total_usage", total);
	json_add_i64(usage, "usage_in_kernelmode", kernel);
	json_add_i64(usage, "usage_in_usermode", user);
	json_add(o, "cpu_usage", usage);
	json_add_i64(throttled, "periods", MAX(cgroup_number(throttling, "nr_periods"), 0));
	json_add_i64(throttled, "throttled_periods", MAX(cgroup_number(throttling, "nr_throttled"), 0));
	json_add_i64(throttled, "throttled_time", MAX(cgroup_number(throttling, "throttled_usec"), 0) * NS_PER_US);
	json_add(o, "throttling_data", throttled);
	return o;
}

static struct json_object *read_cpu(const struct container *c, const struct process_sum *sum)
{
	AUTOFREE char *text = container_cgroup_read(c, "cpu.stat");
	int64_t online, system = read_system(&online);
	struct json_object *o =
	    cgroup_number(text, "usage_usec") >= 0 ?
		cpu_new(cgroup_number(text, "usage_usec") * NS_PER_US, cgroup_number(text, "system_usec") * NS_PER_US,
		    cgroup_number(text, "user_usec") * NS_PER_US, text) :
		cpu_new(sum->cpu_ns, 0, sum->cpu_ns, NULL);
	json_add_i64(o, "system_cpu_usage", system);
	json_add_i64(o, "online_cpus", online);
	return o;
}

/* ---- memory, processes ---- */

/* "max" and no number: -1. */
static int64_t read_number(const struct container *c, const char *file)
{
	AUTOFREE char *text = container_cgroup_read(c, file);
	uint64_t n;
	if (text)
		text[strcspn(text, "\n")] = '\0';
	return !text || parse_u64(text, &n) < 0 || n > INT64_MAX ? -1 : (int64_t)n;
}

static struct json_object *memory_details(const struct container *c)
{
	struct json_object *o = json_object_new_object();
	AUTOFREE char *text = container_cgroup_read(c, "memory.stat");
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, text ? text : "", "\n");
	for (size_t i = 0; i < lines.count; i++) {
		char *blank = strchr(lines.items[i], ' ');
		uint64_t n;
		if (!blank || parse_u64(blank + 1, &n) < 0)
			continue;
		*blank = '\0';
		json_add_u64(o, lines.items[i], n);
	}
	return o;
}

static struct json_object *read_memory(const struct container *c, const struct process_sum *sum)
{
	struct json_object *o = json_object_new_object();
	int64_t all = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE), used = read_number(c, "memory.current"),
		limit = read_number(c, "memory.max");
	json_add_i64(o, "usage", used >= 0 ? used : sum->memory);
	json_add(o, "stats", memory_details(c));
	json_add_i64(o, "limit", limit >= 0 ? MIN(limit, all) : all);
	return o;
}

static struct json_object *read_pids(const struct container *c, const struct process_sum *sum)
{
	struct json_object *o = json_object_new_object();
	int64_t now = read_number(c, "pids.current"), limit = read_number(c, "pids.max");
	json_add_i64(o, "current", now >= 0 ? now : sum->tasks);
	if (limit >= 0)
		json_add_i64(o, "limit", limit);
	return o;
}

/* ---- disks ---- */

static void add_device(struct json_object *list, const char *line, const char *key, const char *operation)
{
	unsigned major, minor;
	const char *value = strstr(line, key);
	if (!value || sscanf(line, "%u:%u", &major, &minor) != 2)
		return;
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "major", major);
	json_add_u64(o, "minor", minor);
	json_add_string(o, "op", operation);
	json_add_i64(o, "value", strtoll(value + strlen(key), NULL, 10));
	json_object_array_add(list, o);
}

static struct json_object *read_disks(const struct container *c)
{
	static const char *const others[] = { "io_queue_recursive", "io_service_time_recursive",
		"io_wait_time_recursive", "io_merged_recursive", "io_time_recursive", "sectors_recursive" };
	struct json_object *o = json_object_new_object(), *bytes = json_object_new_array(),
			   *operations = json_object_new_array();
	AUTOFREE char *text = container_cgroup_read(c, "io.stat");
	AUTO_STRV struct strv lines = { 0 };
	strv_split(&lines, text ? text : "", "\n");
	for (size_t i = 0; i < lines.count; i++) {
		add_device(bytes, lines.items[i], " rbytes=", "read");
		add_device(bytes, lines.items[i], " wbytes=", "write");
		add_device(operations, lines.items[i], " rios=", "read");
		add_device(operations, lines.items[i], " wios=", "write");
	}
	json_add(o, "io_service_bytes_recursive", bytes);
	json_add(o, "io_serviced_recursive", operations);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		json_object_object_add(o, others[i], NULL);
	return o;
}

/* ---- networks ---- */

/* proc_pid_net(5): dev. */
static void add_interface(struct json_object *networks, const char *line)
{
	static const char *const names[] = { "rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes",
		"tx_packets", "tx_errors", "tx_dropped" };
	static const size_t places[] = { 1, 2, 3, 4, 9, 10, 11, 12 };
	AUTO_STRV struct strv fields = { 0 };
	strv_split(&fields, line, " :");
	if (!strchr(line, ':') || fields.count < DEVICE_FIELDS || streq(fields.items[0], "lo"))
		return;
	struct json_object *o = json_object_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_add_i64(o, names[i], strtoll(fields.items[places[i]], NULL, 10));
	json_add(networks, fields.items[0], o);
}

/* NULL: the network is the machine's. */
static struct json_object *read_networks(const struct container *c)
{
	AUTOFREE char *path = xasprintf("/proc/%d/net/dev", c->pid), *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	if (c->namespaces.network < 0 || path_read_file(path, TEXT_MAX, &text, NULL) < 0)
		return NULL;
	struct json_object *o = json_object_new_object();
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++)
		add_interface(o, lines.items[i]);
	return o;
}

/* ---- a sample ---- */

static void add_time(struct json_object *o, const char *key, int64_t ns)
{
	AUTOFREE char *text = ns ? clock_format_rfc3339(ns) : xstrdup("0001-01-01T00:00:00Z");
	json_add_string(o, key, text);
}

/* Of a container that does not run all is empty, as with Docker. */
static void fill(const struct container *c, struct json_object *o, struct json_object **ret_cpu)
{
	struct process_sum sum = { 0 };
	struct json_object *networks = NULL;
	if (!c->pid) {
		*ret_cpu = cpu_new(0, 0, 0, NULL);
		json_add(o, "pids_stats", json_object_new_object());
		json_add(o, "blkio_stats", json_object_new_object());
		json_add(o, "memory_stats", json_object_new_object());
		return;
	}
	if (~c->engine->limits & (DOCKER_LIMIT_MEMORY | DOCKER_LIMIT_PIDS))
		processes_sum(c, &sum);
	*ret_cpu = read_cpu(c, &sum);
	json_add(o, "pids_stats", read_pids(c, &sum));
	json_add(o, "blkio_stats", read_disks(c));
	json_add(o, "memory_stats", read_memory(c, &sum));
	networks = read_networks(c);
	if (networks)
		json_add(o, "networks", networks);
}

static struct json_object *take_sample(const struct container *c, struct watching *w)
{
	struct json_object *o = json_object_new_object(), *cpu = NULL;
	AUTOFREE char *name = xasprintf("/%s", c->record.name);
	int64_t now = c->pid ? container_now() : 0;
	json_add_string(o, "name", name);
	json_add_string(o, "id", c->record.id);
	add_time(o, "read", now);
	add_time(o, "preread", c->pid ? w->read : 0);
	fill(c, o, &cpu);
	json_add_u64(o, "num_procs", 0);
	json_add(o, "storage_stats", json_object_new_object());
	json_add(o, "cpu_stats", json_object_get(cpu));
	json_add(o, "precpu_stats", w->cpu && c->pid ? json_object_get(w->cpu) : cpu_new(0, 0, 0, NULL));
	json_object_put(w->cpu);
	w->cpu = cpu;
	w->read = now;
	return o;
}

/* ---- the request ---- */

static void watching_free(struct watching *w)
{
	watchers--;
	source_free(w->timer);
	json_object_put(w->cpu);
	free(w->id);
	free(w);
}

static void on_closed(void *data)
{
	watching_free(data);
}

static const struct container *find(const struct watching *w)
{
	for (const struct container *c = w->engine->containers; c; c = c->next)
		if (streq(c->record.id, w->id))
			return c;
	return NULL;
}

/* The last answer. */
static void end(struct watching *w, struct json_object *sample)
{
	AUTO_ERROR struct error *err = NULL;
	struct http_exchange *x = w->exchange;
	http_exchange_on_closed(x, NULL, NULL);
	if (w->stream) {
		http_stream_end(x);
	} else if (sample) {
		http_respond_json(x, 200, sample);
	} else {
		error_set(&err, ENOENT, "No such container: %s", w->id);
		engine_error(x, -ENOENT, err);
	}
	watching_free(w);
}

static void on_time(struct source *s, void *data)
{
	struct watching *w = data;
	const struct container *c = find(w);
	struct json_object *sample = c ? take_sample(c, w) : NULL;
	if (!w->stream || !c) {
		end(w, sample);
		return;
	}
	http_stream_json(w->exchange, sample);
	if (source_set_timer(w->timer, clock_deadline(INTERVAL_MS)) < 0)
		end(w, NULL);
}

static void watch(struct watching *w, const struct container *c)
{
	http_exchange_on_closed(w->exchange, on_closed, w);
	if (w->stream)
		http_stream_begin(w->exchange, 200);
	json_object_put(take_sample(c, w)); /* for the share of the processors in the next one */
	if (loop_add_timer(w->engine->loop, clock_deadline(INTERVAL_MS), on_time, w, &w->timer) < 0)
		end(w, NULL);
}

void engine_stats(struct engine *e, struct http_exchange *x, const char *name)
{
	AUTO_ERROR struct error *err = NULL;
	struct container *c = engine_find(e, x, name);
	if (!c)
		return;
	if (watchers >= WATCHERS_MAX) {
		int r = error_set(&err, EBUSY, "too many clients wait for statistics");
		engine_error(x, r, err);
		return;
	}
	int stream = engine_flag(x, "stream", 1), once = !stream && (engine_flag(x, "one-shot", 0) || !c->pid);
	struct watching *w = xnew(struct watching);
	*w = (struct watching){ .engine = e, .exchange = x, .id = xstrdup(c->record.id), .stream = stream };
	watchers++;
	if (once)
		end(w, take_sample(c, w));
	else
		watch(w, c);
}
