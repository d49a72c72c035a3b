/* SPDX-License-Identifier: Apache-2.0
 * Command-line options from tables: one table gives parser, help, man-page synopsis and
 * completion. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "base/strv.h"

enum option_kind {
	OPTION_FLAG,   /* no value */
	OPTION_SWITCH, /* no value, or --name=BOOL; options_switch() reads it */
	OPTION_STRING, /* the last one given counts */
	OPTION_LIST,   /* may be repeated */
};

struct option_spec {
	const char *name; /* without "--" */
	char letter;      /* 0: none */
	enum option_kind kind;
	const char *argument;       /* "SIZE"; for help; NULL for flags */
	const char *help;           /* one line */
	const char *default_text;   /* the default, for help; or NULL */
	const char *const *choices; /* NULL-terminated; checked; or NULL */
	/* the kind of words that completion offers: "machine", "container", "volume", "network",
	 * "image", "file", "directory", "key", "machine-path", "container-path", "choices ...", or
	 * NULL */
	const char *complete;
};

/* The machine that a command works on. Dispatch resolves it before the command runs
 * (cli/target.h). */
enum command_target {
	TARGET_NONE,
	TARGET_MACHINE,            /* the machine that the first word names */
	TARGET_MACHINE_OR_DEFAULT, /* the same; the default machine without a word */
	TARGET_NAMED_OR_DEFAULT,   /* the machine of --name, or the default one: the words are something else */
	/* the machine that the first word names; when it names none, the default one, and the word
	 * stays */
	TARGET_MACHINE_OR_COMMAND,
	TARGET_MACHINES,            /* all words, which need not exist, or every machine with --all */
	TARGET_MACHINES_OR_RUNNING, /* the words, which exist; none without words: the command chooses */
	TARGET_MACHINES_OR_DEFAULT, /* the words, which exist; every machine with --all; or the default one */
};

struct options; /* the parsed options */

struct command_spec {
	const char *name;                  /* "create" */
	const char *const *aliases;        /* NULL-terminated or NULL */
	const char *synopsis;              /* "IMAGE" or "[NAME] [CMD...]": behind the options */
	const char *summary;               /* one line */
	const char *details;               /* paragraphs for --help, or NULL */
	const struct option_spec *options; /* ends with an all-zero entry; or NULL */
	int min_arguments, max_arguments;  /* max -1: any number */
	int stop_at_first;                 /* options end at the first word that is not one */
	int passes_on; /* all words are another program's, options too; --help alone is this command's */
	enum command_target target;
	const char *complete;                                        /* for positional words, as in option_spec */
	int (*run)(const struct command_spec *c, struct options *o); /* exit status */
};

/* GNU style: --name=value, --name value, -nvalue, -n value, -n=value, clustered flags, "--" ends.
 * Unknown options, missing values, wrong choices, too few or many words: -EINVAL and a text.
 * -h/--help is always known (options_help). */
int options_parse(const struct command_spec *c, int argc, char *const *argv, struct options **ret, struct error **err);
void options_free(struct options *o);
DEFINE_CLEANUP(struct options, options_free)
int options_given(const struct options *o, const char *name);                 /* how often */
int options_switch(const struct options *o, const char *name, int otherwise); /* the last one given; 0 or 1 */
const char *options_string(const struct options *o, const char *name);        /* borrowed, or NULL */
const struct strv *options_list(const struct options *o, const char *name);   /* never NULL */
const struct strv *options_words(const struct options *o);                    /* the positional words; never NULL */
/* Takes up the options behind the target, and leaves the words behind these: for `ssh NAME -t CMD`.
 * 0 or -EINVAL. */
int options_resume(struct options *o, struct error **err);
int options_has(const struct options *o, const char *name); /* the command's table has it */
/* The names that the command is about take the place of its first `words` words. */
void options_set_targets(struct options *o, const struct strv *names, size_t words);
/* the first of them; for a command with a target that is one machine */
const char *options_target(const struct options *o);
const struct strv *options_targets(const struct options *o); /* never NULL */
int options_help(const struct options *o);                   /* --help was given */
/* "Usage: PREFIX name [OPTIONS] SYNOPSIS", summary, options with defaults; wrapped at width
 * columns. */
void options_print_help(FILE *out, const char *prefix, const struct command_spec *c);
/* Prints text and a newline, wrapped at the width of the terminal that out is, else at 80: the
 * first line begins at column `at`, the others at `indent`. */
void options_print_wrapped(FILE *out, const char *text, int at, int indent);
