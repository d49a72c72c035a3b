/* SPDX-License-Identifier: Apache-2.0
 * machines/.bases: what clones share. Bases of both isolations lie in it, under one lock. */
#pragma once

#include "base/error.h"

#define BASES_FOLDER ".bases"

/* Owned path of the folder, whether it is there or not. */
char *bases_folder(void);
/* Makes the folder and takes its lock: a descriptor (closing it gives the lock back) or -errno, -EBUSY when another holds it for too long. */
int bases_lock(const char *folder, struct error **err);
/* 16 random hex digits, owned; NULL and an error. */
char *bases_new_id(struct error **err);
