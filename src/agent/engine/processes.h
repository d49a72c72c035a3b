/* SPDX-License-Identifier: Apache-2.0
 * The processes of a container, of the engine's /proc, which has them all. */
#pragma once

#include "agent/engine/engine.h"

struct process {
	pid_t pid, ppid;
	int in; /* the container */
	char state;
	int terminal;
	long ticks, threads, start, pages;
	unsigned long size;
	char *name;
};

struct processes {
	struct process *items;
	size_t count;
	const struct container *container;
	char *passwd; /* of the container, or NULL */
	time_t now;
	long uptime, hertz, memory_kib;
};

/* Reads a file of a process: owned, or NULL. */
char *process_read(pid_t pid, const char *file, size_t max, size_t *ret_size);
/* Adds all processes, and marks those of the container: in its pid namespace, or below such a
 * process. */
void processes_read(struct processes *all);
void processes_done(struct processes *all);

/* The use of all processes of a container. */
struct process_sum {
	int64_t cpu_ns, memory, tasks; /* memory: bytes that are resident, shared ones counted for each */
};
void processes_sum(const struct container *c, struct process_sum *ret);

/* The mount namespace of a process: a descriptor, or -errno. While it is open, no other namespace
 * gets the same number. */
int process_mounts(pid_t pid);
/* Kills the processes of a mount namespace: those of a container that has no PID namespace and no
 * cgroup of its own. */
void processes_kill(int mounts); /* -1: none */
