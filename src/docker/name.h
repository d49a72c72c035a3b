/* SPDX-License-Identifier: Apache-2.0
 * Identities and names of containers, and names of images. */
#pragma once

#include "base/macros.h"

enum { DOCKER_ID_SIZE = 64, DOCKER_NAME_MAX = 255 };

char *docker_new_id(void);               /* 64 hex digits, not all decimal in the first 12; owned */
char *docker_new_name(unsigned attempt); /* "calm_harbor", with a number at its end after some attempts; owned */
int docker_is_id(const char *s);         /* a whole one: what names files */
int docker_is_name(const char *s);       /* [a-zA-Z0-9][a-zA-Z0-9_.-]+ */

/* A canonical name of an image as Docker shows it: without "docker.io/" and "docker.io/library/".
 * Borrowed. */
const char *docker_familiar_name(const char *name);
/* The same, and without the "localhost/" of this host's own images. Borrowed. */
const char *docker_typed_name(const char *name);
