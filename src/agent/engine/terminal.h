/* SPDX-License-Identifier: Apache-2.0
 * Terminals of containers: crun makes one in the container's devpts and sends its master over a
 * socket. */
#pragma once

#include "agent/engine/engine.h"

/* Makes a listening socket that somebody else takes the master from. The descriptor or -errno. */
int terminal_listen(const char *path, struct error **err);
