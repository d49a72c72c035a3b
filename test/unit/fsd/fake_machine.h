/* SPDX-License-Identifier: Apache-2.0
 * QEMU and a guest's driver at the other end of a real holm-fsd: a process group of its own, a ring
 * in shared memory, requests that are sent and waited for one by one or many at once. Every answer
 * must be one that is due, so none comes twice. */
#pragma once

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "fake_guest.h"
#include "fake_ring.h"
#include "fsd/vhost/vhost_message.h"

enum { SLOTS = RING / 2, BUFFER = 16384, BUFFERS = 65536 };
enum { MEMORY = BUFFERS + 2 * SLOTS * BUFFER, WAIT_MS = 60000 };
#define USER 0x7f0000000000ULL

struct machine {
	char *path;
	int directory, socket, agent; /* agent: the other end of --events */
	pid_t broker;
	struct fake_ring ring;
	uint16_t seen;   /* of the used ring */
	char due[SLOTS]; /* requests without an answer */
	uint32_t pid;    /* of who asks inside */
};

static const char *fsd_program, *fsd_option; /* NULL: no more than must be */
/* In the process that becomes holm-fsd, before it does; NULL: nothing to do. */
static void (*fsd_prepare)(struct machine *m);

/* One message with an acknowledgement or a reply; -1 when the connection ended. */
static inline int say(struct machine *m, uint32_t request, const void *payload, uint32_t size, int fd,
    uint64_t *ret_number)
{
	struct vhost_message v = { .request = request,
		.flags = VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY,
		.size = size, },
			     reply;
	int fds[VHOST_MESSAGE_FDS];
	unsigned count = 0;
	if (size)
		memcpy(v.payload.bytes, payload, size);
	assert_int_equal(vhost_message_send(m->socket, &v, &fd, fd >= 0), 0);
	assert_int_equal(fd_wait(m->socket, POLLIN, clock_deadline(WAIT_MS)), 1);
	if (vhost_message_receive(m->socket, &reply, fds, &count) <= 0)
		return -1;
	assert_int_equal(reply.request, request);
	if (ret_number)
		*ret_number = reply.payload.number;
	return 0;
}

static inline void say_number(struct machine *m, uint32_t request, uint64_t number, int fd)
{
	assert_int_equal(say(m, request, &number, sizeof number, fd, NULL), 0);
}

static inline void machine_set_up_queue(struct machine *m, uint16_t base)
{
	struct vhost_vring_addr address = {
		.index = 1,
		.desc_user_addr = USER,
		.used_user_addr = USER + USED,
		.avail_user_addr = USER + AVAIL,
	};
	say_number(m, VHOST_SET_VRING_NUM, (uint64_t)RING << 32 | 1, -1);
	say_number(m, VHOST_SET_VRING_BASE, (uint64_t)base << 32 | 1, -1);
	assert_int_equal(say(m, VHOST_SET_VRING_ADDR, &address, sizeof address, -1, NULL), 0);
	say_number(m, VHOST_SET_VRING_CALL, 1, m->ring.call);
	say_number(m, VHOST_SET_VRING_KICK, 1, m->ring.kick);
	say_number(m, VHOST_SET_VRING_ENABLE, 1ULL << 32 | 1, -1);
}

static inline void machine_connect(struct machine *m)
{
	struct vhost_user_slot slot = { .region = { .guest = 0, .size = MEMORY, .user = USER } };
	uint64_t features = 0;
	assert_int_equal(say(m, VHOST_GET_FEATURES, NULL, 0, -1, &features), 0);
	assert_true(features & 1ULL << 32);
	say_number(m, VHOST_SET_PROTOCOL_FEATURES, VHOST_PROTOCOL_REPLY_ACK | VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS, -1);
	say_number(m, VHOST_SET_FEATURES, 1ULL << 32 | 1ULL << 30 | 1ULL << VIRTIO_RING_F_EVENT_IDX, -1);
	assert_int_equal(say(m, VHOST_ADD_MEM_REG, &slot, sizeof slot, m->ring.memory, NULL), 0);
	machine_set_up_queue(m, 0);
}

