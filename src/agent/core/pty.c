/* SPDX-License-Identifier: Apache-2.0
 * Root inside can put anything at /dev/pts/ptmx. Nothing but the kernel's terminals may answer the
 * requests below: TIOCGPTPEER returns a number that is taken for a descriptor. */
#include "agent/core/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"

enum { PTMX_MAJOR = 5, PTMX_MINOR = 2 };

static int open_master(const char *path)
{
	struct stat st;
	AUTO_FD int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(PTMX_MAJOR, PTMX_MINOR))
		return -ENOTTY;
	return TAKE_FD(fd);
}

int pty_open(unsigned rows, unsigned columns, uid_t owner, int or_device)
{
	const struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
	const int unlock = 0;
	AUTO_FD int master = open_master("/dev/pts/ptmx");
	if (master < 0 && or_device)
		master = open_master("/dev/ptmx");
	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
		return -errno;
	AUTO_FD int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || fchown(slave, owner, (gid_t)-1) < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (dup2(slave, i) < 0)
			return -errno;
	return TAKE_FD(master);
}
