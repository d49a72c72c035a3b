/* SPDX-License-Identifier: Apache-2.0
 * Limits of containers in HostConfig. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "docker/container_limits.h"

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;
	assert_int_equal(json_parse(text, strlen(text), "limits", &o, NULL), 0);
	return o;
}

static void test_parse(void **state)
{
	AUTO_JSON struct json_object *o =
	    parse("{\"Memory\":67108864,\"MemorySwap\":-1,\"NanoCpus\":500000000,\"PidsLimit\":-1,"
		  "\"CpusetCpus\":\"0-1,3\",\"CgroupParent\":\"/a.slice/b/\","
		  "\"CgroupnsMode\":\"host\",\"MemorySwappiness\":-1,\"OomScoreAdj\":-1000}");
	struct docker_limits l;
	assert_int_equal(docker_limits_parse(o, &l, NULL), 0);
	assert_int_equal(l.memory, 64 << 20);
	assert_int_equal(l.memory_swap, -1);
	assert_int_equal(l.nano_cpus, 500000000);
	assert_int_equal(l.pids, -1);
	assert_int_equal(l.oom_score_adj, -1000);
	assert_string_equal(l.cpuset_cpus, "0-1,3");
	assert_null(l.cpuset_mems);
	assert_true(l.host_cgroupns);
	assert_int_equal(l.device_count, 0);
}

static void test_devices(void **state)
{
	AUTO_JSON struct json_object *o = parse(
	    "{\"BlkioDeviceReadBps\":[{\"Path\":\"/dev/vda\",\"Rate\":1048576},{\"Path\":\"/dev/vdb\",\"Rate\":0}],"
	    "\"BlkioDeviceWriteBps\":[],\"BlkioDeviceWriteIOps\":[{\"Path\":\"/dev/vda\",\"Rate\":7}]}");
	struct docker_limits l;
	assert_int_equal(docker_limits_parse(o, &l, NULL), 0);
	assert_int_equal(l.device_count, 3);
	assert_string_equal(l.devices[0].path, "/dev/vda");
	assert_string_equal(l.devices[0].word, "rbps");
	assert_int_equal(l.devices[0].rate, 1048576);
	assert_int_equal(l.devices[1].rate, 0);
	assert_string_equal(l.devices[2].word, "wiops");
	assert_int_equal(l.devices[2].rate, 7);
}

static void test_too_many_devices(void **state)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct docker_limits l;
	json_add(o, "BlkioDeviceReadIOps", list);
	for (int i = 0; i <= DOCKER_DEVICE_LIMITS_MAX; i++)
		json_object_array_add(list, parse("{\"Path\":\"/dev/vda\",\"Rate\":1}"));
	assert_int_equal(docker_limits_parse(o, &l, NULL), -EINVAL);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{ "{\"Memory\":\"1g\"}", "Memory" },
		{ "{\"Memory\":-5}", "negative" },
		{ "{\"Memory\":6291455}", "6MB" },
		{ "{\"MemoryReservation\":5}", "6MB" },
		{ "{\"Memory\":7000000,\"MemoryReservation\":8000000}", "reservation" },
		{ "{\"Memory\":8000000,\"MemorySwap\":7000000}", "memoryswap" },
		{ "{\"MemorySwap\":7000000}", "always set" },
		{ "{\"CpuQuota\":5}", "quota" },
		{ "{\"CpuPeriod\":5}", "period" },
		{ "{\"NanoCpus\":5,\"CpuQuota\":5000}", "Conflicting" },
		{ "{\"CpuShares\":-5}", "negative" },
		{ "{\"CpusetCpus\":\"a\"}", "cpuset cpus" },
		{ "{\"CpusetCpus\":\"0-\"}", "cpuset cpus" },
		{ "{\"CpusetMems\":\"0-9999\"}", "cpuset mems" },
		{ "{\"CgroupParent\":\"engine/x\"}", "CgroupParent" },
		{ "{\"CgroupParent\":\"a/../b\"}", "CgroupParent" },
		{ "{\"CgroupParent\":\"//\"}", "CgroupParent" },
		{ "{\"CgroupParent\":\"1/2/3/4/5/6/7/8/9\"}", "CgroupParent" },
		{ "{\"CgroupnsMode\":\"x\"}", "cgroup namespace" },
		{ "{\"BlkioDeviceReadBps\":7}", "BlkioDeviceReadBps" },
		{ "{\"BlkioDeviceReadBps\":[7]}", "array of objects" },
		{ "{\"BlkioDeviceReadBps\":[{\"Path\":\"/dev/vda\"}]}", "no Rate" },
		{ "{\"BlkioDeviceReadBps\":[{\"Path\":\"/dev/vda\",\"Rate\":-1}]}", "Rate" },
		{ "{\"BlkioDeviceReadBps\":[{\"Path\":\"\",\"Rate\":1}]}", "Path" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *o = parse(cases[i].text);
		AUTO_ERROR struct error *err = NULL;
		struct docker_limits l;
		assert_int_equal(docker_limits_parse(o, &l, &err), -EINVAL);
		assert_non_null(strstr(error_text(err, 0), cases[i].word));
	}
}

/* One warning a kind, and the members are gone. */
static void test_discard(void **state)
{
	AUTO_JSON struct json_object *o =
	    parse("{\"Memory\":67108864,\"MemorySwap\":99999999,\"CpuPeriod\":5000,\"CpuQuota\":5000,\"PidsLimit\":-1,"
		  "\"OomKillDisable\":true,\"BlkioDeviceReadBps\":[{}],\"MemorySwappiness\":-1,\"CpuShares\":0}");
	AUTO_STRV struct strv warnings = { 0 };
	docker_limits_discard(o, DOCKER_LIMIT_PIDS, &warnings);
	AUTOFREE char *all = strv_join(&warnings, "|");
	assert_int_equal(warnings.count, 4);
	assert_non_null(strstr(all, "memory limit"));
	assert_non_null(strstr(all, "CPU CFS"));
	assert_non_null(strstr(all, "OomKillDisable"));
	assert_non_null(strstr(all, "BPS Block I/O read"));
	assert_false(json_object_object_get_ex(o, "Memory", NULL));
	assert_false(json_object_object_get_ex(o, "CpuQuota", NULL));
	assert_true(json_object_object_get_ex(o, "PidsLimit", NULL));
}

