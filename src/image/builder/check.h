/* SPDX-License-Identifier: Apache-2.0
 * The checks of a Dockerfile in a build (src/image/build/lint.h). Images of FROM count as they are
 * in the library: nothing is pulled for a check. */
#pragma once

#include "image/builder/step.h"

/* For --call outline and targets: prints what the file offers on stdout. */
void build_call_show(struct builder *b);
/* For --check: prints all warnings on stdout. 0; -EINVAL: there are some. */
int build_check_show(struct builder *b, struct error **err);
/* Before the steps: 0, or -EINVAL where "# check=error=true" makes warnings errors. */
int build_check_begin(struct builder *b, struct error **err);
/* Behind the steps: a line for each warning. */
void build_check_end(struct builder *b);
