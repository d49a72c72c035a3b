/* SPDX-License-Identifier: Apache-2.0
 * A guest of thirty bytes: 64-bit mode with paging, as every kernel uses it; it adds up 1..n and
 * halts. The interface is Documentation/virt/kvm/api.rst of the kernel. Memory: 2 MiB from address
 * 0, mapped one to one by one large page.
 */
#include "isolation/vm/kvm_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

enum {
	MEMORY = 2 * 1024 * 1024,
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	CODE = 0x10000,
	PRESENT_WRITABLE = 3,
	LARGE = 1 << 7,
	CR0_PE = 1,
	CR0_PG = 1 << 31,
	CR4_PAE = 1 << 5,
	EFER_LME = 1 << 8,
	EFER_LMA = 1 << 10,
};

#if defined(__x86_64__)

/* rcx counts down, rax sums up, then hlt. */
static const uint8_t code[] = {
	0x31, 0xc0,       /*    xor %eax, %eax */
	0x48, 0x01, 0xc8, /* 1: add %rcx, %rax */
	0x48, 0xff, 0xc9, /*    dec %rcx */
	0x75, 0xf8,       /*    jnz 1b */
	0xf4              /*    hlt */
};

static void write_tables(uint8_t *memory)
{
	const uint64_t pml4 = PDPT | PRESENT_WRITABLE, pdpt = PD | PRESENT_WRITABLE, pd = 0 | PRESENT_WRITABLE | LARGE;
	memcpy(memory + PML4, &pml4, sizeof(pml4));
	memcpy(memory + PDPT, &pdpt, sizeof(pdpt));
	memcpy(memory + PD, &pd, sizeof(pd));
	memcpy(memory + CODE, code, sizeof(code));
}

static int set_registers(int vcpu, uint64_t iterations)
{
	struct kvm_sregs s;
	if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return -errno;
	const struct kvm_segment flat = { .limit = 0xffffffff, .present = 1, .s = 1, .g = 1 };
	s.cs = flat;
	s.cs.type = 11; /* execute, read, accessed */
	s.cs.selector = 8;
	s.cs.l = 1;
	s.ds = flat;
	s.ds.type = 3; /* read, write, accessed */
	s.ds.selector = 16;
	s.ds.db = 1;
	s.es = s.fs = s.gs = s.ss = s.ds;
	s.cr3 = PML4;
	s.cr4 = CR4_PAE;
	s.cr0 = (uint32_t)CR0_PG | CR0_PE;
	s.efer = EFER_LME | EFER_LMA;
	const struct kvm_regs regs = { .rip = CODE, .rcx = iterations, .rflags = 2 };
	return ioctl(vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

static uint64_t cpu_microseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int run_vcpu(int vcpu, const struct kvm_run *run, uint64_t *ret_result, uint64_t *ret_microseconds)
{
	struct kvm_regs regs;
	uint64_t start = cpu_microseconds();
	while (ioctl(vcpu, KVM_RUN, 0) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	*ret_microseconds = cpu_microseconds() - start;
	if (run->exit_reason != KVM_EXIT_HLT || ioctl(vcpu, KVM_GET_REGS, &regs) < 0)
		return -EIO;
	*ret_result = regs.rax;
	return 0;
}

static int run_vm(int vm, uint8_t *memory, size_t run_size, uint64_t iterations, uint64_t *ret_result,
    uint64_t *ret_microseconds)
{
	const struct kvm_userspace_memory_region region = {
		.memory_size = MEMORY,
		.userspace_addr = (uintptr_t)memory,
	};
	if (ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -errno;
	AUTO_FD int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return -errno;
	struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return -errno;
	int r = set_registers(vcpu, iterations);
	if (r >= 0)
		r = run_vcpu(vcpu, run, ret_result, ret_microseconds);
	munmap(run, run_size);
	return r;
}

int kvm_guest_run(uint64_t iterations, uint64_t *ret_result, uint64_t *ret_microseconds)
{
	AUTO_FD int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return -errno;
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return -EPROTO;
	int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	AUTO_FD int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0 || run_size < (int)sizeof(struct kvm_run))
		return vm < 0 ? -errno : -EPROTO;
	uint8_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	write_tables(memory);
	int r = run_vm(vm, memory, (size_t)run_size, iterations, ret_result, ret_microseconds);
	munmap(memory, MEMORY);
	return r;
}

#else

int kvm_guest_run(uint64_t iterations, uint64_t *ret_result, uint64_t *ret_microseconds)
{
	return -EOPNOTSUPP;
}

#endif
