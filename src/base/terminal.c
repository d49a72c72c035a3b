/* SPDX-License-Identifier: Apache-2.0 */
#include "base/terminal.h"

#include <errno.h>
#include <sys/ioctl.h>

int terminal_raw(struct terminal_state *t, int fd)
{
	struct termios raw;
	if (tcgetattr(fd, &t->saved) < 0)
		return -errno;
	raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
		return -errno;
	t->fd = fd;
	return 0;
}

void terminal_restore(struct terminal_state *t)
{
	if (t->fd >= 0)
		tcsetattr(t->fd, TCSADRAIN, &t->saved);
	t->fd = -1;
}

int terminal_size(int fd, unsigned *ret_rows, unsigned *ret_columns)
{
	struct winsize size;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return -errno;
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return 0;
}
