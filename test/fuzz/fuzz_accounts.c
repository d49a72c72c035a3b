/* SPDX-License-Identifier: Apache-2.0
 * passwd, group and their relatives as an image may have them: parsing, listing, and the edits of
 * provisioning. */
#include <assert.h>
#include <stdint.h>

#include "agent/provision/accounts.h"
#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_group joined[] = { { (char *)"users", 100 }, { (char *)"alice", 2000 } };
	static struct boot_user u = {
		.name = (char *)"alice",
		.group = (char *)"alice",
		.home = (char *)"/home/alice",
		.uid = 1000,
		.gid = 1000,
		.groups = joined,
		.group_count = ARRAY_SIZE(joined),
	};
	AUTOFREE char *text = xstrndup((const char *)data, size);
	char **parts[6];
	CLEANUP(account_files_done) struct account_files f = { 0 };
	parts[0] = &f.passwd, parts[1] = &f.group, parts[2] = &f.shadow, parts[3] = &f.gshadow, parts[4] = &f.subuid,
	parts[5] = &f.subgid;
	const char *at = text;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t n = strcspn(at, "\001");
		*parts[i] = xstrndup(at, n);
		at += n + (at[n] != '\0');
	}
	accounts_apply(&f, &u, "/bin/sh");
	struct passwd_entry p = { 0 };
	gid_t groups[8];
	assert(passwd_find(f.passwd, "alice", 0, &p) == 0 && p.uid == 1000 && p.gid == 1000);
	passwd_entry_done(&p);
	assert(group_list(f.group, "alice", 1000, groups, ARRAY_SIZE(groups)) >= 3);
	AUTOFREE char *before = xstrdup(f.group);
	accounts_join_groups(&f, &u);
	assert(streq(before, f.group));
	return 0;
}
