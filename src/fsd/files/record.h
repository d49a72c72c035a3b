/* SPDX-License-Identifier: Apache-2.0
 * Owner, group and mode that the guest gave a file and the host cannot: kept in an extended
 * attribute of the file, as text, "UID:GID:MODE:HOSTMODE" (modes in octal), each "-" where the
 * host's own is meant. MODE counts as long as the host's mode is HOSTMODE: who changes it on the
 * host means it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RECORD_PREFIX "user.holm." /* attributes that are not the guest's to see or set */
#define RECORD_NAME RECORD_PREFIX "owner"
#define RECORD_NONE UINT32_MAX

enum { RECORD_TEXT_MAX = 64 };

struct record {
	uint32_t uid, gid;
	uint32_t mode, host_mode; /* permissions (07777); both or none */
};

#define RECORD_EMPTY ((struct record){ RECORD_NONE, RECORD_NONE, RECORD_NONE, RECORD_NONE })

int record_is_empty(const struct record *record);
/* Anything may stand in the attribute: 0, -EINVAL when it is no record. */
int record_parse(const char *text, size_t size, struct record *ret);
/* Its length, at most RECORD_TEXT_MAX. */
size_t record_format(const struct record *record, char text[RECORD_TEXT_MAX]);
/* path: "/proc/self/fd/N" of a file or directory. An empty record where there is none, or none that
 * can be read. */
struct record record_load(const char *path);
/* An empty record removes the attribute. 0 or -errno. */
int record_store(const char *path, const struct record *record);
