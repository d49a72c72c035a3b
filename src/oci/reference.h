/* SPDX-License-Identifier: Apache-2.0
 * Names of images: [REGISTRY[:PORT]/]REPOSITORY[:TAG][@DIGEST], as the field writes them (the
 * grammar of the distribution project's "reference" package). Short names are completed as Docker
 * does: "alpine" is docker.io/library/alpine:latest.
 *
 * Names of images that holm itself makes begin with "localhost/", which is no registry. holm's own
 * commands look for a short name there first. */
#pragma once

#include "base/error.h"

enum { REFERENCE_MAX = 512 };
#define REFERENCE_LOCAL "localhost"

struct reference {
	char *registry;   /* "docker.io", "localhost:5000", "[::1]:5000" */
	char *repository; /* "library/alpine" */
	char *tag;        /* NULL when only a digest names it */
	char *digest;     /* "sha256:...", or NULL */
	char *short_name; /* the repository as written where no registry was; else NULL */
};

/* 0 and an owned reference, or -EINVAL with a text that quotes the name and says what is wrong with
 * it. */
int reference_parse(const char *text, struct reference **ret, struct error **err);
void reference_free(struct reference *ref);
DEFINE_CLEANUP(struct reference, reference_free)
#define AUTO_REFERENCE CLEANUP(reference_freep)

/* The canonical form, which reference_parse() reads back to the same:
 * "docker.io/library/alpine:latest". Owned. */
char *reference_to_string(const struct reference *ref);
/* The canonical form of an image that holm makes: "localhost/debian:12" for the short name
 * "debian:12"; for another name the same as reference_to_string(). Owned. */
char *reference_to_local_string(const struct reference *ref);
/* From now on a short name is docker.io's, as Docker's clients mean it: reference_to_local_string()
 * is reference_to_string(). */
void reference_use_hub_names(void);
int reference_uses_hub_names(void);
/* "localhost/debian:12" whatever the rule is; NULL for a name that is not short. Owned. */
char *reference_to_localhost(const struct reference *ref);
/* Whether the name begins with "localhost/". */
int reference_is_local(const struct reference *ref);
/* Whether a registry ("HOST[:PORT]") is on this machine: localhost, 127.0.0.0/8, [::1]. */
int reference_registry_is_loopback(const char *registry);
