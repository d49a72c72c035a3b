/* SPDX-License-Identifier: Apache-2.0
 * Containers of builds that were killed.
 *
 * A builder holds a connection for each of its containers, and the engine removes the container
 * when that ends. An engine that was killed at the same time knows nothing of it. So a label of the
 * container names its builder, which holds a lock of that name in the library: a build removes what
 * has a name that nobody holds. */
#pragma once

#include "image/builder/step.h"

#define BUILD_LABEL "org.holm.build" /* its value is the builder's name */

/* Gives the builder its name (b->token), and removes the containers of dead ones in the machine.
 * Does nothing the second time. 0 or -errno. */
int build_leftovers_begin(struct builder *b, struct error **err);
