/* SPDX-License-Identifier: Apache-2.0
 * Ctrl-C: SIGINT, SIGTERM and SIGHUP set a flag, so that every loop can stop where nothing is half
 * done. */
#pragma once

#include "base/error.h"

int interrupt_setup(void);               /* 0 or -errno; once, at the start of the program */
int interrupt_fd(void);                  /* readable once a signal came; for poll(2) */
int interrupt_check(struct error **err); /* 0, or -ECANCELED with a text */
void interrupt_finish(void); /* dies by the signal that came, so that the caller's shell sees it; else returns */
