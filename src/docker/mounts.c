/* SPDX-License-Identifier: Apache-2.0
 * See mounts.h. */
#include "docker/mounts.h"

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/strv.h"
#include "docker/name.h"

static const char *const type_names[] = { [DOCKER_MOUNT_BIND] = "bind",
	[DOCKER_MOUNT_VOLUME] = "volume",
	[DOCKER_MOUNT_TMPFS] = "tmpfs",
	[DOCKER_MOUNT_FILE] = "file",
	[DOCKER_MOUNT_LENT] = "lent" };

/* ---- the list ---- */

void docker_mount_done(struct docker_mount *m)
{
	char **texts[] = { &m->destination, &m->source, &m->path, &m->mode, &m->propagation, &m->options, &m->subpath };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(TAKE_PTR(*texts[i]));
	json_object_put(TAKE_PTR(m->labels));
}

void docker_mounts_done(struct docker_mounts *list)
{
	for (size_t i = 0; i < list->count; i++)
		docker_mount_done(&list->items[i]);
	free(list->items);
	*list = (struct docker_mounts){ 0 };
}

static char *copy_text(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

void docker_mount_copy(const struct docker_mount *from, struct docker_mount *to)
{
	*to = *from;
	char **texts[] = { &to->destination, &to->source, &to->path, &to->mode, &to->propagation, &to->options,
		&to->subpath };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		*texts[i] = copy_text(*texts[i]);
	to->labels = json_object_get(from->labels);
}

const struct docker_mount *docker_mounts_at(const struct docker_mounts *list, const char *destination)
{
	for (size_t i = 0; i < list->count; i++)
		if (streq(list->items[i].destination, destination))
			return &list->items[i];
	return NULL;
}

int docker_mounts_add(struct docker_mounts *list, struct docker_mount *m, struct error **err)
{
	AUTO_DOCKER_MOUNT struct docker_mount taken = *m;
	*m = (struct docker_mount){ 0 };
	if (docker_mounts_at(list, taken.destination))
		return error_set(err, EINVAL, "Duplicate mount point: %.128s", taken.destination);
	if (list->count == DOCKER_MOUNTS_MAX)
		return error_set(err, E2BIG, "a container can have %d mounts at most", DOCKER_MOUNTS_MAX);
	list->items = xrealloc(list->items, list->count + 1, sizeof *list->items);
	list->items[list->count++] = taken;
	taken = (struct docker_mount){ 0 };
	return 0;
}

static size_t depth_of(const char *path)
{
	size_t n = 0;
	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int compare(const void *a, const void *b)
{
	const struct docker_mount *x = a, *y = b;
	size_t m = depth_of(x->destination), n = depth_of(y->destination);
	return m != n ? (m > n) - (m < n) : strcmp(x->destination, y->destination);
}

void docker_mounts_sort(struct docker_mounts *list)
{
	if (list->count)
		qsort(list->items, list->count, sizeof *list->items, compare);
}

/* ---- Mounts ---- */

static int read_text(struct json_object *o, const char *key, char **ret, struct error **err)
{
	const char *text = NULL;
	int r = o ? json_get_string(o, key, &text, err) : -ENOENT;
	if (r == 0 && strlen(text) > DOCKER_MOUNT_TEXT_MAX)
		return error_set(err, EINVAL, "%s is longer than %d bytes", key, DOCKER_MOUNT_TEXT_MAX);
	if (r == 0 && *text)
		*ret = xstrdup(text);
	return r == -ENOENT ? 0 : r;
}

static int read_flag(struct json_object *o, const char *key, int *ret, struct error **err)
{
	int r = o ? json_get_bool(o, key, ret, err) : -ENOENT;
	return r == -ENOENT ? 0 : r;
}

static int read_object(struct json_object *o, const char *key, struct json_object **ret, struct error **err)
{
	int r = o ? json_get_object(o, key, ret, err) : -ENOENT;
	return r == -ENOENT ? 0 : r;
}

static int check_labels(struct json_object *labels, struct error **err)
{
	size_t total = 0;
	json_object_object_foreach(labels, key, value)
	{
		if (!json_object_is_type(value, json_type_string))
			return error_set(err, EINVAL, "the label \"%.64s\" is no text", key);
		total += strlen(key) + (size_t)json_object_get_string_len(value);
	}
	return total <= 16UL * DOCKER_MOUNT_TEXT_MAX ? 0 :
						       error_set(err, EINVAL, "the labels of a volume are too long");
}

static int read_bind(struct json_object *options, struct docker_mount *m, struct error **err)
{
	static const char *const unknown[] = { "NonRecursive", "ReadOnlyNonRecursive" };
	int r = 0;
	if (!m->source || m->source[0] != '/')
		return error_set(err, EINVAL,
		    "invalid mount config for type \"bind\": invalid mount path: '%.64s' mount path must be absolute",
		    m->source ? m->source : "");
	AUTOFREE char *given = TAKE_PTR(m->source);
	m->source = path_normalize(given);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(unknown); i++) {
		int wanted = 0;
		r = read_flag(options, unknown[i], &wanted, err);
		if (wanted)
			return error_set(err, EOPNOTSUPP,
			    "BindOptions.%s (--mount) is not supported by holm's engine; leave it out", unknown[i]);
	}
	if (r == 0)
		r = read_text(options, "Propagation", &m->propagation, err);
	return r < 0 ? r : read_flag(options, "CreateMountpoint", &m->make, err);
}

static int check_driver(struct json_object *options, struct error **err)
{
	struct json_object *driver = NULL, *more = NULL;
	AUTOFREE char *name = NULL;
	int r = read_object(options, "DriverConfig", &driver, err);
	if (r < 0 || (r = read_text(driver, "Name", &name, err)) < 0 ||
	    (r = read_object(driver, "Options", &more, err)) < 0)
		return r;
	if (name && !streq(name, "local"))
		return error_set(err, EINVAL, "plugin \"%.64s\" not found; choose the driver local", name);
	return more && json_object_object_length(more) ?
		   error_set(err, EOPNOTSUPP, "options of a volume's driver are not supported by holm's engine") :
		   0;
}

static int read_volume(struct json_object *options, struct docker_mount *m, struct error **err)
{
	struct json_object *labels = NULL;
	if (m->source && !docker_is_name(m->source))
		return error_set(err, EINVAL,
		    "\"%.64s\" includes invalid characters for a local volume name, only "
		    "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute "
		    "path",
		    m->source);
	int r = read_flag(options, "NoCopy", &m->no_copy, err);
	if (r < 0 || (r = read_text(options, "Subpath", &m->subpath, err)) < 0 ||
	    (r = check_driver(options, err)) < 0 || (r = read_object(options, "Labels", &labels, err)) < 0 ||
	    (labels && (r = check_labels(labels, err)) < 0))
		return r;
	if (m->subpath && (!m->source || !docker_is_subpath(m->subpath)))
		return error_set(err, EINVAL,
		    "invalid mount config for type \"volume\": subpath must be a relative path within a named volume");
	m->labels = json_object_get(labels);
	return 0;
}

/* [["exec"],["uid","1000"]] behind the options so far. */
static int add_tmpfs_words(struct json_object *list, struct strv *words, struct error **err)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		size_t count = json_object_is_type(one, json_type_array) ? json_object_array_length(one) : 0;
		const char *key = count ? json_object_get_string(json_object_array_get_idx(one, 0)) : NULL;
		const char *value = count == 2 ? json_object_get_string(json_object_array_get_idx(one, 1)) : NULL;
		if (!key || count > 2 || (count == 2 && !value) || strchr(key, ',') || (value && strchr(value, ',')))
			return error_set(err, EINVAL, "invalid tmpfs options: an option has one word or two");
		strv_addf(words, value ? "%s=%s" : "%s", key, value);
	}
	return 0;
}

