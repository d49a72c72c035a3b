/* SPDX-License-Identifier: Apache-2.0
 * Carries out a template's tree. Values are json-c's, reference counted; NULL is null. In a run for
 * headings, each field is the string of its heading instead, whatever its value would be. */
#include "base/template_internal.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"

struct variable {
	const char *name; /* borrowed from the tree; "" is $ */
	struct json_object *value;
};

enum { VARIABLES_MAX = 64 };

struct run {
	struct json_object *whole;
	struct buffer *out;
	int headings;
	struct json_object *given_headings; /* by the names of fields; NULL: all come from the names */
	size_t steps;
	struct variable variables[VARIABLES_MAX];
	size_t variable_count;
	struct error **err;
};

static int run_pipeline(struct run *t, const struct template_pipeline *l, struct json_object *dot,
    struct json_object **ret);

static int step(struct run *t)
{
	if (++t->steps > TEMPLATE_STEPS_MAX)
		return error_set(t->err, E2BIG, "format: it does not end within %d steps", TEMPLATE_STEPS_MAX);
	return 0;
}

/* ---- fields ---- */

/* Whether the names are the same without regard to case, _ and -. */
static int is_alike(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a == '_' || *a == '-')
			a++;
		while (*b == '_' || *b == '-')
			b++;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return 0;
		if (!*a)
			return 1;
	}
}

int template_member(struct json_object *o, const char *name, struct json_object **ret)
{
	if (json_object_object_get_ex(o, name, ret))
		return 1;
	json_object_object_foreach(o, key, value)
	{
		if (!is_alike(key, name))
			continue;
		*ret = value;
		return 1;
	}
	return 0;
}

static int no_field(const struct run *t, const char *name)
{
	enum { NAMED_MAX = 64 };
	AUTO_STRV struct strv names = { 0 };
	json_object_object_foreach(t->whole, key, value)
	{
		(void)value;
		if (names.count < NAMED_MAX)
			strv_add(&names, key);
	}
	AUTOFREE char *list = strv_join(&names, " ");
	return error_set(t->err, EINVAL, "format: there is no field \"%.40s\"; there are: %s", name, list);
}

static struct json_object *mark_heading(struct json_object *o)
{
	json_object_set_userdata(o, TEMPLATE_HEADING, NULL);
	return o;
}

static struct json_object *heading(const struct run *t, const char *name)
{
	struct json_object *given = NULL;
	if (t->given_headings && template_member(t->given_headings, name, &given))
		return mark_heading(json_object_new_string(json_object_get_string(given)));
	AUTOFREE char *s = xmalloc(2 * strlen(name) + 1);
	size_t n = 0;
	for (const char *p = name; *p; p++) {
		if (isupper((unsigned char)*p) && p > name && islower((unsigned char)p[-1]))
			s[n++] = ' ';
		s[n++] = *p == '_' ? ' ' : (char)toupper((unsigned char)*p);
	}
	return mark_heading(json_object_new_string_len(s, (int)n));
}

/* Replaces *value by its field. */
static int enter_field(struct run *t, const char *name, struct json_object **value)
{
	struct json_object *from = *value, *member = NULL;
	if (t->headings) {
		*value = heading(t, name);
	} else if (json_object_is_type(from, json_type_object)) {
		if (!template_member(from, name, &member) && from == t->whole)
			return no_field(t, name);
		*value = json_object_get(member);
	} else if (from) {
		return error_set(t->err, EINVAL, "format: %s has no field \"%.40s\"", template_type_name(from), name);
	}
	if (from)
		json_object_put(from);
	return 0;
}

/* ---- variables ---- */

static int add_variable(struct run *t, const char *name, struct json_object *value)
{
	if (t->variable_count == VARIABLES_MAX)
		return error_set(t->err, E2BIG, "format: more than %d variables", VARIABLES_MAX);
	t->variables[t->variable_count++] = (struct variable){ name, json_object_get(value) };
	return 0;
}

