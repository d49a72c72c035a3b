/* SPDX-License-Identifier: Apache-2.0
 * Dockerfiles: instructions, variables, .dockerignore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/alloc.h"
#include "image/build/dockerfile.h"
#include "image/build/expand.h"
#include "image/build/ignore.h"
#include "image/build/instruction.h"
#include "image/build/stages.h"

/* ---- instructions ---- */

static struct dockerfile *parse(const char *text)
{
	AUTO_ERROR struct error *err = NULL;
	struct dockerfile *d = NULL;
	if (dockerfile_parse(text, strlen(text), "Dockerfile", &d, &err) < 0)
		fail_msg("%s", error_text(err, 0));
	return d;
}

/* Each instruction as "LINE-LAST WORD flags|rest", a line each. */
static char *describe(const struct dockerfile *d)
{
	AUTO_STRV struct strv lines = { 0 };
	for (size_t i = 0; i < d->count; i++) {
		const struct dockerfile_instruction *at = &d->instructions[i];
		AUTOFREE char *flags = strv_join(&at->flags, " "), *json = strv_join(&at->json, ",");
		strv_addf(&lines, "%u-%u %s %s|%s%s%s", at->line, at->last_line, at->kind->name, flags ? flags : "",
		    at->is_json ? "json " : "", at->is_json ? (json ? json : "") : at->rest,
		    at->heredoc_count ? " <<" : "");
		for (size_t k = 0; k < at->heredoc_count; k++)
			strv_addf(&lines, "  %s%s:%s", at->heredocs[k].name, at->heredocs[k].literal ? "'" : "",
			    at->heredocs[k].content);
	}
	return strv_join(&lines, "\n");
}

static const struct {
	const char *text, *want;
} files[] = {
	{ "FROM a", "1-1 FROM |a" },
	{ "\xef\xbb\xbf# c\n\n  from a as b  \r\n", "3-3 FROM |a as b" },
	{ "FROM a\nRUN one \\\n  two\\\n# comment\n\n  three\nUSER u",
	    "1-1 FROM |a\n2-6 RUN |one   two  three\n7-7 USER |u" },
	{ "FROM a\nRUN echo a\\\\\nUSER u", "1-1 FROM |a\n2-2 RUN |echo a\\\\\n3-3 USER |u" },
	{ "FROM a\nRUN x \\  \ny", "1-1 FROM |a\n2-3 RUN |x y" },
	{ "# escape=`\nFROM a\nRUN x `\ny \\", "2-2 FROM |a\n3-4 RUN |x y \\" },
	{ "# syntax=docker/dockerfile:1\n# check=skip=all\nFROM a", "3-3 FROM |a" },
	{ "# other = 1\n# escape=`\nFROM a\nRUN x \\\ny", "3-3 FROM |a\n4-5 RUN |x y" },
	{ "FROM --platform=\"linux/amd 64\" a", "1-1 FROM --platform=linux/amd 64|a" },
	{ "FROM a\nCOPY --from=b --link -- --odd /d", "1-1 FROM |a\n2-2 COPY --from=b --link|--odd /d" },
	{ "FROM a\nCMD [\"a b\", \"c\"]", "1-1 FROM |a\n2-2 CMD |json a b,c" },
	{ "FROM a\nCMD []", "1-1 FROM |a\n2-2 CMD |json " },
	{ "FROM a\nCMD [ -f x ] && y", "1-1 FROM |a\n2-2 CMD |[ -f x ] && y" },
	{ "FROM a\nCMD ['a', 'b']", "1-1 FROM |a\n2-2 CMD |['a', 'b']" },
	{ "FROM a\nCMD [\"a\"] x", "1-1 FROM |a\n2-2 CMD |[\"a\"] x" },
	{ "FROM a\nRUN <<EOF\necho $x\n# no comment\nEOF\nUSER u",
	    "1-1 FROM |a\n2-5 RUN |<<EOF <<\n  EOF:echo $x\n# no comment\n\n6-6 USER |u" },
	{ "FROM a\nRUN <<-'E F' cat\n\t\ta\n\tE F\n", "1-1 FROM |a\n2-4 RUN |<<-'E F' cat <<\n  E F':a\n" },
	{ "FROM a\nCOPY <<a <<\"b\" /d/\n1\na\n2\nb", "1-1 FROM |a\n2-6 COPY |<<a <<\"b\" /d/ <<\n  a:1\n\n  b':2\n" },
	{ "FROM a\nRUN echo $((1<<2)) <<<x", "1-1 FROM |a\n2-2 RUN |echo $((1<<2)) <<<x" },
	{ "FROM a\nONBUILD COPY <<-E /x\n\ty\nE\nUSER u",
	    "1-1 FROM |a\n2-4 ONBUILD |COPY <<-E /x <<\n  E:y\n\n5-5 USER |u" },
	{ "ARG V=1\nFROM a:$V\nONBUILD RUN x", "1-1 ARG |V=1\n2-2 FROM |a:$V\n3-3 ONBUILD |RUN x" },
};

