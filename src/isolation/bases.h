/* SPDX-License-Identifier: Apache-2.0
 * machines/.bases: what clones share. Bases of both isolations lie in it, under one lock. */
#pragma once

#include "base/error.h"
#include "base/strv.h"

#define BASES_FOLDER ".bases"

/* Owned path of the folder, whether it is there or not. */
char *bases_folder(void);
/* Makes the folder and takes its lock: a descriptor (closing it gives the lock back) or -errno,
 * -EBUSY when another holds it for too long. */
int bases_lock(const char *folder, struct error **err);
/* 16 random hex digits, owned; NULL and an error. */
char *bases_new_id(struct error **err);

/* The bases of one isolation. */
struct bases_kind {
	int (*is_base)(const char *name); /* a name of this kind, in the folder of both */
	/* Adds the names of the bases that the machine in this directory stands on: none where it
	 * is of the other kind or is gone meanwhile. */
	int (*collect)(const char *directory, struct strv *used);
	int (*erase)(const char *path, struct error **err);
};
/* Deletes, under the lock, the bases of this kind that no machine stands on any more; directories
 * of machines that are being made or deleted count too. Where it cannot be read what some machine
 * stands on, all bases stay, until a removal without it. 0, or -errno of the first that cannot be
 * deleted. */
int bases_sweep(const struct bases_kind *kind, struct error **err);
