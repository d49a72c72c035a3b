/* SPDX-License-Identifier: Apache-2.0
 * The mounts of a container: HostConfig.Binds, Mounts and Tmpfs and Config.Volumes of a create body
 * as one list, and the form in which a record keeps that list. Pure; clients and records are
 * hostile, so everything is capped here. */
#pragma once

#include "base/error.h"
#include "base/json.h"

/* In the place of a path of the host: the socket of the machine's own engine. */
#define DOCKER_MOUNT_SOCKET "/docker.sock"

enum { DOCKER_MOUNTS_MAX = 256, DOCKER_MOUNT_TEXT_MAX = 4096 };

/* Holm's own ("HolmFiles"): FILE, one that a client puts into the engine's memory for a start;
 * LENT, a socket there whose connections a client takes. */
enum docker_mount_type {
	DOCKER_MOUNT_BIND,
	DOCKER_MOUNT_VOLUME,
	DOCKER_MOUNT_TMPFS,
	DOCKER_MOUNT_FILE,
	DOCKER_MOUNT_LENT,
};

struct docker_mount {
	enum docker_mount_type type;
	char *destination;          /* absolute, normalized, not "/" */
	char *source;               /* bind: absolute path of the host; volume: its name, NULL: an anonymous one;
				     * file, lent: its name */
	char *path;                 /* bind: where that leads on the host, without symlinks; NULL: not looked for yet */
	char *mode;                 /* as -v has it, for inspect; "" if there is none */
	char *propagation;          /* bind: rprivate or private */
	char *options;              /* tmpfs: for mount(8), comma-separated; lent: "UID:GID:MODE" */
	char *subpath;              /* volume: a directory or file in it, relative; or NULL */
	struct json_object *labels; /* volume: of a new one; an object of strings, or NULL; owned */
	int read_only;
	int no_copy;   /* volume: it does not begin with what the image has there */
	int make;      /* bind: a directory is made where nothing is */
	int anonymous; /* volume: made for this container */
	int unlisted;  /* tmpfs of --tmpfs, file, lent: Mounts does not show it */
};

struct docker_mounts {
	struct docker_mount *items;
	size_t count;
};
void docker_mount_done(struct docker_mount *m);
void docker_mounts_done(struct docker_mounts *list);
#define AUTO_DOCKER_MOUNT CLEANUP(docker_mount_done)
#define AUTO_DOCKER_MOUNTS CLEANUP(docker_mounts_done)

/* Adds what the body asks for; Volumes last, and only where nothing is mounted yet. 0; -EINVAL or
 * -EOPNOTSUPP with a text in Docker's words. */
int docker_mounts_of_body(struct docker_mounts *list, struct json_object *body, struct error **err);
int docker_mounts_of_volumes(struct docker_mounts *list, struct json_object *body, struct error **err);
/* Adds one (taken, also when it fails). -EINVAL: the destination is taken; -E2BIG. */
int docker_mounts_add(struct docker_mounts *list, struct docker_mount *m, struct error **err);
const struct docker_mount *docker_mounts_at(const struct docker_mounts *list, const char *destination);
void docker_mount_copy(const struct docker_mount *from, struct docker_mount *to);
/* Puts those above others in front of them. */
void docker_mounts_sort(struct docker_mounts *list);

/* Parses "SOURCE:DESTINATION[:MODE]" or "DESTINATION". 0 or -EINVAL. */
int docker_mount_of_bind(const char *text, struct docker_mount *ret, struct error **err);
/* Parses the options of --tmpfs ("size=1m,exec") into those for mount(8). 0 or -EINVAL. */
int docker_tmpfs_options(const char *text, char **ret, struct error **err);
/* Checks and normalizes a destination. 0 or -EINVAL. */
int docker_mount_destination(const char *text, char **ret, struct error **err);
/* Reads "UID:GID:MODE", the mode in octal digits. 0 or -EINVAL. */
int docker_mount_owner(const char *text, uint32_t *ret_uid, uint32_t *ret_gid, uint32_t *ret_mode);
/* Checks whether the relative path stays below its top: no "..", not absolute. */
int docker_is_subpath(const char *text);

/* For a record: an array, owned; and the way back: 0 or -EBADMSG. NULL is an empty array. */
struct json_object *docker_mounts_store(const struct docker_mounts *list);
int docker_mounts_load(struct docker_mounts *list, struct json_object *array, struct error **err);
