/* SPDX-License-Identifier: Apache-2.0
 * Copies of the keeper's notes about a machine's containers, images.json, ports.json and
 * docker-socket, and of the script of a creation that has not run (docs/on-disk.md), for a machine
 * that is cloned, exported or imported. */
#pragma once

#include "base/error.h"
#include "base/json.h"

/* Copies them to the directory of a clone. 0 or -errno. */
int containers_copy(const char *machine, const char *directory, struct error **err);
/* Ports of the host that the machine's containers have asked for, as people write them; owned, or
 * NULL: none. */
char *containers_ports(const char *machine);
/* Names the images of the machine's containers in the settings of an export. */
void containers_describe(const char *machine, struct json_object *settings);
/* Checks what an archive's settings say of such images. 0 or -errno. */
int containers_check(struct json_object *settings, struct error **err);
/* Takes the images that an export named as those of the new machine's containers; the keeper
 * prepares each before a container's start. The settings are checked. 0 or -errno. */
int containers_adopt(const char *machine, struct json_object *settings, struct error **err);
