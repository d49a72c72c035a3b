/* SPDX-License-Identifier: Apache-2.0
 * machine.json: reading and writing. The file is the user's own, but it is read as if it came from
 * outside: every member's type, length and range is checked, unknown members are ignored (a newer
 * holm may have written them). */
#include "machine/machine.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/path.h"

enum { STRING_MAX = 4096, TREES_MAX = 512, VERSION = 1 };

/* A string of at most STRING_MAX bytes without control characters, copied. A missing one is an
 * error when required. */
static int get_text(struct json_object *o, const char *key, int required, char **place, struct error **err)
{
	const char *text;
	int r = json_get_string(o, key, &text, err);
	if (r == -ENOENT)
		return required ? error_set(err, EINVAL, "\"%s\" is missing", key) : 0;
	if (r < 0)
		return r;
	if (strlen(text) > STRING_MAX)
		return error_set(err, EINVAL, "\"%s\" is too long", key);
	for (const char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			return error_set(err, EINVAL, "\"%s\" has control characters", key);
	free(*place);
	*place = xstrdup(text);
	return 0;
}

static int get_path(struct json_object *o, const char *key, int required, char **place, struct error **err)
{
	int r = get_text(o, key, required, place, err);
	if (r == 0 && *place && (*place)[0] != '/')
		return error_set(err, EINVAL, "\"%s\" is not an absolute path", key);
	return r;
}

static int get_word(struct json_object *o, const char *key, const char *const *words, int *ret, struct error **err)
{
	const char *text;
	int r = json_get_string(o, key, &text, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (int i = 0; words[i]; i++) {
		if (streq(words[i], text)) {
			*ret = i;
			return 0;
		}
	}
	return error_set(err, EINVAL, "\"%s\" is \"%.40s\", which this version of holm does not know", key, text);
}

static int get_number(struct json_object *o, const char *key, uint64_t most, uint64_t *ret, struct error **err)
{
	uint64_t n;
	int r = json_get_u64(o, key, &n, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (n > most)
		return error_set(err, EINVAL, "\"%s\" is too large", key);
	*ret = n;
	return 0;
}

/* Reads an amount within the bounds of `set`, or 0 for the default. 0 or -errno. */
static int get_amount(struct json_object *o, const char *key, uint64_t least, uint64_t most, uint64_t *ret,
    struct error **err)
{
	uint64_t n = 0;
	int r = get_number(o, key, most, &n, err);
	if (r < 0)
		return r;
	if (n > 0 && n < least)
		return error_set(err, EINVAL, "\"%s\" is too small", key);
	*ret = n;
	return 0;
}

static int get_id(struct json_object *o, const char *key, uint32_t *ret, struct error **err)
{
	uint64_t n = *ret;
	int r = get_number(o, key, UINT32_MAX - 1, &n, err);
	*ret = n;
	return r;
}

static int get_flag(struct json_object *o, const char *key, int *ret, struct error **err)
{
	int r = json_get_bool(o, key, ret, err);
	return r == -ENOENT ? 0 : r;
}

/* Fills a mount (zeroed) from its object. 0 or -errno. */
static int read_mount(struct json_object *o, struct machine_mount *mount, struct error **err)
{
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "\"mounts\" holds something else than objects");
	int r = get_path(o, "host", 1, &mount->host, err);
	if (r < 0)
		return r;
	r = get_path(o, "inside", 1, &mount->inside, err);
	if (r < 0)
		return r;
	r = get_flag(o, "read_only", &mount->read_only, err);
	return r < 0 ? r : machine_mount_check(mount, err);
}

static int read_mounts(struct machine *m, struct json_object *o, struct error **err)
{
	struct json_object *list;
	int r = json_get_array(o, "mounts", &list, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct machine_mount mount = { 0 };
		r = read_mount(json_object_array_get_idx(list, i), &mount, err);
		if (r == 0)
			r = machine_mount_add(m, &mount, err);
		machine_mount_done(&mount);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_publish(struct machine *m, struct json_object *o, struct error **err)
{
	struct json_object *list;
	int r = json_get_array(o, "publish", &list, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++) {
		struct machine_publish publish = { 0 };
		r = machine_publish_from_json(json_object_array_get_idx(list, i), &publish, err);
		if (r == 0)
			r = machine_publish_add(m, &publish, err);
		machine_publish_done(&publish);
	}
	return r;
}

/* A missing list is the default; an empty one is none. */
static int read_home_private(struct machine *m, struct json_object *o, struct error **err)
{
	AUTO_STRV struct strv list = { 0 };
	int r = json_get_strv(o, "home_private", &list, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	m->home_private_set = 1;
	for (size_t i = 0; r == 0 && i < list.count; i++)
		r = machine_home_private_add(m, list.items[i], err);
	return r;
}

static int read_env(struct machine *m, struct json_object *o, struct error **err)
{
	AUTO_STRV struct strv list = { 0 };
	int r = json_get_strv(o, "env", &list, err);
	if (r == -ENOENT)
		return 0;
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		char *equals = strchr(list.items[i], '=');
		if (!equals || equals == list.items[i])
			return error_set(err, EINVAL, "\"env\" holds \"%.40s\", which is no NAME=VALUE", list.items[i]);
		AUTOFREE char *key = xasprintf("env.%.*s", (int)(equals - list.items[i]), list.items[i]);
		if (equals[1])
			r = machine_set(m, key, equals + 1, err);
	}
	return r;
}

enum kind { TEXT, PATH, WORD, AMOUNT, ID, FLAG };

/* Members with a field of struct machine that has the same meaning. A missing one leaves the field
 * as it is. */
static const struct field {
	const char *key;
	enum kind kind;
	size_t offset;
	int required;             /* TEXT, PATH */
	const char *const *words; /* WORD */
	uint64_t least, most;     /* AMOUNT; 0 is the default and always fine */
} fields[] = {
#define AT(member) offsetof(struct machine, member)
	{ "name", TEXT, AT(name), 1 },
	{ "id", TEXT, AT(id), 1 },
	{ "created", TEXT, AT(created), 1 },
	{ "image", TEXT, AT(image), 1 },
	{ "image_digest", TEXT, AT(image_digest) },
	{ "image_disk", PATH, AT(image_disk) },
	{ "platform", TEXT, AT(platform) },
	{ "init_path", PATH, AT(init_path) },
	{ "isolation", WORD, AT(isolation), .words = machine_isolation_words },
	{ "form", WORD, AT(form), .words = machine_isolation_words },
	{ "home_mount", WORD, AT(home_mount), .words = machine_home_words },
	{ "init", WORD, AT(init), .words = machine_init_words },
	{ "wait", WORD, AT(wait), .words = machine_wait_words },
	{ "autostart", WORD, AT(autostart), .words = machine_autostart_words },
	{ "auto_ports", WORD, AT(auto_ports), .words = machine_auto_ports_words },
	{ "address", TEXT, AT(address) },
	{ "cpus", AMOUNT, AT(cpus), .least = 1, .most = MACHINE_CPUS_MAX },
	{ "memory", AMOUNT, AT(memory), .least = MACHINE_MEMORY_MIN, .most = MACHINE_MEMORY_MAX },
	{ "disk_size", AMOUNT, AT(disk_size), .least = MACHINE_DISK_MIN, .most = MACHINE_DISK_MAX },
	{ "pids", AMOUNT, AT(pids), .least = MACHINE_PIDS_MIN, .most = MACHINE_PIDS_MAX },
	{ "kernel", PATH, AT(kernel) },
	{ "kernel_modules", PATH, AT(kernel_modules) },
	{ "proxy", TEXT, AT(proxy) },
	{ "ca", WORD, AT(ca), .words = machine_ca_words },
	{ "host_access", FLAG, AT(host_access) },
	{ "socketcall", FLAG, AT(socketcall) },
	{ "home", PATH, AT(home), 1 },
	{ "user", TEXT, AT(user), 1 },
	{ "uid", ID, AT(uid) },
	{ "gid", ID, AT(gid) },
#undef AT
};

static int read_field(struct machine *m, struct json_object *o, const struct field *f, struct error **err)
{
	void *place = (char *)m + f->offset;
	switch (f->kind) {
	case TEXT:
		return get_text(o, f->key, f->required, place, err);
	case PATH:
		return get_path(o, f->key, f->required, place, err);
	case WORD:
		return get_word(o, f->key, f->words, place, err);
	case AMOUNT:
		return get_amount(o, f->key, f->least, f->most, place, err);
	case ID:
		return get_id(o, f->key, place, err);
	default:
		return get_flag(o, f->key, place, err);
	}
}

static int read_fields(struct machine *m, struct json_object *o, struct error **err)
{
	m->form = MACHINE_ISOLATION_VM; /* before there was another, there was no such member */
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		int r = read_field(m, o, &fields[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_fields(struct machine *m, struct json_object *o, struct error **err)
{
	int64_t when;
	int r = machine_name_check(m->name, err);
	if (r < 0)
		return r;
	if (strlen(m->id) != 32 || strspn(m->id, "0123456789abcdef") != 32)
		return error_set(err, EINVAL, "\"id\" is not 32 hexadecimal digits");
	if (!m->address)
		m->address = machine_address_from(m->id); /* before there were any, there was no such member */
	if (!machine_address_is_valid(m->address))
		return error_set(err, EINVAL, "\"address\" is none from 127.64.0.0 to 127.127.255.255");
	if (clock_parse_rfc3339(m->created, &when) < 0)
		return error_set(err, EINVAL, "\"created\" is no time");
	r = m->proxy ? machine_proxy_check(m->proxy, err) : 0;
	return r < 0 ? r : machine_user_check(m->user, err);
}

static int read_choices(struct machine *m, struct json_object *o, struct error **err)
{
	int transport = 0;
	for (size_t i = 0; i < ARRAY_SIZE(machine_share_keys); i++) {
		int r = get_word(o, machine_share_keys[i].json, machine_share_keys[i].words, &m->share_choices[i], err);
		if (r < 0)
			return r;
	}
	int r = get_word(o, "transport", machine_transport_words, &transport, err);
	if (r == 0 && transport > 0)
		m->transport = xstrdup(machine_transport_words[transport]);
	return r;
}

static int read_image_config(struct machine *m, struct json_object *o, struct error **err)
{
	struct json_object *config;
	int r = json_get_object(o, "image_config", &config, err);
	if (r == 0)
		m->image_config = json_object_get(config);
	return r == -ENOENT ? 0 : r;
}

static int read_trees(struct machine *m, struct json_object *o, struct error **err)
{
	int r = json_get_strv(o, "image_trees", &m->image_trees, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (m->image_trees.count > TREES_MAX)
		return error_set(err, EINVAL, "\"image_trees\" has more than %d entries", TREES_MAX);
	for (size_t i = 0; i < m->image_trees.count; i++) {
		AUTOFREE char *clean = path_normalize(m->image_trees.items[i]);
		if (!clean || !streq(clean, m->image_trees.items[i]))
			return error_set(err, EINVAL, "\"image_trees\" has \"%.200s\", which is no absolute path",
			    m->image_trees.items[i]);
	}
	return 0;
}

int machine_from_json(struct json_object *o, struct machine **ret, struct error **err)
{
	static int (*const readers[])(struct machine * m, struct json_object * o, struct error * *err) = { read_fields,
		check_fields, read_choices, read_trees, read_image_config, read_mounts, read_publish, read_home_private,
		read_env };
	AUTO_MACHINE struct machine *m = xnew(struct machine);
	uint64_t version = VERSION;
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "not a JSON object");
	int r = get_number(o, "version", UINT64_MAX, &version, err);
	if (r < 0)
		return r;
	if (version != VERSION)
		return error_set(err, EINVAL, "written by another version of holm (format %llu)",
		    (unsigned long long)version);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		r = readers[i](m, o, err);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(m);
	return 0;
}

static struct json_object *mounts_to_json(const struct machine *m)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < m->mount_count; i++) {
		struct json_object *item = json_object_new_object();
		json_add_string(item, "host", m->mounts[i].host);
		json_add_string(item, "inside", m->mounts[i].inside);
		json_add_bool(item, "read_only", m->mounts[i].read_only);
		json_object_array_add(list, item);
	}
	return list;
}

static struct json_object *publish_to_json(const struct machine *m)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < m->publish_count; i++)
		json_object_array_add(list, machine_publish_to_json(&m->publish[i]));
	return list;
}

struct json_object *machine_to_json(const struct machine *m)
{
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "version", VERSION);
	json_add_string(o, "name", m->name);
	json_add_string(o, "id", m->id);
	json_add_string(o, "created", m->created);
	json_add_string(o, "image", m->image);
	json_add_string(o, "image_digest", m->image_digest);
	json_add_string(o, "image_disk", m->image_disk);
	if (m->image_trees.count)
		json_add_strv(o, "image_trees", &m->image_trees);
	if (m->image_config)
		json_add(o, "image_config", json_object_get(m->image_config));
	json_add_string(o, "platform", m->platform);
	json_add_string(o, "isolation", machine_isolation_words[m->isolation]);
	json_add_string(o, "form", machine_isolation_words[m->form]);
	json_add_string(o, "home_mount", machine_home_words[m->home_mount]);
	if (m->home_private_set)
		json_add_strv(o, "home_private", &m->home_private);
	json_add_string(o, "init", machine_init_words[m->init]);
	json_add_string(o, "wait", machine_wait_words[m->wait]);
	json_add_string(o, "autostart", machine_autostart_words[m->autostart]);
	json_add_string(o, "auto_ports", machine_auto_ports_words[m->auto_ports]);
	json_add_string(o, "address", m->address);
	json_add_string(o, "init_path", m->init_path);
	for (size_t i = 0; i < ARRAY_SIZE(machine_share_keys); i++)
		json_add_string(o, machine_share_keys[i].json, machine_share_keys[i].words[m->share_choices[i]]);
	json_add_u64(o, "cpus", m->cpus);
	json_add_u64(o, "memory", m->memory);
	json_add_u64(o, "disk_size", m->disk_size);
	json_add_u64(o, "pids", m->pids);
	json_add_string(o, "home", m->home);
	json_add_string(o, "user", m->user);
	json_add_u64(o, "uid", m->uid);
	json_add_u64(o, "gid", m->gid);
	json_add_string(o, "kernel", m->kernel);
	json_add_string(o, "kernel_modules", m->kernel_modules);
	json_add_strv(o, "env", &m->env);
	json_add(o, "mounts", mounts_to_json(m));
	json_add(o, "publish", publish_to_json(m));
	json_add_bool(o, "host_access", m->host_access);
	json_add_bool(o, "socketcall", m->socketcall);
	json_add_string(o, "transport", m->transport);
	json_add_string(o, "proxy", m->proxy);
	json_add_string(o, "ca", machine_ca_words[m->ca]);
	return o;
}
