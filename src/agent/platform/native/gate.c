/* SPDX-License-Identifier: Apache-2.0
 * The gate between the machine's network device and the host's loopback. pasta(1) connects its
 * sockets on the host to whatever address a packet has, older ones also to 127.0.0.1 and 0.0.0.0,
 * which are the host's own there, and root inside can route these through its device.
 *
 * So pasta attaches to a network namespace that the machine has no power over. There, before the
 * machine can send anything, the device gets a filter (TUNATTACHFILTER, Linux's tuntap.rst; a
 * classic BPF program on frames), which only a holder of the device's descriptor could take off
 * again: pasta, of whose descriptor a copy is made (pidfd_getfd(2)). Then the device moves to the
 * machine's namespace and is configured. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/network.h"
#include "agent/platform/native/native.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"

#define DEVICE "eth0"

#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif

enum {
	PASTA_MS = 60 * 1000,
	IPV6_MS = 2 * 1000, /* after IPv4 */
	FDS_MAX = 256,
	ROUTES_MAX = 65536,
};

static int attach_filter(int tap)
{
	const struct sock_fprog program = native_gate_filter();
	return ioctl(tap, TUNATTACHFILTER, &program) < 0 ? -errno : 0;
}

/* Whether this is a descriptor of the device in our own network namespace; what the machine itself
 * has of that kind is in others. */
static int is_our_tap(int fd, ino_t here)
{
	struct ifreq request = { 0 };
	struct stat st;
	if (ioctl(fd, TUNGETIFF, &request) < 0 || !streq(request.ifr_name, DEVICE))
		return 0;
	AUTO_FD int net = ioctl(fd, TUNGETDEVNETNS, 0);
	return net >= 0 && fstat(net, &st) == 0 && st.st_ino == here;
}

/* A copy of the device's descriptor, from a process that has it; -ENOENT. */
static int tap_of(pid_t pid, ino_t here)
{
	AUTO_FD int process = (int)syscall(SYS_pidfd_open, pid, 0);
	char path[64], target[64];
	for (int number = 3; process >= 0 && number < FDS_MAX; number++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, number);
		ssize_t n = readlink(path, target, sizeof target - 1);
		if (n < 0 && errno == EACCES)
			break;
		target[n < 0 ? 0 : n] = '\0';
		if (!endswith(target, "/net/tun"))
			continue;
		AUTO_FD int fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);
		if (fd >= 0 && is_our_tap(fd, here))
			return TAKE_FD(fd);
	}
	return -ENOENT;
}

static int find_tap(void)
{
	struct stat st;
	int found = stat("/proc/self/ns/net", &st) < 0 ? -errno : -ENOENT;
	DIR *d = opendir("/proc");
	for (struct dirent *e; found == -ENOENT && d && (e = readdir(d));) {
		uint32_t pid;
		if (parse_u32(e->d_name, &pid) == 0)
			found = tap_of((pid_t)pid, st.st_ino);
	}
	if (d)
		closedir(d);
	return found;
}

static int open_links(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE };
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : TAKE_FD(fd);
}

static int has_line(const char *path, const char *begin, const char *end)
{
	AUTOFREE char *text = NULL;
	AUTO_STRV struct strv lines = { 0 };
	if (path_read_file(path, ROUTES_MAX, &text, NULL) < 0)
		return 0;
	strv_split(&lines, text, "\n");
	for (size_t i = 0; i < lines.count; i++)
		if (startswith(lines.items[i], begin) && endswith(lines.items[i], end))
			return 1;
	return 0;
}

/* The default routes are the last that pasta gives it, IPv6's behind IPv4's. Before that it looks
 * the device up by name. */
static int has_route(void)
{
	return has_line("/proc/self/net/route", DEVICE "\t00000000\t", "");
}

static int has_route6(void)
{
	return has_line("/proc/self/net/ipv6_route", "00000000000000000000000000000000 00 ", " " DEVICE);
}

static int wait_for(int links, int (*is_there)(void), uint64_t limit_ms)
{
	char event[4096];
	uint64_t deadline = clock_deadline(limit_ms);
	while (!is_there()) {
		int r = fd_wait(links, POLLIN, deadline);
		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
		while (recv(links, event, sizeof event, 0) > 0)
			;
	}
	return 0;
}

/* Waits for what the machine is to have. A pasta that has no IPv6 leaves the machine IPv4. */
static int wait_for_device(int links, struct boot_network *n)
{
	int r = n->address || n->address6 ? 0 : -ETIMEDOUT;
	if (n->address)
		r = wait_for(links, has_route, PASTA_MS);
	if (r < 0 || !n->address6)
		return r;
	r = wait_for(links, has_route6, n->address ? IPV6_MS : PASTA_MS);
	if (r == 0 || !n->address)
		return r;
	log_warning("the machine has no IPv6: pasta has none");
	n->address6 = n->gateway6 = NULL;
	return 0;
}

/* -ETIMEDOUT: there is no pasta. */
static int hand_over(const struct native *n, int machine, int links, struct error **err)
{
	struct boot_network network = {
		.device = DEVICE,
		.address = n->go.address,
		.gateway = n->go.gateway,
		.address6 = n->go.address6,
		.gateway6 = n->go.gateway6,
		.mtu = NATIVE_MTU,
	};
	int r = wait_for_device(links, &network);
	if (r < 0)
		return r;
	AUTO_FD int tap = find_tap();
	if (tap < 0 || (r = attach_filter(tap)) < 0)
		return error_set_errno(err, tap < 0 ? tap : r,
		    "cannot keep the machine away from the host's loopback; it gets no network");
	if ((r = network_move(DEVICE, machine, err)) < 0)
		return r;
	if (setns(machine, CLONE_NEWNET) < 0)
		return error_set_errno(err, errno, "cannot enter the machine's network");
	return network_apply(&network, err);
}

static _Noreturn void gate(const struct native *n, int socket)
{
	AUTO_ERROR struct error *err = NULL;
	char path[64];
	const int keep[] = { socket, log_descriptor() };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "holm-gate");
	fd_close_from(3, keep, ARRAY_SIZE(keep) - (keep[1] < 3));
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)n->holder);
	int machine = open(path, O_RDONLY | O_CLOEXEC);
	int links = machine < 0 || unshare(CLONE_NEWNET) < 0 ? -errno : open_links();
	if (links < 0 || write(socket, "g", 1) != 1)
		_exit(1);
	close(socket);
	int r = hand_over(n, machine, links, &err);
	if (r < 0 && r != -ETIMEDOUT)
		log_error("%s", error_text(err, r));
	_exit(r < 0);
}

int native_gate_start(struct native *n, struct error **err)
{
	int ends[2];
	int r = fd_socketpair(SOCK_STREAM, ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a socket");
	AUTO_FD int ours = ends[0];
	pid_t pid = fork();
	if (pid == 0)
		gate(n, ends[1]);
	r = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (r >= 0 && (n->gate = (int)syscall(SYS_pidfd_open, pid, 0)) < 0)
		r = -errno;
	if (r < 0 || (r = native_expect(ours, 'g')) < 0) {
		native_gate_stop(n);
		return error_set_errno(err, r, "cannot make a network namespace");
	}
	return n->gate;
}

/* orphans.c reaps the process. */
void native_gate_stop(struct native *n)
{
	if (n->gate >= 0)
		syscall(SYS_pidfd_send_signal, n->gate, SIGKILL, NULL, 0);
	fd_close(TAKE_FD(n->gate));
}
