/* SPDX-License-Identifier: Apache-2.0
 * Which containers use an image: those of all machines, as they share the library. */
#pragma once

#include "image/library/library.h"

struct image_users {
	char *running, *stopped; /* ids of one container that runs, and of one that does not; or NULL */
	char *machine;           /* a machine that has containers of the image and does not tell them; or NULL */
};
void image_users_done(struct image_users *u);
#define AUTO_IMAGE_USERS CLEANUP(image_users_done)

/* Looks at the images.json of each machine, and asks those that run and have the image there. */
void image_users_find(struct library *l, const char *digest, struct image_users *ret);

/* Has the keeper of each machine that runs write its images.json by what its containers are now. */
void image_users_refresh(struct library *l);
