/* SPDX-License-Identifier: Apache-2.0
 * The unit is enabled by a link in a folder of the user's, or of the administrator's. */
#include "cli/machine/autostart.h"

#include "base/alloc.h"
#include "base/path.h"
#include "cli/output.h"

#define LINK "systemd/user/default.target.wants/holm-autostart.service"

static int is_enabled(void)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	AUTOFREE char *home = path_home_dir(),
		      *own = config && *config == '/' ? path_join(config, LINK) : xasprintf("%s/.config/" LINK, home);
	return path_exists(own) || path_exists("/etc/" LINK);
}

void autostart_note(const struct machine *before, const struct machine *after)
{
	if (!after->autostart || (before && before->autostart) || is_enabled())
		return;
	output_note("machine \"%s\" starts at your login once you have enabled that: "
		    "systemctl --user enable holm-autostart.service",
	    after->name);
}

void autostart_note_policy(const char *machine, const char *container, const char *policy)
{
	AUTO_MACHINE struct machine *m = NULL;
	if (!streq(policy, "always") && !streq(policy, "unless-stopped"))
		return;
	if (machine_load(machine, &m, NULL) == 0 && !m->autostart)
		output_note("container \"%s\" comes back when machine \"%s\" starts; for a start at each login: "
			    "holm machine set -n %s autostart=on",
		    container, machine, machine);
}
