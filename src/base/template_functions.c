/* SPDX-License-Identifier: Apache-2.0
 * The functions of templates: Go's own, those of `docker --format`, and size. */
#include "base/template_internal.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/printable.h"

/* ---- values ---- */

const char *template_type_name(const struct json_object *o)
{
	static const char *const names[] = { [json_type_null] = "null",
		[json_type_boolean] = "a truth value",
		[json_type_double] = "a number",
		[json_type_int] = "a number",
		[json_type_object] = "an object",
		[json_type_array] = "a list",
		[json_type_string] = "a string" };
	return names[json_object_get_type(o)];
}

int template_is_true(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_boolean:
	case json_type_int:
		return json_object_get_int64(o) != 0;
	case json_type_double:
		return json_object_get_double(o) != 0;
	case json_type_string:
		return json_object_get_string_len(o) > 0;
	case json_type_array:
		return json_object_array_length(o) > 0;
	case json_type_object:
		return json_object_object_length(o) > 0;
	default:
		return 0;
	}
}

static int append_value(struct buffer *b, struct json_object *o, int depth);

static int append_array(struct buffer *b, struct json_object *o, int depth)
{
	int r = buffer_append_string(b, "[");
	for (size_t i = 0; r == 0 && i < json_object_array_length(o); i++) {
		r = i ? buffer_append_string(b, " ") : 0;
		if (r == 0)
			r = append_value(b, json_object_array_get_idx(o, i), depth + 1);
	}
	return r < 0 ? r : buffer_append_string(b, "]");
}

static int append_object(struct buffer *b, struct json_object *o, int depth)
{
	AUTO_STRV struct strv keys = { 0 };
	json_object_object_foreach(o, key, unused)
	{
		(void)unused;
		strv_add(&keys, key);
	}
	strv_sort(&keys);
	int r = buffer_append_string(b, "map[");
	for (size_t i = 0; r == 0 && i < keys.count; i++) {
		r = buffer_appendf(b, "%s%s:", i ? " " : "", keys.items[i]);
		if (r == 0)
			r = append_value(b, json_object_object_get(o, keys.items[i]), depth + 1);
	}
	return r < 0 ? r : buffer_append_string(b, "]");
}

static int append_value(struct buffer *b, struct json_object *o, int depth)
{
	switch (json_object_get_type(o)) {
	case json_type_null:
		return buffer_append_string(b, depth ? "<nil>" : "<no value>");
	case json_type_string:
		return buffer_append(b, json_object_get_string(o), (size_t)json_object_get_string_len(o));
	case json_type_double:
		return buffer_appendf(b, "%.12g", json_object_get_double(o));
	case json_type_array:
		return append_array(b, o, depth);
	case json_type_object:
		return append_object(b, o, depth);
	default:
		return buffer_append_string(b, json_object_get_string(o));
	}
}

char *template_value_text(struct json_object *o)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, TEMPLATE_STRING_MAX);
	return append_value(&b, o, 0) == 0 ? buffer_take_string(&b) : NULL;
}

int template_string(const struct template_call *c, const char *s, size_t size, struct json_object **ret)
{
	if (!s || size > TEMPLATE_STRING_MAX)
		return error_set(c->err, E2BIG, "format: %s makes more than %d bytes", c->name, TEMPLATE_STRING_MAX);
	*ret = json_object_new_string_len(s, (int)size);
	return 0;
}

static int take_string(const struct template_call *c, char *s, struct json_object **ret)
{
	AUTOFREE char *owned = s;
	return template_string(c, owned, owned ? strlen(owned) : 0, ret);
}

static int bad_argument(const struct template_call *c, size_t i, const char *wanted)
{
	return error_set(c->err, EINVAL, "format: %s takes %s, not %s", c->name, wanted,
	    template_type_name(c->args[i]));
}

/* Null is an empty string, so that a missing value does no harm. */
static int string_of(const struct template_call *c, size_t i, const char **ret)
{
	if (c->args[i] && !json_object_is_type(c->args[i], json_type_string))
		return bad_argument(c, i, "a string");
	*ret = c->args[i] ? json_object_get_string(c->args[i]) : "";
	return 0;
}