static inline void machine_start_fsd(struct machine *m)
{
	int pair[2], events[2];
	char fd[16], events_fd[16];
	assert_int_equal(fd_socketpair(SOCK_STREAM, pair), 0);
	assert_int_equal(fd_socketpair(SOCK_SEQPACKET, events), 0);
	m->socket = pair[0];
	m->agent = events[0];
	/* whoever it runs as may not get there by its path */
	AUTO_FD int program = open(fsd_program, O_RDONLY | O_CLOEXEC);
	m->broker = fork();
	if (m->broker == 0) {
		if (fsd_prepare)
			fsd_prepare(m);
		fd_set_cloexec(pair[1], 0);
		fd_set_cloexec(events[1], 0);
		snprintf(fd, sizeof fd, "%d", pair[1]);
		snprintf(events_fd, sizeof events_fd, "%d", events[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		char *argv[] = { "holm-fsd", "--fd", fd, "--root", m->path, "--inside-uid", "4242", "--inside-gid",
			"4243", "--events", events_fd, (char *)fsd_option, NULL };
		syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
		_exit(99);
	}
	close(pair[1]);
	close(events[1]);
}

static inline struct machine *machine_new(void)
{
	struct machine *m = xnew(struct machine);
	m->path = folder_new();
	m->directory = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ring_init(&m->ring, MEMORY);
	machine_start_fsd(m);
	machine_connect(m);
	return m;
}

/* How the broker ended, as waitpid(2) gives it. */
static inline int machine_wait_broker(struct machine *m)
{
	int status = 0, pidfd = (int)syscall(SYS_pidfd_open, m->broker, 0);
	assert_int_equal(fd_wait(pidfd, POLLIN, clock_deadline(WAIT_MS)), 1);
	close(pidfd);
	assert_int_equal(waitpid(m->broker, &status, 0), m->broker);
	m->broker = -1;
	return status;
}

static inline void machine_free(struct machine *m)
{
	fd_close(m->socket);
	close(m->agent);
	if (m->broker > 0)
		assert_int_equal(machine_wait_broker(m), 0);
	ring_done(&m->ring);
	close(m->directory);
	folder_remove(m->path);
	free(m);
}

/* --- requests --- */

static inline char *request_buffer(struct machine *m, unsigned slot)
{
	return m->ring.base + BUFFERS + (size_t)slot * 2 * BUFFER;
}

static inline char *reply_buffer(struct machine *m, unsigned slot)
{
	return request_buffer(m, slot) + BUFFER;
}

/* Puts a request of up to three parts into the ring, without a kick. */
static inline void submit(struct machine *m, unsigned slot, uint32_t opcode, uint64_t node, struct part a,
    struct part b, struct part c)
{
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof h + a.size + b.size + c.size),
		.opcode = opcode,
		.unique = slot + 1000,
		.nodeid = node,
		.pid = m->pid,
	};
	char *in = request_buffer(m, slot);
	assert_false(m->due[slot]);
	memcpy(in, &h, sizeof h);
	memcpy(in + sizeof h, a.data ? a.data : "", a.size);
	memcpy(in + sizeof h + a.size, b.data ? b.data : "", b.size);
	memcpy(in + sizeof h + a.size + b.size, c.data ? c.data : "", c.size);
	memset(reply_buffer(m, slot), 0xee, sizeof(struct fuse_out_header));
	m->due[slot] = 1;
	ring_put(&m->ring, 2 * slot, (uint64_t)(in - m->ring.base), h.len,
	    (uint64_t)(reply_buffer(m, slot) - m->ring.base), BUFFER);
}

/* Waits for the next answer: its slot. As a driver it sleeps until it is interrupted. */
static inline unsigned reap(struct machine *m)
{
	uint64_t count;
	while (__atomic_load_n(&m->ring.used->idx, __ATOMIC_ACQUIRE) == m->seen) {
		m->ring.avail->ring[RING] = m->seen; /* interrupt at the next one */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&m->ring.used->idx, __ATOMIC_ACQUIRE) != m->seen)
			break;
		assert_int_equal(fd_wait(m->ring.call, POLLIN, clock_deadline(WAIT_MS)), 1);
		(void)!read(m->ring.call, &count, sizeof count);
	}
	unsigned slot = m->ring.used->ring[m->seen++ % RING].id / 2;
	assert_in_range(slot, 0, SLOTS - 1);
	assert_true(m->due[slot]); /* nothing is answered twice */
	m->due[slot] = 0;
	struct fuse_out_header h;
	memcpy(&h, reply_buffer(m, slot), sizeof h);
	assert_int_equal(h.unique, slot + 1000);
	return slot;
}

static inline int error_of(struct machine *m, unsigned slot)
{
	struct fuse_out_header h;
	memcpy(&h, reply_buffer(m, slot), sizeof h);
	return h.error;
}

static inline const void *data_of(struct machine *m, unsigned slot, size_t *ret_size)
{
	struct fuse_out_header h;
	memcpy(&h, reply_buffer(m, slot), sizeof h);
	if (ret_size)
		*ret_size = h.len - sizeof h;
	return reply_buffer(m, slot) + sizeof h;
}

/* One request by itself, in slot 0: its error. */
static inline int call(struct machine *m, uint32_t opcode, uint64_t node, struct part a, struct part b, struct part c)
{
	submit(m, 0, opcode, node, a, b, c);
	ring_kick(&m->ring);
	assert_int_equal(reap(m), 0);
	return error_of(m, 0);
}

static inline void machine_init_fuse(struct machine *m)
{
	struct fuse_init_in in = { .major = 7, .minor = 36, .max_readahead = 131072, .flags = UINT32_MAX };
	assert_int_equal(call(m, FUSE_INIT, 0, PART(in), NONE, NONE), 0);
}

/* --- processes --- */

/* The child of a process that has this name, 0 when there is none. */
static inline pid_t child_of(pid_t parent, const char *name)
{
	DIR *d = opendir("/proc");
	pid_t found = 0;
	char path[300], text[512];
	for (struct dirent *e; !found && (e = readdir(d));) {
		snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
		AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
		text[n > 0 ? n : 0] = 0;
		char *start = strchr(text, '('), *rest = strrchr(text, ')'), state = 0;
		int ppid = 0,
		    named = start && rest && (size_t)(rest - start - 1) == strlen(name) && startswith(start + 1, name);
		if (named && sscanf(rest + 1, " %c %d", &state, &ppid) == 2 && ppid == parent && state != 'Z')
			found = (pid_t)strtol(e->d_name, NULL, 10);
	}
	closedir(d);
	return found;
}

static inline pid_t holder_of(struct machine *m)
{
	return child_of(m->broker, "holm-fsd-holder");
}

static inline pid_t worker_of(struct machine *m)
{
	return child_of(holder_of(m), "holm-fsd-worker");
}

/* Waits until a process that is no child of ours is gone. */
static inline void wait_gone(pid_t pid)
{
	AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0)
		assert_int_equal(fd_wait(pidfd, POLLIN, clock_deadline(WAIT_MS)), 1);
}

static inline void kill_worker(struct machine *m)
{
	pid_t pid = worker_of(m);
	if (pid > 0)
		kill(pid, SIGKILL);
}