static void drop_variables(struct run *t, size_t count)
{
	while (t->variable_count > count)
		json_object_put(t->variables[--t->variable_count].value);
}

static struct variable *find_variable(struct run *t, const char *name)
{
	for (size_t i = t->variable_count; i > 0; i--)
		if (streq(t->variables[i - 1].name, name))
			return &t->variables[i - 1];
	error_set(t->err, EINVAL, "format: there is no variable \"$%.40s\"", name);
	return NULL;
}

static int set_variable(struct run *t, const char *name, int assigns, struct json_object *value)
{
	if (!assigns)
		return add_variable(t, name, value);
	struct variable *v = find_variable(t, name);
	if (!v)
		return -EINVAL;
	json_object_put(v->value);
	v->value = json_object_get(value);
	return 0;
}

/* ---- values ---- */

/* A function, its arguments, the value that a | hands it (NULL: none), and the dot. */
struct application {
	const struct template_function *function;
	const struct template_operand *arguments;
	struct json_object **piped;
	struct json_object *dot;
};

static int apply(struct run *t, const struct application *a, struct json_object **ret);

static int operand_value(struct run *t, const struct template_operand *o, struct json_object *dot,
    struct json_object **ret)
{
	const struct application alone = { .function = o->function, .dot = dot };
	const struct variable *v;
	switch (o->kind) {
	case OPERAND_LITERAL:
		*ret = json_object_get(o->literal);
		return 0;
	case OPERAND_DOT:
		*ret = json_object_get(dot);
		return 0;
	case OPERAND_VARIABLE:
		v = find_variable(t, o->variable);
		*ret = v ? json_object_get(v->value) : NULL;
		return v ? 0 : -EINVAL;
	case OPERAND_FUNCTION:
		return apply(t, &alone, ret);
	default:
		return run_pipeline(t, o->pipeline, dot, ret);
	}
}

/* *ret is owned, also after an error. */
static int run_operand(struct run *t, const struct template_operand *o, struct json_object *dot,
    struct json_object **ret)
{
	*ret = NULL;
	int r = step(t);
	if (r == 0)
		r = operand_value(t, o, dot, ret);
	for (size_t i = 0; r == 0 && i < o->fields.count; i++)
		r = enter_field(t, o->fields.items[i], ret);
	return r;
}

static int is_heading(struct json_object *o)
{
	return o && json_object_get_userdata(o) == TEMPLATE_HEADING;
}

/* A function of headings is the first heading among its arguments; print and its kind write them
 * all. */
static int call_with_headings(const struct template_function *f, const struct template_call *c,
    struct json_object **ret)
{
	int prints = startswith(f->name, "print") != NULL;
	for (size_t i = 0; i < c->count && !prints; i++) {
		if (!is_heading(c->args[i]))
			continue;
		*ret = json_object_get(c->args[i]);
		return 0;
	}
	int r = f->call(c, ret);
	if (r == 0 && prints)
		json_object_set_userdata(*ret, TEMPLATE_HEADING, NULL);
	return r;
}

/* and, or: the first argument that decides, else the last. Later ones are not looked at. */
static int apply_lazily(struct run *t, const struct application *a, struct json_object **ret)
{
	int decides = streq(a->function->name, "or");
	*ret = NULL;
	for (const struct template_operand *o = a->arguments; o; o = o->next) {
		json_object_put(*ret);
		int r = run_operand(t, o, a->dot, ret);
		if (r < 0 || template_is_true(*ret) == decides)
			return r;
	}
	if (a->piped) {
		json_object_put(*ret);
		*ret = json_object_get(*a->piped);
	}
	if (a->piped || a->arguments)
		return 0;
	return error_set(t->err, EINVAL, "format: %s has no arguments", a->function->name);
}

static int check_count(const struct template_function *f, const struct template_call *c)
{
	if (c->count >= f->least && c->count <= f->most)
		return 0;
	return error_set(c->err, EINVAL, "format: %s has %zu arguments; it takes %zu %s", f->name, c->count,
	    c->count < f->least ? f->least : f->most, c->count < f->least ? "at least" : "at most");
}

