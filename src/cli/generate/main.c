/* SPDX-License-Identifier: Apache-2.0
 * holm-generate: writes the manual pages and the completion scripts while holm is built. */
#include "cli/generate/generate.h"

#include "base/macros.h"

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
