/* SPDX-License-Identifier: Apache-2.0
 * holm-confine-generate: makes C of the table in calls.c, at build time, on standard output: the
 * seccomp(2) filter programs of both choices (confine.h), and the same bytes in base64.
 *
 * libseccomp gives the names of the numbers, for this architecture and for the 32-bit programs that
 * run on it too. The program is made here: numbers in a row with the same verdict are one range,
 * and the ranges are found by a binary search. The kernel translates a filter and tries every
 * number on it each time that it is loaded, that is once a session; libseccomp's own program, a
 * step for every number, takes three times as long there. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "agent/confine/calls.h"
#include "base/macros.h"

enum { NUMBERS_MAX = 1024, PROGRAM_MAX = 1024, JUMP_MAX = 255 };

/* The treatment of a system call's number. Numbers without one get ENOSYS. */
enum meaning { UNKNOWN, ALLOWED, REFUSED, IS_SOCKET, IS_SOCKETCALL, IS_CLONE, IS_PERSONALITY };

/* The filters of containers. */
enum level { PLAIN = 1, FURTHER, ADMIN };

struct range {
	unsigned first; /* ends where the next one begins */
	enum meaning meaning;
};

struct program {
	struct sock_filter steps[PROGRAM_MAX];
	unsigned count;
	int socketcall;   /* is allowed */
	int is_container; /* the groups are a container's: 0, or a level */
	int failed;
};

static const struct {
	uint32_t native, other; /* other: of 32-bit programs */
} pairs[] = { { SCMP_ARCH_X86_64, SCMP_ARCH_X86 }, { SCMP_ARCH_AARCH64, SCMP_ARCH_ARM } };

static void emit(struct program *p, unsigned code, unsigned yes, unsigned no, uint32_t value)
{
	if (p->count == PROGRAM_MAX || yes > JUMP_MAX || no > JUMP_MAX) {
		p->failed = 1;
		return;
	}
	p->steps[p->count++] = (struct sock_filter){ (uint16_t)code, (uint8_t)yes, (uint8_t)no, value };
}

/* AF_VSOCK has no namespace: it leads to the hypervisor of a host that is a virtual machine itself,
 * to the virtual machines of the host, and to what listens there (systemd's sshd would bind it).
 * AF_ALG is the kernel's cryptography, in which a file that could only be read was written to
 * (CVE-2026-31431); programs have their own. The family is an int: the lower half is all the kernel
 * looks at. */
static void emit_families(struct program *p)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args[0]));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AF_VSOCK);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, AF_ALG);
	emit(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

/* socketcall(2) has its arguments in memory, into which no filter sees. What it does to an open
 * socket is as harmless as the calls of that name; it makes none. As on a kernel that has no such
 * call, what knows socket(2) takes that (musl). */
static void emit_socketcall(struct program *p)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args[0]));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_SOCKET);
	emit(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
}

#define CLONE_NAMESPACES                                                                                               \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* clone(2) without a new namespace. */
static void emit_clone(struct program *p)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args[0]));
	emit(p, BPF_JMP | BPF_JSET | BPF_K, 0, 1, CLONE_NAMESPACES);
	emit(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM);
}

/* personality(2) with the values that Docker allows: those of ordinary programs, of 32-bit ones,
 * and the question for the present one. */
static void emit_personality(struct program *p)
{
	static const uint32_t values[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args[0]));
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)ARRAY_SIZE(values) - i, 0, values[i]);
	emit(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM);
}

static void emit_verdict(struct program *p, enum meaning m)
{
	static const uint32_t results[] = {
		[UNKNOWN] = SECCOMP_RET_ERRNO | ENOSYS,
		[ALLOWED] = SECCOMP_RET_ALLOW,
		[REFUSED] = SECCOMP_RET_ERRNO | EPERM,
	};
	if (m == IS_SOCKET)
		emit_families(p);
	if (m == IS_SOCKETCALL && !p->socketcall)
		emit_socketcall(p);
	if (m == IS_CLONE)
		emit_clone(p);
	if (m == IS_PERSONALITY)
		emit_personality(p);
	emit(p, BPF_RET | BPF_K, 0, 0, results[m > REFUSED ? ALLOWED : m]);
}

/* The number is in the accumulator, and in one of the ranges. */
static void emit_search(struct program *p, const struct range *ranges, size_t count)
{
	size_t half = count / 2;
	unsigned at = p->count;
	if (count == 1) {
		emit_verdict(p, ranges[0].meaning);
		return;
	}
	emit(p, BPF_JMP | BPF_JGE | BPF_K, 0, 0, ranges[half].first);
	emit_search(p, ranges, half);
	unsigned distance = p->count - at - 1;
	if (p->failed || distance > JUMP_MAX)
		p->failed = 1;
	else
		p->steps[at].jt = (uint8_t)distance;
	emit_search(p, ranges + half, count - half);
}

