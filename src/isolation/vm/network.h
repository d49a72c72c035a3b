/* SPDX-License-Identifier: Apache-2.0
 * The network of a virtual machine: passt where it is installed, QEMU's user network behind a
 * filter where not. */
#pragma once

#include "base/strv.h"
#include "isolation/network.h"
#include "isolation/vm/qemu_arguments.h"

/* passt on the connected socket fd (a number in passt's own table). */
void passt_arguments(struct strv *argv, int fd, unsigned families, int host_access);
enum vm_network vm_network_choose(unsigned families);
