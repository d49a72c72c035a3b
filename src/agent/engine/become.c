/* SPDX-License-Identifier: Apache-2.0
 * See become.h. The filter needs CAP_SYS_ADMIN unless there are no new privileges, so it is loaded
 * before the capabilities go, else after. */
#include "agent/engine/become.h"

#include <errno.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/confine/confine.h"

int become_hidden(void)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

void become_keyless(void)
{
	(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

static int load_filter(const struct become *b)
{
	return b->filter < 0 ? 0 : confine_container_filter((enum confine_container)b->filter);
}

static int set_ids(const struct become *b)
{
	const int alone = b->single && b->group_count == 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || (!alone && setgroups(b->group_count, b->groups) < 0) ||
	    setresgid(b->gid, b->gid, b->gid) < 0 || setresuid(b->uid, b->uid, b->uid) < 0)
		return -errno;
	int r = confine_have(b->uid == 0 ? b->capabilities : 0);
	return r < 0 ? r : become_hidden();
}

int become_user(const struct become *b)
{
	int r = b->no_new_privileges ? 0 : load_filter(b);
	if (r == 0)
		r = confine_bound(b->capabilities);
	if (r == 0)
		r = set_ids(b);
	if (r < 0 || !b->no_new_privileges)
		return r;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : load_filter(b);
}
