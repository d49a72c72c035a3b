/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"
#include "base/stamp.h"

static const char *program = "holm";
static int max_level = -1;
static int kmsg = -1, with_times;

enum { SITES_MAX = 63, NOTE_MAX = 40 };

/* Of warnings and errors from one place of the program. */
struct site {
	const void *caller; /* NULL: free */
	uint64_t since_ms;
	unsigned count, left_out;
};

/* Shared with forked processes: each life of one that a guest can end would have a budget of its
 * own. Two that write at once may say a line more or less. */
static struct budget {
	size_t quiet, urgent;             /* bytes left */
	struct site sites[SITES_MAX + 1]; /* the last: of all that find no place */
} * budget;

void log_set_program(const char *name)
{
	program = name;
}

void log_set_level(enum log_level max)
{
	max_level = (int)max;
}

void log_set_times(int on)
{
	with_times = on;
}

void log_set_kmsg(int fd)
{
	kmsg = fd;
}

void log_set_limit(size_t bytes)
{
	if (budget && bytes == SIZE_MAX)
		munmap(TAKE_PTR(budget), sizeof *budget);
	if (!budget && bytes != SIZE_MAX) {
		void *shared = mmap(NULL, sizeof *budget, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		budget = shared == MAP_FAILED ? NULL : shared;
	}
	if (budget)
		*budget = (struct budget){ .quiet = bytes, .urgent = bytes };
}

static int is_urgent(enum log_level level)
{
	return level <= LOG_LEVEL_WARNING;
}

/* Takes a line's bytes off its budget; the last line that fits says that it is the last. */
static int is_within_limit(enum log_level level, size_t size)
{
	static const char quiet_full[] = "[the log is full: only warnings and errors from here on]\n",
			  full[] = "[the log is full: nothing more is written]\n";
	if (!budget)
		return 1;
	size_t *left = is_urgent(level) ? &budget->urgent : &budget->quiet;
	if (*left >= size) {
		*left -= size;
		return 1;
	}
	if (*left) {
		const char *text = is_urgent(level) ? full : quiet_full;
		ssize_t written UNUSED = write(STDERR_FILENO, text, strlen(text));
	}
	*left = 0;
	return 0;
}

static struct site *site_of(const void *caller)
{
	size_t i = 0;
	while (i < SITES_MAX && budget->sites[i].caller && budget->sites[i].caller != caller)
		i++;
	budget->sites[i].caller = caller;
	return &budget->sites[i];
}

/* Whether this caller may say one more; then *ret_left_out is how many it could not say before. */
static int is_within_rate(const void *caller, unsigned *ret_left_out)
{
	struct site *s = site_of(caller);
	uint64_t now = clock_now_ms();
	if (!s->count || now - s->since_ms >= LOG_MINUTE_MS) {
		s->since_ms = now;
		s->count = 0;
	}
	if (s->count >= LOG_BURST) {
		s->left_out++;
		return 0;
	}
	s->count++;
	*ret_left_out = s->left_out;
	s->left_out = 0;
	return 1;
}

int log_descriptor(void)
{
	return kmsg;
}

static int level_from_environment(void)
{
	const char *debug = getenv("HOLM_DEBUG");
	return debug && streq(debug, "1") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

/* Nothing sensible can be done where the log itself cannot be written. */
static void write_line(const char *line, size_t size)
{
	char stamp[STAMP_SIZE];
	struct iovec parts[] = { { stamp, sizeof stamp }, { (char *)line, size } };
	int stamped = with_times && kmsg < 0;
	if (stamped)
		stamp_write(clock_realtime_ns(), stamp);
	ssize_t written UNUSED = writev(kmsg >= 0 ? kmsg : STDERR_FILENO, stamped ? parts : parts + 1, stamped ? 2 : 1);
}

void log_at(enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	/* A quiet kernel shows its console what is more urgent than 4: all that the agent says
	 * belongs there, in the machine's boot log. */
	static const int priorities[] = { 3, 3, 3, 7 };
	char line[1024 + NOTE_MAX];
	unsigned left_out = 0;
	int n;
	if (max_level < 0)
		max_level = level_from_environment();
	if ((int)level > max_level ||
	    (budget && is_urgent(level) && !is_within_rate(__builtin_return_address(0), &left_out)))
		return;
	if (kmsg >= 0)
		n = snprintf(line, sizeof line, "<%d>%s: ", priorities[level], program);
	else
		n = snprintf(line, sizeof line, "%s: %s: ", program, names[level]);
	va_list arguments;
	va_start(arguments, format);
	int m = vsnprintf(line + n, sizeof line - NOTE_MAX - n - 1, format, arguments);
	va_end(arguments);
	if (m < 0)
		line[n] = '\0';
	n = (int)strlen(printable(line));
	if (left_out)
		n += snprintf(line + n, NOTE_MAX, " (%u like this were left out)", left_out);
	line[n++] = '\n';
	if (!is_within_limit(level, (size_t)n))
		return;
	write_line(line, (size_t)n);
}
