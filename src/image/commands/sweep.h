/* SPDX-License-Identifier: Apache-2.0
 * Deleting what nothing in the library refers to, at the end of every command that adds or removes
 * something. */
#pragma once

#include "image/library/library.h"

/* Closes the library and, if nobody else has it open (or closes it within wait_ms), deletes what
 * nothing refers to: blobs of no name, disks of no name and no machine, temporary files of dead
 * processes, partial downloads that are old or too many. Failures are not errors: the next one
 * tries again. */
void library_free_and_sweep(struct library *l, unsigned wait_ms);
