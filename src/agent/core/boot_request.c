/* SPDX-License-Identifier: Apache-2.0
 * Reads the boot request. Tables say which members go where; what is read is checked at once. */
#include "agent/core/boot_request.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/path.h"

struct string_member {
	const char *key;
	char **to;
	int required;
};

int account_name_is_valid(const char *s)
{
	size_t n = strlen(s);
	if (n == 0 || n > 255 || strchr("-+# ", s[0]) || s[n - 1] == ' ' || streq(s, ".") || streq(s, ".."))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)s[i]) || strchr(":,/", s[i]))
			return 0;
	return 1;
}

int timezone_is_valid(const char *s)
{
	size_t n = strlen(s);
	if (n == 0 || n > 64 || s[0] == '/' || strstr(s, "..") || strstr(s, "//"))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("_+-/", s[i]))
			return 0;
	return 1;
}

/* Host names as RFC 1123 2.1 has them; a dot is fine. */
static int hostname_is_valid(const char *s)
{
	size_t n = strlen(s);
	if (n == 0 || n > 64)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-' && s[i] != '.')
			return 0;
	return 1;
}

static int read_strings(struct json_object *o, const char *where, const struct string_member *members, size_t count,
    struct error **err)
{
	for (size_t i = 0; i < count; i++) {
		const char *s = NULL;
		int r = json_get_string(o, members[i].key, &s, err);
		if (r == -ENOENT && !members[i].required)
			continue;
		if (r == -ENOENT)
			return error_set(err, EINVAL, "boot request: \"%s\" has no \"%s\"", where, members[i].key);
		if (r < 0)
			return error_prefix(err, r, "boot request: %s", where);
		if (strlen(s) > BOOT_STRING_MAX)
			return error_set(err, EINVAL, "boot request: \"%s\" is too long", members[i].key);
		free(*members[i].to);
		*members[i].to = xstrdup(s);
	}
	return 0;
}

static int read_strv(struct json_object *o, const char *key, struct strv *to, struct error **err)
{
	int r = json_get_strv(o, key, to, err);
	if (r == -ENOENT)
		return 0;
	if (r >= 0 && to->count > BOOT_STRINGS_MAX)
		return error_set(err, EINVAL, "boot request: \"%s\" has too many entries", key);
	return r;
}

static int optional(int r)
{
	return r == -ENOENT ? 0 : r;
}

static int read_u32(struct json_object *o, const char *key, uint32_t *ret, struct error **err)
{
	uint64_t v = 0;
	int r = json_get_u64(o, key, &v, err);
	if (r < 0)
		return r;
	if (v > UINT32_MAX - 1)
		return error_set(err, EINVAL, "boot request: \"%s\" is out of range", key);
	*ret = (uint32_t)v;
	return 0;
}

static int read_machine(struct boot_request *b, struct json_object *o, struct error **err)
{
	struct json_object *m = NULL;
	int r = json_get_object(o, "machine", &m, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "boot request has no \"machine\"") : r;
	const struct string_member members[] = {
		{ "name", &b->name, 1 },
		{ "id", &b->id, 1 },
		{ "hostname", &b->hostname, 1 },
		{ "init", &b->init, 0 },
		{ "stop_signal", &b->stop_signal, 0 },
		{ "timezone", &b->timezone, 0 },
	};
	r = read_strings(m, "machine", members, ARRAY_SIZE(members), err);
	if (r < 0 || (r = optional(json_get_bool(m, "rescue", &b->rescue, err))) < 0 ||
	    (r = optional(json_get_bool(m, "init_search", &b->init_search, err))) < 0 ||
	    (r = optional(json_get_bool(m, "init_required", &b->init_required, err))) < 0 ||
	    (r = read_strv(m, "image_env", &b->image_env, err)) < 0 || (r = read_strv(m, "env", &b->env, err)) < 0 ||
	    (r = read_strv(m, "services_env", &b->services_env, err)) < 0)
		return r;
	if (!hostname_is_valid(b->hostname))
		return error_set(err, EINVAL, "boot request: \"%s\" is not a host name", b->hostname);
	if (strlen(b->id) != 32 || strspn(b->id, "0123456789abcdef") != 32)
		return error_set(err, EINVAL, "boot request: the machine's id is not 32 hex digits");
	if (b->timezone && !timezone_is_valid(b->timezone))
		return error_set(err, EINVAL, "boot request: \"%s\" is not a time zone", b->timezone);
	if (b->init && b->init[0] != '/')
		return error_set(err, EINVAL, "boot request: the init \"%s\" is not an absolute path", b->init);
	return 0;
}

