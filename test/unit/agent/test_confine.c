/* SPDX-License-Identifier: Apache-2.0
 * What a native machine may do: the tables, and the filter and the capabilities as a process has
 * them. The processes are children in a user namespace of their own, which is where machines
 * are. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/confine/calls.h"
#include "agent/confine/confine.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "oci/runtime_spec.h"

/* In the table because kernels have them, and newer than some library that this is built with. */
static const char *const newer[] = { "cachestat", "fchmodat2", "file_getattr", "file_setattr", "futex_requeue",
	"futex_wait", "futex_waitv", "futex_wake", "getxattrat", "listmount", "listns", "listxattrat",
	"lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "map_shadow_stack", "mseal", "open_tree_attr",
	"removexattrat", "set_mempolicy_home_node", "setxattrat", "statmount", "uretprobe" };

static int is_newer(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(newer); i++)
		if (streq(newer[i], name))
			return 1;
	return 0;
}

static void test_names_are_known_and_once(void **state)
{
	AUTO_STRV struct strv all = { 0 };
	for (size_t i = 0; i < confine_group_count; i++)
		for (const char *const *name = confine_groups[i].names; *name; name++) {
			if (seccomp_syscall_resolve_name(*name) == __NR_SCMP_ERROR && !is_newer(*name))
				fail_msg("no system call is called %s", *name);
			strv_add(&all, *name);
		}
	strv_sort(&all);
	for (size_t i = 1; i < all.count; i++)
		if (streq(all.items[i - 1], all.items[i]))
			fail_msg("%s is in the table twice", all.items[i]);
	assert_true(all.count > 300);
}

