/* SPDX-License-Identifier: Apache-2.0
 * See inside.h. */
#include "agent/provision/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/confine/confine.h"
#include "agent/core/agent.h"
#include "agent/core/mounts.h"
#include "agent/core/platform.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/spawn.h"

enum { LINES_KEPT = 20, READS_MAX = 64, LINE_MAX_BYTES = 4096 };

struct place {
	const struct platform *platform;
	const struct boot_request *request;
	int sees_shares;
};

struct output {
	const char *name;
	struct strv *lines; /* the last ones */
};

static int attach_clone(int root, const char *from, const char *inside)
{
	AUTO_FD int mount = mounts_clone(from, NULL);
	return mount < 0 ? mount : mounts_attach(mount, root, inside, NULL);
}

static int clone_root(void)
{
	AUTO_FD int tree = mounts_clone(AGENT_ROOT, NULL);
	if (tree < 0)
		return tree;
	return syscall(SYS_move_mount, tree, "", AT_FDCWD, AGENT_ROOT, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int attach_kernel(const struct platform *p, int root)
{
	if (p->mount_kernel)
		return p->mount_kernel(root);
	attach_clone(root, "/proc", "/proc");
	attach_clone(root, "/sys", "/sys");
	return 0;
}

static int attach_shares(const struct boot_request *b, int root)
{
	int r = 0;
	attach_clone(root, AGENT_MACHINE_RUN, "/run");
	for (size_t i = 0; r >= 0 && i < b->share_count; i++) {
		AUTOFREE char *from = path_join(AGENT_SHARES, b->shares[i].tag);
		r = attach_clone(root, from, b->shares[i].inside);
	}
	return r;
}

/* In the child: makes the place and enters it; nothing outside of it is left to see. Where the
 * machine has a user namespace of its own, the program is confined as its sessions are. */
static int enter(void *data)
{
	const struct place *p = data;
	int left = p->platform->leave();
	if (left < 0)
		return left;
	/* A clone of our own can become the root; the mount that was there before need not be ours
	 * to move. */
	left = clone_root();
	if (left < 0)
		return left;
	AUTO_FD int root = open(AGENT_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	left = attach_kernel(p->platform, root);
	if (left < 0)
		return left;
	attach_clone(root, "/dev", "/dev");
	left = p->sees_shares ? attach_shares(p->request, root) : 0;
	if (left < 0)
		return left;
	(void)!sethostname(p->request->hostname, strlen(p->request->hostname));
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	left = p->platform->joined & CLONE_NEWUSER ? confine_apply(NULL) : 0;
	return left < 0 || !p->platform->run_below ? left : p->platform->run_below();
}

static void keep_line(const struct output *to, const char *line, size_t size)
{
	struct strv *lines = to->lines;
	AUTOFREE char *text = xstrndup(line, MIN(size, (size_t)LINE_MAX_BYTES));
	log_info("%s: %s", to->name, text);
	if (lines->count == LINES_KEPT) {
		free(lines->items[0]);
		memmove(lines->items, lines->items + 1, (--lines->count) * sizeof *lines->items);
	}
	strv_take(lines, TAKE_PTR(text));
}

/* Reads what is there; 0 at the end of the output. */
static int read_some(int fd, struct buffer *b, const struct output *to)
{
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = buffer_read(b, fd, LINE_MAX_BYTES);
		if (n <= 0)
			return n == -EAGAIN;
		for (const char *end;
		     b->size && ((end = memchr(b->data, '\n', b->size)) || b->size >= LINE_MAX_BYTES);) {
			size_t size = end ? (size_t)(end - b->data) : b->size;
			keep_line(to, b->data, size);
			buffer_consume(b, size + (end != NULL));
		}
	}
	return 1;
}

/* Reads the output until the program has ended, or the deadline. A process that it left behind may
 * hold the output open, and a program may close it and go on: neither says anything about the
 * end. */
static int read_lines(int fd, pid_t pid, uint64_t deadline, const struct output *to)
{
	AUTO_BUFFER struct buffer b;
	AUTO_FD int ended = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = ended, .events = POLLIN } };
	int r = ended < 0 ? -errno : 0;
	buffer_init(&b, 2 * LINE_MAX_BYTES);
	fd_set_nonblocking(fd, 1);
	while (r == 0 && !p[1].revents) {
		int n = poll(p, 2, clock_left_ms(deadline));
		if (n == 0 && clock_left_ms(deadline) == 0)
			r = -ETIMEDOUT;
		else if (n < 0 && errno != EINTR)
			r = -errno;
		if (p[0].fd >= 0 && !read_some(fd, &b, to))
			p[0].fd = -1;
	}
	if (b.size)
		keep_line(to, b.data, b.size);
	return r;
}

int inside_run(const struct platform *p, const struct boot_request *b, const struct inside_program *program,
    struct strv *ret_lines, struct error **err)
{
	struct place place = { .platform = p, .request = b, .sees_shares = program->sees_shares };
	int ends[2], status = 0;
	pid_t pid = 0;
	int r = fd_pipe(ends);
	if (r < 0)
		return error_set_errno(err, r, "cannot make a pipe");
	AUTO_FD int output = ends[0];
	struct spawn_fd fds[] = { { ends[1], 1 }, { ends[1], 2 } };
	/* else the platform's business */
	struct spawn_options o = {
		.argv = program->argv,
		.environment = program->environment,
		.fds = fds,
		.fd_count = 2,
		.death_signal = p->run_below ? 0 : SIGKILL,
		.new_session = 1,
		.in_child = enter,
		.in_child_data = &place,
	};
	r = spawn(&o, &pid, err);
	fd_close(ends[1]);
	if (r < 0)
		return r;
	struct output to = { .name = program->log_name, .lines = ret_lines };
	r = read_lines(output, pid, clock_deadline(program->deadline_ms), &to);
	/* Also what it left behind: its place, with the machine's disk in it, goes away. */
	kill(-pid, SIGKILL);
	spawn_wait(pid, &status);
	if (r < 0)
		return error_set_errno(err, r, "cannot watch it");
	return status;
}