/* Replaces *path by its normalized form. */
static int normalize(char **path, const char *what, struct error **err)
{
	char *clean = path_normalize(*path);
	if (!clean || !path_is_mount_place(clean)) {
		free(clean);
		return error_set(err, EINVAL, "boot request: %s \"%s\" is not a usable absolute path", what, *path);
	}
	free(*path);
	*path = clean;
	return 0;
}

/* A name that cannot be a group's inside is replaced by one made of the number. */
static int read_group(struct boot_group *g, struct json_object *o, struct error **err)
{
	const struct string_member members[] = { { "name", &g->name, 1 } };
	int r = json_object_is_type(o, json_type_object) ?
		    read_strings(o, "groups", members, ARRAY_SIZE(members), err) :
		    error_set(err, EINVAL, "a group is not an object");
	if (r >= 0 && (r = read_u32(o, "gid", &g->gid, err)) == -ENOENT)
		r = error_set(err, EINVAL, "boot request: a group has no gid");
	if (r >= 0 && !account_name_is_valid(g->name)) {
		free(g->name);
		g->name = xasprintf("g%u", g->gid);
	}
	return r;
}

static int read_groups(struct boot_user *u, struct json_object *o, struct error **err)
{
	struct json_object *list = NULL;
	int r = json_get_array(o, "groups", &list, err);
	if (r < 0)
		return optional(r);
	size_t n = json_object_array_length(list);
	if (n > BOOT_GROUPS_MAX)
		return error_set(err, EINVAL, "boot request: more than %d groups", BOOT_GROUPS_MAX);
	u->groups = xcalloc(n + 1, sizeof *u->groups);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = read_group(&u->groups[u->group_count++], json_object_array_get_idx(list, i), err);
	return r;
}

static int read_user(struct boot_user *u, struct json_object *o, struct error **err)
{
	struct json_object *m = NULL;
	int r = json_get_object(o, "user", &m, err);
	if (r < 0)
		return optional(r);
	const struct string_member members[] = { { "name", &u->name, 1 }, { "group", &u->group, 0 },
		{ "home", &u->home, 1 } };
	r = read_strings(m, "user", members, ARRAY_SIZE(members), err);
	if (r < 0 || (r = read_u32(m, "uid", &u->uid, err)) < 0 || (r = read_u32(m, "gid", &u->gid, err)) < 0 ||
	    (r = optional(json_get_bool(m, "home_shared", &u->home_shared, err))) < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "boot request: the user has no uid or gid") : r;
	if (!account_name_is_valid(u->name))
		return error_set(err, EINVAL, "\"%s\" cannot be a user name inside; see holm machine set user=NAME",
		    u->name);
	if (!u->group || !account_name_is_valid(u->group)) {
		free(u->group);
		u->group = xstrdup(u->name);
	}
	if ((r = read_groups(u, m, err)) < 0)
		return r;
	return normalize(&u->home, "the home", err);
}

static int read_network(struct boot_network *n, struct json_object *o, struct error **err)
{
	struct json_object *m = NULL;
	int r = json_get_object(o, "network", &m, err);
	if (r < 0)
		return optional(r);
	const char *kind = NULL;
	if ((r = optional(json_get_string(m, "kind", &kind, err))) < 0)
		return r;
	int outside = streq(kind, "outside");
	const struct string_member members[] = { { "device", &n->device, !outside }, { "address", &n->address, 0 },
		{ "gateway", &n->gateway, 0 }, { "address6", &n->address6, 0 }, { "gateway6", &n->gateway6, 0 },
		{ "host", &n->host, 0 }, { "outward", &n->outward, 0 } };
	r = read_strings(m, "network", members, ARRAY_SIZE(members), err);
	if (r >= 0 && !outside && !n->address && !n->address6)
		return error_set(err, EINVAL, "boot request: the network has no address");
	return r < 0 ? r : optional(read_u32(m, "mtu", &n->mtu, err));
}

static int read_aliases(struct json_object *o, struct boot_share *s, struct error **err)
{
	int r = read_strv(o, "aliases", &s->aliases, err);
	if (r >= 0 && s->aliases.count > BOOT_ALIASES_MAX)
		return error_set(err, EINVAL, "boot request: more than %d aliases of a share", BOOT_ALIASES_MAX);
	for (size_t i = 0; r >= 0 && i < s->aliases.count; i++)
		r = normalize(&s->aliases.items[i], "the alias", err);
	return r;
}