static int integer_of(const struct template_call *c, size_t i, int64_t *ret)
{
	if (!json_object_is_type(c->args[i], json_type_int))
		return bad_argument(c, i, "a whole number");
	*ret = json_object_get_int64(c->args[i]);
	return 0;
}

/* ---- strings ---- */

static int call_json(const struct template_call *c, struct json_object **ret)
{
	AUTOFREE char *text = json_to_string(c->args[0], 0);
	return take_string(c, printable_json(text), ret);
}

static int change_letters(const struct template_call *c, int (*change)(int), struct json_object **ret)
{
	const char *s;
	int r = string_of(c, 0, &s);
	if (r < 0)
		return r;
	AUTOFREE char *copy = xstrdup(s);
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p < 0x80)
			*p = (char)change(*p);
	return template_string(c, copy, strlen(copy), ret);
}

static int call_upper(const struct template_call *c, struct json_object **ret)
{
	return change_letters(c, toupper, ret);
}

static int call_lower(const struct template_call *c, struct json_object **ret)
{
	return change_letters(c, tolower, ret);
}

static int call_title(const struct template_call *c, struct json_object **ret)
{
	const char *s;
	int r = string_of(c, 0, &s);
	if (r < 0)
		return r;
	AUTOFREE char *copy = xstrdup(s);
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p < 0x80 && (p == copy || p[-1] == ' '))
			*p = (char)toupper(*p);
	return template_string(c, copy, strlen(copy), ret);
}

static int call_join(const struct template_call *c, struct json_object **ret)
{
	AUTO_BUFFER struct buffer b;
	const char *separator;
	buffer_init(&b, TEMPLATE_STRING_MAX);
	int r = string_of(c, 1, &separator);
	if (r < 0)
		return r;
	if (c->args[0] && !json_object_is_type(c->args[0], json_type_array))
		return bad_argument(c, 0, "a list");
	for (size_t i = 0; r == 0 && c->args[0] && i < json_object_array_length(c->args[0]); i++) {
		AUTOFREE char *text = template_value_text(json_object_array_get_idx(c->args[0], i));
		r = text ? buffer_appendf(&b, "%s%s", i ? separator : "", text) : -ENOBUFS;
	}
	return take_string(c, r < 0 ? NULL : buffer_take_string(&b), ret);
}

static int call_split(const struct template_call *c, struct json_object **ret)
{
	const char *s, *separator;
	int r = string_of(c, 0, &s);
	if (r == 0)
		r = string_of(c, 1, &separator);
	if (r < 0)
		return r;
	*ret = json_object_new_array();
	const size_t width = strlen(separator);
	for (const char *next; *s || !width; s = next + width) {
		next = width ? strstr(s, separator) : *s ? s + 1 : NULL;
		if (!next)
			break;
		json_object_array_add(*ret, json_object_new_string_len(s, (int)(next - s)));
	}
	if (width)
		json_object_array_add(*ret, json_object_new_string(s));
	return 0;
}

static int call_truncate(const struct template_call *c, struct json_object **ret)
{
	const char *s;
	int64_t most;
	int r = string_of(c, 0, &s);
	if (r == 0)
		r = integer_of(c, 1, &most);
	if (r < 0)
		return r;
	size_t n = MIN(strlen(s), (size_t)MAX(most, 0));
	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return template_string(c, s, n, ret);
}

static int call_size(const struct template_call *c, struct json_object **ret)
{
	int64_t n = 0;
	int r = c->args[0] ? integer_of(c, 0, &n) : template_string(c, "-", 1, ret);
	if (r < 0 || !c->args[0])
		return r;
	return take_string(c, format_size((uint64_t)MAX(n, 0)), ret);
}

/* print: the values, with a blank between two of which none is a string; println: always. */
static int print_values(const struct template_call *c, int line, struct json_object **ret)
{
	AUTO_BUFFER struct buffer b;
	int r = 0;
	buffer_init(&b, TEMPLATE_STRING_MAX);
	for (size_t i = 0; r == 0 && i < c->count; i++) {
		int strings = i > 0 && (json_object_is_type(c->args[i], json_type_string) ||
					   json_object_is_type(c->args[i - 1], json_type_string));
		AUTOFREE char *text = template_value_text(c->args[i]);
		r = text ? buffer_appendf(&b, "%s%s", i > 0 && (line || !strings) ? " " : "", text) : -ENOBUFS;
	}
	if (r == 0 && line)
		r = buffer_append_string(&b, "\n");
	return take_string(c, r < 0 ? NULL : buffer_take_string(&b), ret);
}

