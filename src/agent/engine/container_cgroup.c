/* SPDX-License-Identifier: Apache-2.0
 * See container_cgroup.h. The engine makes the cgroup and writes the limits, at a start as for an
 * update; crun only moves the container's process there. */
#include "agent/engine/container_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/cgroup.h"
#include "agent/engine/container_io.h"
#include "agent/engine/events.h"
#include "agent/engine/namespaces.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

#define ENGINE_OWN ENGINE_CGROUPS "/engine" /* shows which files a container's will have */

enum { TEXT_MAX = 64 * 1024, PERIOD_US = 100000 };
#define NANO 1000000000LL

/* ---- controllers ---- */

unsigned cgroups_find(int has_cgroup)
{
	static const struct {
		const char *file;
		enum docker_limit limit;
	} files[] = { { "cgroup.procs", DOCKER_LIMIT_CGROUP }, { "memory.max", DOCKER_LIMIT_MEMORY },
		{ "memory.swap.max", DOCKER_LIMIT_SWAP }, { "cpu.max", DOCKER_LIMIT_CPU },
		{ "cpuset.cpus", DOCKER_LIMIT_CPUSET }, { "pids.max", DOCKER_LIMIT_PIDS },
		{ "io.weight", DOCKER_LIMIT_BLKIO }, { "io.bfq.weight", DOCKER_LIMIT_BLKIO },
		{ "io.max", DOCKER_LIMIT_IO } };
	unsigned found = 0;
	for (size_t i = 0; has_cgroup && i < ARRAY_SIZE(files); i++) {
		AUTOFREE char *path = path_join(ENGINE_OWN, files[i].file);
		if (access(path, F_OK) == 0)
			found |= files[i].limit;
	}
	return found;
}

static int check_list(const char *key, const char *list, const char *file, struct error **err)
{
	AUTOFREE char *path = path_join(ENGINE_CGROUPS, file), *available = NULL;
	if (!list || path_read_file(path, TEXT_MAX, &available, NULL) < 0)
		return 0;
	available[strcspn(available, "\n")] = '\0';
	return docker_cpus_are_in(list, available) == 1 ?
		   0 :
		   error_set(err, EINVAL, "Requested %s are not available - requested %.64s, available: %.64s", key,
		       list, available);
}

/* A process may lower its own value below what its parent had only with rights over the host. */
static int can_adjust(int64_t score)
{
	static const char file[] = "/proc/self/oom_score_adj";
	AUTOFREE char *before = NULL, *text = xasprintf("%lld", (long long)score);
	AUTO_FD int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || path_read_file(file, TEXT_MAX, &before, NULL) < 0)
		return 0;
	if (fd_write_full(fd, text, strlen(text)) < 0)
		return 0;
	(void)fd_write_full(fd, before, strlen(before));
	return 1;
}

static void check_score(struct json_object *host, int64_t score, struct strv *warnings)
{
	if (!score || can_adjust(score))
		return;
	strv_addf(warnings, "The engine may not lower the OOM score. OomScoreAdj %lld discarded.", (long long)score);
	json_object_object_del(host, "OomScoreAdj");
}

/* The member stays, as clients compare it. */
static void check_device_rules(struct json_object *host, struct strv *warnings)
{
	struct json_object *list = NULL;
	if (json_get_array(host, "DeviceCgroupRules", &list, NULL) == 0 && json_object_array_length(list))
		strv_add(warnings,
		    "Device cgroup rules (--device-cgroup-rule) are discarded: nobody makes devices in a "
		    "user namespace.");
}

