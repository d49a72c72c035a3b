/* SPDX-License-Identifier: Apache-2.0
 * Private to this folder. */
#pragma once

#include <sys/types.h>

#include "http/http.h"
#include "keeper/docker/docker.h"

struct resource;

/* The library's index.json, told from another version of it. inode 0: there is none. */
struct docker_index {
	dev_t device;
	ino_t inode;
	off_t size;
	int64_t changed_s, changed_ns;
};

/* A request that is being answered: handlers get the whole, answer once and free it. */
struct docker_request {
	struct keeper *keeper;
	struct http_exchange *exchange;  /* NULL: the client is gone */
	char *name;                      /* the star's part of the path, or NULL */
	const struct resource *resource; /* while it waits for the boot */
	struct keeper_waiter *waiter;
	struct json_object *body; /* of create */
	char *reference;
	struct docker_index index; /* as it was before holm-image was asked */
};
void docker_request_free(struct docker_request *q);
void docker_respond_error(struct docker_request *q, int code, const struct error *err); /* frees q */
void docker_respond_json(struct docker_request *q, int status, struct json_object *o);  /* takes o, frees q */

/* hand_over.c: gives the connection to the engine, with its request as it came, or with another
 * body (borrowed). Frees q. */
void docker_hand_over(struct docker_request *q, struct json_object *body);

/* images.c */
void docker_get_images(struct docker_request *q);
void docker_get_image(struct docker_request *q);
void docker_pull(struct docker_request *q);
void docker_create(struct docker_request *q);

/* prepared.c: the answer of an earlier `prepare` that still holds (borrowed), or NULL; and one to
 * keep, which is copied. */
struct docker_index docker_index_now(void);
const char *docker_prepared_find(const char *reference);
void docker_prepared_keep(const char *reference, const struct docker_index *index, const char *output);

/* program.c: runs holm-image with these words and calls done(status, stdout, stderr) once; status:
 * its exit status, or -errno. Both texts are bounded, borrowed and NUL-terminated. */
typedef void (*docker_program_fn)(int status, const char *output, const char *errors, void *data);
int docker_program(struct loop *l, const char *const *words, docker_program_fn done, void *data, struct error **err);