static int apply(struct run *t, const struct application *a, struct json_object **ret)
{
	const struct template_function *f = a->function;
	struct template_call c = { .name = f->name, .headings = t->headings, .err = t->err };
	int r = 0;
	*ret = NULL;
	if (!f->call)
		return apply_lazily(t, a, ret);
	for (const struct template_operand *o = a->arguments; r == 0 && o; o = o->next)
		r = run_operand(t, o, a->dot, &c.args[c.count++]);
	if (r == 0 && a->piped)
		c.args[c.count++] = json_object_get(*a->piped);
	if (r == 0)
		r = check_count(f, &c);
	if (r == 0)
		r = t->headings ? call_with_headings(f, &c, ret) : f->call(&c, ret);
	for (size_t i = 0; i < c.count; i++)
		json_object_put(c.args[i]);
	return r;
}

/* .Label "a", a method of docker's rows: the value that the object has for the key, else "". */
static int look_up(struct run *t, const struct template_operand *first, struct json_object *dot,
    struct json_object **ret)
{
	AUTO_JSON struct json_object *object = NULL;
	const char *key = json_object_get_string(first->next->literal);
	struct json_object *found = NULL;
	int r = run_operand(t, first, dot, &object), is_object = json_object_is_type(object, json_type_object);
	if (r < 0)
		return r;
	if (t->headings)
		*ret = mark_heading(json_object_new_string(key));
	else if (object && !is_object)
		return error_set(t->err, EINVAL, "format: %s has no keys", template_type_name(object));
	else if (is_object && json_object_object_get_ex(object, key, &found))
		*ret = json_object_get(found);
	else
		*ret = json_object_new_string("");
	return 0;
}

static int run_command(struct run *t, const struct template_command *c, struct json_object **piped,
    struct json_object *dot, struct json_object **ret)
{
	const struct template_operand *first = c->operands;
	const struct application a = { first->function, first->next, piped, dot };
	*ret = NULL;
	if (first->kind != OPERAND_FUNCTION)
		return first->next ? look_up(t, first, dot, ret) : run_operand(t, first, dot, ret);
	int r = step(t);
	return r < 0 ? r : apply(t, &a, ret);
}

/* The value of a pipeline, owned also after an error. Its variables are set by the caller. */
static int run_pipeline(struct run *t, const struct template_pipeline *l, struct json_object *dot,
    struct json_object **ret)
{
	struct json_object *value = NULL;
	int r = 0;
	for (const struct template_command *c = l->commands; r == 0 && c; c = c->next) {
		struct json_object *next = NULL;
		r = run_command(t, c, c == l->commands ? NULL : &value, dot, &next);
		json_object_put(value);
		value = next;
	}
	*ret = value;
	return r;
}

/* ---- nodes ---- */

static int run_nodes(struct run *t, const struct template_node *n, struct json_object *dot);

static int append(struct run *t, const char *text)
{
	if (text && buffer_append_string(t->out, text) == 0)
		return 0;
	return error_set(t->err, E2BIG, "format: its result is too large");
}

static int run_output(struct run *t, const struct template_node *n, struct json_object *dot)
{
	AUTO_JSON struct json_object *value = NULL;
	const struct template_pipeline *l = n->pipeline;
	int r = run_pipeline(t, l, dot, &value);
	if (r < 0)
		return r;
	if (l->variables[0])
		return set_variable(t, l->variables[0], l->assigns, value);
	AUTOFREE char *text = template_value_text(value);
	return append(t, text);
}

static int run_condition(struct run *t, const struct template_node *n, struct json_object *dot)
{
	AUTO_JSON struct json_object *value = NULL;
	size_t variables = t->variable_count;
	int r = run_pipeline(t, n->pipeline, dot, &value);
	if (r == 0 && n->pipeline->variables[0])
		r = set_variable(t, n->pipeline->variables[0], n->pipeline->assigns, value);
	if (r == 0) {
		int holds = template_is_true(value);
		r = run_nodes(t, holds ? n->body : n->otherwise, holds && n->kind == NODE_WITH ? value : dot);
	}
	drop_variables(t, variables);
	return r;
}

