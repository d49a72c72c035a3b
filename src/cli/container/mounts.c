/* SPDX-License-Identifier: Apache-2.0
 * See mounts.h. What the engine has to judge (names of volumes, options behind the second colon)
 * goes to it as it is. */
#include "cli/container/mounts.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/path.h"

enum { TEXT_MAX = 16 * 1024, KEY_SHOWN = 40 };

static char *absolute(const char *path)
{
	AUTOFREE char *here = path[0] == '.' ? getcwd(NULL, 0) : NULL;
	return here ? path_join(here, path) : xstrdup(path);
}

int mounts_add_volume(const char *text, struct json_object *binds, struct json_object *volumes, struct error **err)
{
	const char *colon = strchr(text, ':'), *target = colon ? colon + 1 : text;
	size_t size = strcspn(target, ":");
	const char *rest = target[size] ? target + size + 1 : NULL;
	if (strlen(text) > TEXT_MAX || target[0] != '/' || colon == text || (rest && (!*rest || strchr(rest, ':'))))
		return error_set(err, EINVAL,
		    "--volume \"%.80s\": write [SOURCE:]TARGET[:OPTIONS], in which TARGET is an absolute path", text);
	if (!colon) {
		json_object_object_add(volumes, text, json_object_new_object());
		return 0;
	}
	AUTOFREE char *source = xstrndup(text, (size_t)(colon - text)), *path = absolute(source),
		      *whole = xasprintf("%s:%s", path, target);
	json_object_array_add(binds, json_object_new_string(whole));
	return 0;
}

int mounts_add_tmpfs(const char *text, struct json_object *tmpfs, struct error **err)
{
	AUTOFREE char *target = xstrndup(text, strcspn(text, ":"));
	const char *options = strchr(text, ':');
	if (target[0] != '/' || strlen(text) > TEXT_MAX)
		return error_set(err, EINVAL,
		    "--tmpfs \"%.80s\": write TARGET[:OPTIONS], in which TARGET is an absolute path", text);
	json_object_object_add(tmpfs, target, json_object_new_string(options ? options + 1 : ""));
	return 0;
}

/* ---- --mount ---- */

/* One field of comma-separated values: plain, or in double quotes with two for one. *at is behind
 * the comma afterwards, or NULL at the end. NULL: malformed. */
static char *next_field(const char **at)
{
	const char *s = *at;
	if (*s != '"') {
		size_t n = strcspn(s, ",");
		*at = s[n] ? s + n + 1 : NULL;
		return memchr(s, '"', n) ? NULL : xstrndup(s, n);
	}
	AUTOFREE char *field = xmalloc(strlen(s) + 1);
	size_t n = 0;
	for (s++; *s && (*s != '"' || s[1] == '"'); s++) {
		s += *s == '"';
		field[n++] = *s;
	}
	field[n] = 0;
	if (*s != '"' || (s[1] && s[1] != ','))
		return NULL;
	*at = s[1] ? s + 2 : NULL;
	return TAKE_PTR(field);
}

enum part { PART_MOUNT, PART_BIND, PART_VOLUME, PART_DRIVER, PART_TMPFS, PARTS };
enum kind { KIND_TEXT, KIND_PATH, KIND_FLAG, KIND_NO_FLAG, KIND_SIZE, KIND_MODE, KIND_PAIR };

static const struct mount_key {
	const char *key;
	enum part part;
	const char *member;
	enum kind kind;
} mount_keys[] = {
	{ "type", PART_MOUNT, "Type", KIND_TEXT },
	{ "source", PART_MOUNT, "Source", KIND_PATH },
	{ "src", PART_MOUNT, "Source", KIND_PATH },
	{ "target", PART_MOUNT, "Target", KIND_TEXT },
	{ "destination", PART_MOUNT, "Target", KIND_TEXT },
	{ "dst", PART_MOUNT, "Target", KIND_TEXT },
	{ "readonly", PART_MOUNT, "ReadOnly", KIND_FLAG },
	{ "ro", PART_MOUNT, "ReadOnly", KIND_FLAG },
	{ "consistency", PART_MOUNT, "Consistency", KIND_TEXT },
	{ "bind-propagation", PART_BIND, "Propagation", KIND_TEXT },
	{ "bind-nonrecursive", PART_BIND, "NonRecursive", KIND_FLAG },
	{ "volume-nocopy", PART_VOLUME, "NoCopy", KIND_FLAG },
	{ "volume-subpath", PART_VOLUME, "Subpath", KIND_TEXT },
	{ "volume-label", PART_VOLUME, "Labels", KIND_PAIR },
	{ "volume-driver", PART_DRIVER, "Name", KIND_TEXT },
	{ "volume-opt", PART_DRIVER, "Options", KIND_PAIR },
	{ "tmpfs-size", PART_TMPFS, "SizeBytes", KIND_SIZE },
	{ "tmpfs-mode", PART_TMPFS, "Mode", KIND_MODE },
};