static int read_tmpfs(struct json_object *options, struct docker_mount *m, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	struct json_object *more = NULL;
	int64_t size = 0, mode = 0;
	if (m->source)
		return error_set(err, EINVAL,
		    "invalid mount config for type \"tmpfs\": field Source must not be specified");
	int r = options ? json_get_i64(options, "SizeBytes", &size, err) : -ENOENT;
	if (r == 0 || r == -ENOENT)
		r = options ? json_get_i64(options, "Mode", &mode, err) : -ENOENT;
	if (r == 0 || r == -ENOENT)
		r = options ? json_get_array(options, "Options", &more, err) : -ENOENT;
	if ((r < 0 && r != -ENOENT) || (r = add_tmpfs_words(more, &words, err)) < 0)
		return r;
	if (size < 0 || mode < 0 || mode > 07777)
		return error_set(err, EINVAL,
		    "invalid mount config for type \"tmpfs\": SizeBytes and Mode are no size and mode");
	if (size)
		strv_addf(&words, "size=%lld", (long long)size);
	if (mode)
		strv_addf(&words, "mode=%o", (unsigned)mode);
	if (m->read_only)
		strv_add(&words, "ro");
	AUTOFREE char *text = strv_join(&words, ",");
	return docker_tmpfs_options(text, &m->options, err);
}