static void test_instructions(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		AUTO_DOCKERFILE struct dockerfile *d = parse(files[i].text);
		AUTOFREE char *got = describe(d);
		assert_string_equal(got, files[i].want);
	}
}

static const struct {
	const char *text, *want;
} faults[] = {
	{ "", "Dockerfile: has no FROM; begin with FROM IMAGE" },
	{ "FROM a\nRUNN x", "Dockerfile:2:1: unknown instruction \"RUNN\"; did you mean RUN?" },
	{ "FROM a\n  xyzzy x", "Dockerfile:2:3: unknown instruction \"xyzzy\"" },
	{ "FROM a\nCOPY --form=b x /", "Dockerfile:2:6: COPY has no flag \"--form\"; did you mean --from?" },
	{ "FROM a\nCOPY --from=b \\\n   --lnk x /",
	    "Dockerfile:3:4: COPY has no flag \"--lnk\"; did you mean --link?" },
	{ "FROM a\nUSER --x=1 u", "Dockerfile:2:6: USER has no flag \"--x\"" },
	{ "RUN x\nFROM a", "Dockerfile:1:1: RUN stands before the first FROM; begin with FROM IMAGE" },
	{ "FROM a b", "Dockerfile:1:6: FROM takes an image and a stage's name; write FROM IMAGE [AS NAME]" },
	{ "FROM", "Dockerfile:1:5: FROM has 0 arguments; write FROM IMAGE [AS NAME]" },
	{ "FROM a\nCOPY x", "Dockerfile:2:6: COPY has 1 argument; write COPY SOURCE... DESTINATION" },
	{ "FROM a\nSHELL sh", "Dockerfile:2:7: SHELL needs a JSON array of strings; write SHELL [\"PROGRAM\", ...]" },
	{ "FROM a\nCMD [\"a\", 1]", "Dockerfile:2:5: CMD: a word of the JSON array is no string; write \"1\"" },
	{ "FROM a\nSHELL []", "Dockerfile:2:7: SHELL has 0 arguments; write SHELL [\"PROGRAM\", ...]" },
	{ "FROM a\nRUN <<E\nx",
	    "Dockerfile:2:1: the here-document \"E\" has no end; write a line with that word alone" },
	{ "FROM a\nONBUILD FROM b", "Dockerfile:2:9: ONBUILD cannot have FROM" },
	{ "FROM a\nONBUILD RUNN b", "Dockerfile:2:9: unknown instruction \"RUNN\"; did you mean RUN?" },
	{ "# escape=x\nFROM a", "Dockerfile:1:1: the escape \"x\" is neither \\ nor `" },
	{ "# escape=`\n# escape=`\nFROM a", "Dockerfile:2:1: the directive \"escape\" is there twice" },
};

static void test_faults(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_DOCKERFILE struct dockerfile *d = NULL;
		assert_true(dockerfile_parse(faults[i].text, strlen(faults[i].text), "Dockerfile", &d, &err) < 0);
		assert_string_equal(err->text, faults[i].want);
	}
}

static void test_trigger(void **state)
{
	static const char *const bad[] = { "", "# x", "RUN x\nRUN y", "COPY <<a /x\n1", "RUNN x" };
	CLEANUP(instruction_done) struct dockerfile_instruction i = { 0 };
	assert_int_equal(dockerfile_parse_trigger("COPY <<a <<-b /x\n1\na\n\t2\nb", '\\', &i, NULL), 0);
	assert_int_equal(i.kind->id, DOCKERFILE_COPY);
	assert_int_equal(i.heredoc_count, 2);
	assert_string_equal(i.heredocs[0].content, "1\n");
	assert_string_equal(i.heredocs[1].content, "2\n");
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		CLEANUP(instruction_done) struct dockerfile_instruction wrong = { 0 };
		AUTO_ERROR struct error *err = NULL;
		assert_int_equal(dockerfile_parse_trigger(bad[k], '\\', &wrong, &err), -EINVAL);
	}
}

