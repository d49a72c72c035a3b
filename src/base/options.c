/* SPDX-License-Identifier: Apache-2.0
 * The values lie in an array parallel to the table, found by name: commands have a dozen options,
 * and run once. */
#include "base/options.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "base/terminal.h"

struct option_value {
	int given;
	struct strv values;
};

struct options {
	const struct command_spec *command;
	size_t count;
	struct option_value *values;
	struct strv words, targets;
	int help;
	int ended, ended_by_word; /* no more options: by the first word, or by "--" */
};

static const struct option_spec none[1];

static const struct option_spec *table(const struct command_spec *c)
{
	return c->options ? c->options : none;
}

void options_free(struct options *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->count; i++)
		strv_done(&o->values[i].values);
	free(o->values);
	strv_done(&o->words);
	strv_done(&o->targets);
	free(o);
}

static int check_choice(const struct option_spec *s, const char *value, struct error **err)
{
	if (!s->choices)
		return 0;
	AUTO_STRV struct strv list = { 0 };
	for (const char *const *c = s->choices; *c; c++) {
		if (streq(*c, value))
			return 0;
		strv_add(&list, *c);
	}
	AUTOFREE char *text = strv_join(&list, ", ");
	return error_set(err, EINVAL, "--%s cannot be \"%s\"; it is one of %s", s->name, value, text);
}

static int store(struct options *o, const struct option_spec *s, const char *value, struct error **err)
{
	struct option_value *v = &o->values[s - table(o->command)];
	v->given++;
	if (s->kind == OPTION_FLAG)
		return 0;
	if (s->kind == OPTION_STRING || s->kind == OPTION_SWITCH)
		strv_done(&v->values);
	strv_add(&v->values, value);
	return check_choice(s, value, err);
}

static int store_switch(struct options *o, const struct option_spec *s, const char *value, struct error **err)
{
	int on = 1;
	if (value && parse_bool(value, &on) < 0)
		return error_set(err, EINVAL, "--%s=%.40s: give true or false", s->name, value);
	return store(o, s, on ? "1" : "", err);
}

static int takes_value(const struct option_spec *s)
{
	return s->kind == OPTION_STRING || s->kind == OPTION_LIST;
}

struct cursor {
	int argc, at;
	char *const *argv;
};

/* value: what follows in the same word, or NULL. */
static int take_value(struct options *o, const struct option_spec *s, struct cursor *c, const char *value,
    struct error **err)
{
	if (!value) {
		if (c->at >= c->argc)
			return error_set(err, EINVAL, "--%s needs a value (%s)", s->name,
			    s->argument ? s->argument : "VALUE");
		value = c->argv[c->at++];
	}
	return store(o, s, value, err);
}

/* Whether the words of the command name machines; options of its own may come after them. */
static int names_are_words(const struct command_spec *c)
{
	return c->target != TARGET_NONE && c->target != TARGET_NAMED_OR_DEFAULT;
}

/* Other commands take the machine by this option. */
static int refuse_name_option(const struct options *o, const char *option, struct error **err)
{
	return error_set(err, EINVAL, "unknown option %s; here the machine is a word: %s NAME", option,
	    o->command->name);
}

static int unknown_option(const struct options *o, const char *name, struct error **err)
{
	if (streq(name, "name") && names_are_words(o->command))
		return refuse_name_option(o, "--name", err);

	struct suggestion near = SUGGESTION(name);
	for (const struct option_spec *s = table(o->command); s->name; s++)
		suggestion_offer(&near, s->name);
	if (near.near)
		return error_set(err, EINVAL, "unknown option --%s (did you mean --%s?)", name, near.near);
	return error_set(err, EINVAL, "unknown option --%s", name);
}

static int parse_long(struct options *o, struct cursor *c, const char *word, struct error **err)
{
	const char *equals = strchr(word, '=');
	size_t n = equals ? (size_t)(equals - word) : strlen(word);
	if (n == 4 && strncmp(word, "help", n) == 0 && !equals) {
		o->help = 1;
		return 0;
	}
	for (const struct option_spec *s = table(o->command); s->name; s++) {
		if (strlen(s->name) != n || strncmp(s->name, word, n) != 0)
			continue;
		if (takes_value(s))
			return take_value(o, s, c, equals ? equals + 1 : NULL, err);
		if (s->kind == OPTION_SWITCH)
			return store_switch(o, s, equals ? equals + 1 : NULL, err);
		if (equals)
			return error_set(err, EINVAL, "--%s takes no value", s->name);
		return store(o, s, NULL, err);
	}
	AUTOFREE char *name = xstrndup(word, n);
	return unknown_option(o, name, err);
}