static const struct {
	const char *options;
	int (*read)(struct json_object *options, struct docker_mount *m, struct error **err);
} types[] = {
	[DOCKER_MOUNT_BIND] = { "BindOptions", read_bind },
	[DOCKER_MOUNT_VOLUME] = { "VolumeOptions", read_volume },
	[DOCKER_MOUNT_TMPFS] = { "TmpfsOptions", read_tmpfs },
};

/* Options of another type are a mistake. */
static int check_foreign(struct json_object *o, enum docker_mount_type type, struct error **err)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct json_object *other = NULL;
		if (i != type && json_object_object_get_ex(o, types[i].options, &other) && other)
			return error_set(err, EINVAL,
			    "invalid mount config for type \"%s\": field %s must not be specified", type_names[type],
			    types[i].options);
	}
	return 0;
}

static int read_type(struct json_object *o, enum docker_mount_type *ret, struct error **err)
{
	AUTOFREE char *name = NULL;
	int r = read_text(o, "Type", &name, err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(types); i++)
		if (streq(name, type_names[i])) {
			*ret = (enum docker_mount_type)i;
			return 0;
		}
	return r < 0 ? r :
		       error_set(err, streq(name, "image") || streq(name, "cluster") ? EOPNOTSUPP : EINVAL,
			   "mount type \"%.64s\" (--mount) is unknown; choose bind, volume or tmpfs", name ? name : "");
}

static int read_mount(struct json_object *o, struct docker_mount *m, struct error **err)
{
	struct json_object *options = NULL;
	AUTOFREE char *target = NULL;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "an entry of Mounts is no object");
	int r = read_type(o, &m->type, err);
	if (r < 0 || (r = check_foreign(o, m->type, err)) < 0 || (r = read_text(o, "Source", &m->source, err)) < 0 ||
	    (r = read_text(o, "Target", &target, err)) < 0 || (r = read_flag(o, "ReadOnly", &m->read_only, err)) < 0 ||
	    (r = read_object(o, types[m->type].options, &options, err)) < 0)
		return r;
	r = docker_mount_destination(target ? target : "", &m->destination, err);
	if (r < 0)
		return error_prefix(err, r, "invalid mount config for type \"%s\"", type_names[m->type]);
	m->mode = xstrdup("");
	return types[m->type].read(options, m, err);
}

/* ---- a body ---- */

/* The machine's shares are private mounts in the engine's place, so there is nothing to propagate
 * with. */
static int finish(struct docker_mounts *list, struct docker_mount *m, struct error **err)
{
	if (m->type == DOCKER_MOUNT_BIND && !m->propagation)
		m->propagation = xstrdup("rprivate");
	if (m->type == DOCKER_MOUNT_BIND && !streq(m->propagation, "rprivate") && !streq(m->propagation, "private"))
		return error_set(err,
		    strstr(m->propagation, "slave") || strstr(m->propagation, "shared") ? EOPNOTSUPP : EINVAL,
		    "bind propagation \"%.64s\" is not supported by holm's engine; choose rprivate", m->propagation);
	return docker_mounts_add(list, m, err);
}

static int add_binds(struct docker_mounts *list, struct json_object *host, struct error **err)
{
	AUTO_STRV struct strv binds = { 0 };
	int r = host ? json_get_strv(host, "Binds", &binds, err) : -ENOENT;
	for (size_t i = 0; r == 0 && i < binds.count; i++) {
		AUTO_DOCKER_MOUNT struct docker_mount m = { 0 };
		r = docker_mount_of_bind(binds.items[i], &m, err);
		if (r == 0)
			r = finish(list, &m, err);
	}
	return r == -ENOENT ? 0 : r;
}

static int add_mounts(struct docker_mounts *list, struct json_object *host, struct error **err)
{
	struct json_object *array = NULL;
	int r = host ? json_get_array(host, "Mounts", &array, err) : -ENOENT;
	for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++) {
		AUTO_DOCKER_MOUNT struct docker_mount m = { 0 };
		r = read_mount(json_object_array_get_idx(array, i), &m, err);
		if (r == 0)
			r = finish(list, &m, err);
	}
	return r == -ENOENT ? 0 : r;
}

