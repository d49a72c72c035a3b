/* SPDX-License-Identifier: Apache-2.0
 * The part of a file system that holm leaves to the host. What images unpack to is bounded by
 * nothing else: a layer of some kilobytes may hold terabytes. */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct reserve {
	uint64_t left; /* bytes that may be written before the next look; zeroed at first */
};

/* Asks for `size` more bytes in the file system of fd, or for a file with size 4096. 0; -ENOSPC if
 * fewer bytes or files than the reserve were left. Looks once in some MiB, so it costs nothing, and
 * several writers at once may take some MiB of the reserve. */
int reserve_take(struct reserve *r, int fd, uint64_t size, struct error **err);
