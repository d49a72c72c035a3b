/* SPDX-License-Identifier: Apache-2.0
 * From the words of the command line to one command's function. `holm image ...` is another program
 * with the same words: its tables are here for help and completion only. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/path.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/target.h"

static int is_help(const char *word)
{
	return streq(word, "--help") || streq(word, "-h");
}

/* The group that has a command of exactly this name, for who left the group's out. */
static const struct command_group *group_of_command(const char *word)
{
	char *const words[] = { (char *)word };
	for (const struct command_group *g = command_groups; *g->name; g++) {
		int used;
		if (command_find(g, 1, words, &used))
			return g;
	}
	return NULL;
}

/* Words of docker for which another program or another command stands here. */
static const char *docker_word(const char *word)
{
	static const struct {
		const char *word, *remedy;
	} words[] = {
		{ "buildx", "holm build has its options" },
		{ "builder", "see holm build --help" },
		{ "context", "--machine or HOLM_MACHINE names the machine" },
		{ "swarm", "there are no swarms; docker-compose runs services" },
		{ "service", "there are no swarms; docker-compose runs services" },
		{ "stack", "there are no swarms; docker-compose runs services" },
		{ "node", "there are no swarms; docker-compose runs services" },
		{ "plugin", "the engine has no plugins" },
		{ "-H", "--machine or HOLM_MACHINE names the machine" },
		{ "--host", "--machine or HOLM_MACHINE names the machine" },
		{ "-c", "--machine or HOLM_MACHINE names the machine" },
		{ "--context", "--machine or HOLM_MACHINE names the machine" },
		{ "--config", "logins are those of holm login; see holm-config(5)" },
		{ "-D", "HOLM_DEBUG=1 shows what each program does" },
		{ "--debug", "HOLM_DEBUG=1 shows what each program does" },
		{ "-l", "HOLM_DEBUG=1 shows what each program does" },
		{ "--log-level", "HOLM_DEBUG=1 shows what each program does" },
	};
	AUTOFREE char *name = xstrndup(word, strcspn(word, "="));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(name, words[i].word))
			return words[i].remedy;
	return NULL;
}

static int unknown_command(const struct command_group *g, const char *word)
{
	AUTOFREE char *prefix = command_prefix(g);
	const char *near = command_suggest(g, word);
	const struct command_group *other = *g->name ? NULL : group_of_command(word);
	const char *remedy = *g->name ? NULL : docker_word(word);
	if (remedy && word[0] == '-')
		output_error("there is no option %.*s; %s", (int)strcspn(word, "="), word, remedy);
	else if (remedy)
		output_error("there is no command \"holm %s\"; %s", word, remedy);
	else if (other)
		output_error("there is no command \"holm %s\"; did you mean \"holm %s %s\"? See holm --help", word,
		    other->name, word);
	else if (word[0] == '-')
		output_error("unknown option %s; see %s --help", word, prefix);
	else if (near)
		output_error("there is no command \"%s %s\"; did you mean \"%s %s\"? See %s --help", prefix, word,
		    prefix, near, prefix);
	else
		output_error("there is no command \"%s %s\"; see %s --help", prefix, word, prefix);
	return EXIT_HOLM;
}

static int run_command(const struct command_group *g, const struct command_spec *c, int argc, char *const *argv)
{
	CLEANUP(options_freep) struct options *o = NULL;
	AUTO_ERROR struct error *err = NULL;
	AUTOFREE char *prefix = command_prefix(g);
	int r = options_parse(c, argc, argv, &o, &err);
	if (r < 0) {
		output_error("%s; see %s %s --help", error_text(err, r), prefix, c->name);
		return EXIT_HOLM;
	}
	if (options_help(o)) {
		help_print_command(stdout, g, c);
		return 0;
	}
	r = target_resolve(c, o, &err);
	return r < 0 ? output_failure(r, err) : c->run(c, o);
}

/* Becomes the program that has this group's commands. */
static int execute_program(const char *program, int argc, char *const *argv)
{
	AUTOFREE char *path = path_libexec(program);
	AUTOFREE char **words = xcalloc((size_t)argc + 2, sizeof *words);
	words[0] = path;
	for (int i = 0; i < argc; i++)
		words[i + 1] = argv[i];
	fflush(stdout);
	execv(path, words);
	output_error("%s: %s; is holm installed completely?", path, strerror(errno));
	return EXIT_HOLM;
}

static int run_in_group(const struct command_group *g, int argc, char *const *argv)
{
	int words;
	if (argc == 0 || is_help(argv[0])) {
		help_print_group(stdout, g, NULL);
		return 0;
	}
	if (g->program)
		return execute_program(g->program, argc, argv);
	const struct command_spec *c = command_find(g, argc, argv, &words);
	if (c && !c->run)
		return execute_program("holm-image", argc, argv);
	if (c)
		return run_command(g, c, argc - words, argv + words);
	if (!command_is_stem(g, argv[0]))
		return unknown_command(g, argv[0]);
	if (argc > 1 && !is_help(argv[1])) {
		output_error("there is no command \"holm %s %s %s\"; see holm %s %s --help", g->name, argv[0], argv[1],
		    g->name, argv[0]);
		return EXIT_HOLM;
	}
	help_print_group(stdout, g, argv[0]);
	return 0;
}

/* Docker's other words for `build`: `docker buildx build`, `docker builder build`. */
static int is_build(int argc, char *const *argv)
{
	return argc > 1 && (streq(argv[0], "buildx") || streq(argv[0], "builder")) && streq(argv[1], "build");
}

int command_main(int argc, char *const *argv)
{
	const struct command_group *plain = command_group_plain();
	if (is_build(argc, argv))
		return run_in_group(plain, argc - 1, argv + 1);
	if (argc == 0 || is_help(argv[0])) {
		help_print_all(stdout);
		return 0;
	}
	const struct command_group *g = command_group_find(argv[0]);
	if (g)
		return run_in_group(g, argc - 1, argv + 1);
	if (streq(argv[0], "--version") || streq(argv[0], "-V") || streq(argv[0], "-v"))
		return run_command(plain, &command_version, argc - 1, argv + 1);
	return run_in_group(plain, argc, argv);
}
