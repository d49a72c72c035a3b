/* SPDX-License-Identifier: Apache-2.0
 * See packet.h. */
#include "agent/engine/packet.h"

#include <errno.h>
#include <sys/socket.h>

#include "agent/core/channel.h"
#include "base/alloc.h"

unsigned packet_pack(const int *fds, size_t count, struct fd_pass *out)
{
	unsigned bits = 0;
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0 && out->count < FD_PASS_MAX) {
			out->fds[out->count++] = fds[i];
			bits |= 1U << i;
		}
	return bits;
}

int packet_unpack(struct packet *p, uint64_t bits, int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fds[i] = -1;
	for (size_t i = 0; i < count; i++) {
		if (!(bits & 1U << i))
			continue;
		if (p->taken == p->passed.count)
			return -EPROTO;
		fds[i] = TAKE_FD(p->passed.fds[p->taken]);
		p->taken++;
	}
	return 0;
}

int packet_send(int socket, struct json_object *o, const struct fd_pass *fds, int flags)
{
	AUTO_JSON struct json_object *owned = o;
	AUTOFREE char *text = json_to_string(owned, 0);
	size_t size = strlen(text);
	if (size > CHANNEL_MESSAGE_MAX)
		return -E2BIG;
	ssize_t n = fd_send_bytes(socket, text, size, fds ? fds->fds : NULL, fds ? fds->count : 0, flags);
	return n < 0 ? (int)n : 0;
}

int packet_receive(int socket, struct packet *ret)
{
	AUTOFREE char *text = xmalloc(CHANNEL_MESSAGE_MAX);
	*ret = (struct packet){ 0 };
	ssize_t n = fd_receive_bytes(socket, text, CHANNEL_MESSAGE_MAX, FD_PASS_MAX, &ret->passed, MSG_DONTWAIT);
	if (n <= 0)
		return n == -ECONNRESET ? 0 : (int)n;
	int r = ret->passed.truncated ? -EBADMSG : json_parse_bytes(text, (size_t)n, "message", &ret->object, NULL);
	if (r == 0 && !json_object_is_type(ret->object, json_type_object))
		r = -EBADMSG;
	if (r < 0)
		packet_done(ret);
	return r < 0 ? r : 1;
}

void packet_done(struct packet *p)
{
	for (; p->taken < p->passed.count; p->taken++)
		fd_close(p->passed.fds[p->taken]);
	json_object_put(TAKE_PTR(p->object));
}
