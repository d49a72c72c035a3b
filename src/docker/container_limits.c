/* SPDX-License-Identifier: Apache-2.0
 * See container_limits.h. The checks and their words are Docker's (daemon/daemon_unix.go). */
#include "docker/container_limits.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"

enum {
	MEMORY_MIN = 6 * 1024 * 1024,
	PERIOD_MIN_US = 1000,
	PERIOD_MAX_US = 1000000,
	WEIGHT_MIN = 10,
	WEIGHT_MAX = 1000,
	OOM_MAX = 1000,
	SWAPPINESS_MAX = 100,
	TEXT_MAX = 4096,
	PARENT_DEPTH_MAX = 8,
	NAME_MAX_BYTES = 255
};

/* ---- reading ---- */

static int get_numbers(struct json_object *host, struct docker_limits *l, struct error **err)
{
	const struct {
		const char *key;
		int64_t *place;
	} numbers[] = { { "Memory", &l->memory }, { "MemoryReservation", &l->memory_reservation },
		{ "MemorySwap", &l->memory_swap }, { "NanoCpus", &l->nano_cpus }, { "CpuShares", &l->cpu_shares },
		{ "CpuQuota", &l->cpu_quota }, { "CpuPeriod", &l->cpu_period }, { "PidsLimit", &l->pids },
		{ "BlkioWeight", &l->blkio_weight }, { "OomScoreAdj", &l->oom_score_adj } };
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int r = json_get_i64(host, numbers[i].key, numbers[i].place, err);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

static int get_texts(struct json_object *host, struct docker_limits *l, struct error **err)
{
	const struct {
		const char *key;
		const char **place;
	} texts[] = { { "CpusetCpus", &l->cpuset_cpus }, { "CpusetMems", &l->cpuset_mems },
		{ "CgroupParent", &l->cgroup_parent } };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = "";
		int r = json_get_string(host, texts[i].key, &text, err);
		if (r < 0 && r != -ENOENT)
			return r;
		if (strlen(text) > TEXT_MAX)
			return error_set(err, EINVAL, "%s is longer than %d bytes", texts[i].key, TEXT_MAX);
		*texts[i].place = *text ? text : NULL;
	}
	return 0;
}

/* ---- checks ---- */

static int check_memory(const struct docker_limits *l, struct error **err)
{
	const char *text = NULL;
	if (l->memory < 0 || l->memory_reservation < 0 || l->memory_swap < -1)
		text = "Memory, MemoryReservation or MemorySwap is negative";
	else if (l->memory && l->memory < MEMORY_MIN)
		text = "Minimum memory limit allowed is 6MB";
	else if (l->memory && l->memory_swap > 0 && l->memory_swap < l->memory)
		text = "Minimum memoryswap limit should be larger than memory limit, see usage";
	else if (!l->memory && l->memory_swap > 0)
		text = "You should always set the Memory limit when using Memoryswap limit, see usage";
	else if (l->memory_reservation && l->memory_reservation < MEMORY_MIN)
		text = "Minimum memory reservation allowed is 6MB";
	else if (l->memory && l->memory_reservation > l->memory)
		text = "Minimum memory limit can not be less than memory reservation limit, see usage";
	return text ? error_set(err, EINVAL, "%s", text) : 0;
}

static int check_cpu(const struct docker_limits *l, struct error **err)
{
	const char *text = NULL;
	if (l->nano_cpus && l->cpu_period)
		text = "Conflicting options: Nano CPUs and CPU Period cannot both be set.";
	else if (l->nano_cpus && l->cpu_quota)
		text = "Conflicting options: Nano CPUs and CPU Quota cannot both be set.";
	else if (l->nano_cpus < 0)
		text = "NanoCPUs is negative";
	else if (l->cpu_shares < 0)
		text = "CPU shares cannot be negative";
	else if (l->cpu_period && (l->cpu_period < PERIOD_MIN_US || l->cpu_period > PERIOD_MAX_US))
		text = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)";
	else if (l->cpu_quota > 0 && l->cpu_quota < PERIOD_MIN_US)
		text = "CPU cfs quota can not be less than 1ms (i.e. 1000)";
	return text ? error_set(err, EINVAL, "%s", text) : 0;
}

