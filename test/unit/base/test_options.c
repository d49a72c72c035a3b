/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/options.h"

static const char *const homes[] = { "rw", "ro", "none", NULL };
static const struct option_spec table[] = {
	{ "name", 'n', OPTION_STRING, "NAME", "machine", NULL, NULL, "machine" },
	{ "env", 'e', OPTION_LIST, "K=V", "environment", NULL, NULL, NULL },
	{ "tty", 't', OPTION_FLAG, NULL, "terminal", NULL, NULL, NULL },
	{ "interactive", 'i', OPTION_FLAG, NULL, "stdin", NULL, NULL, NULL },
	{ "rm", 0, OPTION_SWITCH, NULL, "remove it", NULL, NULL, NULL },
	{ "home-mount", 0, OPTION_STRING, "MODE", "how the home is shared", "rw", homes, NULL },
	{ 0 },
};
static const struct command_spec run = {
	.name = "run",
	.synopsis = "[CMD...]",
	.summary = "Runs a command.",
	.options = table,
	.max_arguments = -1,
	.stop_at_first = 1,
};
static const struct command_spec one = {
	.name = "one",
	.synopsis = "NAME",
	.summary = "Takes one.",
	.options = table,
	.min_arguments = 1,
	.max_arguments = 1,
};

static int parse(const struct command_spec *c, const char *line, struct options **ret, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	strv_split(&words, line, " ");
	return options_parse(c, (int)words.count, strv_argv(&words), ret, err);
}

static void options_come_in_every_spelling(void **state)
{
	static const char *const lines[] = { "-n dev -it -e A=1 -e B=2 ls -l",
		"--name dev -ti --env=A=1 --env B=2 ls -l", "-n=dev -it -e=A=1 -e=B=2 ls -l",
		"-ndev -i -t -eA=1 -eB=2 -- ls -l", "--name=x --name=dev -it -e A=1 -e B=2 ls -l" };
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		CLEANUP(options_freep) struct options *o = NULL;
		assert_int_equal(parse(&run, lines[i], &o, NULL), 0);
		assert_string_equal(options_string(o, "name"), "dev");
		assert_true(options_given(o, "tty") && options_given(o, "interactive"));
		assert_int_equal(options_list(o, "env")->count, 2);
		assert_int_equal(options_words(o)->count, 2);
		assert_string_equal(options_words(o)->items[1], "-l");
		assert_null(options_string(o, "home-mount"));
	}
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const struct command_spec *command;
		const char *line, *text;
	} rows[] = {
		{ &run, "--bogus", "unknown option --bogus" },
		{ &run, "-x", "unknown option -x" },
		{ &run, "--name", "--name needs a value (NAME)" },
		{ &run, "--tty=1", "--tty takes no value" },
		{ &run, "--home-mount bad", "--home-mount cannot be \"bad\"; it is one of rw, ro, none" },
		{ &one, "", "one needs NAME" },
		{ &one, "a b", "one does not take \"b\"" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(options_freep) struct options *o = NULL;
		AUTO_ERROR struct error *err = NULL;
		assert_int_equal(parse(rows[i].command, rows[i].line, &o, &err), -EINVAL);
		assert_string_equal(err->text, rows[i].text);
	}
}

static void targets_take_the_place_of_words(void **state)
{
	CLEANUP(options_freep) struct options *o = NULL;
	AUTO_STRV struct strv names = { 0 };
	assert_int_equal(parse(&run, "dev ls -l", &o, NULL), 0);
	assert_int_equal(options_targets(o)->count, 0);
	strv_add(&names, "dev");
	options_set_targets(o, &names, 1);
	assert_string_equal(options_target(o), "dev");
	assert_int_equal(options_targets(o)->count, 1);
	assert_int_equal(options_words(o)->count, 2);
	assert_string_equal(options_words(o)->items[0], "ls");
}

static void help_needs_nothing_else(void **state)
{
	CLEANUP(options_freep) struct options *o = NULL;
	assert_int_equal(parse(&one, "--help", &o, NULL), 0);
	assert_true(options_help(o));
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	options_print_help(out, "holm machine", &one);
	fclose(out);
	assert_non_null(strstr(text, "Usage: holm machine one [OPTIONS] NAME\n"));
	assert_non_null(strstr(text, "--home-mount MODE"));
	assert_non_null(strstr(text, "(default: rw)"));
	free(text);
}

static void a_switch_takes_a_word_or_none(void **state)
{
	static const struct {
		const char *line;
		int on, given;
	} rows[] = { { "--rm x", 1, 1 }, { "--rm=true x", 1, 1 }, { "--rm=false x", 0, 1 }, { "--rm --rm=0 x", 0, 2 },
		{ "--rm=0 --rm x", 1, 2 } };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(options_freep) struct options *o = NULL;
		assert_int_equal(parse(&run, rows[i].line, &o, NULL), 0);
		assert_int_equal(options_switch(o, "rm", !rows[i].on), rows[i].on);
		assert_int_equal(options_given(o, "rm"), rows[i].given);
		assert_int_equal(options_words(o)->count, 1);
	}
	CLEANUP(options_freep) struct options *o = NULL, *none = NULL;
	assert_int_equal(parse(&run, "x", &o, NULL), 0);
	assert_int_equal(options_switch(o, "rm", 0), 0);
	assert_int_equal(options_switch(o, "rm", 1), 1);
	assert_int_equal(parse(&run, "--rm=perhaps x", &none, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_switch_takes_a_word_or_none),
		cmocka_unit_test(options_come_in_every_spelling), cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(targets_take_the_place_of_words), cmocka_unit_test(help_needs_nothing_else) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
