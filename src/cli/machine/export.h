/* SPDX-License-Identifier: Apache-2.0
 * A stopped machine as an archive: for `export`, and for moving a disk to the other form. */
#pragma once

#include "base/json.h"
#include "base/strv.h"

/* Boots the machine without its init, writes the archive, stops it. 0, -errno, or a positive exit
 * status of holm-image, which has said why. On success this process is the last that held the
 * machine's lock (machine_lock_again), unless somebody else used the machine since. */
int export_machine(const char *name, const char *file, struct error **err);

/* A command of holm-image that reads a stopped machine's files. */
struct export_job {
	const char *progress;         /* "writing FILE" */
	struct strv words;            /* for holm-image; its descriptor 3 has the settings */
	struct json_object *settings; /* borrowed */
	int twice;                    /* the files come again, on descriptor 4 */
	int pause;                    /* a running machine stands still meanwhile; 0: it is refused */
	const char *hint;             /* of the error then, behind "stop it first: ..."; or NULL */
};
/* Boots the machine without its init, sends its root file system as a tar stream, and stops it; or
 * reads a running machine, which stands still and goes on. 0,
 * -errno, or a positive exit status of holm-image, which has said why. */
int export_run(const char *name, const struct export_job *job, struct error **err);
