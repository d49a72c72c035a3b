/* SPDX-License-Identifier: Apache-2.0
 * Owners by name: the users and groups of the image that a step builds on. */
#pragma once

#include "image/library/contents.h"

/* Finds the numbers of "USER[:GROUP]": names are those of the image's /etc/passwd and /etc/group.
 * Without a group it is the user's, or the same number. 0 or -EINVAL. */
int build_find_owner(const struct contents *base, const char *owner, uint32_t *ret_uid, uint32_t *ret_gid,
    struct error **err);
