/* SPDX-License-Identifier: Apache-2.0
 * The kernel's tracepoint sock:inet_sock_set_state, by perf_event_open(2): a descriptor for each
 * processor, all in one epoll. A filter in the kernel lets pass what begins or ceases to listen.
 * Nobody reads the records: their pages are mapped read-only, so that the kernel writes over them,
 * and only the wake-up counts. An instance of tracefs would take megabytes; nothing of the machine
 * sees this. */
#include "agent/platform/vm/listen_events.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"

enum { PROCESSORS_MAX = 1024, NUMBER_MAX = 32, PAGES = 2 };

#define EVENT "events/sock/inet_sock_set_state/id"
/* TCP_LISTEN is 10, TCP_CLOSE 7; a connection leaves 10 for TCP_SYN_RECV. */
#define FILTER "newstate == 10 || (oldstate == 10 && newstate == 7)"

/* The root of tracefs, mounted nowhere: a descriptor or -errno. */
static int open_tracefs(void)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return root < 0 ? -errno : root;
}

static int find_event(uint64_t *ret)
{
	char text[NUMBER_MAX] = "";
	AUTO_FD int root = open_tracefs();
	if (root < 0)
		return root;
	AUTO_FD int fd = openat(root, EVENT, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		return -errno;
	text[strcspn(text, "\n")] = 0;
	return parse_u64(text, ret);
}

/* Adds the events of one processor, for as long as this process lives. 0 or -errno. */
static int add_processor(int all, int cpu, uint64_t event)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT,
		.size = sizeof attr,
		.config = event,
		.sample_period = 1,
		.wakeup_events = 1,
		.disabled = 1 };
	struct epoll_event wanted = { .events = EPOLLIN };
	AUTO_FD int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_FILTER, FILTER) < 0)
		return -errno;
	if (mmap(NULL, (size_t)PAGES * (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		return -errno;
	if (epoll_ctl(all, EPOLL_CTL_ADD, fd, &wanted) < 0 || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return -errno;
	(void)TAKE_FD(fd);
	return 0;
}

/* An epoll of the events of all processors, which are numbered without gaps. */
static int open_all(void)
{
	uint64_t event = 0;
	int cpu = 0, r = find_event(&event);
	AUTO_FD int all = r < 0 ? r : epoll_create1(EPOLL_CLOEXEC);
	if (all < 0)
		return r < 0 ? r : -errno;
	while (r == 0 && cpu < PROCESSORS_MAX)
		r = add_processor(all, cpu++, event);
	/* The last one asked for does not exist. */
	return cpu > 1 && (r == -ENODEV || r == -EINVAL) ? TAKE_FD(all) : r;
}

int vm_open_listen_events(void)
{
	static int all = -1;
	if (all < 0)
		all = open_all();
	if (all < 0)
		log_info("the kernel has no events of sockets: %s", strerror(-all));
	int fd = all < 0 ? all : fcntl(all, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -1 : fd;
}
