/* SPDX-License-Identifier: Apache-2.0
 * The network of a virtual machine: passt where it is installed, QEMU's user network behind a filter where not. */
#pragma once

#include "base/json.h"
#include "base/strv.h"
#include "isolation/vm/qemu_arguments.h"

/* passt on the connected socket fd (a number in passt's own table). */
void passt_arguments(struct strv *argv, int fd, int host_access);
enum vm_network vm_network_choose(void);
/* The server that passt forwards questions for VM_NETWORK_DNS to: the first IPv4 one of resolv.conf's text, owned; NULL: none. */
char *vm_network_first_nameserver(const char *resolv_conf);
/* Whether a machine has to ask VM_NETWORK_DNS instead of this address: the host's loopback; or `forwarded` (may be NULL), because passt takes
 * that server's answers for answers to a forwarded question and changes their sender. */
int vm_network_must_forward(const char *address, const char *forwarded);
/* Rewrites the nameservers of the agent's "resolv" so, each server once. */
void vm_network_resolv(struct json_object *resolv, const char *forwarded);
/* Whether /proc/net/route (its text) has a default route: passt cannot start on a host that is not connected to anything. */
int vm_network_has_default_route(const char *proc_net_route);
