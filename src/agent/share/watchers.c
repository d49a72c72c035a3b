/* SPDX-License-Identifier: Apache-2.0
 * Watchers: the watches on shares inside, found without polling every process.
 *
 * Problem. Linux has no list of all inotify watches, and does not report when a watch is added or
 * ends.
 *
 * Idea. Three sources, each cheaper than looking at everybody. A return probe on
 * inotify_add_watch(2) names the process that has just added a watch (watch_probe.c).
 * /proc/PID/fdinfo of that process names the inodes: for a share these are FUSE node ids. Known
 * watchers are read again every AGAIN_MS, for the watches that end.
 *
 * Steps:
 * 1. The probe reports a process. The agent reads its inotify descriptors and keeps the watches on
 *    shares.
 * 2. After each turn the probe rests, for a time that grows with the time that reading took
 *    (REST_FACTOR). So a program that does nothing but add watches cannot keep the agent busy.
 * 3. If a known watcher has ended or watches less, the agent looks at all processes once: a child
 *    may have inherited the descriptor.
 * 4. While no share is watched, the agent looks at nothing.
 *
 * Failures. If the kernel has no such probe, the agent looks at all processes every SCAN_MS. A
 * lost record of the probe means a look at everybody. Numbers of processes, watches and bytes are
 * capped. */
#include "agent/share/watchers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/share/watch_probe.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/share_events.h"

enum {
	AGAIN_MS = 5000, /* known watchers */
	SCAN_MS = 2000,  /* everybody, without a probe */
	REST_MS = 10,    /* of the probe, at least */
	REST_FACTOR = 4, /* and this many times what the looks took */
	PROCESSES_MAX = 1024,
	WATCHES_MAX = 65536, /* of all of them */
	QUEUE_MAX = 65536,
	DESCRIPTORS_MAX = 65536, /* of a process */
	/* of their fdinfo, which is read at once: whoever has many of them has the same ones many
	 * times */
	BYTES_MAX = 8 << 20,
	DEVICES_MAX = 128,
};

struct watcher {
	pid_t pid;
	struct watch_list list;
};

struct watchers {
	struct loop *loop;
	void (*changed)(void *data);
	void *data;
	uint32_t devices[DEVICES_MAX];
	size_t device_count;
	struct watcher *known;
	size_t known_count;
	pid_t *queue; /* to be looked at */
	size_t queue_count, queue_at, queue_capacity;
	int dirty, everybody, scans;
	uint64_t began_ms; /* the present round of looks */
	struct watch_probe *probe;
	struct source *look, *rest, *again;
};

/* ---- one process ---- */

static int is_inotify(int fds, const char *name)
{
	static const char inotify[] = "anon_inode:inotify";
	char target[sizeof inotify];
	ssize_t n = readlinkat(fds, name, target, sizeof target);
	return n == sizeof inotify - 1 && memcmp(target, inotify, (size_t)n) == 0;
}

static void keep_devices(struct watch_list *l, const uint32_t *devices, size_t device_count)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->count; i++)
		for (size_t j = 0; j < device_count; j++)
			if (l->items[i].device == devices[j]) {
				l->items[kept++] = l->items[i];
				break;
			}
	l->count = kept;
}

/* Twice the limit is read before what belongs to other file systems is dropped; no more than *left
 * bytes, which become fewer. */
