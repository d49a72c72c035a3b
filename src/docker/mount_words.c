/* SPDX-License-Identifier: Apache-2.0
 * See mounts.h: the words of -v and --tmpfs. Errors are Docker's: clients show them as they
 * are. */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/strv.h"
#include "docker/mounts.h"
#include "docker/name.h"

enum { PARTS_MAX = 3 };

/* ---- modes ---- */

/* Of each group there may be one word. */
enum group { ACCESS, LABEL, CONSISTENCY, PROPAGATION, COPY, GROUPS };

static const struct {
	const char *word;
	enum group group;
} modes[] = {
	{ "rw", ACCESS },
	{ "ro", ACCESS },
	{ "z", LABEL }, /* SELinux's: holm sets none */
	{ "Z", LABEL },
	{ "default", CONSISTENCY }, /* of Docker Desktop's */
	{ "consistent", CONSISTENCY },
	{ "cached", CONSISTENCY },
	{ "delegated", CONSISTENCY },
	{ "private", PROPAGATION },
	{ "rprivate", PROPAGATION },
	{ "slave", PROPAGATION },
	{ "rslave", PROPAGATION },
	{ "shared", PROPAGATION },
	{ "rshared", PROPAGATION },
	{ "nocopy", COPY },
};

static int find_mode(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (streq(modes[i].word, word))
			return (int)i;
	return -1;
}

static int take_word(const char *word, int seen[GROUPS], struct docker_mount *m)
{
	int i = find_mode(word);
	if (i < 0 || seen[modes[i].group]++)
		return -EINVAL;
	m->read_only |= streq(word, "ro");
	m->no_copy |= modes[i].group == COPY;
	if (modes[i].group == PROPAGATION) {
		free(m->propagation);
		m->propagation = xstrdup(word);
	}
	return 0;
}

/* "ro,z". An empty word is no mode. */
static int parse_mode(const char *text, struct docker_mount *m)
{
	int seen[GROUPS] = { 0 };
	for (const char *at = text;; at++) {
		AUTOFREE char *word = xstrndup(at, strcspn(at, ","));
		if (take_word(word, seen, m) < 0)
			return -EINVAL;
		at += strlen(word);
		if (!*at)
			break;
	}
	if (m->type == DOCKER_MOUNT_BIND ? m->no_copy : seen[PROPAGATION])
		return -EINVAL;
	m->mode = xstrdup(text);
	return 0;
}

static int is_mode(const char *text)
{
	AUTO_DOCKER_MOUNT struct docker_mount any = { .type = DOCKER_MOUNT_VOLUME }, bind = { 0 };
	return parse_mode(text, &any) == 0 || parse_mode(text, &bind) == 0;
}

/* ---- places ---- */

int docker_mount_destination(const char *text, char **ret, struct error **err)
{
	AUTOFREE char *path = path_normalize(text);
	if (!path || strlen(path) > DOCKER_MOUNT_TEXT_MAX || strchr(path, '\n'))
		return error_set(err, EINVAL, "invalid mount path: '%.64s' mount path must be absolute", text);
	if (streq(path, "/"))
		return error_set(err, EINVAL, "invalid specification: destination can't be '/'");
	*ret = TAKE_PTR(path);
	return 0;
}

int docker_is_subpath(const char *text)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, text, "/");
	return text[0] != '/' && parts.count > 0 && !strv_contains(&parts, "..") &&
	       strlen(text) <= DOCKER_MOUNT_TEXT_MAX;
}

/* An absolute path is a bind's source, everything else a volume's name. */
static int take_source(const char *text, struct docker_mount *m, struct error **err)
{
	m->type = text[0] == '/' ? DOCKER_MOUNT_BIND : DOCKER_MOUNT_VOLUME;
	if (m->type == DOCKER_MOUNT_VOLUME && !docker_is_name(text))
		return error_set(err, EINVAL,
		    "\"%.64s\" includes invalid characters for a local volume name, only "
		    "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute "
		    "path",
		    text);
	m->make = m->type == DOCKER_MOUNT_BIND;
	m->source = m->make ? path_normalize(text) : xstrdup(text);
	return strlen(m->source) <= DOCKER_MOUNT_TEXT_MAX ? 0 :
							    error_set(err, EINVAL, "the source of a mount is too long");
}

