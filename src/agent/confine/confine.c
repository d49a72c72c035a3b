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

/* Programs that are loaded; base64 of the same ones for crun is above. */
static int load(struct sock_filter *filter, size_t count)
{
	struct sock_fprog program = { .len = (unsigned short)count, .filter = filter };
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0UL, &program) < 0 ? -errno : 0;
}

int confine_container_filter(enum confine_container which)
{
	return which == CONFINE_ADMIN   ? load(admin_filter, ARRAY_SIZE(admin_filter)) :
	       which == CONFINE_FURTHER ? load(further_filter, ARRAY_SIZE(further_filter)) :
					  load(container_filter, ARRAY_SIZE(container_filter));
}

int confine_bound(uint64_t capabilities)
{
	for (unsigned long i = 0; i < 64; i++) {
		if (capabilities & 1ULL << i || prctl(PR_CAPBSET_DROP, i) == 0)
			continue;
		/* EINVAL: this kernel has no such capability, so there are none after it. */
		return errno == EINVAL ? 0 : -errno;
	}
	return 0;
}

/* Ambient ones are permitted and inheritable ones: gone with the inheritable set. */
int confine_have(uint64_t capabilities)
{
	const uint32_t low = (uint32_t)capabilities, high = (uint32_t)(capabilities >> 32);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .permitted = low, .effective = low },
		{ .permitted = high, .effective = high } };
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int confine_apply(struct error **err)
{
	int r = chosen == CONFINE_SOCKETCALL ? load(socketcall_filter, ARRAY_SIZE(socketcall_filter)) :
					       load(strict_filter, ARRAY_SIZE(strict_filter));
	if (r == 0)
		r = confine_bound(set);
	if (r == 0)
		r = confine_have(set);
	return r < 0 ? error_set_errno(err, r, "cannot confine the session as the machine's init is") : 0;
}
