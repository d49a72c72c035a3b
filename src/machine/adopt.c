/* SPDX-License-Identifier: Apache-2.0
 * Settings from a file. The file's author chose them, so they open nothing of this host that
 * `create` would not open. Each member of machine.json has a kind, and each kind a rule. The
 * machine gets no member that has no line in the table. */
#include "machine/machine.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"

enum { NAMED_MAX = 8 };

const struct machine_member machine_members[] = {
	{ "version", NULL, MACHINE_MEMBER_INSIDE, NULL }, /* machine_from_json() checks it */
	{ "name", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "id", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "created", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "image", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "image_digest", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "image_disk", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "image_trees", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "image_config", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "platform", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "init_path", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "address", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "isolation", "isolation", MACHINE_MEMBER_HERE, NULL },
	{ "form", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "home", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "user", "user", MACHINE_MEMBER_HERE, NULL },
	{ "uid", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "gid", NULL, MACHINE_MEMBER_HERE, NULL },
	{ "init", "init", MACHINE_MEMBER_INSIDE, NULL },
	{ "wait", "wait", MACHINE_MEMBER_INSIDE, NULL },
	{ "ca", "ca", MACHINE_MEMBER_INSIDE, NULL }, /* the authorities are this host's */
	/* decides what of a home that is shared anyway is the machine's own */
	{ "home_private", "home-private", MACHINE_MEMBER_INSIDE, NULL },
	{ "share_cache", "share-cache", MACHINE_MEMBER_INSIDE, NULL },
	{ "share_events", "share-events", MACHINE_MEMBER_INSIDE, NULL },
	{ "home_mount", "home-mount", MACHINE_MEMBER_HOME, NULL },
	{ "cpus", "cpus", MACHINE_MEMBER_AMOUNT, machine_cpus },
	{ "memory", "memory", MACHINE_MEMBER_AMOUNT, machine_memory },
	{ "disk_size", "disk-size", MACHINE_MEMBER_AMOUNT, machine_disk_size },
	{ "pids", "pids", MACHINE_MEMBER_AMOUNT, machine_pids },
	{ "mounts", "mount", MACHINE_MEMBER_OPENING, NULL },
	{ "publish", "publish", MACHINE_MEMBER_OPENING, NULL },
	{ "host_access", "host-access", MACHINE_MEMBER_OPENING, NULL },
	{ "socketcall", "socketcall", MACHINE_MEMBER_OPENING, NULL }, /* opens sockets that no filter sees */
	{ "env", "env", MACHINE_MEMBER_OPENING, NULL }, /* its sessions have the caller's agent, proxies and home */
	{ "owner_map", "owner-map", MACHINE_MEMBER_OPENING, NULL }, /* writes attributes into the host's files */
	/* locks files of the host for its other programs */
	{ "share_locks", "share-locks", MACHINE_MEMBER_OPENING, NULL },
	{ "autostart", "autostart", MACHINE_MEMBER_OPENING, NULL },   /* runs without being asked */
	{ "auto_ports", "auto-ports", MACHINE_MEMBER_OPENING, NULL }, /* takes ports of the host */
	{ "proxy", "proxy", MACHINE_MEMBER_OPENING, NULL },           /* everything that sessions send goes there */
	{ "transport", "transport", MACHINE_MEMBER_OPENING, NULL },
	{ "kernel", "kernel", MACHINE_MEMBER_OPENING, NULL },
	{ "kernel_modules", "kernel-modules", MACHINE_MEMBER_OPENING, NULL },
	{ NULL, NULL, 0, NULL },
};

struct adoption {
	const struct machine *here, *file;
	int trust;
	struct json_object *into; /* the settings that the machine gets */
	struct strv *left_out;
};

static void take(const struct adoption *a, const struct machine_member *m, struct json_object *value)
{
	json_object_object_add(a->into, m->json, json_object_get(value));
}

static void keep_own(const struct adoption *a, const struct machine_member *m, struct json_object *value)
{
	(void)a, (void)m, (void)value;
}

static void take_stricter_home(const struct adoption *a, const struct machine_member *m, struct json_object *value)
{
	if (a->trust || a->file->home_mount >= a->here->home_mount)
		take(a, m, value);
	else
		strv_addf(a->left_out, "%s=%s (%s here)", m->key, machine_home_words[a->file->home_mount],
		    machine_home_words[a->here->home_mount]);
}

