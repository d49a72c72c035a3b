/* SPDX-License-Identifier: Apache-2.0
 * The way to a caller's ssh-agent socket. The path may lead through a share that the machine writes
 * to (a home): there a symlink is the machine's word, and could name the socket of anything that
 * answers the user. What comes of it is a descriptor: whatever the path means later, the session's
 * connections go to this socket. */
#include <errno.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "keeper/agent/lent.h"
#include "keeper/keeper_private.h"
#include "keeper/shares/walk.h"

static int ssh_socket_open(const struct keeper *k, const char *path, struct error **err)
{
	AUTO_STRV struct strv writable = { 0 };
	AUTOFREE char *link = NULL;
	struct stat st;
	for (const struct keeper_share *s = k->shares; s; s = s->next)
		if (!s->read_only)
			strv_add(&writable, s->host);
	AUTO_FD int fd = walk_path(path, &writable, &link);
	if (fd < 0 && link)
		return error_set(err, EPERM,
		    "ssh agent \"%s\": \"%s\" is a symbolic link in a folder that the machine can write to; set "
		    "SSH_AUTH_SOCK to the socket itself",
		    path, link);
	int r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : S_ISSOCK(st.st_mode) ? 0 : -ENOTSOCK;
	return r < 0 ? error_set_errno(err, r, "ssh agent \"%s\"", path) : TAKE_FD(fd);
}

int keeper_add_ssh_agent(struct keeper *k, const char *path, uint32_t *ret_id, struct error **err)
{
	int socket = ssh_socket_open(k, path, err);
	if (socket < 0)
		return socket;
	*ret_id = keeper_lend_socket(k, socket, KEEPER_AGENT_CONNECTIONS_MAX);
	return 0;
}
