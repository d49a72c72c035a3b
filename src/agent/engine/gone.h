/* SPDX-License-Identifier: Apache-2.0
 * Folders of containers and volumes that are being removed: a rename takes one out of sight as a
 * whole, so that an engine which is killed leaves no half of it. The next engine removes the
 * rest. */
#pragma once

#include "agent/engine/engine.h"

/* Renames the folder; 0, also if an earlier engine has done it, or -errno. */
int gone_hide(int directory, const char *name, const char *id);
/* Removes what the rename has left; 0 or -errno. */
int gone_remove(int directory, const char *id);
/* Starts a child that removes all such folders, if there is one. */
void gone_sweep(const struct engine *e, int directory);
