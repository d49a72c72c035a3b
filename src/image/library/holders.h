/* SPDX-License-Identifier: Apache-2.0
 * The machines beside the library, and the images that their containers are made of: images.json
 * beside machine.json names those. */
#pragma once

#include "image/library/library.h"

/* Calls look() for each machine. */
void library_each_machine(struct library *l, void (*look)(const char *machines, const char *name, void *data),
    void *data);
/* Whether the images.json in a machine's directory names the image. */
int holder_has_image(const char *directory, const char *digest);
/* Whether that of any machine does. */
int library_is_held(struct library *l, const char *digest);