static int check_others(const struct docker_limits *l, struct json_object *host, struct error **err)
{
	int64_t swappiness = -1;
	int r = json_get_i64(host, "MemorySwappiness", &swappiness, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (swappiness < -1 || swappiness > SWAPPINESS_MAX)
		return error_set(err, EINVAL, "Invalid value: %lld, valid memory swappiness range is 0-100",
		    (long long)swappiness);
	if (l->blkio_weight && (l->blkio_weight < WEIGHT_MIN || l->blkio_weight > WEIGHT_MAX))
		return error_set(err, EINVAL, "Range of blkio weight is from 10 to 1000");
	if (l->oom_score_adj < -OOM_MAX || l->oom_score_adj > OOM_MAX)
		return error_set(err, EINVAL, "Invalid value %lld, range for oom score adj is [-1000, 1000]",
		    (long long)l->oom_score_adj);
	if (l->cpuset_cpus && docker_cpus_are_in(l->cpuset_cpus, "") < 0)
		return error_set(err, EINVAL, "Invalid value %.64s for cpuset cpus", l->cpuset_cpus);
	if (l->cpuset_mems && docker_cpus_are_in(l->cpuset_mems, "") < 0)
		return error_set(err, EINVAL, "Invalid value %.64s for cpuset mems", l->cpuset_mems);
	return 0;
}

/* "engine" is the engine's own. */
static int check_parent(const struct docker_limits *l, struct error **err)
{
	AUTO_STRV struct strv names = { 0 };
	if (!l->cgroup_parent)
		return 0;
	strv_split(&names, l->cgroup_parent, "/");
	int good = names.count > 0 && names.count <= PARENT_DEPTH_MAX && !streq(names.items[0], "engine");
	for (size_t i = 0; good && i < names.count; i++) {
		const char *name = names.items[i];
		good = name[0] != '.' && strlen(name) <= NAME_MAX_BYTES && !strpbrk(name, "\n\\");
	}
	return good ? 0 :
		      error_set(err, EINVAL, "CgroupParent \"%.64s\" (--cgroup-parent) is no path of a cgroup",
			  l->cgroup_parent);
}

static int get_cgroupns(struct json_object *host, struct docker_limits *l, struct error **err)
{
	const char *mode = "";
	int r = json_get_string(host, "CgroupnsMode", &mode, err);
	if (r < 0 && r != -ENOENT)
		return r;
	l->host_cgroupns = streq(mode, "host");
	return !*mode || l->host_cgroupns || streq(mode, "private") ?
		   0 :
		   error_set(err, EINVAL, "invalid cgroup namespace mode: %.64s", mode);
}

int docker_limits_parse(struct json_object *host, struct docker_limits *ret, struct error **err)
{
	struct docker_limits l = { 0 };
	int r;
	if ((r = get_numbers(host, &l, err)) < 0 || (r = get_texts(host, &l, err)) < 0 ||
	    (r = check_memory(&l, err)) < 0 || (r = check_cpu(&l, err)) < 0 || (r = check_others(&l, host, err)) < 0 ||
	    (r = check_parent(&l, err)) < 0 || (r = get_cgroupns(host, &l, err)) < 0 ||
	    (r = docker_device_limits_parse(host, l.devices, &l.device_count, err)) < 0)
		return r;
	*ret = l;
	return 0;
}

/* ---- warnings ---- */

static const char no_memory[] = "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
				"Limitation discarded.",
		  no_cpu[] = "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
		  no_cpuset[] = "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
		  no_bps_read[] = "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. "
				  "Block I/O BPS read limit discarded.",
		  no_bps_write[] = "Your kernel does not support BPS Block I/O write limit or the cgroup is not "
				   "mounted. Block I/O BPS write limit discarded.",
		  no_iops_read[] = "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. "
				   "Block I/O IOPS read limit discarded.",
		  no_iops_write[] = "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. "
				    "Block I/O IOPS write limit discarded.",
		  no_weight_device[] = "Your kernel does not support Block I/O weight_device. Weight-device discarded.";

/* Rows of one text are one kind. needs 0: cgroup 2 has nothing like it, or holm has not. */
static const struct {
	const char *key;
	unsigned needs;
	const char *warning;
} members[] = {
	{ "Memory", DOCKER_LIMIT_MEMORY, no_memory },
	{ "MemorySwap", DOCKER_LIMIT_SWAP,
	    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without "
	    "swap." },
	{ "MemoryReservation", DOCKER_LIMIT_MEMORY,
	    "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation "
	    "discarded." },
	{ "MemorySwappiness", 0,
	    "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory "
	    "swappiness discarded." },
	{ "KernelMemory", 0,
	    "Your kernel does not support kernel memory limit capabilities or the cgroup is not mounted. Limitation "
	    "discarded." },
	{ "OomKillDisable", 0, "Your kernel does not support OomKillDisable. OomKillDisable discarded." },
	{ "NanoCpus", DOCKER_LIMIT_CPU, no_cpu },
	{ "CpuPeriod", DOCKER_LIMIT_CPU, no_cpu },
	{ "CpuQuota", DOCKER_LIMIT_CPU, no_cpu },
	{ "CpuShares", DOCKER_LIMIT_CPU,
	    "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded." },
	{ "CpusetCpus", DOCKER_LIMIT_CPUSET, no_cpuset },
	{ "CpusetMems", DOCKER_LIMIT_CPUSET, no_cpuset },
	{ "PidsLimit", DOCKER_LIMIT_PIDS,
	    "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit "
	    "discarded." },
	{ "BlkioWeight", DOCKER_LIMIT_BLKIO,
	    "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded." },
	{ "BlkioWeightDevice", 0, no_weight_device },
	{ "BlkioDeviceReadBps", DOCKER_LIMIT_IO, no_bps_read },
	{ "BlkioDeviceWriteBps", DOCKER_LIMIT_IO, no_bps_write },
	{ "BlkioDeviceReadIOps", DOCKER_LIMIT_IO, no_iops_read },
	{ "BlkioDeviceWriteIOps", DOCKER_LIMIT_IO, no_iops_write },
	{ "CgroupParent", DOCKER_LIMIT_CGROUP,
	    "The machine has no cgroups for containers. The cgroup parent is discarded." },
};

/* Not null, false, 0, "" or []. */
static int is_given(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_boolean:
		return json_object_get_boolean(value);
	case json_type_string:
		return *json_object_get_string(value) != '\0';
	case json_type_int:
		return json_object_get_int64(value) != 0;
	case json_type_array:
		return json_object_array_length(value) > 0;
	default:
		return value != NULL;
	}
}

