/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/generate/generate.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "machine/machine.h"

/* Text in scdoc(5), where _ and * mean something. */
static void put_text(const char *s)
{
	for (; *s; s++) {
		if (strchr("_*\\#<>~", *s))
			putchar('\\');
		putchar(*s);
	}
}

static void put_sentence(const char *s)
{
	char first[2] = { s[0] >= 'a' && s[0] <= 'z' ? (char)(s[0] - 'a' + 'A') : s[0], 0 };
	put_text(first);
	put_text(s + 1);
	if (!endswith(s, "."))
		putchar('.');
	putchar('\n');
}

static void put_option(const struct option_spec *s)
{
	if (s->letter)
		printf("*-%c*, ", s->letter);
	printf("*--%s*", s->name);
	if (s->argument) {
		fputs(" _", stdout);
		put_text(s->argument);
		putchar('_');
	}
	fputs("\n\t", stdout);
	AUTOFREE char *text =
	    s->default_text ? xasprintf("%s (default: %s)", s->help, s->default_text) : xstrdup(s->help);
	put_sentence(text);
	putchar('\n');
}

static void put_command(const struct command_group *g, const struct command_spec *c)
{
	AUTOFREE char *prefix = command_prefix(g);
	printf("## %s %s\n\n*%s %s*%s", *g->name ? g->name : "holm", c->name, prefix, c->name,
	    c->options && c->options->name ? " [_OPTIONS_]" : "");
	if (c->synopsis && *c->synopsis) {
		fputs(" _", stdout);
		put_text(c->synopsis);
		putchar('_');
	}
	fputs("\n\n", stdout);
	put_sentence(c->summary);
	if (c->details) {
		put_text(c->details);
		putchar('\n');
	}
	if (c->aliases && *c->aliases) {
		fputs("Also:", stdout);
		for (const char *const *a = c->aliases; *a; a++)
			printf("%s *%s %s*", a == c->aliases ? "" : ",", prefix, *a);
		fputs(".\n", stdout);
	}
	putchar('\n');
	for (const struct option_spec *s = c->options; s && s->name; s++)
		put_option(s);
}

/* Commands that stand behind `holm` alone and have a page of their own. */
static int has_own_page(const char *name)
{
	return streq(name, "build") || streq(name, "ssh-config");
}

static void put_group(const char *name)
{
	const struct command_spec *c;
	for (const struct command_group *g = command_groups; g->name; g++)
		for (size_t i = 0; streq(g->name, name) && (c = command_at(g, i)); i++)
			if (command_is_shown(g, c) && !has_own_page(c->name))
				put_command(g, c);
	const struct command_group *plain = command_group_plain();
	for (size_t i = 0; has_own_page(name) && (c = command_at(plain, i)); i++)
		if (streq(c->name, name))
			put_command(plain, c);
}

static void put_keys(void)
{
	for (const struct machine_key *k = machine_keys; k->key; k++) {
		printf("*%s*\n\t", k->key);
		put_sentence(k->help);
		putchar('\n');
	}
}

int generate_man(const char *template)
{
	FILE *in = fopen(template, "re");
	char *line = NULL;
	size_t capacity = 0;
	if (!in) {
		perror(template);
		return -errno;
	}
	while (getline(&line, &capacity, in) > 0) {
		const char *name = startswith(line, "@COMMANDS ");
		if (name) {
			AUTOFREE char *group = xstrndup(name, strcspn(name, "@\n"));
			put_group(group);
		} else if (startswith(line, "@KEYS@")) {
			put_keys();
		} else {
			fputs(line, stdout);
		}
	}
	free(line);
	fclose(in);
	return 0;
}
