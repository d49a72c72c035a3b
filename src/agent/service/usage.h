/* SPDX-License-Identifier: Apache-2.0
 * Figures of what the machine uses now: of its cgroup (cgroups(7)), and where that has none, of its
 * processes in /proc (proc(5)). */
#pragma once

#include <stdint.h>

#include "base/json.h"

enum { USAGE_UNKNOWN = -1 };

/* USAGE_UNKNOWN: nobody knows. Bytes, microseconds of processor time, tasks. */
struct usage {
	int64_t cpu_us, memory, pids, block_read, block_written, network_received, network_sent;
};
#define USAGE_NONE                                                                                                     \
	((struct usage){ USAGE_UNKNOWN, USAGE_UNKNOWN, USAGE_UNKNOWN, USAGE_UNKNOWN, USAGE_UNKNOWN, USAGE_UNKNOWN,     \
	    USAGE_UNKNOWN })

/* Adds the figures that the cgroup's directory has. Page cache that the kernel can drop is no used
 * memory. */
void usage_of_cgroup(const char *directory, struct usage *u);
/* Fills cpu_us, memory and pids where they are unknown, from the processes below this /proc that
 * are in a pid namespace below its own. */
void usage_of_processes(const char *proc, struct usage *u);
/* Adds what the network devices of a /proc/PID/net/dev have carried, the loopback left out. */
void usage_of_network(const char *file, struct usage *u);
/* An object with all keys; unknown figures are null. Owned. */
struct json_object *usage_to_json(const struct usage *u);
