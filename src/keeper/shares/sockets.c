/* SPDX-License-Identifier: Apache-2.0
 * See sockets.h. Owner and mode inside are those of the host's socket, with owners as in shares, so
 * that the machine's kernel lets the same users connect. The keeper connects as the host user. */
#include "keeper/shares/sockets.h"

#include <unistd.h>

#include "base/alloc.h"

enum { NOBODY = 65534 };

/* An id of the host as it is shown inside (fsd/request/share.c does the same). */
static uint32_t id_inside(uint32_t id, uint32_t own, uint32_t own_inside)
{
	return id == own ? own_inside : id == own_inside ? NOBODY : id;
}

void share_socket_lend(struct keeper *k, struct keeper_share *s, int socket, const struct stat *st)
{
	const struct machine *m = k->machine;
	const char *owners = machine_owner_map_words[m->share_choices[MACHINE_OWNER_MAP]];
	int to_root = streq(owners, "root");
	s->socket.keeper = k;
	s->socket.id = keeper_lend_socket(k, socket, KEEPER_SOCKET_CONNECTIONS_MAX);
	s->socket.mode = st->st_mode & 0777;
	s->socket.uid = id_inside(st->st_uid, geteuid(), to_root ? 0 : m->uid);
	s->socket.gid = id_inside(st->st_gid, getegid(), to_root ? 0 : m->gid);
}

void share_socket_take_back(struct keeper_share *s)
{
	if (s->socket.keeper)
		keeper_take_socket_back(s->socket.keeper, s->socket.id);
	s->socket.keeper = NULL;
}

int share_socket_is_lent(const struct keeper_share *s)
{
	return s->socket.keeper != NULL;
}

void share_socket_describe(const struct keeper_share *s, struct json_object *into)
{
	if (!share_socket_is_lent(s))
		return;
	struct json_object *o = json_object_new_object();
	json_add_u64(o, "id", s->socket.id);
	json_add_u64(o, "mode", s->socket.mode);
	json_add_u64(o, "uid", s->socket.uid);
	json_add_u64(o, "gid", s->socket.gid);
	json_add(into, "socket", o);
}
