/* SPDX-License-Identifier: Apache-2.0
 * See sftp.h. sftp-server links the C library only. Three files, the dynamic loader, the library
 * and the program, go into the machine as descriptors, and the loader puts them together:
 *
 *   ld.so --preload /proc/self/fd/LIBC /proc/self/fd/SERVER
 *
 * The program's need for libc.so.6 is met by the preloaded one, because that has the same soname
 * (ld.so(8)). So no directory of the agent's is named inside, and nothing of the image's is loaded.
 * The files are sealed copies in memory: a machine's root could write to the agent's own through
 * /proc/PID/fd. */
#include "agent/session/sftp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

enum { FILE_BYTES_MAX = 64 * 1024 * 1024, WORD_MAX = 32 };

/* The guest bundle's place first, then those of distributions. */
static const char *const loaders[] = { "/lib64/ld-linux-x86-64.so.2", NULL };
static const char *const libraries[] = { "/lib/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6",
	"/usr/lib/libc.so.6", NULL };
static const char *const servers[] = { "/bin/sftp-server", "/usr/lib/openssh/sftp-server",
	"/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server", NULL };

static int open_first(const char *const *places)
{
	int fd = -1;
	for (; fd < 0 && *places; places++)
		fd = open(*places, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A sealed copy: descriptor or -errno. */
static int copy_first(const char *const *places, const char *name)
{
	AUTO_FD int from = open_first(places);
	if (from < 0)
		return from;
	AUTO_FD int to = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to < 0)
		return -errno;
	int64_t n = fd_copy(from, to, FILE_BYTES_MAX);
	if (n < 0)
		return (int)n;
	if (fchmod(to, 0555) < 0 ||
	    fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return TAKE_FD(to);
}

int session_sftp_open(struct session_sftp *ret)
{
	static struct session_sftp files = { -1, -1, -1 };
	if (files.server < 0) {
		AUTO_FD int loader = copy_first(loaders, "ld.so"), libc = copy_first(libraries, "libc.so.6");
		int server = copy_first(servers, "sftp-server");
		if (loader < 0 || libc < 0 || server < 0) {
			fd_close(server);
			return loader < 0 ? loader : libc < 0 ? libc : server;
		}
		files = (struct session_sftp){ TAKE_FD(loader), TAKE_FD(libc), server };
	}
	*ret = files;
	return 0;
}

/* The loader opens both by name, after the descriptors would have been closed. */
static int execute_ours(const struct session_sftp *f, char **environment)
{
	char library[WORD_MAX], server[WORD_MAX];
	char *const argv[] = { "sftp-server", "--preload", library, server, NULL };
	int r = fd_set_cloexec(f->libc, 0);
	if (r == 0)
		r = fd_set_cloexec(f->server, 0);
	if (r < 0)
		return r;
	snprintf(library, sizeof library, "/proc/self/fd/%d", f->libc);
	snprintf(server, sizeof server, "/proc/self/fd/%d", f->server);
	syscall(SYS_execveat, f->loader, "", argv, environment, AT_EMPTY_PATH);
	return -errno;
}

int session_sftp_execute(const struct session_sftp *sftp, struct strv *env)
{
	char **environment = strv_argv(env);
	int r = sftp ? execute_ours(sftp, environment) : -ENOENT;
	for (const char *const *place = servers; *place; place++) {
		char *const argv[] = { "sftp-server", NULL };
		execve(*place, argv, environment);
	}
	return r;
}
