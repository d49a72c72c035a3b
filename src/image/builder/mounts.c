/* SPDX-License-Identifier: Apache-2.0
 * See mounts.h. */
#include "image/builder/mounts.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "image/build/expand.h"
#include "oci/digest.h"

enum { MOUNTS_MAX = 64, SHORT = 16, COPIES_MAX = 64 };

static void mount_done(struct run_mount *m)
{
	free(m->target);
	free(m->place);
	free(m->source);
	free(m->from);
	free(m->id);
	free(m->variable);
}

void run_mounts_done(struct run_mounts *m)
{
	for (size_t i = 0; i < m->count; i++) {
		mount_done(&m->items[i]);
		if (m->locks)
			fd_close(m->locks[i]);
	}
	run_mounts_close_ssh(m);
	free(m->items);
	free(m->locks);
	*m = (struct run_mounts){ 0 };
}

/* ---- keys and values ---- */

static int set_text(char **to, const char *value)
{
	free(*to);
	*to = xstrdup(value);
	return 0;
}

static int set_type(struct run_mount *m, const char *value)
{
	static const char *const words[] = { "bind", "cache", "tmpfs", "secret", "ssh" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(words[i], value)) {
			m->type = (enum mount_type)i;
			return 0;
		}
	return -EINVAL;
}

static int set_target(struct run_mount *m, const char *value)
{
	return set_text(&m->target, value);
}

static int set_source(struct run_mount *m, const char *value)
{
	return set_text(&m->source, value);
}

static int set_from(struct run_mount *m, const char *value)
{
	return set_text(&m->from, value);
}

static int set_id(struct run_mount *m, const char *value)
{
	return set_text(&m->id, value);
}

static int set_variable(struct run_mount *m, const char *value)
{
	return set_text(&m->variable, value);
}

static int set_read_only(struct run_mount *m, const char *value)
{
	return parse_bool(value, &m->read_only);
}

static int set_read_write(struct run_mount *m, const char *value)
{
	int r = parse_bool(value, &m->read_only);
	m->read_only = !m->read_only;
	return r;
}

static int set_required(struct run_mount *m, const char *value)
{
	return parse_bool(value, &m->required);
}

static int set_sharing(struct run_mount *m, const char *value)
{
	static const char *const
	    words[] = { [SHARING_SHARED] = "shared", [SHARING_LOCKED] = "locked", [SHARING_PRIVATE] = "private" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(words[i], value)) {
			m->sharing = i;
			return 0;
		}
	return -EINVAL;
}

static int set_uid(struct run_mount *m, const char *value)
{
	m->has_owner = 1;
	return parse_u32(value, &m->uid);
}

static int set_gid(struct run_mount *m, const char *value)
{
	m->has_owner = 1;
	return parse_u32(value, &m->gid);
}

static int set_mode(struct run_mount *m, const char *value)
{
	m->has_owner = 1;
	return parse_octal(value, &m->mode) < 0 || m->mode > 07777 ? -EINVAL : 0;
}

static int set_size(struct run_mount *m, const char *value)
{
	return parse_size(value, 1, &m->size);
}

static const struct key {
	const char *name, *also;
	int (*set)(struct run_mount *m, const char *value);
	const char *alone; /* the value of the key alone; NULL: it needs one */
} keys[] = {
	{ "type", NULL, set_type, NULL },
	{ "target", "dst", set_target, NULL },
	{ "destination", NULL, set_target, NULL },
	{ "source", "src", set_source, NULL },
	{ "from", NULL, set_from, NULL },
	{ "id", NULL, set_id, NULL },
	{ "env", NULL, set_variable, NULL },
	{ "readonly", "ro", set_read_only, "true" },
	{ "readwrite", "rw", set_read_write, "true" },
	{ "required", NULL, set_required, "true" },
	{ "sharing", NULL, set_sharing, NULL },
	{ "uid", NULL, set_uid, NULL },
	{ "gid", NULL, set_gid, NULL },
	{ "mode", NULL, set_mode, NULL },
	{ "size", NULL, set_size, NULL },
};

