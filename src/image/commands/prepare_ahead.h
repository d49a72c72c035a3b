/* SPDX-License-Identifier: Apache-2.0
 * Disk or trees of an image that is still being pulled, made by a process of their own
 * (library/stream.h). A saving of time alone: whatever it does not make, because a download began
 * again or anything failed, is made and reported after the pull. */
#pragma once

#include "image/commands/prepare.h"
#include "image/library/stream.h"

struct prepare_ahead {
	struct library *library;
	const struct prepare_wish *wish;
	pid_t pid; /* 0: none */
};

/* start and end of struct pull_options; data is a struct prepare_ahead. */
void prepare_ahead_start(void *data, const char *name, const char *digest, struct streams *s);
void prepare_ahead_end(void *data);
