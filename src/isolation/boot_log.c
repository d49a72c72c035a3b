/* SPDX-License-Identifier: Apache-2.0 */
#include "isolation/boot_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/printable.h"
#include "machine/machine.h"

static void keep_tail(struct boot_log *log, const char *data, size_t size)
{
	if (size > BOOT_TAIL_MAX) {
		data += size - BOOT_TAIL_MAX;
		size = BOOT_TAIL_MAX;
	}
	size_t keep = MIN(log->tail_size, BOOT_TAIL_MAX - size);
	memmove(log->tail, log->tail + log->tail_size - keep, keep);
	memcpy(log->tail + keep, data, size);
	log->tail_size = keep + size;
}

static void add(struct boot_log *log, const char *data, size_t size)
{
	static const char full[] = "\n[boot.log is full; the rest of this run is left out]\n";
	AUTO_BUFFER struct buffer lines = { 0 };
	keep_tail(log, data, size);
	if (log->file < 0 || log->written >= BOOT_LOG_MAX)
		return;
	buffer_init(&lines, (size + 1) * (STAMP_SIZE + 1));
	stamp_lines(&log->stamper, data, size, &lines);
	size_t n = MIN(lines.size, BOOT_LOG_MAX - log->written);
	log->written += n;
	if (fd_write_full(log->file, lines.data, n) >= 0 && log->written >= BOOT_LOG_MAX)
		fd_write_full(log->file, full, sizeof(full) - 1);
}

/* 1 more may come, 0 end, -EAGAIN. */
static int read_some(struct boot_log *log, int fd)
{
	char data[4096];
	ssize_t n = read(fd, data, sizeof(data));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : 0;
	if (n > 0)
		add(log, data, (size_t)n);
	return n > 0;
}

static void on_data(struct source *s, int fd, uint32_t events, void *data)
{
	if (read_some(data, fd) == 0)
		source_set_events(s, 0);
}

void boot_log_drain(struct boot_log *log)
{
	for (size_t i = 0; i < BOOT_LOG_SOURCES; i++) {
		for (int left = 64; log->fds[i] >= 0 && left > 0 && read_some(log, log->fds[i]) == 1; left--)
			;
	}
}

int boot_log_open(struct boot_log *log, const char *machine, struct error **err)
{
	AUTOFREE char *path = machine_file(machine, "boot.log");
	log->file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
	return log->file < 0 ? error_set_errno(err, errno, "cannot write %s", path) : 0;
}

int boot_log_add(struct boot_log *log, struct loop *l, int fd)
{
	size_t i = 0;
	while (i < BOOT_LOG_SOURCES && log->fds[i] >= 0)
		i++;
	if (i == BOOT_LOG_SOURCES) {
		fd_close(fd);
		return -ENOBUFS;
	}
	log->fds[i] = fd;
	int r = fd_set_nonblocking(fd, 1);
	return r < 0 ? r : loop_add_io(l, fd, EPOLLIN, on_data, log, &log->sources[i]);
}

/* The last line with a panic in it, else the last line of all. What the guest wrote is shown to a
 * person: printable characters only. */
char *boot_log_reason(struct boot_log *log)
{
	const char *best = NULL;
	log->tail[log->tail_size] = '\0';
	for (char *line = log->tail; line && *line;) {
		char *end = strchr(line, '\n');
		size_t size = end ? (size_t)(end - line) : strlen(line);
		if (size > 1 && (!best || !strstr(best, "panic") || strstr(line, "panic")))
			best = line;
		line = end ? end + 1 : NULL;
	}
	if (!best)
		return NULL;
	size_t size = strcspn(best, "\r\n");
	return printable_copy(best, size, size);
}

char *boot_log_last_words(struct boot_log *log)
{
	boot_log_drain(log);
	char *reason = boot_log_reason(log);
	return reason ? reason : xstrdup("it said nothing");
}

void boot_log_done(struct boot_log *log)
{
	for (size_t i = 0; i < BOOT_LOG_SOURCES; i++) {
		source_free(log->sources[i]);
		fd_close(log->fds[i]);
	}
	fd_close(log->file);
	*log = BOOT_LOG_NONE;
}
