/* SPDX-License-Identifier: Apache-2.0
 * The leave to reach docker.sock from inside. The engine asks for each connection of a container,
 * and the engine is as hostile as the machine's root: the answers name and hold all images of the
 * library. So a machine gets them once a `create` on the host has mounted docker.sock into one of
 * its containers. The file docker-socket beside machine.json says that. */
#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic_file.h"
#include "keeper/docker/private.h"
#include "keeper/keeper_private.h"

static char *leave_path(const struct keeper *k)
{
	return machine_file(k->machine->name, "docker-socket");
}

int docker_inside_allow(const struct keeper *k, struct error **err)
{
	AUTOFREE char *path = leave_path(k);
	return access(path, F_OK) == 0 ? 0 : atomic_file_write(path, 0600, "", 0, err);
}

int docker_inside_check(const struct keeper *k, struct error **err)
{
	AUTOFREE char *path = leave_path(k);
	return access(path, F_OK) == 0 ?
		   0 :
		   error_set(err, EACCES, "no container of machine \"%s\" was created on the host with docker.sock",
		       k->machine->name);
}
