/* SPDX-License-Identifier: Apache-2.0
 * printf of templates: Go's verbs %v %s %q %d %x %X %o %f %e %g %t %%, with - + 0 # and blank,
 * width and precision. The host's printf never sees the format that a person wrote: each verb is
 * built from its checked parts. */
#include "base/template_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"

enum { WIDTH_MAX = 1000 };

struct verb {
	char flags[8];
	int width, precision; /* precision -1: none */
	char letter;
};

/* ---- reading ---- */

static int parse_amount(const char **at, int *ret)
{
	int n = 0;
	for (; isdigit((unsigned char)**at); (*at)++) {
		n = 10 * n + (**at - '0');
		if (n > WIDTH_MAX)
			return -E2BIG;
	}
	*ret = n;
	return 0;
}

/* Reads what stands behind a %. */
static int parse_verb(const char **at, struct verb *ret)
{
	size_t flags = 0;
	*ret = (struct verb){ .precision = -1 };
	for (; **at && strchr("-+0# ", **at); (*at)++)
		if (!strchr(ret->flags, **at) && flags + 1 < sizeof ret->flags)
			ret->flags[flags++] = **at;
	int r = parse_amount(at, &ret->width);
	if (r == 0 && **at == '.') {
		(*at)++;
		r = parse_amount(at, &ret->precision);
	}
	ret->letter = **at;
	*at += **at != 0;
	return r;
}

/* ---- writing ---- */

static size_t characters(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static int append_padded(struct buffer *b, const struct verb *v, const char *s)
{
	size_t n = characters(s), blanks = n < (size_t)v->width ? (size_t)v->width - n : 0;
	int left = strchr(v->flags, '-') != NULL;
	int r = left ? buffer_append_string(b, s) : 0;
	for (; r == 0 && blanks > 0; blanks--)
		r = buffer_append_string(b, " ");
	return r < 0 || left ? r : buffer_append_string(b, s);
}

/* Any value as text; the precision is the most characters of it. */
static int append_text(struct buffer *b, const struct verb *v, struct json_object *o)
{
	AUTOFREE char *s = template_value_text(o);
	if (!s)
		return -ENOBUFS;
	size_t end = 0;
	for (int n = 0; v->precision >= 0 && s[end]; end++) {
		n += ((unsigned char)s[end] & 0xc0) != 0x80;
		if (n > v->precision)
			break;
	}
	if (v->precision >= 0)
		s[end] = 0;
	return append_padded(b, v, s);
}

static int append_quoted(struct buffer *b, const struct verb *v, struct json_object *o)
{
	AUTOFREE char *s = template_value_text(o);
	if (!s)
		return -ENOBUFS;
	AUTO_JSON struct json_object *string = json_object_new_string(s);
	AUTOFREE char *quoted = json_to_string(string, 0);
	return append_padded(b, v, quoted);
}

/* A number by the C library, whose format is built here of checked parts. */
static int append_number(struct buffer *b, const struct verb *v, struct json_object *o, int whole)
{
	char format[48], precision[16] = "";
	if (v->precision >= 0)
		snprintf(precision, sizeof precision, ".%d", v->precision);
	snprintf(format, sizeof format, "%%%s%.0d%s%s%c", v->flags, v->width, precision, whole ? "ll" : "", v->letter);
	AUTOFREE char *text = NULL;
	if (whole)
		text = xasprintf(format, (long long)json_object_get_int64(o));
	else
		text = xasprintf(format, json_object_get_double(o));
	return buffer_append_string(b, text);
}

static int is_number(const struct json_object *o)
{
	return json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double);
}

/* -EINVAL: the verb does not take such a value. */
static int append_verb(struct buffer *b, const struct verb *v, struct json_object *o)
{
	int is_whole = json_object_is_type(o, json_type_int);
	switch (v->letter) {
	case 'v':
	case 's':
		return append_text(b, v, o);
	case 'q':
		return append_quoted(b, v, o);
	case 't':
		return json_object_is_type(o, json_type_boolean) ? append_text(b, v, o) : -EINVAL;
	case 'd':
	case 'x':
	case 'X':
	case 'o':
		return is_whole ? append_number(b, v, o, 1) : -EINVAL;
	case 'f':
	case 'e':
	case 'g':
		return is_number(o) ? append_number(b, v, o, 0) : -EINVAL;
	default:
		return -EINVAL;
	}
}

/* One % of the format; *used counts the arguments. */
static int print_verb(const struct template_call *c, const char **at, size_t *used, struct buffer *b)
{
	struct verb v;
	int r = parse_verb(at, &v);
	if (r < 0 || !v.letter)
		return error_set(c->err, EINVAL, "format: printf has a bad %%");
	if (v.letter == '%')
		return buffer_append_string(b, "%");
	if (*used >= c->count)
		return error_set(c->err, EINVAL, "format: printf has more %% than values");
	struct json_object *o = c->args[(*used)++];
	r = c->headings ? append_text(b, &(struct verb){ .precision = -1 }, o) : append_verb(b, &v, o);
	if (r == -EINVAL)
		return error_set(c->err, EINVAL, "format: printf has %%%c for %s", v.letter, template_type_name(o));
	return r;
}

int template_printf(const struct template_call *c, struct json_object **ret)
{
	AUTO_BUFFER struct buffer b;
	size_t used = 1;
	int r = 0;
	buffer_init(&b, TEMPLATE_STRING_MAX);
	if (!json_object_is_type(c->args[0], json_type_string))
		return error_set(c->err, EINVAL, "format: printf takes a format first");
	for (const char *at = json_object_get_string(c->args[0]); r == 0 && *at;) {
		size_t n = strcspn(at, "%");
		r = buffer_append(&b, at, n);
		at += n;
		if (r == 0 && *at && at++)
			r = print_verb(c, &at, &used, &b);
	}
	if (r == 0 && used < c->count)
		return error_set(c->err, EINVAL, "format: printf has more values than %%");
	if (r == -EINVAL)
		return r;
	return template_string(c, r < 0 ? NULL : buffer_string(&b), b.size, ret);
}
