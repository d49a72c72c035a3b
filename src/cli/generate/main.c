/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/generate/generate.h"

#include "base/alloc.h"
#include "base/strv.h"

char *generate_value_of(const struct option_spec *s)
{
	AUTO_STRV struct strv words = { 0 };
	if (!s->choices)
		return xstrdup(s->complete ? s->complete : "");
	strv_add(&words, "choices");
	for (const char *const *c = s->choices; *c; c++)
		strv_add(&words, *c);
	return strv_join(&words, " ");
}

void generate_each(void (*fn)(FILE *out, const char *full_name, const struct command_group *g,
		       const struct command_spec *c),
    FILE *out)
{
	const struct command_spec *c;
	for (const struct command_group *g = command_groups; g->name; g++) {
		for (size_t i = 0; (c = command_at(g, i)); i++) {
			AUTOFREE char *full = xasprintf("%s%s%s", g->name, *g->name ? " " : "", c->name);
			fn(out, full, g, c);
			for (const char *const *a = c->aliases; a && *a && command_is_shown(g, c); a++) {
				struct command_spec alias = *c;
				AUTOFREE char *other = xasprintf("%s%s%s", g->name, *g->name ? " " : "", *a);
				alias.name = *a;
				alias.aliases = NULL;
				fn(out, other, g, &alias);
			}
		}
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (streq(what, "man") && argc == 3)
		return generate_man(argv[2]) < 0;
	if (streq(what, "bash"))
		generate_bash(stdout);
	else if (streq(what, "zsh"))
		generate_zsh(stdout);
	else if (streq(what, "fish"))
		generate_fish(stdout);
	else
		return 2;
	return 0;
}
