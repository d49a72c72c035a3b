/* SPDX-License-Identifier: Apache-2.0
 * A COPY or ADD under way. Private to files.c and copying_*.c. */
#pragma once

#include "image/builder/copy.h"
#include "image/builder/fetch_url.h"
#include "image/builder/step.h"

/* Among the sources files behind URLs, and here-documents, are there. */
#define COPYING_REMOTE "/.holm-url/"
#define COPYING_TEXT "/.holm-text/"

struct copying {
	struct build_step *step;
	struct copy_wish wish;
	char *owner;      /* of --chown; NULL: none */
	int links;        /* --link: nothing below counts */
	int packed;       /* --unpack=false: archives stay as they are */
	int unpacks;      /* --unpack=true: those behind URLs are unpacked, too */
	char *repository; /* the git repository that ADD is for; NULL: none */
	struct copying_remote {
		char *url;
		struct content *file;
		struct url_file got; /* fd -1: it is not here yet */
	} * remotes;
	size_t remote_count, text_count;
	struct build_upload clone; /* of the repository */
	struct build_context *clone_context;
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
/* The value of a flag that is true or false; without one it is true. 0 or -EINVAL. */
int copying_flag(const struct copying *c, const char *name, int *ret, struct error **err);
/* Reads words, flags and here-documents. 0 or -errno. */
int copying_read(struct copying *c, struct error **err);

/* copying_key.c: keys in the cache, DIGEST_TEXT_SIZE + 1 bytes. Of the files that a plan has ... */
void copying_key_of_plan(const struct copying *c, const struct copy_plan *plan, char *ret);
/* ... and of the layers of `from`, while they are not listed. */
void copying_key_of_stage(const struct copying *c, char *ret);
/* Of a repository's commit, and how it is checked out. */
void copying_key_of_commit(const struct copying *c, const char *facts, char *ret);

/* copying_remote.c: what is elsewhere. Adds a URL to the sources. 0 or -errno. */
int copying_add_url(struct copying *c, const char *url, struct error **err);
/* Fetches the files behind URLs. Those whose digest is known come when it is late: no earlier build
 * has made the layer. 0 or -errno. */
int copying_fetch(struct copying *c, int is_late, struct error **err);
int copying_is_remote(const struct copying *c, const struct content *file);
int copying_open_remote(const struct copying *c, const struct content *file, struct error **err); /* a descriptor */
/* Follows an ADD of a repository. 0 or -errno. */
int copying_add_git(struct copying *c, struct error **err);
void copying_remotes_done(struct copying *c);

/* files.c: finds or makes the layer of all sources, which has a second key, or NULL. 0 or
 * -errno. */
int copying_run(struct copying *c, const char *short_key, struct error **err);
/* Puts the layer that an earlier build made with this key on top of the stage: 1, or 0 when there
 * is none. */
int copying_find(struct copying *c, const char *key);
/* Puts the layer on top of the stage, and into the cache under these keys (or NULL): under the
 * first one unless it was found there. */
void copying_take(struct copying *c, const char *key, const char *short_key, struct build_layer *layer);
