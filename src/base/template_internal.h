/* SPDX-License-Identifier: Apache-2.0
 * The tree of a template, shared by the parser, the evaluation and the functions. */
#pragma once

#include "base/template.h"

enum {
	TEMPLATE_TEXT_MAX = 64 * 1024,
	TEMPLATE_DEPTH_MAX = 32,          /* of blocks and parentheses, together */
	TEMPLATE_STEPS_MAX = 1000 * 1000, /* nodes and operands that a run may come to */
	TEMPLATE_STRING_MAX = 1 << 20,    /* bytes of one value */
	TEMPLATE_ARGUMENTS_MAX = 32,
};

/* The mark (json_object_set_userdata()) of strings that are headings. */
#define TEMPLATE_HEADING ((void *)1)

struct template_pipeline;
struct template_function;

enum template_operand_kind { OPERAND_LITERAL, OPERAND_DOT, OPERAND_VARIABLE, OPERAND_FUNCTION, OPERAND_PIPELINE };

struct template_operand {
	struct template_operand *next;
	enum template_operand_kind kind;
	struct json_object *literal;
	char *variable; /* without $ */
	const struct template_function *function;
	struct template_pipeline *pipeline;
	struct strv fields; /* .a.b behind it */
};

struct template_command {
	struct template_command *next;
	struct template_operand *operands;
};

struct template_pipeline {
	char *variables[2]; /* $a, $b := ...; NULL: none. b only for range */
	int assigns;        /* = instead of := */
	struct template_command *commands;
};

enum template_node_kind { NODE_TEXT, NODE_OUTPUT, NODE_IF, NODE_WITH, NODE_RANGE };

struct template_node {
	struct template_node *next;
	enum template_node_kind kind;
	char *text;
	struct template_pipeline *pipeline;
	struct template_node *body, *otherwise;
};

struct template
{
	struct template_node *nodes;
};

/* ---- functions ---- */

struct template_call {
	const char *name;
	struct json_object *args[TEMPLATE_ARGUMENTS_MAX]; /* NULL: null */
	size_t count;
	int headings; /* fields are headings: no value has its type */
	struct error **err;
};

struct template_function {
	const char *name;
	size_t least, most; /* arguments */
	/* *ret is owned; NULL is null. 0 or -errno. NULL for `and` and `or`, which look at no more
	 * arguments than they need. */
	int (*call)(const struct template_call *c, struct json_object **ret);
};

const struct template_function *template_function_find(const char *name); /* or NULL */
/* Finds a member by its exact name, else by a name that is alike: *ret is borrowed. 0: none. */
int template_member(struct json_object *o, const char *name, struct json_object **ret);
int template_is_true(struct json_object *o);
/* A value as Go's %v has it; owned. NULL: past TEMPLATE_STRING_MAX. */
char *template_value_text(struct json_object *o);
const char *template_type_name(const struct json_object *o); /* "a string" */
/* Writes the arguments by the format, which is the first of them. */
int template_printf(const struct template_call *c, struct json_object **ret);
/* A string value; -E2BIG past TEMPLATE_STRING_MAX. */
int template_string(const struct template_call *c, const char *s, size_t size, struct json_object **ret);