static int add_tmpfs(struct docker_mounts *list, struct json_object *host, struct error **err)
{
	struct json_object *all = NULL;
	int r = read_object(host, "Tmpfs", &all, err);
	if (r < 0 || !all)
		return r;
	json_object_object_foreach(all, place, options)
	{
		AUTO_DOCKER_MOUNT struct docker_mount m = { .type = DOCKER_MOUNT_TMPFS,
			.unlisted = 1,
			.mode = xstrdup("") };
		if (!json_object_is_type(options, json_type_string))
			return error_set(err, EINVAL, "the options of the tmpfs \"%.64s\" are no text", place);
		if ((r = docker_mount_destination(place, &m.destination, err)) < 0 ||
		    (r = docker_tmpfs_options(json_object_get_string(options), &m.options, err)) < 0 ||
		    (r = docker_mounts_add(list, &m, err)) < 0)
			return r;
	}
	return 0;
}

int docker_mount_owner(const char *text, uint32_t *ret_uid, uint32_t *ret_gid, uint32_t *ret_mode)
{
	AUTO_STRV struct strv parts = { 0 };
	strv_split(&parts, text, ":");
	if (parts.count != 3 || parse_u32(parts.items[0], ret_uid) < 0 || parse_u32(parts.items[1], ret_gid) < 0 ||
	    parse_octal(parts.items[2], ret_mode) < 0 || *ret_mode > 0777)
		return -EINVAL;
	return 0;
}

static int is_owner(const char *text)
{
	uint32_t uid, gid, mode;
	return docker_mount_owner(text, &uid, &gid, &mode) == 0;
}

static int read_file(struct json_object *o, struct docker_mount *m, struct error **err)
{
	AUTOFREE char *target = NULL;
	*m = (struct docker_mount){ .type = DOCKER_MOUNT_FILE, .unlisted = 1, .mode = xstrdup("") };
	int r = json_object_is_type(o, json_type_object) ? read_text(o, "Name", &m->source, err) : -EINVAL;
	if (r == 0)
		r = read_text(o, "Target", &target, err);
	if (r == 0)
		r = read_flag(o, "ReadOnly", &m->read_only, err);
	if (r < 0 || !m->source || !docker_is_name(m->source))
		return error_set(err, EINVAL, "an entry of HolmFiles has no Name");
	r = read_text(o, "Socket", &m->options, err);
	if (r == 0 && m->options && !is_owner(m->options))
		r = error_set(err, EINVAL, "the Socket of an entry of HolmFiles is no UID:GID:MODE");
	if (r < 0)
		return r;
	m->type = m->options ? DOCKER_MOUNT_LENT : DOCKER_MOUNT_FILE;
	return docker_mount_destination(target ? target : "", &m->destination, err);
}

/* [{"Name":"file0","Target":"/run/secrets/x","ReadOnly":true},
 * {"Name":"ssh0","Target":"/run/agent","Socket":"0:0:600"}] */
static int add_files(struct docker_mounts *list, struct json_object *body, struct error **err)
{
	struct json_object *array = NULL;
	int r = json_get_array(body, "HolmFiles", &array, err);
	for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++) {
		AUTO_DOCKER_MOUNT struct docker_mount m = { 0 };
		r = read_file(json_object_array_get_idx(array, i), &m, err);
		if (r == 0)
			r = docker_mounts_add(list, &m, err);
	}
	return r == -ENOENT ? 0 : r;
}

int docker_mounts_of_body(struct docker_mounts *list, struct json_object *body, struct error **err)
{
	struct json_object *host = NULL;
	int r = read_object(body, "HostConfig", &host, err);
	if (r < 0 || (r = add_binds(list, host, err)) < 0 || (r = add_mounts(list, host, err)) < 0 ||
	    (r = add_files(list, body, err)) < 0)
		return r;
	return add_tmpfs(list, host, err);
}

int docker_mounts_of_volumes(struct docker_mounts *list, struct json_object *body, struct error **err)
{
	struct json_object *all = NULL;
	int r = read_object(body, "Volumes", &all, err);
	if (r < 0 || !all)
		return r;
	json_object_object_foreach(all, place, nothing)
	{
		AUTO_DOCKER_MOUNT struct docker_mount m = { .type = DOCKER_MOUNT_VOLUME, .mode = xstrdup("") };
		(void)nothing;
		if ((r = docker_mount_destination(place, &m.destination, err)) < 0)
			return error_prefix(err, r, "invalid volume specification: '%.64s'", place);
		if (!docker_mounts_at(list, m.destination) && (r = docker_mounts_add(list, &m, err)) < 0)
			return r;
	}
	return 0;
}

