/* SPDX-License-Identifier: Apache-2.0
 * See messages.h. The keeper is trusted, its message's shape is not: what does not fit is an error,
 * not a guess. */
#include "agent/platform/native/messages.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/path.h"

enum { STRING_MAX = 4096 };

static int optional(int r)
{
	return r == -ENOENT ? 0 : r;
}

static int read_string(struct json_object *o, const char *key, char **ret, struct error **err)
{
	const char *s = NULL;
	int r = json_get_string(o, key, &s, err);
	if (r == -ENOENT)
		return error_set(err, EINVAL, "the keeper's message has no \"%s\"", key);
	if (r >= 0 && (strlen(s) > STRING_MAX || *s == '\0'))
		return error_set(err, EINVAL, "\"%s\" in the keeper's message is empty or too long", key);
	if (r >= 0)
		*ret = xstrdup(s);
	return r;
}

static int read_optional(struct json_object *o, const char *key, char **ret, struct error **err)
{
	return json_object_object_get_ex(o, key, NULL) ? read_string(o, key, ret, err) : 0;
}

/* An absolute path, normalized. */
static int read_path(struct json_object *o, const char *key, char **ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	int r = read_string(o, key, &text, err);
	if (r < 0)
		return r;
	*ret = path_normalize(text);
	return *ret ? 0 : error_set(err, EINVAL, "\"%s\" in the keeper's message is not an absolute path", key);
}

/* [inside, outside, count] */
static int read_extent(struct json_object *o, struct idmap_extent *ret)
{
	uint64_t n[3];
	if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) != ARRAY_SIZE(n))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
		struct json_object *one = json_object_array_get_idx(o, i);
		int64_t v = json_object_is_type(one, json_type_int) ? json_object_get_int64(one) : -1;
		if (v < 0 || v > UINT32_MAX)
			return -EINVAL;
		n[i] = (uint64_t)v;
	}
	if (n[2] == 0 || n[0] + n[2] > UINT32_MAX || n[1] + n[2] > UINT32_MAX)
		return -EINVAL;
	*ret = (struct idmap_extent){ (uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2] };
	return 0;
}

static int read_extents(struct json_object *o, const char *key, struct idmap_extent *ret, size_t *ret_count,
    struct error **err)
{
	struct json_object *list = NULL;
	int r = json_get_array(o, key, &list, err);
	size_t n = r < 0 ? 0 : json_object_array_length(list);
	if (n == 0 || n > IDMAP_EXTENTS_MAX)
		return error_set(err, EINVAL, "the keeper's message has no usable \"%s\"", key);
	for (size_t i = 0; i < n; i++)
		if (read_extent(json_object_array_get_idx(list, i), &ret[i]) < 0)
			return error_set(err, EINVAL, "\"%s\" in the keeper's message is not a mapping of ids", key);
	*ret_count = n;
	return 0;
}

int native_go_parse(struct json_object *o, struct native_go *ret, struct error **err)
{
	struct native_go g = { 0 };
	int r = json_object_is_type(o, json_type_object) ?
		    0 :
		    error_set(err, EINVAL, "the keeper's \"go\" is not an object");
	if (r < 0 || (r = optional(json_get_bool(o, "single", &g.ids.single, err))) < 0 ||
	    (r = optional(json_get_bool(o, "by_root", &g.ids.by_root, err))) < 0 ||
	    (r = optional(json_get_bool(o, "delegated", &g.delegated, err))) < 0 ||
	    (r = optional(json_get_bool(o, "socketcall", &g.socketcall, err))) < 0 ||
	    (r = optional(json_get_u64(o, "cpus", &g.cpus, err))) < 0 ||
	    (r = read_extents(o, "uids", g.ids.uids, &g.ids.uid_count, err)) < 0 ||
	    (r = read_extents(o, "gids", g.ids.gids, &g.ids.gid_count, err)) < 0 ||
	    (r = read_path(o, "crun", &g.crun, err)) < 0 || (r = read_optional(o, "address", &g.address, err)) < 0 ||
	    (r = read_optional(o, "gateway", &g.gateway, err)) < 0 ||
	    (r = read_optional(o, "address6", &g.address6, err)) < 0 ||
	    (r = read_optional(o, "gateway6", &g.gateway6, err)) < 0) {
		native_go_done(&g);
		return r;
	}
	*ret = g;
	return 0;
}

void native_go_done(struct native_go *g)
{
	free(g->crun);
	free(g->address);
	free(g->gateway);
	free(g->address6);
	free(g->gateway6);
	*g = (struct native_go){ 0 };
}

static int read_hidden_ids(struct json_object *o, struct native_share *s, struct error **err)
{
	int r = optional(json_get_strv(o, "hidden_ids", &s->hidden_ids, err));
	if (r >= 0 && s->hidden_ids.count != s->hidden.count)
		r = error_set(err, EINVAL, "share \"%s\": \"hidden_ids\" and \"hidden\" differ in length", s->tag);
	return r;
}

static int read_hidden(struct json_object *o, struct native_share *s, struct error **err)
{
	AUTO_STRV struct strv all = { 0 };
	int r = optional(json_get_strv(o, "hidden", &all, err));
	if (r >= 0 && all.count > NATIVE_HIDDEN_MAX)
		r = error_set(err, EINVAL, "too much is to be hidden in the share \"%s\"", s->tag);
	for (size_t i = 0; r >= 0 && i < all.count; i++) {
		char *clean = path_normalize(all.items[i]);
		if (clean && path_is_below(clean, s->host) && !streq(clean, s->host)) {
			strv_take(&s->hidden, clean);
			continue;
		}
		free(clean);
		r = error_set(err, EINVAL, "\"%.200s\", which is to be hidden, is not below %s", all.items[i], s->host);
	}
	return r;
}

int native_share_parse(struct json_object *o, struct native_share *ret, struct error **err)
{
	struct native_share s = { 0 };
	int r = json_object_is_type(o, json_type_object) ?
		    0 :
		    error_set(err, EINVAL, "the keeper's \"share\" is not an object");
	if (r < 0 || (r = read_string(o, "tag", &s.tag, err)) < 0 || (r = read_path(o, "host", &s.host, err)) < 0 ||
	    (r = optional(json_get_bool(o, "read_only", &s.read_only, err))) < 0 || (r = read_hidden(o, &s, err)) < 0 ||
	    (r = read_hidden_ids(o, &s, err)) < 0) {
		native_share_done(&s);
		return r;
	}
	if (strlen(s.tag) > 31 || strspn(s.tag, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(s.tag)) {
		r = error_set(err, EINVAL, "\"%.40s\" is not a share's tag", s.tag);
		native_share_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void native_share_done(struct native_share *s)
{
	free(s->tag);
	free(s->host);
	strv_done(&s->hidden);
	strv_done(&s->hidden_ids);
	*s = (struct native_share){ 0 };
}
