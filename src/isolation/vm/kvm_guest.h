/* SPDX-License-Identifier: Apache-2.0
 * The probe's guest. */
#pragma once

#include <stdint.h>

/* Runs a loop of this many iterations in a KVM guest, in this process: 0 with the guest's result
 * and the processor time it took, or -errno. May take for ever where KVM is emulated; the caller
 * kills. */
int kvm_guest_run(uint64_t iterations, uint64_t *ret_result, uint64_t *ret_microseconds);