/* Memory alone is limited: swap has its own warning. */
static void test_discard_swap(void **state)
{
	AUTO_JSON struct json_object *o = parse("{\"Memory\":67108864,\"MemorySwap\":99999999}");
	AUTO_STRV struct strv warnings = { 0 };
	docker_limits_discard(o, DOCKER_LIMIT_MEMORY, &warnings);
	assert_int_equal(warnings.count, 1);
	assert_non_null(strstr(warnings.items[0], "swap limit"));
}

static void test_merge(void **state)
{
	AUTO_JSON struct json_object *host = parse("{\"Memory\":67108864,\"MemorySwap\":134217728,\"PidsLimit\":5}"),
				     *update =
					 parse("{\"Memory\":0,\"PidsLimit\":-1,\"CpusetCpus\":\"\",\"CpuShares\":7}"),
				     *more = parse("{\"Memory\":134217729}"),
				     *copy = parse("{\"Memory\":1,\"NanoCpus\":5}");
	AUTO_ERROR struct error *err = NULL;
	struct docker_limits l;
	assert_int_equal(docker_limits_merge(host, update, NULL), 0);
	assert_int_equal(docker_limits_parse(host, &l, NULL), 0);
	assert_int_equal(l.memory, 64 << 20);
	assert_int_equal(l.pids, -1);
	assert_int_equal(l.cpu_shares, 7);
	assert_int_equal(docker_limits_merge(host, more, &err), -EINVAL);
	assert_non_null(strstr(error_text(err, 0), "memoryswap"));
	docker_limits_copy(copy, host);
	assert_int_equal(docker_limits_parse(copy, &l, NULL), 0);
	assert_int_equal(l.memory, 64 << 20);
	assert_int_equal(l.nano_cpus, 0);
}

static void test_lists(void **state)
{
	assert_int_equal(docker_cpus_are_in("0-2,5", "0-3,5-7"), 1);
	assert_int_equal(docker_cpus_are_in("4", "0-3,5-7"), 0);
	assert_int_equal(docker_cpus_are_in("8191", "8191"), 1);
	assert_int_equal(docker_cpus_are_in("8192", "0"), -EINVAL);
	assert_int_equal(docker_cpus_are_in("2-1", "0"), -EINVAL);
	assert_int_equal(docker_cpus_are_in("-1", "0"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_too_many_devices),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_discard_swap),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
