/* SPDX-License-Identifier: Apache-2.0
 * The checks of a Dockerfile: a file for each rule that it finds, and one that it does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "image/build/lint.h"

/* "known" has PATH and HOME, and is for arm64. */
static int find_base(void *data, const char *image, struct lint_base *ret)
{
	(void)data;
	if (!streq(image, "known") && !streq(image, "foreign"))
		return -ENOENT;
	strv_add(&ret->env, "PATH=/bin");
	ret->platform = xstrdup(streq(image, "known") ? "linux/amd64" : "linux/arm64");
	return 0;
}

/* "RULE:LINE text;..." */
static char *found(const char *text, const struct strv *given, const struct ignore *ignore)
{
	AUTO_DOCKERFILE struct dockerfile *d = NULL;
	AUTO_LINT struct lint l = { 0 };
	AUTO_ERROR struct error *err = NULL;
	AUTO_STRV struct strv platform = { 0 }, all = { 0 };
	strv_add(&platform, "TARGETPLATFORM=linux/amd64");
	strv_add(&platform, "TARGETARCH=amd64");
	assert_int_equal(dockerfile_parse(text, strlen(text), "Dockerfile", &d, &err), 0);
	const struct lint_input in = { .file = d,
		.given = given,
		.platform = &platform,
		.ignore = ignore,
		.find_base = find_base };
	if (lint_check(&in, &l, &err) < 0)
		return xstrdup(error_text(err, 0));
	for (size_t i = 0; i < l.count; i++)
		strv_addf(&all, "%s:%u %s", lint_rule_name(l.items[i].rule), l.items[i].line, l.items[i].text);
	return strv_join(&all, ";");
}

static const struct {
	const char *text, *wanted;
} cases[] = {
	{ "FROM known\nCMD [\"x\"]\n", "" },
	{ "FROM known AS Base\n", "StageNameCasing:1 Stage name 'Base' should be lowercase" },
	{ "FROM known as base\n", "FromAsCasing:1 'as' and 'FROM' keywords' casing do not match" },
	{ "from known as base\n", "" },
	{ "FROM known\nRUN a \\\n\n  b\n", "NoEmptyContinuation:3 Empty continuation line" },
	{ "FROM known\nrun a\nRUN b\n",
	    "ConsistentInstructionCasing:2 Command 'run' should match the case of the command majority (uppercase)" },
	{ "from known\nrun a\nRun b\n",
	    "ConsistentInstructionCasing:3 Command 'Run' should match the case of the command majority (lowercase)" },
	{ "FROM known AS a\nFROM known AS a\n",
	    "DuplicateStageName:2 Duplicate stage name \"a\", stage names should be unique" },
	{ "FROM known AS scratch\n",
	    "ReservedStageName:1 Stage name should not use the same name as reserved stage \"scratch\"" },
	{ "FROM known\nCMD x\n", "JSONArgsRecommended:2 JSON arguments recommended for CMD to prevent unintended "
				 "behavior related to OS signals" },
	{ "FROM known\nSHELL [\"/bin/bash\", \"-c\"]\nENTRYPOINT x\n", "" },
	{ "FROM known\nMAINTAINER me\n",
	    "MaintainerDeprecated:2 Maintainer instruction is deprecated in favor of using label" },
	{ "ARG VERSION=1\nFROM known:${VERSIOM:-2}\n", "" },
	{ "ARG VERSION=1\nFROM known:x$VERSIOM\n",
	    "UndefinedArgInFrom:2 FROM argument 'VERSIOM' is not declared (did you mean VERSION?)" },
	{ "FROM known\nWORKDIR app\n",
	    "WorkdirRelativePath:2 Relative workdir \"app\" can have unexpected results if the base image changes" },
	{ "FROM known AS a\nWORKDIR /srv\nFROM a\nWORKDIR app\n", "" },
	{ "FROM known\nARG foo\nCOPY $foo $fooo ${bar:-x} $PATH $HTTP_PROXY /\n",
	    "UndefinedVar:3 Usage of undefined variable '$fooo' (did you mean $foo?)" },
	{ "FROM known\nCOPY a /x$other\n", "UndefinedVar:2 Usage of undefined variable '$other'" },
	{ "FROM unknown\nCOPY a /x$other\n", "" },
	{ "FROM known\nENV A=1 B=$A\nENV C=$A\nLABEL $C=x\n", "UndefinedVar:2 Usage of undefined variable '$A'" },
	{ "FROM known\nCMD [\"a\"]\nCMD [\"b\"]\n", "MultipleInstructionsDisallowed:2 Multiple CMD instructions should "
						    "not be used in the same stage because only "
						    "the last one will be used" },
	{ "FROM known AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\n", "" },
	{ "FROM known\nENV a b\n",
	    "LegacyKeyValueFormat:2 \"ENV key=value\" should be used instead of legacy \"ENV key value\" format" },
	{ "FROM foreign\n",
	    "InvalidBaseImagePlatform:1 Base image foreign was pulled with platform \"linux/arm64\", expected "
	    "\"linux/amd64\" for current build" },
	{ "FROM --platform=$TARGETPLATFORM known\n", "RedundantTargetPlatform:1 Setting platform to predefined "
						     "$TARGETPLATFORM in FROM is redundant as this is the "
						     "default behavior" },
	{ "FROM known\nARG GITHUB_TOKEN\nENV public_key=x KEYBOARD=us\n",
	    "SecretsUsedInArgOrEnv:2 Do not use ARG or ENV instructions for sensitive data (ARG \"GITHUB_TOKEN\")" },
	{ "ARG TAG\nFROM known:$TAG\n",
	    "InvalidDefaultArgInFrom:2 Default value for ARG known:$TAG results in empty or invalid base image name" },
	{ "ARG TAG=1\nFROM known:$TAG\n", "" },
	{ "FROM --platform=linux/amd64 known\n",
	    "FromPlatformFlagConstDisallowed:1 FROM --platform flag should not use constant value \"linux/amd64\"" },
	{ "FROM --platform=linux/amd64 known AS build_amd64\n", "" },
	{ "FROM known\nCOPY left/out /x\n", "" },
	{ "# check=experimental=CopyIgnoredFile\nFROM known\nCOPY left/out in /x\nCOPY --from=known left /y\n",
	    "CopyIgnoredFile:3 Attempting to COPY file \"left/out\" that is excluded by .dockerignore" },
	{ "# check=experimental=all\nFROM known AS base\n# something\nARG X\n# Y is why\nARG Y\n",
	    "InvalidDefinitionDescription:4 Comment for build arg should follow the format: `# X <description>`" },
	{ "FROM known\nEXPOSE 80/TCP 81/udp\n",
	    "ExposeProtoCasing:2 Defined protocol '80/TCP' in EXPOSE instruction should be lowercase" },
	{ "FROM known\nEXPOSE 127.0.0.1:80:80\n",
	    "ExposeInvalidFormat:2 EXPOSE instruction should not define an IP address or host-port mapping, found "
	    "'127.0.0.1:80:80'" },
	{ "# check=skip=JSONArgsRecommended,MaintainerDeprecated\nFROM known\nMAINTAINER x\nCMD x\n", "" },
	{ "# check=skip=all\nFROM known AS Base\nCMD x\n", "" },
	{ "# check=skip=StageNameCase\nFROM known\n", "# check=: no rule \"StageNameCase\"" },
	{ "# check=skip=FromAsCasin\nFROM known\n", "# check=: no rule \"FromAsCasin\"; did you mean FromAsCasing?" },
	{ "# check=erorr=true\nFROM known\n", "# check=erorr=true: there are skip=, error= and experimental=" },
	{ "# check=error=perhaps\nFROM known\n", "# check=error=perhaps: write true or false" },
};