static int value(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static size_t decode(const char *text, unsigned char *to)
{
	size_t n = 0;
	unsigned bits = 0, count = 0;
	for (; value(*text) >= 0; text++) {
		bits = bits << 6 | (unsigned)value(*text);
		count += 6;
		if (count >= 8)
			to[n++] = (unsigned char)(bits >> (count -= 8));
	}
	assert_true(strspn(text, "=") == strlen(text));
	return n;
}

/* What the program answers, worked out here: only the steps that it is made of. */
static uint32_t evaluate(const struct sock_filter *program, size_t count, const struct seccomp_data *data)
{
	uint32_t a = 0;
	for (size_t i = 0; i < count; i++) {
		const struct sock_filter *s = &program[i];
		switch (s->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(s->k <= sizeof *data - sizeof a);
			memcpy(&a, (const char *)data + s->k, sizeof a);
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			i += a == s->k ? s->jt : s->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			i += a & s->k ? s->jt : s->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			i += a >= s->k ? s->jt : s->jf;
			break;
		case BPF_JMP | BPF_JA:
			i += s->k;
			break;
		case BPF_RET | BPF_K:
			return s->k;
		default:
			fail_msg("step %zu is of an unknown kind", i);
		}
	}
	fail_msg("the program has no end");
	return 0;
}

static uint32_t expected(const char *name)
{
	if (streq(name, "socket"))
		return SECCOMP_RET_ALLOW;
	for (size_t i = 0; i < confine_group_count; i++)
		for (const char *const *at = confine_groups[i].names; *at; at++)
			if (streq(*at, name))
				return confine_groups[i].verdict == CONFINE_ALLOWED ? SECCOMP_RET_ALLOW :
										      SECCOMP_RET_ERRNO | EPERM;
	return SECCOMP_RET_ERRNO | ENOSYS;
}

/* Every number of both architectures: the program says what the table says. */
static void test_program_is_the_table(void **state)
{
	static const uint32_t architectures[][2] = { { SCMP_ARCH_X86_64, SCMP_ARCH_X86 },
		{ SCMP_ARCH_AARCH64, SCMP_ARCH_ARM } };
	const uint32_t *two = architectures[seccomp_arch_native() == SCMP_ARCH_AARCH64];
	AUTOFREE unsigned char *bytes = xmalloc(strlen(confine_filter_base64()));
	size_t count = decode(confine_filter_base64(), bytes) / sizeof(struct sock_filter), allowed = 0;
	for (int i = 0; i < 2; i++)
		for (int n = 0; n < 2000; n++) {
			AUTOFREE char *name = seccomp_syscall_resolve_num_arch(two[i], n);
			struct seccomp_data data = { .nr = n, .arch = two[i], .args = { AF_UNIX } };
			uint32_t got = evaluate((const struct sock_filter *)(const void *)bytes, count, &data);
			if (got != expected(name ? name : "nothing"))
				fail_msg("%s (%d): %x", name ? name : "nothing", n, got);
			allowed += got == SECCOMP_RET_ALLOW;
		}
	assert_true(allowed > 600);
	struct seccomp_data foreign = { .nr = 1, .arch = SCMP_ARCH_PPC64LE };
	assert_int_equal(evaluate((const struct sock_filter *)(const void *)bytes, count, &foreign),
	    SECCOMP_RET_ERRNO | ENOSYS);
}

/* The filter of containers: ordinary calls, no namespaces, no mounts. */
static void test_container_program(void **state)
{
	static const struct {
		const char *name;
		uint64_t first;
		uint32_t verdict;
		enum confine_container filter;
	} cases[] = {
		{ "read", 0, SECCOMP_RET_ALLOW },
		{ "execve", 0, SECCOMP_RET_ALLOW },
		{ "chroot", 0, SECCOMP_RET_ALLOW },
		{ "socket", AF_INET, SECCOMP_RET_ALLOW },
		{ "socket", AF_VSOCK, SECCOMP_RET_ERRNO | EAFNOSUPPORT },
		{ "clone", SIGCHLD, SECCOMP_RET_ALLOW },
		{ "clone", SIGCHLD | CLONE_NEWUSER, SECCOMP_RET_ERRNO | EPERM },
		{ "clone", CLONE_NEWNS, SECCOMP_RET_ERRNO | EPERM },
		{ "clone3", 0, SECCOMP_RET_ERRNO | ENOSYS },
		{ "unshare", CLONE_NEWUSER, SECCOMP_RET_ERRNO | EPERM },
		{ "mount", 0, SECCOMP_RET_ERRNO | EPERM },
		{ "setns", 0, SECCOMP_RET_ERRNO | EPERM },
		{ "keyctl", 0, SECCOMP_RET_ERRNO | EPERM },
		{ "bpf", 0, SECCOMP_RET_ERRNO | EPERM },
		{ "mount", 0, SECCOMP_RET_ERRNO | EPERM, CONFINE_FURTHER },
		{ "mount", 0, SECCOMP_RET_ALLOW, CONFINE_ADMIN },
		{ "unshare", CLONE_NEWUSER, SECCOMP_RET_ALLOW, CONFINE_ADMIN },
		{ "clone", SIGCHLD | CLONE_NEWUSER, SECCOMP_RET_ERRNO | EPERM, CONFINE_FURTHER },
		{ "clone", SIGCHLD | CLONE_NEWUSER, SECCOMP_RET_ALLOW, CONFINE_ADMIN },
		{ "mbind", 0, SECCOMP_RET_ERRNO | EPERM },
		{ "mbind", 0, SECCOMP_RET_ALLOW, CONFINE_FURTHER },
		{ "mbind", 0, SECCOMP_RET_ALLOW, CONFINE_ADMIN },
		{ "bpf", 0, SECCOMP_RET_ERRNO | EPERM, CONFINE_ADMIN },
		{ "keyctl", 0, SECCOMP_RET_ERRNO | EPERM, CONFINE_ADMIN },
		{ "personality", 0xffffffff, SECCOMP_RET_ALLOW },
		{ "personality", 8, SECCOMP_RET_ALLOW },
		{ "personality", 0x40000, SECCOMP_RET_ERRNO | EPERM },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *text = confine_container_filter_base64(cases[i].filter);
		AUTOFREE unsigned char *bytes = xmalloc(strlen(text));
		size_t count = decode(text, bytes) / sizeof(struct sock_filter);
		struct seccomp_data data = { .nr = seccomp_syscall_resolve_name(cases[i].name),
			.arch = seccomp_arch_native(),
			.args = { cases[i].first } };
		uint32_t got = evaluate((const struct sock_filter *)(const void *)bytes, count, &data);
		if (got != cases[i].verdict)
			fail_msg("%s %llx: %x", cases[i].name, (unsigned long long)cases[i].first, got);
	}
}

/* As crun does it. */
static int apply_decoded(void)
{
	const char *text = confine_filter_base64();
	unsigned char *bytes = xmalloc(strlen(text));
	size_t size = decode(text, bytes);
	struct sock_fprog program = {
		.len = (unsigned short)(size / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)bytes,
	};
	if (size % sizeof(struct sock_filter))
		return -EINVAL;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0UL, &program) < 0 ? -errno : 0;
}

static int write_proc(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
}

/* As root of it: an id without a mapping may not make another. */
static int enter_user_namespace(void)
{
	AUTOFREE char *uids = xasprintf("0 %u 1", geteuid());
	AUTOFREE char *gids = xasprintf("0 %u 1", getegid());
	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	int r = write_proc("/proc/self/setgroups", "deny");
	r = r < 0 ? r : write_proc("/proc/self/uid_map", uids);
	return r < 0 ? r : write_proc("/proc/self/gid_map", gids);
}

/* Runs check() in a child that is confined; what it returns as exit status. -1: this host has no
 * user namespaces. */
