/* SPDX-License-Identifier: Apache-2.0
 * passt translates between the guest's packets and sockets of the host user. It gets a connected
 * socket, never a path (its AppArmor profile allows few), and fixed addresses, so that the agent
 * configures the device without DHCP. */
#include "isolation/vm/network.h"

#include "base/alloc.h"
#include "isolation/find.h"

void passt_arguments(struct strv *argv, int fd, unsigned families, int host_access)
{
	strv_add(argv, "passt");
	network_arguments(argv, families, host_access);
	strv_add(argv, "--fd");
	strv_addf(argv, "%d", fd);
}

enum vm_network vm_network_choose(unsigned families)
{
	AUTOFREE char *passt = isolation_find_program("passt");
	return passt && families ? VM_NETWORK_PASST : VM_NETWORK_USER;
}