static int parse_short(struct options *o, struct cursor *c, const char *letters, struct error **err)
{
	for (; *letters; letters++) {
		const struct option_spec *s = table(o->command);
		while (s->name && s->letter != *letters)
			s++;
		if (!s->name && *letters == 'h') {
			o->help = 1;
			continue;
		}
		if (!s->name && *letters == 'n' && names_are_words(o->command))
			return refuse_name_option(o, "-n", err);
		if (!s->name)
			return error_set(err, EINVAL, "unknown option -%c", *letters);
		const char *value =
		    letters[1] == '=' && letters[2] ? letters + 2 : NULL; /* as docker's clients take it */
		if (takes_value(s))
			return take_value(o, s, c, value ? value : letters[1] ? letters + 1 : NULL, err);
		if (s->kind == OPTION_SWITCH && value)
			return store_switch(o, s, value, err);
		int r = s->kind == OPTION_SWITCH ? store_switch(o, s, NULL, err) : store(o, s, NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_words(struct options *o, struct cursor *c, struct error **err)
{
	while (c->at < c->argc) {
		const char *word = c->argv[c->at++];
		int r = 0;
		if (o->ended || word[0] != '-' || !word[1]) {
			strv_add(&o->words, word);
			o->ended |= o->command->stop_at_first;
		} else if (streq(word, "--")) {
			o->ended = o->ended_by_word = 1;
		} else if (word[1] == '-') {
			r = parse_long(o, c, word + 2, err);
		} else {
			r = parse_short(o, c, word + 1, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int options_parse(const struct command_spec *c, int argc, char *const *argv, struct options **ret, struct error **err)
{
	CLEANUP(options_freep) struct options *o = xnew(struct options);
	struct cursor cursor = { .argc = argc, .argv = argv };
	o->command = c;
	while (table(c)[o->count].name)
		o->count++;
	o->values = xcalloc(o->count, sizeof *o->values);
	o->ended = c->passes_on && !(argc == 1 && (streq(argv[0], "--help") || streq(argv[0], "-h")));
	int r = parse_words(o, &cursor, err);
	if (r < 0)
		return r;
	if (!o->help && (int)o->words.count < c->min_arguments)
		return error_set(err, EINVAL, "%s needs %s", c->name, c->synopsis ? c->synopsis : "more arguments");
	if (!o->help && c->max_arguments >= 0 && (int)o->words.count > c->max_arguments)
		return error_set(err, EINVAL, "%s does not take \"%s\"", c->name, o->words.items[c->max_arguments]);
	*ret = TAKE_PTR(o);
	return 0;
}

static const struct option_value *find(const struct options *o, const char *name)
{
	const struct option_spec *s = table(o->command);
	for (size_t i = 0; i < o->count; i++)
		if (streq(s[i].name, name))
			return &o->values[i];
	abort(); /* a command asked for an option that its own table does not have */
}

int options_given(const struct options *o, const char *name)
{
	return find(o, name)->given;
}

int options_switch(const struct options *o, const char *name, int otherwise)
{
	const char *value = options_string(o, name);
	return value ? *value != 0 : otherwise;
}

const char *options_string(const struct options *o, const char *name)
{
	const struct option_value *v = find(o, name);
	return v->values.count ? v->values.items[v->values.count - 1] : NULL;
}

const struct strv *options_list(const struct options *o, const char *name)
{
	return &find(o, name)->values;
}

const struct strv *options_words(const struct options *o)
{
	return &o->words;
}

void options_set_targets(struct options *o, const struct strv *names, size_t words)
{
	struct strv rest = { 0 };
	for (size_t i = words; i < o->words.count; i++)
		strv_add(&rest, o->words.items[i]);
	strv_done(&o->words);
	strv_done(&o->targets);
	o->words = rest;
	strv_add_all(&o->targets, names);
}

int options_resume(struct options *o, struct error **err)
{
	AUTO_STRV struct strv rest = o->words;
	struct cursor c = { .argc = (int)rest.count, .argv = rest.items };
	o->words = (struct strv){ 0 };
	/* "--" in front of the machine's name ended the options for good. */
	o->ended = o->ended_by_word;
	return parse_words(o, &c, err);
}

int options_has(const struct options *o, const char *name)
{
	for (const struct option_spec *s = table(o->command); s->name; s++)
		if (streq(s->name, name))
			return 1;
	return 0;
}

const char *options_target(const struct options *o)
{
	return o->targets.items[0];
}

const struct strv *options_targets(const struct options *o)
{
	return &o->targets;
}

int options_help(const struct options *o)
{
	return o->help;
}

enum { HELP_WIDTH = 80, HELP_WIDTH_MIN = 40, HELP_WIDTH_MAX = 100, HELP_COLUMN = 28 };

/* The terminal's width, within reason; HELP_WIDTH if out is none. */
static int help_width(FILE *out)
{
	unsigned rows, columns = 0;
	if (terminal_size(fileno(out), &rows, &columns) < 0 || columns == 0)
		return HELP_WIDTH;
	return (int)MIN(MAX(columns, (unsigned)HELP_WIDTH_MIN), (unsigned)HELP_WIDTH_MAX);
}

void options_print_wrapped(FILE *out, const char *text, int at, int indent)
{
	int width = help_width(out), blank = 0;
	while (*text) {
		int n = (int)strcspn(text, " \n");
		if (at > indent && at + blank + n > width) {
			fprintf(out, "\n%*s", indent, "");
			at = indent;
			blank = 0;
		}
		fprintf(out, "%*s%.*s", blank, "", n, text);
		at += blank + n;
		text += n;
		blank = *text == ' ';
		if (*text == '\n') {
			fprintf(out, "\n%*s", indent, "");
			at = indent;
		}
		text += *text != 0;
	}
	fputc('\n', out);
}

static void print_option(FILE *out, const struct option_spec *s)
{
	AUTOFREE char *left = xasprintf("%c%c%s --%s%s%s", s->letter ? '-' : ' ', s->letter ? s->letter : ' ',
	    s->letter ? "," : " ", s->name, s->argument ? " " : "", s->argument ? s->argument : "");
	AUTOFREE char *right =
	    s->default_text ? xasprintf("%s (default: %s)", s->help, s->default_text) : xstrdup(s->help);
	int width = (int)strlen(left) + 2;
	fprintf(out, "  %s", left);
	if (width + 2 > HELP_COLUMN)
		fprintf(out, "\n%*s", HELP_COLUMN, "");
	else
		fprintf(out, "%*s", HELP_COLUMN - width, "");
	options_print_wrapped(out, right, HELP_COLUMN, HELP_COLUMN);
}

/* `run -h NAME` is a host name. */
static char help_letter(const struct command_spec *c)
{
	for (const struct option_spec *s = table(c); s->name; s++)
		if (s->letter == 'h')
			return 0;
	return 'h';
}

void options_print_help(FILE *out, const char *prefix, const struct command_spec *c)
{
	int has_options = table(c)->name != NULL;
	AUTOFREE char *usage = xasprintf("Usage: %s%s%s%s%s%s\n", prefix, *prefix ? " " : "", c->name,
	    has_options ? " [OPTIONS]" : "", c->synopsis && *c->synopsis ? " " : "", c->synopsis ? c->synopsis : "");
	options_print_wrapped(out, usage, 0, 0);
	options_print_wrapped(out, c->summary, 0, 0);
	if (c->details) {
		fputc('\n', out);
		options_print_wrapped(out, c->details, 0, 0);
	}
	if (c->aliases) {
		fputs("\nAliases:", out);
		for (const char *const *a = c->aliases; *a; a++)
			fprintf(out, "%s %s", a == c->aliases ? "" : ",", *a);
		fputc('\n', out);
	}
	if (!has_options)
		return;
	fputs("\nOptions:\n", out);
	for (const struct option_spec *s = table(c); s->name; s++)
		print_option(out, s);
	print_option(out, &(struct option_spec){ .name = "help", .letter = help_letter(c), .help = "show this help" });
}
