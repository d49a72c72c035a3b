/* SPDX-License-Identifier: Apache-2.0
 * From the text of a template to its tree: recursive descent over the text, without tokens between.
 * Each nested block, parenthesis and else counts toward the depth. */
#include "base/template_internal.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"

struct parser {
	const char *at;     /* the next byte */
	const char *action; /* the beginning of the present action, for errors */
	int depth;
	int trim; /* the last action ended in -}}: blanks behind it go */
	struct error **err;
};

enum ending { ENDING_TEXT, ENDING_END, ENDING_ELSE };

static int parse_list(struct parser *p, struct template_node **ret, enum ending *ret_ending);
static int parse_pipeline(struct parser *p, int declares, struct template_pipeline **ret);
static void pipeline_free(struct template_pipeline *l);
static void operand_free(struct template_operand *o);

static int fail(struct parser *p, const char *problem)
{
	return error_set(p->err, EINVAL, "format \"%.40s\": %s", p->action, problem);
}

static int deeper(struct parser *p)
{
	if (++p->depth > TEMPLATE_DEPTH_MAX)
		return error_set(p->err, E2BIG, "format \"%.40s\": more than %d levels", p->action, TEMPLATE_DEPTH_MAX);
	return 0;
}

static int is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static int is_blank(char c)
{
	return c && strchr(" \t\r\n", c);
}

static void skip_blanks(struct parser *p)
{
	while (is_blank(*p->at))
		p->at++;
}

static char *take_word(struct parser *p)
{
	const char *from = p->at;
	while (is_word(*p->at))
		p->at++;
	return xstrndup(from, (size_t)(p->at - from));
}

/* Steps over the word if it is the next one. */
static int skip_word(struct parser *p, const char *word)
{
	const char *rest = startswith(p->at, word);
	if (!rest || is_word(*rest))
		return 0;
	p->at = rest;
	skip_blanks(p);
	return 1;
}

/* The length of what closes the action here: 0 for none. */
static size_t closing(const char *at)
{
	const char *s = at;
	while (is_blank(*s))
		s++;
	if (startswith(s, "-}}") && is_blank(s[-1])) /* {{ at least is before it */
		return (size_t)(s - at) + 3;
	return startswith(s, "}}") ? (size_t)(s - at) + 2 : 0;
}

static int close_action(struct parser *p)
{
	size_t n = closing(p->at);
	if (!n)
		return fail(p, *p->at ? "it has something where }} is expected" : "it has no }}");
	p->at += n;
	p->trim = p->at[-3] == '-';
	return 0;
}

/* ---- operands ---- */

static int parse_fields(struct parser *p, struct strv *ret)
{
	while (p->at[0] == '.' && is_word(p->at[1])) {
		p->at++;
		strv_take(ret, take_word(p));
	}
	return p->at[0] == '.' ? fail(p, "it has a . without a field") : 0;
}

/* "..." with Go's escapes, as far as they are used. */
static int parse_quoted(struct parser *p, struct json_object **ret)
{
	static const char escapes[] = "n\nt\tr\r\\\\\"\"'\'";
	AUTOFREE char *s = xmalloc(strlen(p->at) + 1);
	size_t n = 0;
	for (p->at++; *p->at != '"'; p->at++) {
		if (!*p->at)
			return fail(p, "it has a \" without its second");
		if (*p->at != '\\') {
			s[n++] = *p->at;
			continue;
		}
		const char *known = p->at[1] ? strchr(escapes, *++p->at) : NULL;
		if (!known || (known - escapes) % 2)
			return fail(p, "it has an escape other than \\n \\t \\r \\\\ \\\" \\'");
		s[n++] = known[1];
	}
	p->at++;
	*ret = json_object_new_string_len(s, (int)n);
	return 0;
}

static int parse_raw(struct parser *p, struct json_object **ret)
{
	const char *end = strchr(p->at + 1, '`');
	if (!end)
		return fail(p, "it has a ` without its second");
	*ret = json_object_new_string_len(p->at + 1, (int)(end - p->at - 1));
	p->at = end + 1;
	return 0;
}

