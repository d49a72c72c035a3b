/* SPDX-License-Identifier: Apache-2.0
 * native/private of a stopped machine. */
#pragma once

#include "base/error.h"

/* Moves private from one folder to the other, if it is there. 0 or -errno. */
int native_own_folders_take(const char *to, const char *from, struct error **err);
/* Copies private of one folder, if it is there, to the other. Its files may belong to subordinate
 * ids. 0 or -errno. */
int native_own_folders_copy(const char *from, const char *to, struct error **err);
/* The same for any folder of this name. */
int native_folder_copy(const char *from, const char *to, const char *name, struct error **err);
