/* SPDX-License-Identifier: Apache-2.0
 * The containers of RUNs that follow each other. The next one stands on the files of the last one
 * (src/agent/engine/stack.h), so that its layer needs no tree and no disk of its own. The layer is
 * in the library all the same: a step of another kind, or an engine that has lost a container, ends
 * the chain, and the next RUN begins with an image. */
#pragma once

#include "image/builder/engine.h"
#include "oci/digest.h"

struct build_link {
	char *id; /* a container that has ended */
	int hold; /* a connection: without it the engine removes the container */
};

struct build_chain {
	char image[DIGEST_TEXT_SIZE + 1]; /* that all of them have */
	char at[DIGEST_TEXT_SIZE + 1];    /* the layers so far, as a state has them: those of the last one */
	struct build_link *links;
	size_t count;
};

/* The container to stand on for a state with these layers, or NULL: the chain has another end. */
const char *build_chain_find(const struct build_chain *c, const char *at);
/* Adds a container (taken) of this image, whose files now are these layers. */
void build_chain_add(struct build_chain *c, const char *image, const char *at, struct build_link link);
/* Removes all of it, and its containers, the last one first. */
void build_chain_end(struct build_chain *c, struct build_engine *e);
