/* SPDX-License-Identifier: Apache-2.0
 * See confine.h. The list of capabilities is what systemd-nspawn gives a machine with a network of
 * its own. Missing are those that the kernel asks of the first user namespace only, and that would
 * have a service believe that it may (CAP_SYS_TIME starts time synchronization), or that no machine
 * needs: SYS_MODULE, SYS_RAWIO, SYS_TIME, SYS_PACCT, SYSLOG, MAC_*, AUDIT_READ, BPF, PERFMON,
 * WAKE_ALARM, BLOCK_SUSPEND, IPC_LOCK, CHECKPOINT_RESTORE. */
#include "agent/confine/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

#include "agent/confine/filter.h" /* filters of both choices: made by generate.c */

/* clang-format off */
#define CAPABILITIES(X) \
	X(CHOWN) X(DAC_OVERRIDE) X(DAC_READ_SEARCH) X(FOWNER) X(FSETID) X(KILL) X(SETGID) X(SETUID) X(SETPCAP) \
	X(LINUX_IMMUTABLE) X(NET_BIND_SERVICE) X(NET_BROADCAST) X(NET_ADMIN) X(NET_RAW) X(IPC_OWNER) \
	X(SYS_CHROOT) X(SYS_PTRACE) X(SYS_ADMIN) X(SYS_BOOT) X(SYS_NICE) X(SYS_RESOURCE) X(SYS_TTY_CONFIG) \
	X(MKNOD) X(LEASE) X(AUDIT_WRITE) X(AUDIT_CONTROL) X(SETFCAP)
/* clang-format on */
#define NAME(x) "CAP_" #x,
#define BIT(x) | 1ULL << CAP_##x

static const char *const names[] = { CAPABILITIES(NAME) NULL };
static const uint64_t set = 0 CAPABILITIES(BIT);

static enum confine_choice chosen = CONFINE_STRICT;

void confine_choose(enum confine_choice choice)
{
	chosen = choice;
}

const char *const *confine_capabilities(void)
{
	return names;
}

const char *confine_filter_base64(void)
{
	return chosen == CONFINE_SOCKETCALL ? socketcall_base64 : strict_base64;
}

enum confine_container confine_container_choose(uint64_t capabilities)
{
	static const uint64_t further = 0 BIT(SYS_PTRACE) BIT(SYS_NICE) BIT(SYS_BOOT) BIT(SYS_TTY_CONFIG);
	return capabilities & 1ULL << CAP_SYS_ADMIN ? CONFINE_ADMIN :
	       capabilities & further               ? CONFINE_FURTHER :
						      CONFINE_PLAIN;
}

const char *confine_container_filter_base64(enum confine_container which)
{
	static const char *const filters[] = {
		[CONFINE_PLAIN] = container_base64,
		[CONFINE_FURTHER] = further_base64,
		[CONFINE_ADMIN] = admin_base64,
	};
	return filters[which];
}

static int reduce_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .permitted = (uint32_t)set, .effective = (uint32_t)set },
		{ .permitted = (uint32_t)(set >> 32), .effective = (uint32_t)(set >> 32) } };
	for (unsigned long i = 0; i < 64; i++) {
		if (set & 1ULL << i || prctl(PR_CAPBSET_DROP, i) == 0)
			continue;
		/* EINVAL: this kernel has no such capability, so there are none after it. */
		if (errno != EINVAL)
			return -errno;
		break;
	}
	/* Ambient ones are permitted and inheritable ones: gone with the inheritable set. */
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int confine_apply(struct error **err)
{
	static const struct sock_fprog programs[] = {
		[CONFINE_STRICT] = { .len = ARRAY_SIZE(strict_filter), .filter = strict_filter },
		[CONFINE_SOCKETCALL] = { .len = ARRAY_SIZE(socketcall_filter), .filter = socketcall_filter },
	};
	int r =
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0UL, &programs[chosen]) < 0 ? -errno : reduce_capabilities();
	return r < 0 ? error_set_errno(err, r, "cannot confine the session as the machine's init is") : 0;
}
