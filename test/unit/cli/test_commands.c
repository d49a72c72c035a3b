/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/commands.h"

static const struct command_spec *find(const char *group, int argc, const char *const *argv, int *ret_words)
{
	return command_find(command_group_find(group), argc, (void *)argv, ret_words);
}

static void finding(void **state)
{
	int words = 0;
	assert_ptr_equal(find("machine", 1, (const char *const[]){ "create" }, &words), &command_create);
	assert_int_equal(words, 1);
	assert_ptr_equal(find("m", 1, (const char *const[]){ "delete" }, &words), &command_rm);
	assert_ptr_equal(find("machine", 3, (const char *const[]){ "mount", "add", "x" }, &words), &command_mount_add);
	assert_int_equal(words, 2);
	assert_null(find("machine", 1, (const char *const[]){ "mount" }, &words));
	assert_null(find("machine", 0, NULL, &words));
	assert_null(command_group_find("nothing"));
	assert_null(command_group_find(""));
}

static void suggesting(void **state)
{
	const struct command_group *machine = command_group_find("machine");
	assert_string_equal(command_suggest(machine, "crate"), "create");
	assert_string_equal(command_suggest(machine, "strat"), "start");
	assert_string_equal(command_suggest(machine, "lst"), "ls");
	assert_null(command_suggest(machine, "frobnicate"));
	assert_null(command_suggest(machine, ""));
	assert_null(command_suggest(machine, "a-word-that-is-longer-than-any-command"));
}

/* Help, manual pages and completion show these tables as they are. */
static void tables_are_whole(void **state)
{
	const struct command_spec *c;
	for (const struct command_group *g = command_groups; g->name; g++) {
		assert_non_null(g->summary);
		for (size_t i = 0; (c = command_at(g, i)); i++) {
			assert_non_null(c->summary);
			assert_true((c->run != NULL) == (g->program == NULL && command_is_shown(g, c)) || c->run);
			for (const struct option_spec *s = c->options; s && s->name; s++) {
				assert_non_null(s->help);
				assert_true(
				    (s->kind == OPTION_FLAG || s->kind == OPTION_SWITCH) == (s->argument == NULL));
				for (const struct option_spec *other = c->options; other != s; other++) {
					assert_string_not_equal(other->name, s->name);
					assert_true(!s->letter || s->letter != other->letter);
				}
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(finding), cmocka_unit_test(suggesting),
		cmocka_unit_test(tables_are_whole) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
