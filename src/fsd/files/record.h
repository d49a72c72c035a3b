/* SPDX-License-Identifier: Apache-2.0
 * Owner records: owner, group and mode that the guest has set and the host user cannot. An extended
 * attribute of the file keeps them as text, "UID:GID:MODE:HOSTMODE" (modes in octal), with "-" for
 * a value that is the host's own. MODE counts as long as the host's mode is HOSTMODE, because a
 * chmod on the host overrides it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RECORD_PREFIX "user.holm." /* the guest can neither see nor set these attributes */
#define RECORD_NAME RECORD_PREFIX "owner"
#define RECORD_NONE UINT32_MAX

enum { RECORD_TEXT_MAX = 64 };

struct record {
	uint32_t uid, gid;
	uint32_t mode, host_mode; /* permissions (07777); both or none */
};

#define RECORD_EMPTY ((struct record){ RECORD_NONE, RECORD_NONE, RECORD_NONE, RECORD_NONE })

/* 1 if nothing is recorded, else 0. */
int record_is_empty(const struct record *record);
/* Parses an attribute of any content. 0, or -EINVAL when it is no record. */
int record_parse(const char *text, size_t size, struct record *ret);
/* Writes a record as text, without a NUL at its end that counts. Its length, at most
 * RECORD_TEXT_MAX. */
size_t record_format(const struct record *record, char text[RECORD_TEXT_MAX]);
/* Reads the record of the file or directory at path ("/proc/self/fd/N"). An empty record where
 * there is none, or none that is valid. */
struct record record_load(const char *path);
/* Stores a record; an empty one removes the attribute. 0 or -errno. */
int record_store(const char *path, const struct record *record);
