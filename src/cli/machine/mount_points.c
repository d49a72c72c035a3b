/* SPDX-License-Identifier: Apache-2.0
 * See mount_points.h. The agent removes those of a running machine. */
#include "cli/machine/mount_points.h"

#include <fcntl.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/mount_mark.h"
#include "base/path.h"

void mount_points_remove(const struct machine *m, const char *inside)
{
	AUTOFREE char *place = path_normalize(inside);
	size_t above = strlen(m->home);
	if (m->home_mount != MACHINE_HOME_RW || !place || !path_is_below(place, m->home) || !place[above])
		return;
	AUTO_FD int home = open(m->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (home >= 0)
		mount_mark_remove(home, place + above + 1, m->id);
}
