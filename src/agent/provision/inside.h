/* SPDX-License-Identifier: Apache-2.0
 * A program of the image's that runs before there is an init: in a mount namespace of its own, with
 * the machine's disk as root and the kernel's file systems. */
#pragma once

#include "agent/core/boot_request.h"
#include "agent/core/platform.h"
#include "base/error.h"

struct inside_program {
	char *const *argv;
	char *const *environment;
	const char *log_name; /* before each line of its output in the log */
	int deadline_ms;      /* from now */
	int sees_shares;      /* has the machine's /run, and the shares where they will be */
};

#define INSIDE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Runs the program to its end, with what it started. Its output goes to the log and, the last
 * lines, to *ret_lines. The exit status, or -errno: -ETIMEDOUT past the deadline. Blocks: for
 * workers. */
int inside_run(const struct platform *p, const struct boot_request *b, const struct inside_program *program,
    struct strv *ret_lines, struct error **err);
