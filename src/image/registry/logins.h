/* SPDX-License-Identifier: Apache-2.0
 * Keeping and forgetting logins, in the files and helpers where docker and podman find them too. */
#pragma once

#include "image/registry/credentials.h"

/* Keeps a login for a registry or a namespace ("quay.io/me"): where there is one already, with a
 * credential helper if one is configured, else in credentials_new_file(). *ret_where: the file or
 * helper, owned. 0 or -errno. */
int logins_store(const char *key, const struct credentials *c, char **ret_where, struct error **err);
/* Forgets all logins with exactly this key; the number of places that had one, or -errno. */
int logins_erase(const char *key, struct error **err);

/* The same in one file's content. logins_json_set: c NULL leaves an empty entry, as docker does for
 * logins that a helper has. logins_json_remove: how many there were. -EINVAL: the content is
 * something else. */
int logins_json_set(struct json_object *o, const char *key, const struct credentials *c, struct error **err);
int logins_json_remove(struct json_object *o, const char *key, struct error **err);
/* The helper that one file's content names for the key; borrowed, or NULL. */
const char *logins_json_helper(struct json_object *o, const char *key);