/* ---- -v ---- */

/* At each colon; empty parts stay. More than PARTS_MAX: 0. */
static size_t split(const char *text, char *parts[PARTS_MAX])
{
	size_t n = 0;
	for (const char *at = text;; at++) {
		size_t size = strcspn(at, ":");
		if (n == PARTS_MAX) {
			for (size_t i = 0; i < n; i++)
				free(TAKE_PTR(parts[i]));
			return 0;
		}
		parts[n++] = xstrndup(at, size);
		at += size;
		if (!*at)
			return n;
	}
}

static int take_parts(const char *text, char *const *parts, size_t count, struct docker_mount *m, struct error **err)
{
	const char *destination = count == 1 ? parts[0] : parts[1];
	m->type = DOCKER_MOUNT_VOLUME;
	for (size_t i = 0; i < count; i++)
		if (!*parts[i])
			count = 0;
	if (count == 0 || (count == 2 && is_mode(parts[1])))
		return error_set(err, EINVAL, "invalid volume specification: '%.128s'", text);
	int r = count > 1 ? take_source(parts[0], m, err) : 0;
	if (r == 0 && count == PARTS_MAX && parse_mode(parts[2], m) < 0)
		r = error_set(err, EINVAL, "invalid mode: %.64s", parts[2]);
	if (r == 0)
		r = docker_mount_destination(destination, &m->destination, err);
	return r < 0 ? error_prefix(err, r, "invalid volume specification: '%.128s'", text) : 0;
}

int docker_mount_of_bind(const char *text, struct docker_mount *ret, struct error **err)
{
	AUTO_DOCKER_MOUNT struct docker_mount m = { 0 };
	char *parts[PARTS_MAX] = { NULL };
	size_t count = split(text, parts);
	int r = take_parts(text, parts, count, &m, err);
	for (size_t i = 0; i < count; i++)
		free(parts[i]);
	if (r < 0)
		return r;
	if (!m.mode)
		m.mode = xstrdup("");
	*ret = m;
	m = (struct docker_mount){ 0 };
	return 0;
}

/* ---- --tmpfs ---- */

static const struct {
	const char *on, *off; /* the later one of both counts */
} flags[] = { { "ro", "rw" }, { "noexec", "exec" }, { "nosuid", "suid" }, { "nodev", "dev" }, { "sync", "async" },
	{ "noatime", "atime" }, { "nodiratime", "diratime" }, { "relatime", "norelatime" },
	{ "strictatime", "nostrictatime" }, { "dirsync", NULL }, { "mand", "nomand" } };

static const char *const values[] = { "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol" };

/* Whether it is a flag; then `on` of it is set. */
static int take_flag(const char *word, int on[ARRAY_SIZE(flags)])
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (streq(flags[i].on, word) || streq(flags[i].off, word)) {
			on[i] = streq(flags[i].on, word);
			return 1;
		}
	return 0;
}

static int is_value(const char *word)
{
	const char *equals = strchr(word, '=');
	AUTOFREE char *key = xstrndup(word, strcspn(word, "="));
	for (size_t i = 0; equals && equals[1] && i < ARRAY_SIZE(values); i++)
		if (streq(values[i], key))
			return 1;
	return 0;
}

int docker_tmpfs_options(const char *text, char **ret, struct error **err)
{
	int on[ARRAY_SIZE(flags)] = { [1] = 1, [2] = 1, [3] = 1 };
	AUTO_STRV struct strv words = { 0 }, all = { 0 }, given = { 0 };
	strv_split(&words, text, ",");
	if (strlen(text) > DOCKER_MOUNT_TEXT_MAX)
		return error_set(err, EINVAL, "the options of a tmpfs are too long");
	for (size_t i = 0; i < words.count; i++) {
		if (take_flag(words.items[i], on))
			continue;
		if (!is_value(words.items[i]))
			return error_set(err, EINVAL, "invalid tmpfs option [\"%.64s\"]", words.items[i]);
		strv_add(&given, words.items[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (on[i])
			strv_add(&all, flags[i].on);
	strv_add_all(&all, &given);
	*ret = strv_join(&all, ",");
	return 0;
}
