/* SPDX-License-Identifier: Apache-2.0
 * A build: from a Dockerfile and a context to an image of the library.
 *
 *   dockerfile.h, stages.h   the text, and which stages the target needs (src/image/build)
 *   parallel.h steps.c       the stages, side by side, and their steps
 *   state.h                  what a stage has made so far
 *   configure.c              instructions that change the configuration alone
 *   files.c copying.h        COPY and ADD
 *   copy.h emit.h            their files: a plan, then a layer written straight from the files
 *   context.h                the directory that they read
 *   run.c run_layer.h        RUN: a container of the engine, and its changes as a layer
 *   mounts.h                 RUN --mount
 *   engine.h                 the machine's docker.sock
 *   outline.h                the layers below, listed fast
 *   cache.h                  layers of earlier builds
 *   cache_share.h            --cache-to and --cache-from
 *   report.h message.h       what people see, from each stage's process
 *
 * The builder is holm-image, with the user's own rights: it reads the context as the user would,
 * and unpacks nothing on the host. Commands of the Dockerfile run in the machine alone. Images of
 * stages have no name until the whole build has succeeded. */
#pragma once

#include "image/builder/step.h"

/* Builds and names the image. ret_digest: of its manifest, DIGEST_TEXT_SIZE + 1 bytes. 0 or
 * -errno: the step was shown by then, the error's text not. */
int build_image(struct library *l, const struct build_options *o, char *ret_digest, struct error **err);
