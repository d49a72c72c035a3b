/* SPDX-License-Identifier: Apache-2.0
 * See calls.h. What is in no group answers ENOSYS, as a kernel without it would: programs have a
 * way around that, and a system call that is newer than this table is not open before somebody has
 * thought about it.
 *
 * Left out on purpose, and so ENOSYS: add_key, request_key, keyctl. Keys are not confined by a user
 * namespace: what a process may do with one goes by possession, the session keyring is inherited
 * from whoever started the machine, and the quota is that user's. systemd, PAM, crun and runc go on
 * without them as on a kernel that has none. libkrb5 does not, whatever error it gets: sessions
 * give it a file (session/kerberos.c). */
#include "agent/confine/calls.h"

#include "base/macros.h"

/* Calls of every program on itself, its files and its children. None of them reaches beyond the
 * process's own rights. */
static const char *const ordinary[] = { "_llseek", "_newselect", "access", "alarm", "arch_prctl", "arm_fadvise64_64",
	"arm_sync_file_range", "breakpoint", "brk", "cachestat", "cacheflush", "capget", "capset", "chdir", "chmod",
	"chown", "chown32", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64",
	"clock_nanosleep", "clock_nanosleep_time64", "close", "close_range", "copy_file_range", "creat", "dup", "dup2",
	"dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
	"epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat",
	"faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fanotify_init", "fanotify_mark", "fchdir", "fchmod",
	"fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr",
	"file_getattr", "file_setattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat", "fstat64",
	"fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue",
	"futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_mempolicy", "get_robust_list",
	"get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid", "geteuid32",
	"getgid", "getgid32", "getgroups", "getgroups32", "getitimer", "getpgid", "getpgrp", "getpid", "getppid",
	"getpriority", "getrandom", "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit", "getrusage",
	"getsid", "gettid", "gettimeofday", "getuid", "getuid32", "getxattr", "getxattrat", "inotify_add_watch",
	"inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
	"io_pgetevents_time64", "io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set", "kill",
	"landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32", "lgetxattr",
	"link", "linkat", "listxattr", "listxattrat", "llistxattr", "lremovexattr", "lseek", "lsetxattr",
	"lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "lstat", "lstat64", "madvise", "map_shadow_stack",
	"mbind", "membarrier", "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat",
	"mlock", "mlock2", "mlockall", "mmap", "mmap2", "modify_ldt", "mprotect", "mremap", "mseal", "msync", "munlock",
	"munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "nice", "open", "openat", "openat2",
	"pause", "personality", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free",
	"pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
	"process_madvise", "process_mrelease", "pselect6", "pselect6_time64", "pwrite64", "pwritev", "pwritev2", "read",
	"readahead", "readdir", "readlink", "readlinkat", "readv", "remap_file_pages", "removexattr", "removexattrat",
	"rename", "renameat", "renameat2", "restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending",
	"rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
	"rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min",
	"sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
	"sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
	"sched_yield", "seccomp", "select", "sendfile", "sendfile64", "set_mempolicy", "set_mempolicy_home_node",
	"set_robust_list", "set_thread_area", "set_tid_address", "set_tls", "setfsgid", "setfsgid32", "setfsuid",
	"setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setitimer", "setpgid", "setpriority",
	"setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32",
	"setrlimit", "setsid", "setuid", "setuid32", "setxattr", "setxattrat", "sigaction", "sigaltstack", "signal",
	"signalfd", "signalfd4", "sigpending", "sigprocmask", "sigreturn", "sigsuspend", "splice", "stat", "stat64",
	"statfs", "statfs64", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "sync_file_range2", "syncfs",
	"sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
	"timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
	"timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit", "umask",
	"uname", "unlink", "unlinkat", "uretprobe", "usr26", "usr32", "utime", "utimensat", "utimensat_time64",
	"utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write", "writev", NULL };

/* `socket` and `socketcall` have rules of their own in generate.c: not every address family. */
static const char *const communication[] = { "accept", "accept4", "bind", "connect", "getpeername", "getsockname",
	"getsockopt", "ipc", "listen", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
	"mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv",
	"msgsnd", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "semctl", "semget", "semop",
	"semtimedop", "semtimedop_time64", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shmat", "shmctl",
	"shmdt", "shmget", "shutdown", "socketpair", NULL };

/* Calls of an init, and of a rootless container inside of the machine: namespaces, mounts, the
 * machine's name, its end. In a user namespace they act on objects of that namespace, and the
 * kernel checks that. */
static const char *const of_an_init[] = { "chroot", "clone", "clone3", "fsconfig", "fsmount", "fsopen", "fspick",
	"listmount", "listns", "mount", "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "pivot_root",
	"reboot", "setdomainname", "sethostname", "setns", "statmount", "umount", "umount2", "unshare", "vhangup",
	NULL };

