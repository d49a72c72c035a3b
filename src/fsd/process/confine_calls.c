/* SPDX-License-Identifier: Apache-2.0
 * The system calls of a share server's processes. All others fail with ENOSYS, which libraries take
 * for an old kernel. No memory can become executable. */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/macros.h"
#include "fsd/files/owners.h"
#include "fsd/process/confine.h"

enum { B = CONFINE_BROKER, H = CONFINE_HOLDER, W = CONFINE_WORKER, O = CONFINE_OWNERS };

static const struct {
	const char *name;
	unsigned roles;
} allowed[] = {
	/* requests */
	{ "openat2", H | W }, { "close", B | H | W }, { "read", B | H | W }, { "write", B | H | W }, { "readv", H | W },
	{ "writev", B | H | W }, { "pread64", H | W }, { "pwrite64", H | W }, { "preadv", H | W }, { "pwritev", H | W },
	{ "preadv2", H | W }, { "pwritev2", H | W }, { "lseek", H | W }, { "statx", H | W }, { "fstat", B | H | W | O },
	{ "newfstatat", B | H | W }, { "fstatat64", H | W }, { "fstatfs", H | W }, { "fstatfs64", H | W },
	{ "readlinkat", H | W }, { "symlinkat", H | W }, { "mknodat", H | W }, { "mkdirat", H | W },
	{ "linkat", H | W }, { "unlinkat", H | W }, { "renameat", H | W }, { "renameat2", H | W }, { "chmod", H | W },
	{ "fchmodat", H | W }, { "chown", H | W }, { "fchownat", H | W }, { "utimensat", H | W },
	{ "ftruncate", H | W }, { "ftruncate64", H | W }, { "fallocate", H | W }, { "fsync", H | W },
	{ "fdatasync", H | W }, { "syncfs", H | W }, { "copy_file_range", H | W }, { "getdents64", H | W },
	{ "getxattr", H | W }, { "setxattr", H | W }, { "listxattr", H | W }, { "removexattr", H | W },
	{ "faccessat", H | W }, { "faccessat2", H | W }, { "flock", H | W }, { "fcntl", B | H | W },
	{ "fcntl64", B | H | W }, { "open", H | W },
	{ "openat", H | W }, /* of /proc/self/fd/N, for files without a name */
	/* the host's changes */
	{ "inotify_init1", H | W }, { "inotify_add_watch", H | W }, { "inotify_rm_watch", H | W },
	/* the loop, the socket, the threads */
	{ "epoll_wait", B | H | W }, { "epoll_pwait", B | H | W }, { "epoll_pwait2", B | H | W },
	{ "epoll_ctl", B | H | W }, { "timerfd_settime", H | W }, { "poll", B | H | W | O }, { "ppoll", B | H | W | O },
	{ "recvmsg", B | H | W }, { "sendmsg", B | H | W }, { "recvfrom", B | H | W | O }, { "sendto", B | H | W | O },
	{ "futex", B | H | W }, { "madvise", B | H | W }, { "munmap", B | H | W }, { "mremap", B | H | W },
	{ "brk", B | H | W }, { "clock_gettime", B | H | W }, { "gettimeofday", B | H | W },
	{ "clock_nanosleep", H | W }, { "restart_syscall", B | H | W | O }, { "sched_yield", H | W },
	{ "rt_sigreturn", B | H | W | O }, { "rt_sigprocmask", B | H | W }, { "getpid", B | H | W },
	{ "gettid", B | H | W }, { "tgkill", B | H | W }, { "getrandom", B | H | W }, { "capset", H | W },
	{ "set_robust_list", H | W }, { "rseq", H | W }, { "exit", B | H | W }, { "exit_group", B | H | W | O },
	/* to start workers, and for a worker before it serves */
	{ "clone", H }, { "clone3", H }, { "wait4", H }, { "waitid", H }, { "fchdir", H }, { "getppid", H },
	{ "prctl", H }, { "seccomp", H }, { "close_range", H }, { "epoll_create1", H }, { "eventfd2", H },
	{ "setsockopt", H }, { "rt_sigaction", H }, { "sched_getaffinity", H }, { "prlimit64", H },
	{ "socketpair", B }, /* for the next worker */
};

static int allow_memory(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r < 0 ? r :
		       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Allows fchownat(2) of a descriptor itself, to a group. The only path allowed is the empty one at
 * this address, which is read-only memory. */
static int allow_group_change(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fchownat), 3,
	    SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)(uintptr_t)owners_no_path),
	    SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, UINT32_MAX), SCMP_A4(SCMP_CMP_EQ, AT_EMPTY_PATH));
}

static int load(enum confine_role role, int changes_groups, struct error **err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return error_set(err, ENOMEM, "cannot make a system call filter");
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t n = 0; n < ARRAY_SIZE(allowed) && r == 0; n++) {
		int number = seccomp_syscall_resolve_name(allowed[n].name);
		if (number >= 0 && (allowed[n].roles & role)) /* negative: not on this architecture */
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	if (r == 0 && role != CONFINE_OWNERS)
		r = allow_memory(filter);
	if (r == 0 && changes_groups)
		r = allow_group_change(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? error_set_errno(err, r, "cannot restrict system calls") : 0;
}

int confine_calls(enum confine_role role, struct error **err)
{
	return load(role, 0, err);
}

int confine_calls_changing_groups(struct error **err)
{
	return load(CONFINE_OWNERS, 1, err);
}
