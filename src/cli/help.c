/* SPDX-License-Identifier: Apache-2.0
 * `holm help [COMMAND...]`, and the lists of commands that --help shows. */
#include <stdio.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/output.h"

enum { NAME_COLUMN = 16 };

static int run(const struct command_spec *c, struct options *o);

const struct command_spec command_help = {
	.name = "help",
	.synopsis = "[COMMAND...]",
	.summary = "show help on a command",
	.max_arguments = 3,
	.complete = "command",
	.run = run,
};

/* The line of one command; commands below a command ("mount add") are shown under their stem. */
static void print_commands(FILE *out, const struct command_group *g, const char *under)
{
	AUTOFREE char *stem = under ? xasprintf("%s ", under) : NULL;
	const struct command_spec *c;
	for (size_t i = 0; (c = command_at(g, i)); i++) {
		AUTO_STRV struct strv names = { 0 };
		if ((stem && !startswith(c->name, stem)) || !command_is_shown(g, c))
			continue;
		strv_add(&names, c->name);
		for (const char *const *a = c->aliases; a && *a && !strchr(c->name, ' '); a++)
			strv_add(&names, *a);
		AUTOFREE char *text = strv_join(&names, ", ");
		fprintf(out, "  %-*s ", NAME_COLUMN, text);
		options_print_wrapped(out, c->summary, NAME_COLUMN + 3, NAME_COLUMN + 3);
	}
}

void help_print_command(FILE *out, const struct command_group *g, const struct command_spec *c)
{
	AUTOFREE char *prefix = command_prefix(g);
	struct command_spec shown = *c;
	if (!command_is_shown(g, c))
		shown.aliases = NULL; /* its own group has them */
	options_print_help(out, prefix, &shown);
}

void help_print_group(FILE *out, const struct command_group *g, const char *under)
{
	AUTOFREE char *prefix = command_prefix(g);
	fprintf(out, "Usage: %s%s%s COMMAND [OPTIONS]\n\n", prefix, under ? " " : "", under ? under : "");
	if (!under)
		fprintf(out, "%c%s.\n\n", g->summary[0] - ('a' - 'A'), g->summary + 1);
	fputs("Commands:\n", out);
	print_commands(out, g, under);
	fprintf(out, "\n%s%s%s COMMAND --help tells more of one.\n", prefix, under ? " " : "", under ? under : "");
}

void help_print_all(FILE *out)
{
	fputs("Usage: holm COMMAND [OPTIONS]\n\n"
	      "Small islands of Linux with your own home on them.\n\n"
	      "  holm image debootstrap bookworm -t debian:12  an image from Debian's packages\n"
	      "  holm machine create debian:12 --name dev      make a machine and boot it\n"
	      "  holm machine run -n dev                       your shell in it\n"
	      "  holm machine run -n dev make test             one command in it\n",
	    out);
	for (const struct command_group *g = command_groups; g->name; g++) {
		AUTOFREE char *prefix = command_prefix(g);
		AUTOFREE char *title = xasprintf("%s - %s%s%s%s", prefix, g->summary, g->alias ? " (also: holm " : "",
		    g->alias ? g->alias : "", g->alias ? ")" : "");
		fputc('\n', out);
		options_print_wrapped(out, title, 0, 0);
		print_commands(out, g, NULL);
	}
	fputc('\n', out);
	options_print_wrapped(out,
	    "holm GROUP COMMAND --help tells more of one command; so do the manual pages holm(1), holm-machine(1), "
	    "holm-container(1), holm-image(1), holm-images(7), holm-shares(7), holm-security(7) and holm-config(5).",
	    0, 0);
}

static int run(const struct command_spec *spec, struct options *o)
{
	struct strv words = *options_words(o); /* borrowed */
	int used;
	if (words.count == 0) {
		help_print_all(stdout);
		return 0;
	}
	const struct command_group *g = command_group_find(words.items[0]);
	size_t first = g ? 1 : 0;
	if (g && words.count == 1) {
		help_print_group(stdout, g, NULL);
		return 0;
	}
	/* `holm help stop` means `holm stop`. The groups have what does not stand directly behind
	 * `holm`. */
	const struct command_group *at = g ? g : command_group_plain();
	const struct command_spec *c = command_find(at, (int)(words.count - first), words.items + first, &used);
	for (const struct command_group *next = command_groups; !g && !c && *next->name; next++) {
		at = next;
		c = command_find(at, (int)words.count, words.items, &used);
	}
	if (c) {
		help_print_command(stdout, at, c);
		return 0;
	}
	if (words.count == first + 1 && command_is_stem(g ? g : &command_groups[0], words.items[first])) {
		help_print_group(stdout, g ? g : &command_groups[0], words.items[first]);
		return 0;
	}
	AUTOFREE char *text = strv_join(&words, " ");
	const char *near = command_suggest(g ? g : &command_groups[0], words.items[first]);
	output_error("there is no command \"holm %s\"%s%s%s; see holm --help", text, near ? "; did you mean \"" : "",
	    near ? near : "", near ? "\"?" : "");
	return EXIT_HOLM;
}
