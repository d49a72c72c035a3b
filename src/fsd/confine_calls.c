/* SPDX-License-Identifier: Apache-2.0
 * The system calls of a share server. All others answer ENOSYS, which libraries take for an old kernel; memory is never made executable. */
#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>

#include "base/macros.h"
#include "fsd/confine.h"

static const char *const allowed[] = {
	/* requests */
	"openat2",
	"close",
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"preadv",
	"pwritev",
	"preadv2",
	"pwritev2",
	"lseek",
	"statx",
	"fstat",
	"newfstatat",
	"fstatat64",
	"fstatfs",
	"fstatfs64",
	"readlinkat",
	"symlinkat",
	"mknodat",
	"mkdirat",
	"linkat",
	"unlinkat",
	"renameat",
	"renameat2",
	"chmod",
	"fchmodat",
	"chown",
	"fchownat",
	"utimensat",
	"ftruncate",
	"ftruncate64",
	"fallocate",
	"fsync",
	"fdatasync",
	"syncfs",
	"copy_file_range",
	"getdents64",
	"getxattr",
	"setxattr",
	"listxattr",
	"removexattr",
	"faccessat",
	"faccessat2",
	"fcntl",
	"fcntl64",
	"open",
	"openat", /* by /proc/self/fd/N, of files without a name */
	/* the loop, the socket, the threads */
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_ctl",
	"timerfd_settime",
	"poll",
	"ppoll",
	"recvmsg",
	"sendmsg",
	"recvfrom",
	"sendto",
	"futex",
	"madvise",
	"munmap",
	"mremap",
	"brk",
	"clock_gettime",
	"gettimeofday",
	"clock_nanosleep",
	"restart_syscall",
	"sched_yield",
	"rt_sigreturn",
	"rt_sigprocmask",
	"getpid",
	"gettid",
	"tgkill",
	"getrandom",
	"set_robust_list",
	"rseq",
	"exit",
	"exit_group",
};

int confine_calls(struct error **err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return error_set(err, ENOMEM, "cannot make a system call filter");
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t n = 0; n < ARRAY_SIZE(allowed) && r == 0; n++) {
		int number = seccomp_syscall_resolve_name(allowed[n]);
		if (number >= 0) /* negative: not on this architecture */
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? error_set_errno(err, r, "cannot restrict system calls") : 0;
}
