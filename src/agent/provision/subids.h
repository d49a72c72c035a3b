/* SPDX-License-Identifier: Apache-2.0
 * Subordinate ids that exist (subuid(5)): a machine on the host's kernel has only the ids that the
 * host's user may map, mostly 65536 of them. */
#pragma once

#include <stdint.h>

/* text: subuid or subgid (owned; replaced in place), id_map: uid_map or gid_map of the machine
 * (user_namespaces(7)), own: the user's number in it. Nothing changes while all ranges of the
 * user's are mapped. Else they give way to ranges that are: 65536 ids behind the first 65536 where
 * there are as many, else all of the first 65536 but root's and the user's own, so that a container
 * inside has the usual 65536. 1 when the text has changed. */
int subids_fit(char **text, const char *user, uint32_t own, const char *id_map);
