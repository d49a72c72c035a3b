/* SPDX-License-Identifier: Apache-2.0
 * A COPY or ADD under way. Private to files.c and copying_*.c. */
#pragma once

#include "image/builder/copy.h"
#include "image/builder/step.h"

struct copying {
	struct build_step *step;
	struct copy_wish wish;
	char *owner;              /* of --chown; NULL: none */
	int links;                /* --link: nothing below counts */
	int packed;               /* --unpack=false: archives stay as they are */
	int has_texts;            /* here-documents, and nothing else */
	struct strv bases;        /* of the patterns, real */
	struct content_pool pool; /* of the context's files and of here-documents */
	struct contents own;
	const struct contents *files;  /* the entries that patterns look at: own, or a listing's */
	struct build_context *context; /* NULL: --from */
	struct build_state *from;
	const struct build_listing *listing; /* of `from` */
};

/* copying_read.c: the words and flags of the instruction */
const char *copying_word(const struct copying *c); /* COPY or ADD */
/* Expands the variables of a word. 0 or -errno. */
int copying_expand(struct copying *c, const char *text, char **ret, struct error **err);
/* Reads words, flags and here-documents. 0 or -errno. */
int copying_read(struct copying *c, struct error **err);
/* Finds the numbers of --chown, whose names are those of the layers below. 0 or -EINVAL. */
int copying_find_owner(struct copying *c, const struct contents *base, struct error **err);

/* copying_key.c: keys in the cache, DIGEST_TEXT_SIZE + 1 bytes. Of the files that a plan has ... */
void copying_key_of_plan(const struct copying *c, const struct copy_plan *plan, char *ret);
/* ... and of the layers of `from`, while they are not listed. */
void copying_key_of_stage(const struct copying *c, char *ret);
