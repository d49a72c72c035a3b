/* SPDX-License-Identifier: Apache-2.0
 * The certificate authorities that the host's administrator has added, for the machine (`ca=`). */
#pragma once

struct keeper;

/* Makes the machine trust the host's authorities, and no others that holm installed, if that is not
 * so. For a machine whose init is up; returns at once, a job does it. */
void authorities_follow(struct keeper *k);
/* All certificates (PEM) of files in the folder and below it, in the order of their paths. Owned;
 * "" if there are none. */
char *authorities_read(const char *folder);