static int in_confined_child(int decoded, int (*check)(void))
{
	int status = 0;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (enter_user_namespace() < 0)
			_exit(200);
		int r = decoded ? apply_decoded() : confine_apply(NULL);
		if (r < 0) {
			fprintf(stderr, "confining: %s\n", strerror(-r));
			_exit(201);
		}
		_exit(check());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 200)
		return -1;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int verdict(int expected, long result)
{
	int got = result < 0 ? errno : 0;
	if (got != expected)
		fprintf(stderr, "expected %d (%s), got %d (%s)\n", expected, strerror(expected), got, strerror(got));
	return got != expected;
}

static int check_verdicts(void)
{
	int bad = 0;
	bad += verdict(EPERM, syscall(SYS_kexec_load, 0, 0, 0, 0));
	bad += verdict(EPERM, syscall(SYS_finit_module, -1, "", 0));
	bad += verdict(EPERM, syscall(SYS_open_by_handle_at, -1, NULL, 0));
	bad += verdict(EPERM, syscall(SYS_bpf, 0, NULL, 0));
	bad += verdict(EPERM, syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
	bad += verdict(EPERM, syscall(SYS_userfaultfd, 0));
	bad += verdict(EPERM, syscall(SYS_io_uring_setup, 1, NULL));
	bad += verdict(EPERM, syscall(SYS_swapoff, NULL));
	bad += verdict(EPERM, syscall(SYS_settimeofday, NULL, NULL));
	bad += verdict(ENOSYS, syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	bad += verdict(ENOSYS, syscall(SYS_add_key, NULL, NULL, NULL, 0, 0));
	bad += verdict(ENOSYS, syscall(9999));
	bad += verdict(EAFNOSUPPORT, socket(AF_VSOCK, SOCK_STREAM, 0));
	bad += verdict(EAFNOSUPPORT, socket(AF_ALG, SOCK_SEQPACKET, 0));
	bad += verdict(0, socket(AF_UNIX, SOCK_STREAM, 0));
	bad += verdict(0, getpid());
	bad += verdict(0, unshare(CLONE_NEWNS | CLONE_NEWUTS));
	bad += verdict(0, sethostname("x", 1));
	bad += verdict(0, mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	/* These got as far as the kernel, which does not like the arguments. */
	bad += verdict(EINVAL, syscall(SYS_clone3, NULL, 0));
	bad += verdict(EBADF, setns(-1, 0));
	bad += verdict(EFAULT, syscall(SYS_pivot_root, NULL, NULL));
	bad += verdict(EBADF, syscall(SYS_move_mount, -1, "x", -1, "x", 0));
	bad += verdict(0, unshare(CLONE_NEWUSER));
	return bad;
}

static void test_verdicts(void **state)
{
	int r = in_confined_child(0, check_verdicts);
	if (r < 0)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(in_confined_child(1, check_verdicts), 0);
}

#ifdef __x86_64__
static long call32(long number, long first)
{
	long result;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(first), "c"(0L), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

static int check_other_tables(void)
{
	enum { GETPID = 20, SOCKETCALL = 102, KEXEC_LOAD = 283, KEYCTL = 288, SOCKET = 359, X32 = 0x40000000 };
	int bad = 0;
	bad += verdict(ENOSYS, syscall(X32 | SYS_getpid));
	/* A kernel without 32-bit programs ends those. */
	bad += verdict(0, call32(GETPID, 0));
	bad += verdict(EPERM, call32(KEXEC_LOAD, 0));
	bad += verdict(ENOSYS, call32(KEYCTL, 0));
	bad += verdict(EAFNOSUPPORT, call32(SOCKET, AF_VSOCK));
	bad += verdict(EAFNOSUPPORT, call32(SOCKET, AF_ALG));
	bad += verdict(ESOCKTNOSUPPORT, call32(SOCKET, AF_UNIX)); /* without a type */
	/* The arguments are at address 0, where nothing is. */
	bad += verdict(ENOSYS, call32(SOCKETCALL, SYS_SOCKET));
	bad += verdict(EFAULT, call32(SOCKETCALL, SYS_BIND));
	bad += verdict(EFAULT, call32(SOCKETCALL, SYS_SENDMSG));
	return bad;
}

static int check_socketcall(void)
{
	enum { SOCKETCALL = 102, SOCKET = 359 };
	int bad = 0;
	bad += verdict(EFAULT, call32(SOCKETCALL, SYS_SOCKET));
	bad += verdict(EAFNOSUPPORT, call32(SOCKET, AF_VSOCK));
	bad += verdict(EAFNOSUPPORT, socket(AF_ALG, SOCK_SEQPACKET, 0));
	return bad;
}

static int has_32bit(void)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(call32(20, 0) != getpid());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_other_tables(void **state)
{
	int r = has_32bit() ? in_confined_child(0, check_other_tables) : -1;
	if (r < 0)
		skip();
	assert_int_equal(r, 0);
	confine_choose(CONFINE_SOCKETCALL);
	r = in_confined_child(0, check_socketcall);
	confine_choose(CONFINE_STRICT);
	assert_int_equal(r, 0);
}
#endif

static uint64_t status_field(const char *key, int base)
{
	char line[256];
	uint64_t v = UINT64_MAX;
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof line, f))
		if (startswith(line, key))
			v = strtoull(line + strlen(key), NULL, base);
	if (f)
		fclose(f);
	return v;
}

/* The bits of the names that the specification lists. */
static uint64_t specified(void)
{
	static const struct strv none = { 0 };
	struct runtime_spec s = { .arguments = &none, .environment = &none, .capabilities = confine_capabilities() };
	AUTO_JSON struct json_object *spec = runtime_spec_new(&s);
	struct json_object *process = NULL, *sets = NULL, *list = NULL;
	uint64_t bits = 0;
	static const struct {
		const char *name;
		int number;
	} known[] = {
		{ "CAP_CHOWN", CAP_CHOWN },
		{ "CAP_DAC_OVERRIDE", CAP_DAC_OVERRIDE },
		{ "CAP_DAC_READ_SEARCH", CAP_DAC_READ_SEARCH },
		{ "CAP_FOWNER", CAP_FOWNER },
		{ "CAP_FSETID", CAP_FSETID },
		{ "CAP_KILL", CAP_KILL },
		{ "CAP_SETGID", CAP_SETGID },
		{ "CAP_SETUID", CAP_SETUID },
		{ "CAP_SETPCAP", CAP_SETPCAP },
		{ "CAP_LINUX_IMMUTABLE", CAP_LINUX_IMMUTABLE },
		{ "CAP_NET_BIND_SERVICE", CAP_NET_BIND_SERVICE },
		{ "CAP_NET_BROADCAST", CAP_NET_BROADCAST },
		{ "CAP_NET_ADMIN", CAP_NET_ADMIN },
		{ "CAP_NET_RAW", CAP_NET_RAW },
		{ "CAP_IPC_OWNER", CAP_IPC_OWNER },
		{ "CAP_SYS_CHROOT", CAP_SYS_CHROOT },
		{ "CAP_SYS_PTRACE", CAP_SYS_PTRACE },
		{ "CAP_SYS_ADMIN", CAP_SYS_ADMIN },
		{ "CAP_SYS_BOOT", CAP_SYS_BOOT },
		{ "CAP_SYS_NICE", CAP_SYS_NICE },
		{ "CAP_SYS_RESOURCE", CAP_SYS_RESOURCE },
		{ "CAP_SYS_TTY_CONFIG", CAP_SYS_TTY_CONFIG },
		{ "CAP_MKNOD", CAP_MKNOD },
		{ "CAP_LEASE", CAP_LEASE },
		{ "CAP_AUDIT_WRITE", CAP_AUDIT_WRITE },
		{ "CAP_AUDIT_CONTROL", CAP_AUDIT_CONTROL },
		{ "CAP_SETFCAP", CAP_SETFCAP },
	};
	if (json_get_object(spec, "process", &process, NULL) < 0 ||
	    json_get_object(process, "capabilities", &sets, NULL) < 0 ||
	    !json_object_object_get_ex(sets, "bounding", &list))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		for (size_t j = 0; j < ARRAY_SIZE(known); j++)
			if (streq(known[j].name, json_object_get_string(json_object_array_get_idx(list, i))))
				bits |= 1ULL << known[j].number;
	/* Each of them is one that a machine should have. */
	return (size_t)__builtin_popcountll(bits) == json_object_array_length(list) ? bits : 0;
}

static int expect_field(const char *key, int base, uint64_t expected)
{
	uint64_t got = status_field(key, base);
	if (got != expected)
		fprintf(stderr, "%s %llx, expected %llx\n", key, (unsigned long long)got, (unsigned long long)expected);
	return got != expected;
}

static int check_status(void)
{
	uint64_t bits = specified();
	return (bits == 0) + expect_field("CapBnd:", 16, bits) + expect_field("CapPrm:", 16, bits) +
	       expect_field("CapEff:", 16, bits) + expect_field("CapInh:", 16, 0) + expect_field("CapAmb:", 16, 0) +
	       expect_field("NoNewPrivs:", 10, 0) + expect_field("Seccomp:", 10, 2) +
	       expect_field("Seccomp_filters:", 10, 1) + (prctl(PR_GET_SECUREBITS) != 0);
}

static void test_status(void **state)
{
	int r = in_confined_child(0, check_status);
	if (r < 0)
		skip();
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_known_and_once),
		cmocka_unit_test(test_program_is_the_table),
		cmocka_unit_test(test_container_program),
		cmocka_unit_test(test_verdicts),
#ifdef __x86_64__
		cmocka_unit_test(test_other_tables),
#endif
		cmocka_unit_test(test_status),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
