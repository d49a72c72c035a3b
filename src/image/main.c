/* SPDX-License-Identifier: Apache-2.0
 * holm-image: all that needs libcurl, libarchive, libcrypto or libext2fs, so that `holm` itself
 * starts fast. `holm image ...` executes it with the same words. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include <curl/curl.h>

#include "base/fd.h"
#include "image/commands/command.h"
#include "image/common/interrupt.h"
#include "image/options.h"
#include "oci/reference.h"

static const struct {
	const char *name;
	int (*run)(struct options *o, struct error **err);
} handlers[] = {
	{ "build", command_build },
	{ "build-stream", command_build_stream },
	{ "build-du", command_build_du },
	{ "build-prune", command_build_prune },
	{ "pull", command_pull },
	{ "push", command_push },
	{ "pull-as", command_pull_as },
	{ "push-as", command_push_as },
	{ "distribution", command_distribution },
	{ "try-login", command_try_login },
	{ "search", command_search },
	{ "login", command_login },
	{ "logout", command_logout },
	{ "load", command_load },
	{ "save", command_save },
	{ "import", command_import },
	{ "ls", command_ls },
	{ "inspect", command_inspect },
	{ "history", command_history },
	{ "diff", command_diff },
	{ "rm", command_rm },
	{ "prune", command_prune },
	{ "tag", command_tag },
	{ "debootstrap", command_debootstrap },
	{ "prepare", command_prepare },
	{ "commit", command_commit },
	{ "commit-layer", command_commit_layer },
	{ "machine-diff", command_machine_diff },
	{ "pack", command_pack },
	{ "unpack", command_unpack },
};

static const struct command_spec *find_in(const struct command_spec *table, const char *name)
{
	for (; table->name; table++) {
		if (streq(table->name, name))
			return table;
		for (const char *const *alias = table->aliases; alias && *alias; alias++)
			if (streq(*alias, name))
				return table;
	}
	return NULL;
}

static void print_commands(FILE *out)
{
	fprintf(out, "Usage: holm image COMMAND [OPTIONS]\n\nCommands:\n");
	for (const struct command_spec *c = image_commands; c->name; c++)
		fprintf(out, "  %-12s %s\n", c->name, c->summary);
	fprintf(out, "\n\"holm image COMMAND --help\" tells more.\n");
}

/* Says on stderr what went wrong, and which command's help has more. Returns EXIT_HOLM. */
static int fail(int code, const struct error *err, const char *command)
{
	const char *text = error_text(err, code);
	if (command)
		fprintf(stderr, "holm: %s; see holm image %s --help\n", text, command);
	else
		fprintf(stderr, "holm: %s\n", text);
	return EXIT_HOLM;
}

static int run(const struct command_spec *c, int argc, char **argv, struct error **err)
{
	struct options *o = NULL;
	int r = options_parse(c, argc, argv, &o, err);
	if (r < 0)
		return *err ? fail(r, *err, c->name) : EXIT_HOLM;
	if (options_help(o)) {
		options_print_help(stdout, "holm image", c);
		options_free(o);
		return 0;
	}
	r = -ENOSYS;
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (streq(handlers[i].name, c->name))
			r = handlers[i].run(o, err);
	options_free(o);
	return r < 0 ? fail(r, *err, NULL) : 0;
}

mode_t command_umask;

int main(int argc, char **argv)
{
	AUTO_ERROR struct error *err = NULL;
	fd_fix_standard();
	command_umask = umask(077);
	if (argc < 2 || streq(argv[1], "--help") || streq(argv[1], "-h") || streq(argv[1], "help")) {
		print_commands(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_HOLM : 0;
	}
	if (streq(argv[1], "--docker-names") && argc > 2) { /* the keeper's, for docker.sock */
		reference_use_hub_names();
		argv++;
		argc--;
	}
	const struct command_spec *c = find_in(image_commands, argv[1]);
	if (!c)
		c = find_in(image_inner_commands, argv[1]);
	if (!c) {
		int r = error_set(&err, EINVAL, "no command \"image %.40s\"; see holm image --help", argv[1]);
		return fail(r, err, NULL);
	}
	if (interrupt_setup() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		fprintf(stderr, "holm: cannot start\n");
		return EXIT_HOLM;
	}
	int status = run(c, argc - 2, argv + 2, &err);
	interrupt_finish();
	return status;
}