static void read_descriptor(int infos, const char *name, const uint32_t *devices, size_t device_count, size_t *left,
    struct watch_list *into)
{
	char piece[16 * 1024];
	struct watch_reader reader = { .size = 0 };
	AUTO_FD int fd = openat(infos, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;
	while (fd >= 0 && *left > 0 && (n = read(fd, piece, MIN(*left, sizeof piece))) > 0) {
		*left -= (size_t)n;
		int r = watch_read(&reader, piece, (size_t)n, into, 2 * (size_t)SHARE_WATCHES_MAX);
		keep_devices(into, devices, device_count);
		if (r < 0)
			return;
	}
}

int watchers_look(const char *process, const uint32_t *devices, size_t device_count, struct watch_list *into)
{
	AUTO_FD int directory = open(process, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int infos = directory < 0 ? -1 : openat(directory, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds = directory < 0 ? -1 : openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fds < 0 ? NULL : fdopendir(fds);
	if (!d) {
		fd_close(fds);
		return -ESRCH;
	}
	size_t seen = 0, left = BYTES_MAX;
	for (struct dirent *e; infos >= 0 && left > 0 && seen < DESCRIPTORS_MAX && (e = readdir(d)); seen++)
		if (e->d_name[0] != '.' && is_inotify(fds, e->d_name))
			read_descriptor(infos, e->d_name, devices, device_count, &left, into);
	closedir(d);
	watch_list_settle(into);
	return 0;
}

/* ---- the known ones ---- */

static struct watcher *find(struct watchers *w, pid_t pid)
{
	for (size_t i = 0; i < w->known_count; i++)
		if (w->known[i].pid == pid)
			return &w->known[i];
	return NULL;
}

static void forget(struct watchers *w, struct watcher *k)
{
	watch_list_done(&k->list);
	*k = w->known[--w->known_count];
}

static void enqueue(pid_t pid, void *data)
{
	struct watchers *w = data;
	for (size_t i = w->queue_at; !w->everybody && i < w->queue_count; i++)
		if (w->queue[i] == pid)
			return;
	if (w->queue_count >= QUEUE_MAX)
		return;
	if (w->queue_count == w->queue_capacity) {
		w->queue_capacity = MAX(w->queue_capacity * 2, (size_t)64);
		w->queue = xrealloc(w->queue, w->queue_capacity, sizeof *w->queue);
	}
	w->queue[w->queue_count++] = pid;
}

static size_t total(const struct watchers *w)
{
	size_t count = 0;
	for (size_t i = 0; i < w->known_count; i++)
		count += w->known[i].list.count;
	return count;
}

/* Records the watches found in a process. Takes the entries of *list, which is empty afterwards. */
static void know(struct watchers *w, pid_t pid, struct watch_list *list)
{
	struct watcher *k = find(w, pid);
	size_t others = total(w) - (k ? k->list.count : 0);
	list->count = MIN(list->count, WATCHES_MAX - others);
	if (!k && (list->count == 0 || w->known_count >= PROCESSES_MAX))
		return;
	if (k && watch_list_equal(&k->list, list))
		return;
	w->dirty = 1;
	if (!k) {
		w->known = xrealloc(w->known, w->known_count + 1, sizeof *w->known);
		k = &w->known[w->known_count++];
		*k = (struct watcher){ .pid = pid };
	}
	/* Somebody who watches less may have a child that goes on. */
	w->everybody |= list->count < k->list.count;
	watch_list_done(&k->list);
	k->list = *list;
	*list = (struct watch_list){ 0 };
	if (k->list.count == 0)
		forget(w, k);
}

static void look_at(struct watchers *w, pid_t pid)
{
	char path[32];
	AUTO_WATCH_LIST struct watch_list list = { 0 };
	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	watchers_look(path, w->devices, w->device_count, &list);
	know(w, pid, &list);
}

static void enqueue_everybody(struct watchers *w)
{
	DIR *d = opendir("/proc");
	w->queue_count = w->queue_at = 0;
	w->everybody = 1; /* until here: nobody comes twice */
	for (struct dirent *e; d && (e = readdir(d));) {
		uint32_t pid;
		if (parse_u32(e->d_name, &pid) == 0 && pid > 0 && pid != (uint32_t)getpid())
			enqueue((pid_t)pid, w);
	}
	if (d)
		closedir(d);
	/* Processes that have ended since are skipped later. */
	for (size_t i = 0; i < w->known_count; i++)
		enqueue(w->known[i].pid, w);
	w->everybody = 0;
}

/* ---- rounds of looks ---- */

static void begin(struct watchers *w);

/* The round is over: what it found is told, and the probe rests. */
static void finish(struct watchers *w)
{
	uint64_t took = clock_now_ms() - w->began_ms;
	w->queue_count = w->queue_at = 0;
	w->began_ms = 0;
	if (w->dirty) {
		w->dirty = 0;
		w->changed(w->data);
	}
	source_set_timer(w->rest, clock_deadline(MAX((uint64_t)REST_MS, REST_FACTOR * took)));
	if (w->scans)
		source_set_timer(w->again, clock_deadline(SCAN_MS));
	else
		source_set_timer(w->again, w->known_count || w->everybody ? clock_deadline(AGAIN_MS) : UINT64_MAX);
}

/* One process a turn, so that the agent's other work goes on. */
static void on_look(struct source *s, void *data)
{
	struct watchers *w = data;
	source_free(TAKE_PTR(w->look));
	if (w->queue_at < w->queue_count)
		look_at(w, w->queue[w->queue_at++]);
	if (w->queue_at < w->queue_count)
		loop_add_deferred(w->loop, on_look, w, &w->look);
	else
		finish(w);
}

static void begin(struct watchers *w)
{
	if (!w->began_ms)
		w->began_ms = clock_now_ms();
	if (!w->look)
		loop_add_deferred(w->loop, on_look, w, &w->look);
}

static void take(struct watchers *w)
{
	if (w->probe && !w->scans && watch_probe_take(w->probe, enqueue, w))
		w->everybody = 1;
}

static void on_happened(void *data)
{
	struct watchers *w = data;
	source_set_timer(w->rest, UINT64_MAX);
	take(w);
	begin(w);
}

/* The rest is over: scans for the processes that came meanwhile, or lets the probe wake the loop
 * again. */
static void on_rested(struct source *s, void *data)
{
	struct watchers *w = data;
	take(w);
	if (w->queue_at < w->queue_count)
		begin(w);
	else if (w->probe && !w->scans)
		watch_probe_resume(w->probe);
}

static void on_again(struct source *s, void *data)
{
	struct watchers *w = data;
	if (w->look)
		return; /* a round is going on, and arms this timer at its end */
	if (w->everybody || w->scans)
		enqueue_everybody(w);
	else
		for (size_t i = 0; i < w->known_count; i++)
			enqueue(w->known[i].pid, w);
	begin(w);
}

static void on_ready(int code, void *data)
{
	struct watchers *w = data;
	if (code < 0) {
		log_info("inotify watches are looked for every %d s: %s", SCAN_MS / 1000, strerror(-code));
		w->scans = 1;
	}
	/* Processes that began to watch before the probe was there. */
	w->everybody = 1;
	source_set_timer(w->again, 0);
}

/* ---- from outside ---- */

void watchers_add_device(struct watchers *w, uint32_t device)
{
	if (w->device_count >= DEVICES_MAX)
		return;
	w->devices[w->device_count++] = device;
	w->everybody = 1;
	source_set_timer(w->again, 0);
}

void watchers_remove_device(struct watchers *w, uint32_t device)
{
	for (size_t i = 0; i < w->device_count; i++)
		if (w->devices[i] == device) {
			w->devices[i] = w->devices[--w->device_count];
			break;
		}
	for (size_t i = w->known_count; i-- > 0;) {
		keep_devices(&w->known[i].list, w->devices, w->device_count);
		if (w->known[i].list.count == 0)
			forget(w, &w->known[i]);
	}
}

void watchers_collect(const struct watchers *w, uint32_t device, struct watch_list *into)
{
	for (size_t i = 0; i < w->known_count; i++)
		for (size_t j = 0; j < w->known[i].list.count; j++)
			if (w->known[i].list.items[j].device == device)
				watch_list_add(into, &w->known[i].list.items[j], SIZE_MAX);
	watch_list_settle(into);
	if (into->count > SHARE_WATCHES_MAX) {
		log_debug("more than %d files and directories of a share are watched; the rest is not heard of",
		    SHARE_WATCHES_MAX);
		into->count = SHARE_WATCHES_MAX;
	}
}

int watchers_new(struct loop *l, void (*changed)(void *data), void *data, struct watchers **ret)
{
	static const struct watch_probe_events events = { .ready = on_ready, .happened = on_happened };
	struct watchers *w = xnew(struct watchers);
	w->loop = l;
	w->changed = changed;
	w->data = data;
	int r = loop_add_timer(l, UINT64_MAX, on_rested, w, &w->rest);
	if (r >= 0)
		r = loop_add_timer(l, UINT64_MAX, on_again, w, &w->again);
	if (r >= 0)
		r = watch_probe_new(l, &events, w, &w->probe);
	if (r < 0) {
		watchers_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void watchers_free(struct watchers *w)
{
	if (!w)
		return;
	watch_probe_free(w->probe);
	source_free(w->look);
	source_free(w->rest);
	source_free(w->again);
	while (w->known_count)
		forget(w, &w->known[w->known_count - 1]);
	free(w->known);
	free(w->queue);
	free(w);
}