/* The places are relative, and clean. */
static int read_private(struct json_object *o, struct boot_share *s, struct error **err)
{
	int r = read_strv(o, "private", &s->private, err);
	if (r >= 0 && s->private.count > BOOT_PRIVATE_MAX)
		return error_set(err, EINVAL, "boot request: more than %d private places", BOOT_PRIVATE_MAX);
	for (size_t i = 0; r >= 0 && i < s->private.count; i++) {
		AUTOFREE char *whole = xasprintf("/%s", s->private.items[i]), *clean = path_normalize(whole);
		if (!streq(clean, whole) || streq(clean, "/") || strlen(clean) > PATH_MAX / 3)
			return error_set(err, EINVAL, "boot request: the private place \"%.80s\" is not usable",
			    s->private.items[i]);
	}
	return r;
}

static int read_socket(struct json_object *o, struct boot_socket *s, struct error **err)
{
	struct json_object *m = NULL;
	int r = json_get_object(o, "socket", &m, err);
	if (r < 0)
		return optional(r);
	if ((r = read_u32(m, "id", &s->id, err)) < 0 || (r = read_u32(m, "mode", &s->mode, err)) < 0 ||
	    (r = read_u32(m, "uid", &s->uid, err)) < 0 || (r = read_u32(m, "gid", &s->gid, err)) < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "boot request: a socket has no id, mode or owner") : r;
	if (s->id == 0 || s->mode > 0777)
		return error_set(err, EINVAL, "boot request: a socket has no id or a mode that is none");
	return 0;
}

/* Fills s, also with the members in front of one that is wrong. 0 or -errno. */
static int read_share(struct json_object *o, struct boot_share *s, struct error **err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	const struct string_member members[] = { { "tag", &s->tag, 1 }, { "inside", &s->inside, 1 } };
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "a share is not an object");
	int r;
	if ((r = read_strings(o, "shares", members, ARRAY_SIZE(members), err)) < 0 ||
	    (r = optional(json_get_bool(o, "file", &s->is_file, err))) < 0 ||
	    (r = optional(json_get_bool(o, "read_only", &s->read_only, err))) < 0 ||
	    (r = optional(json_get_bool(o, "events", &s->events, err))) < 0)
		return r;
	if (strlen(s->tag) > 31 || s->tag[0] == '\0' || strspn(s->tag, letters) != strlen(s->tag))
		return error_set(err, EINVAL, "\"%.40s\" is not a share's tag", s->tag);
	if ((r = normalize(&s->inside, "the mount point", err)) < 0 || (r = read_aliases(o, s, err)) < 0 ||
	    (r = read_private(o, s, err)) < 0 || (r = read_socket(o, &s->socket, err)) < 0)
		return r;
	return streq(s->inside, "/") ? error_set(err, EINVAL, "a share cannot be mounted on / of the machine") : 0;
}

