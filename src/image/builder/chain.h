/* SPDX-License-Identifier: Apache-2.0
 * The containers of RUNs that follow each other. The next one stands on the files of the last one
 * (src/agent/engine/stack.h), so that its layer needs no tree and no disk of its own. The layer is
 * in the library all the same: an engine that has lost a container ends the chain, and the next RUN
 * begins with an image.
 *
 * The layers of COPY, ADD and WORKDIR in between go into a container that never runs. So do those
 * in front of the first RUN: its image is that of the layers below them, which a file that has
 * changed does not change. */
#pragma once

#include "image/builder/engine.h"
#include "oci/digest.h"

struct build_step;
struct build_state;

struct build_link {
	char *id; /* a container that has ended, or never runs */
	int hold; /* a connection: without it the engine removes the container */
};

struct build_chain {
	char image[DIGEST_TEXT_SIZE + 1]; /* that all of them have */
	char at[DIGEST_TEXT_SIZE + 1];    /* the layers so far, as a state has them: those of the last one */
	size_t layers;                    /* their number */
	struct build_link *links;
	size_t count;
};

/* Finds or makes a container to stand on for a state with these layers. *ret_on (borrowed): NULL:
 * there is none, and the chain has ended. 0 or -ECANCELED. */
int build_chain_reach(struct build_step *s, const struct build_state *below, const char **ret_on, struct error **err);
/* Adds a container (taken) whose files now are the layers of this state. */
void build_chain_add(struct build_chain *c, const struct build_state *at, struct build_link link);
/* Removes all of it, and its containers, the last one first. */
void build_chain_end(struct build_chain *c, struct build_engine *e);
