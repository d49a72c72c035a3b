/* SPDX-License-Identifier: Apache-2.0
 * One place that an image can be had from: the registry itself or a mirror, with how to log in
 * there. */
#pragma once

#include "base/strv.h"
#include "image/registry/challenge.h"
#include "image/registry/credentials.h"
#include "oci/reference.h"

struct endpoint {
	char *registry;            /* HOST[:PORT], as credentials and errors name it */
	char *repository;          /* there; a mirror may have a path in front; "": the registry itself */
	char *base;                /* "https://HOST/v2/REPOSITORY"; "https://HOST" of the registry itself */
	int insecure;              /* --tls-verify=false or by configuration */
	int plain_allowed;         /* loopback or insecure: HTTP may be tried when TLS is not spoken there */
	char *ca_file;             /* of certs.d, or NULL */
	char *authorization;       /* header value in use, or NULL */
	unsigned generation;       /* counts changes of it */
	int looked_up;             /* credentials were looked for */
	int pushes;                /* tokens are for pushing too */
	const struct strv *mounts; /* other repositories to read from; borrowed, or NULL */
	int near;                  /* the registry itself answers on an address of near.h */
	struct credentials credentials;
};

/* name: HOST[:PORT][/PATH]. */
struct endpoint *endpoint_new(const char *name, const char *repository, int insecure);
void endpoint_free(struct endpoint *e);
DEFINE_CLEANUP(struct endpoint, endpoint_free)
/* Goes over to plain HTTP where that is allowed: 1 when it did. */
int endpoint_use_plain(struct endpoint *e);
/* Answers a 401: gets a token or sets basic credentials. -EACCES when there is nothing (more) to
 * try. */
int endpoint_authenticate(struct endpoint *e, const struct challenge *c, struct error **err);
