/* SPDX-License-Identifier: Apache-2.0
 * The tables of commands, one command after the other. */
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
