/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <limits.h>

#include "base/alloc.h"
#include "base/path.h"

enum { DEPTH_MAX = 32 };

static int only_blanks(const char *s, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!memchr(" \t\r\n", s[i], 4))
			return 0;
	return 1;
}

/* json-c checks UTF-8 and commas in strict mode, but still takes NaN and Infinity, which no
 * document of ours may hold. */
static int has_special_number(struct json_object *o)
{
	if (json_object_is_type(o, json_type_double)) {
		double d = json_object_get_double(o);
		return d != d || d - d != 0;
	}
	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			if (has_special_number(json_object_array_get_idx(o, i)))
				return 1;
	} else if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value)
		{
			(void)key;
			if (has_special_number(value))
				return 1;
		}
	}
	return 0;
}

static int parse(const char *data, size_t size, const char *name, int flags, struct json_object **ret,
    struct error **err)
{
	if (size > INT_MAX)
		return error_set(err, EFBIG, "%s is too large", name);
	struct json_tokener *t = json_tokener_new_ex(DEPTH_MAX);
	if (!t)
		abort();
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS | flags);
	struct json_object *o = json_tokener_parse_ex(t, data, (int)size);
	enum json_tokener_error e = json_tokener_get_error(t);
	/* A number at the very end waits for what follows: tell the tokener that nothing does. */
	if (e == json_tokener_continue) {
		o = json_tokener_parse_ex(t, "", 1);
		e = json_tokener_get_error(t);
	}
	size_t used = MIN(json_tokener_get_parse_end(t), size);
	json_tokener_free(t);
	AUTO_JSON struct json_object *owned = o;
	if (e != json_tokener_success)
		return error_set(err, EBADMSG, "%s is not valid JSON (%s)", name, json_tokener_error_desc(e));
	/* The second call above counts its own bytes: then everything was used by the first. */
	if (used && !only_blanks(data + used, size - used) && !json_object_is_type(o, json_type_int) &&
	    !json_object_is_type(o, json_type_double))
		return error_set(err, EBADMSG, "%s has something behind its JSON value", name);
	if (has_special_number(o))
		return error_set(err, EBADMSG, "%s is not valid JSON (not a number)", name);
	*ret = TAKE_PTR(owned);
	return 0;
}

int json_parse(const char *data, size_t size, const char *name, struct json_object **ret, struct error **err)
{
	return parse(data, size, name, JSON_TOKENER_VALIDATE_UTF8, ret, err);
}

int json_parse_bytes(const char *data, size_t size, const char *name, struct json_object **ret, struct error **err)
{
	return parse(data, size, name, 0, ret, err);
}

int json_parse_file(const char *path, size_t max, struct json_object **ret, struct error **err)
{
	AUTOFREE char *text = NULL;
	size_t size;
	int r = path_read_file(path, max, &text, &size);
	if (r < 0)
		return error_set_errno(err, r, "cannot read %s", path);
	return json_parse(text, size, path, ret, err);
}

static int get(struct json_object *o, const char *key, enum json_type type, const char *wanted,
    struct json_object **ret, struct error **err)
{
	struct json_object *member = NULL;
	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &member) || !member)
		return -ENOENT;
	if (!json_object_is_type(member, type))
		return error_set(err, EINVAL, "\"%s\" must be %s", key, wanted);
	*ret = member;
	return 0;
}

int json_get_string(struct json_object *o, const char *key, const char **ret, struct error **err)
{
	struct json_object *member;
	int r = get(o, key, json_type_string, "a string", &member, err);
	if (r < 0)
		return r;
	const char *s = json_object_get_string(member);
	if (strlen(s) != (size_t)json_object_get_string_len(member))
		return error_set(err, EINVAL, "\"%s\" has a NUL byte", key);
	*ret = s;
	return 0;
}

int json_get_i64(struct json_object *o, const char *key, int64_t *ret, struct error **err)
{
	struct json_object *member;
	int r = get(o, key, json_type_int, "a whole number", &member, err);
	if (r < 0)
		return r;
	errno = 0;
	int64_t value = json_object_get_int64(member);
	if (errno == ERANGE)
		return error_set(err, ERANGE, "\"%s\" is too large", key);
	*ret = value;
	return 0;
}

int json_get_u64(struct json_object *o, const char *key, uint64_t *ret, struct error **err)
{
	struct json_object *member;
	int r = get(o, key, json_type_int, "a whole number", &member, err);
	if (r < 0)
		return r;
	if (json_object_get_int64(member) < 0)
		return error_set(err, EINVAL, "\"%s\" must not be negative", key);
	*ret = json_object_get_uint64(member);
	return 0;
}

int json_get_bool(struct json_object *o, const char *key, int *ret, struct error **err)
{
	struct json_object *member;
	int r = get(o, key, json_type_boolean, "true or false", &member, err);
	if (r == 0)
		*ret = json_object_get_boolean(member);
	return r;
}

int json_get_object(struct json_object *o, const char *key, struct json_object **ret, struct error **err)
{
	return get(o, key, json_type_object, "an object", ret, err);
}

int json_get_array(struct json_object *o, const char *key, struct json_object **ret, struct error **err)
{
	return get(o, key, json_type_array, "an array", ret, err);
}

int json_get_strv(struct json_object *o, const char *key, struct strv *ret, struct error **err)
{
	struct json_object *array;
	int r = json_get_array(o, key, &array, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		if (!json_object_is_type(item, json_type_string))
			return error_set(err, EINVAL, "\"%s\" must be an array of strings", key);
		const char *s = json_object_get_string(item);
		if (strlen(s) != (size_t)json_object_get_string_len(item))
			return error_set(err, EINVAL, "\"%s\" has a NUL byte", key);
		strv_add(ret, s);
	}
	return 0;
}

void json_add(struct json_object *o, const char *key, struct json_object *value)
{
	if (json_object_object_add(o, key, value) < 0)
		abort();
}

void json_add_string(struct json_object *o, const char *key, const char *value)
{
	if (value)
		json_add(o, key, json_object_new_string(value));
}

void json_add_string_or_null(struct json_object *o, const char *key, const char *value)
{
	json_add(o, key, value ? json_object_new_string(value) : NULL);
}

void json_add_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_add(o, key, json_object_new_uint64(value));
}

void json_add_i64(struct json_object *o, const char *key, int64_t value)
{
	json_add(o, key, json_object_new_int64(value));
}

void json_add_bool(struct json_object *o, const char *key, int value)
{
	json_add(o, key, json_object_new_boolean(value));
}

void json_add_strv(struct json_object *o, const char *key, const struct strv *v)
{
	struct json_object *array = json_object_new_array();
	for (size_t i = 0; i < v->count; i++)
		json_object_array_add(array, json_object_new_string(v->items[i]));
	json_add(o, key, array);
}

/* json-c breaks the line in an empty array or object: [] and {} are what everybody else prints. In
 * place. */
static void join_empty(char *s)
{
	char *to = s;
	int quoted = 0;
	while (*s) {
		char c = *to++ = *s++;
		if (quoted && c == '\\' && *s)
			*to++ = *s++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == '{')) {
			size_t blanks = strspn(s, " \n");
			if (s[blanks] == (c == '[' ? ']' : '}'))
				s += blanks;
		}
	}
	*to = 0;
}

char *json_to_string(struct json_object *o, int pretty)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
		    (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN);
	char *text = xstrdup(json_object_to_json_string_ext(o, flags));
	if (pretty)
		join_empty(text);
	return text;
}
