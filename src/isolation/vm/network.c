/* SPDX-License-Identifier: Apache-2.0
 * passt translates between the guest's packets and sockets of the host user. It gets a connected
 * socket, never a path (its AppArmor profile allows few), and fixed addresses, so that the agent
 * configures the device without DHCP. */
#include "isolation/vm/network.h"

#include "base/alloc.h"
#include "base/path.h"
#include "isolation/find.h"
#include "isolation/network.h"

enum { ROUTE_MAX = 1024 * 1024 };

void passt_arguments(struct strv *argv, int fd, int host_access)
{
	strv_add(argv, "passt");
	network_arguments(argv, host_access);
	strv_add(argv, "--fd");
	strv_addf(argv, "%d", fd);
}

enum vm_network vm_network_choose(void)
{
	AUTOFREE char *passt = isolation_find_program("passt");
	AUTOFREE char *routes = NULL;
	if (!passt || path_read_file("/proc/net/route", ROUTE_MAX, &routes, NULL) < 0)
		return VM_NETWORK_USER;
	return network_has_default_route(routes) ? VM_NETWORK_PASST : VM_NETWORK_USER;
}
