/* SPDX-License-Identifier: Apache-2.0
 * PATH inside. */
#pragma once

#include "base/strv.h"

#define ENVIRONMENT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Appends those folders of ENVIRONMENT_PATH to PATH that it lacks: an image for one program may
 * name that program's folder alone. */
void environment_complete_path(struct strv *env);