static void test_excerpt(void **state)
{
	AUTO_DOCKERFILE struct dockerfile *d = parse("FROM a\nRUN 1\nRUN 2\nRUN 3\nRUN 4\nRUN 5");
	AUTOFREE char *got = dockerfile_excerpt(d, 5), *first = dockerfile_excerpt(d, 1);
	assert_string_equal(got,
	    "   2 |     RUN 1\n   3 |     RUN 2\n   4 |     RUN 3\n   5 | >>> RUN 4\n   6 |     RUN 5\n");
	assert_string_equal(first, "   1 | >>> FROM a\n   2 |     RUN 1\n   3 |     RUN 2\n   4 |     RUN 3\n");
}

static void test_flags(void **state)
{
	AUTO_DOCKERFILE struct dockerfile *d = parse("FROM a\nCOPY --from=b --from=c --link x /");
	assert_string_equal(dockerfile_flag(&d->instructions[1], "from"), "c");
	assert_string_equal(dockerfile_flag(&d->instructions[1], "link"), "");
	assert_null(dockerfile_flag(&d->instructions[1], "chown"));
}

/* ---- variables ---- */

static const char *get(void *data, const char *name)
{
	static const struct {
		const char *name, *value;
	} values[] = { { "a", "one" }, { "empty", "" }, { "path", "/usr/local/lib.so.1" }, { "two", "x y" },
		{ "quoted", "\"q\"" }, { "star", "a*b" }, { "1", "first" } };
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		if (streq(values[i].name, name))
			return values[i].value;
	return NULL;
}

static const struct {
	const char *word, *want;
} expansions[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "$a", "one" },
	{ "${a}b", "oneb" },
	{ "$ab", "" },
	{ "\\$a", "$a" },
	{ "'$a'", "$a" },
	{ "\"$a\"", "one" },
	{ "\"\\$a \\\" \\x\"", "$a \" \\x" },
	{ "a'b'\"c\"d", "abcd" },
	{ "$", "$" },
	{ "$%x", "$%x" },
	{ "$1", "first" },
	{ "x$quoted", "x\"q\"" },
	{ "${none-d}", "d" },
	{ "${empty-d}", "" },
	{ "${empty:-d}", "d" },
	{ "${none:-$a}", "one" },
	{ "${none:-${none:-deep}}", "deep" },
	{ "${none:-'}'}", "}" },
	{ "${a+s}", "s" },
	{ "${none+s}", "" },
	{ "${empty+s}", "s" },
	{ "${empty:+s}", "" },
	{ "${a:?gone}", "one" },
	{ "${path#*/}", "usr/local/lib.so.1" },
	{ "${path##*/}", "lib.so.1" },
	{ "${path%.*}", "/usr/local/lib.so" },
	{ "${path%%.*}", "/usr/local/lib" },
	{ "${path#x}", "/usr/local/lib.so.1" },
	{ "${path/l*l/L}", "/usr/Lib.so.1" },
	{ "${path/\\//_}", "_usr/local/lib.so.1" },
	{ "${path//\\//_}", "_usr_local_lib.so.1" },
	{ "${path//?/x}", "xxxxxxxxxxxxxxxxxxx" },
	{ "${path//./}", "/usr/local/libso1" },
	{ "${star#a\\*}", "b" },
	{ "${star/\\*/-}", "a-b" },
	{ "${none#x}", "" },
	{ "${none/x/y}", "" },
};

static void test_expand(void **state)
{
	struct expand_scope s = { .get = get, .escape = '\\' };
	for (size_t i = 0; i < ARRAY_SIZE(expansions); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTOFREE char *got = NULL;
		if (expand_word(&s, expansions[i].word, &got, &err) < 0)
			fail_msg("%s: %s", expansions[i].word, err->text);
		if (!streq(got, expansions[i].want))
			fail_msg("%s: %s, not %s", expansions[i].word, got, expansions[i].want);
	}
}

static const struct {
	const char *word, *want;
} wrong[] = {
	{ "'a", "a single quote has no end" },
	{ "\"a", "a double quote has no end" },
	{ "${a", "${a...}: the \"}\" is missing" },
	{ "${a:-x", "${a...}: the \"}\" is missing" },
	{ "${a/x/y", "${a...}: the \"}\" is missing" },
	{ "${a~x}", "${a...}: the modifier is unknown" },
	{ "${a:x}", "${a...}: the modifier is unknown" },
	{ "${}", "\"${\" has no name of a variable behind it" },
	{ "${none?}", "none: not set" },
	{ "${empty:?is $a}", "empty: is one" },
};