int cgroups_check(const struct engine *e, struct json_object *host, struct strv *warnings, struct error **err)
{
	struct docker_limits l;
	int64_t cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int r = docker_limits_parse(host, &l, err);
	if (r < 0)
		return r;
	if (l.nano_cpus > cpus * NANO)
		return error_set(err, EINVAL,
		    "range of CPUs is from 0.01 to %lld.00, as there are only %lld CPUs available", (long long)cpus,
		    (long long)cpus);
	if (e->limits & DOCKER_LIMIT_CPUSET &&
	    ((r = check_list("CPUs", l.cpuset_cpus, "cpuset.cpus.effective", err)) < 0 ||
		(r = check_list("memory nodes", l.cpuset_mems, "cpuset.mems.effective", err)) < 0))
		return r;
	check_score(host, l.oom_score_adj, warnings);
	check_device_rules(host, warnings);
	docker_limits_discard(host, e->limits, warnings);
	return 0;
}

/* ---- files ---- */

char *container_cgroup_path(const struct container *c)
{
	const char *parent = c->record.body.limits.cgroup_parent;
	return parent ? xasprintf("/%s/%s", parent + strspn(parent, "/"), c->record.id) :
			xasprintf("/%s", c->record.id);
}

static char *file_of(const struct container *c, const char *name)
{
	AUTOFREE char *own = container_cgroup_path(c);
	return xasprintf(ENGINE_CGROUPS "%s/%s", own, name);
}

char *container_cgroup_read(const struct container *c, const char *name)
{
	AUTOFREE char *path = file_of(c, name);
	char *text = NULL;
	return path_read_file(path, TEXT_MAX, &text, NULL) < 0 ? NULL : text;
}

static int write_file(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

int container_cgroup_write(const struct container *c, const char *name, const char *text)
{
	AUTOFREE char *path = file_of(c, name);
	return write_file(path, text);
}

int container_cgroup_open(const struct container *c, const char *name)
{
	AUTOFREE char *path = file_of(c, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int container_cgroup_directory(const struct container *c)
{
	AUTOFREE char *path = file_of(c, "");
	int fd = c->engine->limits & DOCKER_LIMIT_CGROUP ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return fd >= 0 ? fd : c->engine->limits & DOCKER_LIMIT_CGROUP ? -errno : -ENOENT;
}

/* The container names what is below its cgroup. */
int container_cgroup_below(const struct container *c)
{
	AUTOFREE char *own = container_cgroup_path(c), *prefix = xasprintf("0::%s/", own),
		      *file = xasprintf("/proc/%d/cgroup", c->pid), *text = NULL;
	AUTO_FD int top = container_cgroup_directory(c);
	AUTO_STRV struct strv lines = { 0 };
	int r = top < 0 ? top : path_read_file(file, TEXT_MAX, &text, NULL);
	if (r < 0)
		return r;
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++) {
		const char *below = startswith(lines.items[i], prefix);
		if (below)
			return path_open_beneath(top, below, O_RDONLY | O_DIRECTORY, 0);
	}
	return -ENOENT;
}

int64_t cgroup_number(const char *text, const char *key)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		const char *rest = startswith(line, key);
		if (rest && *rest == ' ')
			return strtoll(rest + 1, NULL, 10);
	}
	return -1;
}

/* ---- limits ---- */

static char *number_or_max(int64_t n)
{
	return n > 0 ? xasprintf("%lld", (long long)n) : xstrdup("max");
}

static char *swap_of(const struct docker_limits *l)
{
	int64_t swap = l->memory_swap ? l->memory_swap : 2 * l->memory; /* Docker's default */
	if (!l->memory || swap < 0)
		return xstrdup("max");
	return xasprintf("%lld", (long long)MAX(swap - l->memory, 0));
}

static char *cpu_of(const struct docker_limits *l)
{
	int64_t period = l->cpu_period ? l->cpu_period : PERIOD_US;
	int64_t quota = l->nano_cpus ? l->nano_cpus / (NANO / PERIOD_US) : l->cpu_quota;
	return quota > 0 ? xasprintf("%lld %lld", (long long)quota, (long long)period) :
			   xasprintf("max %lld", (long long)period);
}

/* From 2..262144 to 1..10000, as runc does it; 0: the kernel's own. */
static char *weight_of(int64_t shares)
{
	int64_t bounded = MIN(MAX(shares, 2), 262144);
	return shares ? xasprintf("%lld", (long long)(1 + (bounded - 2) * 9999 / 262142)) : xstrdup("100");
}

