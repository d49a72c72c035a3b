/* SPDX-License-Identifier: Apache-2.0
 * Files behind URLs, for contexts and ADD: http and https, up to ten redirects. */
#pragma once

#include "image/common/hash.h"
#include "image/library/library.h"

struct url_file {
	char *name; /* the last part of the URL's path; "" if it ends with a slash */
	int fd;     /* of a file without a name, at its beginning */
	uint64_t size;
	int64_t mtime; /* of Last-Modified; 0: not said */
	char digest[DIGEST_TEXT_SIZE + 1];
};

int url_is_one(const char *text);
/* The last part of its path, decoded; owned. */
char *url_name(const char *url);
/* Fetches it into the file system of the library. 0 or -errno. */
int url_fetch(struct library *l, const char *url, struct url_file *ret, struct error **err);
void url_file_done(struct url_file *f);
#define URL_FILE_NONE ((struct url_file){ .fd = -1 })
