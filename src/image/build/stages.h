/* SPDX-License-Identifier: Apache-2.0
 * The stages of a Dockerfile, and which of them a target needs (Dockerfile reference, "FROM" and
 * "COPY --from"). */
#pragma once

#include "image/build/dockerfile.h"
#include "image/build/pairs.h"

enum { STAGE_NONE = -1 };

/* A place that an instruction takes files from, or a stage begins with. */
struct stage_source {
	int stage;   /* its index, or STAGE_NONE */
	char *image; /* an image's or a build context's name; NULL with a stage */
};

struct build_stage {
	char *name;                   /* in lower case; NULL: it has none */
	struct stage_source base;     /* image "scratch": nothing */
	char *platform;               /* of --platform, expanded; or NULL */
	size_t from, end;             /* its instructions: FROM, and behind the last one */
	struct stage_source *sources; /* of COPY --from and RUN --mount=from=, each once */
	size_t source_count;
	int is_needed; /* by the target */
};

struct stages {
	struct build_stage *stages;
	size_t count;
	size_t target;     /* index of the stage that is wanted */
	struct pairs args; /* of ARGs before the first FROM */
	struct strv unset; /* names in FROM lines that have no value */
};

/* Resolves the stages of a parsed Dockerfile. `given` has the caller's build arguments
 * ("NAME=VALUE"); those that no ARG declares are left out. `platform` has the arguments that are
 * there by themselves (TARGETPLATFORM ...). `target` is a name, an index, or NULL for the last
 * stage. Errors begin with `name:LINE: `. 0; -EINVAL; -ENOENT: there is no such target. *ret is
 * owned. */
int stages_resolve(const struct dockerfile *d, const char *name, const struct strv *given, const struct strv *platform,
    const char *target, struct stages **ret, struct error **err);
/* The stage that a name or an index means, among the first `before` ones; STAGE_NONE: none. */
int stages_find(const struct stages *s, const char *name, size_t before);
void stages_free(struct stages *s);
DEFINE_CLEANUP(struct stages, stages_free)
#define AUTO_STAGES CLEANUP(stages_freep)
