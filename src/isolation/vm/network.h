/* SPDX-License-Identifier: Apache-2.0
 * The network of a virtual machine: passt where it is installed, QEMU's user network behind a filter where not. */
#pragma once

#include "base/strv.h"
#include "isolation/vm/qemu_arguments.h"

/* passt on the connected socket fd (a number in passt's own table). */
void passt_arguments(struct strv *argv, int fd, int host_access);
enum vm_network vm_network_choose(void);
/* Whether an address of resolv.conf means the host itself, so that a machine has to ask VM_NETWORK_DNS instead. */
int vm_network_is_host_resolver(const char *address);
/* Whether /proc/net/route (its text) has a default route: passt cannot start on a host that is not connected to anything. */
int vm_network_has_default_route(const char *proc_net_route);