int boot_share_parse(struct json_object *o, struct boot_share *ret, struct error **err)
{
	struct boot_share s = { 0 };
	int r = read_share(o, &s, err);
	if (r < 0) {
		boot_share_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void boot_share_done(struct boot_share *s)
{
	free(s->tag);
	free(s->inside);
	strv_done(&s->aliases);
	strv_done(&s->private);
	*s = (struct boot_share){ 0 };
}

static int read_shares(struct boot_request *b, struct json_object *o, struct error **err)
{
	struct json_object *list = NULL;
	int r = json_get_array(o, "shares", &list, err);
	if (r < 0)
		return optional(r);
	size_t n = json_object_array_length(list);
	if (n > BOOT_SHARES_MAX)
		return error_set(err, EINVAL, "boot request: more than %d shares", BOOT_SHARES_MAX);
	b->shares = xcalloc(n + 1, sizeof *b->shares);
	for (size_t i = 0; i < n; i++) {
		r = boot_share_parse(json_object_array_get_idx(list, i), &b->shares[b->share_count], err);
		if (r < 0)
			return r;
		b->share_count++;
	}
	return 0;
}

int resolv_parse(struct json_object *o, struct resolv *ret, struct error **err)
{
	int r;
	if ((r = read_strv(o, "nameservers", &ret->nameservers, err)) < 0 ||
	    (r = read_strv(o, "search", &ret->search, err)) < 0 ||
	    (r = read_strv(o, "options", &ret->options, err)) < 0)
		return r;
	struct strv *lists[] = { &ret->nameservers, &ret->search, &ret->options };
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t j = 0; j < lists[i]->count; j++)
			for (const char *p = lists[i]->items[j]; *p; p++)
				if ((unsigned char)*p <= ' ')
					return error_set(err, EINVAL,
					    "resolver settings contain a blank or control character");
	return 0;
}

static int read_overlay(struct boot_request *b, struct json_object *m, struct error **err)
{
	const struct string_member members[] = { { "machine", &b->root_machine, 1 } };
	int r = read_strings(m, "root", members, 1, err);
	if (r < 0 || (r = read_strv(m, "lower", &b->root_lower, err)) < 0)
		return r;
	if (b->root_lower.count > BOOT_LAYERS_MAX)
		return error_set(err, EINVAL, "the image has %zu layers; the kernel takes %d at most",
		    b->root_lower.count, BOOT_LAYERS_MAX);
	for (size_t i = 0; i < b->root_lower.count; i++)
		if (b->root_lower.items[i][0] != '/')
			return error_set(err, EINVAL, "boot request: the layer \"%s\" is not an absolute path",
			    b->root_lower.items[i]);
	return b->root_machine[0] == '/' ?
		   0 :
		   error_set(err, EINVAL, "boot request: \"%s\" is not an absolute path", b->root_machine);
}

static int read_devices(struct boot_request *b, struct json_object *o, struct error **err)
{
	struct json_object *m = NULL;
	int r = json_get_object(o, "root", &m, err);
	if (r < 0)
		return r == -ENOENT ? error_set(err, EINVAL, "boot request has no \"root\"") : r;
	const char *kind = NULL;
	if ((r = optional(json_get_string(m, "kind", &kind, err))) < 0)
		return r;
	const struct string_member root[] = { { "device", &b->root_device, 1 } };
	if (streq(kind, "overlay"))
		r = read_overlay(b, m, err);
	else
		r = read_strings(m, "root", root, 1, err);
	if (r < 0 || (r = optional(json_get_u64(m, "size", &b->root_size, err))) < 0)
		return r;
	r = json_get_object(o, "modules", &m, err);
	if (r < 0)
		return optional(r);
	const struct string_member modules[] = { { "device", &b->modules_device, 0 } };
	return read_strings(m, "modules", modules, 1, err);
}

int boot_request_parse(struct json_object *o, struct boot_request **ret, struct error **err)
{
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, EINVAL, "the boot request is not an object");
	CLEANUP(boot_request_freep) struct boot_request *b = xnew(struct boot_request);
	struct json_object *resolv = NULL;
	int r;
	if ((r = read_machine(b, o, err)) < 0 || (r = read_user(&b->user, o, err)) < 0 ||
	    (r = read_network(&b->network, o, err)) < 0 || (r = read_shares(b, o, err)) < 0 ||
	    (r = read_devices(b, o, err)) < 0 ||
	    (r = optional(json_get_u64(o, "realtime_ns", &b->realtime_ns, err))) < 0 ||
	    (r = optional(json_get_bool(o, "host_access", &b->host_access, err))) < 0)
		return r;
	r = json_get_object(o, "resolv", &resolv, err);
	if (r >= 0)
		r = resolv_parse(resolv, &b->resolv, err);
	if (optional(r) < 0)
		return r;
	b->source = json_object_get(o);
	*ret = TAKE_PTR(b);
	return 0;
}

void boot_request_free(struct boot_request *b)
{
	if (!b)
		return;
	char *strings[] = { b->name, b->id, b->hostname, b->init, b->stop_signal, b->timezone, b->user.name,
		b->user.group, b->user.home, b->root_device, b->root_machine, b->modules_device, b->network.device,
		b->network.address, b->network.gateway, b->network.address6, b->network.gateway6, b->network.host,
		b->network.outward };
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	strv_done(&b->image_env);
	strv_done(&b->root_lower);
	strv_done(&b->env);
	strv_done(&b->services_env);
	resolv_done(&b->resolv);
	for (size_t i = 0; i < b->user.group_count; i++)
		free(b->user.groups[i].name);
	free(b->user.groups);
	for (size_t i = 0; i < b->share_count; i++)
		boot_share_done(&b->shares[i]);
	free(b->shares);
	json_object_put(b->source);
	free(b);
}