static void test_expand_faults(void **state)
{
	struct expand_scope s = { .get = get, .escape = '\\' };
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTOFREE char *got = NULL;
		assert_true(expand_word(&s, wrong[i].word, &got, &err) < 0);
		assert_string_equal(err->text, wrong[i].want);
	}
}

static void test_expand_deep(void **state)
{
	struct expand_scope s = { .get = get, .escape = '\\' };
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv parts = { 0 };
	AUTOFREE char *got = NULL;
	for (int i = 0; i < 5000; i++)
		strv_add(&parts, "${none:-");
	AUTOFREE char *word = strv_join(&parts, "");
	assert_true(expand_word(&s, word, &got, &err) < 0);
}

/* All words of a file together have a bound, whatever their number. */
static void test_expand_left(void **state)
{
	size_t left = 10;
	struct expand_scope s = { .get = get, .escape = '\\', .left = &left };
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *got = NULL, *more = NULL;
	assert_int_equal(expand_word(&s, "$a$a", &got, &err), 0);
	assert_int_equal(left, 4);
	assert_int_equal(expand_word(&s, "${path/usr/x}", &more, &err), -E2BIG);
	assert_null(more);
}

static void test_expand_words(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv words = { 0 }, unset = { 0 };
	struct expand_scope s = { .get = get, .escape = '\\', .unset = &unset };
	assert_int_equal(expand_words(&s, " a $two \"$two\" '' b\\ c $none ${gone:-} ${gone#x} \"${two}\"", &words,
			     &err),
	    0);
	AUTOFREE char *all = strv_join(&words, "|"), *names = strv_join(&unset, "|");
	assert_string_equal(all, "a|x|y|x y||b c|x y");
	assert_string_equal(names, "none|gone");
}

static void test_expand_raw(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *got = NULL;
	struct expand_scope s = { .get = get, .escape = '\\', .plain_quotes = 1, .keep_escapes = 1 };
	assert_int_equal(expand_word(&s, "\"$a\" 'x' '$a' b\\ c it's ${none:-it's} \"", &got, &err), 0);
	assert_string_equal(got, "\"one\" 'x' 'one' b\\ c it's it's \"");
}

/* ---- stages ---- */

/* Each stage as "NAME=BASE(sources)", with "!" if the target needs it. */
static char *describe_stages(const struct stages *s)
{
	AUTO_STRV struct strv all = { 0 };
	for (size_t i = 0; i < s->count; i++) {
		const struct build_stage *at = &s->stages[i];
		AUTO_STRV struct strv sources = { 0 };
		for (size_t k = 0; k < at->source_count; k++)
			if (at->sources[k].image)
				strv_add(&sources, at->sources[k].image);
			else
				strv_addf(&sources, "%d", at->sources[k].stage);
		AUTOFREE char *list = strv_join(&sources, ","), *number = xasprintf("%d", at->base.stage);
		strv_addf(&all, "%s%s=%s(%s)%s%s", at->is_needed ? "!" : "", at->name ? at->name : "",
		    at->base.image ? at->base.image : number, list ? list : "", at->platform ? " " : "",
		    at->platform ? at->platform : "");
	}
	return strv_join(&all, " ");
}

static const struct {
	const char *file, *given, *target, *want;
} stage_files[] = {
	{ "FROM a", NULL, NULL, "!=a()" },
	{ "FROM a AS One\nFROM one\nFROM b", NULL, NULL, "one=a() =0() !=b()" },
	{ "FROM a AS one\nFROM one\nFROM b", NULL, "1", "!one=a() !=0() =b()" },
	{ "FROM a AS one\nFROM b AS two\nCOPY --from=one x /\nCOPY --from=ONE y /", NULL, NULL, "!one=a() !two=b(0)" },
	{ "FROM a\nFROM b\nCOPY --from=0 x /\nCOPY --from=busybox y /", NULL, NULL, "!=a() !=b(0,busybox)" },
	{ "FROM a AS t\nFROM b\nRUN --mount=type=bind,from=t,target=/t --mount=type=tmpfs,target=/x y", NULL, NULL,
	    "!t=a() !=b(0)" },
	{ "FROM scratch AS self\nCOPY --from=self x /", NULL, NULL, "!self=scratch(self)" },
	{ "ARG V=1\nARG W=x$V Z\nFROM a:$W$Z", NULL, NULL, "!=a:x1()" },
	{ "ARG V=1\nARG W=x$V\nFROM a:$W", "V=2", NULL, "!=a:x2()" },
	{ "FROM --platform=$TARGETPLATFORM a:${V:-3}", "V=2", NULL, "!=a:3() linux/amd64" },
	{ "FROM a AS x\nFROM b AS x\nFROM x", NULL, NULL, "x=a() !x=b() !=1()" },
};