/* ---- records ---- */

struct text_member {
	const char *key;
	char **text;
};

static void list_texts(struct docker_mount *m, struct text_member ret[7])
{
	const struct text_member all[] = { { "destination", &m->destination }, { "source", &m->source },
		{ "path", &m->path }, { "mode", &m->mode }, { "propagation", &m->propagation },
		{ "options", &m->options }, { "subpath", &m->subpath } };
	memcpy(ret, all, sizeof all);
}

struct flag_member {
	const char *key;
	int *flag;
};

static void list_flags(struct docker_mount *m, struct flag_member ret[5])
{
	const struct flag_member all[] = { { "readOnly", &m->read_only }, { "noCopy", &m->no_copy },
		{ "make", &m->make }, { "anonymous", &m->anonymous }, { "unlisted", &m->unlisted } };
	memcpy(ret, all, sizeof all);
}

struct json_object *docker_mounts_store(const struct docker_mounts *list)
{
	struct json_object *array = json_object_new_array();
	for (size_t i = 0; i < list->count; i++) {
		struct docker_mount *m = &list->items[i];
		struct json_object *o = json_object_new_object();
		struct text_member texts[7];
		struct flag_member flags[5];
		list_texts(m, texts);
		list_flags(m, flags);
		json_add_string(o, "type", type_names[m->type]);
		for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
			json_add_string(o, texts[k].key, *texts[k].text);
		for (size_t k = 0; k < ARRAY_SIZE(flags); k++)
			if (*flags[k].flag)
				json_add_bool(o, flags[k].key, 1);
		json_object_array_add(array, o);
	}
	return array;
}

static int check_loaded(const struct docker_mount *m)
{
	AUTOFREE char *destination = NULL, *options = NULL, *path = m->path ? path_normalize(m->path) : NULL;
	if (!m->destination || docker_mount_destination(m->destination, &destination, NULL) < 0 ||
	    !streq(m->destination, destination))
		return -EBADMSG;
	if (m->type == DOCKER_MOUNT_BIND)
		return m->source && m->source[0] == '/' && path && m->propagation ? 0 : -EBADMSG;
	if (m->type == DOCKER_MOUNT_TMPFS)
		return m->options && docker_tmpfs_options(m->options, &options, NULL) == 0 ? 0 : -EBADMSG;
	if (m->type == DOCKER_MOUNT_LENT && (!m->options || !is_owner(m->options)))
		return -EBADMSG;
	/* A volume's name, or a file's. */
	return m->source && docker_is_name(m->source) && (!m->subpath || docker_is_subpath(m->subpath)) ? 0 : -EBADMSG;
}

static int load_one(struct json_object *o, struct docker_mount *m)
{
	struct text_member texts[7];
	struct flag_member flags[5];
	AUTOFREE char *name = NULL;
	int known = 0;
	list_texts(m, texts);
	list_flags(m, flags);
	if (!json_object_is_type(o, json_type_object) || read_text(o, "type", &name, NULL) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(type_names); i++)
		if (streq(type_names[i], name)) {
			m->type = (enum docker_mount_type)i;
			known = 1;
		}
	for (size_t k = 0; known && k < ARRAY_SIZE(texts); k++)
		if (read_text(o, texts[k].key, texts[k].text, NULL) < 0)
			return -EBADMSG;
	for (size_t k = 0; known && k < ARRAY_SIZE(flags); k++)
		if (read_flag(o, flags[k].key, flags[k].flag, NULL) < 0)
			return -EBADMSG;
	if (!m->mode)
		m->mode = xstrdup("");
	return known ? check_loaded(m) : -EBADMSG;
}

int docker_mounts_load(struct docker_mounts *list, struct json_object *array, struct error **err)
{
	for (size_t i = 0; array && i < json_object_array_length(array); i++) {
		AUTO_DOCKER_MOUNT struct docker_mount m = { 0 };
		if (load_one(json_object_array_get_idx(array, i), &m) < 0 || docker_mounts_add(list, &m, err) < 0)
			return error_set(err, EBADMSG, "its list of mounts cannot be read");
	}
	return 0;
}
