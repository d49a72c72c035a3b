/* SPDX-License-Identifier: Apache-2.0
 * The output of the init's console goes to console.log, byte for byte, with a time in front of each
 * line. At 1 MiB the file becomes console.log.1, so a machine that prints for ever takes 2 MiB. */
#include "keeper/agent/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/stamp.h"
#include "base/path.h"
#include "keeper/keeper_private.h"

enum { CONSOLE_LOG_MAX = 1024 * 1024, READ_SIZE = 16 * 1024 };

struct console {
	struct loop *loop;
	char *path, *old_path;
	int log;
	uint64_t size;
	struct stamper stamper;
	int fd; /* the stream */
	struct source *source;
};

static void open_log(struct console *c)
{
	struct stat st;
	fd_close(c->log);
	c->log = open(c->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	c->size = c->log >= 0 && fstat(c->log, &st) == 0 ? (uint64_t)st.st_size : 0;
	if (c->log < 0)
		log_warning("%s: %s", c->path, strerror(errno));
}

static void rotate_log(struct console *c)
{
	rename(c->path, c->old_path);
	open_log(c);
	c->stamper = (struct stamper){ 0 };
}

/* The bytes with their times; a line that would not fit begins the next file. */
static void stamp(struct console *c, const char *data, size_t size, struct buffer *lines)
{
	stamp_lines(&c->stamper, data, size, lines);
	if (!c->size || c->size + lines->size <= CONSOLE_LOG_MAX)
		return;
	rotate_log(c);
	buffer_done(lines);
	stamp_lines(&c->stamper, data, size, lines);
}

static void write_log(struct console *c, const char *data, size_t size)
{
	AUTO_BUFFER struct buffer lines;
	buffer_init(&lines, (size + 1) * (STAMP_SIZE + 1));
	stamp(c, data, size, &lines);
	if (c->log >= 0 && fd_write_full(c->log, lines.data, lines.size) == 0)
		c->size += lines.size;
}

static void detach(struct console *c)
{
	source_free(TAKE_PTR(c->source));
	fd_close(TAKE_FD(c->fd));
}

static void on_stream(struct source *s, int fd, uint32_t events, void *data)
{
	struct console *c = data;
	char bytes[READ_SIZE];
	ssize_t n = read(fd, bytes, sizeof bytes);
	if (n > 0)
		write_log(c, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		detach(c);
}

void console_attach(struct console *c, int fd, const struct buffer *early)
{
	detach(c);
	c->fd = fd;
	if (early->size)
		write_log(c, early->data, early->size);
	if (loop_add_io(c->loop, fd, EPOLLIN, on_stream, c, &c->source) < 0)
		detach(c);
}

int console_new(struct keeper *k, struct console **ret)
{
	struct console *c = xnew(struct console);
	c->loop = k->loop;
	c->fd = c->log = -1;
	c->path = path_join(k->options.log_dir, "console.log");
	c->old_path = path_join(k->options.log_dir, "console.log.1");
	open_log(c);
	*ret = c;
	return 0;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	detach(c);
	fd_close(c->log);
	free(c->path);
	free(c->old_path);
	free(c);
}
