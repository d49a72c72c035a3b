/* SPDX-License-Identifier: Apache-2.0
 * See namespaces.h. */
#include "docker/namespaces.h"

#include <errno.h>

#define CONTAINER "container:"

/* The modes that the engine lacks, and what helps. */
static const struct {
	const char *key, *mode, *why;
} lacking[] = {
	{ "IpcMode", "host",
	    "--ipc host: the machine's own IPC namespace is out of the engine's reach; choose "
	    "shareable or container:NAME, and --shm-size for more room" },
	{ "PidMode", "host",
	    "--pid host: the machine's own processes are out of the engine's reach; choose "
	    "container:NAME" },
};

/* A member's text; "" where there is none. */
static int get_mode(struct json_object *host, const char *key, const char **ret, struct error **err)
{
	*ret = "";
	int r = json_get_string(host, key, ret, err);
	if (r < 0 && r != -ENOENT)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(lacking); i++)
		if (streq(lacking[i].key, key) && streq(lacking[i].mode, *ret))
			return error_set(err, EOPNOTSUPP, "%s", lacking[i].why);
	return 0;
}

/* The place of a mode among the names, which end with NULL; -EINVAL. */
static int find(const char *const *names, const char *mode, const char *what, struct error **err)
{
	for (int i = 0; names[i]; i++)
		if (streq(names[i], mode))
			return i;
	return error_set(err, EINVAL, "invalid %s mode: %.64s", what, mode);
}

static int get_userns(struct json_object *host, struct docker_namespaces *n, struct error **err)
{
	static const char *const names[] = { "", "host", "keep-id", NULL };
	const char *mode;
	int r = get_mode(host, "UsernsMode", &mode, err);
	if (r < 0 || (r = find(names, mode, "user namespace (--userns)", err)) < 0)
		return r;
	n->userns = (enum docker_userns)r;
	return 0;
}

static int get_ipc(struct json_object *host, struct docker_namespaces *n, struct error **err)
{
	static const char *const names[] = { "private", "shareable", "none", NULL };
	const char *mode, *container;
	int r = get_mode(host, "IpcMode", &mode, err);
	if (r < 0 || !*mode)
		return r;
	container = startswith(mode, CONTAINER);
	r = container && *container ? DOCKER_IPC_CONTAINER : find(names, mode, "IPC (--ipc)", err);
	if (r < 0)
		return r;
	n->ipc = (enum docker_ipc)r;
	n->ipc_container = n->ipc == DOCKER_IPC_CONTAINER ? container : NULL;
	return 0;
}

static int get_pid(struct json_object *host, struct docker_namespaces *n, struct error **err)
{
	static const char *const names[] = { "", "private", NULL };
	const char *mode;
	int r = get_mode(host, "PidMode", &mode, err);
	const char *container = r < 0 ? NULL : startswith(mode, CONTAINER);
	if (container && *container)
		n->pid_container = container;
	else if (r == 0)
		r = find(names, mode, "PID (--pid)", err);
	return MIN(r, 0);
}

static int get_uts(struct json_object *host, struct docker_namespaces *n, struct error **err)
{
	static const char *const names[] = { "", "private", "host", NULL };
	const char *mode;
	int r = get_mode(host, "UTSMode", &mode, err);
	if (r == 0)
		r = find(names, mode, "UTS (--uts)", err);
	n->host_uts = r == 2;
	return MIN(r, 0);
}

int docker_namespaces_parse(struct json_object *host, struct docker_namespaces *ret, struct error **err)
{
	struct docker_namespaces n = { 0 };
	int r;
	if ((r = get_userns(host, &n, err)) < 0 || (r = get_ipc(host, &n, err)) < 0 ||
	    (r = get_pid(host, &n, err)) < 0 || (r = get_uts(host, &n, err)) < 0)
		return r;
	*ret = n;
	return 0;
}
