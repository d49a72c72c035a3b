/* SPDX-License-Identifier: Apache-2.0
 * Git repositories as contexts and as sources of ADD, by Debian's git program.
 *
 * A repository is hostile: it is checked out without hooks, filters and configuration of the user
 * or of this host, and its submodules come by network alone. git runs with the user's rights, so
 * that ssh finds its agent. */
#pragma once

#include "base/error.h"

struct git_place {
	char *url;
	char *ref;     /* a branch, a tag, a commit; NULL: what the repository has as HEAD */
	char *subdir;  /* "/a/b"; NULL: the whole */
	char *commit;  /* the one that the ref has to be, or its beginning; NULL: any */
	int keeps;     /* .git stays */
	int is_bare;   /* its submodules do not come */
	char *problem; /* the fault of the query; NULL: none */
};

/* Takes "URL[?KEY=VALUE&...][#REF[:SUBDIR]]" apart: 1; 0: it is no repository. The keys are ref,
 * branch, tag, subdir, checksum (or commit), keep-git-dir and submodules. git_resolve() tells what
 * is wrong with them. */
int git_place_parse(const char *text, struct git_place *ret);
void git_place_done(struct git_place *p);
#define AUTO_GIT_PLACE CLEANUP(git_place_done)

/* Has git use the agent or the keys "default" of --ssh (ssh.h; borrowed), too. */
struct strv;
void git_use_ssh(const struct strv *given);
/* Asks which commit the place means; owned. 0 or -errno. */
int git_resolve(const struct git_place *p, char **ret_commit, struct error **err);
/* Checks that commit out into an empty directory. keeps: with its .git, whatever the place says. 0
 * or -errno. */
int git_checkout(const struct git_place *p, const char *commit, const char *directory, int keeps, struct error **err);
