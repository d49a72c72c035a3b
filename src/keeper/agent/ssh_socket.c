/* SPDX-License-Identifier: Apache-2.0
 * The way to a caller's ssh-agent socket, one component after the other. The path may lead through
 * a share that the machine writes to (a home): there a symlink is the machine's word, and could
 * name the socket of anything that answers the user. So none is followed from such a directory.
 * What comes of it is a descriptor: whatever the path means later, the session's connections go to
 * this socket. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "keeper/agent/ssh_agent.h"
#include "keeper/keeper_private.h"

enum { SYMLINKS_MAX = 40 };

/* Whether the machine may change what is in this directory; also where that cannot be found out. */
static int is_changeable(const struct keeper *k, int directory)
{
	char link[32], path[PATH_MAX];
	snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
	ssize_t n = readlink(link, path, sizeof path);
	if (n < 0 || (size_t)n == sizeof path)
		return 1;
	path[n] = '\0';
	for (const struct keeper_share *s = k->shares; s; s = s->next)
		if (!s->read_only && path_is_below(path, s->host))
			return 1;
	return 0;
}

/* What `rest` begins with: its length, 0 at the end. Slashes in front are skipped. */
static size_t next_component(const char **rest)
{
	*rest += strspn(*rest, "/");
	return strcspn(*rest, "/");
}

/* Puts the target of a symlink (fd, in the directory *at) in front of the rest of the way. */
static int follow(const struct keeper *k, int link, int *at, char **way, const char *rest)
{
	char target[PATH_MAX];
	if (is_changeable(k, *at))
		return -EPERM;
	ssize_t n = readlinkat(link, "", target, sizeof target);
	if (n <= 0 || (size_t)n == sizeof target || (size_t)n + strlen(rest) >= PATH_MAX)
		return n < 0 ? -errno : -ENAMETOOLONG;
	char *longer = xasprintf("%.*s/%s", (int)n, target, rest);
	free(*way);
	*way = longer;
	if (target[0] != '/')
		return 0;
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd_close(*at);
	*at = root;
	return 0;
}

static int walk(const struct keeper *k, const char *path)
{
	AUTO_FD int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTOFREE char *way = xstrdup(path);
	int links = 0, r = at < 0 ? -errno : 0;
	struct stat st;
	size_t size;
	for (const char *rest = way; r == 0 && (size = next_component(&rest)) > 0;) {
		AUTOFREE char *name = xstrndup(rest, size);
		AUTO_FD int next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 || fstat(next, &st) < 0)
			return -errno;
		rest += size;
		if (S_ISLNK(st.st_mode)) {
			r = ++links > SYMLINKS_MAX ? -ELOOP : follow(k, next, &at, &way, rest);
			rest = way;
			continue;
		}
		fd_close(at);
		at = TAKE_FD(next);
	}
	if (r < 0)
		return r;
	return fstat(at, &st) < 0 ? -errno : S_ISSOCK(st.st_mode) ? TAKE_FD(at) : -ENOTSOCK;
}

int ssh_socket_open(const struct keeper *k, const char *path, struct error **err)
{
	int r = walk(k, path);
	if (r == -EPERM)
		return error_set(err, EPERM,
		    "ssh agent \"%s\": a symlink on the way is in a folder that the machine can write to; set "
		    "SSH_AUTH_SOCK to the socket itself",
		    path);
	return r < 0 ? error_set_errno(err, r, "ssh agent \"%s\"", path) : r;
}
