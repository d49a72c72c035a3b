/* SPDX-License-Identifier: Apache-2.0
 * See sockets.h. The socket is the one entry of a file system of its own, of which the agent mounts
 * that entry alone: a mount that comes, goes and survives the init as the other shares' do. Owner
 * and mode are the host's, so the machine's kernel says who may connect. */
#include "agent/share/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/core/lent.h"
#include "agent/core/mounts.h"
#include "agent/core/platform.h"
#include "agent/core/worker.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"

enum { CONNECTIONS_MAX = 256, BACKLOG = 128 }; /* the first as the keeper has it */

struct share_sockets {
	struct share_sockets *next;
	char *tag;
	struct lent *lent;
};

/* ---- the socket ---- */

static int make_file_system(void)
{
	static const char *const options[][2] = { { "mode", "0755" }, { "size", "4k" }, { "nr_inodes", "2" } };
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	for (size_t n = 0; fs >= 0 && n < ARRAY_SIZE(options); n++)
		if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[n][0], options[n][1], 0) < 0)
			return -errno;
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return mount < 0 ? -errno : mount;
}

/* Listens on a new socket in the directory. A descriptor or -errno. */
static int listen_in(int directory, const struct boot_socket *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory, MOUNTS_SHARED_FILE);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
	    fchownat(directory, MOUNTS_SHARED_FILE, s->uid, s->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(directory, MOUNTS_SHARED_FILE, s->mode, AT_SYMLINK_NOFOLLOW) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Makes the socket and mounts it at `path`, an empty directory. A descriptor that listens, or
 * -errno. */
static int make(const struct boot_share *s, const char *path)
{
	struct mount_attr fixed = { .attr_set = MOUNT_ATTR_RDONLY };
	AUTO_FD int mount = make_file_system();
	AUTO_FD int listening = mount < 0 ? mount : listen_in(mount, &s->socket);
	if (listening < 0)
		return listening;
	if ((s->read_only && syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &fixed, sizeof fixed) < 0) ||
	    syscall(SYS_move_mount, mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	fd_close(TAKE_FD(mount));
	int r = mounts_leave_file(path);
	return r < 0 ? r : TAKE_FD(listening);
}

/* ---- those that there are ---- */

static int has(const struct agent *a, const char *tag)
{
	for (const struct share_sockets *s = a->share_sockets; s; s = s->next)
		if (streq(s->tag, tag))
			return 1;
	return 0;
}

int share_socket_open(struct agent *a, const struct boot_share *s, struct error **err)
{
	AUTOFREE char *path = path_join(AGENT_SHARES, s->tag);
	if (s->socket.id == 0 || has(a, s->tag))
		return 0;
	int r = path_mkdir_all(path, 0755, err);
	if (r < 0)
		return r;
	int listening = make(s, path);
	struct lent *lent = listening < 0 ? NULL : lent_new(a, listening, s->socket.id, CONNECTIONS_MAX);
	if (!lent) {
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
		return error_set_errno(err, listening < 0 ? listening : -EIO, "cannot make the socket %s", s->inside);
	}
	struct share_sockets *socket = xnew(struct share_sockets);
	*socket = (struct share_sockets){ .next = a->share_sockets, .tag = xstrdup(s->tag), .lent = lent };
	a->share_sockets = socket;
	return 0;
}

int share_sockets_open(struct agent *a, struct error **err)
{
	for (size_t i = 0; i < a->boot->share_count; i++) {
		AUTO_ERROR struct error *why = NULL;
		int r = share_socket_open(a, &a->boot->shares[i], &why);
		if (r < 0)
			return mounts_refuse(a->boot, &a->boot->shares[i], r, error_text(why, r), err);
	}
	return 0;
}

void share_socket_close(struct agent *a, const char *tag)
{
	for (struct share_sockets **at = &a->share_sockets; *at; at = &(*at)->next) {
		struct share_sockets *s = *at;
		if (!streq(s->tag, tag))
			continue;
		*at = s->next;
		lent_free(s->lent);
		free(s->tag);
		free(s);
		return;
	}
}

/* ---- after a crash ---- */

struct renewal {
	const struct agent *agent;
	const struct boot_share *share; /* as it was at the fork */
};

static int work_renew(int channel, void *data, struct error **err)
{
	const struct renewal *n = data;
	const struct platform *p = n->agent->platform;
	AUTOFREE char *own = path_join(AGENT_SHARES, n->share->tag);
	AUTO_FD int mount = p->take_share(n->agent->init_pidfd, own, err);
	if (mount < 0)
		return mount;
	int r = p->enter(n->agent->init_pidfd);
	if (r < 0)
		return error_set_errno(err, r, "cannot enter the machine");
	umount2(n->share->inside, MNT_DETACH | UMOUNT_NOFOLLOW);
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return mounts_attach(mount, root, n->share->inside, err);
}

static void on_renewed(int code, const char *text, void *data)
{
	if (code < 0)
		log_warning("a socket of the host is not there any more: %s", text);
	free(data);
}

static void renew(struct agent *a, const struct boot_share *s)
{
	static const struct worker_events events = { .done = on_renewed };
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *path = path_join(AGENT_SHARES, s->tag);
	struct renewal *n = xnew(struct renewal);
	*n = (struct renewal){ .agent = a, .share = s };
	umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	unlink(path);
	int r = share_socket_open(a, s, &err);
	if (r == 0)
		r = worker_start(a->loop, work_renew, n, &a->init_pidfd, 1, &events, n, NULL);
	if (r < 0)
		on_renewed(r, error_text(err, r), n);
}

void share_sockets_renew(struct agent *a)
{
	for (size_t i = 0; a->boot && a->init_pidfd >= 0 && i < a->boot->share_count; i++)
		if (a->boot->shares[i].socket.id)
			renew(a, &a->boot->shares[i]);
}