static void test_stages(void **state)
{
	AUTO_STRV struct strv platform = { 0 };
	strv_add(&platform, "TARGETPLATFORM=linux/amd64");
	for (size_t i = 0; i < ARRAY_SIZE(stage_files); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_DOCKERFILE struct dockerfile *d = parse(stage_files[i].file);
		AUTO_STAGES struct stages *s = NULL;
		AUTO_STRV struct strv given = { 0 };
		if (stage_files[i].given)
			strv_add(&given, stage_files[i].given);
		if (stages_resolve(d, "Dockerfile", &given, &platform, stage_files[i].target, &s, &err) < 0)
			fail_msg("%s", err->text);
		AUTOFREE char *got = describe_stages(s);
		assert_string_equal(got, stage_files[i].want);
	}
}

static const struct {
	const char *file, *target, *want;
} stage_faults[] = {
	{ "FROM $V", NULL, "Dockerfile:1: the image $V is empty; give its ARG a default" },
	{ "FROM a AS 1x", NULL, "Dockerfile:1: stage \"1x\": a name is a letter and letters, digits, - _ ." },
	{ "FROM a\nCOPY --from=0 x /", NULL, "Dockerfile:2: stage 0 is not above this one" },
	{ "FROM a AS build\nFROM b", "biuld", "Dockerfile: no stage \"biuld\"; did you mean build?" },
	{ "FROM a", "7", "Dockerfile: no stage \"7\"" },
	{ "ARG V=${W\nFROM a", NULL, "Dockerfile:1: ${W...}: the \"}\" is missing" },
};

static void test_stage_faults(void **state)
{
	AUTO_STRV struct strv none = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(stage_faults); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_DOCKERFILE struct dockerfile *d = parse(stage_faults[i].file);
		AUTO_STAGES struct stages *s = NULL;
		assert_true(stages_resolve(d, "Dockerfile", &none, &none, stage_faults[i].target, &s, &err) < 0);
		assert_string_equal(err->text, stage_faults[i].want);
	}
}

static void test_unset(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv none = { 0 };
	AUTO_DOCKERFILE struct dockerfile *d = parse("FROM a$V${W:-x}");
	AUTO_STAGES struct stages *s = NULL;
	assert_int_equal(stages_resolve(d, "Dockerfile", &none, &none, NULL, &s, &err), 0);
	assert_int_equal(s->unset.count, 1);
	assert_string_equal(s->unset.items[0], "V");
}

/* ---- .dockerignore ---- */

static const struct {
	const char *pattern, *path;
	int want;
} matches[] = {
	{ "a", "a", 1 },
	{ "a", "b", 0 },
	{ "a", "a/b", 0 },
	{ "*", "a", 1 },
	{ "*", "a/b", 0 },
	{ "*.md", "x.md", 1 },
	{ "*.md", "d/x.md", 0 },
	{ "*/b", "a/b", 1 },
	{ "*/b", "a/c/b", 0 },
	{ "**", "a/b/c", 1 },
	{ "**/b", "b", 1 },
	{ "**/b", "a/c/b", 1 },
	{ "**/b", "ab", 0 },
	{ "a/**", "a/b/c", 1 },
	{ "a/**", "a", 0 },
	{ "a/**/b", "a/b", 1 },
	{ "a/**/b", "a/x/y/b", 1 },
	{ "**/*.go", "a/b.go", 1 },
	{ "a?c", "abc", 1 },
	{ "a?c", "a/c", 0 },
	{ "[a-c]x", "bx", 1 },
	{ "[^a-c]x", "bx", 0 },
	{ "[^a-c]x", "dx", 1 },
	{ "[]]", "]", 1 },
	{ "[a-]", "-", 1 },
	{ "\\*", "*", 1 },
	{ "\\*", "a", 0 },
	{ "[\\]]", "]", 1 },
	{ "a.b", "axb", 0 },
	{ "$x", "$x", 1 },
	{ "a**", "ab/c", 1 },
	{ "*x*y*", "axbyc", 1 },
	{ "*x*y*", "aybxc", 0 },
	{ "ab", "a", 0 },
	{ "a\\*b", "a*b", 1 },
	{ "a\\*b*", "a*bc", 1 },
	{ "a/b?", "a/b", 0 },
	{ "a/b*", "a/b", 1 },
	{ "a/b*", "a/c", 0 },
	{ "[", "a", -22 },
	{ "a\\", "a", -22 },
	{ "[a", "a", -22 },
};