/* Other processes, those that ptrace(2) may look at: a debugger inside works. Since Linux 4.8 a
 * tracer cannot get around the filter. */
static const char *const debugging[] = { "kcmp", "pidfd_getfd", "process_vm_readv", "process_vm_writev", "ptrace",
	NULL };

/* Reading is for everybody, setting is not the machine's (CAP_SYS_TIME): the kernel tells them
 * apart. */
static const char *const clock_reading[] = { "adjtimex", "clock_adjtime", "clock_adjtime64", NULL };

/* The one clock of the host. */
static const char *const clock_setting[] = { "clock_settime", "clock_settime64", "settimeofday", "stime", NULL };

/* Code for the kernel itself: another kernel, modules. */
static const char *const kernel_code[] = { "create_module", "delete_module", "finit_module", "init_module",
	"kexec_file_load", "kexec_load", NULL };

/* The whole host's: its swap, accounting, quotas, kernel log, input/output ports. No namespace
 * divides them. */
static const char *const host_wide[] = { "acct", "ioperm", "iopl", "quotactl", "quotactl_fd", "swapoff", "swapon",
	"syslog", NULL };

/* A handle names a file of a file system wherever it lies, also outside of what is mounted here. */
static const char *const past_mounts[] = {
	"open_by_handle_at",
	NULL,
};

/* Large interfaces into the kernel in which again and again faults were found that end at the host;
 * what uses them does without. EPERM is what kernel.unprivileged_bpf_disabled,
 * kernel.perf_event_paranoid, vm.unprivileged_userfaultfd and kernel.io_uring_disabled have them
 * answer; io_uring would also do inside the kernel what the rest of this table refuses. */
static const char *const large_surface[] = { "bpf", "io_uring_enter", "io_uring_register", "io_uring_setup",
	"perf_event_open", "userfaultfd", NULL };

const struct confine_group confine_groups[] = {
	{ CONFINE_ALLOWED, ordinary },
	{ CONFINE_ALLOWED, communication },
	{ CONFINE_ALLOWED, of_an_init },
	{ CONFINE_ALLOWED, debugging },
	{ CONFINE_ALLOWED, clock_reading },
	{ CONFINE_REFUSED, clock_setting },
	{ CONFINE_REFUSED, kernel_code },
	{ CONFINE_REFUSED, host_wide },
	{ CONFINE_REFUSED, past_mounts },
	{ CONFINE_REFUSED, large_surface },
};
const size_t confine_group_count = ARRAY_SIZE(confine_groups);

/* ---- containers ---- */

/* New namespaces and mounts: a container's user namespace gives its root these, and each of them
 * opens much of the kernel to it. clone(2) is a rule of its own in generate.c. clone3(2) hides its
 * flags in memory: it answers ENOSYS, so programs take clone(2). */
static const char *const of_an_admin[] = { "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "listns", "mount",
	"mount_setattr", "move_mount", "open_tree", "open_tree_attr", "pivot_root", "setdomainname", "sethostname",
	"setns", "statmount", "umount", "umount2", "unshare", "fanotify_init", "clone", NULL };

/* Docker asks for other capabilities for these, which few containers have. The kernel asks for them
 * itself, too: SYS_BOOT, SYS_TTY_CONFIG, SYS_PTRACE, SYS_NICE. */
static const char *const of_further[] = { "reboot", "vhangup", "kcmp", "pidfd_getfd", "get_mempolicy", "mbind",
	"set_mempolicy", "set_mempolicy_home_node", NULL };

/* The kernel's keys are not divided by containers. */
static const char *const keys[] = { "add_key", "keyctl", "request_key", NULL };

static const char *const of_a_container[] = { "chroot", NULL };

const struct confine_group confine_container_groups[] = {
	{ CONFINE_ADMIN_ONLY, of_an_admin },
	{ CONFINE_FURTHER_ONLY, of_further },
	{ CONFINE_REFUSED, keys },
	{ CONFINE_ALLOWED, of_a_container },
	{ CONFINE_ALLOWED, ordinary },
	{ CONFINE_ALLOWED, communication },
	{ CONFINE_ALLOWED, debugging },
	{ CONFINE_ALLOWED, clock_reading },
	{ CONFINE_REFUSED, clock_setting },
	{ CONFINE_REFUSED, kernel_code },
	{ CONFINE_REFUSED, host_wide },
	{ CONFINE_REFUSED, past_mounts },
	{ CONFINE_REFUSED, large_surface },
};
const size_t confine_container_group_count = ARRAY_SIZE(confine_container_groups);
