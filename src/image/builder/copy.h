/* SPDX-License-Identifier: Apache-2.0
 * COPY and ADD as a plan: which entry of the source goes where. A plan reads and writes nothing, so
 * it is what the cache key is made of, and what the tests look at. */
#pragma once

#include "image/library/contents.h"

struct copy_wish {
	const char *word;     /* COPY or ADD, for errors */
	struct strv patterns; /* absolute: "/src/ *.c" without the blank; "/./" divides with `parents` */
	char *to;             /* absolute; a slash at its end: a directory */
	int to_is_directory;  /* it is one in the image, whatever its name says */
	struct strv excludes; /* patterns as in .dockerignore */
	int parents;          /* the paths of the sources stay below `to` */
	int keeps_owners;     /* unless there is a new one */
	int has_owner, has_mode;
	uint32_t uid, gid, mode;
	char *mode_words; /* "u=rwX,go=rX" in place of a mode; or NULL */
};
void copy_wish_done(struct copy_wish *w);

struct copy_item {
	const struct content *from; /* borrowed */
	char *to;                   /* absolute, normalized; never "/" */
	size_t number;              /* the order in which it came */
	int unpack;                 /* an archive, whose files go below `to` */
};
struct copy_plan {
	struct copy_item *items; /* sorted by `to`, each once: the last one counts */
	size_t count;
};
void copy_plan_done(struct copy_plan *p);
#define AUTO_COPY_PLAN CLEANUP(copy_plan_done)

/* The part of a pattern without wildcards: "/a/b" of "/a/b/ *.c" without the blank, the whole of a
 * path. Owned. *ret_rest (borrowed): the pattern behind it, "" if there is none. */
char *copy_pattern_base(const char *pattern, const char **ret_rest);

/* Adds what a pattern means to the plan. `base`: the real path of copy_pattern_base(); `source`
 * has all below it, sorted. is_archive (or NULL) says whether a file is to be unpacked: 1, 0 or
 * -errno. Returns how many entries fit by themselves, or -errno: -ENOENT: a path is not there. */
int copy_plan_add(struct copy_plan *p, const struct copy_wish *w, const char *pattern, const char *base,
    const struct contents *source, int (*is_archive)(void *data, const struct content *file, struct error **err),
    void *data, struct error **err);
/* Ends a plan: sorts it and checks names. 0 or -EINVAL. */
int copy_plan_finish(struct copy_plan *p, const struct copy_wish *w, struct error **err);

/* The owner and mode that an item gets. */
void copy_owner(const struct copy_wish *w, const struct content *from, uint32_t *ret_uid, uint32_t *ret_gid);
uint32_t copy_mode(const struct copy_wish *w, const struct content *from);
