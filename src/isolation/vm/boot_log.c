/* SPDX-License-Identifier: Apache-2.0
 * The kernel's serial console and QEMU's stderr come to the keeper and not to a file: the guest decides what is written there, and how
 * much, so it is capped; and the last lines are kept, to say why a boot failed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/path.h"
#include "isolation/vm/run.h"

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
	keep_tail(log, data, size);
	if (log->file < 0 || log->written >= BOOT_LOG_MAX)
		return;
	size_t n = MIN(size, BOOT_LOG_MAX - log->written);
	log->written += n;
	static const char full[] = "\n[boot.log is full; the rest of this run is left out]\n";
	if (fd_write_full(log->file, data, n) >= 0 && log->written >= BOOT_LOG_MAX)
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
	struct isolation_run *r = data;
	if (read_some(&r->log, fd) == 0)
		source_set_events(s, 0);
}

void boot_log_drain(struct isolation_run *r)
{
	const int fds[] = { r->log.serial, r->log.errors };
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		for (int left = 64; fds[i] >= 0 && left > 0 && read_some(&r->log, fds[i]) == 1; left--)
			;
	}
}

int boot_log_open(struct isolation_run *r, int *ret_serial_fd, int *ret_errors_fd, struct error **err)
{
	AUTOFREE char *path = machine_file(r->machine->name, "boot.log");
	struct boot_log *log = &r->log;
	int serial[2], errors[2];
	log->file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
	if (log->file < 0)
		return error_set_errno(err, errno, "cannot write %s", path);
	int result = fd_socketpair(SOCK_STREAM, serial);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a socket for the console");
	log->serial = serial[0];
	AUTO_FD int serial_fd = serial[1];
	result = fd_pipe(errors);
	if (result < 0)
		return error_set_errno(err, result, "cannot make a pipe for QEMU's messages");
	log->errors = errors[0];
	AUTO_FD int errors_fd = errors[1];
	fd_set_nonblocking(log->serial, 1);
	fd_set_nonblocking(log->errors, 1);
	result = loop_add_io(r->loop, log->serial, EPOLLIN, on_data, r, &log->serial_source);
	if (result >= 0)
		result = loop_add_io(r->loop, log->errors, EPOLLIN, on_data, r, &log->errors_source);
	if (result < 0)
		return error_set_errno(err, result, "cannot watch the console");
	*ret_serial_fd = TAKE_FD(serial_fd);
	*ret_errors_fd = TAKE_FD(errors_fd);
	return 0;
}

/* The last line with a panic in it, else the last line of all. What the guest wrote is shown to a person: printable characters only. */
char *boot_log_reason(struct isolation_run *r)
{
	struct boot_log *log = &r->log;
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
	char *reason = xstrndup(best, strcspn(best, "\r\n"));
	for (char *c = reason; *c; c++) {
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	}
	return reason;
}

void boot_log_done(struct isolation_run *r)
{
	source_free(r->log.serial_source);
	source_free(r->log.errors_source);
	fd_close(r->log.serial);
	fd_close(r->log.errors);
	fd_close(r->log.file);
}
