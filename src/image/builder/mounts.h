/* SPDX-License-Identifier: Apache-2.0
 * RUN --mount (Dockerfile reference, "RUN --mount").
 *
 *   tmpfs    a tmpfs of the container
 *   cache    a volume of the engine, named by a digest of its id, its owner and what it begins
 *            with; builds that lock it wait for each other on this host
 *   secret   a file, or a variable, that the engine keeps in memory for the command alone
 *            (src/agent/engine/files.h); the step's layer is written without it, and the key of
 *            the cache has its name and not its bytes
 *   ssh      a socket that leads to an agent of --ssh (ssh.h), for the command alone
 *   bind     files of the context, a stage or an image: a layer below the container's own, so that
 *            what the command writes there is dropped with it */
#pragma once

#include "base/buffer.h"
#include "image/builder/ssh.h"
#include "image/builder/step.h"

/* The volumes of caches, and their label, whose value is the id. */
#define BUILD_CACHE_PREFIX "holm-build-cache-"
#define BUILD_CACHE_LABEL "org.holm.build.cache"

enum mount_type { MOUNT_BIND, MOUNT_CACHE, MOUNT_TMPFS, MOUNT_SECRET, MOUNT_SSH };

struct run_mount {
	enum mount_type type;
	char *target, *source, *from, *id, *variable; /* absolute paths; or NULL */
	char *place;                                  /* the target behind the image's symlinks; or NULL */
	int read_only, required;
	int is_given;    /* secret, ssh: there is one */
	unsigned number; /* ssh: among those of the command */
	enum { SHARING_SHARED, SHARING_LOCKED, SHARING_PRIVATE } sharing;
	unsigned copy; /* of a private cache: 0 is the first */
	uint32_t uid, gid, mode;
	int has_owner; /* one of them was written */
	uint64_t size;
	char key[DIGEST_TEXT_SIZE + 1]; /* of a bind's files */
};

struct run_mounts {
	struct run_mount *items;
	size_t count;
	int *locks;             /* of caches, held for the command; as many as items, -1: none */
	struct ssh_lane *lanes; /* of ssh */
	size_t lane_count;
	pid_t relay; /* the process that serves them; 0: none */
};
void run_mounts_done(struct run_mounts *m);

/* Reads the flags of the step's instruction. 0 or -errno. */
int run_mounts_read(struct build_step *s, struct run_mounts *ret, struct error **err);
/* Adds to the step's key what the mounts are. 0 or -errno. */
int run_mounts_add_key(struct build_step *s, struct run_mounts *m, struct hash *h, struct error **err);
/* Whether a symlink of the image leads a target elsewhere. */
int run_mounts_are_elsewhere(const struct run_mounts *m);
int run_mounts_has_cache(const struct run_mounts *m);
/* Takes the locks of caches, and chooses copies of private ones. 0 or -errno. */
int run_mounts_lock(struct build_step *s, struct run_mounts *m, struct error **err);
/* Adds the engine's part to HostConfig. */
void run_mounts_add_body(const struct run_mounts *m, struct json_object *host);
/* Puts the layers of binds on top. 0 or -errno. */
int run_mounts_add_layers(struct build_step *s, struct run_mounts *m, struct build_state *to, struct error **err);
/* Finds the places of the targets in a state with all layers, as symlinks of the image lead there.
 * 0 or -errno. */
int run_mounts_place(struct library *l, struct run_mounts *m, struct build_state *below, struct error **err);
/* Adds the files and variables of secrets to a tar stream of files for a start. 0 or -errno. */
int run_mounts_add_secrets(struct build_step *s, struct run_mounts *m, struct buffer *tar, struct error **err);
/* mounts_ssh.c: finds out which agents there are, and connects with them. 0 or -errno: a required
 * one is missing, or one does not answer. */
int run_mounts_open_ssh(struct build_step *s, struct run_mounts *m, struct error **err);
/* The running container's connections are served from now on. 0 or -errno. */
int run_mounts_serve_ssh(struct build_step *s, struct run_mounts *m, const char *container, struct error **err);
void run_mounts_close_ssh(struct run_mounts *m);
char *run_mounts_ssh_name(const struct run_mount *m); /* of its socket; owned */
/* Sets SSH_AUTH_SOCK to the first one, unless it has a value. */
void run_mounts_add_env(const struct run_mounts *m, struct strv *env);
/* Adds the engine's part of these files: where each goes. */
void run_mounts_add_files(const struct run_mounts *m, struct json_object *array);
/* Adds the paths that the step's layer must not have. */
void run_mounts_hide(const struct run_mounts *m, struct strv *without);
