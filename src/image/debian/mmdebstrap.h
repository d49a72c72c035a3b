/* SPDX-License-Identifier: Apache-2.0
 * Running mmdebstrap(1), which makes a Debian root file system of packages. */
#pragma once

#include "base/strv.h"
#include "image/common/progress.h"

struct mmdebstrap {
	const char *suite, *mirror; /* mirror NULL: the one that apt uses here */
	const struct strv *include; /* more packages */
	const char *keyring;        /* a file of keys beside apt's, or NULL */
	int takes_expired;          /* a Release file that has expired is good */
	struct progress *progress;  /* its messages and, on this bar, the bytes that it gave */
	int bar;
	int (*on_output)(const void *tar, size_t size, void *data, struct error **err);
	void *data;
};

/* Runs it to the end. -ENOENT, -EPERM: what it needs is not there, with a text that says what to
 * install; -ECANCELED: interrupted. Whatever happens, also when this process is killed, it ends and
 * cleans up after itself. */
int mmdebstrap_run(const struct mmdebstrap *m, struct error **err);
