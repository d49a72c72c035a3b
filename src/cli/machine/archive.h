/* SPDX-License-Identifier: Apache-2.0
 * Tar streams from and to a running machine (GET and PUT /v1/archive). */
#pragma once

#include "base/error.h"
#include "http/http.h"
#include "oci/tar.h"

/* A stream that comes out of a machine. */
struct archive_download {
	int fd;
	struct http_response response;
	char block[64 * 1024];
};
/* Asks for `path` inside; query: what follows "path=" ("&root=rootfs"), or "". done also after a
 * failure. */
int archive_download_begin(struct archive_download *d, const char *machine, const char *path, const char *query,
    struct error **err);
/* The next piece (a tar_source, data being the download). */
ssize_t archive_download_read(void *download, const void **ret, struct error **err);
void archive_download_done(struct archive_download *d);
#define AUTO_DOWNLOAD CLEANUP(archive_download_done)
#define ARCHIVE_DOWNLOAD_NONE ((struct archive_download){ .fd = -1, .response = { .fd = -1 } })

/* A stream that goes into a machine. */
struct archive_upload {
	int fd;
	int broken; /* the machine does not take more: its answer says why */
};
/* The same to a target on a connection, which is taken. */
int archive_upload_begin_on(struct archive_upload *u, int fd, const char *target, struct error **err);
int archive_upload_begin(struct archive_upload *u, const char *machine, const char *path, const char *query,
    struct error **err);
int archive_upload_write(void *upload, const void *data, size_t size); /* a tar_sink */
/* Sends stdin to its end, or until the machine does not take more. 0, or -errno of a read. */
int archive_upload_stdin(struct archive_upload *u, struct error **err);
/* Waits for the answer; *left_out gets the number of devices that the machine did not take. */
int archive_upload_end(struct archive_upload *u, size_t *left_out, struct error **err);
void archive_upload_done(struct archive_upload *u);
#define AUTO_UPLOAD CLEANUP(archive_upload_done)
