/* SPDX-License-Identifier: Apache-2.0
 * Log lines of programs that have no person in front of them (keeper, agent, fsd): "LEVEL text" on
 * stderr, one write(2) a line. Interactive output goes through cli/output. */
#pragma once

#include <stddef.h>

#include "base/macros.h"

enum { LOG_BURST = 10, LOG_MINUTE_MS = 60 * 1000 };
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_program(const char *name); /* borrowed; put in front of every line */
void log_set_level(enum log_level max); /* default INFO; HOLM_DEBUG=1 in the environment makes it DEBUG */
void log_set_times(int on);             /* lines begin with their time (base/stamp.h) */
void log_set_kmsg(int fd);              /* lines go to this descriptor instead of stderr, as "<N>program: text" */
int log_descriptor(void);               /* that descriptor, or -1: whoever closes what it does not know must spare it */
/* For a process whose lines others cause, and for those that it forks: at most so many bytes of
 * info and debug lines, and as many of warnings and errors. Of the latter each call gets LOG_BURST
 * a minute; its next line says how many were left out. SIZE_MAX, and before the first call: no
 * limit. */
void log_set_limit(size_t bytes);
void log_at(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
