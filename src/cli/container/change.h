/* SPDX-License-Identifier: Apache-2.0
 * One change of several things by their names. Each name that was changed is printed, as docker
 * does. All requests are on their way before the first answer is read: containers stop side by
 * side. */
#pragma once

#include "cli/container/api.h"

struct change {
	const char *kind;           /* "container" */
	const char *before, *after; /* of the path: "/containers/", "/stop" */
	const char *method;
	const char *query; /* "?t=5", or "" */
	int missing_is_fine;
};
/* Returns 0, or the last status that is not. A failing one does not stop the others. */
int change_each(const struct api *a, const struct strv *names, const struct change *what);