static void table(void **state)
{
	static const char patterns[] = "left\n";
	static const struct strv none = { 0 };
	AUTO_IGNORE struct ignore *ignore = NULL;
	(void)state;
	assert_int_equal(ignore_parse(patterns, strlen(patterns), ".dockerignore", &ignore, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *text = found(cases[i].text, &none, ignore);
		if (!streq(text, cases[i].wanted))
			print_message("%s", cases[i].text);
		assert_string_equal(text, cases[i].wanted);
	}
}

static void given_arguments(void **state)
{
	AUTO_STRV struct strv given = { 0 };
	(void)state;
	strv_add(&given, "TAG=2");
	/* The default is wrong, whatever is given. */
	AUTOFREE char *text = found("ARG TAG\nFROM known:$TAG\nARG TAG\nCOPY $TAG /\n", &given, NULL);
	assert_string_equal(text,
	    "InvalidDefaultArgInFrom:2 Default value for ARG known:$TAG results in empty or invalid base image name");
}

static void output(void **state)
{
	static const struct strv none = { 0 };
	static const char text[] = "# check=error=true\nFROM unknown\nCMD x\nMAINTAINER y\nCMD [\"z\"]\n";
	AUTO_DOCKERFILE struct dockerfile *d = NULL;
	AUTO_LINT struct lint l = { 0 };
	(void)state;
	assert_int_equal(dockerfile_parse(text, strlen(text), "Dockerfile", &d, NULL), 0);
	const struct lint_input in = { .file = d, .given = &none, .platform = &none };
	assert_int_equal(lint_check(&in, &l, NULL), 0);
	assert_true(l.is_error);
	AUTOFREE char *shown = lint_text(&l, d, "Dockerfile"), *violation = lint_violation(&l);
	assert_string_equal(violation, "lint violation found for rules: JSONArgsRecommended, "
				       "MultipleInstructionsDisallowed, MaintainerDeprecated");
	assert_non_null(strstr(shown, "Check complete, 3 warnings have been found!\n\nWARNING: JSONArgsRecommended - "
				      "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
				      "JSON arguments recommended for CMD to prevent unintended behavior related to OS "
				      "signals\nDockerfile:3\n--------------------\n"));
	assert_non_null(strstr(shown, "   3 | >>> CMD x\n"));
	lint_done(&l);
	AUTOFREE char *nothing = lint_text(&l, d, "Dockerfile");
	assert_string_equal(nothing, "Check complete, no warnings found.\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(table), cmocka_unit_test(given_arguments),
		cmocka_unit_test(output) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
