/* SPDX-License-Identifier: Apache-2.0
 * Folders whose files belong to the user's subordinate ids. */
#pragma once

#include "base/error.h"

/* Deletes a folder of the user's with everything in it, inside the user's mapping; a missing one is
 * fine. Root needs no mapping for it. */
int native_tree_remove(const char *path, struct error **err);
/* Gives a folder of ours to what is root inside. Does nothing for ordinary users, whose folders
 * that root may write to, and where the user has no subordinate ids. */
int native_tree_hand_over(const char *path, struct error **err);