static int apply_key(struct run_mount *m, const char *part, struct error **err)
{
	const char *equals = strchr(part, '=');
	AUTOFREE char *name = xstrndup(part, equals ? (size_t)(equals - part) : strlen(part));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *value = equals ? equals + 1 : keys[i].alone;
		if (!streq(keys[i].name, name) && !streq(keys[i].also, name))
			continue;
		if (!value || keys[i].set(m, value) < 0)
			return error_set(err, EINVAL, "RUN --mount: \"%.80s\" is not right", part);
		return 0;
	}
	return error_set(err, EINVAL, "RUN --mount has no \"%.40s\"", name);
}

/* ---- one mount ---- */

/* Caches of one name are one in all builds, unless these have a name space of their own. */
static void name_cache(struct build_step *s, struct run_mount *m)
{
	const char *space = strv_getenv(s->builder->options->args, "BUILDKIT_CACHE_MOUNT_NS");
	AUTOFREE char *id = m->id ? m->id : xstrdup(m->target);
	m->id = space && *space ? xasprintf("%s/%s", space, id) : xstrdup(id);
}

static int set_ssh_defaults(struct run_mount *m, struct error **err)
{
	if (m->source || m->from)
		return error_set(err, EINVAL, "RUN --mount=type=ssh has neither source nor from");
	if (!m->id)
		m->id = xstrdup(BUILD_SSH_DEFAULT);
	if (!m->target)
		m->target = xasprintf("/run/buildkit/ssh_agent.%u", m->number);
	m->mode = m->mode ? m->mode : 0600;
	return m->mode <= 0777 ? 0 : error_set(err, EINVAL, "RUN --mount=type=ssh: mode=%o is not right", m->mode);
}

static int set_defaults(struct build_step *s, struct run_mount *m, struct error **err)
{
	if (m->type == MOUNT_SSH && set_ssh_defaults(m, err) < 0)
		return -EINVAL;
	if (m->type == MOUNT_SECRET) {
		const char *name = m->id ? m->id : m->target ? path_base(m->target) : NULL;
		if (!name)
			return error_set(err, EINVAL, "RUN --mount=type=secret needs id=NAME");
		if (!m->id)
			m->id = xstrdup(name);
		if (!m->target && !m->variable)
			m->target = xasprintf("/run/secrets/%s", m->id);
		m->mode = m->mode ? m->mode : 0400;
	}
	if (!m->target && !m->variable)
		return error_set(err, EINVAL, "RUN --mount needs target=PATH");
	if (m->type == MOUNT_CACHE && !m->mode)
		m->mode = 0755;
	if (m->target) {
		AUTOFREE char *joined = path_join(build_state_text(s->state, "WorkingDir", "/"), m->target);
		free(m->target);
		m->target = path_normalize(joined);
	}
	if (streq(m->target, "/"))
		return error_set(err, EINVAL, "RUN --mount: target=/ would hide the whole image");
	if (m->type == MOUNT_CACHE)
		name_cache(s, m);
	return 0;
}

static int read_mount(struct build_step *s, const char *text, struct run_mount *ret, struct error **err)
{
	struct expand_scope scope;
	AUTOFREE char *expanded = NULL;
	AUTO_STRV struct strv parts = { 0 };
	build_step_scope(s, &scope);
	int r = expand_word(&scope, text, &expanded, err);
	if (r == 0)
		strv_split(&parts, expanded, ",");
	for (size_t i = 0; r == 0 && i < parts.count; i++)
		r = apply_key(ret, parts.items[i], err);
	return r == 0 ? set_defaults(s, ret, err) : r;
}

static unsigned count_ssh(const struct run_mounts *m)
{
	unsigned count = 0;
	for (size_t i = 0; i < m->count; i++)
		count += m->items[i].type == MOUNT_SSH;
	return count;
}