static int parse_number(struct parser *p, struct json_object **ret)
{
	char *end, *point_end;
	errno = 0;
	long long n = strtoll(p->at, &end, 10);
	int range = errno;
	double d = strtod(p->at, &point_end);
	if (point_end > end)
		*ret = json_object_new_double(d);
	else if (range)
		return fail(p, "it has a number that is too large");
	else
		*ret = json_object_new_int64(n);
	p->at = MAX(end, point_end);
	return is_word(*p->at) ? fail(p, "it has a bad number") : 0;
}

static int parse_named(struct parser *p, struct template_operand *o)
{
	AUTOFREE char *word = take_word(p);
	if (streq(word, "true") || streq(word, "false"))
		o->literal = json_object_new_boolean(*word == 't');
	if (streq(word, "true") || streq(word, "false") || streq(word, "nil"))
		return 0;
	o->kind = OPERAND_FUNCTION;
	o->function = template_function_find(word);
	if (o->function)
		return 0;
	return error_set(p->err, EINVAL, "format \"%.40s\": there is no function \"%.20s\"; a field is .%.20s",
	    p->action, word, word);
}

static int parse_parentheses(struct parser *p, struct template_operand *o)
{
	int r = deeper(p);
	p->at++;
	o->kind = OPERAND_PIPELINE;
	if (r == 0)
		r = parse_pipeline(p, 0, &o->pipeline);
	if (r < 0)
		return r;
	p->depth--;
	skip_blanks(p);
	if (*p->at != ')')
		return fail(p, "it has a ( without its )");
	p->at++;
	return parse_fields(p, &o->fields);
}

static int parse_operand_into(struct parser *p, struct template_operand *o)
{
	char c = *p->at;
	if (c == '"')
		return parse_quoted(p, &o->literal);
	if (c == '`')
		return parse_raw(p, &o->literal);
	if (c == '(')
		return parse_parentheses(p, o);
	if (c == '.') {
		o->kind = OPERAND_DOT;
		if (is_word(p->at[1]))
			return parse_fields(p, &o->fields);
		p->at++;
		return 0;
	}
	if (c == '$') {
		p->at++;
		o->kind = OPERAND_VARIABLE;
		o->variable = take_word(p);
		return parse_fields(p, &o->fields);
	}
	if (isdigit((unsigned char)c) || ((c == '-' || c == '+') && isdigit((unsigned char)p->at[1])))
		return parse_number(p, &o->literal);
	if (is_word(c))
		return parse_named(p, o);
	return fail(p, c ? "it has a character that has no meaning there" : "it has no }}");
}

static int parse_operand(struct parser *p, struct template_operand **ret)
{
	struct template_operand *o = xnew(struct template_operand);
	*ret = o; /* freed with the tree also when it is not whole */
	return parse_operand_into(p, o);
}

/* ---- pipelines ---- */

static int at_end_of_command(struct parser *p)
{
	skip_blanks(p);
	return !*p->at || *p->at == '|' || *p->at == ')' || startswith(p->at, "}}") ||
	       (startswith(p->at, "-}}") && is_blank(p->at[-1]));
}

/* .Label "a" */
static int is_look_up(const struct template_operand *first)
{
	const struct template_operand *key = first->next;
	return first->kind == OPERAND_DOT && first->fields.count && key->kind == OPERAND_LITERAL &&
	       json_object_is_type(key->literal, json_type_string) && !key->fields.count && !key->next;
}

static int parse_command(struct parser *p, struct template_command **ret)
{
	size_t count = 0;
	struct template_command *c = *ret = xnew(struct template_command);
	for (struct template_operand **end = &c->operands; !at_end_of_command(p); end = &(*end)->next) {
		if (++count >= TEMPLATE_ARGUMENTS_MAX)
			return fail(p, "it has too many arguments");
		if (c->operands && !is_blank(p->at[-1]) && p->at[-1] != ')')
			return fail(p, "it has two words without a blank between");
		int r = parse_operand(p, end);
		if (r < 0)
			return r;
	}
	if (!c->operands)
		return fail(p, *p->at ? "it has no value" : "it has no }}");
	if (c->operands->next && c->operands->kind != OPERAND_FUNCTION && !is_look_up(c->operands))
		return fail(p, "it has arguments behind something that is no function");
	return 0;
}

