/* SPDX-License-Identifier: Apache-2.0
 * See processes.h. */
#include "agent/engine/processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/engine/container_cgroup.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"

enum { PROCESSES_MAX = 32768, DEPTH_MAX = 64, STAT_MAX = 4096, KILL_ROUNDS = 16 };
#define NS_PER_S 1000000000LL

char *process_read(pid_t pid, const char *file, size_t max, size_t *ret_size)
{
	AUTOFREE char *path = xasprintf("/proc/%d/%s", pid, file);
	char *text = NULL;
	return path_read_file(path, max, &text, ret_size) < 0 ? NULL : text;
}

/* proc_pid_stat(5): the name is in parentheses and may have any byte in it. */
static int parse_stat(struct process *p)
{
	AUTOFREE char *text = process_read(p->pid, "stat", STAT_MAX, NULL);
	char *open = text ? strchr(text, '(') : NULL, *end = text ? strrchr(text, ')') : NULL;
	long user, kernel;
	if (!open || !end || end < open)
		return -ESRCH;
	int n = sscanf(end + 1, " %c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %ld %ld %*d %*d %*d %*d %ld %*d %ld %lu %ld",
	    &p->state, &p->ppid, &p->terminal, &user, &kernel, &p->threads, &p->start, &p->size, &p->pages);
	if (n != 9)
		return -ESRCH;
	p->ticks = user + kernel;
	p->name = xstrndup(open + 1, (size_t)(end - open - 1));
	return 0;
}

static ino_t namespace_of(pid_t pid, const char *kind)
{
	struct stat st;
	AUTOFREE char *path = xasprintf("/proc/%d/ns/%s", pid, kind);
	return stat(path, &st) < 0 ? 0 : st.st_ino;
}

static ino_t pid_namespace(pid_t pid)
{
	return namespace_of(pid, "pid");
}

static ino_t mount_namespace(pid_t pid)
{
	return namespace_of(pid, "mnt");
}

int process_mounts(pid_t pid)
{
	AUTOFREE char *path = xasprintf("/proc/%d/ns/mnt", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static struct process *find(const struct processes *all, pid_t pid)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->items[i].pid == pid)
			return &all->items[i];
	return NULL;
}

/* Marks those whose ancestor is in: in a namespace below the container's. */
static void mark_descendants(struct processes *all)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct process *p = &all->items[i];
		for (int depth = 0; p && !p->in && depth < DEPTH_MAX; depth++)
			p = find(all, p->ppid);
		all->items[i].in |= p && p->in;
	}
}

void processes_read(struct processes *all)
{
	DIR *d = opendir("/proc");
	ino_t wanted = pid_namespace(all->container->pid);
	uint32_t pid;
	for (struct dirent *entry; d && (entry = readdir(d)) && all->count < PROCESSES_MAX;) {
		if (parse_u32(entry->d_name, &pid) < 0)
			continue;
		struct process p = { .pid = (pid_t)pid };
		if (parse_stat(&p) < 0)
			continue;
		p.in = wanted && pid_namespace(p.pid) == wanted;
		all->items = xrealloc(all->items, all->count + 1, sizeof p);
		all->items[all->count++] = p;
	}
	if (d)
		closedir(d);
	mark_descendants(all);
}

void processes_done(struct processes *all)
{
	for (size_t i = 0; i < all->count; i++)
		free(all->items[i].name);
	free(all->items);
	free(all->passwd);
}

/* ---- the end ---- */

/* The number may be another process's by now, so the namespace is read again behind the pidfd. */
static void kill_one(pid_t pid, ino_t mounts)
{
	AUTO_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0 && mount_namespace(pid) == mounts)
		(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

static size_t kill_round(ino_t mounts)
{
	DIR *d = opendir("/proc");
	size_t found = 0;
	uint32_t pid;
	for (struct dirent *entry; d && (entry = readdir(d)) && found < PROCESSES_MAX;) {
		if (parse_u32(entry->d_name, &pid) < 0 || mount_namespace((pid_t)pid) != mounts)
			continue;
		kill_one((pid_t)pid, mounts);
		found++;
	}
	if (d)
		closedir(d);
	return found;
}

/* A process may fork while the others are read. */
void processes_kill(int mounts)
{
	struct stat st;
	if (mounts < 0 || fstat(mounts, &st) < 0 || st.st_ino == mount_namespace(getpid())) /* never the engine's */
		return;
	for (int round = 0; round < KILL_ROUNDS && kill_round(st.st_ino); round++)
		;
}

/* ---- sums ---- */

static void add(const struct process *p, struct process_sum *sum)
{
	sum->cpu_ns += p->ticks * (NS_PER_S / MAX(sysconf(_SC_CLK_TCK), 1L));
	sum->memory += p->pages * sysconf(_SC_PAGESIZE);
	sum->tasks += p->threads;
}

/* Of those that its cgroup names. */
static void sum_cgroup(const char *text, struct process_sum *sum)
{
	AUTO_STRV struct strv pids = { 0 };
	uint32_t pid;
	strv_split(&pids, text, "\n");
	for (size_t i = 0; i < pids.count; i++) {
		if (parse_u32(pids.items[i], &pid) < 0)
			continue;
		struct process p = { .pid = (pid_t)pid };
		if (parse_stat(&p) == 0)
			add(&p, sum);
		free(p.name);
	}
}

void processes_sum(const struct container *c, struct process_sum *ret)
{
	struct processes all = { .container = c };
	AUTOFREE char *text = c->engine->limits & DOCKER_LIMIT_CGROUP ? container_cgroup_read(c, "cgroup.procs") : NULL;
	*ret = (struct process_sum){ 0 };
	if (text) {
		sum_cgroup(text, ret);
		return;
	}
	processes_read(&all);
	for (size_t i = 0; i < all.count; i++)
		if (all.items[i].in)
			add(&all.items[i], ret);
	processes_done(&all);
}
