/* SPDX-License-Identifier: Apache-2.0
 * Tar streams from and to a running machine (GET and PUT /v1/archive). */
#pragma once

#include "base/error.h"

/* Begins a stream of PATH inside and copies it to `output` until its end. query: what follows "path=" ("&root=rootfs"), or "". */
int archive_download(const char *machine, const char *path, const char *query, int output, struct error **err);
/* Sends what `input` gives until its end as a tar stream to be unpacked in directory `path` inside. */
int archive_upload(const char *machine, const char *path, const char *query, int input, struct error **err);