static int is_allowed(const struct program *p, enum confine_verdict verdict)
{
	return verdict == CONFINE_ALLOWED || (verdict == CONFINE_FURTHER_ONLY && p->is_container >= FURTHER) ||
	       (verdict == CONFINE_ADMIN_ONLY && p->is_container >= ADMIN);
}

static enum meaning meaning_of(const struct program *p, const char *name)
{
	const struct confine_group *groups = p->is_container ? confine_container_groups : confine_groups;
	size_t count = p->is_container ? confine_container_group_count : confine_group_count;
	if (p->is_container && p->is_container < ADMIN && streq(name, "clone"))
		return IS_CLONE;
	if (p->is_container && streq(name, "personality"))
		return IS_PERSONALITY;
	if (streq(name, "socket"))
		return IS_SOCKET;
	if (streq(name, "socketcall"))
		return IS_SOCKETCALL;
	for (size_t i = 0; i < count; i++)
		for (const char *const *known = groups[i].names; *known; known++)
			if (streq(*known, name))
				return is_allowed(p, groups[i].verdict) ? ALLOWED : REFUSED;
	return UNKNOWN;
}

static int emit_architecture(struct program *p, uint32_t architecture)
{
	struct range ranges[NUMBERS_MAX];
	size_t count = 0;
	for (unsigned n = 0; n < NUMBERS_MAX; n++) {
		/* By number, because for names that 32-bit x86 also has in socketcall(2) and ipc(2)
		 * the library gives numbers of its own. */
		AUTOFREE char *name = seccomp_syscall_resolve_num_arch(architecture, (int)n);
		enum meaning m = name ? meaning_of(p, name) : UNKNOWN;
		if (n == 0 || ranges[count - 1].meaning != m)
			ranges[count++] = (struct range){ n, m };
	}
	if (ranges[count - 1].meaning != UNKNOWN)
		return -ERANGE;
	unsigned at = p->count;
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, architecture);
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	emit_search(p, ranges, count);
	p->steps[at + 1].k = p->count - at - 2;
	return p->failed ? -EFBIG : 0;
}

static int make(struct program *p)
{
	size_t i = 0;
	while (i < ARRAY_SIZE(pairs) && pairs[i].native != seccomp_arch_native())
		i++;
	if (i == ARRAY_SIZE(pairs))
		return -ENOTSUP;
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
	int r = emit_architecture(p, pairs[i].native);
	if (r == 0)
		r = emit_architecture(p, pairs[i].other);
	emit_verdict(p, UNKNOWN);
	return r;
}

static void print_base64(const unsigned char *p, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < size; i += 3) {
		size_t n = MIN(size - i, (size_t)3);
		unsigned v = (unsigned)p[i] << 16 | (n > 1 ? (unsigned)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
		if (i % 96 == 0)
			printf("%s\n\t\"", i ? "\"" : "");
		printf("%c%c%c%c", digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
		    n > 2 ? digits[v & 63] : '=');
	}
	printf("\";\n");
}

static int print(const char *name, int socketcall, int is_container)
{
	static struct program p;
	p = (struct program){ .socketcall = socketcall, .is_container = is_container };
	int r = make(&p);
	if (r < 0)
		return r;
	printf("static struct sock_filter %s_filter[] = {\n", name);
	for (unsigned i = 0; i < p.count; i++)
		printf("\t{ 0x%x, %u, %u, 0x%x },\n", p.steps[i].code, p.steps[i].jt, p.steps[i].jf, p.steps[i].k);
	printf("};\nstatic const char %s_base64[] =", name);
	print_base64((const unsigned char *)p.steps, p.count * sizeof p.steps[0]);
	return 0;
}

int main(void)
{
	printf("/* Made by holm-confine-generate. */\n");
	int r = print("strict", 0, 0);
	if (r == 0)
		r = print("socketcall", 1, 0);
	if (r == 0)
		r = print("container", 1, PLAIN);
	if (r == 0)
		r = print("further", 1, FURTHER);
	if (r == 0)
		r = print("admin", 1, ADMIN);
	if (r < 0) {
		fprintf(stderr, "holm-confine-generate: %s\n", strerror(-r));
		return 1;
	}
	return fflush(stdout) < 0;
}