/* "-1" is no limit, and of swappiness the kernel's own. */
static int is_limit(const char *key, struct json_object *value)
{
	int below = streq(key, "PidsLimit") || streq(key, "MemorySwappiness") || streq(key, "MemorySwap");
	int has_zero = streq(key, "MemorySwappiness");
	if (below && json_object_is_type(value, json_type_int))
		return json_object_get_int64(value) >= (has_zero ? 0 : 1);
	return is_given(value);
}

void docker_limits_discard(struct json_object *host, unsigned supported, struct strv *warnings)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct json_object *value = NULL;
		if (members[i].needs & supported || !json_object_object_get_ex(host, members[i].key, &value))
			continue;
		int without_memory = streq(members[i].key, "MemorySwap") && !(supported & DOCKER_LIMIT_MEMORY);
		if (is_limit(members[i].key, value) && !without_memory && !strv_contains(warnings, members[i].warning))
			strv_add(warnings, members[i].warning);
		json_object_object_del(host, members[i].key);
	}
}

/* ---- update ---- */

static int64_t number_of(struct json_object *o, const char *key)
{
	int64_t n = 0;
	json_get_i64(o, key, &n, NULL);
	return n;
}

static int check_update(struct json_object *host, struct json_object *update, struct error **err)
{
	int64_t nano = number_of(update, "NanoCpus"), memory = number_of(update, "Memory"),
		swap = number_of(host, "MemorySwap");
	const char *text = NULL;
	if (nano && number_of(host, "CpuPeriod"))
		text = "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set.";
	else if (nano && number_of(host, "CpuQuota"))
		text = "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set.";
	else if (number_of(host, "NanoCpus") && number_of(update, "CpuPeriod"))
		text = "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set.";
	else if (number_of(host, "NanoCpus") && number_of(update, "CpuQuota"))
		text = "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set.";
	else if (memory > swap && swap > 0 && !number_of(update, "MemorySwap"))
		text = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the "
		       "same time";
	return text ? error_set(err, EINVAL, "%s", text) : 0;
}

int docker_limits_merge(struct json_object *host, struct json_object *update, struct error **err)
{
	int r = check_update(host, update, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(members); i++) {
		struct json_object *value = NULL;
		if (json_object_object_get_ex(update, members[i].key, &value) && is_given(value))
			json_object_object_add(host, members[i].key, json_object_get(value));
	}
	return r;
}

void docker_limits_copy(struct json_object *host, struct json_object *from)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct json_object *value = NULL;
		if (json_object_object_get_ex(from, members[i].key, &value))
			json_object_object_add(host, members[i].key, json_object_get(value));
		else
			json_object_object_del(host, members[i].key);
	}
}

/* ---- lists of numbers ---- */

static int read_range(const char *text, uint32_t *ret_first, uint32_t *ret_last)
{
	AUTOFREE char *first = xstrndup(text, strcspn(text, "-"));
	const char *dash = strchr(text, '-');
	int r = parse_u32(first, ret_first);
	*ret_last = *ret_first;
	if (r == 0 && dash)
		r = parse_u32(dash + 1, ret_last);
	return r < 0 || *ret_first > *ret_last || *ret_last >= DOCKER_CPUS_MAX ? -EINVAL : 0;
}

/* Sets a byte for each number. */
static int read_list(const char *list, unsigned char *ret)
{
	AUTO_STRV struct strv ranges = { 0 };
	uint32_t first = 0, last = 0;
	strv_split(&ranges, list, ",");
	for (size_t i = 0; i < ranges.count; i++) {
		if (read_range(ranges.items[i], &first, &last) < 0)
			return -EINVAL;
		memset(ret + first, 1, last - first + 1);
	}
	return 0;
}

int docker_cpus_are_in(const char *list, const char *available)
{
	AUTOFREE unsigned char *wanted = xcalloc(DOCKER_CPUS_MAX, 1), *there = xcalloc(DOCKER_CPUS_MAX, 1);
	if (read_list(list, wanted) < 0 || read_list(available, there) < 0)
		return -EINVAL;
	for (size_t i = 0; i < DOCKER_CPUS_MAX; i++)
		if (wanted[i] && !there[i])
			return 0;
	return 1;
}
