/* SPDX-License-Identifier: Apache-2.0
 * A return probe (kretprobe) on inotify_add_watch(2), one perf event for each processor and each of
 * the two ways into the kernel, the 64-bit one and the 32-bit one; the two of a processor share a
 * ring of one page. Only that system call becomes slower by it; a tracepoint of system calls would
 * slow down all.
 *
 * The events are opened by a worker: the kernel takes its time, in which it waits for all
 * processors. */
#include "agent/share/watch_probe.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/channel.h"
#include "agent/core/worker.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"

enum { PAGE = 4096, PROCESSORS_MAX = 256, RETURN_PROBE = 1 };

static const char *const functions[] = { "__x64_sys_inotify_add_watch", "__ia32_sys_inotify_add_watch" };

struct processor {
	int fds[ARRAY_SIZE(functions)];    /* -1: none */
	struct perf_event_mmap_page *page; /* and the ring behind it; NULL: none */
	struct source *source;
};

struct watch_probe {
	struct loop *loop;
	struct watch_probe_events events;
	void *data;
	struct worker *worker;
	struct processor processors[PROCESSORS_MAX];
	size_t count;
};

/* ---- in the worker ---- */

static int probe_type(uint32_t *ret)
{
	AUTOFREE char *text = NULL;
	int r = path_read_file("/sys/bus/event_source/devices/kprobe/type", 64, &text, NULL);
	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	return parse_u32(text, ret);
}

static int open_event(uint32_t type, const char *function, int processor)
{
	struct perf_event_attr a = {
		.size = sizeof a,
		.type = type,
		.config = RETURN_PROBE,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TID,
		.wakeup_events = 1,
		.kprobe_func = (uint64_t)(uintptr_t)function,
	};
	int fd = (int)syscall(SYS_perf_event_open, &a, -1, processor, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int work_open(int channel, void *data, struct error **err)
{
	uint32_t type = 0;
	int r = probe_type(&type), opened = 0;
	if (r < 0)
		return r;
	long count = MIN(sysconf(_SC_NPROCESSORS_CONF), (long)PROCESSORS_MAX);
	for (int cpu = 0; cpu < count; cpu++) {
		for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
			AUTO_FD int fd = open_event(type, functions[i], cpu);
			if (fd == -ENODEV || (fd < 0 && i > 0))
				continue; /* a processor that is off; a kernel without 32-bit programs */
			if (fd < 0)
				return fd;
			struct json_object *o = json_object_new_object();
			json_add_u64(o, "processor", (uint64_t)cpu);
			json_add_u64(o, "function", i);
			if ((r = channel_send(channel, o, fd)) < 0)
				return r;
			opened++;
		}
	}
	return opened ? 0 : -ENODEV;
}

/* ---- in the agent ---- */

static void on_event(struct source *s, int fd, uint32_t events, void *data)
{
	struct watch_probe *p = data;
	for (size_t i = 0; i < p->count; i++)
		if (p->processors[i].source)
			source_set_events(p->processors[i].source, 0);
	p->events.happened(p->data);
}

static void on_opened(struct json_object *o, int fd, void *data)
{
	struct watch_probe *p = data;
	AUTO_FD int event = fd;
	uint64_t cpu = 0, function = 0;
	if (event < 0 || json_get_u64(o, "processor", &cpu, NULL) < 0 ||
	    json_get_u64(o, "function", &function, NULL) < 0 || cpu >= PROCESSORS_MAX ||
	    function >= ARRAY_SIZE(functions))
		return;
	while (p->count <= cpu)
		p->processors[p->count++] = (struct processor){ .fds = { -1, -1 } };
	struct processor *own = &p->processors[cpu];
	if (own->fds[function] < 0)
		own->fds[function] = TAKE_FD(event);
}

static int map_ring(struct watch_probe *p, struct processor *own)
{
	if (own->fds[0] < 0)
		return 0;
	void *page = mmap(NULL, 2 * (size_t)PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own->fds[0], 0);
	if (page == MAP_FAILED)
		return -errno;
	own->page = page;
	if (own->fds[1] >= 0 && ioctl(own->fds[1], PERF_EVENT_IOC_SET_OUTPUT, own->fds[0]) < 0)
		return -errno;
	return loop_add_io(p->loop, own->fds[0], EPOLLIN, on_event, p, &own->source);
}

static void on_done(int code, const char *text, void *data)
{
	struct watch_probe *p = data;
	p->worker = NULL;
	for (size_t i = 0; code >= 0 && i < p->count; i++)
		code = map_ring(p, &p->processors[i]);
	p->events.ready(code, p->data);
}

int watch_ring_read(const void *ring, size_t size, uint64_t tail, uint64_t head, void (*fn)(pid_t pid, void *data),
    void *data)
{
	struct perf_event_header header;
	uint32_t pid;
	if (head - tail > size)
		return 1;
	while (tail != head) {
		/* Records are of whole words, so neither a header nor the word behind it is ever
		 * cut by the ring's end. */
		const char *at = (const char *)ring + (tail & (size - 1));
		if (tail % 8 || head - tail < sizeof header)
			return 1;
		memcpy(&header, at, sizeof header);
		if (header.size < sizeof header || header.size % 8 || header.size > head - tail)
			return 1;
		if (header.type != PERF_RECORD_SAMPLE || header.size < sizeof header + 8)
			return 1;
		memcpy(&pid, (const char *)ring + ((tail + sizeof header) & (size - 1)), sizeof pid);
		fn((pid_t)pid, data);
		tail += header.size;
	}
	return 0;
}

int watch_probe_take(struct watch_probe *p, void (*fn)(pid_t pid, void *data), void *data)
{
	int lost = 0;
	for (size_t i = 0; i < p->count; i++) {
		struct perf_event_mmap_page *page = p->processors[i].page;
		if (!page)
			continue;
		uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
		lost |= watch_ring_read((const char *)page + PAGE, PAGE, page->data_tail, head, fn, data);
		__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
	}
	return lost;
}

void watch_probe_resume(struct watch_probe *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->processors[i].source)
			source_set_events(p->processors[i].source, EPOLLIN);
}

int watch_probe_new(struct loop *l, const struct watch_probe_events *events, void *data, struct watch_probe **ret)
{
	static const struct worker_events worker = { .message = on_opened, .done = on_done };
	struct watch_probe *p = xnew(struct watch_probe);
	p->loop = l;
	p->events = *events;
	p->data = data;
	int r = worker_start(l, work_open, NULL, NULL, 0, &worker, p, &p->worker);
	if (r < 0) {
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void watch_probe_free(struct watch_probe *p)
{
	if (!p)
		return;
	worker_cancel(p->worker);
	for (size_t i = 0; i < p->count; i++) {
		struct processor *own = &p->processors[i];
		source_free(own->source);
		if (own->page)
			munmap(own->page, 2 * (size_t)PAGE);
		for (size_t j = 0; j < ARRAY_SIZE(own->fds); j++)
			fd_close(own->fds[j]);
	}
	free(p);
}
