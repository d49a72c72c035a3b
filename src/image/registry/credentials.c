/* SPDX-License-Identifier: Apache-2.0
 * Credentials from docker's and podman's files and helpers.
 *
 * Keys of "auths" are hosts, hosts with a path (containers-auth.json(5): the longest that fits
 * wins), or old URLs ("https://index.docker.io/v1/" is docker.io). */
#include "image/registry/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/alloc.h"
#include "base/path.h"
#include "image/registry/helper.h"

enum { AUTH_MAX = 32 << 10 };

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void credentials_done(struct credentials *c)
{
	wipe(c->user);
	wipe(c->password);
	wipe(c->identity_token);
	*c = (struct credentials){ 0 };
}

void credentials_copy(const struct credentials *c, struct credentials *ret)
{
	*ret = (struct credentials){ .user = xstrdup(c->user),
		.password = xstrdup(c->password),
		.identity_token = xstrdup(c->identity_token) };
}

/* "user:password" in base64. */
static int decode_auth(const char *text, struct credentials *ret, struct error **err)
{
	size_t size = strlen(text);
	if (size == 0 || size % 4 != 0 || size > AUTH_MAX)
		return error_set(err, EINVAL, "\"auth\" is not base64");
	AUTOFREE unsigned char *plain = xcalloc(1, size);
	int n = EVP_DecodeBlock(plain, (const unsigned char *)text, (int)size);
	if (n <= 0)
		return error_set(err, EINVAL, "\"auth\" is not base64");
	plain[n - (size > 1 && text[size - 1] == '=') - (size > 1 && text[size - 2] == '=')] = '\0';
	char *colon = strchr((char *)plain, ':');
	if (!colon)
		return error_set(err, EINVAL, "\"auth\" is not USER:PASSWORD");
	ret->user = xstrndup((char *)plain, colon - (char *)plain);
	ret->password = xstrdup(colon + 1);
	explicit_bzero(plain, size);
	return 1;
}

int credentials_from_entry(struct json_object *o, struct credentials *ret, struct error **err)
{
	const char *auth = NULL, *token = NULL, *user = NULL, *password = NULL;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "an entry of \"auths\" is not an object");
	if (json_get_string(o, "identitytoken", &token, NULL) == 0 && *token)
		ret->identity_token = xstrdup(token);
	if (json_get_string(o, "auth", &auth, NULL) == 0 && *auth)
		return decode_auth(auth, ret, err);
	if (json_get_string(o, "username", &user, NULL) == 0 && *user &&
	    json_get_string(o, "password", &password, NULL) == 0) {
		ret->user = xstrdup(user);
		ret->password = xstrdup(password);
	}
	return ret->user || ret->identity_token;
}

char *credentials_key_name(const char *key)
{
	const char *p = startswith(key, "https://") ?: startswith(key, "http://");
	AUTOFREE char *host = p ? xstrndup(p, strcspn(p, "/")) : xstrdup(key); /* of an old URL only the host counts */
	int hub = streq(host, "index.docker.io") || streq(host, "registry-1.docker.io");
	return hub ? xstrdup("docker.io") : TAKE_PTR(host);
}

/* How many characters of "registry/repository" a key names; 0 when it names something else. */
static size_t key_match(const char *key, const char *full, const char *registry)
{
	AUTOFREE char *name = credentials_key_name(key);
	if (streq(name, registry))
		return strlen(registry);
	const char *rest = startswith(full, name);
	return rest && *rest == '/' && strlen(name) > strlen(registry) ? strlen(name) :
	       rest && *rest == '\0'                                   ? strlen(name) :
									 0;
}

static int from_auths(struct json_object *auths, const char *registry, const char *repository, struct credentials *ret,
    struct error **err)
{
	AUTOFREE char *full = xasprintf("%s/%s", registry, repository);
	struct json_object *best = NULL;
	size_t best_length = 0;
	json_object_object_foreach(auths, key, value)
	{
		size_t n = key_match(key, full, registry);
		if (n > best_length) {
			best_length = n;
			best = value;
		}
	}
	return best ? credentials_from_entry(best, ret, err) : 0;
}

int credentials_from_json(struct json_object *o, const char *registry, const char *repository, struct credentials *ret,
    struct error **err)
{
	struct json_object *auths = NULL, *helpers = NULL;
	const char *helper = NULL;
	int r = 0;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "not a JSON object");
	if (json_get_object(o, "credHelpers", &helpers, NULL) == 0 &&
	    json_get_string(helpers, registry, &helper, NULL) == 0)
		return helper_get(helper, registry, ret, err);
	if (json_get_object(o, "auths", &auths, NULL) == 0)
		r = from_auths(auths, registry, repository, ret, err);
	if (r == 0 && json_get_string(o, "credsStore", &helper, NULL) == 0 && *helper)
		r = helper_get(helper, registry, ret, err);
	return r;
}

static int from_file(const char *path, const char *registry, const char *repository, struct credentials *ret,
    struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	if (!path_exists(path))
		return 0;
	int r = json_parse_file(path, CREDENTIALS_FILE_MAX, &o, err);
	if (r == 0) {
		r = credentials_from_json(o, registry, repository, ret, err);
		if (r < 0)
			error_prefix(err, r, "%s", path);
	}
	if (r < 0)
		credentials_done(ret);
	return r;
}

/* $VARIABLE/rest, or the home's fallback/rest; NULL when there is neither. */
static char *file_below(const char *variable, const char *fallback, const char *rest)
{
	const char *value = getenv(variable);
	if (value && *value)
		return path_join(value, rest);
	if (!fallback)
		return NULL;
	AUTOFREE char *home = path_home_dir(), *directory = path_join(home, fallback);
	return path_join(directory, rest);
}

void credentials_files(struct strv *ret)
{
	char *paths[] = { xstrdup(getenv("REGISTRY_AUTH_FILE")),
		file_below("XDG_RUNTIME_DIR", NULL, "containers/auth.json"),
		file_below("XDG_CONFIG_HOME", ".config", "containers/auth.json"),
		file_below("DOCKER_CONFIG", ".docker", "config.json") };
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (paths[i] && *paths[i])
			strv_take(ret, paths[i]);
		else
			free(paths[i]);
}

char *credentials_new_file(void)
{
	const char *own = getenv("REGISTRY_AUTH_FILE");
	return own && *own ? xstrdup(own) : file_below("XDG_CONFIG_HOME", ".config", "containers/auth.json");
}

int credentials_find(const char *registry, const char *repository, struct credentials *ret, struct error **err)
{
	AUTO_STRV struct strv paths = { 0 };
	int r = 0;
	*ret = (struct credentials){ 0 };
	credentials_files(&paths);
	for (size_t i = 0; r == 0 && i < paths.count; i++)
		r = from_file(paths.items[i], registry, repository, ret, err);
	return r;
}
