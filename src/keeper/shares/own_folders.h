/* SPDX-License-Identifier: Apache-2.0
 * The places in the shared home that are the machine's own (home-private). */
#pragma once

#include "keeper/keeper_private.h"

/* Makes the places of the home's share that are not there, adds to s->private those that the agent
 * can mount on, and warns once of the others and of what a place hides. */
void own_folders_prepare(struct keeper *k, struct keeper_share *s);
/* Removes what holm made for such places and nobody uses any more. The machine has ended. */
void own_folders_done(struct own_folders *p);