static int call_print(const struct template_call *c, struct json_object **ret)
{
	return print_values(c, 0, ret);
}

static int call_println(const struct template_call *c, struct json_object **ret)
{
	return print_values(c, 1, ret);
}

/* ---- parts of values ---- */

static int call_len(const struct template_call *c, struct json_object **ret)
{
	struct json_object *o = c->args[0];
	size_t n = 0;
	if (json_object_is_type(o, json_type_string))
		n = (size_t)json_object_get_string_len(o);
	else if (json_object_is_type(o, json_type_array))
		n = json_object_array_length(o);
	else if (json_object_is_type(o, json_type_object))
		n = (size_t)json_object_object_length(o);
	else if (o)
		return bad_argument(c, 0, "a string, a list or an object");
	*ret = json_object_new_int64((int64_t)n);
	return 0;
}

/* One step of index: *o is borrowed. */
static int index_once(const struct template_call *c, size_t i, struct json_object **o)
{
	struct json_object *from = *o;
	*o = NULL;
	if (json_object_is_type(from, json_type_object)) {
		const char *key;
		int r = string_of(c, i, &key);
		if (r == 0)
			template_member(from, key, o);
		return r;
	}
	if (json_object_is_type(from, json_type_array)) {
		int64_t at, count = (int64_t)json_object_array_length(from);
		int r = integer_of(c, i, &at);
		if (r == 0 && (at < 0 || at >= count))
			r = error_set(c->err, EINVAL, "format: index %lld of a list of %lld", (long long)at,
			    (long long)count);
		if (r == 0)
			*o = json_object_array_get_idx(from, (size_t)at);
		return r;
	}
	if (!from)
		return 0;
	return error_set(c->err, EINVAL, "format: index takes a list or an object, not %s", template_type_name(from));
}

/* Whether an object has strings alone: then what it lacks is an empty string, as in Go's maps of
 * strings, which labels are. */
static int has_strings(struct json_object *o)
{
	json_object_object_foreach(o, key, value)
	{
		(void)key;
		if (!json_object_is_type(value, json_type_string))
			return 0;
	}
	return 1;
}

static int call_index(const struct template_call *c, struct json_object **ret)
{
	struct json_object *o = c->args[0];
	int r = 0;
	for (size_t i = 1; r == 0 && i < c->count; i++) {
		struct json_object *from = o;
		r = index_once(c, i, &o);
		if (r == 0 && !o && i + 1 == c->count && json_object_is_type(from, json_type_object) &&
		    has_strings(from)) {
			*ret = json_object_new_string("");
			return 0;
		}
	}
	if (r == 0)
		*ret = json_object_get(o);
	return r;
}

/* slice X [FROM [TO]] of a string or a list. */
static int call_slice(const struct template_call *c, struct json_object **ret)
{
	struct json_object *o = c->args[0];
	int is_list = json_object_is_type(o, json_type_array);
	if (!is_list && !json_object_is_type(o, json_type_string))
		return bad_argument(c, 0, "a string or a list");
	int64_t size = is_list ? (int64_t)json_object_array_length(o) : json_object_get_string_len(o);
	int64_t from = 0, to = size;
	int r = c->count > 1 ? integer_of(c, 1, &from) : 0;
	if (r == 0 && c->count > 2)
		r = integer_of(c, 2, &to);
	if (r < 0)
		return r;
	if (from < 0 || to < from || to > size)
		return error_set(c->err, EINVAL, "format: slice %lld to %lld of %lld", (long long)from, (long long)to,
		    (long long)size);
	if (!is_list)
		return template_string(c, json_object_get_string(o) + from, (size_t)(to - from), ret);
	*ret = json_object_new_array();
	for (; from < to; from++)
		json_object_array_add(*ret, json_object_get(json_object_array_get_idx(o, (size_t)from)));
	return 0;
}

/* ---- comparisons ---- */

