/* SPDX-License-Identifier: Apache-2.0
 * Stages side by side.
 *
 * Problem. Stages that do not depend on each other shall run at the same time. A build that finds
 * all its steps in the cache shall not pay for that.
 *
 * Idea. The build's own process follows a stage as long as its steps are in the cache. At the first
 * step that is not, it forks, if there is another stage to go on with: the new process has all that
 * is known by then, and does the rest of the stage. It sends its report, and at its end the state
 * (message.h). */
#pragma once

#include "image/builder/step.h"

/* Makes all stages that the target needs. 0 or -errno: the other stages have been stopped. */
int build_stages_run(struct builder *b, struct error **err);
/* The stages, to be freed at the end. */
void build_parallel_done(struct builder *b);