static void test_matches(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(matches); i++) {
		AUTO_IGNORE_PATTERN struct ignore_pattern *p = ignore_compile(matches[i].pattern);
		if ((p ? ignore_fits(p, matches[i].path) : -EINVAL) != matches[i].want)
			fail_msg("%s and %s", matches[i].pattern, matches[i].path);
	}
}

static const struct {
	const char *file, *path;
	int excluded, below; /* below: a "!" may take back */
} ignored[] = {
	{ "", "a", 0, 0 },
	{ "# a\n\n  \n", "a", 0, 0 },
	{ " #a", "#a", 1, 0 },
	{ "a", "a/b/c", 1, 0 },
	{ "/a/", "a", 1, 0 },
	{ "./x/../a", "a", 1, 0 },
	{ "a/*/c\r\n", "a/b/c", 1, 0 },
	{ "*\n!a/b", "a", 1, 1 },
	{ "*\n!a/b", "a/b", 0, 0 },
	{ "*\n!a/b", "a/c", 1, 0 },
	{ "*\n! a", "a/b/c", 0, 0 },
	{ "*\n!**/keep", "x/y", 1, 1 },
	{ "*.md\n!README*.md\nREADME-secret.md", "README-secret.md", 1, 0 },
	{ "*.md\n!README*.md\nREADME-secret.md", "README.md", 0, 0 },
	{ "*.md\nREADME-secret.md\n!README*.md", "README-secret.md", 0, 0 },
	{ ".", "a", 0, 0 },
	{ "..", "a", 0, 0 },
	{ "a", "ab", 0, 0 },
	{ "ab", "a", 0, 0 },
	{ "a\\*", "a*/b", 1, 0 },
	{ "a/x*", "a/xy/z/u", 1, 0 },
	{ "a/x*", "a/y/xz", 0, 0 },
	{ "**/x", "a/x/b", 1, 0 },
	{ "**/*.o", "a/b.o/c", 1, 0 },
	{ "**/*.o", "a/b.oo/c", 0, 0 },
	{ "*\n!a/b*/c", "a", 1, 1 },
	{ "*\n!a/b*/c", "a/bx", 1, 1 },
	{ "*\n!a/b*/c", "a/x", 1, 0 },
	{ "*\n!a/**", "a/x/y", 0, 0 },
	{ "*\n!a/b/c", "a/b/c/d", 0, 0 },
	{ "*\n!a/b", "a/b2", 1, 0 },
	{ "*\n!a/[bc]d", "a", 1, 1 },
};

static void test_ignore(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
		AUTO_ERROR struct error *err = NULL;
		AUTO_IGNORE struct ignore *g = NULL;
		const char *file = ignored[i].file;
		assert_int_equal(ignore_parse(file, strlen(file), ".dockerignore", &g, &err), 0);
		if (ignore_excludes(g, ignored[i].path) != ignored[i].excluded)
			fail_msg("%zu: %s", i, file);
		if (ignored[i].excluded && ignore_may_include_below(g, ignored[i].path) != ignored[i].below)
			fail_msg("below, %zu: %s", i, file);
	}
}

static void test_ignore_faults(void **state)
{
	AUTO_ERROR struct error *err = NULL;
	AUTO_IGNORE struct ignore *g = NULL;
	assert_true(ignore_parse("a\n!\n", 4, ".dockerignore", &g, &err) < 0);
	assert_string_equal(err->text, ".dockerignore:2: \"!\" has no pattern behind it");
	error_clear(&err);
	assert_true(ignore_parse("[x", 2, ".dockerignore", &g, &err) < 0);
	assert_string_equal(err->text, ".dockerignore:1: \"[x\" is no pattern");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instructions),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_trigger),
		cmocka_unit_test(test_excerpt),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_expand_faults),
		cmocka_unit_test(test_expand_deep),
		cmocka_unit_test(test_expand_left),
		cmocka_unit_test(test_expand_words),
		cmocka_unit_test(test_expand_raw),
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_stage_faults),
		cmocka_unit_test(test_unset),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_ignore),
		cmocka_unit_test(test_ignore_faults),
	};
	return cmocka_run_group_tests_name("build", tests, NULL, NULL);
}
