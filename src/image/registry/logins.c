/* SPDX-License-Identifier: Apache-2.0
 * Keeping and forgetting logins.
 *
 * A file is read, changed and replaced whole under a lock on its directory; members that holm does
 * not know stay. Its mode is 0600. A symlink stays one: the file that it leads to is replaced. */
#include "image/registry/logins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/path.h"
#include "image/registry/helper.h"

#define HUB_KEY "https://index.docker.io/v1/"

static int get_auths(struct json_object *o, struct json_object **ret, struct error **err)
{
	*ret = NULL;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "not a JSON object");
	int r = json_get_object(o, "auths", ret, err);
	return r == -ENOENT ? 0 : r;
}

/* "user:password" in base64. Owned. */
static char *encode(const struct credentials *c)
{
	AUTOFREE char *plain = xasprintf("%s:%s", c->user, c->password);
	size_t size = strlen(plain);
	char *encoded = xcalloc(1, (size + 2) / 3 * 4 + 1);
	EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)plain, (int)size);
	explicit_bzero(plain, size);
	return encoded;
}

int logins_json_remove(struct json_object *o, const char *key, struct error **err)
{
	AUTO_STRV struct strv found = { 0 };
	struct json_object *auths;
	int r = get_auths(o, &auths, err);
	if (r < 0 || !auths)
		return r;
	json_object_object_foreach(auths, name, value)
	{
		AUTOFREE char *meant = credentials_key_name(name);
		if (value && streq(meant, key))
			strv_add(&found, name);
	}
	for (size_t k = 0; k < found.count; k++)
		json_object_object_del(auths, found.items[k]);
	return (int)found.count;
}

int logins_json_set(struct json_object *o, const char *key, const struct credentials *c, struct error **err)
{
	struct json_object *auths, *entry = NULL;
	int r = logins_json_remove(o, key, err);
	if (r < 0 || (r = get_auths(o, &auths, err)) < 0)
		return r;
	if (!auths) {
		auths = json_object_new_object();
		json_add(o, "auths", auths);
	}
	entry = json_object_new_object();
	if (c) {
		AUTOFREE char *auth = encode(c);
		json_add_string(entry, "auth", auth);
		explicit_bzero(auth, strlen(auth));
	}
	/* docker looks for its own registry by this key; podman and holm know both. */
	json_add(auths, streq(key, "docker.io") ? HUB_KEY : key, entry);
	return 0;
}

const char *logins_json_helper(struct json_object *o, const char *key)
{
	struct json_object *helpers = NULL;
	const char *name = NULL;
	if (!json_object_is_type(o, json_type_object) || strchr(key, '/'))
		return NULL;
	if (json_get_object(o, "credHelpers", &helpers, NULL) == 0 && json_get_string(helpers, key, &name, NULL) == 0 &&
	    *name)
		return name;
	return json_get_string(o, "credsStore", &name, NULL) == 0 && *name ? name : NULL;
}

/* A login file that is being changed. */
struct login_file {
	char *path; /* without symlinks */
	int directory;
	struct json_object *content;
};

static void file_done(struct login_file *f)
{
	free(f->path);
	fd_close(f->directory);
	json_object_put(f->content);
}
#define AUTO_LOGIN_FILE CLEANUP(file_done)

/* Reads and locks a file, which need not exist. 0 or -errno. */
static int file_open(const char *path, struct login_file *ret, struct error **err)
{
	char *real = realpath(path, NULL);
	ret->path = real ? real : xstrdup(path);
	AUTOFREE char *parent = path_parent(ret->path);
	int r = path_mkdir_all(parent, 0700, err);
	if (r < 0)
		return r;
	ret->directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->directory < 0)
		return error_set_errno(err, errno, "cannot open %s", parent);
	if (flock(ret->directory, LOCK_EX | LOCK_NB) < 0)
		return error_set_errno(err, errno, "another process is changing %s; try again", path);
	r = path_exists(ret->path) ? json_parse_file(ret->path, CREDENTIALS_FILE_MAX, &ret->content, err) : -ENOENT;
	if (r == -ENOENT)
		ret->content = json_object_new_object();
	return r == -ENOENT ? 0 : r;
}

static int file_write(struct login_file *f, struct error **err)
{
	AUTOFREE char *text = json_to_string(f->content, 1);
	int r = atomic_file_write(f->path, 0600, text, strlen(text), err);
	explicit_bzero(text, strlen(text));
	return r;
}

/* Whether the file is where a login of this key belongs: 1, 0 or -errno. */
static int is_place(const char *path, const char *key, struct error **err)
{
	AUTO_JSON struct json_object *o = NULL;
	if (!path_exists(path))
		return 0;
	int r = json_parse_file(path, CREDENTIALS_FILE_MAX, &o, err);
	if (r < 0)
		return r;
	if (logins_json_helper(o, key))
		return 1;
	r = logins_json_remove(o, key, err); /* of the copy */
	return r < 0 ? error_prefix(err, r, "%s", path) : r > 0;
}

/* The first file that has such a login or a helper, else the one for new logins. Owned; NULL with
 * an error. */
static char *find_place(const char *key, struct error **err)
{
	AUTO_STRV struct strv paths = { 0 };
	credentials_files(&paths);
	for (size_t k = 0; k < paths.count; k++) {
		int r = is_place(paths.items[k], key, err);
		if (r < 0)
			return NULL;
		if (r > 0)
			return xstrdup(paths.items[k]);
	}
	return credentials_new_file();
}

int logins_store(const char *key, const struct credentials *c, char **ret_where, struct error **err)
{
	AUTO_LOGIN_FILE struct login_file f = { .directory = -1 };
	AUTOFREE char *path = find_place(key, err);
	int r = path ? file_open(path, &f, err) : -EINVAL;
	if (r < 0)
		return r;
	const char *helper = logins_json_helper(f.content, key);
	AUTOFREE char *where = helper ? xasprintf("docker-credential-%s", helper) : xstrdup(path);
	if (helper)
		r = helper_store(helper, key, c, err);
	if (r == 0)
		r = logins_json_set(f.content, key, helper ? NULL : c, err);
	if (r == 0)
		r = file_write(&f, err);
	if (r == 0)
		*ret_where = TAKE_PTR(where);
	return r;
}

static int erase_in(const char *path, const char *key, struct error **err)
{
	AUTO_LOGIN_FILE struct login_file f = { .directory = -1 };
	int erased = 0, r = file_open(path, &f, err);
	if (r < 0)
		return r;
	const char *helper = logins_json_helper(f.content, key);
	if (helper)
		erased = helper_erase(helper, key, err);
	if (erased < 0)
		return erased;
	r = logins_json_remove(f.content, key, err);
	if (r > 0 && (erased = file_write(&f, err)) < 0)
		return erased;
	return r < 0 ? error_prefix(err, r, "%s", path) : r > 0 || erased > 0;
}

int logins_erase(const char *key, struct error **err)
{
	AUTO_STRV struct strv paths = { 0 };
	int count = 0;
	credentials_files(&paths);
	for (size_t k = 0; k < paths.count; k++) {
		if (!path_exists(paths.items[k]))
			continue;
		int r = erase_in(paths.items[k], key, err);
		if (r < 0)
			return r;
		count += r;
	}
	return count;
}