/* One turn of a range: $i, $x or $x. key is taken. */
static int run_turn(struct run *t, const struct template_node *n, struct json_object *key, struct json_object *value)
{
	const struct template_pipeline *l = n->pipeline;
	size_t variables = t->variable_count;
	int r = step(t);
	if (r == 0 && l->variables[0])
		r = set_variable(t, l->variables[0], l->assigns, l->variables[1] ? key : value);
	if (r == 0 && l->variables[1])
		r = set_variable(t, l->variables[1], l->assigns, value);
	if (r == 0)
		r = run_nodes(t, n->body, value);
	drop_variables(t, variables);
	json_object_put(key);
	return r;
}

static int range_object(struct run *t, const struct template_node *n, struct json_object *o)
{
	AUTO_STRV struct strv keys = { 0 };
	int r = 0;
	json_object_object_foreach(o, key, unused)
	{
		(void)unused;
		strv_add(&keys, key);
	}
	strv_sort(&keys);
	for (size_t i = 0; r == 0 && i < keys.count; i++)
		r = run_turn(t, n, json_object_new_string(keys.items[i]), json_object_object_get(o, keys.items[i]));
	return r;
}

static int range_over(struct run *t, const struct template_node *n, struct json_object *value)
{
	int r = 0;
	if (is_heading(value))
		return run_turn(t, n, json_object_new_int64(0), value);
	if (json_object_is_type(value, json_type_object))
		return range_object(t, n, value);
	if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; r == 0 && i < json_object_array_length(value); i++)
			r = run_turn(t, n, json_object_new_int64((int64_t)i), json_object_array_get_idx(value, i));
		return r;
	}
	return error_set(t->err, EINVAL, "format: range goes over a list or an object, not over %s",
	    template_type_name(value));
}

static int run_range(struct run *t, const struct template_node *n, struct json_object *dot)
{
	AUTO_JSON struct json_object *value = NULL;
	int r = run_pipeline(t, n->pipeline, dot, &value);
	if (r < 0)
		return r;
	if (!value || (!template_is_true(value) && !json_object_is_type(value, json_type_string)))
		return run_nodes(t, n->otherwise, dot);
	return range_over(t, n, value);
}

static int run_node(struct run *t, const struct template_node *n, struct json_object *dot)
{
	int r = step(t);
	if (r < 0)
		return r;
	switch (n->kind) {
	case NODE_TEXT:
		return append(t, n->text);
	case NODE_OUTPUT:
		return run_output(t, n, dot);
	case NODE_RANGE:
		return run_range(t, n, dot);
	default:
		return run_condition(t, n, dot);
	}
}

static int run_nodes(struct run *t, const struct template_node *n, struct json_object *dot)
{
	size_t variables = t->variable_count;
	int r = 0;
	for (; r == 0 && n; n = n->next)
		r = run_node(t, n, dot);
	drop_variables(t, variables);
	return r;
}

static int run_whole(const struct template *t, struct run *run, struct json_object *data)
{
	int r = add_variable(run, "", data);
	if (r == 0)
		r = run_nodes(run, t->nodes, data);
	drop_variables(run, 0);
	return r;
}

int template_run(const struct template *t, struct json_object *data, struct buffer *out, struct error **err)
{
	struct run run = { .whole = data, .out = out, .err = err };
	return run_whole(t, &run, data);
}

int template_run_headings(const struct template *t, struct json_object *headings, struct buffer *out,
    struct error **err)
{
	struct run run = { .out = out, .headings = 1, .given_headings = headings, .err = err };
	AUTO_JSON struct json_object *any = heading(&run, "");
	return run_whole(t, &run, any);
}
