/* SPDX-License-Identifier: Apache-2.0
 * Dockerfiles of a megabyte, each with one thing many times: reading one takes processor time in
 * proportion to its size. What is quadratic in it takes a minute and more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "image/build/dockerfile.h"
#include "image/build/expand.h"
#include "image/build/lint.h"
#include "image/build/pairs.h"
#include "image/build/stages.h"

enum { SIZE = 1 << 20, SECONDS_MAX = 10 }; /* sanitizers take many times what others do */

/* %u: a number that grows. */
static const struct {
	const char *name, *head, *piece, *tail;
} cases[] = {
	{ "ENV of many words", "FROM scratch\nENV ", "a%u=$b%u ", "\n" },
	{ "ENV of known words", "FROM scratch\nENV a=1 b=2\nENV ", "a%u=$a$b ", "\n" },
	{ "ENV one by one", "FROM scratch\n", "ENV a%u=$a%u\n", "" },
	{ "the same ENV", "FROM scratch\n", "ENV a=$a b=$b\n", "" },
	{ "ARG of many words", "FROM scratch\nARG ", "a%u b%u=$a%u ", "\n" },
	{ "ARG before FROM", "ARG ", "a%u=$a%u b%u ", "\nFROM $x\n" },
	{ "LABEL of many words", "FROM scratch\nLABEL ", "a%u=\"$b%u\" ", "\n" },
	{ "unset variables", "FROM scratch\nUSER ", "$a%u", "\n" },
	{ "unset in FROM", "ARG b=1\nFROM ", "$a%u", "\n" },
	{ "stages", "", "FROM scratch AS s%u\nCOPY --from=s%u a b\n", "" },
	{ "sources", "FROM scratch\n", "COPY --from=s%u a$x b\n", "" },
	{ "COPY of many words", "FROM scratch\nCOPY ", "a%u/$b%u ", " /\n" },
	{ "COPY as JSON", "FROM scratch\nCOPY [", "\"a%u\",", "\"b\"]\n" },
	{ "flags", "FROM scratch\nRUN ", "--mount=type=cache,target=/a%u ", " true\n" },
	{ "mounts", "FROM scratch\n", "RUN --mount=from=a%u,target=/$a%u true\n", "" },
	{ "continued lines", "FROM scratch\nRUN true", " \\\n a%u", "\n" },
	{ "comments between", "FROM scratch\nRUN true", " \\\n# %u\n\n", "\n" },
	{ "comments above", "FROM scratch\n", "# a\n", "ARG a\n" },
	{ "here-documents", "FROM scratch\n", "COPY <<E /a%u\n$a\nE\n", "" },
	{ "a here-document", "FROM scratch\nCOPY <<E /a\n", "$a%u\n", "E\n" },
	{ "an unclosed one each", "FROM scratch\nRUN x", " <<E%u", "\n" },
	{ "ports", "FROM scratch\nEXPOSE ", "%u/TCP:$a ", "\n" },
	{ "nested modifiers", "FROM scratch\nENV a=", "${a%u:-x}", "\n" },
	{ "deep modifiers", "FROM scratch\nENV a=", "${a:-", "\n" },
	{ "patterns", "FROM scratch\nENV a=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nENV b=", "${a//x*y/z}", "\n" },
	{ "quotes", "FROM scratch\nENV a=", "\"'$a\"", "\n" },
	{ "shell words", "FROM scratch\nRUN ", "$a%u && ", "true\n" },
	{ "health checks", "FROM scratch\n", "HEALTHCHECK CMD x%u\n", "" },
	{ "volumes", "FROM scratch\nVOLUME ", "/$a%u ", "\n" },
	{ "triggers", "FROM scratch\n", "ONBUILD ENV a%u=$b%u\n", "" },
};

static char *make(size_t i)
{
	AUTO_BUFFER struct buffer b;
	buffer_init(&b, 2 * (size_t)SIZE);
	buffer_append_string(&b, cases[i].head);
	for (unsigned k = 0; b.size < SIZE; k++) {
		AUTOFREE char *piece = xasprintf(cases[i].piece, k, k, k);
		buffer_append_string(&b, piece);
	}
	buffer_append_string(&b, cases[i].tail);
	return buffer_take_string(&b);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_all(const char *text)
{
	static const struct strv none = { 0 };
	AUTO_DOCKERFILE struct dockerfile *d = NULL;
	AUTO_STAGES struct stages *stages = NULL;
	AUTO_LINT struct lint lint = { 0 };
	if (dockerfile_parse(text, strlen(text), "f", &d, NULL) < 0)
		return;
	(void)stages_resolve(d, "f", &none, &none, NULL, &stages, NULL);
	const struct lint_input in = { .file = d, .given = &none, .platform = &none };
	assert_int_equal(lint_check(&in, &lint, NULL), 0);
	free(lint_text(&lint, d, "f"));
}

static void files(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *text = make(i);
		double begun = now();
		read_all(text);
		double took = now() - begun;
		if (took > 0.5)
			print_message("%s: %.2f s\n", cases[i].name, took);
		assert_true(took < SECONDS_MAX);
	}
}

static const char *get(void *pairs, const char *name)
{
	return pairs_get(pairs, name);
}

/* As the builder sets variables. */
static void variables(void **state)
{
	AUTO_PAIRS struct pairs all = { 0 };
	const struct expand_scope scope = { .get = get, .data = &all, .escape = '\\' };
	double begun = now();
	for (unsigned i = 0; i < 200000; i++) {
		AUTOFREE char *name = xasprintf("a%u", i % 150000), *text = xasprintf("$a%u-${a%u}", i / 2, i),
			      *value = NULL;
		assert_int_equal(expand_word(&scope, text, &value, NULL), 0);
		value[strnlen(value, 8)] = '\0';
		pairs_set(&all, name, value);
	}
	assert_int_equal(all.list.count, 150000);
	assert_non_null(pairs_get(&all, "a149999"));
	assert_null(pairs_get(&all, "a150000"));
	assert_true(now() - begun < SECONDS_MAX);
}

static void pairs(void **state)
{
	AUTO_PAIRS struct pairs p = { 0 };
	assert_null(pairs_get(&p, "a"));
	pairs_add(&p, "a=1");
	pairs_add(&p, "alone");
	pairs_add(&p, "a=2"); /* the last one counts */
	assert_string_equal(pairs_get(&p, "a"), "2");
	assert_null(pairs_get(&p, "alone"));
	assert_int_equal(pairs_set(&p, "a", "3"), 2);
	assert_int_equal(pairs_set(&p, "b", ""), 3);
	assert_int_equal(pairs_set(&p, "alone", "x"), 1);
	assert_string_equal(pairs_get(&p, "a"), "3");
	assert_string_equal(pairs_get(&p, "b"), "");
	assert_string_equal(p.list.items[1], "alone=x");
	assert_null(pairs_get(&p, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(pairs), cmocka_unit_test(variables),
		cmocka_unit_test(files) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
