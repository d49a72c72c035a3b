/* SPDX-License-Identifier: Apache-2.0
 * The record of a container: a file in /var/lib/holm/containers of the machine, named by its id.
 * Root in the machine can write anything there, so a record is parsed as what a client sends is. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "docker/body.h"
#include "docker/endpoints.h"
#include "docker/mounts.h"

enum { RECORD_MAX = 2 * 1024 * 1024, RECORDS_MAX = 10000 };

enum container_status { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED };

struct record {
	char *id, *name, *image_id; /* image_id: "sha256:HEX" */
	enum container_status status;
	int64_t created, started, finished; /* ns; 0: not yet */
	int exit_code;
	int oom_killed;           /* a process of the last run was */
	int stopped;              /* by a client: a policy may leave it alone then */
	uint32_t restarts;        /* by its policy */
	char *error;              /* of the last start, or NULL */
	struct json_object *data; /* the create body, with the image's part in it */
	struct docker_body body;  /* parsed of it */
	struct docker_mounts mounts;
	struct docker_endpoints endpoints; /* networks */
	char *on;                          /* the id of the one below (stack.h); or NULL */
	int held;                          /* its files are not worth a sync */
};

/* 0 or -EBADMSG with a text. */
int record_parse(const char *text, size_t size, struct record *ret, struct error **err);
char *record_format(const struct record *r); /* owned */
void record_done(struct record *r);

/* The files. `directory`: of the records, not O_PATH. 0 or -errno. A saved record outlives a loss
 * of power, except that of a container that goes with its end (--rm) or with its build. */
int record_save(int directory, const struct record *r);
/* 0, -ENODATA if such a record was lost, or -errno. */
int record_load(int directory, const char *id, struct record *ret, struct error **err);
void record_remove(int directory, const char *id);

/* Puts what the image says into the body of a create request, where the request says nothing. */
void record_merge_image(struct json_object *body, struct json_object *image);