static char *amount_text(const struct machine_member *m, uint64_t amount)
{
	int counts = m->amount == machine_cpus || m->amount == machine_pids;
	return counts ? xasprintf("%llu", (unsigned long long)amount) : format_size(amount);
}

/* Takes the file's amount if it is at most this host's. 0 means this host's default. */
static void take_smaller(const struct adoption *a, const struct machine_member *m, struct json_object *value)
{
	uint64_t wanted = json_object_get_uint64(value), most = m->amount(a->here);
	if (wanted == 0)
		return;
	if (a->trust || wanted <= most) {
		take(a, m, value);
		return;
	}
	AUTOFREE char *theirs = amount_text(m, wanted), *ours = amount_text(m, most);
	strv_addf(a->left_out, "%s=%s (%s here)", m->key, theirs, ours);
}

/* Formats item i of a list as options have it; of a variable only the name. Owned. */
static char *item_text(const struct machine *file, const struct machine_member *m, size_t i)
{
	if (streq(m->json, "mounts"))
		return machine_mount_format(&file->mounts[i]);
	if (streq(m->json, "publish"))
		return machine_publish_format(&file->publish[i]);
	return xstrndup(file->env.items[i], strcspn(file->env.items[i], "="));
}

static void leave_out_list(const struct adoption *a, const struct machine_member *m, size_t count)
{
	AUTO_STRV struct strv items = { 0 };
	for (size_t i = 0; i < MIN(count, NAMED_MAX); i++)
		strv_take(&items, item_text(a->file, m, i));
	AUTOFREE char *text = strv_join(&items, ", ");
	if (count > NAMED_MAX)
		strv_addf(a->left_out, "%s %s and %zu more", m->key, text, count - NAMED_MAX);
	else if (count > 0)
		strv_addf(a->left_out, "%s %s", m->key, text);
}

/* A proxy's URL may have a password. */
static void leave_out_value(const struct adoption *a, const struct machine_member *m, const char *value)
{
	AUTOFREE char *shown = streq(m->key, "proxy") ? machine_proxy_masked(value) : xstrdup(value);
	strv_addf(a->left_out, "%s=%s", m->key, shown);
}

static void take_trusted(const struct adoption *a, const struct machine_member *m, struct json_object *value)
{
	struct json_object *own = NULL;
	json_object_object_get_ex(a->into, m->json, &own);
	if (a->trust)
		take(a, m, value);
	else if (json_object_is_type(value, json_type_array))
		leave_out_list(a, m, json_object_array_length(value));
	else if (!json_object_equal(own, value))
		leave_out_value(a, m, json_object_get_string(value));
}

static void (*const rules[])(const struct adoption *a, const struct machine_member *m, struct json_object *value) = {
	[MACHINE_MEMBER_HERE] = keep_own,
	[MACHINE_MEMBER_INSIDE] = take,
	[MACHINE_MEMBER_HOME] = take_stricter_home,
	[MACHINE_MEMBER_AMOUNT] = take_smaller,
	[MACHINE_MEMBER_OPENING] = take_trusted,
};

/* Reads and checks the file's settings. This host's members replace those of kind HERE and
 * fill gaps. 0 or -errno. */
static int read_file(struct json_object *own, struct json_object *settings, struct machine **ret, struct error **err)
{
	AUTO_JSON struct json_object *o = json_object_new_object();
	if (!json_object_is_type(settings, json_type_object))
		return error_set(err, EINVAL, "not a JSON object");
	for (const struct machine_member *m = machine_members; m->json; m++) {
		struct json_object *value = NULL;
		if (m->kind != MACHINE_MEMBER_HERE)
			json_object_object_get_ex(settings, m->json, &value);
		if (value || json_object_object_get_ex(own, m->json, &value))
			json_object_object_add(o, m->json, json_object_get(value));
	}
	return machine_from_json(o, ret, err);
}

int machine_adopt(const struct machine *here, struct json_object *settings, int trust, struct machine **ret,
    struct strv *left_out, struct error **err)
{
	AUTO_MACHINE struct machine *file = NULL;
	AUTO_JSON struct json_object *into = machine_to_json(here), *theirs = NULL;
	int r = read_file(into, settings, &file, err);
	if (r < 0)
		return r;
	theirs = machine_to_json(file);
	const struct adoption a = { here, file, trust, into, left_out };
	for (const struct machine_member *m = machine_members; m->json; m++) {
		struct json_object *value = NULL;
		if (json_object_object_get_ex(theirs, m->json, &value) && value)
			rules[m->kind](&a, m, value);
	}
	return machine_from_json(into, ret, err);
}
