/* SPDX-License-Identifier: Apache-2.0
 * Mounts of a RUN that no layer has: the bytes of secrets, as an archive for the engine, and the
 * sockets of ssh agents. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "image/builder/mounts.h"
#include "oci/tar_write.h"

enum { SECRET_MAX = 500 << 10, VARIABLES_MAX = 4 << 20 };

/* The value of a key in "id=x,src=y"; owned, or NULL. */
static char *value_of(const char *text, const char *key)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, text, ",");
	const char *value = strv_getenv(&parts, key);
	return xstrdup(value);
}

static int read_secret_file(const char *path, char **ret, size_t *ret_size, struct error **err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fd_read_all(fd, SECRET_MAX, ret, ret_size);
	return r < 0 ? error_set_errno(err, r, "--secret \"%s\"", path) : 0;
}

/* The bytes of a secret, of --secret id=NAME,src=FILE or env=VARIABLE; NULL: there is none. */
static int find_secret(const struct build_step *s, const char *id, char **ret, size_t *ret_size, struct error **err)
{
	const struct strv *all = s->builder->options->secrets;
	for (size_t i = 0; all && i < all->count; i++) {
		AUTOFREE char *name = value_of(all->items[i], "id"), *src = value_of(all->items[i], "src"),
			      *source = value_of(all->items[i], "source"), *env = value_of(all->items[i], "env");
		const char *file = src ? src : source, *value = getenv(env ? env : id);
		if (!streq(name, id))
			continue;
		if (file)
			return read_secret_file(file, ret, ret_size, err);
		if (!value)
			return error_set(err, ENOENT, "--secret id=%s: write src=FILE, or set %s in the environment",
			    id, env ? env : id);
		*ret = xstrdup(value);
		*ret_size = strlen(value);
		return 0;
	}
	return 0;
}

static int append(void *buffer, const void *bytes, size_t size)
{
	return buffer_append(buffer, bytes, size);
}

static char *secret_file(size_t i)
{
	return xasprintf("secret%zu", i);
}

/* variables: "NAME=VALUE" texts, a NUL character behind each. */
static int add_secret(struct build_step *s, struct run_mounts *all, size_t i, struct buffer *tar,
    struct buffer *variables, struct error **err)
{
	struct run_mount *m = &all->items[i];
	AUTOFREE char *text = NULL, *name = secret_file(i);
	size_t size = 0;
	int r = find_secret(s, m->id, &text, &size, err);
	if (r < 0)
		return r;
	m->is_given = text != NULL;
	if (!text)
		return m->required ? error_set(err, ENOENT,
					 "the secret \"%.60s\" is missing; give it with --secret id=%.60s,src=FILE",
					 m->id, m->id) :
				     0;
	if (m->variable && strlen(text) != size)
		return error_set(err, EINVAL, "the secret \"%.60s\" has a NUL character, which no variable can have",
		    m->id);
	if (m->variable)
		r = buffer_appendf(variables, "%s=%s", m->variable, text);
	if (m->variable && r == 0)
		r = buffer_append(variables, "", 1);
	const struct tar_text file = { .name = name,
		.text = text,
		.size = size,
		.mode = m->mode,
		.uid = m->uid,
		.gid = m->gid };
	if (r == 0 && m->target)
		r = tar_write_text(&file, append, tar);
	explicit_bzero(text, size);
	return r < 0 ? error_set(err, E2BIG, "the secrets of this command are too large together") : 0;
}

int run_mounts_add_secrets(struct build_step *s, struct run_mounts *m, struct buffer *tar, struct error **err)
{
	AUTO_BUFFER struct buffer variables;
	buffer_init(&variables, VARIABLES_MAX);
	for (size_t i = 0; i < m->count; i++) {
		int r = m->items[i].type == MOUNT_SECRET ? add_secret(s, m, i, tar, &variables, err) : 0;
		if (r < 0)
			return r;
	}
	const struct tar_text file = { .name = "env", .text = variables.data, .size = variables.size, .mode = 0400 };
	return variables.size && tar_write_text(&file, append, tar) < 0 ?
		   error_set(err, E2BIG, "the secrets of this command are too large together") :
		   0;
}

static void add_owner(struct json_object *o, const struct run_mount *m)
{
	AUTOFREE char *owner = xasprintf("%u:%u:%o", m->uid, m->gid, m->mode);
	json_add_string(o, "Socket", owner);
}

void run_mounts_add_files(const struct run_mounts *m, struct json_object *array)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct run_mount *at = &m->items[i];
		if ((at->type != MOUNT_SECRET && at->type != MOUNT_SSH) || !at->is_given || !at->target)
			continue;
		struct json_object *o = json_object_new_object();
		AUTOFREE char *name = at->type == MOUNT_SSH ? run_mounts_ssh_name(at) : secret_file(i);
		json_add_string(o, "Name", name);
		json_add_string(o, "Target", at->target);
		if (at->type == MOUNT_SSH)
			add_owner(o, at);
		else
			json_add_bool(o, "ReadOnly", 1);
		json_object_array_add(array, o);
	}
}
