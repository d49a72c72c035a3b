/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/usage. The machine's cgroup counts processes that have ended, too. Without one the
 * figures come from the processes that live: their children that have ended are in their times. */
#include "agent/service/usage.h"

#include <dirent.h>
#include <unistd.h>

#include "agent/core/agent.h"
#include "agent/service/service.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/strv.h"

enum { TEXT_MAX = 256 * 1024, PROCESSES_MAX = 65536, STAT_FIELDS = 24 };

/* ---- cgroup ---- */

static char *read_in(const char *directory, const char *name)
{
	AUTOFREE char *path = path_join(directory, name);
	char *text = NULL;
	return path_read_file(path, TEXT_MAX, &text, NULL) < 0 ? NULL : text;
}

static void take_number(const char *text, int64_t *place)
{
	uint64_t n;
	AUTOFREE char *word = xstrndup(text, strcspn(text, " \n"));
	if (parse_u64(word, &n) == 0 && n <= INT64_MAX)
		*place = (int64_t)n;
}

/* The number behind "KEY " at the beginning of a line. */
static void take_line(const char *text, const char *key, int64_t *place)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		const char *rest = startswith(line, key);
		if (rest && *rest == ' ') {
			take_number(rest + 1, place);
			return;
		}
	}
}

/* The sum of the numbers behind KEY= of all devices of io.stat. */
static void take_sum(const char *text, const char *key, int64_t *place)
{
	size_t length = strlen(key);
	int64_t sum = 0;
	for (const char *at = text; (at = strstr(at, key)); at += length) {
		int64_t n = 0;
		if (at[length] != '=' || at == text || at[-1] != ' ')
			continue;
		take_number(at + length + 1, &n);
		sum += n;
	}
	*place = sum;
}

void usage_of_cgroup(const char *directory, struct usage *u)
{
	AUTOFREE char *cpu = read_in(directory, "cpu.stat"), *memory = read_in(directory, "memory.current"),
		      *details = read_in(directory, "memory.stat"), *pids = read_in(directory, "pids.current"),
		      *io = read_in(directory, "io.stat");
	int64_t cache = 0;
	if (cpu)
		take_line(cpu, "usage_usec", &u->cpu_us);
	if (memory)
		take_number(memory, &u->memory);
	if (details)
		take_line(details, "inactive_file", &cache);
	if (u->memory >= cache)
		u->memory -= cache;
	if (pids)
		take_number(pids, &u->pids);
	if (io) {
		take_sum(io, "rbytes", &u->block_read);
		take_sum(io, "wbytes", &u->block_written);
	}
}

/* Figures that one of the two does not know are the other's. */
static void add_usage(struct usage *u, const struct usage *other)
{
	int64_t *const to[] = { &u->cpu_us, &u->memory, &u->pids, &u->block_read, &u->block_written };
	const int64_t from[] = { other->cpu_us, other->memory, other->pids, other->block_read, other->block_written };
	for (size_t i = 0; i < ARRAY_SIZE(to); i++)
		if (from[i] != USAGE_UNKNOWN)
			*to[i] = *to[i] == USAGE_UNKNOWN ? from[i] : *to[i] + from[i];
}

/* ---- processes ---- */

/* Whether the process has a number in a namespace below that of this /proc. */
static int is_inside(const char *status)
{
	const char *line = strstr(status, "\nNSpid:\t");
	size_t size = line ? strcspn(line + 1, "\n") : 0;
	const char *second = line ? memchr(line + strlen("\nNSpid:\t"), '\t', size) : NULL;
	return second && second < line + 1 + size;
}

/* Adds utime, stime, cutime and cstime (fields 14 to 17) and rss (24) of a stat line. */
static void add_stat(const char *stat, struct usage *u)
{
	AUTO_STRV struct strv fields = { 0 };
	const char *rest = strrchr(stat, ')'); /* the name may hold blanks and more */
	const int64_t tick_us = 1000000 / MAX(sysconf(_SC_CLK_TCK), 1);
	if (rest)
		strv_split(&fields, rest + 1, " \n");
	if (fields.count < STAT_FIELDS - 2)
		return;
	for (size_t i = 14; i <= 17; i++) {
		int64_t ticks = 0;
		take_number(fields.items[i - 3], &ticks);
		u->cpu_us += ticks * tick_us;
	}
	int64_t pages = 0;
	take_number(fields.items[STAT_FIELDS - 3], &pages);
	u->memory += pages * sysconf(_SC_PAGESIZE);
	u->pids++;
}

static void add_process(const char *proc, const char *pid, struct usage *u)
{
	AUTOFREE char *directory = path_join(proc, pid), *status = read_in(directory, "status");
	AUTOFREE char *stat = status && is_inside(status) ? read_in(directory, "stat") : NULL;
	if (stat)
		add_stat(stat, u);
}

static void fill(int64_t *place, int64_t value)
{
	if (*place == USAGE_UNKNOWN)
		*place = value;
}

void usage_of_processes(const char *proc, struct usage *u)
{
	struct usage sum = { 0 };
	size_t seen = 0;
	DIR *d = opendir(proc);
	for (struct dirent *e; d && seen < PROCESSES_MAX && (e = readdir(d));) {
		if (strspn(e->d_name, "0123456789") != strlen(e->d_name))
			continue;
		seen++;
		add_process(proc, e->d_name, &sum);
	}
	if (!d)
		return;
	closedir(d);
	fill(&u->cpu_us, sum.cpu_us);
	fill(&u->memory, sum.memory);
	fill(&u->pids, sum.pids);
}

/* ---- network ---- */

void usage_of_network(const char *file, struct usage *u)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	if (path_read_file(file, TEXT_MAX, &text, NULL) < 0)
		return;
	u->network_received = u->network_sent = 0;
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		AUTO_STRV struct strv words = { 0 };
		int64_t received = 0, sent = 0;
		strv_split(&words, lines.items[i], " :");
		if (!strchr(lines.items[i], ':') || words.count < 10 || streq(words.items[0], "lo"))
			continue;
		take_number(words.items[1], &received);
		take_number(words.items[9], &sent);
		u->network_received += received;
		u->network_sent += sent;
	}
}

/* ---- the resource ---- */

struct json_object *usage_to_json(const struct usage *u)
{
	const struct {
		const char *key;
		int64_t value;
	} figures[] = { { "cpu_us", u->cpu_us }, { "memory", u->memory }, { "pids", u->pids },
		{ "block_read", u->block_read }, { "block_written", u->block_written },
		{ "network_received", u->network_received }, { "network_sent", u->network_sent } };
	struct json_object *o = json_object_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		json_add(o, figures[i].key,
		    figures[i].value == USAGE_UNKNOWN ? NULL : json_object_new_int64(figures[i].value));
	return o;
}

void usage_handle(struct http_exchange *x, void *agent)
{
	const struct agent *a = agent;
	struct usage u = USAGE_NONE;
	struct usage containers = USAGE_NONE;
	usage_of_cgroup(AGENT_CGROUP, &u);
	usage_of_cgroup(AGENT_CONTAINERS_CGROUP, &containers);
	add_usage(&u, &containers);
	if (u.cpu_us == USAGE_UNKNOWN || u.memory == USAGE_UNKNOWN || u.pids == USAGE_UNKNOWN)
		usage_of_processes("/proc", &u);
	if (a->init_pid > 0) {
		AUTOFREE char *devices = xasprintf("/proc/%d/net/dev", (int)a->init_pid);
		usage_of_network(devices, &u);
	}
	struct json_object *o = usage_to_json(&u);
	json_add_u64(o, "time_ms", clock_now_ms());
	http_respond_json(x, 200, o);
}
