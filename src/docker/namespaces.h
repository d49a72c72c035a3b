/* SPDX-License-Identifier: Apache-2.0
 * Members of HostConfig about a container's namespaces: UsernsMode, IpcMode, PidMode, UTSMode. */
#pragma once

#include "base/error.h"
#include "base/json.h"

/* CONTAINERS: root is the machine's user. The others have the machine's ids; KEEP_ID runs as the
 * machine's user where nobody says another one. */
enum docker_userns { DOCKER_USERNS_CONTAINERS, DOCKER_USERNS_HOST, DOCKER_USERNS_KEEP_ID };
/* NONE: private, without /dev/shm. */
enum docker_ipc { DOCKER_IPC_PRIVATE, DOCKER_IPC_SHAREABLE, DOCKER_IPC_NONE, DOCKER_IPC_CONTAINER };

struct docker_namespaces {
	enum docker_userns userns;
	enum docker_ipc ipc;
	const char *ipc_container, *pid_container; /* names of others, borrowed from the body; or NULL */
	int host_uts;
};

/* 0, -EINVAL for what is no mode, or -EOPNOTSUPP for one that the engine does not have. The text
 * names the member and the option. Borrows from host. */
int docker_namespaces_parse(struct json_object *host, struct docker_namespaces *ret, struct error **err);
