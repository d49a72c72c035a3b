/* SPDX-License-Identifier: Apache-2.0
 * Machines that start at the user's login: by holm-autostart.service of systemd's user manager. */
#pragma once

#include "machine/machine.h"

/* One line that says how to enable the unit, if a machine with autostart=on would wait for it in
 * vain. before: NULL, or the settings before a change. */
void autostart_note(const struct machine *before, const struct machine *after);
/* One line about a container whose restart policy counts on the machine's start, if that machine
 * does not start at login. */
void autostart_note_policy(const char *machine, const char *container, const char *policy);
