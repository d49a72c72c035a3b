/* SPDX-License-Identifier: Apache-2.0
 * Request targets of the Docker Engine API: the version in front of the path, and patterns of
 * paths. */
#pragma once

#include "base/error.h"

/* Announced to clients; older paths down to the minimum are served the same way. */
#define DOCKER_API_VERSION "1.51"
#define DOCKER_API_MINIMUM "1.24"
#define DOCKER_SERVER_VERSION "28.5.2" /* clients compare it with Docker's own */
/* header lines of every answer */
#define DOCKER_HEADERS                                                                                                 \
	"Api-Version: " DOCKER_API_VERSION "\r\nDocker-Experimental: false\r\nOstype: linux\r\n"                       \
	"Server: Docker/" DOCKER_SERVER_VERSION " (linux)\r\n"

/* Returns the path behind "/v1.NN" (borrowed; the path itself where it names no version). NULL: a
 * version that is not served, with a text in Docker's words. */
const char *docker_strip_version(const char *path, struct error **err);

/* A parameter of a target, decoded; Go's clients write a blank as "+". Owned, or NULL. */
char *docker_query(const char *target, const char *key);

/* Compares a path with a pattern such as "/containers/ * /start" (without the blanks). One "*"
 * stands for one segment; "**" for several, as names of images have slashes. 1 and the decoded text
 * that the star stands for (*ret_name: owned, NULL where the pattern has no star), or 0. */
int docker_match(const char *path, const char *pattern, char **ret_name);
