/* SPDX-License-Identifier: Apache-2.0
 * holm-confine-generate: makes C of the table in confine_calls.c, at build time, on standard output: a seccomp(2) filter program, and the
 * same bytes in base64. Verdicts are found by a binary tree, so that those for the kernel's cache of always-allowed calls are cheap to
 * work out and those that are not in it take few steps. */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "confine_calls.h"

static int add_groups(scmp_filter_ctx filter)
{
	int r = 0;
	for (size_t i = 0; i < confine_group_count; i++) {
		uint32_t action = confine_groups[i].verdict == CONFINE_ALLOWED ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM);
		for (const char *const *name = confine_groups[i].names; *name && r == 0; name++) {
			int number = seccomp_syscall_resolve_name(*name);
			/* Below zero: only another of the architectures has it, and there it gets its rule. */
			if (number != __NR_SCMP_ERROR)
				r = seccomp_rule_add(filter, action, number, 0);
		}
	}
	return r;
}

/* AF_VSOCK has no namespace: it leads to the hypervisor of a host that is a virtual machine itself, and to what listens there (systemd's
 * sshd would bind it). A 32-bit program has socketcall(2), into whose arguments no filter sees. */
static int add_socket(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_VSOCK));
	return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_VSOCK));
}

static int add_architectures(scmp_filter_ctx filter)
{
	int r = 0;
	if (seccomp_arch_native() == SCMP_ARCH_X86_64)
		r = seccomp_arch_add(filter, SCMP_ARCH_X86);
	else if (seccomp_arch_native() == SCMP_ARCH_AARCH64)
		r = seccomp_arch_add(filter, SCMP_ARCH_ARM);
	return r == -EEXIST ? 0 : r;
}

static void print_base64(const unsigned char *p, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < size; i += 3) {
		size_t n = MIN(size - i, (size_t)3);
		unsigned v = (unsigned)p[i] << 16 | (n > 1 ? (unsigned)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
		if (i % 96 == 0)
			printf("%s\n\t\"", i ? "\"" : "");
		printf("%c%c%c%c", digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=', n > 2 ? digits[v & 63] : '=');
	}
	printf("\";\n");
}

static int print(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	if (size <= 0 || size % (off_t)sizeof(struct sock_filter) || size > BPF_MAXINSNS * (off_t)sizeof(struct sock_filter))
		return -EFBIG;
	const struct sock_filter *program = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (program == MAP_FAILED)
		return -errno;
	printf("/* Made by holm-confine-generate. */\nstatic struct sock_filter filter[] = {\n");
	for (size_t i = 0; i < (size_t)size / sizeof *program; i++)
		printf("\t{ 0x%x, %u, %u, 0x%x },\n", program[i].code, program[i].jt, program[i].jf, program[i].k);
	printf("};\nstatic const char filter_base64[] =");
	print_base64((const unsigned char *)program, (size_t)size);
	return fflush(stdout) < 0 ? -errno : 0;
}

int main(void)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r = filter && fd >= 0 ? add_architectures(filter) : -ENOMEM;
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (r == 0)
		r = add_groups(filter);
	if (r == 0)
		r = add_socket(filter);
	if (r == 0)
		r = seccomp_export_bpf(filter, fd);
	if (r == 0)
		r = print(fd);
	if (r < 0)
		fprintf(stderr, "holm-confine-generate: %s\n", strerror(-r));
	seccomp_release(filter);
	return r < 0;
}