/* $a := ..., $a = ..., $i, $x := ...; nothing if there is no such thing here. */
static int parse_declaration(struct parser *p, int most, struct template_pipeline *l)
{
	const char *start = p->at;
	AUTOFREE char *first = NULL, *second = NULL;
	if (*p->at != '$')
		return 0;
	p->at++;
	first = take_word(p);
	skip_blanks(p);
	if (most == 2 && p->at[0] == ',') {
		p->at++;
		skip_blanks(p);
		if (*p->at++ != '$')
			return fail(p, "it has a , without a second variable");
		second = take_word(p);
		skip_blanks(p);
	}
	const char *rest = startswith(p->at, ":=");
	l->assigns = !rest && p->at[0] == '=';
	if (!rest && !l->assigns) {
		p->at = start;
		return second ? fail(p, "it has two variables without :=") : 0;
	}
	if (!*first || (second && !*second))
		return fail(p, "it has a variable without a name");
	p->at = rest ? rest : p->at + 1;
	l->variables[0] = TAKE_PTR(first);
	l->variables[1] = TAKE_PTR(second);
	return 0;
}

/* declares: how many variables it may declare. */
static int parse_pipeline(struct parser *p, int declares, struct template_pipeline **ret)
{
	struct template_pipeline *l = *ret = xnew(struct template_pipeline);
	skip_blanks(p);
	int r = declares ? parse_declaration(p, declares, l) : 0;
	for (struct template_command **end = &l->commands; r == 0; end = &(*end)->next) {
		r = parse_command(p, end);
		if (r == 0 && end != &l->commands && (*end)->operands->kind != OPERAND_FUNCTION)
			r = fail(p, "it has a | without a function behind it");
		if (r < 0 || *p->at != '|')
			break;
		p->at++;
	}
	return r;
}

/* ---- nodes ---- */

/* The text up to the next action, with \t and \n as people write them in a shell's quotes. */
static void parse_text(struct parser *p, struct template_node *n)
{
	const char *end = strstr(p->at, "{{");
	size_t size = end ? (size_t)(end - p->at) : strlen(p->at), length = 0;
	n->text = xmalloc(size + 1);
	for (size_t i = 0; i < size; i++) {
		char c = p->at[i], next = i + 1 < size ? p->at[i + 1] : 0;
		int escape = c == '\\' && (next == 't' || next == 'n');
		n->text[length++] = escape ? (next == 't' ? '\t' : '\n') : c;
		i += escape;
	}
	n->text[length] = 0;
	p->at += size;
	size_t front = p->trim ? strspn(n->text, " \t\r\n") : 0;
	memmove(n->text, n->text + front, length - front + 1);
	length -= front;
	if (end && end[2] == '-' && is_blank(end[3]))
		while (length > 0 && is_blank(n->text[length - 1]))
			n->text[--length] = 0;
	p->trim = 0;
}

/* Steps over {{ or {{-, and blanks. */
static void open_action(struct parser *p)
{
	p->action = p->at;
	p->at += 2;
	if (p->at[0] == '-' && is_blank(p->at[1]))
		p->at++;
	skip_blanks(p);
}

static int skip_comment(struct parser *p)
{
	const char *end = strstr(p->at + 2, "*/");
	if (!end)
		return fail(p, "it has a comment without its end");
	p->at = end + 2;
	return close_action(p);
}

static int parse_block(struct parser *p, enum template_node_kind kind, struct template_node *n);

/* The rest of {{else: }} and nodes, or another block that the same {{end}} ends. */
static int parse_else(struct parser *p, struct template_node *n)
{
	enum ending ending;
	int is_if = skip_word(p, "if");
	if (is_if || skip_word(p, "with")) {
		n->otherwise = xnew(struct template_node);
		return parse_block(p, is_if ? NODE_IF : NODE_WITH, n->otherwise);
	}
	int r = close_action(p);
	if (r == 0)
		r = parse_list(p, &n->otherwise, &ending);
	if (r == 0 && ending != ENDING_END)
		r = fail(p, ending == ENDING_ELSE ? "it is a second else" : "it has no {{end}}");
	return r;
}