static int set_one(const struct container *c, const char *name, const char *text, struct error **err)
{
	int r = container_cgroup_write(c, name, text);
	return r < 0 ? error_set_errno(err, r, "cannot limit the container: %s \"%s\"", name, text) : 0;
}

/* Of io.bfq.weight from 1 to 1000, of io.weight from 1 to 10000. */
static int set_weight(const struct container *c, int64_t weight, struct error **err)
{
	AUTOFREE char *bfq = xasprintf("%lld", (long long)weight),
		      *own = xasprintf("%lld", (long long)(1 + (weight - 10) * 9999 / 990));
	return container_cgroup_write(c, "io.bfq.weight", bfq) == 0 ? 0 : set_one(c, "io.weight", own, err);
}

/* A new cgroup has no limits, so what was not given is written only where it may have been. */
int container_cgroup_limit(const struct container *c, const struct docker_limits *l, struct error **err)
{
	AUTOFREE char *memory = number_or_max(l->memory), *swap = swap_of(l), *cpu = cpu_of(l),
		      *weight = weight_of(l->cpu_shares), *pids = number_or_max(l->pids),
		      *low = xasprintf("%lld", (long long)l->memory_reservation);
	const struct docker_limits *old = &c->record.body.limits;
	const unsigned there = c->engine->limits;
	const struct {
		enum docker_limit needs;
		int given;
		const char *name, *text;
	} files[] = {
		{ DOCKER_LIMIT_SWAP, l->memory || old->memory, "memory.swap.max", swap },
		{ DOCKER_LIMIT_MEMORY, l->memory || old->memory, "memory.max", memory },
		{ DOCKER_LIMIT_MEMORY, l->memory_reservation || old->memory_reservation, "memory.low", low },
		{ DOCKER_LIMIT_CPU,
		    l->nano_cpus || l->cpu_quota || l->cpu_period || old->nano_cpus || old->cpu_quota ||
			old->cpu_period,
		    "cpu.max", cpu },
		{ DOCKER_LIMIT_CPU, l->cpu_shares || old->cpu_shares, "cpu.weight", weight },
		{ DOCKER_LIMIT_CPUSET, l->cpuset_cpus != NULL, "cpuset.cpus", l->cpuset_cpus },
		{ DOCKER_LIMIT_CPUSET, l->cpuset_mems != NULL, "cpuset.mems", l->cpuset_mems },
		{ DOCKER_LIMIT_PIDS, l->pids || old->pids, "pids.max", pids },
	};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		if (files[i].given && there & files[i].needs)
			r = set_one(c, files[i].name, files[i].text, err);
	if (r == 0 && l->blkio_weight && there & DOCKER_LIMIT_BLKIO)
		r = set_weight(c, l->blkio_weight, err);
	return r < 0 ? r : container_io_limit(c, l, err);
}

/* ---- making and removing ---- */

