/* SPDX-License-Identifier: Apache-2.0
 * The machine's boot.log: the output of a run's first program and of the kernel inside. It comes to
 * the keeper by sockets or pipes, which caps it, because the inside decides what and how much it
 * writes. The last lines stay in memory, for the error of a machine that ends. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "base/stamp.h"

enum {
	BOOT_LOG_MAX = 1024 * 1024, /* bytes of boot.log that one run adds at most: a guest can write for ever */
	BOOT_TAIL_MAX = 4096,       /* bytes kept to say why a machine ended */
	BOOT_LOG_SOURCES = 2,
};

struct boot_log {
	int file;                  /* boot.log, or -1 */
	int fds[BOOT_LOG_SOURCES]; /* of the sources; -1: none */
	struct source *sources[BOOT_LOG_SOURCES];
	uint64_t written;
	struct stamper stamper;
	char tail[BOOT_TAIL_MAX + 1];
	size_t tail_size;
};
#define BOOT_LOG_NONE ((struct boot_log){ .file = -1, .fds = { -1, -1 } })

/* Opens (and makes) boot.log of this machine; log is BOOT_LOG_NONE before. */
int boot_log_open(struct boot_log *log, const char *machine, struct error **err);
/* Reads fd (taken, also when it fails) from now on. At most BOOT_LOG_SOURCES of them. */
int boot_log_add(struct boot_log *log, struct loop *l, int fd);
void boot_log_drain(struct boot_log *log);       /* reads what is still there */
char *boot_log_reason(struct boot_log *log);     /* the line that says why, owned, printable; or NULL */
char *boot_log_last_words(struct boot_log *log); /* drains it; the same, "it said nothing" when there is none */
void boot_log_done(struct boot_log *log);