static int parse_block(struct parser *p, enum template_node_kind kind, struct template_node *n)
{
	enum ending ending;
	const char *action = p->action;
	n->kind = kind;
	int r = deeper(p);
	if (r == 0)
		r = parse_pipeline(p, kind == NODE_RANGE ? 2 : 1, &n->pipeline);
	if (r == 0)
		r = close_action(p);
	if (r == 0)
		r = parse_list(p, &n->body, &ending);
	if (r == 0 && ending == ENDING_TEXT) {
		p->action = action;
		r = fail(p, "it has no {{end}}");
	}
	if (r == 0 && ending == ENDING_ELSE)
		r = parse_else(p, n);
	p->depth--;
	return r;
}

static int parse_action(struct parser *p, struct template_node *n, enum ending *ret_ending)
{
	static const struct {
		const char *word;
		enum template_node_kind kind;
	} blocks[] = { { "if", NODE_IF }, { "with", NODE_WITH }, { "range", NODE_RANGE } };
	if (startswith(p->at, "/*"))
		return skip_comment(p);
	if (skip_word(p, "end")) {
		*ret_ending = ENDING_END;
		return close_action(p);
	}
	if (skip_word(p, "else")) {
		*ret_ending = ENDING_ELSE; /* parse_else() goes on here */
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		if (skip_word(p, blocks[i].word))
			return parse_block(p, blocks[i].kind, n);
	n->kind = NODE_OUTPUT;
	int r = parse_pipeline(p, 1, &n->pipeline);
	return r < 0 ? r : close_action(p);
}

/* Reads nodes up to the end of the text, {{end}}, or {{else. */
static int parse_list(struct parser *p, struct template_node **ret, enum ending *ret_ending)
{
	struct template_node **end = ret;
	*ret_ending = ENDING_TEXT;
	while (*p->at) {
		struct template_node *n = *end = xnew(struct template_node);
		end = &n->next;
		if (!startswith(p->at, "{{")) {
			parse_text(p, n);
			continue;
		}
		n->text = xstrdup(""); /* a comment, end and else leave an empty text */
		open_action(p);
		p->trim = 0;
		int r = parse_action(p, n, ret_ending);
		if (r < 0 || *ret_ending != ENDING_TEXT)
			return r;
	}
	return 0;
}

int template_parse(const char *text, struct template **ret, struct error **err)
{
	CLEANUP(template_freep) struct template *t = xnew(struct template);
	struct parser p = { .at = text, .action = text, .err = err };
	enum ending ending;
	if (strlen(text) > TEMPLATE_TEXT_MAX)
		return error_set(err, E2BIG, "format: more than %d bytes", TEMPLATE_TEXT_MAX);
	int r = parse_list(&p, &t->nodes, &ending);
	if (r == 0 && ending != ENDING_TEXT)
		r = fail(&p, "there is no block that it could belong to");
	if (r == 0)
		*ret = TAKE_PTR(t);
	return r;
}

/* ---- the end ---- */

static void operand_free(struct template_operand *o)
{
	for (struct template_operand *next; o; o = next) {
		next = o->next;
		json_object_put(o->literal);
		free(o->variable);
		pipeline_free(o->pipeline);
		strv_done(&o->fields);
		free(o);
	}
}

static void pipeline_free(struct template_pipeline *l)
{
	if (!l)
		return;
	for (struct template_command *c = l->commands, *next; c; c = next) {
		next = c->next;
		operand_free(c->operands);
		free(c);
	}
	free(l->variables[0]);
	free(l->variables[1]);
	free(l);
}

static void nodes_free(struct template_node *n)
{
	for (struct template_node *next; n; n = next) {
		next = n->next;
		free(n->text);
		pipeline_free(n->pipeline);
		nodes_free(n->body);
		nodes_free(n->otherwise);
		free(n);
	}
}

void template_free(struct template *t)
{
	if (!t)
		return;
	nodes_free(t->nodes);
	free(t);
}
