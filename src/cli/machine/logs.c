/* SPDX-License-Identifier: Apache-2.0
 * `holm machine logs`: the machine's log files, which the keeper writes. -f follows by inotify,
 * through rotation (the file is replaced by a new one of the same name), until the keeper ends; the
 * last line of a boot stays readable when the machine is stopped.
 *
 * The machine decides what is in them. A terminal gets text and colours alone, a file or a pipe
 * every byte but the carriage returns that a terminal's driver puts at the ends of lines. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/printable.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/machine/log_lines.h"
#include "cli/output.h"

enum { BLOCK = 64 * 1024 };

static int run(const struct command_spec *c, struct options *o);

static const struct option_spec options[] = {
	{ "follow", 'f', OPTION_FLAG, NULL, "go on showing what is added, until the machine ends" },
	{ "tail", 'n', OPTION_STRING, "LINES", "only the last lines", .default_text = "all" },
	{ "since", 0, OPTION_STRING, "TIME",
	    "only lines from this time on: 2026-11-30T08:00, or 10m for the last minutes" },
	{ "until", 0, OPTION_STRING, "TIME", "only lines before this time" },
	{ "timestamps", 't', OPTION_FLAG, NULL, "each line behind its time" },
	{ "raw", 0, OPTION_FLAG, NULL, "write every byte as it is, with carriage returns, also to a terminal" },
	{ "boot", 0, OPTION_FLAG, NULL, "what holm, the kernel and the agent said, instead of the init's console" },
	{ 0 },
};

const struct command_spec command_logs = {
	.name = "logs",
	.synopsis = "[NAME]",
	.summary = "show what a machine's init printed on its console",
	.options = options,
	.max_arguments = 1,
	.target = TARGET_MACHINE_OR_DEFAULT,
	.complete = "machine",
	.run = run,
};

/* Puts the file's position before its last `lines` lines. */
static int seek_tail(int fd, uint64_t lines)
{
	char block[BLOCK];
	off_t at = lseek(fd, 0, SEEK_END);
	int last = 1;
	if (lines == 0)
		return at < 0 ? -errno : 0;
	while (at > 0) {
		size_t size = (size_t)MIN(at, (off_t)sizeof block);
		ssize_t n = pread(fd, block, size, at - (off_t)size);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (ssize_t i = n - 1; i >= 0; i--) {
			/* The newline that ends the last line begins no other. */
			int counts = block[i] == '\n' && !last;
			last = 0;
			if (counts && lines-- <= 1)
				return lseek(fd, at - (off_t)size + i + 1, SEEK_SET) < 0 ? -errno : 0;
		}
		at -= (off_t)size;
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

struct log {
	int fd;
	int raw;
	struct printable_stream stream; /* unless raw */
	struct log_lines lines;
};

static int write_block(const char *block, size_t size, void *data)
{
	struct log *l = data;
	char shown[BLOCK + PRINTABLE_HELD];
	if (l->raw)
		return fd_write_full(STDOUT_FILENO, block, size);
	return fd_write_full(STDOUT_FILENO, shown, printable_stream(&l->stream, block, size, shown));
}

static int copy_rest(struct log *l)
{
	char block[BLOCK];
	ssize_t n;
	while ((n = read(l->fd, block, sizeof block)) > 0) {
		int r = log_lines_feed(&l->lines, block, (size_t)n, write_block, l);
		if (r < 0)
			return r;
	}
	return n < 0 ? -errno : 0;
}

/* Ends a colour or half a sequence that the file leaves open. */
static int end_file(struct log *l)
{
	int r = log_lines_end(&l->lines, write_block, l);
	const char *end = printable_stream_end(&l->stream);
	return r < 0 ? r : fd_write_full(STDOUT_FILENO, end, strlen(end));
}

static int same_file(int fd, const char *path)
{
	struct stat here, there;
	return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
	       here.st_dev == there.st_dev;
}

/* Goes over to the file that has replaced the one that is read: 1, or 0 if there is none. */
static int take_next_file(struct log *l, const char *path)
{
	int next = same_file(l->fd, path) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (next < 0)
		return 0;
	fd_close(l->fd);
	l->fd = next;
	end_file(l);
	return 1;
}

/* Waits until something is added: 0, 1 when nobody reads any more, or -errno. *keeper becomes -1
 * when it has ended. */
static int await(int watch, int *keeper)
{
	char events[BLOCK] __attribute__((aligned(8)));
	struct pollfd p[] = { { .fd = watch, .events = POLLIN }, { .fd = STDOUT_FILENO, .events = 0 },
		{ .fd = *keeper, .events = POLLIN } };
	if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
		return -errno;
	if (p[1].revents & (POLLERR | POLLHUP))
		return 1;
	if (p[0].revents && read(watch, events, sizeof events) < 0 && errno != EINTR)
		return -errno;
	if (p[2].revents)
		fd_close(TAKE_FD(*keeper));
	return 0;
}

/* Shows what is added until nobody reads any more, or the machine ends or is removed. For one that
 * is stopped it waits for the next run. */
static int follow(struct log *l, const char *name, const char *directory, const char *path)
{
	AUTO_FD int watch = inotify_init1(IN_CLOEXEC), keeper = -1;
	int ran = 0;
	if (watch < 0 || inotify_add_watch(watch, directory,
			     IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF) < 0)
		return -errno;
	for (;;) {
		int over = ran && keeper < 0;
		if (!ran)
			ran = (keeper = client_keeper_open(name)) >= 0;
		int r = copy_rest(l);
		if (r < 0)
			return r == -EPIPE ? 0 : r;
		if (take_next_file(l, path))
			continue;
		if (over || access(directory, F_OK) < 0)
			return 0;
		r = await(watch, &keeper);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}

/* Leaves out all but the last `tail` lines. The lines of a span are counted first. */
static int begin_at(struct log *l, uint64_t tail)
{
	if (l->lines.since_ns == 0 && l->lines.until_ns == INT64_MAX)
		return seek_tail(l->fd, tail);
	struct log_lines count = l->lines;
	char block[BLOCK];
	ssize_t n;
	while ((n = read(l->fd, block, sizeof block)) > 0)
		log_lines_feed(&count, block, (size_t)n, NULL, NULL);
	if (n < 0 || lseek(l->fd, 0, SEEK_SET) < 0)
		return -errno;
	log_lines_end(&count, NULL, NULL);
	l->lines.skip = count.shown > tail ? count.shown - tail : 0;
	return 0;
}

static int show_log(struct log *l, const char *name, struct options *o, uint64_t tail, const char *path)
{
	AUTOFREE char *directory = machine_dir(name);
	int r = tail != UINT64_MAX ? begin_at(l, tail) : 0;
	if (r == 0)
		r = copy_rest(l);
	if (r == 0 && options_given(o, "follow"))
		r = follow(l, name, directory, path);
	return r == 0 ? end_file(l) : r;
}

static int parse_time(struct options *o, const char *name, int64_t *ret_ns, struct error **err)
{
	const char *text = options_string(o, name);
	if (!text || moment_parse(text, clock_realtime_ns(), ret_ns) == 0)
		return 0;
	return error_set(err, EINVAL,
	    "--%s %.40s: give a time such as 2026-11-30T08:00:00Z, or 10m for ten minutes ago", name, text);
}

/* Reads the options of what to show. 0 or -errno. */
static int configure(struct options *o, struct log *l, uint64_t *ret_tail, struct error **err)
{
	const char *tail = options_string(o, "tail");
	*ret_tail = UINT64_MAX;
	if (tail && !streq(tail, "all") && parse_u64(tail, ret_tail) < 0)
		return error_set(err, EINVAL, "--tail %.40s: give a number of lines", tail);
	if (options_given(o, "follow") && options_given(o, "until"))
		return error_set(err, EINVAL, "--follow and --until exclude each other");
	l->raw = options_given(o, "raw") || !isatty(STDOUT_FILENO);
	l->lines = (struct log_lines){
		.until_ns = INT64_MAX,
		.with_times = options_given(o, "timestamps"),
		.keep_returns = options_given(o, "raw"),
	};
	int r = parse_time(o, "since", &l->lines.since_ns, err);
	return r < 0 ? r : parse_time(o, "until", &l->lines.until_ns, err);
}

static int show(const char *name, struct options *o, struct error **err)
{
	AUTOFREE char *path = machine_file(name, options_given(o, "boot") ? "boot.log" : "console.log");
	uint64_t lines;
	struct log l = { .fd = -1 };
	int r = configure(o, &l, &lines, err);
	if (r < 0)
		return r;
	l.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (l.fd < 0 && errno == ENOENT && options_given(o, "follow"))
		l.fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	if (l.fd < 0 && errno == ENOENT)
		return 0; /* it has not been booted yet */
	if (l.fd < 0)
		return error_set_errno(err, errno, "%s", path);
	r = show_log(&l, name, o, lines, path);
	fd_close(l.fd);
	return r < 0 && r != -EPIPE ? error_set_errno(err, r, "%s", path) : 0;
}

static int run(const struct command_spec *c, struct options *o)
{
	AUTO_ERROR struct error *err = NULL;
	int r = show(options_target(o), o, &err);
	return r < 0 ? output_failure(r, err) : 0;
}
