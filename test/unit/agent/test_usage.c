/* SPDX-License-Identifier: Apache-2.0
 * Figures of a machine from files of a cgroup, from /proc and from a list of network devices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/service/usage.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "../folder.h"

static void put(const char *root, const char *name, const char *text)
{
	AUTOFREE char *path = path_join(root, name), *parent = path_parent(path);
	mkdir(parent, 0700);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
}

static void cgroup_files(void **state)
{
	char *root = folder_new();
	struct usage u = USAGE_NONE, none = USAGE_NONE;
	usage_of_cgroup("/nonexistent", &none);
	assert_true(none.cpu_us == USAGE_UNKNOWN && none.memory == USAGE_UNKNOWN && none.pids == USAGE_UNKNOWN &&
		    none.block_read == USAGE_UNKNOWN);
	put(root, "cpu.stat", "user_usec 1\nusage_usec 1234567\nsystem_usec 2\n");
	put(root, "memory.current", "1000000\n");
	put(root, "memory.stat", "anon 5\ninactive_file 300000\nactive_file 7\n");
	put(root, "pids.current", "17\n");
	put(root, "io.stat", "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=5 dios=0\n8:16 rbytes=1 wbytes=2\n");
	usage_of_cgroup(root, &u);
	assert_int_equal(u.cpu_us, 1234567);
	assert_int_equal(u.memory, 700000);
	assert_int_equal(u.pids, 17);
	assert_int_equal(u.block_read, 101);
	assert_int_equal(u.block_written, 202);
	assert_int_equal(u.network_sent, USAGE_UNKNOWN);
	put(root, "memory.current", "junk\n");
	put(root, "cpu.stat", "usage_usec\n");
	u = USAGE_NONE;
	usage_of_cgroup(root, &u);
	assert_true(u.memory == USAGE_UNKNOWN && u.cpu_us == USAGE_UNKNOWN);
	folder_remove(root);
}

/* The agent's own processes and the kernel's have one number, those of the machine more. */
static void processes(void **state)
{
	static const char stat[] = "%d (a) b) c) S 1 1 1 0 -1 4194560 9 9 9 9 %d %d %d %d 20 0 1 0 5 9999 %d 18446\n";
	const int64_t tick = 1000000 / sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
	char *root = folder_new();
	AUTOFREE char *one = xasprintf(stat, 1, 1000, 1000, 1000, 1000, 1000), *two = xasprintf(stat, 7, 1, 2, 3, 4, 5),
		      *three = xasprintf(stat, 8, 10, 20, 30, 40, 50);
	put(root, "1/status", "Name:\tagent\nNSpid:\t1\nThreads:\t1\n");
	put(root, "1/stat", one);
	put(root, "7/status", "Name:\tinit\nNSpid:\t7\t1\nThreads:\t1\n");
	put(root, "7/stat", two);
	put(root, "8/status", "Name:\tdeep\nNSpid:\t8\t2\t1\n");
	put(root, "8/stat", three);
	put(root, "9/status", "Name:\tgone\nNSpid:\t9\t3\n");
	put(root, "10/status", "Name:\tNSpid:\t1\t2\n");
	put(root, "10/stat", one);
	put(root, "self/status", "NSpid:\t8\t2\n");
	struct usage u = USAGE_NONE;
	usage_of_processes(root, &u);
	assert_int_equal(u.pids, 2);
	assert_int_equal(u.cpu_us, 110 * tick);
	assert_int_equal(u.memory, 55 * page);
	u.cpu_us = 1;
	u.pids = USAGE_UNKNOWN;
	usage_of_processes(root, &u);
	assert_int_equal(u.cpu_us, 1);
	assert_int_equal(u.pids, 2);
	folder_remove(root);
}

static void network(void **state)
{
	char *root = folder_new();
	AUTOFREE char *file = path_join(root, "dev");
	struct usage u = USAGE_NONE;
	usage_of_network(file, &u);
	assert_int_equal(u.network_received, USAGE_UNKNOWN);
	put(root, "dev",
	    "Inter-|   Receive    |  Transmit\n face |bytes packets errs\n"
	    "    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n"
	    "  eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\neth1:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n");
	usage_of_network(file, &u);
	assert_int_equal(u.network_received, 101);
	assert_int_equal(u.network_sent, 202);
	AUTO_JSON struct json_object *o = usage_to_json(&u);
	assert_int_equal(json_object_get_int64(json_object_object_get(o, "network_sent")), 202);
	assert_true(json_object_object_get_ex(o, "memory", NULL));
	assert_null(json_object_object_get(o, "memory"));
	folder_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgroup_files),
		cmocka_unit_test(processes),
		cmocka_unit_test(network),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