int run_mounts_read(struct build_step *s, struct run_mounts *ret, struct error **err)
{
	const struct strv *flags = &s->instruction->flags;
	for (size_t i = 0; i < flags->count; i++) {
		const char *text = startswith(flags->items[i], "--mount=");
		if (!text)
			continue;
		if (ret->count == MOUNTS_MAX)
			return error_set(err, E2BIG, "RUN has more than %d mounts", MOUNTS_MAX);
		ret->items = xrealloc(ret->items, ret->count + 1, sizeof *ret->items);
		ret->items[ret->count] = (struct run_mount){ .type = MOUNT_BIND, .number = count_ssh(ret) };
		int r = read_mount(s, text, &ret->items[ret->count++], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the step's key ---- */

/* Whether it is files of the context, a stage or an image. */
static int has_layer(const struct run_mount *m)
{
	return m->type == MOUNT_BIND || (m->type == MOUNT_CACHE && m->from);
}

int run_mounts_add_key(struct build_step *s, struct run_mounts *m, struct hash *h, struct error **err)
{
	for (size_t i = 0; i < m->count; i++) {
		struct run_mount *at = &m->items[i];
		int r = has_layer(at) ? build_bind(s, at->from, at->source, at->target, at->key, NULL, err) : 0;
		if (r < 0)
			return r;
		AUTOFREE char *text = xasprintf("mount %d %s %s %s %s %u %u %o %llu %d", at->type,
		    at->target ? at->target : "", at->id ? at->id : "", at->variable ? at->variable : "", at->key,
		    at->uid, at->gid, at->mode, (unsigned long long)at->size, at->read_only);
		hash_update(h, text, strlen(text) + 1);
	}
	return 0;
}

/* ---- caches ---- */

static char *volume_of(const struct run_mount *m)
{
	char digest[DIGEST_TEXT_SIZE + 1];
	AUTOFREE char *owner = m->has_owner ? xasprintf("\n%u:%u:%o", m->uid, m->gid, m->mode) : xstrdup(""),
		      *from = m->from ? xasprintf("\n%s:%s", m->from, m->source ? m->source : "/") : xstrdup(""),
		      *copy = m->copy ? xasprintf("\n%u", m->copy) : xstrdup(""),
		      *text = xasprintf("%s%s%s%s", m->id, owner, from, copy);
	hash_memory(text, strlen(text), digest);
	return xasprintf(BUILD_CACHE_PREFIX "%.*s", SHORT, digest_hex(digest));
}

int run_mounts_has_cache(const struct run_mounts *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->items[i].type == MOUNT_CACHE)
			return 1;
	return 0;
}

int run_mounts_are_elsewhere(const struct run_mounts *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->items[i].target && !streq(m->items[i].place, m->items[i].target))
			return 1;
	return 0;
}

static int is_earlier(const struct run_mounts *m, size_t i)
{
	AUTOFREE char *name = volume_of(&m->items[i]);
	for (size_t k = 0; k < i; k++) {
		AUTOFREE char *other = m->items[k].type == MOUNT_CACHE ? volume_of(&m->items[k]) : NULL;
		if (streq(other, name))
			return 1;
	}
	return 0;
}

/* The first copy that no other command has. */
static int lock_copy(struct library *l, struct run_mount *m, struct error **err)
{
	int fd = -EWOULDBLOCK;
	for (m->copy = 0; fd == -EWOULDBLOCK && m->copy < COPIES_MAX; m->copy++) {
		AUTOFREE char *name = volume_of(m);
		fd = library_try_lock(l, name, NULL);
		if (fd >= 0)
			return fd;
	}
	return fd == -EWOULDBLOCK ?
		   error_set(err, EBUSY, "%d commands have the private cache \"%.60s\"", COPIES_MAX, m->id) :
		   error_set_errno(err, fd, "cannot lock the cache \"%.60s\"", m->id);
}

struct waiting {
	struct report *report;
	const char *id;
};

static void on_wait(void *data)
{
	const struct waiting *w = data;
	report_note(w->report, "waiting for the cache \"%.60s\", which another command has locked", w->id);
}

static int lock_cache(struct build_step *s, struct run_mount *m, struct error **err)
{
	struct waiting w = { s->builder->report, m->id };
	struct library *l = s->builder->library;
	if (m->sharing == SHARING_PRIVATE)
		return lock_copy(l, m, err);
	AUTOFREE char *name = volume_of(m);
	return library_lock_as(l, name, m->sharing == SHARING_LOCKED ? LOCK_EXCLUSIVE : LOCK_SHARED, on_wait, &w, err);
}

/* In one order, so that two builds do not wait for each other. */
static int compare_caches(const void *a, const void *b)
{
	const struct run_mount *const *x = a, *const *y = b;
	AUTOFREE char *m = volume_of(*x), *n = volume_of(*y);
	return strcmp(m, n);
}

int run_mounts_lock(struct build_step *s, struct run_mounts *m, struct error **err)
{
	AUTOFREE struct run_mount **caches = xcalloc(m->count + 1, sizeof(void *));
	size_t count = 0;
	m->locks = xcalloc(m->count + 1, sizeof(int));
	for (size_t i = 0; i < m->count; i++) {
		m->locks[i] = -1;
		if (m->items[i].type == MOUNT_CACHE && (m->items[i].sharing == SHARING_PRIVATE || !is_earlier(m, i)))
			caches[count++] = &m->items[i];
	}
	qsort(caches, count, sizeof(void *), compare_caches);
	for (size_t i = 0; i < count; i++) {
		m->locks[i] = lock_cache(s, caches[i], err);
		if (m->locks[i] < 0)
			return m->locks[i];
	}
	return 0;
}

/* An empty volume begins with what the image has there: with `from` that is a layer for it, and
 * nothing else may count. */
static struct json_object *volume_options(const struct run_mount *m)
{
	struct json_object *o = json_object_new_object(), *labels = json_object_new_object();
	AUTOFREE char *owner = xasprintf("%u:%u:%o", m->uid, m->gid, m->mode);
	json_add_string(labels, BUILD_CACHE_LABEL, m->id);
	json_add_string(labels, "org.holm.owner", owner);
	json_add(o, "Labels", labels);
	json_add_bool(o, "NoCopy", !m->from);
	return o;
}

void run_mounts_add_body(const struct run_mounts *m, struct json_object *host)
{
	struct json_object *mounts = json_object_new_array(), *tmpfs = json_object_new_object();
	for (size_t i = 0; i < m->count; i++) {
		const struct run_mount *at = &m->items[i];
		AUTOFREE char *size = at->size ? xasprintf("size=%llu", (unsigned long long)at->size) : xstrdup("");
		if (at->type == MOUNT_TMPFS)
			json_add_string(tmpfs, at->target, size);
		if (at->type != MOUNT_CACHE)
			continue;
		struct json_object *o = json_object_new_object();
		AUTOFREE char *name = volume_of(at);
		json_add_string(o, "Type", "volume");
		json_add_string(o, "Source", name);
		json_add_string(o, "Target", at->target);
		json_add_bool(o, "ReadOnly", at->read_only);
		json_add(o, "VolumeOptions", volume_options(at));
		json_object_array_add(mounts, o);
	}
	json_add(host, "Mounts", mounts);
	json_add(host, "Tmpfs", tmpfs);
}

/* ---- binds, and what a cache begins with ---- */

int run_mounts_add_layers(struct build_step *s, struct run_mounts *m, struct build_state *to, struct error **err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < m->count; i++) {
		struct run_mount *at = &m->items[i];
		struct build_layer layer = { 0 };
		if (!has_layer(at))
			continue;
		r = build_bind(s, at->from, at->source, at->target, at->key, &layer, err);
		if (r == 0)
			build_state_add(to, &layer, "mount");
		free(layer.media_type);
	}
	return r;
}

