/* SPDX-License-Identifier: Apache-2.0
 * The Docker Engine API on docker.sock in the machine's runtime folder (docs/engine.md). */
#pragma once

#include "http/http.h"
#include "keeper/keeper.h"

struct docker_service;

/* Serves on runtime_dir/docker.sock, mode 0600. 0 or -errno. */
int docker_service_new(struct keeper *k, const char *runtime_dir, struct docker_service **ret, struct error **err);
/* Opens the socket once more, where its folder was deleted. */
int docker_service_reopen(struct docker_service *s, const char *runtime_dir, struct error **err);
void docker_service_free(struct docker_service *s); /* removes the socket; NULL is fine */

/* POST /v1/engine/docker: a connection to docker.sock from inside (service.c). */
void docker_handle_inside(struct http_exchange *x, void *keeper);

/* POST /v1/engine/ports/: the agent asks for ports of a container on the host (ports.c). */
void docker_handle_ports(struct http_exchange *x, void *keeper);

/* The share that has a path of the host (*ret_tag: borrowed), and where in it. Looks at the list of
 * shares alone. 0 or -errno. */
int docker_bind_find(const struct keeper *k, const char *path, const char **ret_tag, char **ret_relative,
    struct error **err);
/* The trees of an image that a container of this machine was created from, topmost first; in a VM
 * its disk. own_ids: those with the machine's ids, not with those of containers. -ENOENT: this
 * machine was not given the image; -ENODATA: docker_image_prepare() makes them first, as the
 * containers came from a machine of another form, or from another host. */
int docker_image_lower(struct keeper *k, const char *id, int own_ids, struct strv *ret, struct error **err);
/* The disk of such an image, also of one that images.json has named and does not any more. *ret:
 * owned. 0 or -ENOENT. */
int docker_image_disk(struct keeper *k, const char *id, char **ret);
/* done is called once: 0, or -errno and why. 0 or -errno: then it is not. */
int docker_image_prepare(struct keeper *k, const char *id, int own_ids,
    void (*done)(int code, const char *why, void *data), void *data, struct error **err);
