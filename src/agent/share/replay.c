/* SPDX-License-Identifier: Apache-2.0
 * The replayer: a process that makes the host's changes once more, inside.
 *
 * It is a process of its own for two reasons: a request to the share's server may block, and the
 * server knows a replay by its process id. It makes one change at a time.
 *
 * Its mount of the share is its own and in no place of the file system. It can be written to even
 * if the share is read-only. The server decides what is answered: unless an event is armed, it
 * refuses this process every change (fsd's replay.c).
 *
 * Directories are opened by their FUSE node id: the handle of name_to_handle_at(2) without a path.
 * The guest's kernel has these nodes, because somebody watches them. A file is opened once and
 * touched by its descriptor, so that nothing else is touched if its name changes meanwhile. */
#include "agent/share/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/mounts.h"
#include "base/fd.h"

enum { HANDLE_TYPE_FUSE = 0x81, PERMISSIONS = 07777 };

static int take_name(const char *from, size_t size, char *to)
{
	if (size == 0 || size > SHARE_NAME_MAX || memchr(from, '/', size) || memchr(from, '\0', size))
		return -EBADMSG;
	memcpy(to, from, size);
	to[size] = '\0';
	return streq(to, ".") || streq(to, "..") ? -EBADMSG : 0;
}

int share_replay_parse(const void *payload, size_t size, struct share_replay *ret)
{
	struct share_replay replay = { 0 };
	if (size < sizeof replay.event)
		return -EBADMSG;
	memcpy(&replay.event, payload, sizeof replay.event);
	const char *names = (const char *)payload + sizeof replay.event;
	int is_rename = replay.event.operation == SHARE_RENAME;
	if (replay.event.type != SHARE_EVENT || replay.event.operation < SHARE_CREATE ||
	    replay.event.operation > SHARE_CLOSE_WRITE ||
	    size - sizeof replay.event != (size_t)replay.event.size + replay.event.size2 ||
	    (replay.event.size2 != 0) != is_rename)
		return -EBADMSG;
	if (take_name(names, replay.event.size, replay.name) < 0 ||
	    (is_rename && take_name(names + replay.event.size, replay.event.size2, replay.name2) < 0))
		return -EBADMSG;
	*ret = replay;
	return 0;
}

/* ---- operations ---- */

/* The directory of this node, O_PATH, or -errno. */
static int open_node(int root, uint64_t node)
{
	struct {
		struct file_handle head;
		uint32_t words[3];
	} handle = { { .handle_bytes = sizeof handle.words, .handle_type = HANDLE_TYPE_FUSE },
		{ (uint32_t)(node >> 32), (uint32_t)node, 0 } };
	int fd = open_by_handle_at(root, &handle.head, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

static int create(int directory, const struct share_replay *replay)
{
	mode_t mode = replay->event.mode & PERMISSIONS;
	switch (replay->event.mode & S_IFMT) {
	case S_IFDIR:
		return result(mkdirat(directory, replay->name, mode));
	case S_IFLNK:
		/* The server answers with the link of the host; this text is seen by nobody. */
		return result(symlinkat("holm", directory, replay->name));
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		return result(mknodat(directory, replay->name, replay->event.mode & (S_IFMT | PERMISSIONS), 0));
	default:
		return -EOPNOTSUPP;
	}
}

/* The file itself, by a descriptor, so that nothing else is touched whatever becomes of the name
 * meanwhile. */
static int touch(int root, int directory, const struct share_replay *replay)
{
	char path[64];
	struct stat st, top;
	AUTO_FD int fd = openat(directory, replay->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || fstat(root, &top) < 0)
		return -errno;
	if (st.st_dev != top.st_dev)
		return -EXDEV; /* something else is mounted here inside */
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (replay->event.operation == SHARE_ATTRIB)
		return S_ISLNK(st.st_mode) ? -EOPNOTSUPP : result(chmod(path, st.st_mode & PERMISSIONS));
	if (!S_ISREG(st.st_mode))
		return -EOPNOTSUPP;
	if (replay->event.operation == SHARE_MODIFY)
		return result(truncate(path, st.st_size));
	AUTO_FD int writing = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return result(writing);
}

int share_replay_do(int root, const struct share_replay *replay)
{
	AUTO_FD int directory = open_node(root, replay->event.node);
	if (directory < 0)
		return directory;
	switch (replay->event.operation) {
	case SHARE_CREATE:
		return create(directory, replay);
	case SHARE_REMOVE:
		return result(unlinkat(directory, replay->name, S_ISDIR(replay->event.mode) ? AT_REMOVEDIR : 0));
	case SHARE_RENAME: {
		AUTO_FD int target = open_node(root, replay->event.node2);
		return target < 0 ? target : result(renameat(directory, replay->name, target, replay->name2));
	}
	default:
		return touch(root, directory, replay);
	}
}

/* ---- the process ---- */

static int mount_again(const char *path, struct error **err)
{
	struct mount_attr writable = { .attr_clr = MOUNT_ATTR_RDONLY };
	AUTO_FD int mount = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (mount < 0 || syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &writable, sizeof writable) < 0)
		return error_set_errno(err, errno, "cannot mount %s once more", path);
	return TAKE_FD(mount);
}

/* A mount of the share that is in no place, writable as far as the file system goes; its root. */
static int open_share(const struct share_replayer *replayer, struct error **err)
{
	const char *path = replayer->path;
	/* The root of a single file's share is mounted nowhere. */
	const struct boot_share single = { .tag = (char *)replayer->tag, .inside = (char *)path };
	AUTO_FD int mount = mounts_is_file(replayer->tag) ? mounts_open_virtiofs(&single, err) : mount_again(path, err);
	if (mount < 0)
		return mount;
	int root = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? error_set_errno(err, errno, "cannot open %s", path) : root;
}

int share_replay_run(int channel, void *data, struct error **err)
{
	const struct share_replayer *replayer = data;
	char payload[SHARE_PAYLOAD_MAX];
	struct share_replay replay;
	AUTO_FD int root = open_share(replayer, err);
	if (root < 0)
		return root;
	umask(0);
	const struct share_hello hello = {
		.type = SHARE_HELLO,
		.version = SHARE_EVENTS_VERSION,
		.pid = (uint32_t)getpid(),
	};
	ssize_t n = send(replayer->socket, &hello, sizeof hello, MSG_NOSIGNAL);
	while (n > 0 && (n = recv(replayer->socket, payload, sizeof payload, 0)) > 0) {
		int r = share_replay_parse(payload, (size_t)n, &replay);
		if (r < 0)
			return error_set(err, -r, "the share's server says what is not understood");
		const struct share_done done = {
			.type = SHARE_DONE,
			.result = share_replay_do(root, &replay),
			.token = replay.event.token,
		};
		n = send(replayer->socket, &done, sizeof done, MSG_NOSIGNAL);
	}
	return 0;
}
