/* SPDX-License-Identifier: Apache-2.0
 * The logins of the person, in the files and helpers of docker and podman. logins.h changes
 * them. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/strv.h"

enum { CREDENTIALS_FILE_MAX = 1 << 20 };

struct credentials {
	char *user, *password; /* both or none */
	char *identity_token;  /* an OAuth2 refresh token in place of a password, or NULL */
};
void credentials_done(struct credentials *c); /* wipes */
#define AUTO_CREDENTIALS CLEANUP(credentials_done)
void credentials_copy(const struct credentials *c, struct credentials *ret);

/* For a repository ("docker.io", "library/alpine"), the first that has some: $REGISTRY_AUTH_FILE,
 * $XDG_RUNTIME_DIR/containers/auth.json, $XDG_CONFIG_HOME/containers/auth.json,
 * $DOCKER_CONFIG/config.json or ~/.docker/config.json; in each a helper for the registry
 * (credHelpers), an entry (auths), then the general helper (credsStore). 1 found, 0 none, or an
 * error: a file that cannot be read, a helper that fails. */
int credentials_find(const char *registry, const char *repository, struct credentials *ret, struct error **err);
/* One such file's content, as credentials_find uses it: 1, 0, -errno. */
int credentials_from_json(struct json_object *o, const char *registry, const char *repository, struct credentials *ret,
    struct error **err);
/* One entry of "auths", which is an AuthConfig of the Docker API too. The same. */
int credentials_from_entry(struct json_object *o, struct credentials *ret, struct error **err);
/* The files that credentials_find() looks into, in its order; they need not exist. */
void credentials_files(struct strv *ret);
/* The file for a login that none of them has yet. Owned. */
char *credentials_new_file(void);
/* The registry or namespace that a key of "auths" names: "docker.io" for
 * "https://index.docker.io/v1/". Owned. */
char *credentials_key_name(const char *key);