/* A parent hands every controller down. */
static int make_parent(const char *path)
{
	AUTOFREE char *text = NULL, *from = path_join(path, "cgroup.controllers"),
		      *to = path_join(path, "cgroup.subtree_control");
	AUTO_STRV struct strv names = { 0 };
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (path_read_file(from, TEXT_MAX, &text, NULL) < 0)
		return -ENOENT;
	strv_split(&names, text, " \n");
	for (size_t i = 0; i < names.count; i++) {
		AUTOFREE char *word = xasprintf("+%s", names.items[i]);
		int r = write_file(to, word);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_parents(const struct container *c)
{
	AUTO_STRV struct strv names = { 0 };
	AUTOFREE char *path = xstrdup(ENGINE_CGROUPS);
	int r = 0;
	if (!c->record.body.limits.cgroup_parent)
		return 0;
	strv_split(&names, c->record.body.limits.cgroup_parent, "/");
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		char *below = path_join(path, names.items[i]);
		free(path);
		path = below;
		r = make_parent(path);
	}
	return r;
}

/* Root of a privileged container makes groups below its own (cgroups(7), delegation). */
static int hand_over(const struct container *c, const char *path)
{
	static const char *const files[] = { "", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads" };
	const struct idmap *ids = container_ids(c);
	for (size_t i = 0; c->record.body.rights.privileged && i < ARRAY_SIZE(files); i++) {
		AUTOFREE char *file = path_join(path, files[i]);
		if (chown(file, ids->uids[0].outside, ids->gids[0].outside) < 0)
			return -errno;
	}
	return 0;
}

int container_cgroup_make(const struct container *c, struct error **err)
{
	if (!(c->engine->limits & DOCKER_LIMIT_CGROUP))
		return 0;
	AUTOFREE char *path = file_of(c, "");
	int r = make_parents(c);
	if (r == 0 && mkdir(path, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0)
		r = hand_over(c, path);
	return r < 0 ? error_set_errno(err, r, "cannot make the container's cgroup") :
		       container_cgroup_limit(c, &c->record.body.limits, err);
}

/* Those that no other container has. */
static void remove_parents(const struct container *c)
{
	const size_t root = strlen(ENGINE_CGROUPS);
	AUTOFREE char *path = xasprintf(ENGINE_CGROUPS "/%s", c->record.body.limits.cgroup_parent);
	while (strlen(path) > root && rmdir(path) == 0)
		*strrchr(path, '/') = '\0';
}

void container_cgroup_remove(const struct container *c)
{
	if (!(c->engine->limits & DOCKER_LIMIT_CGROUP))
		return;
	AUTOFREE char *path = file_of(c, "");
	/* A privileged container may have made groups below its own, and in another one's PID
	 * namespace processes may be left. */
	if (rmdir(path) < 0 && errno != ENOENT)
		cgroup_end(path);
	if (c->record.body.limits.cgroup_parent)
		remove_parents(c);
}

/* ---- OOM kills ---- */

void container_oom_look(struct container *c)
{
	char text[4096];
	ssize_t n = c->oom < 0 ? -1 : pread(c->oom, text, sizeof text - 1, 0);
	if (n < 0)
		return;
	text[n] = '\0';
	int64_t kills = cgroup_number(text, "oom_kill");
	if (kills <= c->oom_kills)
		return;
	int known = c->oom_kills < 0; /* an engine before this one has reported it */
	c->oom_kills = kills;
	if (known)
		return;
	c->record.oom_killed = 1;
	container_save(c);
	event_container(c, "oom", NULL, NULL);
}

static void on_oom(struct source *s, int fd, uint32_t events, void *data)
{
	container_oom_look(data);
}

void container_oom_watch(struct container *c)
{
	if (!(c->engine->limits & DOCKER_LIMIT_MEMORY) || c->oom_source)
		return;
	c->oom = container_cgroup_open(c, "memory.events");
	c->oom_kills = c->record.oom_killed ? -1 : 0;
	container_oom_look(c);
	if (c->oom >= 0 && loop_add_io(c->engine->loop, c->oom, EPOLLPRI, on_oom, c, &c->oom_source) < 0)
		log_warning("container %.12s: OOM kills are noticed at its end only", c->record.id);
}

/* Whether the run had as many processes as it may have. */
static void look_at_processes(struct container *c)
{
	char text[256];
	AUTO_FD int fd = c->record.body.limits.pids > 0 && c->engine->limits & DOCKER_LIMIT_PIDS ?
			     container_cgroup_open(c, "pids.events") :
			     -1;
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
	if (n < 0)
		return;
	text[n] = '\0';
	c->pids_full = cgroup_number(text, "max") > 0;
}

void container_oom_end(struct container *c)
{
	container_oom_look(c);
	look_at_processes(c);
	source_free(TAKE_PTR(c->oom_source));
	fd_close(c->oom);
	c->oom = -1;
}