int run_mounts_place(struct library *l, struct run_mounts *m, struct build_state *below, struct error **err)
{
	const struct build_listing *files = NULL;
	for (size_t i = 0; i < m->count; i++) {
		struct run_mount *at = &m->items[i];
		int r = !at->target || files ? 0 : build_state_list(l, below, 0, &files, err);
		if (r < 0)
			return r;
		if (at->target)
			at->place = contents_resolve(&files->contents, at->target, 1);
		if (at->target && !at->place)
			return error_set(err, ELOOP, "RUN --mount: target=%.200s: too many symlinks", at->target);
		if (streq(at->place, "/"))
			return error_set(err, EINVAL, "RUN --mount: target=%.200s would hide the whole image",
			    at->target);
	}
	return 0;
}

static void hide(const char *path, struct strv *without)
{
	if (!path)
		return;
	strv_add(without, path);
	if (startswith(path, "/run/secrets/"))
		strv_add(without, "/run/secrets");
	if (startswith(path, "/run/buildkit/"))
		strv_add(without, "/run/buildkit");
}

void run_mounts_hide(const struct run_mounts *m, struct strv *without)
{
	for (size_t i = 0; i < m->count; i++) {
		hide(m->items[i].target, without);
		hide(m->items[i].place, without);
	}
}
