/* SPDX-License-Identifier: Apache-2.0
 * The part of the probe that runs as root of a new user namespace. */
#pragma once

#include "isolation/native/probe.h"

struct probe_inside {
	int folder;                 /* an empty directory that root inside may write to; emptied again */
	struct native_facts *facts; /* shared memory: filled in as it goes */
};

/* For idmap_run. 0: it was tried. */
int probe_inside(void *data, struct error **err);