static int is_number(const struct json_object *o)
{
	return json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double);
}

static int is_exact(const struct json_object *o)
{
	return json_object_is_type(o, json_type_int);
}

/* -1, 0, 1 into *ret. Null is equal to null alone, and less than all else. */
static int compare(const struct template_call *c, size_t i, size_t j, int *ret)
{
	struct json_object *a = c->args[i], *b = c->args[j];
	if (!a || !b) {
		*ret = (a != NULL) - (b != NULL);
	} else if (is_exact(a) && is_exact(b)) {
		int64_t x = json_object_get_int64(a), y = json_object_get_int64(b);
		*ret = (x > y) - (x < y);
	} else if (is_number(a) && is_number(b)) {
		double x = json_object_get_double(a), y = json_object_get_double(b);
		*ret = (x > y) - (x < y);
	} else if (json_object_get_type(a) != json_object_get_type(b)) {
		return error_set(c->err, EINVAL, "format: %s compares %s with %s", c->name, template_type_name(a),
		    template_type_name(b));
	} else if (json_object_is_type(a, json_type_string) || json_object_is_type(a, json_type_boolean)) {
		*ret = strcmp(json_object_get_string(a), json_object_get_string(b));
	} else {
		return bad_argument(c, i, "strings and numbers");
	}
	return 0;
}

static int order(const struct template_call *c, int (*holds)(int), struct json_object **ret)
{
	int result = 0, r = compare(c, 0, 1, &result);
	if (r == 0)
		*ret = json_object_new_boolean(holds(result));
	return r;
}

/* eq a b c...: a is one of the others. */
static int call_eq(const struct template_call *c, struct json_object **ret)
{
	int found = 0;
	for (size_t i = 1; i < c->count && !found; i++) {
		int result = 0, r = compare(c, 0, i, &result);
		if (r < 0)
			return r;
		found = result == 0;
	}
	*ret = json_object_new_boolean(found);
	return 0;
}

#define COMPARISON(name, sign)                                                                                         \
	static int holds_##name(int n)                                                                                 \
	{                                                                                                              \
		return n sign 0;                                                                                       \
	}                                                                                                              \
	static int call_##name(const struct template_call *c, struct json_object **ret)                                \
	{                                                                                                              \
		return order(c, holds_##name, ret);                                                                    \
	}
COMPARISON(ne, !=)
COMPARISON(lt, <)
COMPARISON(le, <=)
COMPARISON(gt, >)
COMPARISON(ge, >=)

static int call_not(const struct template_call *c, struct json_object **ret)
{
	*ret = json_object_new_boolean(!template_is_true(c->args[0]));
	return 0;
}

/* ---- the table ---- */

static const struct template_function functions[] = {
	{ "and", 1, TEMPLATE_ARGUMENTS_MAX, NULL },
	{ "or", 1, TEMPLATE_ARGUMENTS_MAX, NULL },
	{ "not", 1, 1, call_not },
	{ "eq", 2, TEMPLATE_ARGUMENTS_MAX, call_eq },
	{ "ne", 2, 2, call_ne },
	{ "lt", 2, 2, call_lt },
	{ "le", 2, 2, call_le },
	{ "gt", 2, 2, call_gt },
	{ "ge", 2, 2, call_ge },
	{ "index", 1, TEMPLATE_ARGUMENTS_MAX, call_index },
	{ "slice", 1, 3, call_slice },
	{ "len", 1, 1, call_len },
	{ "json", 1, 1, call_json },
	{ "join", 2, 2, call_join },
	{ "split", 2, 2, call_split },
	{ "upper", 1, 1, call_upper },
	{ "lower", 1, 1, call_lower },
	{ "title", 1, 1, call_title },
	{ "truncate", 2, 2, call_truncate },
	{ "size", 1, 1, call_size },
	{ "print", 0, TEMPLATE_ARGUMENTS_MAX, call_print },
	{ "println", 0, TEMPLATE_ARGUMENTS_MAX, call_println },
	{ "printf", 1, TEMPLATE_ARGUMENTS_MAX, template_printf },
};

const struct template_function *template_function_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (streq(functions[i].name, name))
			return &functions[i];
	return NULL;
}
