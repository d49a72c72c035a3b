/* SPDX-License-Identifier: Apache-2.0
 * passwd(5), group(5) and their relatives, as lines of text. Parsing keeps no global state and
 * looks nothing up elsewhere (no NSS); lines that cannot be understood are kept as they are. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "agent/core/boot_request.h"
#include "base/error.h"
#include "base/strv.h"

struct passwd_entry {
	char *name, *home, *shell;
	uint32_t uid, gid;
};
void passwd_entry_done(struct passwd_entry *p);

/* First entry of that name (uid ignored) or, with name NULL, of that uid. Fields are owned: 0, or
 * -ENOENT. */
int passwd_find(const char *text, const char *name, uint32_t uid, struct passwd_entry *ret);
/* The gid of a group's name: 0 or -ENOENT. */
int group_find(const char *text, const char *name, uint32_t *ret);
/* The groups that list this member, at most max, `first` in front and never twice; the count. */
size_t group_list(const char *text, const char *member, uint32_t first, gid_t *list, size_t max);

/* The file by which logind starts the user's manager at boot (loginctl(1), enable-linger); the name
 * is escaped as systemd's cescape() does it. Owned. */
char *account_linger_path(const char *name);

/* The account files, which provisioning changes. A NULL text is a file that the image lacks. It
 * stays absent, except passwd and group, which are always made. */
struct account_files {
	char *passwd, *group, *shadow, *gshadow, *subuid, *subgid; /* owned; replaced in place */
};
void account_files_done(struct account_files *f);
/* Makes the user a member of systemd-journal and adm, if there are such groups, and of its own
 * groups: of the group that has the number inside, else of a new one
 * with the name, or one made of name and number where the name is taken. Touches group and gshadow.
 * Idempotent. */
void accounts_join_groups(struct account_files *f, const struct boot_user *u);
/* Makes user `u` exist with exactly this name, uid, gid, home and groups. Idempotent. shell: of a
 * new entry, and of one whose own is empty. */
void accounts_apply(struct account_files *f, const struct boot_user *u, const char *shell);
