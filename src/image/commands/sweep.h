/* SPDX-License-Identifier: Apache-2.0
 * Deleting what nothing in the library refers to, at the end of every command that adds or removes
 * something. */
#pragma once

#include "base/strv.h"
#include "image/library/library.h"

/* Closes the library and, if nobody else has it open (or closes it within wait_ms), deletes what
 * nothing refers to: blobs of no name, disks of no name and no machine, temporary files of dead
 * processes, partial downloads that are old or too many. Failures are not errors: the next one
 * tries again. */
void library_free_and_sweep(struct library *l, unsigned wait_ms);

struct prune_options {
	int images; /* the names of images that no machine uses go too */
	int dry_run;
	int64_t until_ns;                     /* images that were made before; 0: any */
	const struct strv *labels, *unlabels; /* KEY or KEY=VALUE that an image has, or has not; or NULL */
};
struct prune_amount {
	uint64_t count, bytes; /* of the disk */
	uint64_t young;        /* which stay because they were handed out within the last minute */
};
struct prune_report {
	struct strv images; /* names */
	struct prune_amount blobs, disks, trees, downloads;
};
void prune_report_done(struct prune_report *r);
#define AUTO_PRUNE_REPORT CLEANUP(prune_report_done)

/* Deletes what no name and no machine needs, and what can be made again or fetched again: disks and
 * trees that no machine uses, partial downloads. The library stays locked until it is freed. 0 or
 * -errno; -EBUSY: another process uses it. */
int library_prune(struct library *l, const struct prune_options *o, struct prune_report *ret, struct error **err);
