/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static const char *program = "holm";
static int max_level = -1;
static int kmsg = -1;
static size_t left = SIZE_MAX;

void log_set_program(const char *name)
{
	program = name;
}

void log_set_level(enum log_level max)
{
	max_level = (int)max;
}

void log_set_kmsg(int fd)
{
	kmsg = fd;
}

void log_set_limit(size_t bytes)
{
	left = bytes;
}

/* Whether a line of this level may still be written; the last one says that it is. */
static int is_within_limit(enum log_level level, size_t size)
{
	static const char full[] = "[the log is full: only warnings and errors from here on]\n";
	if (level <= LOG_LEVEL_WARNING || left == SIZE_MAX)
		return 1;
	if (left >= size) {
		left -= size;
		return 1;
	}
	if (left) {
		ssize_t written UNUSED = write(STDERR_FILENO, full, sizeof full - 1);
	}
	left = 0;
	return 0;
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

void log_at(enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	/* A quiet kernel shows its console what is more urgent than 4: all that the agent says belongs there, in the machine's boot log. */
	static const int priorities[] = { 3, 3, 3, 7 };
	char line[1024];
	int n;
	if (max_level < 0)
		max_level = level_from_environment();
	if ((int)level > max_level)
		return;
	if (kmsg >= 0)
		n = snprintf(line, sizeof line, "<%d>%s: ", priorities[level], program);
	else
		n = snprintf(line, sizeof line, "%s: %s: ", program, names[level]);
	va_list arguments;
	va_start(arguments, format);
	int m = vsnprintf(line + n, sizeof line - n - 1, format, arguments);
	va_end(arguments);
	n += MIN(MAX(m, 0), (int)sizeof line - n - 2);
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	line[n++] = '\n';
	if (!is_within_limit(level, (size_t)n))
		return;
	/* Nothing sensible can be done where the log itself cannot be written. */
	ssize_t written UNUSED = write(kmsg >= 0 ? kmsg : STDERR_FILENO, line, n);
}
