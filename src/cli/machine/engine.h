/* SPDX-License-Identifier: Apache-2.0
 * Engine machines: made of the small image that comes with holm, for containers. */
#pragma once

#include "machine/machine.h"

#define ENGINE_MACHINE_NAME "holm-machine-default"

/* Takes the image from the installation into the library if it is not there. m->form decides what
 * is prepared; then as make_apply_image(). 0, the exit status of holm-image, which has said why, or
 * -errno. */
int engine_prepare(struct machine *m, struct error **err);
/* Sets what an engine machine needs and the configuration leaves open. */
void engine_settings(struct machine *m);
int engine_is_machine(const struct machine *m);
/* Makes the engine machine, stopped, if there is no machine at all. 1 and its name (owned), also if
 * it is the only machine; 0 if there are others; or -errno. */
int engine_make_first(char **ret_name, struct error **err);
/* Shows on stderr how Docker's clients reach the running machine, if it is an engine machine. */
void engine_note_ready(const char *name);