static int add_pair(struct json_object *o, const char *member, const char *value)
{
	struct json_object *pairs = NULL;
	AUTOFREE char *key = xstrndup(value, strcspn(value, "="));
	const char *equals = strchr(value, '=');
	if (!*key)
		return -EINVAL;
	if (!json_object_object_get_ex(o, member, &pairs)) {
		pairs = json_object_new_object();
		json_add(o, member, pairs);
	}
	json_object_object_add(pairs, key, json_object_new_string(equals ? equals + 1 : ""));
	return 0;
}

static int add_value(struct json_object *o, const struct mount_key *k, const char *value)
{
	uint64_t size;
	uint32_t mode;
	int on = 1;
	if (k->kind == KIND_FLAG) {
		if (value && parse_bool(value, &on) < 0)
			return -EINVAL;
		json_object_object_add(o, k->member, json_object_new_boolean(on));
		return 0;
	}
	if (!value || !*value)
		return -EINVAL;
	if (k->kind == KIND_PAIR)
		return add_pair(o, k->member, value);
	if (k->kind == KIND_SIZE && (parse_size(value, 1, &size) < 0 || size > INT64_MAX))
		return -EINVAL;
	if (k->kind == KIND_MODE && parse_octal(value, &mode) < 0)
		return -EINVAL;
	AUTOFREE char *path = k->kind == KIND_PATH ? absolute(value) : NULL;
	json_object_object_add(o, k->member,
	    k->kind == KIND_SIZE ? json_object_new_int64((int64_t)size) :
	    k->kind == KIND_MODE ? json_object_new_int64(mode) :
				   json_object_new_string(path ? path : value));
	return 0;
}

static int take_field(struct json_object **parts, const char *field)
{
	AUTOFREE char *key = xstrndup(field, strcspn(field, "="));
	const char *equals = strchr(field, '=');
	for (size_t i = 0; i < ARRAY_SIZE(mount_keys); i++) {
		const struct mount_key *k = &mount_keys[i];
		if (!streq(k->key, key))
			continue;
		if (!parts[k->part])
			parts[k->part] = json_object_new_object();
		return add_value(parts[k->part], k, equals ? equals + 1 : NULL);
	}
	return -ENOENT;
}

static int take_fields(const char *text, struct json_object **parts, struct error **err)
{
	const char *at = text;
	while (at) {
		AUTOFREE char *field = next_field(&at);
		int r = field ? take_field(parts, field) : -EINVAL;
		if (r == -ENOENT)
			return error_set(err, EINVAL, "--mount: there is no key \"%.*s\"; see holm-container(1)",
			    (int)MIN(strcspn(field, "="), (size_t)KEY_SHOWN), field);
		if (r < 0)
			return error_set(err, EINVAL, "--mount \"%.80s\": \"%.40s\" is malformed; write KEY=VALUE,...",
			    text, field ? field : text);
	}
	return 0;
}

int mounts_parse(const char *text, struct json_object **ret, struct error **err)
{
	static const char *const members[PARTS] = { NULL, "BindOptions", "VolumeOptions", NULL, "TmpfsOptions" };
	AUTO_JSON struct json_object *mount = json_object_new_object();
	struct json_object *parts[PARTS] = { mount };
	const char *type = "volume", *target = "";
	int r = strlen(text) > TEXT_MAX ? error_set(err, EINVAL, "--mount: the text is too long") :
					  take_fields(text, parts, err);
	if (parts[PART_DRIVER] && !parts[PART_VOLUME])
		parts[PART_VOLUME] = json_object_new_object();
	if (parts[PART_DRIVER])
		json_add(parts[PART_VOLUME], "DriverConfig", parts[PART_DRIVER]);
	for (size_t i = 0; i < PARTS; i++)
		if (members[i] && parts[i])
			json_add(mount, members[i], parts[i]);
	if (r < 0)
		return r;
	if (json_get_string(mount, "Type", &type, NULL) == -ENOENT)
		json_add_string(mount, "Type", type);
	if (json_get_string(mount, "Target", &target, NULL) == -ENOENT || target[0] != '/')
		return error_set(err, EINVAL, "--mount \"%.80s\": write target=PATH with an absolute path", text);
	*ret = TAKE_PTR(mount);
	return 0;
}
