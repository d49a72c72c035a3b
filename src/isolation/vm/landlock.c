/* SPDX-License-Identifier: Apache-2.0
 * See landlock.h. */
#include "isolation/vm/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macros.h"

/* Of versions that older headers do not know. */
#define ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#define ACCESS_NET_TCP UINT64_C(3) /* bind and connect */
#define SCOPE_OTHERS UINT64_C(3)   /* abstract sockets and signals */
#define ACCESS_FS_FIRST (LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1)
#define ACCESS_FILE (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE)

int landlock_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return version > 0 ? (int)version : 0;
}

int landlock_new(int tcp, struct error **err)
{
	struct {
		uint64_t fs, net, scoped;
	} handled = { .fs = ACCESS_FS_FIRST };
	int version = landlock_version();
	if (version < 1)
		return error_set(err, EOPNOTSUPP, "this kernel has no Landlock");
	handled.fs |= (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (version >= 3 ? ACCESS_FS_TRUNCATE : 0);
	handled.net = version >= 4 && !tcp ? ACCESS_NET_TCP : 0;
	handled.scoped = version >= 6 ? SCOPE_OTHERS : 0;
	size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
	int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
	return rules < 0 ? error_set_errno(err, errno, "cannot make Landlock rules") : rules;
}

int landlock_allow(int rules, const char *path, enum landlock_use use, struct error **err)
{
	static const uint64_t accesses[] = {
		[LANDLOCK_PROGRAMS] =
		    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
		[LANDLOCK_READ] = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
		[LANDLOCK_WRITE] = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE,
	};
	struct stat st;
	AUTO_FD int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	struct landlock_path_beneath_attr rule = { .allowed_access = accesses[use], .parent_fd = fd };
	if (use == LANDLOCK_WRITE && landlock_version() >= 3)
		rule.allowed_access |= ACCESS_FS_TRUNCATE;
	if (!S_ISDIR(st.st_mode)) /* others mean nothing for a file */
		rule.allowed_access &= ACCESS_FILE | ACCESS_FS_TRUNCATE;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return error_set_errno(err, errno, "Landlock rule for %s", path);
	return 0;
}

int landlock_restrict(int rules)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return -errno;
	return 0;
}
