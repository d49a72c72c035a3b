/* SPDX-License-Identifier: Apache-2.0
 * Names of images: [REGISTRY[:PORT]/]REPOSITORY[:TAG][@DIGEST], as the field writes them (the
 * grammar of the distribution project's "reference" package). Short names are completed as Docker
 * does: "alpine" is docker.io/library/alpine:latest. */
#pragma once

#include "base/error.h"

enum { REFERENCE_MAX = 512 };

struct reference {
	char *registry;   /* "docker.io", "localhost:5000", "[::1]:5000" */
	char *repository; /* "library/alpine" */
	char *tag;        /* NULL when only a digest names it */
	char *digest;     /* "sha256:...", or NULL */
};

/* 0 and an owned reference, or -EINVAL with a text that quotes the name and says what is wrong with
 * it. */
int reference_parse(const char *text, struct reference **ret, struct error **err);
void reference_free(struct reference *r);
DEFINE_CLEANUP(struct reference, reference_free)
#define AUTO_REFERENCE CLEANUP(reference_freep)

/* The canonical form, which reference_parse() reads back to the same:
 * "docker.io/library/alpine:latest". Owned. */
char *reference_to_string(const struct reference *r);
/* Whether a registry ("HOST[:PORT]") is on this machine: localhost, 127.0.0.0/8, [::1]. */
int reference_registry_is_loopback(const char *registry);
