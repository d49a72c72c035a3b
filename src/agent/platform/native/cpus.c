/* SPDX-License-Identifier: Apache-2.0
 * CPU affinity, so that nproc(1) inside is right. The N processors are neighbours of a random first
 * one among those that we may use: machines with few of them shall not all meet on the first. New
 * tasks inherit; a task that is born while the list is read may keep the old ones, so the list is
 * read again until nothing new is in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"

enum { ROUNDS_MAX = 4 };

/* Which of the allowed processors: owned, or NULL for all of them. */
static cpu_set_t *choose(const cpu_set_t *allowed, uint64_t wanted)
{
	size_t size = CPU_ALLOC_SIZE(NATIVE_CPUS_MAX), count = (size_t)CPU_COUNT_S(size, allowed);
	unsigned first = 0;
	if (wanted == 0 || wanted >= count)
		return NULL;
	if (getrandom(&first, sizeof first, GRND_NONBLOCK) != (ssize_t)sizeof first)
		first = (unsigned)getpid();
	first %= (unsigned)count;
	cpu_set_t *set = CPU_ALLOC(NATIVE_CPUS_MAX);
	if (!set)
		abort();
	CPU_ZERO_S(size, set);
	size_t seen = 0;
	for (size_t cpu = 0; cpu < NATIVE_CPUS_MAX; cpu++) {
		if (!CPU_ISSET_S(cpu, size, allowed))
			continue;
		size_t distance = (seen + count - first) % count;
		if (distance < wanted)
			CPU_SET_S(cpu, size, set);
		seen++;
	}
	return set;
}

/* The number of tasks of this process that had other processors. */
static unsigned apply_to_process(int process, const cpu_set_t *set)
{
	size_t size = CPU_ALLOC_SIZE(NATIVE_CPUS_MAX);
	unsigned changed = 0;
	int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	cpu_set_t *now = CPU_ALLOC(NATIVE_CPUS_MAX);
	for (struct dirent *e; d && now && (e = readdir(d));) {
		uint32_t task;
		if (parse_u32(e->d_name, &task) < 0 || sched_getaffinity((pid_t)task, size, now) < 0 ||
		    CPU_EQUAL_S(size, now, set))
			continue;
		changed += sched_setaffinity((pid_t)task, size, set) == 0;
	}
	CPU_FREE(now);
	if (d)
		closedir(d);
	else
		fd_close(fd);
	return changed;
}

void native_set_cpus(struct native *n, uint64_t cpus)
{
	if (!n->allowed)
		return;
	cpu_set_t *chosen = choose(n->allowed, cpus);
	const cpu_set_t *set = chosen ? chosen : n->allowed;
	unsigned changed = 1;
	for (int round = 0; changed && round < ROUNDS_MAX; round++) {
		DIR *d = opendir("/proc");
		changed = 0;
		for (struct dirent *e; d && (e = readdir(d));) {
			uint32_t pid;
			AUTO_FD int process = parse_u32(e->d_name, &pid) < 0 ?
						  -1 :
						  openat(dirfd(d), e->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
			if (process >= 0)
				changed += apply_to_process(process, set);
		}
		if (d)
			closedir(d);
	}
	if (chosen)
		CPU_FREE(chosen);
}
